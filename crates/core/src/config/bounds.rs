//! What no document may exceed, whether it was parsed or built in memory.

use serde_json::Value;

use super::parse::is_magic;
use super::pointer::Pointer;
use super::spec::CompiledSpec;
use crate::error::{Error, ErrorKind, Result};

/// The deepest nesting of a configuration or spec. serde_json reads back 127 levels; one of them
/// is for the node that replaces a secret at the deepest place.
pub const MAX_DEPTH: usize = 126;

/// The deepest nesting of a stored document: a configuration with nodes in it.
pub(super) const MAX_STORED_DEPTH: usize = MAX_DEPTH + 1;

/// The pointers of all places of a document together, in bytes. A pointer repeats every key above
/// it, so that a few long keys over many places would take gigabytes.
const MAX_POINTERS: usize = 64 * 1024 * 1024;

/// Refuses nesting deeper than `levels`, and the keys that serde_json reads back as a number.
/// Whoever comes after may recurse.
pub(super) fn check(operation: &'static str, value: &Value, levels: usize) -> Result<()> {
    let mut left = MAX_POINTERS;
    visit(value, levels, 0, &mut left).map_err(|fault| {
        let mut pointer = Pointer::default();
        for step in fault.steps.iter().rev() {
            match step {
                Step::Key(key) => pointer.push_key(key),
                Step::Index(index) => pointer.push_index(*index),
            };
        }
        let message = match fault.what {
            What::Deep => format!("nested deeper than {levels} levels"),
            What::Magic => MAGIC_MESSAGE.to_owned(),
            What::Long => "its keys are too long for the number of places below them".to_owned(),
        };
        Error::new(ErrorKind::Invalid, operation, message).with_coordinate(pointer.shown())
    })
}

/// What trying the patterns of a spec on the keys of one document may come to, as
/// [`CompiledSpec::pattern_work`] counts it: a second or two.
const MAX_PATTERN_WORK: usize = 50_000_000;

/// Refuses also more keys than the patterns of the spec can be tried on. Whoever comes after may walk.
pub(super) fn check_for(
    spec: &CompiledSpec,
    operation: &'static str,
    value: &Value,
    levels: usize,
) -> Result<()> {
    check(operation, value, levels)?;
    // Most specs have none, and nobody has to count for those.
    if spec.patterns() == 0 {
        return Ok(());
    }
    let mut keys = Keys::default();
    keys.count(value);
    if spec.pattern_work(&keys) <= MAX_PATTERN_WORK {
        return Ok(());
    }
    let message = format!(
        "it has {} keys, and the spec {} patterns for keys: too many to try each of these on each of \
         those; name keys under `properties` instead",
        keys.number,
        spec.patterns()
    );
    Err(Error::new(ErrorKind::Invalid, operation, message))
}

/// The keys of a document.
#[derive(Default)]
pub(super) struct Keys {
    pub(super) number: usize,
    /// All of them together.
    pub(super) bytes: usize,
}

impl Keys {
    fn count(&mut self, value: &Value) {
        match value {
            Value::Object(members) => {
                for (key, member) in members {
                    self.number += 1;
                    self.bytes += key.len();
                    self.count(member);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.count(item)),
            _ => {}
        }
    }
}

pub(super) const MAGIC_MESSAGE: &str =
    "a key that begins with `$serde_json::private::` would be read back as something else";

struct Fault<'v> {
    what: What,
    steps: Vec<Step<'v>>,
}

enum What {
    Deep,
    Magic,
    Long,
}

enum Step<'v> {
    Key(&'v str),
    Index(usize),
}

/// `above` is the length of the pointer to `value`; `left` what the others may still take.
fn visit<'v>(
    value: &'v Value,
    levels: usize,
    above: usize,
    left: &mut usize,
) -> Result<(), Fault<'v>> {
    let fault = |what| Fault {
        what,
        steps: Vec::new(),
    };
    *left = left.checked_sub(above).ok_or_else(|| fault(What::Long))?;
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
        _ if levels == 0 => Err(fault(What::Deep)),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                visit(item, levels - 1, above + 8, left).map_err(|mut fault| {
                    fault.steps.push(Step::Index(index));
                    fault
                })?;
            }
            Ok(())
        }
        Value::Object(members) => {
            for (key, member) in members {
                if is_magic(key) {
                    return Err(fault(What::Magic));
                }
                visit(member, levels - 1, above + key.len() + 1, left).map_err(|mut fault| {
                    fault.steps.push(Step::Key(key));
                    fault
                })?;
            }
            Ok(())
        }
    }
}
