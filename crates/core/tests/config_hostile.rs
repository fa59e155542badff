//! Input made to exhaust the stack, the memory or the time.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod config_support;

use cloakroom_core::config::{
    CompiledSpec, MAX_DEPTH, Options, Previous, Revealed, clear_text, hydrate, mask, nodes,
    parse_document, update,
};
use cloakroom_core::{ErrorKind, SecretJson, SecretValue, ValueKind};
use config_support::{DOCUMENT, Document, compile, ring};
use serde_json::{Value, json};

/// Far deeper than any stack: it cannot even be dropped except as [`SecretJson`].
fn deep() -> SecretJson {
    nested(100_000, |value| Value::Array(vec![value]))
}

/// (`json!` would copy what it is given.)
fn nested(levels: usize, around: impl Fn(Value) -> Value) -> SecretJson {
    let mut value = json!("innermost");
    for level in 0..levels {
        value = if level % 2 == 0 {
            around(value)
        } else {
            member("k", value)
        };
    }
    SecretJson::new(value)
}

fn member(key: &str, value: Value) -> Value {
    Value::Object([(key.to_owned(), value)].into_iter().collect())
}

#[test]
fn deep_documents_are_errors() {
    let spec = compile(&json!({"items": {"$ref": "#"}, "additionalProperties": {"$ref": "#"}}));
    let keys = ring(&[7]);
    let options = Options::default();
    let error = update(&spec, deep(), None, &keys, DOCUMENT, &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("nested deeper"), "{error}");
    let document = deep();
    let previous = Previous {
        blob: document.expose(),
        held: &[],
        spec: None,
    };
    update(
        &spec,
        json!({}).into(),
        Some(previous),
        &keys,
        DOCUMENT,
        &options,
    )
    .unwrap_err();
    mask(&spec, deep().into_exposed(), []).unwrap_err();
    hydrate(deep().into_exposed(), []).unwrap_err();
    clear_text(&spec, document.expose()).unwrap_err();
    nodes(document.expose()).unwrap_err();
    CompiledSpec::compile(document.expose()).unwrap_err();
    for text in ["[".repeat(10_000), "{\"a\":".repeat(10_000)] {
        parse_document(text.as_bytes()).unwrap_err();
        let text = SecretValue::from(text);
        let revealed = Revealed {
            pointer: "/a".to_owned(),
            kind: ValueKind::Json,
            value: text,
        };
        let error = hydrate(json!({"a": {"_secret": "airbyte_x_v1"}}), [revealed]).unwrap_err();
        assert_eq!(
            (error.kind(), error.subject()),
            (ErrorKind::Corrupt, Some("/a"))
        );
    }
}

#[test]
fn the_deepest_document_can_be_stored_and_read_back() {
    let spec = compile(&json!({
        "items": {"$ref": "#"}, "properties": {"k": {"$ref": "#"}, "s": {"airbyte_secret": true}}
    }));
    let mut value = json!({"s": "innermost-secret"});
    for level in 1..MAX_DEPTH {
        value = if level % 2 == 0 {
            json!([value])
        } else {
            json!({"k": value})
        };
    }
    let mut document = Document::default();
    document.put(&spec, value.clone()).unwrap();
    let text = document.blob.to_string();
    document.blob = parse_document(text.as_bytes()).unwrap().into_exposed();
    assert_eq!(document.hydrated(), value);
    let said = document.put(&spec, document.masked(&spec)).unwrap();
    assert!(said.values().all(|it| it == "kept"));
    document.put(&spec, json!({"k": value})).unwrap_err();
}

#[test]
fn a_deep_schema_is_an_error() {
    let schema = nested(10_000, |value| member("items", value));
    assert!(CompiledSpec::compile(schema.expose()).is_err());
}

#[test]
fn alternatives_nested_in_alternatives_compile() {
    // 2^40 ways to apply it, all to the same few places.
    let mut defs = json!({"s0": {"properties": {"p": {"airbyte_secret": true}}}});
    for level in 1..=40 {
        let below = json!({"$ref": format!("#/$defs/s{}", level - 1)});
        defs[format!("s{level}")] = json!({
            "oneOf": [below, {"properties": {"a": below}}, {"allOf": [below, {"items": below}]}]
        });
    }
    let spec = compile(&json!({"$ref": "#/$defs/s40", "$defs": defs}));
    assert_eq!(
        clear_text(&spec, &json!({"a": {"p": "x"}, "b": {"p": "x"}})).unwrap(),
        ["/a/p"]
    );
}

