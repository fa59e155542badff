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
        // The intermediate key is as good as the key itself. `Hkdf::new` would drop it as it is.
        let (mut intermediate, derivation) = Hkdf::<Sha256>::extract(None, &bytes);
        bytes.zeroize();
        intermediate.as_mut_slice().zeroize();
        // HKDF-SHA-256 gives up to 8,160 bytes; 32 cannot be refused.
        let expand = |purpose: &[u8], derived: &mut [u8; KEY_BYTES]| {
            let _ = derivation.expand(purpose, derived);
        };
        let mut id = [0; KEY_BYTES];
        expand(b"cloakroom/v1/key-id", &mut id);
        let mut key = Self {
            id: KeyId::from(hex::encode(&id[..8]).as_str()),
            wrapping: [0; KEY_BYTES],
            digesting: [0; KEY_BYTES],
        };
        // In place: what is moved leaves a copy behind.
        expand(b"cloakroom/v1/wrap-data-keys", &mut key.wrapping);
        expand(b"cloakroom/v1/digest", &mut key.digesting);
        key
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

#[cfg(test)]
mod tests {
    use super::*;

    /// HKDF-SHA-256 (RFC 5869) without salt, computed by another implementation: what was sealed and
    /// digested once depends on it for ever.
    #[test]
    fn derived_keys_never_change() {
        let key = Key::derive([7; KEY_BYTES]);
        assert_eq!(key.id().as_str(), "6599a3caf7f78fe7");
        assert_eq!(
            hex::encode(key.wrapping()),
            "0b88b9b4c1e509d71d976c26e4839e4eca4a261e65ce85710608db8f89a4ed5d"
        );
        assert_eq!(
            hex::encode(key.digesting()),
            "ef70307e0a53cb8fed4c85a947fbccc880f52cb419a7551024eccaf112fb3979"
        );
    }
}
