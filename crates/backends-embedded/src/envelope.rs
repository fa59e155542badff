//! Envelope encryption: each value under a data key of its own, that key under the
//! key-encryption key.
//!
//! Both seals are XChaCha20-Poly1305 with random 24-byte nonces. What a row says of itself goes
//! into the seals as associated data, so a ciphertext moved to another row does not open.

use std::fmt;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use cloakroom_core::keys::{KEY_BYTES, Key};
use cloakroom_core::{BackendId, Coordinate, KeyId, Randomness, SecretValue};
use zeroize::Zeroizing;

/// Bytes in a nonce.
const NONCE_BYTES: usize = 24;

/// Which row a seal belongs to.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) backend: &'a BackendId,
    pub(crate) coordinate: &'a Coordinate,
}

/// A data key under a key-encryption key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct WrappedKey {
    pub(crate) key_id: KeyId,
    pub(crate) nonce: Vec<u8>,
    pub(crate) bytes: Vec<u8>,
}

/// A value under its data key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SealedValue {
    pub(crate) key: WrappedKey,
    pub(crate) nonce: Vec<u8>,
    pub(crate) ciphertext: Vec<u8>,
}

/// A seal that does not open: damaged, moved from another row, or under another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DoesNotOpen;

impl fmt::Display for DoesNotOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the seal does not open")
    }
}

impl std::error::Error for DoesNotOpen {}

/// Seals a value under a new data key.
pub(crate) fn seal(
    key: &Key,
    place: Place<'_>,
    value: &SecretValue,
    randomness: &dyn Randomness,
) -> Result<SealedValue, DoesNotOpen> {
    let mut data_key = Zeroizing::new([0; KEY_BYTES]);
    randomness.fill(data_key.as_mut_slice());
    let nonce = new_nonce(randomness);
    let ciphertext = encrypt(&data_key, &nonce, value.expose(), &of_value(place))?;
    Ok(SealedValue {
        key: wrap(key, place, &data_key, randomness)?,
        nonce,
        ciphertext,
    })
}

/// Opens a value; `key` is the one that `sealed.key.key_id` names.
pub(crate) fn open(
    key: &Key,
    place: Place<'_>,
    sealed: &SealedValue,
) -> Result<SecretValue, DoesNotOpen> {
    let data_key = unwrap(key, place, &sealed.key)?;
    let value = decrypt(
        &data_key,
        &sealed.nonce,
        &sealed.ciphertext,
        &of_value(place),
    )?;
    Ok(SecretValue::new(value))
}

/// Wraps a data key anew; the value's seal stays as it is.
pub(crate) fn rewrap(
    old: &Key,
    new: &Key,
    place: Place<'_>,
    wrapped: &WrappedKey,
    randomness: &dyn Randomness,
) -> Result<WrappedKey, DoesNotOpen> {
    wrap(new, place, &*unwrap(old, place, wrapped)?, randomness)
}

fn wrap(
    key: &Key,
    place: Place<'_>,
    data_key: &[u8; KEY_BYTES],
    randomness: &dyn Randomness,
) -> Result<WrappedKey, DoesNotOpen> {
    let nonce = new_nonce(randomness);
    let bytes = encrypt(key.wrapping(), &nonce, data_key, &of_key(place, key.id()))?;
    Ok(WrappedKey {
        key_id: key.id().clone(),
        nonce,
        bytes,
    })
}

fn unwrap(
    key: &Key,
    place: Place<'_>,
    wrapped: &WrappedKey,
) -> Result<Zeroizing<[u8; KEY_BYTES]>, DoesNotOpen> {
    let about = of_key(place, &wrapped.key_id);
    let bytes = Zeroizing::new(decrypt(
        key.wrapping(),
        &wrapped.nonce,
        &wrapped.bytes,
        &about,
    )?);
    let mut data_key = Zeroizing::new([0; KEY_BYTES]);
    if bytes.len() != data_key.len() {
        return Err(DoesNotOpen);
    }
    data_key.copy_from_slice(&bytes);
    Ok(data_key)
}

fn new_nonce(randomness: &dyn Randomness) -> Vec<u8> {
    let mut nonce = vec![0; NONCE_BYTES];
    randomness.fill(&mut nonce);
    nonce
}

fn encrypt(key: &[u8; 32], nonce: &[u8], msg: &[u8], aad: &[u8]) -> Result<Vec<u8>, DoesNotOpen> {
    let nonce = XNonce::try_from(nonce).map_err(|_| DoesNotOpen)?;
    let cipher = XChaCha20Poly1305::new(key.into());
    cipher
        .encrypt(&nonce, Payload { msg, aad })
        .map_err(|_| DoesNotOpen)
}

fn decrypt(key: &[u8; 32], nonce: &[u8], msg: &[u8], aad: &[u8]) -> Result<Vec<u8>, DoesNotOpen> {
    let nonce = XNonce::try_from(nonce).map_err(|_| DoesNotOpen)?;
    let cipher = XChaCha20Poly1305::new(key.into());
    cipher
        .decrypt(&nonce, Payload { msg, aad })
        .map_err(|_| DoesNotOpen)
}

fn of_value(place: Place<'_>) -> Vec<u8> {
    associated(&[
        "cloakroom/v1/value",
        place.backend.as_str(),
        place.coordinate.as_str(),
    ])
}

