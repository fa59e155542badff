//! What holds for every text, not just for the vectors.
#![allow(
    clippy::unwrap_used,
    reason = "strategies are test code outside of a test function"
)]

use std::collections::BTreeSet;

use cloakroom_coordinates::openmetadata::{Manager, Naming, collisions, parse_tags};
use cloakroom_coordinates::{
    Coordinate, Grammar, GrammarError, MAX_LENGTH, NotOurs, Reading, Scope, Version,
};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use uuid::Uuid;

fn prefixes() -> impl Strategy<Value = String> {
    prop_oneof![Just("airbyte_".to_owned()), "[A-Za-z0-9_-]{0,20}_"]
        .prop_filter("ambiguous", |prefix| !prefix.ends_with("_oauth_"))
}

fn versions() -> impl Strategy<Value = Version> {
    prop_oneof![1..=20_i64, 1..=i64::MAX].prop_map(|number| Version::new(number).unwrap())
}

fn uuids() -> impl Strategy<Value = Uuid> {
    prop_oneof![1 => Just(Uuid::nil()), 9 => any::<u128>().prop_map(Uuid::from_u128)]
}

prop_compose! {
    fn managed()(
        prefix in prefixes(), scope in select(&Scope::ALL[..]), owner in uuids(), secret in uuids(), version in versions(),
    ) -> (Grammar, Scope, Uuid, Uuid, Version) {
        (Grammar::new(&prefix).unwrap(), scope, owner, secret, version)
    }
}

/// Texts of every kind, most of them nearly right.
fn texts() -> impl Strategy<Value = String> {
    let shaped = prop_oneof![
        managed().prop_map(|(grammar, scope, owner, secret, version)| {
            grammar.managed(scope, owner, secret, version).to_string()
        }),
        "airbyte_[A-Za-z0-9_-]{0,12}(_v[0-9]{0,20}){0,2}",
        "airbyte_[a-z]{230,260}_v[0-9]{1,3}",
    ];
    let broken = (shaped.clone(), any::<Index>(), ".{0,2}", any::<bool>()).prop_map(
        |(text, at, with, replace)| {
            let at = at.index(text.len() + 1);
            let rest = if replace {
                (at + 1).min(text.len())
            } else {
                at
            };
            format!("{}{with}{}", &text[..at], &text[rest..])
        },
    );
    prop_oneof![shaped, broken, ".{0,40}", any::<String>()]
}

/// The grammar said over again, slowly.
fn is_ours(prefix: &str, text: &str) -> bool {
    text.chars().count() <= MAX_LENGTH
        && text
            .strip_prefix(prefix)
            .and_then(|body| body.rsplit_once("_v"))
            .is_some_and(|(body, number)| {
                !body.is_empty()
                    && body
                        .chars()
                        .all(|it| it.is_ascii_alphanumeric() || it == '_' || it == '-')
                    && number
                        .parse::<i64>()
                        .is_ok_and(|it| it > 0 && it.to_string() == number)
            })
}

fn is_canonical_uuid(text: &str) -> bool {
    Uuid::parse_str(text).is_ok_and(|it| it.hyphenated().to_string() == text)
}

