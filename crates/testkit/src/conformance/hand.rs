//! What every law begins with: a store that writes, its names, marks and values.

use cloakroom_core::keys::{KEY_BYTES, Key};
use cloakroom_core::{
    Coordinate, DeleteMode, Description, Digest, Error, ErrorKind, Grammar, IntentId, Mark,
    PageToken, PutOutcome, PutRequest, Randomness as _, Result, Scope, SecretBackend, SecretValue,
    StoreId, StoredSecret, SystemRandomness, ValueKind, Version,
};
use uuid::Uuid;

use super::Subject;
use super::verdict::{Broken, Verdict, ensure, ensure_eq};
use crate::canary::marked;

/// More pages than any law's secrets can fill.
const MOST_PAGES: usize = 100_000;

/// The largest batch a law writes secrets for.
pub(crate) const MOST: usize = 1_000;

/// One store that puts secrets.
pub(crate) struct Hand {
    store: StoreId,
    owner: Uuid,
    key: Key,
    /// Of everything it puts: it never puts twice under one name but to repeat itself.
    intent: IntentId,
}

impl Hand {
    /// A store of its own. Ids are never those of an earlier run: managers remember names.
    pub(crate) fn new() -> Self {
        Self {
            store: StoreId(SystemRandomness.uuid()),
            owner: SystemRandomness.uuid(),
            key: Key::derive([7; KEY_BYTES]),
            intent: IntentId(SystemRandomness.uuid()),
        }
    }

    /// The same store in a copy of its database: what it puts are intents of its own.
    pub(crate) fn in_a_copy(&self) -> Self {
        Self {
            store: self.store,
            owner: self.owner,
            ..Self::new()
        }
    }

    /// A name that was never used.
    pub(crate) fn coordinate(&self) -> Coordinate {
        let secret = SystemRandomness.uuid();
        Grammar::default().managed(Scope::Workspace, self.owner, secret, Version::FIRST)
    }

    /// As many of them.
    pub(crate) fn coordinates(&self, count: usize) -> Vec<Coordinate> {
        (0..count).map(|_| self.coordinate()).collect()
    }

    /// A put of this store's.
    pub(crate) fn request(&self, coordinate: &Coordinate, value: &SecretValue) -> PutRequest {
        PutRequest {
            mark: self.mark(coordinate, value),
            value: value.clone(),
            native_expiry: None,
        }
    }

    /// The mark this store would write.
    pub(crate) fn mark(&self, coordinate: &Coordinate, value: &SecretValue) -> Mark {
        Mark {
            store: self.store,
            deployment: "conformance".to_owned(),
            coordinate: coordinate.clone(),
            digest: Digest::of(&self.key, coordinate.base(), ValueKind::Text, value),
            intent: Some(self.intent),
        }
    }

    /// Puts a value under a name that must be free.
    pub(crate) async fn create(
        &self,
        backend: &dyn SecretBackend,
        coordinate: &Coordinate,
        value: &SecretValue,
    ) -> Verdict {
        let outcome = backend.put(&self.request(coordinate, value)).await?;
        ensure_eq(&outcome, &PutOutcome::Created, "a put on a free name")
    }

    /// Puts one new secret.
    pub(crate) async fn create_one(
        &self,
        backend: &dyn SecretBackend,
    ) -> Result<(Coordinate, SecretValue), Broken> {
        let coordinate = self.coordinate();
        let value = value_of(&coordinate);
        self.create(backend, &coordinate, &value).await?;
        Ok((coordinate, value))
    }

    /// Breaks the law unless the secret is there just as this store put it.
    pub(crate) async fn ensure_there(
        &self,
        backend: &dyn SecretBackend,
        coordinate: &Coordinate,
        value: &SecretValue,
    ) -> Verdict {
        let stored = backend.get(coordinate).await?;
        self.ensure_stored(&stored, coordinate, value)
    }

    /// The same of what was read already.
    pub(crate) fn ensure_stored(
        &self,
        stored: &StoredSecret,
        coordinate: &Coordinate,
        value: &SecretValue,
    ) -> Verdict {
        ensure(stored.value == *value, || {
            format!("{coordinate} has another value than was put")
        })?;
        ensure_eq(
            &stored.mark,
            &Some(self.mark(coordinate, value)),
            "the mark of the value read",
        )
    }
}

/// Breaks the law unless a put found the same bytes there, as far as that can be told.
pub(crate) fn ensure_repeated<S: Subject + ?Sized>(
    subject: &S,
    outcome: PutOutcome,
    what: &str,
) -> Verdict {
    if outcome == PutOutcome::Created && subject.knows_repetitions() {
        return Ok(());
    }
    ensure_eq(&outcome, &PutOutcome::AlreadyThere, what)
}

/// A value that no other name has; ASCII, so that every manager takes it.
pub(crate) fn value_of(coordinate: &Coordinate) -> SecretValue {
    marked(coordinate.as_str())
}

/// Another value of the same length, marked as well.
pub(crate) fn as_long_as(value: &SecretValue) -> SecretValue {
    let mut bytes = value.expose().to_vec();
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
    SecretValue::new(bytes)
}

/// The whole listing.
pub(crate) async fn list_all(backend: &dyn SecretBackend) -> Result<Vec<Description>, Broken> {
    let mut secrets = Vec::new();
    let mut next = None;
    for _ in 0..MOST_PAGES {
        let page = backend.list(next.as_ref()).await?;
        secrets.extend(page.secrets);
        next = page.next;
        if next.is_none() {
            return Ok(secrets);
        }
    }
    Err(Broken::new("the listing never ends"))
}

/// The listed descriptions of one secret.
pub(crate) async fn listed(
    backend: &dyn SecretBackend,
    coordinate: &Coordinate,
) -> Result<Vec<Description>, Broken> {
    let mut all = list_all(backend).await?;
    all.retain(|secret| secret.coordinate == *coordinate);
    Ok(all)
}

/// A page token that cannot have been looked into.
pub(crate) fn opaque(token: &PageToken) -> PageToken {
    PageToken(token.0.to_string().into())
}

/// The plainest deletion that the manager has: for good where it can, else with its shortest window.
pub(crate) fn plainly(backend: &dyn SecretBackend) -> DeleteMode {
    if backend.capabilities().final_deletion {
        return DeleteMode::Final;
    }
    window(backend).unwrap_or(DeleteMode::Final)
}

/// A recovery window the manager takes; its capabilities say that there is one.
pub(crate) fn window(backend: &dyn SecretBackend) -> Result<DeleteMode> {
    let recovery = backend.capabilities().recovery.ok_or_else(|| {
        Error::new(
            ErrorKind::Unsupported,
            "choose a recovery window",
            "there is no recovery",
        )
    })?;
    Ok(DeleteMode::Recoverable(recovery.shortest))
}
