//! Whatever is done to a text that holds a name, the name is found.

use std::sync::LazyLock;

use base64::Engine as _;
use cloakroom_core::{Grammar, Scope, Version};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::*;

static FINDER: LazyLock<Finder> =
    LazyLock::new(|| Finder::new(Grammar::default(), Vec::new()).unwrap());

fn found(value: &[u8]) -> Vec<String> {
    let mut names = Names::default();
    FINDER.find(value, &mut names);
    assert!(!names.too_deep);
    let mut found: Vec<String> = names.drain().map(|it| it.text).collect();
    found.sort();
    found
}

fn coordinate() -> impl Strategy<Value = String> {
    let managed = (0..5_usize, any::<u128>(), any::<u128>(), 1..i64::MAX).prop_map(
        |(scope, owner, secret, version)| {
            let (owner, secret) = (Uuid::from_u128(owner), Uuid::from_u128(secret));
            Grammar::default()
                .managed(
                    Scope::ALL[scope],
                    owner,
                    secret,
                    Version::new(version).unwrap(),
                )
                .to_string()
        },
    );
    let legacy = ("[A-Za-z0-9_-]{1,40}", 1..1000_i64)
        .prop_map(|(body, version)| format!("airbyte_{body}_v{version}"));
    prop_oneof![3 => managed, 1 => legacy]
}

/// A document with the text somewhere in it, as a value, as a key, or amid other text.
fn document(text: String) -> impl Strategy<Value = Value> {
    let around = ("\\PC{0,8}[^A-Za-z0-9_-]", "[^A-Za-z0-9_-]\\PC{0,8}");
    let leaf = prop_oneof![
        Just(json!(text)),
        Just(json!({"_secret": text})),
        Just(Value::Object(Map::from_iter([(text.clone(), json!(1))]))),
        around.prop_map(move |(before, behind)| json!(format!("{before}{text}{behind}"))),
    ];
    leaf.prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), "\\PC{0,12}").prop_map(|(it, other)| json!([other, it, null])),
            (inner.clone(), "\\PC{1,12}").prop_map(|(it, key)| json!({"a": 1, key: it})),
            // A document in a string of a document.
            inner.prop_map(|it| json!({"text": it.to_string()})),
        ]
    })
}

/// The text with every character that `which` chooses written as a number.
fn escaped(text: &str, which: u64) -> String {
    let mut left = which;
    text.chars()
        .map(|character| {
            left = left.rotate_right(1);
            let code = u32::from(character);
            match character {
                'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' if left & 1 == 1 && left & 2 == 2 => {
                    format!("\\u{code:04X}")
                }
                'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' if left & 1 == 1 => {
                    format!("\\u{code:04x}")
                }
                other => other.to_string(),
            }
        })
        .collect()
}

/// The strings of a document written with escapes, and that again as a string of a document.
fn nested(text: &str, which: u64, depth: usize) -> String {
    let mut written = format!("\"{}\"", escaped(text, which));
    for level in 0..depth {
        let inner = Value::String(written).to_string();
        // The backslash too may be written as a number.
        written = if which >> level & 1 == 1 {
            inner.replace("\\\\", "\\u005c")
        } else {
            inner
        };
    }
    written
}

fn each(bytes: &[u8], written: fn(u8) -> String) -> String {
    let written: Vec<String> = bytes.iter().copied().map(written).collect();
    written.concat()
}

type Way = fn(&[u8]) -> Vec<u8>;

/// Ways to write bytes otherwise.
const WAYS: [Way; 6] = [
    |bytes| hex::encode(bytes).into_bytes(),
    |bytes| hex::encode_upper(bytes).into_bytes(),
    |bytes| base64::prelude::BASE64_STANDARD.encode(bytes).into_bytes(),
    |bytes| base64::prelude::BASE64_URL_SAFE.encode(bytes).into_bytes(),
    |bytes| bytes.iter().flat_map(|byte| [*byte, 0]).collect(),
    |bytes| bytes.iter().flat_map(|byte| [0, *byte]).collect(),
];

const UPPER_HEX: usize = 1;

/// The first of the two orders of UTF-16.
const UTF16: usize = 4;

