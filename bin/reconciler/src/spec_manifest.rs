//! The spec inside a declarative connector's manifest, with what it refers to elsewhere in the
//! manifest written in place.

use anyhow::{Context as _, Result, bail};
use cloakroom_core::config::marks::CONNECTION;
use serde_json::{Map, Value};

#[path = "spec_overlay.rs"]
mod overlay;

/// References followed within references. A manifest that needs more refers to itself.
const DEEPEST: usize = 64;

/// What is written in place of references: a value counts one, and a text or a key as many as it has bytes.
/// A reference that stands in many places, and holds others that do, can stand for far more than its text.
const MOST: usize = 4 * 1024 * 1024;

/// Where a manifest holds its spec.
const SPEC: &str = "/spec";

/// Whether a file is a manifest: read as a schema it would mark nothing secret.
pub(crate) fn is_manifest(file: &Value) -> bool {
    let declarative = file.get("type").and_then(Value::as_str) == Some("DeclarativeSource");
    let parts = file.get("check").is_some() && file.get("streams").is_some();
    let message = file.get("type").and_then(Value::as_str) == Some("SPEC");
    let spec = file.pointer(SPEC);
    let within = spec.is_some_and(|spec| holds_a_schema(spec) || reference(spec).is_some());
    declarative || parts || within && !message
}

fn holds_a_schema(spec: &Value) -> bool {
    CONNECTION.iter().any(|key| spec.get(key).is_some())
}

/// The spec, as a spec file would hold it; `None` where the manifest has none.
pub(crate) fn spec(manifest: &Value) -> Result<Option<Value>> {
    let Some(spec) = manifest.pointer(SPEC) else {
        return Ok(None);
    };
    if holds_a_schema(manifest) {
        bail!("it holds a schema beside the spec in it, and one of the two would be ignored");
    }
    let spec = followed(manifest, spec, 0)?;
    let mut schemas = CONNECTION.iter().filter_map(|key| spec.get(key));
    let Some(schema) = schemas.next() else {
        return Ok(None);
    };
    if schemas.next().is_some() {
        bail!("the spec in its manifest holds two schemas, and one would be ignored");
    }
    let schema = followed(manifest, schema, 0)?;
    let mut left = MOST;
    let schema = in_place(manifest, &schema, &schema, 0, &mut left)?;
    Ok(Some(
        serde_json::json!({ "connectionSpecification": schema }),
    ))
}

/// What `value` stands for where it is a reference into the manifest. Members beside the reference go
/// before those it leads to, as with Airbyte, but take no mark away.
fn followed(manifest: &Value, value: &Value, depth: usize) -> Result<Value> {
    let Some(to) = reference(value) else {
        return Ok(value.clone());
    };
    if depth > DEEPEST {
        bail!("the reference {to} in its manifest leads back to itself");
    }
    let Some(target) = target(manifest, to) else {
        bail!("the reference {to} in its manifest leads nowhere")
    };
    let found = followed(manifest, target, depth + 1)?;
    let Value::Object(mut beside) = value.clone() else {
        return Ok(found);
    };
    beside.remove("$ref");
    overlay::laid_over(found, beside)
        .with_context(|| format!("beside the reference {to} in its manifest"))
}

/// The schema with every reference that only the manifest can resolve written in place. Those that
/// the schema itself resolves stay: it may refer to itself.
fn in_place(
    manifest: &Value,
    schema: &Value,
    value: &Value,
    depth: usize,
    left: &mut usize,
) -> Result<Value> {
    let size = match value {
        Value::String(text) => text.len(),
        Value::Object(members) => members.keys().map(String::len).sum(),
        _ => 0,
    };
    *left = left
        .checked_sub(size.saturating_add(1))
        .context("the references in its manifest stand for too much")?;
    if depth > DEEPEST {
        bail!(
            "its schema is nested deeper than {DEEPEST} levels, or refers to itself through the manifest"
        );
    }
    if let Some(to) = reference(value)
        && let Some(leads_to) = target(manifest, to)
    {
        let Some(own) = target(schema, to) else {
            let found = followed(manifest, value, 0)?;
            return in_place(manifest, schema, &found, depth + 1, left);
        };
        if own != leads_to {
            bail!(
                "the reference {to} leads to two schemas, one in its schema and one in the manifest around"
            );
        }
    }
    match value {
        Value::Object(members) => {
            let members = members.iter().map(|(key, member)| {
                let member = match key.as_str() {
                    "$ref" => member.clone(),
                    _ => in_place(manifest, schema, member, depth + 1, left)?,
                };
                Ok((key.clone(), member))
            });
            Ok(Value::Object(
                members.collect::<Result<Map<String, Value>>>()?,
            ))
        }
        Value::Array(items) => {
            let items = items
                .iter()
                .map(|item| in_place(manifest, schema, item, depth + 1, left));
            Ok(Value::Array(items.collect::<Result<_>>()?))
        }
        plain => Ok(plain.clone()),
    }
}

