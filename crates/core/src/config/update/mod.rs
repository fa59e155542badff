//! Putting a document: which secrets stay, which get another version, which are new.

mod ambiguity;
mod collect;
mod content;
mod decide;
mod forms;
mod losses;
mod previous;
mod resemblance;
mod strays;
mod take;
mod unmarked;

use serde_json::{Map, Value};

pub use self::previous::Previous;

use self::decide::Outcome;
use self::previous::Stored;
use super::bounds::{self, MAX_DEPTH, MAX_STORED_DEPTH};
use super::node::{self, EXTERNAL_PREFIX};
use super::pointer::lookup_mut;
use super::spec::CompiledSpec;
use crate::coordinates::{Coordinate, Grammar};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::keys::{Key, KeyRing};
use crate::secret::{SecretJson, SecretValue, ValueKind};

const OPERATION: &str = "put a document";

/// What a deployment allows.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether a configuration may refer to a secret that somebody made in the manager by hand.
    pub allow_external: bool,
    /// Says which names are ours, and so never external.
    pub grammar: Grammar,
}

/// What an update does with each secret, and the document it leaves behind.
#[derive(Debug)]
pub struct Update {
    /// Every field that holds a secret or names an external one, in the order of the document.
    pub fields: Vec<Field>,
    /// Indices into what was held: no field keeps these. The old versions of raised ones are among
    /// them.
    pub unreferenced: Vec<usize>,
    /// Indices into what was held: the spec does not mark these. They are secrets all the same.
    pub unmarked: Vec<usize>,
    blob: SecretJson,
    slots: Vec<Slot>,
}

/// One field that holds a secret.
#[derive(Debug)]
pub struct Field {
    /// Where in the document.
    pub pointer: String,
    /// What becomes of it.
    pub action: Action,
    /// For a field under an array: what its array digest is over, see [`array_digest`].
    pub array_scope: Option<String>,
}

/// What becomes of a field.
#[derive(Debug)]
pub enum Action {
    /// The coordinate stays, possibly at another index; nothing is written.
    Keep {
        /// Index into what was held.
        held: usize,
    },
    /// Another value for the same base: the next version.
    Raise {
        /// Index into what was held.
        held: usize,
        /// The value to store.
        value: SecretValue,
        /// How it was written.
        kind: ValueKind,
    },
    /// A value for a new base.
    New {
        /// The value to store.
        value: SecretValue,
        /// How it was written.
        kind: ValueKind,
    },
    /// Refers to a secret somebody made by hand. The text stays in the document.
    External {
        /// The secret's name in its manager.
        name: String,
    },
}

/// Where a node goes.
#[derive(Debug)]
struct Slot {
    pointer: String,
    kind: ValueKind,
    /// The node that stood there, where its secret is kept and a platform wrote more into it.
    kept: Option<Map<String, Value>>,
}

impl Slot {
    fn take_node(&mut self, coordinate: &Coordinate) -> Value {
        let names_it = |kept: &Map<String, Value>| {
            node::coordinate(kept).is_none_or(|written| written == coordinate.as_str())
        };
        match self.kept.take().filter(names_it) {
            Some(kept) => Value::Object(kept),
            None => node::node(coordinate, self.kind),
        }
    }
}

/// The digest by which a value under an array is found again at another index. `scope` is the
/// document's id, `array_scope` comes from the [`Field`].
pub fn array_digest(
    key: &Key,
    scope: &str,
    array_scope: &str,
    kind: ValueKind,
    value: &SecretValue,
) -> Digest {
    Digest::within(key, &format!("{scope} {array_scope}"), kind, value)
}

