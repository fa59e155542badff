//! Steps 1 and 2 of the write protocol: intend rows, then put each value with its mark.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard, PoisonError};

use cloakroom_core::capabilities::NativeExpiry;
use cloakroom_core::mutant::{self, Mutant};
use cloakroom_core::store::{Intended, Intent, StoreIdentity, is_same_manager};
use cloakroom_core::{
    BackendId, Coordinate, Digest, Error, ErrorKind, IntentId, KeyRing, Mark, PutRequest, Result,
    SecretBackend, SecretValue, ValueKind, WorkspaceId,
};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::Documents;

/// Names taken by somebody else's bytes that a writer passes over before it gives up. Each is a
/// leftover whose row the ledger does not have; more than a few in a row mean a wrong ledger.
const NAMES_TRIED: usize = 5;

/// Secrets of one document. Each becomes a node of about a hundred bytes, and a stored document has
/// to be read back.
const MOST_SECRETS: usize = 10_000;

/// A value on its way to a backend.
pub(crate) struct NewSecret {
    /// Where in the document, for errors.
    pointer: String,
    pub(crate) backend: BackendId,
    /// Names the base; after the intent, the version that was given.
    pub(crate) coordinate: Coordinate,
    pub(crate) kind: ValueKind,
    value: SecretValue,
    /// The document's; the nil one where no document is to refer to it.
    workspace: WorkspaceId,
    /// The intent that the ledger has its row for, once it has one.
    intent: Option<IntentId>,
}

impl NewSecret {
    /// The row that was written down for it, once it was.
    pub(crate) fn intended(&self) -> Option<Intended> {
        Some(Intended {
            backend: self.backend.clone(),
            coordinate: self.coordinate.clone(),
            intent: self.intent?,
        })
    }

    pub(crate) fn new(
        pointer: String,
        backend: BackendId,
        base: Coordinate,
        kind: ValueKind,
        value: SecretValue,
        workspace: WorkspaceId,
    ) -> Self {
        Self {
            pointer,
            backend,
            coordinate: base,
            kind,
            value,
            workspace,
            intent: None,
        }
    }

    pub(crate) fn value(&self) -> &SecretValue {
        &self.value
    }

    fn digest(&self, ring: &KeyRing) -> Digest {
        Digest::of(
            ring.current(),
            self.coordinate.base(),
            self.kind,
            &self.value,
        )
    }

    fn intent(&self, ring: &KeyRing, id: IntentId) -> Intent {
        Intent {
            base: self.coordinate.clone(),
            kind: self.kind,
            digest: self.digest(ring),
            id,
            workspace: self.workspace,
        }
    }
}

impl Documents {
    /// Intends and puts every secret; on failure all their rows are expired.
    pub(crate) async fn write_new(
        &self,
        mut new: Vec<NewSecret>,
        ring: &KeyRing,
    ) -> Result<Vec<NewSecret>> {
        if new.is_empty() {
            return Ok(new);
        }
        self.fit(&new)?;
        let done = match self.intend(&mut new, ring).await {
            Ok(()) => self.put_all(&mut new, ring).await,
            failed => failed,
        };
        if let Err(error) = done {
            self.give_up(&new).await;
            return Err(error);
        }
        Ok(new)
    }

    /// Puts every value: as many in one call as the backend takes, and the calls side by side.
    async fn put_all(&self, new: &mut [NewSecret], ring: &KeyRing) -> Result<()> {
        let identity = self.store.identity().await?;
        let mut by_backend: BTreeMap<BackendId, Vec<&mut NewSecret>> = BTreeMap::new();
        for secret in new {
            by_backend
                .entry(secret.backend.clone())
                .or_default()
                .push(secret);
        }
        let mut calls = Vec::new();
        for (backend, mut left) in by_backend {
            let backend = self.backends.get(&backend)?;
            let batch = backend.capabilities().put_batch.max(1);
            while !left.is_empty() {
                let behind = left.split_off(batch.min(left.len()));
                calls.push(self.put_call(
                    backend,
                    std::mem::replace(&mut left, behind),
                    ring,
                    &identity,
                ));
            }
        }
        stream::iter(calls)
            .buffer_unordered(self.settings.puts_in_flight.max(1))
            .try_collect()
            .await
    }

