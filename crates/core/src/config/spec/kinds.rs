//! Kinds of JSON values: which of them a schema has in mind for a place.

use std::ops::BitOr;

use serde_json::{Map, Value};

/// A set of kinds. Null is in none: it may stand anywhere and holds nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Kinds(u8);

impl Kinds {
    pub(super) const NONE: Self = Self(0);
    pub(super) const OBJECT: Self = Self(1);
    pub(super) const ARRAY: Self = Self(1 << 1);
    const TEXT: Self = Self(1 << 2);
    const NUMBER: Self = Self(1 << 3);
    const BOOLEAN: Self = Self(1 << 4);
    const ALL: Self = Self((1 << 5) - 1);

    /// The kinds that a `type` names; `None` where it is neither a name of JSON Schema's nor a list of
    /// those. Whoever cannot tell what a schema is for cannot tell either what it marks.
    pub(super) fn of_type(names: &Value) -> Option<Self> {
        match names {
            Value::String(name) => Self::named(name),
            Value::Array(names) => names
                .iter()
                .map(|name| Self::named(name.as_str()?))
                .try_fold(Self::NONE, |kinds, name| Some(kinds | name?)),
            _ => None,
        }
    }

    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "null" => Self::NONE,
            "object" => Self::OBJECT,
            "array" => Self::ARRAY,
            "string" => Self::TEXT,
            "integer" | "number" => Self::NUMBER,
            "boolean" => Self::BOOLEAN,
            // As JSON Schema once had it.
            "any" => Self::ALL,
            _ => return None,
        })
    }

    /// The kinds of the values that a schema lists.
    pub(super) fn of_listed(schema: &Map<String, Value>) -> Self {
        let listed = schema.get("enum").and_then(Value::as_array);
        listed
            .into_iter()
            .flatten()
            .chain(schema.get("const"))
            .fold(Self::NONE, |kinds, value| kinds | Self::of(value))
    }

    fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::NONE,
            Value::Object(_) => Self::OBJECT,
            Value::Array(_) => Self::ARRAY,
            Value::String(_) => Self::TEXT,
            Value::Number(_) => Self::NUMBER,
            Value::Bool(_) => Self::BOOLEAN,
        }
    }

    pub(super) fn include(self, value: &Value) -> bool {
        self.contain(Self::of(value))
    }

    pub(super) fn contain(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    pub(super) fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Whether there is any beside objects.
    pub(super) fn go_beyond_objects(self) -> bool {
        self.0 & !Self::OBJECT.0 != 0
    }
}

impl BitOr for Kinds {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