/// Takes the secrets out of a configuration. With `previous`, what the document held before, a
/// value that has not changed keeps its coordinate, and so does a field that arrives as a mask or
/// as its own node. What stands where a secret is recorded is one, also where the spec no longer marks
/// it, until an update without the field. `scope` is the document's id.
///
/// Refused, with an error that names the pointer: a mask with nothing behind it or with more than
/// one thing it may stand for, one where nothing is secret while another secret is let go, any
/// coordinate the document does not hold at that place, leaving out a secret whose node the stored
/// document lost (whoever read that document did not see it), and anything but an object where the
/// spec describes one.
///
/// ```
/// use cloakroom_core::config::{Action, CompiledSpec, Options, node, update};
/// use cloakroom_core::{Coordinate, KeyRing, SecretJson, ValueKind, keys::Key};
/// use serde_json::json;
///
/// let spec = CompiledSpec::compile(&json!({"properties": {"token": {"airbyte_secret": true}}}))?;
/// let keys = KeyRing::new(vec![Key::derive([7; 32])])?;
/// let config = SecretJson::new(json!({"host": "h", "token": "hunter2"}));
/// let update = update(&spec, config, None, &keys, "document-1", &Options::default())?;
/// assert_eq!(update.fields[0].pointer, "/token");
/// assert!(matches!(update.fields[0].action, Action::New { .. }));
///
/// let coordinate = Coordinate::from_stored("airbyte_example_v1").unwrap();
/// let blob = update.into_blob(std::slice::from_ref(&coordinate))?;
/// assert_eq!(blob, json!({"host": "h", "token": {"_secret": "airbyte_example_v1"}}));
/// # Ok::<(), cloakroom_core::Error>(())
/// ```
pub fn update(
    spec: &CompiledSpec,
    config: SecretJson,
    previous: Option<Previous<'_>>,
    keys: &KeyRing,
    scope: &str,
    options: &Options,
) -> Result<Update> {
    bounds::check_for(spec, OPERATION, config.expose(), MAX_DEPTH)?;
    if let Some(previous) = &previous {
        bounds::check_for(spec, OPERATION, previous.blob, MAX_STORED_DEPTH)?;
    }
    if spec.is_of_objects() && !config.expose().is_object() {
        return Err(refused(
            "",
            "the spec describes an object and this is none: no field of it could be told to be \
             secret; put the configuration itself",
        ));
    }
    if spec.is_never_of_objects() && config.expose().is_object() {
        return Err(refused(
            "",
            "the spec describes no object and this is one: no field of it could be told to be secret; \
             put it with its own spec",
        ));
    }
    let stored = Stored::new(previous);
    let mut value = config.into_exposed();
    let outcome = collect::collect(spec, &mut value, &stored, options).and_then(|collected| {
        decide::decide(spec, &value, collected, &stored, keys, scope, options)
    });
    // Also on failure: some secrets are still in it.
    let blob = SecretJson::new(value);
    let Outcome {
        fields,
        unreferenced,
        unmarked,
        slots,
        restored,
    } = outcome?;
    let mut update = Update {
        fields,
        unreferenced,
        unmarked,
        blob,
        slots,
    };
    update.restore(&restored)?;
    Ok(update)
}

impl Update {
    /// The document to store, with a node for each field. Takes one coordinate for each field that
    /// is not [`Action::External`], in the order of `fields`: for [`Action::Keep`] the one that was
    /// held. Any other number of them is an error.
    pub fn into_blob(mut self, coordinates: &[Coordinate]) -> Result<Value> {
        if coordinates.len() != self.slots.len() {
            return Err(Error::new(
                ErrorKind::Invalid,
                OPERATION,
                "one coordinate is needed for each field that is not external",
            ));
        }
        let mut blob = self.blob.into_exposed();
        for (slot, coordinate) in self.slots.iter_mut().zip(coordinates) {
            let node = slot.take_node(coordinate);
            place(&mut blob, &slot.pointer, node)?;
        }
        Ok(blob)
    }

    /// Puts the texts back that masks stood for.
    fn restore(&mut self, restored: &[usize]) -> Result<()> {
        if restored.is_empty() {
            return Ok(());
        }
        let mut blob =
            std::mem::replace(&mut self.blob, SecretJson::new(Value::Null)).into_exposed();
        for field in restored.iter().map(|index| &self.fields[*index]) {
            if let Action::External { name } = &field.action {
                place(
                    &mut blob,
                    &field.pointer,
                    format!("{EXTERNAL_PREFIX}{name}").into(),
                )?;
            }
        }
        self.blob = SecretJson::new(blob);
        Ok(())
    }
}

fn place(blob: &mut Value, pointer: &str, value: Value) -> Result<()> {
    // The pointers come from a walk over this very document.
    let place = lookup_mut(blob, pointer).ok_or_else(|| refused(pointer, "the place is gone"))?;
    *place = value;
    Ok(())
}

fn refused(pointer: &str, message: &'static str) -> Error {
    Error::new(ErrorKind::Invalid, OPERATION, message)
        .with_coordinate(super::pointer::shown(pointer))
}
