//! The keywords by which a JSON Schema says that something is secret, for whoever reads or rewrites one.

use serde_json::{Map, Value};

/// The keyword that marks a secret.
pub const MARK: &str = "airbyte_secret";

/// Lists of schemas for the same place, each of which may be the one that marks it.
pub const COMPOSITES: [&str; 3] = ["allOf", "anyOf", "oneOf"];

/// The keys under which a connector's spec file holds its schema.
pub const CONNECTION: [&str; 2] = ["connectionSpecification", "connection_specification"];

/// Whether a schema says of its own place that it is secret, by its mark or its `format`.
pub fn is_marked(schema: &Map<String, Value>) -> bool {
    let marked = schema.get(MARK).is_some_and(|mark| !is_no_mark(mark));
    marked || schema.get("format").is_some_and(is_password)
}

/// Whether a `format` marks a secret. In any case: what was meant is plain, and the other way it would stay in
/// clear.
pub fn is_password(format: &Value) -> bool {
    let text = format.as_str();
    text.is_some_and(|text| text.trim().eq_ignore_ascii_case("password"))
}

/// Whether this under [`MARK`] marks nothing: a mark left empty counts.
pub fn is_no_mark(mark: &Value) -> bool {
    *mark == Value::Bool(false)
}
