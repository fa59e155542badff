//! The epoch on both sides: the store counts its raises, the backend bears the number as a mark.
//!
//! The mark is a secret that holds no secret, under a coordinate of its own: the base is derived from
//! the deployment's name, the version is the epoch. It bears the store's id and names the raise, so
//! that a restored database, a clone and another store under the same name are told apart.

mod adopt;
mod fence;
mod judge;
mod seen;

use cloakroom_core::keys::Key;
use cloakroom_core::store::{Epoch, StoreIdentity};
use cloakroom_core::{
    Coordinate, Digest, Error, ErrorKind, Mark, PutRequest, Result, SecretValue, ValueKind,
};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

pub use adopt::{EpochAdoption, EpochReport};
pub(crate) use fence::Fence;
pub use judge::EpochStanding;
pub(crate) use judge::Verdict;
pub(crate) use seen::SeenMarks;

const PREFIX: &str = "cloakroom_epoch_";
/// Hex digits behind the prefix.
const DIGITS: usize = 32;

/// Whether a coordinate is that of an epoch mark. No row of the ledger and no document ever names
/// one.
pub fn is_epoch_mark(coordinate: &Coordinate) -> bool {
    coordinate
        .base()
        .strip_prefix(PREFIX)
        .is_some_and(|digits| {
            let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            digits.len() == DIGITS && digits.bytes().all(hex)
        })
}

/// The base of the marks of a deployment.
fn base_of(deployment: &str) -> String {
    let hash = hex::encode(Sha256::digest(format!("epoch of {deployment}")));
    format!("{PREFIX}{}", &hash[..DIGITS])
}

/// The coordinate of a deployment's mark of one epoch, from 1; `Invalid` for any other number.
pub fn epoch_mark(deployment: &str, number: i64) -> Result<Coordinate> {
    let text = format!("{}_v{number}", base_of(deployment));
    Coordinate::from_stored(&text).map_err(|source| {
        let message = format!("{number} is no epoch that a mark can name");
        Error::new(ErrorKind::Invalid, "name the epoch mark", message).with_source(source)
    })
}

fn text_of(raise: Uuid) -> SecretValue {
    let text = format!("No secret: Cloakroom counts here how often it deleted. Raise {raise}.");
    SecretValue::from(text)
}

/// The mark of an epoch as this store writes it. Its digest is under a key that everybody knows: it
/// only tells one raise from another, and must outlive the keys in use.
fn mark_of(identity: &StoreIdentity, epoch: &Epoch) -> Result<Mark> {
    let coordinate = epoch_mark(&identity.deployment, epoch.number)?;
    let known = Key::derive(Sha256::digest(b"cloakroom epoch marks").into());
    let text = text_of(epoch.raise);
    Ok(Mark {
        store: identity.store,
        deployment: identity.deployment.clone(),
        digest: Digest::of(&known, coordinate.base(), ValueKind::Text, &text),
        coordinate,
        intent: None,
    })
}

fn request_of(identity: &StoreIdentity, epoch: &Epoch) -> Result<PutRequest> {
    Ok(PutRequest {
        mark: mark_of(identity, epoch)?,
        value: text_of(epoch.raise),
        native_expiry: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_told_from_everything_else() {
        let mark = epoch_mark("production", 3).unwrap();
        assert!(is_epoch_mark(&mark));
        assert_eq!(mark.version().get(), 3);
        assert_ne!(
            mark.base(),
            epoch_mark("staging", 3).unwrap().base(),
            "each deployment has its own"
        );
        let digits = "0".repeat(DIGITS);
        for other in [
            "airbyte_x_v3".to_owned(),
            format!("cloakroom_epoch_{digits}0_v1"),
            format!("cloakroom_epoch_{}_v1", "G".repeat(DIGITS)),
            format!("x_cloakroom_epoch_{digits}_v1"),
        ] {
            let other = Coordinate::from_stored(&other).unwrap();
            assert!(!is_epoch_mark(&other), "{other}");
        }
        assert!(epoch_mark("production", 0).is_err());
    }

    #[test]
    fn two_raises_to_one_number_differ() {
        let identity = StoreIdentity {
            store: Uuid::nil().into(),
            deployment: "production".to_owned(),
            epoch: 1,
        };
        let epoch = |raise: u128| Epoch {
            number: 1,
            raise: Uuid::from_u128(raise),
            raised: None,
            marked: false,
        };
        let one = mark_of(&identity, &epoch(1)).unwrap();
        assert_eq!(one, mark_of(&identity, &epoch(1)).unwrap());
        assert_ne!(one.digest, mark_of(&identity, &epoch(2)).unwrap().digest);
    }
}