#[test]
fn a_schema_whose_alternatives_multiply_is_an_error() {
    // "The 40th key from the end was a": any deterministic plan needs 2^40 states.
    let reference = |level: usize| json!({"$ref": format!("#/$defs/s{level}")});
    let mut defs = json!({
        "s0": {"properties": {"a": {"anyOf": [reference(0), reference(1)]}, "b": reference(0)}},
        "s40": {"airbyte_secret": true}
    });
    for level in 1..40 {
        let below = reference(level + 1);
        defs[format!("s{level}")] = json!({"properties": {"a": below, "b": below}});
    }
    let error = CompiledSpec::compile(&json!({"$ref": "#/$defs/s0", "$defs": defs})).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("too complex"), "{error}");
}

#[test]
fn a_pattern_that_takes_too_long_counts_as_matched() {
    let spec =
        compile(&json!({"patternProperties": {r"^(a|a|aa)+\1(?=b)$": {"airbyte_secret": true}}}));
    let key = "a".repeat(200);
    let document = json!({ key.as_str(): "value" });
    assert_eq!(clear_text(&spec, &document).unwrap().len(), 1);
    // And as not matched, where that makes it a secret.
    let spec = compile(&json!({
        "patternProperties": {r"^(a|a|aa)+\1(?=b)$": {}}, "additionalProperties": {"airbyte_secret": true}
    }));
    assert_eq!(clear_text(&spec, &document).unwrap().len(), 1);
}

#[test]
fn very_many_patterns_end_in_a_secret_rather_than_in_much_work() {
    let patterns: serde_json::Map<_, _> = (0..200)
        .map(|index| {
            let inner = json!({"properties": {format!("p{index}"): {"airbyte_secret": true}}});
            (format!("^[a-z]{{1,{}}}$", index + 1), inner)
        })
        .collect();
    let spec = compile(&json!({"patternProperties": patterns}));
    assert_eq!(
        clear_text(&spec, &json!({"key": {"p150": "x"}})).unwrap(),
        ["/key"]
    );
}

/// A spec with so many patterns, each for secrets, and a document with so many keys that none matches.
fn patterns_and_keys(patterns: usize, pattern: &str, keys: usize) -> (CompiledSpec, Value) {
    let patterns: serde_json::Map<_, _> = (0..patterns)
        .map(|index| {
            (
                format!("{pattern}a{index}$"),
                json!({"airbyte_secret": true}),
            )
        })
        .collect();
    let keys: serde_json::Map<_, _> = (0..keys).map(|at| (format!("k{at}"), json!(0))).collect();
    (
        compile(&json!({"patternProperties": patterns})),
        keys.into(),
    )
}

/// Counted before anything is tried, so that this test ends at once where 51 million tries would not.
#[test]
fn keys_times_patterns_is_bounded() {
    let keys = ring(&[7]);
    for (patterns, pattern, many, few) in [
        (800, "^x", 64_000, 100),
        (1, r"^(a|a|aa)+\1", 64_000, 1_000),
        (10, "^x", 300_000, 5_000),
    ] {
        let (spec, document) = patterns_and_keys(patterns, pattern, many);
        let put = update(
            &spec,
            document.clone().into(),
            None,
            &keys,
            DOCUMENT,
            &Options::default(),
        );
        let errors = [
            put.unwrap_err(),
            clear_text(&spec, &document).unwrap_err(),
            mask(&spec, document, []).unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
            let told = format!("{many} keys, and the spec {patterns} patterns");
            assert!(error.message().contains(&told), "{error}");
        }
        let (spec, document) = patterns_and_keys(patterns, pattern, few);
        assert_eq!(clear_text(&spec, &document).unwrap(), [""; 0], "{patterns}");
    }
}

