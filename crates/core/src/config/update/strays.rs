//! Masks that came to stand where nothing is secret.

use std::collections::HashSet;

use serde_json::Value;

use super::previous::{Stored, Walked};
use super::refused;
use crate::config::mask::is_mask;
use crate::config::node;
use crate::config::pointer::lookup;
use crate::error::Result;

/// A mask at a place where nothing is secret.
pub(super) struct Stray {
    pointer: String,
    text: Text,
}

/// Tells such a text again in another document: its place, with `*` for each index, and its length.
type Text = (String, usize);

impl Stray {
    pub(super) fn new(walked: &Walked, text: &str) -> Self {
        Self {
            pointer: walked.pointer.as_str().to_owned(),
            text: (walked.pattern().to_owned(), text.len()),
        }
    }
}

/// Refuses a mask that was not there before while secrets are let go (`losses`): it may well have been
/// meant for one of them, and would be stored as the text that it is. So would one that stands where the stored
/// document names a secret that is not recorded: masking made it of that.
pub(super) fn refuse_strays(strays: &[Stray], losses: &[usize], stored: &Stored<'_>) -> Result<()> {
    let Some(blob) = stored.blob.filter(|_| !strays.is_empty()) else {
        return Ok(());
    };
    let names_a_secret = |stray: &&Stray| {
        let there = lookup(blob, &stray.pointer).and_then(Value::as_object);
        there.is_some_and(node::is_node)
    };
    if let Some(stray) = strays.iter().find(names_a_secret) {
        return Err(refused(
            &stray.pointer,
            "a mask where the stored document names a secret and none is recorded: somebody changed it in the \
             database; send the value that belongs here, or null",
        ));
    }
    if losses.is_empty() {
        return Ok(());
    }
    let mut before = HashSet::new();
    collect_masks(blob, &mut Walked::default(), &mut before);
    match strays.iter().find(|stray| !before.contains(&stray.text)) {
        None => Ok(()),
        Some(stray) => Err(refused(
            &stray.pointer,
            "a mask where nothing is secret, while the same update lets a secret go that it may be \
             meant for; send the value, or let the secret go first",
        )),
    }
}

/// The texts of a stored document that look like masks.
fn collect_masks(value: &Value, walked: &mut Walked, masks: &mut HashSet<Text>) {
    match value {
        Value::String(text) if is_mask(text) => {
            masks.insert((walked.pattern().to_owned(), text.len()));
        }
        Value::Object(members) => {
            for (key, member) in members {
                let mark = walked.push_key(key);
                collect_masks(member, walked, masks);
                walked.pop_to(&mark);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let mark = walked.push_index(index);
                collect_masks(item, walked, masks);
                walked.pop_to(&mark);
            }
        }
        _ => {}
    }
}
