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

/// A spec that marks parts of what was a secret as a whole may be another's, and the parts others.
#[test]
fn what_was_a_secret_as_a_whole_is_put_in_parts_only_after_it_was_left_out() {
    let secret = || json!({"airbyte_secret": true});
    let parts = || json!({"type": "object", "properties": {"private_key": {"type": "string"}, "passphrase": secret()}});
    let object = json!({"private_key": "SECRET-1", "email": "SECRET-2"});
    let list = json!(["SECRET-1", {"k": "SECRET-2"}]);
    let under = |schema: Value| json!({"properties": {"sa": schema}});
    for (first, second, value) in [
        (under(secret()), under(parts()), &object),
        (
            under(json!({"type": "object", "airbyte_secret": true})),
            under(parts()),
            &object,
        ),
        (
            under(secret()),
            under(
                json!({"items": {"oneOf": [{"type": "string"}, {"properties": {"k": secret()}}]}}),
            ),
            &list,
        ),
        (
            json!({"additionalProperties": secret()}),
            json!({"additionalProperties": parts()}),
            &object,
        ),
    ] {
        let mut document = Document::default();
        document
            .put(&compile(&first), json!({ "sa": value }))
            .unwrap();
        let node = document.blob["sa"].clone();
        for sent in [
            value.clone(),
            json!({"private_key": "S"}),
            json!(["S"]),
            json!("**********"),
            node,
        ] {
            let refused = document
                .put(&compile(&second), json!({ "sa": sent }))
                .unwrap_err();
            assert_eq!(refused.subject(), Some("/sa"), "{second}: {sent}");
        }
        document.put(&compile(&second), json!({})).unwrap();
        document
            .put(&compile(&second), json!({ "sa": value }))
            .unwrap();
    }
    let listed = |schema: Value| compile(&json!({"properties": {"l": {"items": schema}}}));
    let mut document = Document::default();
    document
        .put(&listed(secret()), json!({"l": [object]}))
        .unwrap();
    let refused = document
        .put(&listed(parts()), json!({"l": [null, object]}))
        .unwrap_err();
    assert_eq!(refused.subject(), Some("/l/1"));
    let mut document = Document::default();
    document.put(&compile(&secret()), object.clone()).unwrap();
    document
        .put(&compile(&json!({"properties": {"q": secret()}})), object)
        .unwrap_err();
}

#[test]
fn elements_that_were_not_there_stay_secret_in_another_shape_too() {
    let list =
        json!({"properties": {"l": {"items": {"properties": {"k": {"airbyte_secret": true}}}}}});
    let none = json!({"properties": {"other": {"airbyte_secret": true}}});
    for again in [
        json!(["SECRET-1", "SECRET-2"]),
        json!([[{"k": "SECRET-1"}], [{"k": "SECRET-2"}]]),
        json!([{"k": "SECRET-1"}, ["SECRET-2"], 7]),
    ] {
        let before = json!({"l": [{"k": "SECRET-1"}]});
        let stored = stored_under(&list, &none, before, json!({ "l": again }));
        assert!(
            !stored.contains("SECRET") && !stored.contains('7'),
            "{stored}"
        );
    }
}

/// An emptied box would be filled in later, and nothing would know any more that it holds a secret.
#[test]
fn a_secret_is_let_go_by_leaving_it_out_where_the_spec_no_longer_marks_it() {
    let marked = compile(&json!({"properties": {"p": {"airbyte_secret": true}}}));
    let none = compile(&json!({"properties": {"p": {}}}));
    let mut document = Document::default();
    document.put(&marked, json!({"p": "SECRET"})).unwrap();
    let refused = document.put(&none, json!({"p": ""})).unwrap_err();
    assert_eq!(refused.subject(), Some("/p"));
    document.put(&marked, json!({"p": ""})).unwrap();
    document.put(&marked, json!({"p": "SECRET"})).unwrap();
    document.put(&none, json!({})).unwrap();
    document.put(&none, json!({"p": "in clear"})).unwrap();
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
