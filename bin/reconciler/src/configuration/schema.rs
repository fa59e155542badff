//! The JSON Schema of the configuration, for editors and checks: it takes what the reader takes. What
//! depends on more than one key, and what a cron line or the directives of a log mean, the reader alone
//! can tell.

use schemars::Schema;
use schemars::transform::{RecursiveTransform, Transform};
use serde_json::{Value, json};

use super::Configuration;

/// The schema.
pub fn schema() -> Schema {
    let mut schema = schemars::schema_for!(Configuration);
    schema.insert("title".into(), "Cloakroom reconciler configuration".into());
    RecursiveTransform(as_it_is_read).transform(&mut schema);
    schema
}

/// What a derived schema leaves out.
fn as_it_is_read(schema: &mut Schema) {
    allow_an_empty_section(schema);
    bound(schema);
    if schema.get("format") == Some(&json!("uuid")) {
        schema.insert("pattern".into(), UUID.into());
    }
}

/// A section whose keys are all commented out is nothing, and read as one with no keys.
fn allow_an_empty_section(schema: &mut Schema) {
    let keys = |name| schema.get(name).is_some();
    if schema.get("type") == Some(&json!("object")) && keys("properties") && !keys("required") {
        schema.insert("type".into(), json!(["object", "null"]));
    }
}

/// Numbers end where their types do.
fn bound(schema: &mut Schema) {
    let most = match schema.get("format").and_then(Value::as_str) {
        Some("uint16") => u64::from(u16::MAX),
        Some("uint32") => u64::from(u32::MAX),
        Some("uint" | "uint64") => u64::MAX,
        _ => return,
    };
    if schema.get("maximum").is_none() {
        schema.insert("maximum".into(), most.into());
    }
}

/// In each of the ways to write one.
pub(super) const UUID: &str = "^([0-9a-fA-F]{32}\
     |(urn:uuid:)?[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\
     |\\{[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\\})$";

/// A line of which something is seen, with nothing in it that is not or that turns the text.
pub(super) const SEEN: &str = "^(?=.*\\S)[^\\u0000-\\u001f\\u007f-\\u009f\\u061c\\u180e\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff]*$";

/// A name that a backend or a platform can have.
pub(super) const NAME: &str = "^[a-z0-9-]{1,63}$";

/// An address and a port: of IP version 4, or 6 in brackets.
pub(super) const ADDRESS: &str = "^((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\
     (\\.(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])){3}|\\[[0-9a-fA-F:.]+(%[0-9]+)?\\]):[0-9]{1,5}$";

/// What coordinates can begin with.
pub(super) const PREFIX: &str = "^(?!.*_oauth_$)[A-Za-z0-9_-]{0,63}_$";

/// The jobs' names may be written with underscores too, since a variable's name can have no other; each
/// once.
pub(super) fn with_underscores(schema: &mut Schema) {
    let Some(Value::Object(members)) = schema.get("properties") else {
        return;
    };
    let hyphened: Vec<(String, Value)> = members
        .iter()
        .filter(|(key, _)| key.contains('-'))
        .map(|(key, member)| (key.clone(), member.clone()))
        .collect();
    let mut patterns = serde_json::Map::new();
    let mut never_both = Vec::new();
    for (key, member) in hyphened {
        let other = key.replace('-', "_");
        never_both.push(json!({"not": {"type": "object", "required": [&key, &other]}}));
        patterns.insert(format!("^{other}$"), member);
    }
    schema.insert("patternProperties".into(), patterns.into());
    schema.insert("allOf".into(), never_both.into());
}

#[cfg(test)]
mod tests;
