//! Masking: what a person may see of a document.

use std::mem;

use serde_json::Value;

use super::bounds::{self, MAX_STORED_DEPTH};
use super::node;
use super::pointer;
use super::spec::{CompiledSpec, Position};
use crate::error::Result;
use crate::secret::SecretJson;

/// What stands for a secret where a person looks.
pub const MASK: &str = "**********";

/// Whether a text is a mask: eight asterisks or more, and nothing else.
pub fn is_mask(text: &str) -> bool {
    text.len() >= 8 && text.bytes().all(|byte| byte == b'*')
}

/// Replaces every secret by [`MASK`]: what the spec marks, what the document has recorded as a
/// reference (`held`, as pointers), and any node. Takes a stored document or a configuration that
/// still holds its secrets. Nothing, null and the empty text stay as they are.
pub fn mask<'h>(
    spec: &CompiledSpec,
    blob: Value,
    held: impl IntoIterator<Item = &'h str>,
) -> Result<Value> {
    let mut value = blob;
    if let Err(error) = bounds::check_for(spec, "mask a document", &value, MAX_STORED_DEPTH) {
        // Dropping a Value recurses as deep as it is nested; this does not.
        drop(SecretJson::new(value));
        return Err(error);
    }
    cover(spec, &mut value, &spec.start());
    for pointer in held {
        // What is not there, or lies within a mask already, needs none.
        if let Some(value) = pointer::lookup_mut(&mut value, pointer) {
            hide(value);
        }
    }
    Ok(value)
}

fn cover(spec: &CompiledSpec, value: &mut Value, position: &Position) {
    let position = &*spec.meet(position, value);
    if position.is_secret() {
        return hide(value);
    }
    match value {
        Value::Object(members) if node::is_node(members) => hide(value),
        Value::Object(members) => {
            for (key, member) in members {
                cover(spec, member, &spec.member(position, key));
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                cover(spec, item, &spec.element(position, index));
            }
        }
        _ => {}
    }
}

fn hide(value: &mut Value) {
    match value {
        Value::Null => {}
        Value::String(text) if text.is_empty() => {}
        shown => drop(SecretJson::new(mem::replace(shown, MASK.into()))),
    }
}