    /// One call; what it did not take is tried by itself.
    async fn put_call(
        &self,
        backend: &Arc<dyn SecretBackend>,
        mut call: Vec<&mut NewSecret>,
        ring: &KeyRing,
        identity: &StoreIdentity,
    ) -> Result<()> {
        if let [only] = &mut *call {
            return self.put_one(only, ring, identity, false).await;
        }
        let requests: Vec<PutRequest> = call
            .iter()
            .map(|secret| self.request(secret, ring, identity, false))
            .collect();
        let answers = self
            .settings
            .put
            .run("put the secrets", || async {
                Ok(backend.put_many(&requests).await)
            })
            .await?;
        if answers.len() != call.len() {
            return Err(unanswered("put the secrets", &call[0].backend));
        }
        for (secret, answer) in call.into_iter().zip(answers) {
            match answer {
                Ok(_) => {}
                Err(error) if error.is_retryable() || taken(&error) => {
                    self.put_one(secret, ring, identity, false).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Refuses what the backends cannot hold, before anything is written.
    pub(crate) fn fit(&self, new: &[NewSecret]) -> Result<()> {
        if new.len() > MOST_SECRETS {
            let message = format!(
                "the document has {} secrets to be written and may have {MOST_SECRETS}; nothing \
                 was written",
                new.len()
            );
            return Err(Error::new(ErrorKind::TooLarge, "put the secrets", message));
        }
        new.iter().try_for_each(|secret| self.fits(secret))
    }

    fn fits(&self, secret: &NewSecret) -> Result<()> {
        let capabilities = self.backends.get(&secret.backend)?.capabilities();
        let length = secret.value.len();
        if (capabilities.least_bytes..=capabilities.most_bytes).contains(&length) {
            return Ok(());
        }
        let message = format!(
            "the value has {length} bytes and the backend takes {} to {}; nothing was written",
            capabilities.least_bytes, capabilities.most_bytes
        );
        Err(Error::new(ErrorKind::TooLarge, "put the secret", message)
            .with_backend(&secret.backend)
            .with_coordinate(&secret.pointer))
    }

    pub(crate) async fn intend(&self, new: &mut [NewSecret], ring: &KeyRing) -> Result<()> {
        for secret in &*new {
            self.note_manager(&secret.backend).await?;
        }
        self.intend_unnoted(new, ring).await
    }

    /// The same by whoever only tries a backend out: what its name means is for those to say who use it.
    pub(crate) async fn intend_unnoted(&self, new: &mut [NewSecret], ring: &KeyRing) -> Result<()> {
        let mut by_backend: BTreeMap<BackendId, Vec<usize>> = BTreeMap::new();
        for (index, secret) in new.iter().enumerate() {
            by_backend
                .entry(secret.backend.clone())
                .or_default()
                .push(index);
        }
        for (backend, indices) in by_backend {
            let intents: Vec<Intent> = indices
                .iter()
                .map(|&index| new[index].intent(ring, IntentId(self.randomness.uuid())))
                .collect();
            let coordinates = self
                .store
                .intend(&backend, &intents, self.settings.expires_in)
                .await?;
            for ((index, coordinate), intent) in indices.into_iter().zip(coordinates).zip(intents) {
                new[index].coordinate = coordinate;
                new[index].intent = Some(intent.id);
            }
        }
        Ok(())
    }

    /// Has the store remember which manager a backend's name means: names that are swapped later delete
    /// nothing. Once for each backend and process.
    async fn note_manager(&self, backend: &BackendId) -> Result<()> {
        if self.noted().contains(backend) {
            return Ok(());
        }
        let manager = self.backends.get(backend)?.manager();
        let known = self.store.note_manager(backend, manager).await?;
        if !is_same_manager(&known, manager) {
            tracing::warn!(
                backend.id = %backend, manager, manager.known = known,
                "this backend's name meant another manager before: no job deletes there until the \
                 configuration is put right, or `reconciler epoch adopt --manager` says that this is the one"
            );
        }
        self.noted().insert(backend.clone());
        Ok(())
    }

    fn noted(&self) -> MutexGuard<'_, BTreeSet<BackendId>> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts one value. A name that is taken by other bytes is left to them: the writer takes the
    /// next number.
    pub(crate) async fn put_one(
        &self,
        secret: &mut NewSecret,
        ring: &KeyRing,
        identity: &StoreIdentity,
        ephemeral: bool,
    ) -> Result<()> {
        let backend = self.backends.get(&secret.backend)?.clone();
        for _ in 1..NAMES_TRIED {
            match self
                .put_value(&*backend, secret, ring, identity, ephemeral)
                .await
            {
                Err(error) if taken(&error) && mutant::on(Mutant::ConflictReadAsStored) => {
                    return Ok(());
                }
                Err(error) if taken(&error) => {
                    let given_up = secret.coordinate.clone();
                    self.intend(std::slice::from_mut(secret), ring).await?;
                    self.store.abandon(&secret.backend, &[given_up]).await?;
                }
                done => return done,
            }
        }
        self.put_value(&*backend, secret, ring, identity, ephemeral)
            .await
    }

    async fn put_value(
        &self,
        backend: &dyn SecretBackend,
        secret: &NewSecret,
        ring: &KeyRing,
        identity: &StoreIdentity,
        ephemeral: bool,
    ) -> Result<()> {
        let expires = ephemeral && backend.capabilities().native_expiry != NativeExpiry::Absent;
        let request = self.request(secret, ring, identity, expires);
        self.settings
            .put
            .run("put the secret", || backend.put(&request))
            .await?;
        Ok(())
    }

    pub(crate) fn request(
        &self,
        secret: &NewSecret,
        ring: &KeyRing,
        identity: &StoreIdentity,
        expires: bool,
    ) -> PutRequest {
        PutRequest {
            mark: Mark {
                store: identity.store,
                deployment: identity.deployment.clone(),
                coordinate: secret.coordinate.clone(),
                digest: secret.digest(ring),
                intent: secret.intent,
            },
            value: secret.value.clone(),
            native_expiry: (expires || mutant::on(Mutant::ExpiryOnReferenced))
                .then_some(self.settings.expires_in),
        }
    }

    /// Expires the rows of a writer that failed. If this fails too, they expire by themselves.
    pub(crate) async fn give_up(&self, new: &[NewSecret]) {
        let mut rows: BTreeMap<&BackendId, Vec<Coordinate>> = BTreeMap::new();
        for secret in new.iter().filter(|secret| secret.intent.is_some()) {
            rows.entry(&secret.backend)
                .or_default()
                .push(secret.coordinate.clone());
        }
        for (backend, coordinates) in rows {
            if let Err(error) = self.store.abandon(backend, &coordinates).await {
                tracing::warn!(
                    backend.id = %backend,
                    secrets.count = coordinates.len(),
                    error = %error,
                    "could not expire the rows of a failed write; they expire by themselves"
                );
            }
        }
    }
}

/// A backend that leaves answers out has not said that it did what was asked.
pub(crate) fn unanswered(operation: &'static str, backend: &BackendId) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        operation,
        "the backend did not answer for every secret",
    )
    .with_backend(backend)
}

/// Whether a put found what somebody else has under the name.
pub(crate) fn taken(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Conflict | ErrorKind::ScheduledForDeletion
    )
}
