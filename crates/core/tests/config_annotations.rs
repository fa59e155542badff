//! Annotations: what somebody else's tools put into a schema beside its keywords.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod config_support;

use config_support::compile;
use proptest::prelude::*;
use serde_json::{Value, json};

fn spec() -> Value {
    let secret = || json!({"type": "string", "airbyte_secret": true});
    json!({
        "type": "object",
        "properties": {
            "host": {"type": "string"},
            "password": secret(),
            "hosts": {"items": {"properties": {"name": {}, "key": {"format": "password"}}}},
            "either": {"oneOf": [
                {"properties": {"kind": {"const": "a"}, "token": secret()}},
                {"allOf": [{"properties": {"pair": {"prefixItems": [{}, secret()]}}}]}
            ]},
            "led_to": {"$ref": "#/$defs/login"},
            "any": {"patternProperties": {"^x": {"additionalProperties": secret()}}}
        },
        "$defs": {"login": {"type": "object", "properties": {"user": {}, "secret": secret()}}}
    })
}

/// Keys of somebody's own, many as near to a keyword as a misspelling is.
fn annotation_keys() -> impl Strategy<Value = String> {
    let near = prop::sample::select(vec![
        "properties",
        "patternProperties",
        "additionalProperties",
        "items",
        "oneOf",
        "allOf",
        "not",
        "then",
        "$ref",
        "format",
        "type",
        "$defs",
        "definitions",
        "required",
        "enum",
    ]);
    let changed = (near, 0..5_u8).prop_map(|(keyword, how)| match how {
        0 => format!("_{keyword}"),
        1 => format!("@{keyword}"),
        2 => keyword.to_uppercase(),
        3 => format!("{keyword}_"),
        _ => keyword.chars().skip(1).collect(),
    });
    let own = prop::sample::select(vec![
        "title",
        "order",
        "href",
        "property",
        "props",
        "x-hint",
        "airbyte_hidden",
        "",
    ]);
    prop_oneof![3 => changed, 1 => own.prop_map(str::to_owned), 1 => "[a-z_$]{0,12}"]
}

/// A `$` and the letters of `$ref` in any case: a reference that is misspelt is refused wherever it leads.
fn is_meant_as_a_reference(key: &str) -> bool {
    let letters = key.chars().filter(char::is_ascii_alphabetic);
    key.starts_with('$') && letters.collect::<String>().eq_ignore_ascii_case("ref")
}

/// Anything that holds no mark, and no reference to one.
fn annotations() -> impl Strategy<Value = Value> {
    let texts = prop::sample::select(vec![
        "",
        "text",
        "object",
        "a.b",
        "https://x/#y",
        "passwords",
    ]);
    let leaf = prop_oneof![
        texts.prop_map(Value::from),
        (0..9_i32).prop_map(Value::from),
        Just(Value::Bool(false)),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let keys = prop::sample::select(vec!["a", "properties", "items", "type", "title", "enum"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(keys.prop_map(str::to_owned), inner, 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Puts a member into every schema within a schema.
fn annotate(schema: &mut Value, key: &str, value: &Value) {
    let Value::Object(members) = schema else {
        return;
    };
    for (keyword, below) in members.iter_mut() {
        match keyword.as_str() {
            "properties" | "patternProperties" | "$defs" => {
                for it in below.as_object_mut().unwrap().values_mut() {
                    annotate(it, key, value);
                }
            }
            "oneOf" | "allOf" | "prefixItems" => {
                for it in below.as_array_mut().unwrap() {
                    annotate(it, key, value);
                }
            }
            "items" | "additionalProperties" => annotate(below, key, value),
            _ => {}
        }
    }
    members.entry(key).or_insert_with(|| value.clone());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// What no keyword says, and nothing in it marks, says nothing.
    #[test]
    fn an_annotation_changes_nothing(key in annotation_keys(), value in annotations()) {
        const KEYWORDS: [&str; 4] = ["not", "id", "if", "type"];
        prop_assume!(!KEYWORDS.contains(&key.as_str()));
        prop_assume!(!is_meant_as_a_reference(&key));
        let fields = compile(&spec()).secret_fields();
        prop_assert_eq!(fields.len(), 6);
        let mut annotated = spec();
        annotate(&mut annotated, &key, &value);
        prop_assert_eq!(compile(&annotated).secret_fields(), fields);
    }
}
