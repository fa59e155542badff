//! Key-encryption keys and what is derived from them. Reading them from a file is the caller's.

use std::fmt;
use std::sync::Arc;

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::error::{Error, ErrorKind, Result};
use crate::ids::KeyId;

/// Bytes in a key-encryption key.
pub const KEY_BYTES: usize = 32;

/// One key-encryption key with the keys derived from it. Overwritten when dropped, never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Key {
    #[zeroize(skip)]
    id: KeyId,
    wrapping: [u8; KEY_BYTES],
    digesting: [u8; KEY_BYTES],
}

impl Key {
    /// Derives the wrapping key, the digest key and the key's id from 32 random bytes.
    pub fn derive(mut bytes: [u8; KEY_BYTES]) -> Self {
        let derivation = Hkdf::<Sha256>::new(None, &bytes);
        bytes.zeroize();
        let expand = |purpose: &[u8]| {
            let mut derived = [0; KEY_BYTES];
            // HKDF-SHA-256 gives up to 8,160 bytes; 32 cannot be refused.
            let _ = derivation.expand(purpose, &mut derived);
            derived
        };
        let id = expand(b"cloakroom/v1/key-id");
        let id = hex::encode(&id[..8]);
        Self {
            id: KeyId::from(id.as_str()),
            wrapping: expand(b"cloakroom/v1/wrap-data-keys"),
            digesting: expand(b"cloakroom/v1/digest"),
        }
    }

    /// Names the key without telling it.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// The key that wraps data keys.
    pub fn wrapping(&self) -> &[u8; KEY_BYTES] {
        &self.wrapping
    }

    /// The key of the digests.
    pub fn digesting(&self) -> &[u8; KEY_BYTES] {
        &self.digesting
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id)
    }
}

/// All keys in use: the first seals, each opens. Rotation puts a new one first.
#[derive(Clone, Debug)]
pub struct KeyRing(Vec<Key>);

impl KeyRing {
    /// A ring of `keys`, the first of which seals. Fails on an empty list or a key given twice.
    pub fn new(keys: Vec<Key>) -> Result<Self> {
        let refuse =
            |message: &'static str| Err(Error::new(ErrorKind::Invalid, "read the keys", message));
        if keys.is_empty() {
            return refuse("there is no key-encryption key; give at least one");
        }
        let twice = |key: &Key| keys.iter().filter(|other| other.id == key.id).count() > 1;
        if keys.iter().any(twice) {
            return refuse("the same key-encryption key is given twice; remove one of them");
        }
        Ok(Self(keys))
    }

    /// The key that seals.
    pub fn current(&self) -> &Key {
        &self.0[0]
    }

    /// The key of that id, if it is in the ring.
    pub fn find(&self, id: &KeyId) -> Option<&Key> {
        self.0.iter().find(|key| key.id == *id)
    }

    /// Every key, the sealing one first.
    pub fn keys(&self) -> &[Key] {
        &self.0
    }
}

/// Gives the keys as they are now; a file that changed is read again.
pub trait KeySource: Send + Sync {
    /// The ring in force.
    fn ring(&self) -> Result<Arc<KeyRing>>;
}

/// A ring that never changes.
impl KeySource for KeyRing {
    fn ring(&self) -> Result<Arc<KeyRing>> {
        Ok(Arc::new(self.clone()))
    }
}

/// A shared ring that never changes.
impl KeySource for Arc<KeyRing> {
    fn ring(&self) -> Result<Arc<KeyRing>> {
        Ok(Self::clone(self))
    }
}
