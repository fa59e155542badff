//! Reading a document: masked, as stored, or hydrated; and removing it.

use std::collections::BTreeMap;

use cloakroom_core::config::{Held, Revealed, check_nodes, hydrate, mask, parse_json};
use cloakroom_core::ledger::Damage;
use cloakroom_core::store::{RemoveOutcome, StoredDocument};
use cloakroom_core::{
    BackendId, Coordinate, Digest, DocumentId, Error, ErrorKind, KeyRing, Result, Revision,
    SecretJson, SecretValue, StoredSecret,
};
use serde_json::Value;

use crate::Documents;
use crate::put::{DocumentSpec, other_revision};
use crate::secrets::unanswered;

impl Documents {
    /// The configuration with every secret masked, also one whose node the blob lost. `Missing` where
    /// there is no such document, `Corrupt` where its blob or spec is damaged, or where the blob has no
    /// place for a secret that is recorded for it: never a configuration half masked, and none that
    /// lets a secret go where it is put again as it was read.
    pub async fn masked(&self, id: DocumentId) -> Result<Value> {
        let document = self.load(id).await?;
        let spec = self.store.spec(&document.spec).await?;
        let spec = DocumentSpec::read_stored(&spec)?;
        let held = document.references.iter().map(|held| held.pointer.as_str());
        mask(spec.compiled(), blob_of(&document)?, held)
    }

    /// The blob as it is stored, a node in place of each secret.
    pub async fn stored(&self, id: DocumentId) -> Result<Value> {
        blob_of(&self.load(id).await?)
    }

    /// The configuration with its secrets in place. Follows the references recorded for the
    /// document, never a coordinate in the blob. If a value is missing the document is read once
    /// more, since it may just have been updated. What is missing, another value than was put or cannot be
    /// read back is written down, so that putting the value again writes it. `Corrupt`, with the place,
    /// where the nodes of the blob are not those of the recorded references: somebody changed it in the
    /// database, and which of the two is meant nobody can tell. verify-blobs finds the same.
    pub async fn hydrate(&self, id: DocumentId) -> Result<SecretJson> {
        let document = self.load(id).await?;
        let answers = self.ask(&document).await?;
        let is_gone = |(_, answer): &Answer<'_>| answer.as_ref().is_err_and(gone);
        if answers.iter().any(is_gone) {
            let again = self.load(id).await?;
            if again.revision != document.revision {
                let answers = self.ask(&again).await?;
                return self.filled(&again, answers).await;
            }
        }
        self.filled(&document, answers).await
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

    /// Whoever asked gets what the manager has, be it another value than was put: only its owner can tell
    /// whether somebody repaired it there.
    async fn filled(
        &self,
        document: &StoredDocument,
        answers: Vec<Answer<'_>>,
    ) -> Result<SecretJson> {
        let ring = self.keys.ring()?;
        for (held, answer) in &answers {
            let damage = damage_of(&ring, held, answer);
            if damage == Some(Damage::Different) && answer.is_ok() {
                warn_of_altered(document, held);
            }
            if let Some(damage) = damage.filter(|found| is_news(held, *found)) {
                self.report_damage(document, held, damage).await;
            }
        }
        hydrated(document, revealed(document, answers)?)
    }

    /// Best effort: whoever asked is told in any case.
    async fn report_damage(&self, document: &StoredDocument, held: &Held, damage: Damage) {
        let reported = self
            .store
            .report_damage(&held.backend, &held.coordinate, damage)
            .await;
        if let Err(error) = reported {
            tracing::warn!(
                document.id = %document.id,
                document.pointer = held.pointer,
                secret.coordinate = %held.coordinate,
                backend.id = %held.backend,
                damage = damage.as_str(),
                error = %error,
                "could not write down what is wrong with a secret in use; run verify-blobs before its value \
                 is put again"
            );
        }
    }

    /// The value behind each reference, in any order.
    pub(crate) async fn reveal<'d>(
        &self,
        document: &'d StoredDocument,
    ) -> Result<Vec<(&'d Held, SecretValue)>> {
        revealed(document, self.ask(document).await?)
    }

    /// What the managers answer about each reference, in any order.
    async fn ask<'d>(&self, document: &'d StoredDocument) -> Result<Vec<Answer<'d>>> {
        let mut by_backend: BTreeMap<&BackendId, Vec<&Held>> = BTreeMap::new();
        for held in &document.references {
            by_backend.entry(&held.backend).or_default().push(held);
        }
        let mut answers = Vec::with_capacity(document.references.len());
        for (backend, held) in by_backend {
            let coordinates: Vec<Coordinate> =
                held.iter().map(|held| held.coordinate.clone()).collect();
            let values = self.values(backend, &coordinates).await?;
            answers.extend(held.into_iter().zip(values));
        }
        Ok(answers)
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

/// What a manager answered about a reference.
type Answer<'d> = (&'d Held, Result<StoredSecret>);

/// What an answer says is wrong with the stored value. One that is none says nothing, nor does what cannot be
/// opened or compared for want of a key: with that it is what it was.
fn damage_of(ring: &KeyRing, held: &Held, answer: &Result<StoredSecret>) -> Option<Damage> {
    match answer {
        Ok(secret) if is_as_recorded(ring, held, &secret.value) == Some(false) => {
            Some(Damage::Different)
        }
        Err(error) if error.is_missing() => Some(Damage::Missing),
        Err(error) if is_damaged(error) => Some(Damage::Different),
        Ok(_) | Err(_) => None,
    }
}

/// Whether the ledger says less of the stored value. What it does not have as stored it says enough of.
fn is_news(held: &Held, found: Damage) -> bool {
    match held.damage {
        Some(known) => found.beside(Some(known)) != known,
        None => !held.damaged,
    }
}

fn is_damaged(error: &Error) -> bool {
    error.kind() == ErrorKind::Corrupt && error.missing_key().is_none()
}

fn warn_of_altered(document: &StoredDocument, held: &Held) {
    tracing::warn!(
        document.id = %document.id,
        document.pointer = held.pointer,
        secret.coordinate = %held.coordinate,
        backend.id = %held.backend,
        "the value in the manager is not the one that was put: it was changed there"
    );
}

/// The values, if there is one for each reference.
fn revealed<'d>(
    document: &StoredDocument,
    answers: Vec<Answer<'d>>,
) -> Result<Vec<(&'d Held, SecretValue)>> {
    answers
        .into_iter()
        .map(|(held, answer)| match answer {
            Ok(secret) => Ok((held, secret.value)),
            Err(error) => Err(no_value(document.id, held, error)),
        })
        .collect()
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
    let blob = blob_of(document)?;
    check_nodes(&blob, &document.references)?;
    hydrate(blob, revealed)
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
    let what_to_do = if cause.is_missing() {
        ", since the manager does not have it; put the document again with the value"
    } else if is_damaged(&cause) {
        ", since it or its mark is damaged; put the document again with the value"
    } else {
        ""
    };
    Error::new(
        cause.kind(),
        "hydrate the document",
        format!(
            "its secret at {} ({}) cannot be read{what_to_do}",
            held.pointer, held.coordinate
        ),
    )
    .with_backend(&held.backend)
    .with_coordinate(document)
    .with_source(cause)
}
