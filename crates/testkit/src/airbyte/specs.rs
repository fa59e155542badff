//! The spec that the generated connectors have. It marks secrets where Airbyte's own walk goes and
//! where it does not (`additionalProperties` beside `properties`).

use serde_json::{Value, json};

/// Definitions, and versions of each.
pub(super) const DEFINITIONS: u32 = 12;

pub(super) fn spec(definition: u32) -> Value {
    let secret = json!({"type": "string", "airbyte_secret": true});
    let text = json!({"type": "string"});
    json!({
        "documentationUrl": format!("https://docs.example.com/sources/{definition}"),
        "connectionSpecification": {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "title": format!("Generated source {definition}"),
            "type": "object",
            "required": ["host", "database"],
            "properties": {
                "host": text, "port": {"type": "integer"}, "database": text, "username": text,
                "password": secret,
                "jdbc_url_params": text,
                "tunnel": {"type": "object", "oneOf": [
                    {"properties": {"method": {"const": "NONE"}}},
                    {"properties": {"method": {"const": "SSH_KEY"}, "host": text, "key": secret}},
                    {"properties": {"method": {"const": "SSH_PASSWORD"}, "password": secret}}
                ]},
                "credentials": {"type": "object", "properties": {
                    "auth_type": text, "client_id": text, "client_secret": secret
                }},
                "replicas": {"type": "array", "items": {"type": "object", "properties": {
                    "host": text, "token": secret
                }}},
                "headers": {"type": "object", "additionalProperties": secret},
                "streams": {"type": "array", "items": {"type": "object", "properties": {
                    "name": text, "cursor": text, "filter": text,
                    "columns": {"type": "array", "items": text}
                }}}
            }
        }
    })
}