fn of_key(place: Place<'_>, key: &KeyId) -> Vec<u8> {
    associated(&[
        "cloakroom/v1/data-key",
        place.backend.as_str(),
        place.coordinate.as_str(),
        key.as_str(),
    ])
}

/// Each part with its length before it, so that no two lists give the same bytes.
fn associated(parts: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use cloakroom_testkit::SeededRandomness;
    use cloakroom_testkit::canary::{marked, marked_bytes};
    use proptest::prelude::*;

    use super::*;

    fn key(byte: u8) -> Key {
        Key::derive([byte; KEY_BYTES])
    }

    fn backend() -> BackendId {
        "embedded".parse().unwrap()
    }

    fn coordinate(text: &str) -> Coordinate {
        Coordinate::from_stored(text).unwrap()
    }

    /// One part of a seal changed, and how many bytes that part has.
    fn altered(
        sealed: &SealedValue,
        part: usize,
        change: impl FnOnce(&mut Vec<u8>),
    ) -> (SealedValue, usize) {
        let mut altered = sealed.clone();
        let bytes = match part {
            0 => &mut altered.ciphertext,
            1 => &mut altered.nonce,
            2 => &mut altered.key.bytes,
            _ => &mut altered.key.nonce,
        };
        change(bytes);
        let length = bytes.len();
        (altered, length)
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens(value in any::<Vec<u8>>(), seed: u64, name in "[A-Za-z0-9_-]{1,200}") {
            let (backend, coordinate) = (backend(), coordinate(&format!("{name}_v1")));
            let place = Place { backend: &backend, coordinate: &coordinate };
            let random = SeededRandomness::new(seed);
            let value = marked_bytes(&value);
            let sealed = seal(&key(1), place, &value, &random).unwrap();
            prop_assert!(open(&key(1), place, &sealed).unwrap() == value);
            prop_assert_eq!(sealed.ciphertext.len(), value.len() + 16);

            let rewrapped = rewrap(&key(1), &key(2), place, &sealed.key, &random).unwrap();
            let rewrapped = SealedValue { key: rewrapped, ..sealed.clone() };
            prop_assert!(open(&key(2), place, &rewrapped).unwrap() == value);
            prop_assert!(open(&key(1), place, &rewrapped).is_err());
            prop_assert!(open(&key(2), place, &sealed).is_err());
        }

        #[test]
        fn one_bit_anywhere_is_noticed(value in any::<Vec<u8>>(), seed: u64, bit: prop::sample::Index) {
            let (backend, coordinate) = (backend(), coordinate("a_v1"));
            let place = Place { backend: &backend, coordinate: &coordinate };
            let random = SeededRandomness::new(seed);
            let sealed = seal(&key(1), place, &marked_bytes(&value), &random).unwrap();
            for part in 0..4 {
                let length = altered(&sealed, part, |_| {}).1;
                let at = bit.index(length * 8);
                let flipped = altered(&sealed, part, |bytes| bytes[at / 8] ^= 1 << (at % 8)).0;
                prop_assert!(open(&key(1), place, &flipped).is_err());
                let cut = altered(&sealed, part, |bytes| bytes.truncate(at / 8)).0;
                prop_assert!(open(&key(1), place, &cut).is_err());
            }
        }

        #[test]
        fn no_other_place_opens_it(name in "[a-z_-]{1,20}", other in "[a-z_-]{1,20}") {
            prop_assume!(name != other);
            let (one, two) = (backend(), "embedded2".parse().unwrap());
            let coordinates = [coordinate(&format!("{name}_v1")), coordinate(&format!("{other}_v1"))];
            let place = Place { backend: &one, coordinate: &coordinates[0] };
            let random = SeededRandomness::new(1);
            let sealed = seal(&key(1), place, &marked("value"), &random).unwrap();
            let elsewhere = Place { backend: &one, coordinate: &coordinates[1] };
            prop_assert!(open(&key(1), elsewhere, &sealed).is_err());
            let elsewhere = Place { backend: &two, coordinate: &coordinates[0] };
            prop_assert!(open(&key(1), elsewhere, &sealed).is_err());
            prop_assert!(rewrap(&key(1), &key(2), elsewhere, &sealed.key, &random).is_err());
        }
    }

    #[test]
    fn the_same_value_is_never_sealed_the_same() {
        let (backend, coordinate) = (backend(), coordinate("a_v1"));
        let place = Place {
            backend: &backend,
            coordinate: &coordinate,
        };
        let random = SeededRandomness::new(1);
        let value = marked("value");
        let one = seal(&key(1), place, &value, &random).unwrap();
        let other = seal(&key(1), place, &value, &random).unwrap();
        assert!(one.nonce != other.nonce && one.ciphertext != other.ciphertext);
        assert!(one.key.nonce != other.key.nonce && one.key.bytes != other.key.bytes);
    }

    #[test]
    fn a_renamed_key_id_is_noticed() {
        let (backend, coordinate) = (backend(), coordinate("a_v1"));
        let place = Place {
            backend: &backend,
            coordinate: &coordinate,
        };
        let value = marked("value");
        let mut sealed = seal(&key(1), place, &value, &SeededRandomness::new(1)).unwrap();
        sealed.key.key_id = key(2).id().clone();
        assert!(open(&key(1), place, &sealed) == Err(DoesNotOpen));
    }

    #[test]
    fn associated_data_is_never_ambiguous() {
        assert_ne!(associated(&["ab", "c"]), associated(&["a", "bc"]));
        assert_ne!(associated(&["a", ""]), associated(&["a"]));
    }
}
