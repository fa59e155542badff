//! The demo holds for any spec with a secret in it, whatever the seed.

use serde_json::{Value, json};

use super::Cleaned;
use crate::demo::connector::Connector;

/// Specs with few secrets in a document: there the least of edits weighs most.
fn specs() -> [(&'static str, Value); 5] {
    let secret = json!({"type": "string", "airbyte_secret": true});
    let fields = |number: usize| {
        let mut properties = json!({"host": {"type": "string"}});
        let mut required = vec!["host".to_owned()];
        for at in 0..number {
            properties[format!("secret_{at}")] = secret.clone();
            required.push(format!("secret_{at}"));
        }
        json!({"type": "object", "properties": properties, "required": required})
    };
    let may_be_left_out =
        json!({"type": "object", "properties": {"token": secret, "host": {"type": "string"}}});
    let in_a_list = json!({"type": "object", "required": ["users"], "properties": {"users": {
        "type": "array", "minItems": 1, "maxItems": 3, "items": {
            "type": "object", "required": ["password"], "properties": {"password": secret},
        },
    }}});
    [
        ("one secret", fields(1)),
        ("two secrets", fields(2)),
        ("three secrets", fields(3)),
        ("one that may be left out", may_be_left_out),
        ("a list of secrets", in_a_list),
    ]
}

#[tokio::test]
async fn with_few_secrets_nothing_comes_past_the_guards() {
    for (name, spec) in specs() {
        let connectors = [Connector::new(name, &spec).unwrap()];
        for (seed, documents) in [(2, 150), (3, 75), (5, 200), (6, 30), (7, 1)] {
            let verdict = Cleaned::of(&connectors, seed, documents)
                .await
                .verdict()
                .await;
            assert!(
                verdict.holds(),
                "{name}, seed {seed}, {documents} documents: {:?}",
                verdict.problems
            );
        }
    }
}

/// Specs that no connector should have and some have all the same.
fn odd_specs() -> Vec<(&'static str, Value)> {
    let secret = json!({"type": "string", "airbyte_secret": true});
    let of = |properties: Value| json!({"type": "object", "properties": properties});
    let required = |properties: Value| {
        let names: Vec<&String> = properties.as_object().unwrap().keys().collect();
        json!({"type": "object", "required": names, "properties": properties})
    };
    let deep = (0..100).fold(
        required(json!({"token": secret})),
        |within, _| json!({"allOf": [within]}),
    );
    let list = |items: &Value| json!({"type": "array", "minItems": 1, "items": items});
    let users =
        required(json!({"password": secret, "keys": list(&secret), "host": {"type": "string"}}));
    vec![
        (
            "a text that is secret",
            json!({"type": "string", "airbyte_secret": true}),
        ),
        (
            "an object that is secret",
            json!({"type": "object", "airbyte_secret": true,
            "properties": {"host": {"type": "string"}, "key": secret}}),
        ),
        (
            "an object of anything that is secret",
            json!({"type": "object", "airbyte_secret": true}),
        ),
        (
            "a list that is secret",
            json!({"type": "array", "airbyte_secret": true, "items": {"type": "string"}}),
        ),
        (
            "a secret called _secret",
            required(json!({"_secret": secret, "host": {"type": "string"}})),
        ),
        (
            "a plain _secret",
            required(json!({"_secret": {"type": "string"}, "token": secret})),
        ),
        (
            "a _secret with more",
            required(json!({"auth": required(json!({"_secret": secret, "token": secret}))})),
        ),
        (
            "a const like a coordinate",
            required(json!({"kind": {"const": "secret_coordinate::x"}, "token": secret})),
        ),
        (
            "a secret const like a coordinate",
            required(json!({
            "kind": {"type": "string", "airbyte_secret": true, "const": "secret_coordinate::x"}, "token": secret})),
        ),
        (
            "a default like a coordinate",
            required(json!({
            "kind": {"type": "string", "default": "secret_coordinate::x"}, "token": secret})),
        ),
        (
            "a secret default like a coordinate",
            required(json!({
            "kind": {"type": "string", "airbyte_secret": true, "default": "secret_coordinate::x"}})),
        ),
        (
            "an example like a coordinate",
            required(json!({"kind": {"type": "string",
            "examples": ["secret_coordinate::x", "airbyte_workspace_x_secret_y_v1"]}, "token": secret})),
        ),
        (
            "a const like a mask",
            required(json!({"kind": {"const": "**********"}, "token": secret})),
        ),
        (
            "a secret const like a mask",
            required(json!({
            "kind": {"const": "**********", "airbyte_secret": true}, "token": secret})),
        ),
        (
            "a secret choice",
            required(json!({"kind": {"enum": ["a", "b"], "airbyte_secret": true}})),
        ),
        (
            "a secret that is always the same",
            required(json!({"kind": {"const": "a", "airbyte_secret": true}})),
        ),
        (
            "lists of objects with lists",
            required(json!({"users": list(&users)})),
        ),
        (
            "lists of lists",
            required(json!({"users": list(&list(&users))})),
        ),
        ("allOf within allOf", deep),
        ("no properties", json!({"type": "object"})),
        ("nothing said", json!({})),
        (
            "anything",
            json!({"type": "object", "additionalProperties": true}),
        ),
        ("no secret", of(json!({"host": {"type": "string"}}))),
        ("a list at the root", list(&secret)),
        ("a text at the root", json!({"type": "string"})),
        (
            "a secret number",
            required(json!({"pin": {"type": "integer", "airbyte_secret": true}})),
        ),
        (
            "a secret yes or no",
            required(json!({"yes": {"type": "boolean", "airbyte_secret": true}})),
        ),
        (
            "a secret nothing",
            required(json!({"no": {"type": "null", "airbyte_secret": true}})),
        ),
        (
            "numbers for names",
            required(json!({"0": secret, "1": secret})),
        ),
        (
            "an empty name",
            required(json!({"": secret, "host": {"type": "string"}})),
        ),
        (
            "odd names",
            required(json!({"a/b~c": secret, "..": secret, "__proto__": secret})),
        ),
    ]
}

#[tokio::test]
async fn with_an_odd_spec_it_holds_or_leaves_it_out() {
    let mut left_out = Vec::new();
    for (name, spec) in odd_specs() {
        let Ok(connector) = Connector::tried(name, &spec) else {
            left_out.push(name);
            continue;
        };
        for (seed, documents) in [(2, 60), (7, 3)] {
            let cleaned = Cleaned::of(std::slice::from_ref(&connector), seed, documents).await;
            let verdict = cleaned.verdict().await;
            assert!(
                verdict.holds(),
                "{name}, seed {seed}: {:?}",
                verdict.problems
            );
        }
    }
    // What a document cannot be, whatever is made for it.
    let refused = [
        "a secret called _secret",
        "a plain _secret",
        "a _secret with more",
        "a const like a coordinate",
        "a secret const like a coordinate",
        "a default like a coordinate",
        "an example like a coordinate",
        "a secret const like a mask",
        "allOf within allOf",
    ];
    assert_eq!(left_out, refused);
}
