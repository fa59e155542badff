//! Taking a secret out of its document.

use std::io::{self, Write};
use std::mem;

use serde_json::Value;

use super::OPERATION;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::{SecretJson, SecretValue, ValueKind};

/// Takes a secret out and leaves null: text as it is, anything else as compact JSON.
pub(super) fn take(value: &mut Value) -> Result<(SecretValue, ValueKind)> {
    match mem::take(value) {
        Value::String(text) => Ok((SecretValue::from(text), ValueKind::Text)),
        other => Ok((compact(&SecretJson::new(other))?, ValueKind::Json)),
    }
}

/// Writes into a buffer of the right size: one that grows would leave copies of the secret behind.
pub(super) fn compact(value: &SecretJson) -> Result<SecretValue> {
    let failed = |_| {
        Error::new(
            ErrorKind::Invalid,
            OPERATION,
            "a secret cannot be written as JSON",
        )
    };
    let mut size = Size(0);
    serde_json::to_writer(&mut size, value.expose()).map_err(failed)?;
    let mut bytes = Vec::with_capacity(size.0);
    serde_json::to_writer(&mut bytes, value.expose()).map_err(failed)?;
    Ok(SecretValue::new(bytes))
}

struct Size(usize);

impl Write for Size {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
