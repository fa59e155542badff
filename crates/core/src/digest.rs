//! Keyed digests: tell whether two values are one without keeping either.

use std::fmt;
use std::str::FromStr;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::error::{Error, ErrorKind};
use crate::ids::KeyId;
use crate::keys::Key;
use crate::secret::{SecretValue, ValueKind};

/// HMAC-SHA-256 over base, type and value, with the id of the key it was made under.
///
/// The base is part of it, so that equal passwords of two connectors do not look equal.
/// Written `<key id>:<64 hex digits>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest {
    key: KeyId,
    bytes: [u8; 32],
}

impl Digest {
    /// The digest of a value stored under `base`.
    pub fn of(key: &Key, base: &str, kind: ValueKind, value: &SecretValue) -> Self {
        Self::over(key, b"value", base, kind, value)
    }

    /// A digest that is equal for equal values anywhere in one `scope`, such as one array of one
    /// document: it finds the element that moved without comparing each with each.
    pub fn within(key: &Key, scope: &str, kind: ValueKind, value: &SecretValue) -> Self {
        Self::over(key, b"scope", scope, kind, value)
    }

    fn over(key: &Key, purpose: &[u8], scope: &str, kind: ValueKind, value: &SecretValue) -> Self {
        // Hashing takes a key of any length; 32 bytes cannot be refused.
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(key.digesting()).expect("any key length");
        for part in [purpose, scope.as_bytes(), kind.as_str().as_bytes()] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.update(value.expose());
        Self {
            key: key.id().clone(),
            bytes: mac.finalize().into_bytes().into(),
        }
    }

    /// The key it was made under.
    pub fn key(&self) -> &KeyId {
        &self.key
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.key, hex::encode(self.bytes))
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let malformed = || {
            Error::new(
                ErrorKind::Corrupt,
                "read a digest",
                "not `<key id>:<64 hex digits>`",
            )
        };
        let (key, digits) = text.split_once(':').ok_or_else(malformed)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| malformed())?;
        Ok(Self {
            key: KeyId::from(key),
            bytes,
        })
    }
}

impl TryFrom<String> for Digest {
    type Error = Error;
    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}
