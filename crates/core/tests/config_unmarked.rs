//! Recorded secrets under a spec that does not mark them any more, when what comes in their place is of another
//! shape or kind.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod config_support;

use cloakroom_core::config::CompiledSpec;
use config_support::{Document, compile};
use serde_json::{Value, json};

/// What a document keeps in clear of a value that was a secret under one spec and comes again under another.
fn stored_under(first: &Value, second: &Value, before: Value, after: Value) -> String {
    let mut document = Document::default();
    document.put(&compile(first), before).unwrap();
    document.put(&compile(second), after).unwrap();
    document.blob.to_string()
}

#[test]
fn a_list_stays_secret_in_whatever_shape_it_comes_again() {
    let list = json!({"properties": {"tokens": {"items": {"airbyte_secret": true}}}});
    let none = json!({"properties": {"tokens": {}, "other": {"airbyte_secret": true}}});
    for again in [json!({"0": "a-token"}), json!("a-token,b-token")] {
        let before = json!({"tokens": ["a-token", "b-token"]});
        let stored = stored_under(&list, &none, before, json!({"tokens": again}));
        assert!(
            !stored.contains("token,") && !stored.contains("a-token"),
            "{stored}"
        );
    }
}

/// A mark further down says nothing of a number.
#[test]
fn a_number_stays_secret_though_parts_of_an_object_would_be() {
    let pin = json!({"properties": {"pin": {"airbyte_secret": true}}});
    let parts = json!({"properties": {"pin": {
        "type": ["integer", "object"], "properties": {"z": {"airbyte_secret": true}}
    }}});
    let config = json!({"pin": 48_151_623});
    let stored = stored_under(&pin, &parts, config.clone(), config);
    assert!(!stored.contains("48151623"), "{stored}");
}

/// Patterns are written in more words than they were, and a stored one may be too large by now.
#[test]
fn a_stored_pattern_that_is_too_large_by_now_says_perhaps() {
    let spec = json!({"patternProperties": {"^.{0,8000}$": {"airbyte_secret": true}}});
    CompiledSpec::compile(&spec).unwrap_err();
    let stored = CompiledSpec::compile_stored(&spec).unwrap();
    let open = cloakroom_core::config::clear_text(&stored, &json!({"k": "v"})).unwrap();
    assert_eq!(open, ["/k"]);
}
