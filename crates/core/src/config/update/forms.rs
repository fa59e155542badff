//! The ways one value may have been written down: an older release gave every number with an exponent another form
//! of the same value, and its digest is over that.

use serde_json::Value;

use super::take::compact;
use crate::config::numbers::Exponents;
use crate::secret::{SecretJson, SecretValue, ValueKind};

/// A value, and the form in which an older release wrote it where that is another: `1E5` as `1e+5`.
pub(super) struct Forms<'v> {
    written: &'v SecretValue,
    once: Option<SecretValue>,
}

impl<'v> Forms<'v> {
    pub(super) fn of(value: &'v SecretValue, kind: ValueKind) -> Self {
        Self {
            written: value,
            once: once(value, kind).filter(|once| once != value),
        }
    }

    /// As it is written first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &SecretValue> {
        std::iter::once(self.written).chain(&self.once)
    }
}

fn once(value: &SecretValue, kind: ValueKind) -> Option<SecretValue> {
    if kind == ValueKind::Text {
        return None;
    }
    let text = value.expose_text()?;
    Exponents::of(text).next()?;
    let read: Value = serde_json::from_str(text).ok()?;
    compact(&SecretJson::new(read)).ok()
}
