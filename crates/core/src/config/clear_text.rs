//! Finding secrets that stand in a stored document in clear.

use serde_json::Value;

use super::bounds::{self, MAX_STORED_DEPTH};
use super::node;
use super::pointer::Pointer;
use super::spec::{CompiledSpec, Position};
use crate::coordinates::Grammar;
use crate::error::Result;

/// The pointers of the secret fields that hold something other than nothing, a node or the name of
/// an external secret.
pub fn clear_text(spec: &CompiledSpec, blob: &Value) -> Result<Vec<String>> {
    bounds::check_for(spec, "look for clear text", blob, MAX_STORED_DEPTH)?;
    let mut found = Vec::new();
    visit(
        spec,
        blob,
        &spec.start(),
        &mut Pointer::default(),
        &mut found,
    );
    Ok(found)
}

fn visit(
    spec: &CompiledSpec,
    value: &Value,
    position: &Position,
    pointer: &mut Pointer,
    found: &mut Vec<String>,
) {
    if position.is_nowhere() {
        return;
    }
    let position = &*spec.meet(position, value);
    if position.is_secret() {
        if !is_replaced(value) {
            found.push(pointer.as_str().to_owned());
        }
        return;
    }
    match value {
        Value::Object(members) if node::is_node(members) => {}
        Value::Object(members) => {
            for (key, member) in members {
                let length = pointer.push_key(key);
                visit(spec, member, &spec.member(position, key), pointer, found);
                pointer.pop_to(length);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let length = pointer.push_index(index);
                visit(spec, item, &spec.element(position, index), pointer, found);
                pointer.pop_to(length);
            }
        }
        _ => {}
    }
}

fn is_replaced(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => {
            text.is_empty()
                || node::external_name(text)
                    .is_some_and(|name| !Grammar::default().read(name).is_ours())
        }
        Value::Object(members) => node::is_node(members) && node::is_well_formed(members),
        _ => false,
    }
}
