//! Values that must never be printed: a secret, and a document that still holds secrets.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// How a value was written in its document: text as it is, anything else as compact JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueKind {
    /// A JSON string; the secret's bytes are the text itself.
    Text,
    /// Any other JSON value; the secret's bytes are its compact JSON.
    Json,
}

impl ValueKind {
    /// The kind as a stable lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// The bytes of a secret. Overwritten when dropped; neither printable nor serialisable.
///
/// ```
/// use cloakroom_core::SecretValue;
/// let secret = SecretValue::from("hunter2".to_owned());
/// assert_eq!(format!("{secret:?}"), "SecretValue(..)");
/// assert_eq!(secret.expose(), b"hunter2");
/// ```
#[derive(Clone)]
pub struct SecretValue(Zeroizing<Vec<u8>>);

impl SecretValue {
    /// Takes the bytes over.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for the one place that hands them on.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as text, or `None` where they are not UTF-8.
    pub fn expose_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Size in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for SecretValue {
    fn from(text: String) -> Self {
        Self::new(text.into_bytes())
    }
}

impl From<Vec<u8>> for SecretValue {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes)
    }
}

/// Compares in constant time for values of one length.
impl PartialEq for SecretValue {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SecretValue {}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(..)")
    }
}

/// A JSON document that may hold secrets in clear: a configuration as its owner sent it, or a
/// hydrated one. Its texts and the keys of its objects are overwritten when dropped; it is neither
/// printable nor serialisable except through [`SecretJson::expose`].
///
/// The digits of a number are not overwritten: serde_json keeps them where nobody else can write. A
/// secret that is a number is in a [`SecretValue`] from split on, but what was parsed before is only
/// given back.
pub struct SecretJson(Value);

impl SecretJson {
    /// Takes the document over.
    pub fn new(value: Value) -> Self {
        Self(value)
    }

    /// The document, for the one place that hands it on.
    pub fn expose(&self) -> &Value {
        &self.0
    }

    /// Takes the content out; from here on the caller guards it.
    pub fn into_exposed(mut self) -> Value {
        std::mem::take(&mut self.0)
    }

    /// The compact JSON text of the document.
    pub fn to_secret_text(&self) -> SecretValue {
        SecretValue::from(self.0.to_string())
    }
}

impl From<Value> for SecretJson {
    fn from(value: Value) -> Self {
        Self(value)
    }
}

impl fmt::Debug for SecretJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretJson(..)")
    }
}

impl Drop for SecretJson {
    fn drop(&mut self) {
        // A list of what is left to visit instead of recursion: depth is the caller's.
        let mut left = vec![std::mem::take(&mut self.0)];
        while let Some(value) = left.pop() {
            match value {
                Value::String(mut text) => overwrite(&mut text),
                Value::Array(items) => left.extend(items),
                Value::Object(members) => {
                    left.extend(members.into_iter().map(|(mut key, value)| {
                        overwrite(&mut key);
                        value
                    }));
                }
                Value::Null | Value::Bool(_) | Value::Number(_) => {}
            }
        }
    }
}

fn overwrite(text: &mut String) {
    #[cfg(test)]
    tests::OVERWRITTEN.with_borrow_mut(|all| all.push(text.clone()));
    text.zeroize();
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    thread_local! {
        /// What was overwritten, since nobody may look at memory that was given back.
        pub(super) static OVERWRITTEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    }

    #[test]
    fn texts_and_keys_are_overwritten() {
        let document = serde_json::json!({
            "a-key": {"inner": ["first", 1, null]}, "other": "second", "empty": {}
        });
        drop(SecretJson::new(document));
        let mut all = OVERWRITTEN.take();
        all.sort();
        assert_eq!(all, ["a-key", "empty", "first", "inner", "other", "second"]);
        drop(SecretJson::new(serde_json::json!("taken out")).into_exposed());
        assert_eq!(OVERWRITTEN.take(), [""; 0]);
    }

    #[test]
    fn debug_shows_nothing() {
        let shown = format!(
            "{:?} {:#?} {:?}",
            SecretValue::from("canary-value".to_owned()),
            Some(SecretValue::from("canary-value".to_owned())),
            SecretJson::new(serde_json::json!({"canary-key": "canary-value"})),
        );
        assert!(!shown.contains("canary"), "{shown}");
    }

    #[test]
    fn a_deep_document_is_dropped_without_recursion() {
        let mut deep = Value::Null;
        for _ in 0..1_000_000 {
            deep = Value::Array(vec![deep]);
        }
        drop(SecretJson::new(deep));
    }
}
