//! Documents as Airbyte itself writes and reads them, from what is known of it. Shares nothing with the
//! code it is held against.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use uuid::Uuid;

/// What nodes look like: releases and moments differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeShape {
    /// The coordinate alone: older releases.
    Coordinate,
    /// The coordinate and the id of the row: newer ones.
    Both,
    /// The id of the row alone.
    Reference,
    /// On its way to the database: the id of the storage beside the coordinate.
    InFlight,
    /// With a member that no release has had yet.
    Newer,
}

impl NodeShape {
    /// Every shape.
    pub const ALL: [Self; 5] = [
        Self::Coordinate,
        Self::Both,
        Self::Reference,
        Self::InFlight,
        Self::Newer,
    ];

    fn has_row(self) -> bool {
        matches!(self, Self::Both | Self::Reference | Self::Newer)
    }
}

/// A document at rest, the rows about its secrets, and what the secrets manager holds.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// The configuration, with a node in place of each secret.
    pub blob: Value,
    /// `secret_reference`, joined with `secret_config`: id to coordinate.
    pub rows: BTreeMap<Uuid, String>,
    /// Coordinate to text.
    pub manager: BTreeMap<String, String>,
}

/// Writes a document the way Airbyte walks a connector's schema: along `items`, and along
/// `properties` or else along the first composite there is. What is marked secret elsewhere stays in
/// clear. A secret is stored as text; `shapes` are taken in turns.
///
/// # Errors
/// Where Airbyte fails or would lose the value: null, an object or an array at a secret's place.
pub fn write(
    schema: &Value,
    config: &Value,
    shapes: &[NodeShape],
) -> Result<Written, &'static str> {
    let mut writer = Writer {
        shapes,
        written: Written::default(),
    };
    writer.written.blob = writer.visit(schema, config)?;
    Ok(writer.written)
}

/// Whether that walk comes to any secret of the schema.
pub fn finds_secrets(schema: &Value) -> bool {
    if schema.get("airbyte_secret").is_some() {
        return true;
    }
    if let Some(items) = schema.get("items") {
        return finds_secrets(items);
    }
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        return properties.values().any(finds_secrets);
    }
    composite(schema).is_some_and(|alternatives| alternatives.iter().any(finds_secrets))
}

struct Writer<'a> {
    shapes: &'a [NodeShape],
    written: Written,
}

impl Writer<'_> {
    fn visit(&mut self, schema: &Value, value: &Value) -> Result<Value, &'static str> {
        // Its presence counts, whatever it says.
        if schema.get("airbyte_secret").is_some() {
            return Ok(self.put(as_text(value)?));
        }
        if let (Some(items), Value::Array(elements)) = (schema.get("items"), value) {
            return elements
                .iter()
                .map(|element| self.visit(items, element))
                .collect();
        }
        let Value::Object(members) = value else {
            return Ok(value.clone());
        };
        let written = members.iter().map(|(key, member)| {
            let member = match properties_of(schema, key) {
                Some(below) => self.visit(below, member)?,
                None => member.clone(),
            };
            Ok((key.clone(), member))
        });
        let written: Result<Map<_, _>, &'static str> = written.collect();
        written.map(Value::Object)
    }

    fn put(&mut self, text: String) -> Value {
        let index = self.written.manager.len();
        let shape = self.shapes[index % self.shapes.len()];
        let number = index as u128 + 1;
        let coordinate = format!(
            "airbyte_workspace_{}_secret_{}_v1",
            Uuid::from_u128(1),
            Uuid::from_u128(number)
        );
        let reference = Uuid::from_u128(number << 64);
        let mut node = json!({});
        if shape != NodeShape::Reference {
            node["_secret"] = json!(coordinate);
        }
        if shape.has_row() {
            node["_secret_reference_id"] = json!(reference);
            self.written.rows.insert(reference, coordinate.clone());
        }
        match shape {
            NodeShape::InFlight => node["_secret_storage_id"] = json!(Uuid::nil()),
            NodeShape::Newer => node["_secret_checked"] = json!({"at": 7}),
            _ => {}
        }
        self.written.manager.insert(coordinate, text);
        node
    }
}

/// The schema of a member: by `properties`, or else by the first alternative of the first composite
/// that has the key.
fn properties_of<'s>(schema: &'s Value, key: &str) -> Option<&'s Value> {
    if let Some(properties) = schema.get("properties") {
        return properties.get(key);
    }
    let candidates = composite(schema)?.iter();
    let candidates = candidates.filter_map(|it| properties_of(it, key));
    let mut candidates: Vec<&Value> = candidates.collect();
    // A mark in any of them counts.
    candidates.sort_by_key(|it| it.get("airbyte_secret").is_none());
    candidates.first().copied()
}

/// The first composite there is.
fn composite(schema: &Value) -> Option<&Vec<Value>> {
    ["oneOf", "allOf", "anyOf"]
        .iter()
        .find_map(|it| schema.get(*it)?.as_array())
}

fn as_text(value: &Value) -> Result<String, &'static str> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        Value::Null => Err("null at a secret's place"),
        Value::Object(_) | Value::Array(_) => Err("an object or an array at a secret's place"),
    }
}

/// Reads a document the way Airbyte does: the object in place of a secret becomes the text that the
/// manager holds under its coordinate, which the row tells where the object has the row's id.
/// Members it does not know mean nothing to it.
///
/// # Errors
/// The name of what is not there.
pub fn read(
    blob: &Value,
    rows: &BTreeMap<Uuid, String>,
    manager: &BTreeMap<String, String>,
) -> Result<Value, String> {
    match blob {
        Value::Object(members) => {
            let text = |key: &str| members.get(key).and_then(Value::as_str);
            let coordinate = match text("_secret_reference_id") {
                Some(id) => Some(
                    id.parse()
                        .ok()
                        .and_then(|id: Uuid| rows.get(&id))
                        .ok_or(id)?
                        .as_str(),
                ),
                None => text("_secret"),
            };
            if let Some(coordinate) = coordinate {
                return manager
                    .get(coordinate)
                    .map(|value| json!(value))
                    .ok_or_else(|| coordinate.to_owned());
            }
            let members = members
                .iter()
                .map(|(key, member)| Ok((key.clone(), read(member, rows, manager)?)));
            Ok(Value::Object(members.collect::<Result<_, String>>()?))
        }
        Value::Array(items) => items.iter().map(|it| read(it, rows, manager)).collect(),
        other => Ok(other.clone()),
    }
}
