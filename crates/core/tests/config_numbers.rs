//! Secrets that are numbers, or hold some: an older release wrote those with an exponent in a form of its own.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod config_support;

use cloakroom_core::config::parse_document;
use config_support::{Document, MASK, Report, compile};
use serde_json::{Value, json};

fn report(entries: &[(&str, &str)]) -> Report {
    let entries = entries.iter();
    entries
        .map(|(pointer, what)| ((*pointer).to_owned(), (*what).to_owned()))
        .collect()
}

/// As it is read now: letter for letter.
fn now(text: &str) -> Value {
    parse_document(text.as_bytes()).unwrap().into_exposed()
}

/// As an older release read it.
fn once(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_number_that_an_older_release_wrote_otherwise_is_kept() {
    let spec = compile(&json!({"properties": {"a": {"airbyte_secret": true}}}));
    let mut compared = 0;
    for number in ["1E5", "1e5", "1E+5", "1.50E-07", "-2E3", "1E400", "0e0"] {
        for around in ["N", "[N, \"1E5\"]", "{\"x\": {\"1E5\": N}, \"y\": 7}"] {
            let text = format!("{{\"a\": {}}}", around.replace('N', number));
            let older = once(&text);
            if older == now(&text) {
                continue;
            }
            compared += 1;
            let mut document = Document::default();
            document.put(&spec, older.clone()).unwrap();
            for config in [now(&text), older.clone(), now(&text)] {
                let done = document.put(&spec, config).unwrap();
                assert_eq!(done, report(&[("/a", "kept")]), "{text}");
            }
            assert_eq!(document.hydrated(), older);
            // Another number is another value.
            let other = now(&text.replace(number, "3E5"));
            let done = document.put(&spec, other.clone()).unwrap();
            assert_eq!(done, report(&[("/a", "raised")]), "{text}");
            assert_eq!(document.hydrated().to_string(), other.to_string());
        }
    }
    assert!(compared >= 18, "{compared}");
}

#[test]
fn a_text_that_looks_like_such_a_number_is_a_text() {
    let spec = compile(&json!({"properties": {"a": {"airbyte_secret": true}}}));
    let mut document = Document::default();
    document.put(&spec, json!({"a": "1e+5"})).unwrap();
    for other in [json!({"a": "1E5"}), now("{\"a\": 1E5}")] {
        let done = document.put(&spec, other).unwrap();
        assert_eq!(done, report(&[("/a", "raised")]));
    }
}

#[test]
fn such_a_number_is_found_where_it_moved_in_its_array() {
    let spec = compile(&json!({"properties": {"t": {"items": {"airbyte_secret": true}}}}));
    let put = |second: &str| {
        let mut document = Document::default();
        document.put(&spec, once("{\"t\": [1E5, 2E5]}")).unwrap();
        document.put(&spec, now(second))
    };
    let moved = report(&[("/t/0", "kept from /t/1"), ("/t/1", "kept from /t/0")]);
    assert_eq!(put("{\"t\": [2E5, 1E5]}").unwrap(), moved);
    // The mask at the place of the one that moved stands for either.
    let error = put(&format!("{{\"t\": [\"{MASK}\", 1E5]}}")).unwrap_err();
    assert_eq!(error.subject(), Some("/t/0"), "{error}");
}
