//! Keywords that were meant to mark a secret and do not say so in the one way that every reader understands.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use cloakroom_core::ErrorKind;
use cloakroom_core::config::CompiledSpec;
use serde_json::{Value, json};

/// Every reader would take it for something else. A document that is stored with it is read as it was.
#[test]
fn a_keyword_that_was_meant_to_mark_a_secret_and_is_of_no_kind_it_has_is_refused() {
    let password = || json!("Password");
    for (keyword, value, was_secret) in [
        ("airbyte_secret", json!("true"), true),
        ("airbyte_secret", json!("false"), true),
        ("airbyte_secret", json!("yes"), true),
        ("airbyte_secret", json!(""), true),
        ("airbyte_secret", json!(1), true),
        ("airbyte_secret", json!(0), true),
        ("airbyte_secret", json!([true]), true),
        ("airbyte_secret", json!(["password"]), true),
        ("airbyte_secret", json!({}), true),
        ("format", json!([password()]), false),
        ("format", json!([["date"], [password()]]), false),
        ("format", json!({"type": password()}), false),
    ] {
        let marked = json!({"type": "string", keyword: value});
        for (spec, at, field) in [
            (json!({"properties": {"a": marked}}), "/properties/a", "/a"),
            (
                json!({"properties": {"a": {"items": {"oneOf": [{}, {"$ref": "#/$defs/s"}]}}},
                       "$defs": {"s": marked}}),
                "/properties/a/items/oneOf/1/$ref",
                "/a/*",
            ),
            (
                json!({"connectionSpecification": {"additionalProperties": marked}}),
                "/connectionSpecification/additionalProperties",
                "/*",
            ),
        ] {
            let refused = CompiledSpec::compile(&spec).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");
            let place = format!("{at}/{keyword}");
            assert_eq!(refused.subject(), Some(place.as_str()), "{refused}");
            let stored = CompiledSpec::compile_stored(&spec).unwrap();
            let expected: &[&str] = if was_secret { &[field] } else { &[] };
            assert_eq!(stored.secret_fields(), expected, "{spec}");
        }
    }
    // Nowhere but where a schema is: as the name of a field, in an example, in what no keyword leads to.
    let opaque = || json!({"airbyte_secret": "true", "format": ["password"]});
    for spec in [
        json!({"type": "object", "properties": {"airbyte_secret": {}, "format": {"title": "password"}}}),
        json!({"type": "object", "default": opaque(), "examples": [opaque()], "x-own": opaque()}),
        json!({"type": "object", "enum": [opaque()], "$defs": {"s": opaque()}}),
    ] {
        let compiled = CompiledSpec::compile(&spec).unwrap();
        assert!(compiled.secret_fields().is_empty(), "{spec}");
    }
}

/// Another dialect may read it, and leave no secret in clear that this one would.
#[test]
fn a_mark_under_a_keyword_that_is_not_read_is_refused() {
    let field = || json!({"properties": {"p": {"type": "string", "airbyte_secret": true}}});
    for (keyword, value) in [
        ("extends", field()),
        ("extends", json!([field()])),
        ("disallow", json!([field()])),
        ("switch", json!([{"if": {}, "then": field()}])),
        ("selectCases", json!({"a": field()})),
        (
            "$merge",
            json!({"source": {"$ref": "#/$defs/s"}, "with": {}}),
        ),
        ("propertyNames", json!({"airbyte_secret": true})),
        ("propertyNames", json!({"format": "password"})),
        ("somebodysOwn", json!([[{"$ref": "#/$defs/s"}]])),
    ] {
        let schema = json!({"type": "object", keyword: value, "$defs": {"s": field()}});
        let within = json!({"properties": {"a": {"items": schema}}, "$defs": {"s": field()}});
        for (spec, at) in [(&schema, ""), (&within, "/properties/a/items")] {
            let refused = CompiledSpec::compile(spec).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");
            let place = format!("{at}/{keyword}");
            assert_eq!(refused.subject(), Some(place.as_str()), "{refused}");
            assert!(CompiledSpec::compile_stored(spec).is_ok(), "{spec}");
        }
        // Where no secret is marked, it is in nobody's way.
        let mut plain: Value = json!({"type": "object", "properties": {"a": {}}});
        plain[keyword] = json!({"properties": {"p": {"type": "string"}}});
        assert!(CompiledSpec::compile(&plain).is_ok(), "{plain}");
    }
}
