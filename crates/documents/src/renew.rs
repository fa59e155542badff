//! Writing the secrets of a document again whose digests were made under another key than the first:
//! afterwards nothing needs the others.

use cloakroom_core::config::{Held, Update};
use cloakroom_core::store::StoredDocument;
use cloakroom_core::{Digest, DocumentId, Error, ErrorKind, KeyRing, Result, SecretValue};

use crate::read::hydrated;
use crate::{DocumentSpec, Documents, Put, PutDone};

const OPERATION: &str = "renew the document's digests";

/// What counts as the value that was stored, where the key of its digest is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unprovable {
    /// Nothing does.
    Refuse,
    /// Whatever the backend gives.
    Trust,
}

impl Documents {
    /// Writes every secret of the document again whose digest is not under the first key, as the next
    /// version of its base; the versions before are superseded. `None` where there is none, and
    /// nothing was written.
    ///
    /// Fails with `Corrupt` where a value is not the one that was stored, or where that cannot be
    /// told and `unprovable` refuses it; with `Invalid` where the stored spec does not find a secret that is
    /// recorded; and as [`Documents::put`] does.
    pub async fn renew(&self, id: DocumentId, unprovable: Unprovable) -> Result<Option<PutDone>> {
        let ring = self.keys.ring()?;
        let document = self.load(id).await?;
        let current = ring.current();
        if document
            .references
            .iter()
            .all(|held| held.digest.key() == current.id())
        {
            return Ok(None);
        }
        let revealed = self.reveal(&document).await?;
        for (held, value) in &revealed {
            prove(&document, held, value, &ring, unprovable)?;
        }
        let text = self.store.spec(&document.spec).await?;
        let spec = DocumentSpec::read_stored(&text)?;
        let put = Put {
            id: Some(id),
            workspace: document.workspace,
            spec: &spec,
            config: hydrated(&document, revealed)?,
            if_revision: Some(document.revision),
        };
        // Under this ring no other digest tells an unchanged value.
        let alone = KeyRing::new(vec![current.clone()])?;
        let check = |update: &Update, held: &[Held]| refuse_unmarked(update, held, &text, id);
        self.put_under(put, &alone, check).await.map(Some)
    }
}

/// Where the spec that is stored does not find a recorded secret, whoever mends it is to be told: reads go by
/// that spec too.
fn refuse_unmarked(update: &Update, held: &[Held], spec: &str, id: DocumentId) -> Result<()> {
    let Some(lost) = update.unmarked.first().map(|index| &held[*index]) else {
        return Ok(());
    };
    let message = format!(
        "the spec that it is stored with does not find its secret at {}; put the document with its spec \
         mended (--spec), then renew again. Nothing was changed",
        lost.pointer
    );
    let error = Error::new(ErrorKind::Invalid, OPERATION, message).with_coordinate(id);
    Err(match DocumentSpec::read(spec) {
        Ok(_) => error,
        Err(refusal) => error.with_source(refusal),
    })
}

fn prove(
    document: &StoredDocument,
    held: &Held,
    value: &SecretValue,
    ring: &KeyRing,
    unprovable: Unprovable,
) -> Result<()> {
    let message = match ring.find(held.digest.key()) {
        Some(key) => {
            let digest = Digest::of(key, held.coordinate.base(), held.kind, value);
            if digest == held.digest {
                return Ok(());
            }
            format!(
                "its secret at {} is not the value that was stored; put the document again with it",
                held.pointer
            )
        }
        None if unprovable == Unprovable::Trust => return Ok(()),
        None => format!(
            "whether its secret at {} is the value that was stored cannot be told without key {}; \
             bring that key back, or say that the value is to be trusted",
            held.pointer,
            held.digest.key()
        ),
    };
    Err(Error::new(ErrorKind::Corrupt, OPERATION, message)
        .with_backend(&held.backend)
        .with_coordinate(document.id))
}
