//! A deployment's ids wherever they stand: behind `secret:`, in an ARN, in the name or address that a
//! manager gives a secret, or bare.
//!
//! Where an id ends is known only behind `secret:`. Elsewhere something may follow that an id could
//! have itself (AWS puts `-` and six characters of its own behind a secret's name), so everything that
//! it could be is told: rather a secret kept for nothing than one lost.

use memchr::memmem::Finder;
use zeroize::Zeroizing;

use crate::ids::Ids;

/// No manager has a longer name.
const LONGEST: usize = 2048;

/// Finds the ids of one deployment.
pub(crate) struct StandingIds<'a> {
    ids: &'a Ids,
    /// What stands between the parts of an id.
    separator: u8,
    /// As many separators as an id begins with.
    leading: usize,
    /// What follows these, up to the next separator.
    word: Finder<'static>,
}

impl<'a> StandingIds<'a> {
    pub(crate) fn of(ids: &'a Ids) -> Self {
        let separator = ids.naming().manager.separator();
        let head = ids.head().trim_start_matches(separator);
        let word = head.split(separator).next().unwrap_or_default();
        Self {
            ids,
            // Each of them is one of ASCII's.
            separator: separator as u8,
            leading: ids.head().len() - head.len(),
            word: Finder::new(word.as_bytes()).into_owned(),
        }
    }

    /// Whether a text has the beginning of an id in it.
    pub(crate) fn are_in(&self, text: &[u8]) -> bool {
        let text = lower(text);
        self.runs(&text).next().is_some()
    }

    /// Every id that a text could mean, in any case of its letters, one as often as it comes. Ends with
    /// the first for which `each` answers no.
    pub(crate) fn find(&self, text: &[u8], mut each: impl FnMut(&str) -> bool) {
        let text = lower(text);
        for (start, run) in self.runs(&text) {
            let is_whole = is_behind_prefix(&text[..start]);
            let ends = run.bytes().enumerate().skip(self.ids.head().len());
            let ends = ends.filter(|(at, byte)| {
                let is_part = is_joint(*byte);
                // Even behind `secret:` a mark of punctuation may follow.
                is_part && (!is_whole || run.as_bytes()[*at..].iter().all(|it| is_joint(*it)))
            });
            let ends = ends.map(|(at, _)| at).chain([run.len()]);
            for end in ends.take_while(|end| *end <= LONGEST) {
                let reading = &run[..end];
                if self.ids.check(reading).is_some() && !each(reading) {
                    return;
                }
            }
        }
    }

    /// What begins as an id and goes on in an id's characters, and where it begins.
    fn runs<'t>(&'t self, text: &'t [u8]) -> impl Iterator<Item = (usize, String)> + 't {
        self.word.find_iter(text).filter_map(move |at| {
            let start = self.beginning(text, at)?;
            let run = run(&text[start..], self.separator);
            run.starts_with(self.ids.head()).then_some((start, run))
        })
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

/// What ids are compared in; a copy that is wiped.
fn lower(text: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(text.to_ascii_lowercase())
}

/// Whether what stands before an id is `secret:` of OpenMetadata's, and not the word in an ARN.
fn is_behind_prefix(before: &[u8]) -> bool {
    let escapes = before.iter().rev().take_while(|it| **it == b'\\').count();
    let before = &before[..before.len() - escapes];
    let prefixes: [&[u8]; 2] = [b"secret:", b"secrets:"];
    let mut stripped = prefixes.iter().filter_map(|it| before.strip_suffix(*it));
    stripped.any(|it| {
        !it.last()
            .is_some_and(|byte| byte.is_ascii_alphanumeric() || b":-_".contains(byte))
    })
}

/// What may stand between an id and what follows it, and in an id too.
fn is_joint(byte: u8) -> bool {
    matches!(byte, b'-' | b'_' | b'/')
}

/// The id's characters at the beginning, with backslashes before slashes taken out.
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
            taken.push(char::from(byte));
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
    use cloakroom_core::coordinates::openmetadata::{Manager, Naming};

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
        let standing = StandingIds::of(&ids);
        let mut all = Vec::new();
        standing.find(text.as_bytes(), |it| {
            all.push(it.to_owned());
            true
        });
        assert!(all.is_empty() || standing.are_in(text.as_bytes()), "{text}");
        all
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
        let standing = StandingIds::of(&ids);
        let text = "secret:/team/a/prod/bot/x/y \\/team\\/a\\/prod\\/bot\\/z\\/y";
        let mut all = Vec::new();
        standing.find(text.as_bytes(), |it| {
            all.push(it.to_owned());
            all.len() < 2
        });
        assert_eq!(all, ["/team/a/prod/bot/x/y", "/team/a/prod/bot/z"]);
    }
}