/// Where a value refers to; a text that begins so is a reference too, as with Airbyte.
fn reference(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => text.starts_with("#/").then_some(text),
        _ => value.get("$ref")?.as_str(),
    }
}

fn target<'v>(within: &'v Value, to: &str) -> Option<&'v Value> {
    within.pointer(to.strip_prefix('#')?)
}

#[cfg(test)]
mod tests {
    use cloakroom_core::config::CompiledSpec;
    use serde_json::json;

    use super::*;

    fn fields(mut manifest: Value, schema: &Value) -> Result<Vec<String>> {
        manifest["spec"] = json!({"connection_specification": schema});
        let spec = spec(&manifest)?.context("no spec")?;
        Ok(CompiledSpec::compile(&spec)?.secret_fields())
    }

    #[test]
    fn members_beside_a_reference_take_no_mark_away() {
        let manifest = || {
            json!({"definitions": {
                "key": {"type": "string", "airbyte_secret": true},
                "password": {"type": "string", "format": "password"},
                "login": {"type": "object", "properties": {
                    "user": {"type": "string"}, "key": {"$ref": "#/definitions/key"},
                }},
                "fields": {"key": {"$ref": "#/definitions/key"}},
            }})
        };
        let to = |name: &str, mut beside: Value| {
            beside["$ref"] = json!(format!("#/definitions/{name}"));
            beside
        };
        for (schema, expected) in [
            (to("key", json!({"airbyte_secret": false})), "/p"),
            (to("password", json!({"format": "uri"})), "/p"),
            (
                to(
                    "login",
                    json!({"properties": {"key": {"airbyte_secret": false}}}),
                ),
                "/p/key",
            ),
            (to("login", json!({"properties": {"other": {}}})), "/p/key"),
            (
                to("key", json!({"type": "object", "properties": {"a": {}}})),
                "/p",
            ),
            (
                json!({"properties": to("fields", json!({"a": {}}))}),
                "/p/key",
            ),
            (json!({"properties": "#/definitions/fields"}), "/p/key"),
            (json!("#/definitions/key"), "/p"),
        ] {
            let schema = json!({"type": "object", "properties": {"p": schema}});
            assert_eq!(fields(manifest(), &schema).unwrap(), [expected], "{schema}");
        }
        let lost = json!({"properties": {"p": to("login", json!({"properties": {"key": true}}))}});
        let refused = format!("{:#}", fields(manifest(), &lost).unwrap_err());
        for part in [
            "#/definitions/login",
            "\"properties\"",
            "\"key\"",
            "would be lost",
        ] {
            assert!(refused.contains(part), "{refused}");
        }
    }

    #[test]
    fn a_reference_that_leads_to_two_schemas_is_refused() {
        let schema =
            json!({"properties": {"p": {"$ref": "#/definitions/p"}}, "definitions": {"p": {}}});
        let marked = json!({"definitions": {"p": {"airbyte_secret": true}}});
        let refused = fields(marked, &schema).unwrap_err().to_string();
        assert!(refused.contains("two schemas"), "{refused}");
        assert!(
            fields(json!({"definitions": {"p": {}}}), &schema)
                .unwrap()
                .is_empty()
        );
        assert!(fields(json!({}), &schema).unwrap().is_empty());
    }
}