proptest! {
    #[test]
    fn anywhere_in_a_document(
        (name, document) in coordinate().prop_flat_map(|name| {
            (Just(name.clone()), document(name))
        })
    ) {
        let text = document.to_string();
        prop_assert!(found(text.as_bytes()).contains(&name), "{text}");
        let pretty = serde_json::to_string_pretty(&document).unwrap();
        prop_assert!(found(pretty.as_bytes()).contains(&name), "{pretty}");
    }

    #[test]
    fn behind_escapes_of_any_depth(name in coordinate(), which: u64, depth in 0..6_usize) {
        let text = nested(&name, which, depth);
        prop_assert!(found(text.as_bytes()).contains(&name), "{text}");
    }

    #[test]
    fn in_bytes_as_postgresql_and_others_write_them(
        name in coordinate(), before: Vec<u8>, behind: Vec<u8>, upper: bool
    ) {
        let mut bytes = before;
        bytes.extend(name.as_bytes());
        bytes.push(b'"');
        bytes.extend(behind);
        prop_assert!(found(&bytes).contains(&name));
        let hex = if upper { hex::encode_upper(&bytes) } else { hex::encode(&bytes) };
        let hex = format!("\\x{hex}");
        prop_assert!(found(hex.as_bytes()).contains(&name));
        let octal = each(&bytes, |byte| format!("\\{byte:03o}"));
        prop_assert!(found(octal.as_bytes()).contains(&name));
        for engine in [&base64::prelude::BASE64_STANDARD, &base64::prelude::BASE64_URL_SAFE] {
            prop_assert!(found(engine.encode(&bytes).as_bytes()).contains(&name));
        }
        let percent = each(&bytes, |byte| format!("%{byte:02X}"));
        prop_assert!(found(percent.as_bytes()).contains(&name));
    }

    #[test]
    fn in_two_encodings_at_once(
        name in coordinate(), before: Vec<u8>, behind: Vec<u8>,
        first in 0..WAYS.len(), second in 0..WAYS.len()
    ) {
        // What stands around it was written with it.
        let text: Vec<u8> = [b"{\"a\":\"", name.as_bytes(), b"\"}"].concat();
        let inner = WAYS[first](&text);
        let around = |written: &[u8]| [&before, written, &behind].concat();
        prop_assert!(found(&around(&inner)).contains(&name), "once");
        let twice_wide = first >= UTF16 && second >= UTF16;
        if !twice_wide && second != UPPER_HEX {
            let outer = WAYS[second](&inner);
            prop_assert!(found(&around(&outer)).contains(&name), "twice");
        }
    }

    #[test]
    fn in_lines_of_base64(name in coordinate(), before: Vec<u8>, width in 4..80_usize, which in 0..4_usize) {
        let mut bytes = before;
        bytes.extend(name.as_bytes());
        bytes.push(b'"');
        let written = base64::prelude::BASE64_STANDARD.encode(&bytes);
        let lines: Vec<&str> = written
            .as_bytes()
            .chunks(width)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        let text = lines.join(["\n", "\r\n", "\n    ", "\r\n\t"][which]);
        prop_assert!(found(text.as_bytes()).contains(&name), "{text}");
        let nested = json!({"a": json!({"b": text}).to_string()}).to_string();
        prop_assert!(found(nested.as_bytes()).contains(&name), "{nested}");
    }

    #[test]
    fn nothing_makes_it_fail(bytes: Vec<u8>, text in "[\\\\ux0-9%&#;{}airbyte_v]{0,80}") {
        let mut names = Names::default();
        FINDER.find(&bytes, &mut names);
        FINDER.find(text.as_bytes(), &mut names);
    }
}

#[test]
fn every_version_in_a_run_counts() {
    assert_eq!(
        found(b"airbyte_a_v1_v12x"),
        ["airbyte_a_v1", "airbyte_a_v1_v12"]
    );
    assert_eq!(
        found(b"airbyte_a_v1airbyte_b_v2"),
        ["airbyte_a_v1", "airbyte_a_v1airbyte_b_v2", "airbyte_b_v2"]
    );
    // As Airbyte itself takes them for its own.
    assert_eq!(
        found(b"airbyte_a_v0 airbyte_b_v-3 airbyte_c_v007"),
        ["airbyte_a_v0", "airbyte_b_v-3", "airbyte_c_v007"]
    );
}

