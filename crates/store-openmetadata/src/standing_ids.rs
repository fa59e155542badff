//! A deployment's ids wherever they stand: behind `secret:`, in an ARN, in the name or address that a
//! manager gives a secret, or bare; in any case of their letters, and behind escapes, in base64, in hex
//! and in UTF-16 as they are written by OpenMetadata, in small letters.
//!
//! Where an id ends is known only behind `secret:`. Elsewhere something may follow that an id could
//! have itself (AWS puts `-` and six characters of its own behind a secret's name), so everything that
//! it could be is told: rather a secret kept for nothing than one lost.

use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use cloakroom_core::written::{Beginnings, Looker};
use cloakroom_core::{Error, ErrorKind, Result};

use crate::ids::Ids;

/// No manager has a longer name.
const LONGEST: usize = 2048;

/// As many bytes of a beginning as tell it from chance in base64, wherever it stands there.
const TELLING: usize = 8;

/// Finds the ids of one deployment.
pub(crate) struct StandingIds<'a> {
    ids: &'a Ids,
    /// What stands between the parts of an id.
    separator: u8,
    /// As many separators as an id begins with.
    leading: usize,
    /// What follows these, up to the next separator, in any case.
    word: AhoCorasick,
    /// How ids begin where they are written otherwise.
    otherwise: Beginnings,
}

/// What one text could mean.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    /// Each once, in their order.
    pub(crate) ids: BTreeSet<String>,
    /// Whether the text is escaped deeper than was looked into.
    pub(crate) too_deep: bool,
}

impl<'a> StandingIds<'a> {
    pub(crate) fn of(ids: &'a Ids) -> Result<Self> {
        let separator = ids.naming().manager.separator();
        let head = ids.head().trim_start_matches(separator);
        let word = head.split(separator).next().unwrap_or_default();
        let word = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::DFA))
            .build([word]);
        let word = word.map_err(|_| {
            let message = "prefix and cluster name cannot be looked for";
            Error::new(ErrorKind::Invalid, "read the naming", message)
        })?;
        let beginnings: Vec<String> = if ids.head().len() < TELLING {
            ids.beginnings().collect()
        } else {
            vec![ids.head().to_owned()]
        };
        let beginnings: Vec<&[u8]> = beginnings.iter().map(String::as_bytes).collect();
        Ok(Self {
            ids,
            // Each of them is one of ASCII's.
            separator: separator as u8,
            leading: ids.head().len() - head.len(),
            word,
            otherwise: Beginnings::new(&[], &beginnings)?,
        })
    }

    /// Every id that a text could mean, `most` of them at most.
    pub(crate) fn find(&self, text: &[u8], most: usize) -> Standing {
        let mut looking = Looking {
            standing: self,
            found: BTreeSet::new(),
            most,
        };
        let is_whole = self.otherwise.look(text, &mut looking);
        Standing {
            ids: looking.found,
            too_deep: !is_whole,
        }
    }

    /// Where the separators before a word begin, backslashes before them left out.
    fn beginning(&self, text: &[u8], word: usize) -> Option<usize> {
        let mut at = word;
        let mut missing = self.leading;
        while missing > 0 {
            at = at.checked_sub(1)?;
            match text[at] {
                byte if byte == self.separator => missing -= 1,
                b'\\' => {}
                _ => return None,
            }
        }
        Some(at)
    }
}

/// A text that is being looked through.
struct Looking<'s, 'a> {
    standing: &'s StandingIds<'a>,
    found: BTreeSet<String>,
    most: usize,
}

impl Looker for Looking<'_, '_> {
    fn text(&mut self, text: &[u8]) {
        let standing = self.standing;
        for word in standing.word.find_iter(text) {
            if let Some(start) = standing.beginning(text, word.start()) {
                self.run(&text[start..], is_behind_prefix(&text[..start]));
            }
        }
    }

    fn decoded(&mut self, bytes: &[u8]) {
        self.run(bytes, false);
    }
}

impl Looking<'_, '_> {
    /// Every reading of what begins as an id and goes on in an id's characters.
    fn run(&mut self, text: &[u8], is_whole: bool) {
        let ids = self.standing.ids;
        let run = run(text, self.standing.separator);
        if !run.starts_with(ids.head()) {
            return;
        }
        let ends = run.bytes().enumerate().skip(ids.head().len());
        let ends = ends.filter(|(at, byte)| {
            let is_part = is_joint(*byte);
            // Even behind `secret:` a mark of punctuation may follow.
            is_part && (!is_whole || run.as_bytes()[*at..].iter().all(|it| is_joint(*it)))
        });
        let ends = ends.map(|(at, _)| at).chain([run.len()]);
        for end in ends.take_while(|end| *end <= LONGEST) {
            if self.found.len() >= self.most {
                return;
            }
            let reading = &run[..end];
            if ids.check(reading).is_some() {
                self.found.insert(reading.to_owned());
            }
        }
    }
}

