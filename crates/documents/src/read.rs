//! Reading a document: masked, as stored, or hydrated; and removing it.

use std::collections::BTreeMap;

use cloakroom_core::config::{CompiledSpec, Held, Revealed, hydrate, mask, parse_json};
use cloakroom_core::store::{RemoveOutcome, StoredDocument};
use cloakroom_core::{
    BackendId, Coordinate, Digest, DocumentId, Error, ErrorKind, KeyRing, Result, Revision,
    SecretJson, SecretValue, StoredSecret,
};
use serde_json::Value;

use crate::Documents;
use crate::put::other_revision;
use crate::secrets::unanswered;

impl Documents {
    /// The configuration with every secret masked. `Missing` where there is no such document,
    /// `Corrupt` where its blob or spec is damaged: never a configuration half masked.
    pub async fn masked(&self, id: DocumentId) -> Result<Value> {
        let document = self.load(id).await?;
        let spec = self.store.spec(&document.spec).await?;
        let spec = CompiledSpec::compile(&parse_json("read the spec", spec.as_bytes())?)?;
        let held = document.references.iter().map(|held| held.pointer.as_str());
        mask(&spec, blob_of(&document)?, held)
    }

    /// The blob as it is stored, a node in place of each secret.
    pub async fn stored(&self, id: DocumentId) -> Result<Value> {
        blob_of(&self.load(id).await?)
    }

    /// The configuration with its secrets in place. Follows the references recorded for the
    /// document, never a coordinate in the blob. If a value is missing the document is read once
    /// more, since it may just have been updated.
    pub async fn hydrate(&self, id: DocumentId) -> Result<SecretJson> {
        let document = self.load(id).await?;
        match self.hydrate_document(&document).await {
            Err(error) if gone(&error) => {
                let again = self.load(id).await?;
                if again.revision == document.revision {
                    return Err(error);
                }
                self.hydrate_document(&again).await
            }
            done => done,
        }
    }

    /// Removes a document in one transaction; its secrets go later. Gives back the coordinates
    /// that lost their last reference.
    pub async fn remove(
        &self,
        id: DocumentId,
        if_revision: Option<Revision>,
    ) -> Result<Vec<Coordinate>> {
        match self.store.remove(id, if_revision).await? {
            RemoveOutcome::Removed { unreferenced } => {
                tracing::info!(
                    document.id = %id,
                    secrets.unreferenced = unreferenced.len(),
                    "document removed"
                );
                Ok(unreferenced)
            }
            RemoveOutcome::Missing => Err(missing("remove the document", id)),
            RemoveOutcome::LostRace { current } => Err(other_revision(
                "remove the document",
                id,
                current,
                // Without a revision asked for there is no race to lose.
                if_revision.unwrap_or(current),
            )),
        }
    }

    pub(crate) async fn load(&self, id: DocumentId) -> Result<StoredDocument> {
        self.store
            .document(id)
            .await?
            .ok_or_else(|| missing("read the document", id))
    }

    async fn hydrate_document(&self, document: &StoredDocument) -> Result<SecretJson> {
        let revealed = self.reveal(document).await?;
        self.warn_of_altered(document, &revealed)?;
        hydrated(document, revealed)
    }

    /// Whoever asked gets what the manager has: only its owner can tell whether somebody repaired it there.
    fn warn_of_altered(
        &self,
        document: &StoredDocument,
        revealed: &[(&Held, SecretValue)],
    ) -> Result<()> {
        let ring = self.keys.ring()?;
        for (held, value) in revealed {
            if is_as_recorded(&ring, held, value) == Some(false) {
                tracing::warn!(
                    document.id = %document.id,
                    document.pointer = held.pointer,
                    secret.coordinate = %held.coordinate,
                    backend.id = %held.backend,
                    "the value in the manager is not the one that was put: it was changed there"
                );
            }
        }
        Ok(())
    }

    /// The value behind each reference, in any order.
    pub(crate) async fn reveal<'d>(
        &self,
        document: &'d StoredDocument,
    ) -> Result<Vec<(&'d Held, SecretValue)>> {
        let mut by_backend: BTreeMap<&BackendId, Vec<&Held>> = BTreeMap::new();
        for held in &document.references {
            by_backend.entry(&held.backend).or_default().push(held);
        }
        let mut revealed = Vec::with_capacity(document.references.len());
        for (backend, held) in by_backend {
            let coordinates: Vec<Coordinate> =
                held.iter().map(|held| held.coordinate.clone()).collect();
            let values = self.values(backend, &coordinates).await?;
            for (held, value) in held.into_iter().zip(values) {
                let secret = value.map_err(|error| no_value(document.id, held, error))?;
                revealed.push((held, secret.value));
            }
        }
        Ok(revealed)
    }

    /// Every value in one batched read, tried again as a whole where an answer says that it helps.
    pub(crate) async fn values(
        &self,
        backend: &BackendId,
        coordinates: &[Coordinate],
    ) -> Result<Vec<Result<StoredSecret>>> {
        let backend = self.backends.get(backend)?;
        self.settings
            .put
            .run("read the secrets", || async {
                let mut answers = backend.get_many(coordinates).await;
                if answers.len() != coordinates.len() {
                    return Err(unanswered("read the secrets", backend.id()));
                }
                match answers
                    .iter()
                    .position(|answer| answer.as_ref().is_err_and(Error::is_retryable))
                {
                    Some(at) => answers.swap_remove(at).map(|_| Vec::new()),
                    None => Ok(answers),
                }
            })
            .await
    }
}

/// The configuration with its values in place.
pub(crate) fn hydrated(
    document: &StoredDocument,
    revealed: Vec<(&Held, SecretValue)>,
) -> Result<SecretJson> {
    let revealed = revealed.into_iter().map(|(held, value)| Revealed {
        pointer: held.pointer.clone(),
        kind: held.kind,
        value,
    });
    hydrate(blob_of(document)?, revealed)
}

/// Whether a value is the one whose digest was recorded; `None` where the digest's key is gone.
pub(crate) fn is_as_recorded(ring: &KeyRing, held: &Held, value: &SecretValue) -> Option<bool> {
    let key = ring.find(held.digest.key())?;
    Some(Digest::of(key, held.coordinate.base(), held.kind, value) == held.digest)
}

fn blob_of(document: &StoredDocument) -> Result<Value> {
    parse_json("read the document", document.blob.as_bytes()).map_err(|error| {
        Error::new(
            ErrorKind::Corrupt,
            "read the document",
            "its stored blob is damaged; put the whole configuration again to repair it",
        )
        .with_coordinate(document.id)
        .with_source(error)
    })
}

fn gone(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Missing | ErrorKind::ScheduledForDeletion
    )
}

fn missing(operation: &'static str, id: DocumentId) -> Error {
    Error::new(ErrorKind::Missing, operation, "there is no such document").with_coordinate(id)
}

fn no_value(document: DocumentId, held: &Held, cause: Error) -> Error {
    Error::new(
        cause.kind(),
        "hydrate the document",
        format!(
            "its secret at {} ({}) cannot be read",
            held.pointer, held.coordinate
        ),
    )
    .with_backend(&held.backend)
    .with_coordinate(document)
    .with_source(cause)
}
