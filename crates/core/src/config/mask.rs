//! Masking: what a person may see of a document.

use std::collections::HashSet;
use std::mem;

use serde_json::Value;

use super::bounds::{self, MAX_STORED_DEPTH};
use super::node;
use super::pointer;
use super::spec::{CompiledSpec, Position};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::SecretJson;

const OPERATION: &str = "mask a document";

/// What stands for a secret where a person looks.
pub const MASK: &str = "**********";

/// Whether a text is a mask: eight asterisks or more, and nothing else.
pub fn is_mask(text: &str) -> bool {
    text.len() >= 8 && text.bytes().all(|byte| byte == b'*')
}

/// Replaces every secret by [`MASK`]: what the spec marks, what the document has recorded as a
/// reference (`held`, as pointers), and any node. Takes a stored document or a configuration that
/// still holds its secrets. Null and the empty text stay as they are, but where a reference is
/// recorded there is a mask whatever stands there, and a member that is gone comes back as one: what
/// is put again as it was read keeps its secrets. `Corrupt` where such a mask has no place any more.
pub fn mask<'h>(
    spec: &CompiledSpec,
    blob: Value,
    held: impl IntoIterator<Item = &'h str>,
) -> Result<Value> {
    let mut value = blob;
    if let Err(error) = bounds::check_for(spec, OPERATION, &value, MAX_STORED_DEPTH) {
        // Dropping a Value recurses as deep as it is nested; this does not.
        drop(SecretJson::new(value));
        return Err(error);
    }
    let (there, mut gone): (Vec<_>, Vec<_>) = held
        .into_iter()
        .partition(|pointer| replace_at(&mut value, pointer));
    leave_out_what_is_within(&there, &mut gone);
    cover(spec, &mut value, &spec.start());
    let shown = gone
        .into_iter()
        .try_for_each(|at| bring_back(&mut value, at));
    shown.map(|()| value)
}

/// Puts a mask where anything stands.
fn replace_at(value: &mut Value, pointer: &str) -> bool {
    pointer::lookup_mut(value, pointer).map(replace).is_some()
}

/// Leaves out what lies within a mask already: it needs none.
fn leave_out_what_is_within(masked: &[&str], gone: &mut Vec<&str>) {
    if gone.is_empty() {
        return;
    }
    let masked: HashSet<&str> = masked.iter().copied().collect();
    gone.retain(|pointer| {
        let mut around = pointer.match_indices('/').map(|(end, _)| &pointer[..end]);
        !around.any(|around| masked.contains(around))
    });
}

/// Puts a mask where a member was.
fn bring_back(value: &mut Value, pointer: &str) -> Result<()> {
    let members = pointer::parent(pointer).and_then(|(parent, key)| {
        let parent = pointer::lookup_mut(value, parent)?.as_object_mut()?;
        Some((parent, key))
    });
    let Some((members, key)) = members else {
        return Err(Error::new(
            ErrorKind::Corrupt,
            OPERATION,
            "a secret is recorded here and the stored document has no place for it; put the whole \
             configuration again, with its value",
        )
        .with_coordinate(pointer::shown(pointer)));
    };
    members.insert(key.into_owned(), MASK.into());
    Ok(())
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
        shown => replace(shown),
    }
}

fn replace(shown: &mut Value) {
    drop(SecretJson::new(mem::replace(shown, MASK.into())));
}
