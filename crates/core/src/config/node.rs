//! Nodes: the objects that stand in a stored document where a secret was.

use serde_json::{Map, Value};

use super::bounds::{self, MAX_STORED_DEPTH};
use super::pointer::Pointer;
use crate::coordinates::Coordinate;
use crate::error::Result;
use crate::secret::ValueKind;

pub(super) const COORDINATE: &str = "_secret";
pub(super) const REFERENCE_ID: &str = "_secret_reference_id";
pub(super) const STORAGE_ID: &str = "_secret_storage_id";
pub(super) const TYPE: &str = "_secret_type";

/// What a text begins with that refers to a secret somebody made in the manager by hand.
pub const EXTERNAL_PREFIX: &str = "secret_coordinate::";

/// The node that stands for a secret: `{"_secret": "<coordinate>"}`, with `"_secret_type": "json"`
/// beside it where the value was not a text.
pub fn node(coordinate: &Coordinate, kind: ValueKind) -> Value {
    let mut members = Map::new();
    members.insert(COORDINATE.to_owned(), coordinate.as_str().into());
    if kind == ValueKind::Json {
        members.insert(TYPE.to_owned(), kind.as_str().into());
    }
    Value::Object(members)
}

/// Every node in a document: its pointer, and its coordinate as written (empty where it holds only
/// a reference id).
pub fn nodes(blob: &Value) -> Result<Vec<(String, String)>> {
    bounds::check("look for nodes", blob, MAX_STORED_DEPTH)?;
    let mut found = Vec::new();
    each(blob, &mut Pointer::default(), &mut |members, pointer| {
        let coordinate = coordinate(members).unwrap_or_default();
        found.push((pointer.to_owned(), coordinate.to_owned()));
        Ok(())
    })?;
    Ok(found)
}

/// Visits every node of a document, none of which is looked into.
pub(super) fn each(
    value: &Value,
    pointer: &mut Pointer,
    visit: &mut impl FnMut(&Map<String, Value>, &str) -> Result<()>,
) -> Result<()> {
    match value {
        Value::Object(members) if is_node(members) => visit(members, pointer.as_str())?,
        Value::Object(members) => {
            for (key, member) in members {
                let length = pointer.push_key(key);
                each(member, pointer, visit)?;
                pointer.pop_to(length);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let length = pointer.push_index(index);
                each(item, pointer, visit)?;
                pointer.pop_to(length);
            }
        }
        _ => {}
    }
    Ok(())
}

/// Whether an object is a node or would be taken for one. One key is enough: what is only nearly a
/// node is masked and refused like one.
pub(super) fn is_node(members: &Map<String, Value>) -> bool {
    let telling = |key: &String| {
        key.starts_with(COORDINATE)
            && matches!(key.as_str(), COORDINATE | REFERENCE_ID | STORAGE_ID)
    };
    members.keys().any(telling)
}

/// Whether a node has members that no node has.
pub(super) fn has_others_beside(members: &Map<String, Value>) -> bool {
    let known =
        |key: &String| matches!(key.as_str(), COORDINATE | REFERENCE_ID | STORAGE_ID | TYPE);
    !members.keys().all(known)
}

/// Whether a node has nothing beside what nodes have, and only texts.
pub(super) fn is_well_formed(members: &Map<String, Value>) -> bool {
    !has_others_beside(members) && members.values().all(Value::is_string)
}

/// The coordinate a node names.
pub(super) fn coordinate(members: &Map<String, Value>) -> Option<&str> {
    members.get(COORDINATE)?.as_str()
}

/// The id of the row that a platform keeps about the secret, as written.
pub(super) fn reference_id(members: &Map<String, Value>) -> Option<&str> {
    members.get(REFERENCE_ID)?.as_str()
}

/// A member of a node that says something: null counts as absent.
pub(super) fn member<'n>(members: &'n Map<String, Value>, key: &str) -> Option<&'n Value> {
    members.get(key).filter(|value| !value.is_null())
}

/// Whether the ids in a node are those of another: a node is not ours because of one of them.
pub(super) fn has_ids_of(
    members: &Map<String, Value>,
    stored: Option<&Map<String, Value>>,
) -> bool {
    [REFERENCE_ID, STORAGE_ID]
        .iter()
        .all(|key| match members.get(*key) {
            None => true,
            given => given == stored.and_then(|stored| stored.get(*key)),
        })
}

/// Whether a node says nothing beside its coordinate and type that the stored one does not say too.
pub(super) fn is_part_of(members: &Map<String, Value>, stored: &Map<String, Value>) -> bool {
    members.iter().all(|(key, value)| {
        stored.get(key) == Some(value)
            || matches!(key.as_str(), COORDINATE | TYPE) && value.is_string()
    })
}

/// Whether a node has members that [`node`] does not write.
pub(super) fn is_foreign(members: &Map<String, Value>) -> bool {
    let own = |key: &String| matches!(key.as_str(), COORDINATE | TYPE);
    !members.keys().all(own)
}

/// The name in a text that refers to an external secret.
pub(super) fn external_name(text: &str) -> Option<&str> {
    text.strip_prefix(EXTERNAL_PREFIX)
}
