//! Whether the nodes of a stored document are those of the secrets that are recorded for it.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::bounds::{self, MAX_STORED_DEPTH};
use super::held::Held;
use super::node;
use super::pointer::{Pointer, shown};
use crate::error::{Error, ErrorKind, Result};

const OPERATION: &str = "compare a document with its references";

const OTHER: &str = "the stored document names another secret here than the one that is recorded: somebody changed it \
     in the database; put it again, with a mask here to keep the recorded secret, or with its value";

const UNRECORDED: &str = "the stored document names a secret here and none is recorded: somebody changed it in the \
     database; put it again with the value that belongs here, or null";

const LOST: &str = "a secret is recorded here and the stored document does not name it: somebody changed it in the \
     database; put it again, with a mask here to keep the secret, or with its value";

/// Refuses a stored document that somebody changed in its database. `Corrupt`, with the pointer, is a node
/// that names another secret than the one recorded at its place, a node where none is recorded, and a
/// recorded secret without its node. What a platform wrote beside a name changes nothing, and a node that has a
/// platform's id and no name stands for what is recorded: the id is not.
pub fn check_nodes(blob: &Value, held: &[Held]) -> Result<()> {
    bounds::check(OPERATION, blob, MAX_STORED_DEPTH)?;
    let mut recorded: HashMap<&str, &str> = held
        .iter()
        .map(|held| (held.pointer.as_str(), held.coordinate.as_str()))
        .collect();
    node::each(
        blob,
        &mut Pointer::default(),
        &mut |members, pointer| match recorded.remove(pointer) {
            Some(coordinate) if stands_for(members, coordinate) => Ok(()),
            Some(_) => Err(corrupt(pointer, OTHER)),
            None => Err(corrupt(pointer, UNRECORDED)),
        },
    )?;
    let mut held = held.iter();
    match held.find(|held| recorded.contains_key(held.pointer.as_str())) {
        None => Ok(()),
        Some(lost) => Err(corrupt(&lost.pointer, LOST)),
    }
}

fn stands_for(node: &Map<String, Value>, coordinate: &str) -> bool {
    match node::member(node, node::COORDINATE) {
        Some(Value::String(name)) if !name.is_empty() => name == coordinate,
        Some(Value::String(_)) | None => node::reference_id(node).is_some(),
        Some(_) => false,
    }
}

fn corrupt(pointer: &str, message: &'static str) -> Error {
    Error::new(ErrorKind::Corrupt, OPERATION, message).with_coordinate(shown(pointer))
}
