//! Nodes in a document: the objects that stand where a secret was.

use cloakroom_core::config::push_escaped;
use serde_json::{Map, Value};
use uuid::Uuid;

/// A node: what it names, and which row it says that is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) pointer: String,
    pub(crate) name: Option<String>,
    pub(crate) reference: Option<Reference>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    To(Uuid),
    /// What stands there is no id.
    Garbled,
}

/// What every node's text has in it.
pub(crate) const SIGN: &[u8] = b"_secret";

const NAME: &str = "_secret";
const REFERENCE: &str = "_secret_reference_id";
/// What a node may have.
pub(crate) const MEMBERS: [&str; 3] = [NAME, REFERENCE, "_secret_storage_id"];

/// Whether it has anything that only nodes have.
pub(crate) fn is_like_a_node(members: &Map<String, Value>) -> bool {
    MEMBERS.iter().any(|it| members.contains_key(*it))
}

/// Every node in a document; nodes in nodes too.
pub(crate) fn nodes(document: &Value) -> Vec<Node> {
    let mut found = Vec::new();
    collect(document, &mut String::new(), &mut found);
    found
}

/// serde_json reads 128 levels at most, so this ends.
fn collect(value: &Value, pointer: &mut String, found: &mut Vec<Node>) {
    let length = pointer.len();
    match value {
        Value::Object(members) => {
            found.extend(node(members, pointer));
            for (key, member) in members {
                pointer.push('/');
                push_escaped(pointer, key);
                collect(member, pointer, found);
                pointer.truncate(length);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointer.push('/');
                pointer.push_str(&index.to_string());
                collect(item, pointer, found);
                pointer.truncate(length);
            }
        }
        _ => {}
    }
}

fn node(members: &Map<String, Value>, pointer: &str) -> Option<Node> {
    let name = members.get(NAME).and_then(Value::as_str).map(str::to_owned);
    let reference = members.get(REFERENCE).filter(|it| !it.is_null()).map(|id| {
        id.as_str()
            .and_then(|id| id.parse().ok())
            .map_or(Reference::Garbled, Reference::To)
    });
    (name.is_some() || reference.is_some()).then(|| Node {
        pointer: pointer.to_owned(),
        name,
        reference,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nodes_are_found_with_their_pointers() {
        let id = Uuid::from_u128(7);
        let document = json!({
            "a/b": [{"_secret": "x_v1", "_secret_reference_id": id}],
            "c": {"_secret_reference_id": "no id", "~": {"_secret": "y_v2"}},
            "d": {"_secret": null, "_secret_reference_id": null}
        });
        let node = |pointer: &str, name: Option<&str>, reference| Node {
            pointer: pointer.to_owned(),
            name: name.map(str::to_owned),
            reference,
        };
        assert_eq!(
            nodes(&document),
            [
                node("/a~1b/0", Some("x_v1"), Some(Reference::To(id))),
                node("/c", None, Some(Reference::Garbled)),
                node("/c/~0", Some("y_v2"), None),
            ]
        );
    }
}
