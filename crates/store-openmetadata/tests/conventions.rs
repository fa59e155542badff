//! Where OpenMetadata's own walk over a connection misses a secret, ours does not: a password under
//! `oneOf`, in a list, in a map; and a null field stays null.

use std::collections::BTreeSet;

use cloakroom_core::config::{CompiledSpec, clear_text};
use serde_json::{Value, json};

/// Shaped as connections of its schemas are: a password under a choice of logins, in a list of
/// hosts, and in a map of options.
fn spec() -> CompiledSpec {
    let password = json!({"type": "string", "format": "password"});
    let spec = json!({
        "type": "object",
        "properties": {
            "username": {"type": "string"},
            "authType": {
                "oneOf": [
                    {"$ref": "#/definitions/basic"},
                    {"type": "object", "properties": {"awsConfig": {"$ref": "#/definitions/aws"}}},
                    {"type": "object", "properties": {"privateKey": password}}
                ]
            },
            "hosts": {"type": "array", "items": {"$ref": "#/definitions/basic"}},
            "options": {"type": "object", "additionalProperties": password},
            "token": password
        },
        "definitions": {
            "basic": {"type": "object", "properties": {"name": {"type": "string"}, "password": password}},
            "aws": {"type": "object", "properties": {"awsSecretAccessKey": password}}
        }
    });
    CompiledSpec::compile(&spec).expect("a schema")
}

fn secret_in(connection: &Value) -> BTreeSet<String> {
    let found = clear_text(&spec(), connection).expect("a document");
    found.into_iter().collect()
}

fn pointers(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(|it| (*it).to_owned()).collect()
}

#[test]
fn no_choice_hides_a_password() {
    for (login, pointer) in [
        (json!({"password": "x"}), "/authType/password"),
        (
            json!({"awsConfig": {"awsSecretAccessKey": "x"}}),
            "/authType/awsConfig/awsSecretAccessKey",
        ),
        (json!({"privateKey": "x"}), "/authType/privateKey"),
    ] {
        let connection = json!({"username": "u", "authType": login});
        assert_eq!(secret_in(&connection), pointers(&[pointer]));
    }
}

#[test]
fn lists_and_maps_are_walked() {
    let connection = json!({
        "username": "u",
        "hosts": [{"name": "a", "password": "x"}, {"name": "b"}, {"name": "c", "password": "y"}],
        "options": {"sasl.password": "x", "a/b": "y"}
    });
    let expected = [
        "/hosts/0/password",
        "/hosts/2/password",
        "/options/sasl.password",
        "/options/a~1b",
    ];
    assert_eq!(secret_in(&connection), pointers(&expected));
}

#[test]
fn nothing_is_nothing() {
    let connection = json!({"token": null, "authType": {"password": null}, "options": {"a": ""}});
    assert_eq!(secret_in(&connection), pointers(&[]));
    // The text that older releases wrote for nothing is text to everybody but them.
    assert_eq!(secret_in(&json!({"token": "null"})), pointers(&["/token"]));
}
