//! What the generator promises, over the sample specs and a few made to trip it.

use serde_json::{Value, json};

use super::{Dice, Generator, Serial, Source, change_plain, change_secrets, leave_masked};
use crate::demo::seeded::Seeded;

fn sample() -> Value {
    json!({
        "type": "object",
        "required": ["auth", "name"],
        "properties": {
            "name": { "type": "string" },
            "auth": { "oneOf": [
                { "required": ["kind", "token"], "properties": {
                    "kind": { "const": "token" },
                    "token": { "type": "string", "airbyte_secret": true }
                } },
                { "required": ["kind"], "properties": {
                    "kind": { "const": "tunnel" },
                    "hops": { "type": "array", "items": { "anyOf": [
                        { "required": ["key"], "properties": { "key": { "type": "string", "format": "password" } } },
                        { "required": ["pin"], "properties": { "pin": { "type": "integer", "minimum": 3, "maximum": 5 } } }
                    ] } }
                } }
            ] }
        }
    })
}

#[test]
fn every_branch_is_named_and_reached() {
    let seeded = Seeded::new(1);
    let serial = Serial::new();
    let source = Source {
        dice: Dice::new(&seeded),
        serial: &serial,
    };
    let generator = Generator::new(&sample());
    let names: Vec<String> = generator
        .branches()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        names,
        [
            "/properties/auth/oneOf/0",
            "/properties/auth/oneOf/1",
            "/properties/auth/oneOf/1/properties/hops/items/anyOf/0",
            "/properties/auth/oneOf/1/properties/hops/items/anyOf/1",
        ]
    );
    for _ in 0..20 {
        let configs: Vec<Value> = generator
            .branches()
            .iter()
            .map(|branch| generator.on(branch, source))
            .collect();
        assert!(
            configs[0]["auth"]["token"]
                .as_str()
                .unwrap()
                .contains("canary-")
        );
        assert_eq!(configs[1]["auth"]["kind"], "tunnel");
        let hops = |config: &Value| config["auth"]["hops"].as_array().unwrap().clone();
        assert!(hops(&configs[2]).iter().all(|hop| hop["key"].is_string()));
        assert!(
            hops(&configs[3])
                .iter()
                .all(|hop| (3..=5).contains(&hop["pin"].as_i64().unwrap()))
        );
    }
}

#[test]
fn a_schema_that_refers_to_itself_ends() {
    let schema = json!({
        "$defs": { "node": {
            "type": "object",
            "required": ["next", "more"],
            "properties": {
                "next": { "$ref": "#/$defs/node" },
                "more": { "type": "array", "minItems": 2, "items": { "$ref": "#/$defs/node" } },
                "either": { "oneOf": [{ "$ref": "#/$defs/node" }, { "$ref": "#" }] },
                "secret": { "type": "string", "airbyte_secret": true }
            }
        } },
        "allOf": [{ "$ref": "#/$defs/node" }, { "$ref": "#" }]
    });
    let seeded = Seeded::new(1);
    let serial = Serial::new();
    let source = Source {
        dice: Dice::new(&seeded),
        serial: &serial,
    };
    let generator = Generator::new(&schema);
    assert!(!generator.branches().is_empty());
    assert!(generator.any(source)["next"].is_object());
}

#[test]
fn a_whole_object_is_made_where_the_schema_names_no_member() {
    let seeded = Seeded::new(1);
    let serial = Serial::new();
    let source = Source {
        dice: Dice::new(&seeded),
        serial: &serial,
    };
    let schema = json!({ "required": ["key"], "properties": { "key": { "type": "object", "airbyte_secret": true } } });
    let config = Generator::new(&schema).any(source);
    assert_eq!(config["key"]["type"], "service_account");
    assert!(
        config["key"]["private_key"]
            .as_str()
            .unwrap()
            .contains("canary-")
    );
}

/// Whatever would be taken out of a configuration: a format in any case, and a mark that was left empty.
#[test]
fn a_secret_is_made_wherever_one_would_be_taken_out() {
    let seeded = Seeded::new(1);
    let serial = Serial::new();
    for marks in [
        json!({ "airbyte_secret": true }),
        json!({ "airbyte_secret": null }),
        json!({ "format": "password" }),
        json!({ "format": " PassWord" }),
    ] {
        let mut field = marks.clone();
        field["type"] = json!("string");
        let schema = json!({ "required": ["p"], "properties": { "p": field } });
        let source = Source {
            dice: Dice::new(&seeded),
            serial: &serial,
        };
        let config = Generator::new(&schema).any(source);
        let made = config["p"].as_str().unwrap();
        assert!(made.contains("canary-"), "{marks}: {made}");
    }
}

#[test]
fn a_seed_repeats() {
    let make = || {
        let seeded = Seeded::new(5);
        let serial = Serial::new();
        let source = Source {
            dice: Dice::new(&seeded),
            serial: &serial,
        };
        let generator = Generator::new(&sample());
        [generator.any(source), generator.any(source)]
    };
    assert_eq!(make(), make());
}

#[test]
fn edits_change_what_they_say_and_leave_the_rest() {
    let seeded = Seeded::new(5);
    let serial = Serial::new();
    let dice = Dice::new(&seeded);
    let before =
        json!({ "a": "canary-0-x", "b": ["canary-0-y", "plain"], "c": "sample-0", "d": 1 });
    let mut after = before.clone();
    assert_eq!(change_secrets(&mut after, 0, &serial, &dice), 1);
    assert_eq!(change_plain(&mut after, 0, &serial, &dice), 1);
    assert_eq!(after["c"], "sample-2");
    let changed = [("/a", "canary-1-x"), ("/b/0", "canary-1-y")]
        .into_iter()
        .filter(|(pointer, text)| after.pointer(pointer).unwrap() == text)
        .count();
    assert_eq!(changed, 1, "{after}");
    assert_eq!(
        change_secrets(&mut json!({ "d": 1 }), 100, &serial, &dice),
        0
    );
}

#[test]
fn a_form_leaves_masked_what_was_not_touched() {
    let before = json!({ "a": "one", "b": { "c": "two", "d": "three" }, "e": ["four", "five"] });
    let masked = json!({ "a": "***", "b": { "c": "***", "d": "three" }, "e": ["***", "***"] });
    let edited = json!({ "a": "one", "b": { "c": "new", "d": "other" }, "e": ["four", "six"] });
    assert_eq!(
        leave_masked(&masked, &before, &edited),
        json!({ "a": "***", "b": { "c": "new", "d": "other" }, "e": ["***", "six"] })
    );
}