#[test]
fn a_canonical_name_without_version_counts() {
    let base = "airbyte_workspace_024eaa40-75ae-4014-941d-b9e938c3a363_secret_\
                5675437d-ea6b-4f9a-9a0c-d76066004841";
    assert_eq!(
        found(format!("{{\"_secret\":\"{base}\"}}").as_bytes()),
        [base]
    );
    assert_eq!(found(format!("{base}_v").as_bytes()), [base]);
    assert_eq!(
        found(format!("{base}_v3").as_bytes()),
        [format!("{base}_v3")]
    );
    assert!(found(br#"{"airbyte_secret": true, "airbyte_type": "string"}"#).is_empty());
}

fn makers(value: &[u8]) -> Vec<(String, Maker)> {
    let mut names = Names::default();
    FINDER.find(value, &mut names);
    let mut found: Vec<_> = names.drain().map(|it| (it.text, it.maker)).collect();
    found.sort();
    found
}

#[test]
fn a_users_own_secret_is_told_apart() {
    let found = makers(
        br#"["secret_coordinate::team/db-password", "secret_coordinate::airbyte_mine", "secret_coordinate::airbyte_a_v1", "{\"a\":\"secret_coordinate::arn:aws:x\"}"]"#,
    );
    let expected = [
        "airbyte_a_v1",
        "airbyte_mine",
        "arn:aws:x",
        "team/db-password",
    ];
    assert_eq!(found, expected.map(|text| (text.to_owned(), Maker::User)));
}

/// What only reads like a name of the platform's in what a user named says nothing of who made it; nor
/// does what is encoded, since what stood before it is not seen.
#[test]
fn a_shorter_reading_of_a_users_name_tells_no_maker() {
    let of = |text: &str, maker| (text.to_owned(), maker);
    assert_eq!(
        makers(b"secret_coordinate::airbyte_db_v1/main airbyte_c_v1"),
        [
            of("airbyte_c_v1", Maker::Platform),
            of("airbyte_db_v1", Maker::Unknown),
            of("airbyte_db_v1/main", Maker::User),
        ]
    );
    let escaped = br#""secret_coordinate\u003a:airbyte_db_v1""#;
    assert_eq!(makers(escaped), [of("airbyte_db_v1", Maker::User)]);
    let encoded = hex::encode("secret_coordinate::airbyte_db_v1");
    let expected = [of("airbyte_db_v1", Maker::Unknown)];
    assert_eq!(makers(encoded.as_bytes()), expected);
}

/// What other text may stand around the name of a user's secret, in front and behind.
const AROUND: [(&str, &str); 24] = [
    ("", ""),
    ("Bearer ", " and more"),
    ("a,", ",b"),
    ("[", "]"),
    ("(see ", ")"),
    ("${", "}"),
    ("a=", ";b=c"),
    ("https://example.com/?token=", "&more=1"),
    ("https://example.com/?token=", "#there"),
    ("postgres://user:", "@host/db"),
    ("see ", "."),
    ("see ", ": it"),
    ("{\"a\":\"", "\"}"),
    ("{\\\"a\\\":\\\"", "\\\"}"),
    ("{\"a\":\"x ", ",secret_coordinate::other\"}"),
    ("{\"a\":\"x ", "\\u0022 y\"}"),
    ("{\"a\":\"x ", "\\ny\"}"),
    ("<a>", "</a>"),
    ("<a b=&quot;", "&quot;/>"),
    ("%7B%22a%22%3A%22", "%22%7D"),
    ("a: '", "'"),
    ("`", "`"),
    ("**", "**"),
    ("ä", "ä"),
];

#[test]
fn a_users_own_secret_is_found_amid_text() {
    for name in [
        "name",
        "team/db-password",
        "airbyte_db_v1",
        "team/db_1+x@y.z=",
        "arn:aws:secretsmanager:eu:1:secret:n-Ab",
    ] {
        for (before, behind) in AROUND {
            let text = format!("{before}secret_coordinate::{name}{behind}");
            let found = makers(text.as_bytes());
            let told = found.iter().find(|(it, _)| it == name);
            let told = told.unwrap_or_else(|| panic!("{text}: {found:?}"));
            // Of what may be in names and ends one too, the end is a guess.
            let is_a_guess = name.contains('@') || behind.starts_with('@') || name.ends_with('=');
            assert!(
                is_a_guess || told.1 == Maker::User || !behind.is_ascii(),
                "{text}: {found:?}"
            );
        }
    }
}

#[test]
fn bytes_that_are_no_text_end_a_users_name() {
    let text = [b"\x01secret_coordinate::team/db".as_slice(), &[0xff, 0xfe]].concat();
    assert!(found(&text).contains(&"team/db".to_owned()));
    let long = format!("secret_coordinate::team/db,{}", "x".repeat(5000));
    assert!(found(long.as_bytes()).contains(&"team/db".to_owned()));
    let many = "secret_coordinate::a".repeat(3);
    assert_eq!(found(many.as_bytes()), ["a"]);
}

/// A slash that JSON has escaped is no end of the name.
#[test]
fn what_an_escape_cuts_short_is_no_users_name() {
    let of = |text: &str, maker| (text.to_owned(), maker);
    assert_eq!(
        makers(br#""secret_coordinate::team\/db""#),
        [of("team", Maker::Unknown), of("team/db", Maker::User)]
    );
}

/// The end of a longer name keeps what it reads as, and does not say that there is such a secret.
#[test]
fn a_name_amid_a_longer_one_tells_no_maker() {
    let name = "airbyte_team_v1";
    for (text, maker) in [
        (name.to_owned(), Maker::Platform),
        (format!("other/{name}"), Maker::Platform),
        (format!("other_{name}"), Maker::Amid),
        (format!("airbyte_{name}"), Maker::Amid),
        (format!("other_{name} {name}"), Maker::Platform),
        (format!("\"a\\n{name}\""), Maker::Platform),
        (format!("\"\\u0022{name}\""), Maker::Platform),
        (format!("%22{name}%22"), Maker::Platform),
    ] {
        let found = makers(text.as_bytes());
        let told = found.iter().find(|it| it.0 == name);
        assert_eq!(told.map(|it| it.1), Some(maker), "{text}: {found:?}");
    }
}

/// Of two beginnings that overlap the search tells only the first.
#[test]
fn no_beginning_hides_another() {
    for (prefix, text, expected) in [
        ("secret_", "secret_coordinate::team/db", "team/db"),
        ("my_secret_", "my_secret_coordinate::team/db", "team/db"),
        ("a_a_", "a_a_a_team_v1", "a_a_team_v1"),
        ("a_a_", "a_a_team_v1", "a_a_team_v1"),
        ("secret_", "secret_team_v1", "secret_team_v1"),
    ] {
        let finder = Finder::new(Grammar::new(prefix).unwrap(), Vec::new()).unwrap();
        let mut names = Names::default();
        finder.find(text.as_bytes(), &mut names);
        let found: Vec<String> = names.drain().map(|it| it.text).collect();
        assert!(found.contains(&expected.to_owned()), "{text}: {found:?}");
    }
}

#[test]
fn names_of_any_shape_are_found_when_given() {
    let given = vec!["airbyte_old".to_owned(), "plain".to_owned()];
    let finder = Finder::new(Grammar::default(), given).unwrap();
    let mut names = Names::default();
    finder.find(
        br#"{"a": "\u0061irbyte_older", "b": "ex-plain-ed"}"#,
        &mut names,
    );
    let mut found: Vec<String> = names.drain().map(|it| it.text).collect();
    found.sort();
    assert_eq!(found, ["airbyte_old", "plain"]);
}

#[test]
fn what_is_nested_too_deep_is_said() {
    let mut text = "airbyte%25".to_owned();
    for _ in 0..20 {
        text = text.replace('%', "%25");
    }
    let mut names = Names::default();
    FINDER.find(text.as_bytes(), &mut names);
    assert!(names.too_deep);
}
