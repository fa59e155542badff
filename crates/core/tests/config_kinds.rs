//! Marks that no value of a kind can reach: that value counts as secret in all its parts.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod config_support;

use cloakroom_core::config::clear_text;
use config_support::compile;
use serde_json::{Value, json};

fn found(spec: &Value, document: &Value) -> Vec<String> {
    clear_text(&compile(spec), document).unwrap()
}

fn secret() -> Value {
    json!({"airbyte_secret": true})
}

#[test]
fn what_is_said_of_members_is_not_said_of_elements() {
    let members = || json!({"password": secret(), "host": {}});
    for schema in [
        json!({"type": "array", "properties": members()}),
        json!({"type": ["object", "array"], "properties": members()}),
        json!({"type": ["object", "array"], "properties": members(), "items": {"type": "string"}}),
        json!({"type": "array", "patternProperties": {"^p": secret()}}),
        json!({"type": "array", "additionalProperties": {"properties": members()}}),
        json!({"$defs": {"s": secret()}, "type": "array", "properties": {"p": {"$ref": "#/properties/a/$defs/s"}}}),
    ] {
        let spec = json!({"properties": {"a": schema}});
        let array = json!({"a": [{"password": "X"}, 1, null, [true]]});
        assert_eq!(
            found(&spec, &array),
            ["/a/0/password", "/a/1", "/a/3/0"],
            "{spec}"
        );
    }
    let both = json!({"properties": {"a": {"type": ["object", "array"], "properties": members()}}});
    let object = json!({"a": {"password": "X", "host": "h"}});
    assert_eq!(found(&both, &object), ["/a/password"]);
}

#[test]
fn what_is_said_of_elements_is_not_said_of_members() {
    for keyword in ["items", "contains", "additionalItems", "unevaluatedItems"] {
        for types in [json!("object"), json!(["object", "array"])] {
            let spec = json!({"properties": {"a": {"type": types, keyword: secret()}}});
            let object = json!({"a": {"b": "X", "c": {"d": 1}}});
            assert_eq!(found(&spec, &object), ["/a/b", "/a/c/d"], "{spec}");
        }
    }
}

/// A schema for lists beside one for objects has lists in mind.
#[test]
fn another_schema_for_the_kind_says_what_is_in_it() {
    let spec = json!({"properties": {"a": {"oneOf": [
        {"type": "object", "properties": {"password": secret()}},
        {"type": "array", "items": {"type": "string"}}
    ]}}});
    assert_eq!(found(&spec, &json!({"a": ["x"]})), [""; 0]);
    assert_eq!(
        found(&spec, &json!({"a": {"password": "x", "b": "y"}})),
        ["/a/password"]
    );
}

#[test]
fn a_mark_behind_a_reference_or_an_alternative_is_of_members_or_elements_too() {
    let members = || json!({"properties": {"password": secret(), "host": {}}});
    for inner in [
        json!({"oneOf": [members(), {"properties": {"file": {"type": "string"}}}]}),
        json!({"anyOf": [members()]}),
        json!({"allOf": [{"allOf": [members()]}]}),
        json!({"if": {"properties": {"mode": {"const": "x"}}}, "then": members()}),
        json!({"$ref": "#/$defs/login"}),
    ] {
        let mut schema = inner;
        schema["type"] = json!(["object", "array"]);
        let spec = json!({"properties": {"a": schema}, "$defs": {"login": members()}});
        let array = json!({"a": [{"password": "X"}, 1, null]});
        assert_eq!(found(&spec, &array), ["/a/0/password", "/a/1"], "{spec}");
        let object = json!({"a": {"password": "X", "host": "h"}});
        assert_eq!(found(&spec, &object), ["/a/password"], "{spec}");
    }
    let elements =
        json!({"properties": {"a": {"type": ["object", "array"], "oneOf": [{"items": secret()}]}}});
    assert_eq!(found(&elements, &json!({"a": {"b": "X"}})), ["/a/b"]);
}

#[test]
fn an_alternative_for_the_kind_says_what_is_in_it_behind_a_reference_too() {
    let spec = json!({
        "properties": {"a": {"type": ["object", "array"], "oneOf": [{"$ref": "#/$defs/login"}, {"$ref": "#/$defs/hosts"}]}},
        "$defs": {
            "login": {"properties": {"password": secret()}},
            "hosts": {"type": "array", "items": {"type": "string"}}
        }
    });
    assert_eq!(found(&spec, &json!({"a": ["x"]})), [""; 0]);
}

#[test]
fn a_text_with_a_secret_in_it_is_one() {
    for content in [
        json!({"properties": {"password": secret()}}),
        json!({"items": {"format": "password"}}),
        secret(),
        json!({"$ref": "#/$defs/login"}),
    ] {
        let spec = json!({
            "properties": {"a": {"type": "string", "contentMediaType": "application/json", "contentSchema": content}},
            "$defs": {"login": secret()}
        });
        assert_eq!(
            found(&spec, &json!({"a": "{}", "b": "x"})),
            ["/a"],
            "{spec}"
        );
    }
    let plain = json!({"properties": {"a": {"contentSchema": {"properties": {"host": {}}}}}});
    assert_eq!(found(&plain, &json!({"a": "{}"})), [""; 0]);
}

/// Keys are matched as ECMA-262 reads patterns; where it alone can tell, any key may be meant.
#[test]
fn patterns_for_keys_are_those_of_ecma_262() {
    for (pattern, key) in [
        (r"^[a-z&&_]+$", "abc"),
        (r"^[a-z~~_]+$", "a~b"),
        (r"^[[:alpha:]]", ":]x"),
        (r"^\D+$", "٣"),
        (r"^\W+$", "é"),
        (r"^pass\b", "password"),
    ] {
        let marked = json!({"patternProperties": {pattern: secret()}});
        let key = json!({ key: "x" });
        assert_eq!(found(&marked, &key).len(), 1, "{pattern}");
    }
}
