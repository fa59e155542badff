//! Opening what the table holds with the keys in force, or saying why not.

use std::collections::BTreeSet;
use std::sync::Arc;

use cloakroom_core::{ErrorKind, KeyId, KeyRing, SecretState, SecretValue};

use crate::backend::EmbeddedBackend;
use crate::envelope;
use crate::failure::Failure;
use crate::row::{FullRow, Row};

impl EmbeddedBackend {
    pub(crate) fn ring(&self) -> Result<Arc<KeyRing>, Failure> {
        self.keys.ring().map_err(|error| {
            Failure::new(
                error.kind(),
                format!("there are no keys: {}", error.message()),
            )
        })
    }

    pub(crate) fn open(&self, full: &FullRow) -> Result<SecretValue, Failure> {
        let key_id = &full.sealed.key.key_id;
        let ring = self.ring()?;
        let key = ring
            .find(key_id)
            .ok_or_else(|| no_such_key(key_id, &ring))?;
        let place = self.place(&full.row.mark.coordinate);
        envelope::open(key, place, &full.sealed).map_err(|_| damaged())
    }
}

/// The row is whole, as far as anybody can tell; what is missing is the key.
pub(crate) fn no_such_key(needed: &KeyId, ring: &KeyRing) -> Failure {
    Failure::new(
        ErrorKind::Corrupt,
        format!(
            "sealed under key {needed}, which is not among the keys in force ({}): give that key \
             back to the key file, in any line but the first; nothing was changed",
            ids(ring)
        ),
    )
    .for_want_of(needed)
}

/// Somebody else sealed first, under keys of their own.
pub(crate) fn not_these_keys(needed: &BTreeSet<KeyId>, ring: &KeyRing) -> Failure {
    let needed: Vec<&str> = needed.iter().map(KeyId::as_str).collect();
    Failure::new(
        ErrorKind::Corrupt,
        format!(
            "the keys in force ({}) are not those of this database, whose secrets are sealed under \
             {}: every process needs the same key file; nothing was changed",
            ids(ring),
            needed.join(", ")
        ),
    )
}

fn ids(ring: &KeyRing) -> String {
    let ids: Vec<&str> = ring.keys().iter().map(|key| key.id().as_str()).collect();
    ids.join(", ")
}

pub(crate) fn damaged() -> Failure {
    Failure::new(
        ErrorKind::Corrupt,
        "the stored value does not open: it was altered, or is another secret's; \
         nothing was changed",
    )
}

pub(crate) fn missing() -> Failure {
    Failure::new(ErrorKind::Missing, "there is no such secret")
}

/// Why what is kept under a name is not given out; `None` for what can be read.
pub(crate) fn waiting(row: &Row) -> Option<Failure> {
    let SecretState::ScheduledForDeletion { due } = row.secret_state() else {
        return None;
    };
    let message = match due {
        Some(due) => format!(
            "the secret is deleted and can be restored until a run of expire-orphans purges it, from \
             {due} on"
        ),
        None => {
            "the secret has expired and can be restored until a run of expire-orphans removes it"
                .to_owned()
        }
    };
    Some(Failure::new(ErrorKind::ScheduledForDeletion, message))
}