fn is_managed(prefix: &str, text: &str) -> bool {
    is_ours(prefix, text)
        && Scope::ALL.iter().any(|scope| {
            text[prefix.len()..]
                .strip_prefix(scope.as_written())
                .and_then(|rest| rest.rsplit_once("_v"))
                .and_then(|(ids, _)| ids.split_once("_secret_"))
                .is_some_and(|(owner, secret)| {
                    is_canonical_uuid(owner) && is_canonical_uuid(secret)
                })
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn what_is_written_reads_back((grammar, scope, owner, secret, version) in managed()) {
        let written = grammar.managed(scope, owner, secret, version);
        let Reading::Managed(read) = grammar.read(written.as_str()) else {
            return Err(TestCaseError::fail("not managed"));
        };
        prop_assert_eq!((read.scope(), read.owner(), read.secret(), read.version()), (scope, owner, secret, version));
        prop_assert_eq!(grammar.coordinate(written.as_str()).unwrap(), written.clone());

        let stored = Coordinate::from_stored(written.as_str()).unwrap();
        for it in [&stored, &written, &read.into(), &grammar.coordinate(written.as_str()).unwrap()] {
            prop_assert_eq!(it, &written);
            prop_assert_eq!((it.scope(), it.owner(), it.secret()), (Some(scope), Some(owner), Some(secret)));
            prop_assert_eq!((it.version(), it.base()), (version, read.base()));
            prop_assert_eq!(it.is_ephemeral(), owner.is_nil());
        }

        let json = serde_json::to_string(&written).unwrap();
        prop_assert_eq!(serde_json::from_str::<Coordinate>(&json).unwrap(), written);
    }

    #[test]
    fn only_what_matches_the_grammar_is_ours(prefix in prefixes(), text in texts()) {
        for grammar in [Grammar::new(&prefix).unwrap(), Grammar::default()] {
            let reading = grammar.read(&text);
            prop_assert_eq!(reading.is_ours(), is_ours(grammar.prefix(), &text));
            prop_assert_eq!(matches!(reading, Reading::Managed(_)), is_managed(grammar.prefix(), &text));
            prop_assert_eq!(reading.text(), text.as_str());
            if let (Some(base), Some(version)) = (reading.base(), reading.version()) {
                prop_assert_eq!(format!("{base}_v{version}"), text.as_str());
                let owned = grammar.coordinate(&text).unwrap();
                prop_assert_eq!((owned.as_str(), owned.base(), owned.version()), (text.as_str(), base, version));
            } else {
                prop_assert_eq!(grammar.coordinate(&text), Err(NotOurs));
            }
        }
    }

    #[test]
    fn equal_coordinates_give_equal_answers_whichever_way_they_came(text in texts()) {
        if let Ok(read) = Grammar::default().coordinate(&text) {
            let stored = Coordinate::from_stored(&text).unwrap();
            prop_assert_eq!((read.scope(), read.owner(), read.base()), (stored.scope(), stored.owner(), stored.base()));
            prop_assert_eq!(read, stored);
        }
    }

    #[test]
    fn order_is_by_base_then_by_number(mut versions in prop::collection::vec(versions(), 2..8), bases in ["airbyte_[a-c_-]{1,3}", "airbyte_[a-c_-]{1,3}"]) {
        let [left, right] = bases.map(|base| Coordinate::from_stored(&format!("{base}_v1")).unwrap());
        let mut sorted: Vec<_> = versions.iter().map(|&it| left.with_version(it).unwrap()).collect();
        sorted.sort();
        versions.sort();
        prop_assert_eq!(sorted.iter().map(Coordinate::version).collect::<Vec<_>>(), versions.clone());
        let (a, b) = (left.with_version(versions[0]).unwrap(), right.with_version(versions[1]).unwrap());
        prop_assert_eq!(a.cmp(&b), (a.base(), a.version()).cmp(&(b.base(), b.version())));
        prop_assert_eq!(a.cmp(&b).is_eq(), a == b);
        prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
    }

    #[test]
    fn the_next_version_is_higher_and_of_the_same_secret(text in texts()) {
        if let Ok(it) = Grammar::default().coordinate(&text)
            && let Ok(next) = it.next_version()
        {
            prop_assert!(next > it);
            prop_assert_eq!(next.version().get(), it.version().get() + 1);
            prop_assert_eq!((next.base(), next.scope()), (it.base(), it.scope()));
            prop_assert_eq!(Grammar::default().coordinate(next.as_str()), Ok(next.clone()));
            prop_assert_eq!(next.with_version(it.version()), Ok(it));
        }
    }

    #[test]
    fn errors_and_debug_never_echo(text in "hunter2 .{0,40}", number in 1_000_000..i64::MAX) {
        let stored = Coordinate::from_stored(&text).unwrap_err();
        let read = Grammar::default().coordinate(&text).unwrap_err();
        let json = serde_json::from_value::<Coordinate>(text.clone().into()).unwrap_err();
        let shown = format!("{stored} {stored:?} {read} {read:?} {json} {json:?}");
        prop_assert!(!shown.contains("hunter2"));
        let prefix = Grammar::new(&text).unwrap_err();
        let shown = format!("{prefix} {prefix:?}");
        prop_assert!(!shown.contains("hunter2"));
        for value in [serde_json::json!(number), serde_json::json!([number]), serde_json::json!({"a": number})] {
            let error = serde_json::from_value::<Coordinate>(value.clone()).unwrap_err();
            let shown = format!("{error} {error:?}");
            prop_assert!(!shown.contains(&number.to_string()), "{}", shown);
            let error = serde_json::from_str::<Coordinate>(&value.to_string()).unwrap_err();
            let shown = format!("{error} {error:?}");
            prop_assert!(!shown.contains(&number.to_string()), "{}", shown);
        }
    }

    #[test]
    fn prefixes_are_checked(prefix in prop_oneof!["[A-Za-z0-9_-]{0,70}_?", ".{0,6}_", "[a_]{0,3}oauth_"]) {
        let wanted = if prefix.is_empty() {
            Err(GrammarError::Empty)
        } else if prefix.len() > 64 {
            Err(GrammarError::TooLong)
        } else if !prefix.chars().all(|it| it.is_ascii_alphanumeric() || it == '_' || it == '-') {
            Err(GrammarError::Character)
        } else if !prefix.ends_with('_') {
            Err(GrammarError::Ending)
        } else if prefix.ends_with("_oauth_") {
            Err(GrammarError::Ambiguous)
        } else {
            Ok(prefix.as_str())
        };
        let grammar = Grammar::new(&prefix);
        prop_assert_eq!(grammar.as_ref().map(Grammar::prefix), wanted.as_ref().copied());
    }

    #[test]
    fn versions_are_what_they_say(number in any::<i64>()) {
        let version = Version::new(number);
        prop_assert_eq!(version.map(Version::get), (number > 0).then_some(number));
        prop_assert_eq!(serde_json::from_str::<Version>(&number.to_string()).ok(), version);
        if let Some(version) = version {
            prop_assert_eq!(serde_json::to_string(&version).unwrap(), version.to_string());
            prop_assert_eq!(version.next().is_none(), version == Version::LAST);
        }
    }

    #[test]
    fn openmetadata_ids_keep_to_the_characters_of_the_manager(
        manager in select(&Manager::ALL[..]), prefix in ".{0,8}", cluster in ".{0,12}",
        base in prop::collection::vec(".{0,100}", 1..3), field_path in prop::collection::vec("[a-zA-Z]{1,12}", 1..3),
    ) {
        let naming = Naming { prefix, cluster, manager };
        let base: Vec<_> = base.iter().map(String::as_str).collect();
        let field_path: Vec<_> = field_path.iter().map(String::as_str).collect();
        let id = naming.id(&base, &field_path);
        let also = match manager {
            Manager::Aws | Manager::AwsSsm | Manager::OpenBao => "/_-",
            Manager::AzureKeyVault | Manager::Kubernetes => "-",
            Manager::Google => "_",
        };
        prop_assert!(id.chars().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || also.contains(it)));
        if manager == Manager::Kubernetes {
            prop_assert!(id.len() <= 253 && !id.contains("--") && !id.starts_with('-') && !id.ends_with('-'));
        }
        let nameless = !naming.prefix.chars().chain(naming.cluster.chars()).any(|it| it.is_ascii_alphanumeric());
        prop_assert!(nameless || naming.is_under_prefix(&id));
    }

    #[test]
    fn tags_never_panic_and_read_back(tags in prop::collection::btree_map("[a-z]{1,5}", "[a-z:/]{0,8}", 0..5), any in ".{0,30}") {
        parse_tags(&any);
        let text = tags.iter().map(|(key, value)| format!("{key}:{value}")).collect::<Vec<_>>().join(",");
        prop_assert_eq!(parse_tags(&format!("[{text}]")), tags);
    }

    #[test]
    fn collisions_are_exactly_the_shared_ids(fields in prop::collection::vec(("[ab]{1,2}", 0..5_u8), 0..10)) {
        let found = collisions(fields.clone());
        for (id, _) in &fields {
            let sharing: BTreeSet<_> = fields.iter().filter(|it| it.0 == *id).map(|it| it.1).collect();
            prop_assert_eq!(found.get(id), (sharing.len() > 1).then_some(&sharing));
        }
    }
}
