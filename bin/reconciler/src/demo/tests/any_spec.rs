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