/// Whether what stands before an id is `secret:` of OpenMetadata's, and not the word in an ARN.
fn is_behind_prefix(before: &[u8]) -> bool {
    let escapes = before.iter().rev().take_while(|it| **it == b'\\').count();
    let before = &before[..before.len() - escapes];
    let ends_with = |prefix: &[u8]| {
        let at = before.len().checked_sub(prefix.len());
        let at = at.filter(|at| before[*at..].eq_ignore_ascii_case(prefix));
        at.is_some_and(|at| {
            !before[..at]
                .last()
                .is_some_and(|byte| byte.is_ascii_alphanumeric() || b":-_".contains(byte))
        })
    };
    ends_with(b"secret:") || ends_with(b"secrets:")
}

/// What may stand between an id and what follows it, and in an id too.
fn is_joint(byte: u8) -> bool {
    matches!(byte, b'-' | b'_' | b'/')
}

/// The id's characters at the beginning, in small letters, with backslashes before slashes taken out.
fn run(text: &[u8], separator: u8) -> String {
    let belongs = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_')
            || (byte == b'/' && separator == b'/')
    };
    let mut taken = String::new();
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if belongs(byte) {
            // One more tells that it is longer than any name.
            if taken.len() > LONGEST {
                break;
            }
            taken.push(char::from(byte.to_ascii_lowercase()));
            at += 1;
            continue;
        }
        let backslashes = text[at..].iter().take_while(|it| **it == b'\\').count();
        if backslashes == 0 || text.get(at + backslashes) != Some(&b'/') || !belongs(b'/') {
            break;
        }
        at += backslashes;
    }
    taken
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
    use cloakroom_core::coordinates::openmetadata::{Manager, Naming};
    use proptest::prelude::*;

    use super::*;

    fn ids(manager: Manager, prefix: &str) -> Ids {
        Ids::new(Naming {
            prefix: prefix.to_owned(),
            cluster: "prod".to_owned(),
            manager,
        })
        .unwrap()
    }

    fn found(manager: Manager, text: &str) -> Vec<String> {
        let ids = ids(manager, "");
        found_of(&ids, text.as_bytes())
    }

    fn found_of(ids: &Ids, text: &[u8]) -> Vec<String> {
        let found = StandingIds::of(ids).unwrap().find(text, usize::MAX);
        assert!(!found.too_deep);
        found.ids.into_iter().collect()
    }

    #[test]
    fn nested_texts_hide_nothing() {
        let id = "/prod/database/x/password";
        let mut text = format!("{{\"password\":\"secret:{id}\",\"n\":1}}");
        for _ in 0..5 {
            assert_eq!(found(Manager::Aws, &text), [id], "{text}");
            let php = text.replace('/', "\\/");
            assert_eq!(found(Manager::Aws, &php), [id], "{php}");
            text = serde_json::json!({ "v": text }).to_string();
        }
    }

    #[test]
    fn every_form_of_a_name_is_found() {
        let aws = "/prod/database/x/password";
        for text in [
            format!("arn:aws:secretsmanager:eu-central-1:1:secret:{aws}-AbCdEf"),
            format!("arn:aws:secretsmanager:eu-central-1:1:secret:{aws}-abcdef:key:AWSCURRENT:"),
            format!("arn:aws:ssm:eu-central-1:1:parameter{aws}:3"),
            format!("secret:arn:aws:ssm:eu-central-1:1:parameter{aws}"),
            format!("**{aws}**, and _{aws}_"),
            format!("{aws}/AWSPREVIOUS"),
            format!("\"secret:{aws}/\""),
            aws.to_uppercase(),
            aws.to_owned(),
        ] {
            let found = found(Manager::Aws, &text);
            assert!(found.iter().any(|it| it == aws), "{text}: {found:?}");
        }
        let google = "prod_database_x_password";
        let azure = "prod-database-x-password";
        for (manager, name, text) in [
            (
                Manager::Google,
                google,
                format!("projects/p/secrets/{google}/versions/latest"),
            ),
            (
                Manager::AzureKeyVault,
                azure,
                format!("https://v.vault.azure.net/secrets/{azure}/0123"),
            ),
            (
                Manager::AzureKeyVault,
                azure,
                format!(
                    "https://v.vault.azure.net:443/secrets/{}",
                    azure.to_uppercase()
                ),
            ),
            (
                Manager::Kubernetes,
                azure,
                format!("/api/v1/namespaces/om/secrets/{azure}"),
            ),
        ] {
            let found = found(manager, &text);
            assert!(found.iter().any(|it| it == name), "{text}: {found:?}");
        }
    }

    #[test]
    fn what_is_written_as_a_reference_is_read_as_it_stands() {
        let id = "/prod/database/x/a-b_c";
        for text in [format!("secret:{id}"), format!("\"secrets:{id}\"")] {
            assert_eq!(found(Manager::Aws, &text), [id], "{text}");
        }
    }

    #[test]
    fn a_name_may_end_before_a_joint_and_nowhere_else() {
        let id = "/prod/database/x/password";
        assert_eq!(found(Manager::Aws, &format!("{id}X")), [format!("{id}x")]);
        let readings = [format!("{id}x"), format!("{id}x-y"), format!("{id}x-y_z")];
        assert_eq!(found(Manager::Aws, &format!("{id}X-y_z")), readings);
    }

    #[test]
    fn what_is_nobodys_id_is_not_told() {
        for text in [
            "",
            "/prod",
            "/prod/database/",
            "/production/database/x/password",
            "prod/database/x/password",
            "/prod/unheard/x/password",
            "openMetadataServerConnection of prod",
        ] {
            assert_eq!(found(Manager::Aws, text), [""; 0], "{text}");
        }
    }

    #[test]
    fn a_long_run_has_an_end() {
        let text = format!("/prod/database{}", "/a".repeat(100_000));
        let found = found(Manager::Aws, &text);
        assert!(found.len() <= LONGEST / 2, "{}", found.len());
        assert!(found.iter().all(|it| it.len() <= LONGEST));
    }

    #[test]
    fn whoever_has_enough_is_asked_no_more() {
        let ids = ids(Manager::Aws, "team/a");
        let text = "secret:/team/a/prod/bot/x/y \\/team\\/a\\/prod\\/bot\\/z\\/y\\/x";
        let found = StandingIds::of(&ids).unwrap().find(text.as_bytes(), 2);
        let expected = ["/team/a/prod/bot/x/y", "/team/a/prod/bot/z/y"];
        assert_eq!(found.ids, expected.map(str::to_owned).into());
    }

    type Way = fn(&[u8]) -> Vec<u8>;

    /// Ways to write a text otherwise.
    const WAYS: [Way; 9] = [
        |bytes| percent(bytes, |byte| b"/{}\":".contains(byte)),
        |bytes| percent(bytes, |_| true),
        |bytes| hex::encode(bytes).into_bytes(),
        |bytes| hex::encode_upper(bytes).into_bytes(),
        |bytes| BASE64_STANDARD.encode(bytes).into_bytes(),
        |bytes| BASE64_URL_SAFE_NO_PAD.encode(bytes).into_bytes(),
        |bytes| bytes.iter().flat_map(|byte| [*byte, 0]).collect(),
        |bytes| bytes.iter().flat_map(|byte| [0, *byte]).collect(),
        |bytes| {
            serde_json::json!(String::from_utf8_lossy(bytes))
                .to_string()
                .into_bytes()
        },
    ];

    /// The first of hex in large letters, and of UTF-16.
    const UPPER_HEX: usize = 3;
    const WIDE: usize = 6;

    fn percent(bytes: &[u8], is_escaped: impl Fn(&u8) -> bool) -> Vec<u8> {
        let written = bytes.iter().map(|byte| {
            if is_escaped(byte) {
                format!("%{byte:02x}")
            } else {
                char::from(*byte).to_string()
            }
        });
        written.collect::<String>().into_bytes()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn an_id_written_otherwise_is_found(
            manager in 0..5_usize, is_short: bool, before in "[ -~]{0,5}", name in "[a-z0-9]{1,9}",
            first in 0..WAYS.len(), second in 0..WAYS.len()
        ) {
            let managers = [
                Manager::Aws, Manager::AwsSsm, Manager::AzureKeyVault, Manager::Google, Manager::Kubernetes,
            ];
            let naming = Naming {
                prefix: String::new(),
                cluster: if is_short { "a" } else { "openmetadata" }.to_owned(),
                manager: managers[manager],
            };
            let id = naming.id(&["database", &name], &["authType", "password"]);
            let ids = Ids::new(naming).unwrap();
            let text = serde_json::json!({"before": before, "password": format!("secret:{id}"), "z": 1});
            let once = WAYS[first](text.to_string().as_bytes());
            let found = found_of(&ids, &once);
            prop_assert!(found.contains(&id), "{found:?}: {:?}", String::from_utf8_lossy(&once));
            let is_too_much = (first >= WIDE && second >= WIDE) || second == UPPER_HEX;
            // Percent signs of percent signs, and escapes around bytes that are none of text's.
            let is_escape = [first, second].iter().any(|way| *way < 2 || *way == WAYS.len() - 1);
            if !is_too_much && !is_escape {
                let twice = WAYS[second](&once);
                let found = found_of(&ids, &twice);
                prop_assert!(found.contains(&id), "{found:?}: {:?}", String::from_utf8_lossy(&twice));
            }
        }
    }
}
