//! The spec inside a declarative connector's manifest, with what it refers to elsewhere in the
//! manifest written in place.

use anyhow::{Result, bail};
use serde_json::{Map, Value};

/// References followed within references. A manifest that needs more refers to itself.
const DEEPEST: usize = 64;

/// Where a manifest holds its spec.
const SPEC: &str = "/spec";

/// Whether a file is a manifest: read as a schema it would mark nothing secret.
pub(crate) fn is_manifest(file: &Value) -> bool {
    let declarative = file.get("type").and_then(Value::as_str) == Some("DeclarativeSource");
    declarative || file.get("check").is_some() && file.get("streams").is_some()
}

/// The spec, as a spec file would hold it; `None` where the manifest has none.
pub(crate) fn spec(manifest: &Value) -> Result<Option<Value>> {
    let Some(spec) = manifest.pointer(SPEC) else {
        return Ok(None);
    };
    let spec = followed(manifest, spec, 0)?;
    let inside = ["connection_specification", "connectionSpecification"];
    let Some(schema) = inside.iter().find_map(|key| spec.get(key)) else {
        return Ok(None);
    };
    let schema = followed(manifest, schema, 0)?;
    let schema = in_place(manifest, &schema, &schema, 0)?;
    Ok(Some(
        serde_json::json!({ "connectionSpecification": schema }),
    ))
}

/// What `value` stands for where it is a reference into the manifest. Members beside the
/// reference go before those it leads to.
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
    let mut found = followed(manifest, target, depth + 1)?;
    if let (Value::Object(found), Value::Object(beside)) = (&mut found, value) {
        let beside = beside.iter().filter(|(key, _)| *key != "$ref");
        found.extend(beside.map(|(key, value)| (key.clone(), value.clone())));
    }
    Ok(found)
}

/// The schema with every reference that only the manifest can resolve written in place. Those that
/// the schema itself resolves stay: it may refer to itself.
fn in_place(manifest: &Value, schema: &Value, value: &Value, depth: usize) -> Result<Value> {
    if depth > DEEPEST {
        bail!(
            "its schema is nested deeper than {DEEPEST} levels, or refers to itself through the manifest"
        );
    }
    match value {
        Value::Object(members) => {
            if let Some(to) = reference(value)
                && target(schema, to).is_none()
                && target(manifest, to).is_some()
            {
                let found = followed(manifest, value, 0)?;
                return in_place(manifest, schema, &found, depth + 1);
            }
            let members = members.iter().map(|(key, member)| {
                Ok((key.clone(), in_place(manifest, schema, member, depth + 1)?))
            });
            Ok(Value::Object(
                members.collect::<Result<Map<String, Value>>>()?,
            ))
        }
        Value::Array(items) => {
            let items = items
                .iter()
                .map(|item| in_place(manifest, schema, item, depth + 1));
            Ok(Value::Array(items.collect::<Result<_>>()?))
        }
        plain => Ok(plain.clone()),
    }
}

fn reference(value: &Value) -> Option<&str> {
    value.get("$ref")?.as_str()
}

fn target<'v>(within: &'v Value, to: &str) -> Option<&'v Value> {
    within.pointer(to.strip_prefix('#')?)
}