/// Patterns under which nothing is secret are not tried and do not count.
#[test]
fn patterns_that_lead_nowhere_cost_nothing() {
    let patterns: serde_json::Map<_, _> = (0..800)
        .map(|index| (format!("^x{index}$"), json!({"type": "string"})))
        .collect();
    let spec = compile(&json!({
        "patternProperties": patterns, "properties": {"p": {"airbyte_secret": true}}
    }));
    let (_, document) = patterns_and_keys(0, "", 64_000);
    assert_eq!(clear_text(&spec, &document).unwrap(), [""; 0]);
}

#[test]
fn keys_that_would_be_read_back_as_a_number_are_refused() {
    let spec = compile(&json!({"properties": {"a": {"airbyte_secret": true}}}));
    let mut document = Document::default();
    for key in [
        "$serde_json::private::Number",
        "$serde_json::private::RawValue",
    ] {
        for (config, pointer) in [
            (json!({"a": {key: "12345"}}), "/a"),
            (json!({"b": [1, {"c": {key: "12345"}}]}), "/b/1/c"),
        ] {
            let error = document.put(&spec, config).unwrap_err();
            assert_eq!(error.subject(), Some(pointer), "{error}");
        }
    }
}

#[test]
fn hydrating_what_does_not_fit_is_corrupt_and_silent() {
    let blob = json!({"a": {"_secret": "airbyte_x_v1"}, "b": "plain", "t": [{}]});
    let reveal = |pointer: &str, kind, value: &[u8]| {
        let value = SecretValue::new(value.to_vec());
        hydrate(
            blob.clone(),
            [Revealed {
                pointer: pointer.to_owned(),
                kind,
                value,
            }],
        )
    };
    for (pointer, kind, value) in [
        ("/b", ValueKind::Text, &b"canary"[..]),
        ("/none", ValueKind::Text, b"canary"),
        ("/t/0", ValueKind::Text, b"canary"),
        ("/t/00", ValueKind::Text, b"canary"),
        ("a", ValueKind::Text, b"canary"),
        ("/a", ValueKind::Text, b"canary\xff"),
        ("/a", ValueKind::Json, b"{\"canary\": }"),
        (
            "/a",
            ValueKind::Json,
            b"{\"$serde_json::private::Number\": \"canary\"}",
        ),
    ] {
        let error = reveal(pointer, kind, value).unwrap_err();
        assert_eq!(
            (error.kind(), error.subject()),
            (ErrorKind::Corrupt, Some(pointer))
        );
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
    let hydrated = reveal("/a", ValueKind::Text, b"value").unwrap();
    assert_eq!(hydrated.expose()["a"], "value");
}

/// A pointer repeats every key above it: a few long keys over many places would take gigabytes.
#[test]
fn long_keys_over_many_places_are_an_error() {
    let key = "k".repeat(100_000);
    let items: Vec<Value> = (0..2_000).map(|n| json!(format!("v{n}"))).collect();
    let spec = compile(&json!({"additionalProperties": {"items": {"airbyte_secret": true}}}));
    let refused = update(
        &spec,
        SecretJson::new(json!({ key.clone(): items })),
        None,
        &ring(&[7]),
        "document",
        &Options::default(),
    );
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);

    let members: serde_json::Map<String, Value> =
        (0..2_000).map(|n| (format!("m{n}"), json!({}))).collect();
    let hostile = json!({"properties": {key: {"properties": members}}});
    let error = CompiledSpec::compile(&hostile).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().len() < 1_000);
}

/// Each of so many references that may mean each of so many schemas: counted, not listed.
#[test]
fn references_times_what_they_may_mean_is_bounded() {
    let named = |name: &str, count: usize| {
        let schemas = vec![json!({ name: "x" }); count];
        let reference = if name == "$id" { "x" } else { "#x" };
        let references = vec![json!({"$ref": reference}); count];
        json!({"$defs": {"all": {"items": schemas}}, "allOf": references})
    };
    for name in ["$anchor", "$dynamicAnchor", "$id"] {
        let error = CompiledSpec::compile(&named(name, 1_000)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.message().contains("too many schemas"), "{error}");
        compile(&named(name, 100));
    }
}
