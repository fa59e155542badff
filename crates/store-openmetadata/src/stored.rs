//! One secret field as the database has it: nothing, a reference, or the value itself.

use std::fmt;

use cloakroom_core::coordinates::openmetadata::Manager;
use cloakroom_core::platform::NamedSecrets;
use cloakroom_core::{Error, ErrorKind, Result, SecretValue, Timestamp};
use serde_json::Value;

use crate::fernet_keys::{FernetKeys, TOKEN_PREFIX};

/// What OpenMetadata puts before an id.
const PREFIX: &str = "secret:";

/// What its documentation puts there.
const PREFIX_IN_DOCUMENTATION: &str = "secrets:";

/// What older releases wrote for nothing.
const NULL_TEXT: &str = "null";

/// `secret:<id>`: where a field's value is.
///
/// ```
/// use cloakroom_store_openmetadata::Reference;
///
/// let reference = Reference::read("secrets:/openmetadata/database/x/password").unwrap();
/// assert_eq!(reference.id(), "/openmetadata/database/x/password");
/// assert_eq!(reference.to_string(), "secret:/openmetadata/database/x/password");
/// assert_eq!(Reference::read("hunter2"), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference(String);

impl Reference {
    /// A reference to this id.
    pub fn to(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The reference that a text is; also as OpenMetadata's documentation prints it, `secrets:<id>`.
    pub fn read(text: &str) -> Option<Self> {
        let id = text
            .strip_prefix(PREFIX)
            .or_else(|| text.strip_prefix(PREFIX_IN_DOCUMENTATION))?;
        Some(Self::to(id))
    }

    /// What it refers to. May be empty: then it refers to nothing.
    pub fn id(&self) -> &str {
        &self.0
    }

    /// Whether a manager can have a secret of that name. Anything else may as well be a password that begins as a
    /// reference does, and is neither repeated nor asked for.
    pub(crate) fn is_a_name(&self, manager: Manager) -> bool {
        let also_taken = match manager {
            // ARNs, too.
            Manager::Aws | Manager::AwsSsm | Manager::OpenBao => "/_+=.@-:",
            Manager::AzureKeyVault => "-",
            Manager::Google => "_-",
            Manager::Kubernetes => "-.",
        };
        let belongs = |it: char| it.is_ascii_alphanumeric() || also_taken.contains(it);
        !self.0.is_empty() && self.0.chars().all(belongs)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.0)
    }
}

/// A secret field's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// Nothing: a null field, or the text `null` of older releases.
    Null,
    /// The value is in the manager.
    Reference(Reference),
    /// The value is here.
    Value(SecretValue),
}

impl Stored {
    /// Reads a field, sealed or not.
    ///
    /// # Errors
    /// `Corrupt` where no key opens it, `Invalid` where it is neither text nor null.
    pub fn read(field: &Value, keys: &FernetKeys) -> Result<Self> {
        match field {
            Value::Null => Ok(Self::Null),
            Value::String(text) if text.starts_with(TOKEN_PREFIX) => {
                Ok(Self::of_value(keys.open(text)?))
            }
            Value::String(text) => Ok(Self::of_value(SecretValue::from(text.clone()))),
            _ => Err(Error::new(
                ErrorKind::Invalid,
                "read a secret field",
                "it is neither text nor null",
            )),
        }
    }

    /// What an opened text says.
    pub(crate) fn of_value(value: SecretValue) -> Self {
        if is_null_text(value.expose()) {
            return Self::Null;
        }
        match value.expose_text().and_then(Reference::read) {
            Some(reference) => Self::Reference(reference),
            None => Self::Value(value),
        }
    }

    /// The field as it is to be stored: null, or sealed under the first key.
    ///
    /// # Errors
    /// Those of [`FernetKeys::seal`]; `Invalid` for a value that is not text, or one that would be
    /// read as a reference or as nothing.
    pub fn write(&self, keys: &FernetKeys, at: Timestamp) -> Result<Value> {
        let invalid = |message: &'static str| {
            Err(Error::new(
                ErrorKind::Invalid,
                "write a secret field",
                message,
            ))
        };
        let sealed = match self {
            Self::Null => return Ok(Value::Null),
            Self::Reference(reference) => {
                keys.seal(&SecretValue::from(reference.to_string()), at)?
            }
            Self::Value(value) => match value.expose_text() {
                None => return invalid("the value is not text"),
                Some(text) if is_null_text(text.as_bytes()) || Reference::read(text).is_some() => {
                    return invalid("the value would be read as something else");
                }
                Some(_) => keys.seal(value, at)?,
            },
        };
        Ok(Value::String(sealed))
    }

    /// The value, from the manager where it is there; `None` is nothing.
    ///
    /// # Errors
    /// The manager's own. A reference that leads nowhere is `Missing`: it is never taken for the
    /// value.
    pub async fn resolve(self, secrets: &dyn NamedSecrets) -> Result<Option<SecretValue>> {
        let reference = match self {
            Self::Null => return Ok(None),
            Self::Value(value) => return Ok(Some(value)),
            Self::Reference(reference) => reference,
        };
        let unresolved = |kind, message: &'static str| {
            Error::new(kind, "resolve a reference", message).with_coordinate(reference.id())
        };
        if reference.id().is_empty() {
            return Err(unresolved(ErrorKind::Missing, "it refers to nothing"));
        }
        let names = [reference.id().to_owned()];
        let read = secrets.read_named(&names).await.pop();
        let value = read.unwrap_or_else(|| {
            Err(unresolved(
                ErrorKind::Unavailable,
                "the manager gave no answer",
            ))
        })?;
        match Self::of_value(value) {
            Self::Null => Ok(None),
            Self::Value(value) => Ok(Some(value)),
            Self::Reference(_) => Err(unresolved(
                ErrorKind::Invalid,
                "what the manager has is another reference; save the field's value again",
            )),
        }
    }
}

/// Whether it is the text that older releases wrote for nothing.
pub(crate) fn is_null_text(text: &[u8]) -> bool {
    text == NULL_TEXT.as_bytes()
}
