//! A spec, compiled once: where secrets are.

mod keywords;
mod kinds;
mod loops;
mod pattern;
mod plan;
mod reach;
mod reader;
mod references;
mod root;
mod subsets;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

pub(super) use self::plan::Position;
use self::plan::{Plan, Tried};
use self::reader::Strictness;
use self::root::Known;
use super::bounds::{self, Keys, MAX_DEPTH};
use super::pointer::{index, step, tokens};
use crate::error::{Error, ErrorKind, Result};

const OPERATION: &str = "read the spec";

/// What a pattern takes however short the key is, in bytes.
const A_KEY: usize = 16;

/// A JSON Schema compiled into a plan of where secrets are. Cheap to clone.
///
/// A field is secret where any schema that may apply to it says `airbyte_secret` (a mark left empty
/// counts) or `format: password`, in any case: every branch of a composite or condition counts. A value of a kind that the spec does not have in mind there (an object where it
/// describes an array of objects with a secret) is secret in all its parts.
///
/// ```
/// use cloakroom_core::config::CompiledSpec;
/// use serde_json::json;
///
/// let spec = CompiledSpec::compile(&json!({
///     "properties": {
///         "hosts": { "items": { "$ref": "#/$defs/host" } },
///         "mode": { "type": "string" }
///     },
///     "$defs": { "host": { "properties": { "password": { "airbyte_secret": true } } } }
/// }))?;
/// assert_eq!(spec.secret_fields(), ["/hosts/*/password"]);
/// # Ok::<(), cloakroom_core::Error>(())
/// ```
#[derive(Clone)]
pub struct CompiledSpec {
    plan: Arc<Plan>,
    known: Arc<Known>,
    of_objects: bool,
    never_of_objects: bool,
}

impl CompiledSpec {
    /// Compiles a JSON Schema, or a connector's whole spec file with one under
    /// `connectionSpecification`. A schema that cannot be read in full is an error that names the
    /// place, and so is one that leads back to itself without going to a place below: guessing would
    /// leave secrets in clear.
    pub fn compile(spec: &Value) -> Result<Self> {
        Self::compile_as(spec, Strictness::New)
    }

    /// Compiles a spec that is stored with a document already, which an earlier version may have taken
    /// although [`CompiledSpec::compile`] refuses it by now: a keyword that is only nearly right is read
    /// as the annotation that it was then. Its document can so be shown and verified; what is recorded
    /// as a secret of it is one whatever its spec says. To take secrets out of a configuration it is too lenient.
    pub fn compile_stored(spec: &Value) -> Result<Self> {
        Self::compile_as(spec, Strictness::Stored)
    }

    fn compile_as(spec: &Value, strictness: Strictness) -> Result<Self> {
        bounds::check(OPERATION, spec, MAX_DEPTH)?;
        let (schema, pointer) = reader::connection_specification(spec, strictness)?;
        let mut arena = reader::read(schema, pointer, strictness)?;
        reach::note_leading(&mut arena);
        if strictness == Strictness::New {
            loops::refuse(&arena)?;
        }
        let plan = subsets::determine(&arena)?;
        Ok(Self {
            plan: Arc::new(plan),
            known: Arc::new(Known::of(&arena)),
            of_objects: root::is_an_object(&arena),
            never_of_objects: root::is_never_an_object(&arena),
        })
    }

    /// The secret fields as pointers, `*` standing for any index or key. A field of a schema that
    /// refers to itself is listed without the repetitions. Sorted; of a spec with very many only
    /// the first 10,000 met.
    pub fn secret_fields(&self) -> Vec<String> {
        self.plan.secret_fields()
    }

    /// Whether it says anything of a configuration's member of that name.
    pub fn knows(&self, member: &str) -> bool {
        self.known.has(member)
    }

    /// Whether it describes an object and nothing else.
    pub(super) fn is_of_objects(&self) -> bool {
        self.of_objects
    }

    /// Whether it describes anything but an object.
    pub(super) fn is_never_of_objects(&self) -> bool {
        self.never_of_objects
    }

    /// Whether a value is secret as a whole at this place of a document, whatever its kind.
    pub(super) fn marks_as_a_whole(&self, document: Option<&Value>, pointer: &str) -> bool {
        let mut position = self.start();
        let mut at = document;
        for token in tokens(pointer).into_iter().flatten() {
            if let Some(value) = at {
                position = self.meet(&position, value).into_owned();
            }
            position = match (at, index(&token)) {
                (Some(Value::Array(_)), Some(index)) => self.element(&position, index),
                _ => self.member(&position, &token),
            };
            at = at.and_then(|value| step(value, &token));
        }
        position.is_secret()
    }

    /// How many different patterns a walk may try on a key.
    pub(super) fn patterns(&self) -> usize {
        self.plan.tried.patterns
    }

    /// What trying all patterns on these keys comes to: the bytes they look at, and the steps that those
    /// may take which go back and try again.
    pub(super) fn pattern_work(&self, keys: &Keys) -> usize {
        let Tried { patterns, backing } = self.plan.tried;
        let looked_at = keys.bytes.saturating_add(keys.number.saturating_mul(A_KEY));
        let repeated = keys.number.saturating_mul(pattern::BACKTRACK_LIMIT);
        let whole = looked_at.saturating_mul(patterns);
        whole.saturating_add(repeated.saturating_mul(backing))
    }

    /// Where a walk begins.
    pub(super) fn start(&self) -> Position {
        self.plan.start()
    }

    /// The position of a value that the walk has come to. Where no schema has values of its kind in
    /// mind, such as an object where an array is described, its secrets cannot be told from the rest
    /// of it, and everything in it counts as secret.
    pub(super) fn meet<'p>(&self, position: &'p Position, value: &Value) -> Cow<'p, Position> {
        self.plan.meet(position, value)
    }

    /// The position of an object's member.
    pub(super) fn member(&self, position: &Position, key: &str) -> Position {
        self.plan.member(position, key)
    }

    /// The position of an array's element.
    pub(super) fn element(&self, position: &Position, index: usize) -> Position {
        self.plan.element(position, index)
    }
}

impl fmt::Debug for CompiledSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CompiledSpec({} states)", self.plan.len())
    }
}

fn invalid(pointer: &str, message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Invalid, OPERATION, message)
        .with_coordinate(super::pointer::shown(pointer))
}
