//! Documents, and the transactions of the write protocol.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::Held;
use crate::coordinates::Coordinate;
use crate::digest::Digest;
use crate::error::Result;
use crate::ids::{BackendId, DocumentId, IntentId, Revision, StoreId, WorkspaceId};
use crate::ledger::{Damage, LedgerRow, RowState};
use crate::secret::ValueKind;

/// Which store this is; every mark names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreIdentity {
    /// Made once, when the store was.
    pub store: StoreId,
    /// The deployment's name in the configuration.
    pub deployment: String,
    /// The highest epoch of its backends; see [`Epochs`](super::Epochs).
    pub epoch: i64,
}

/// A document as it is stored: no secret in it.
#[derive(Clone, Debug)]
pub struct StoredDocument {
    /// Its id.
    pub id: DocumentId,
    /// Whose it is.
    pub workspace: WorkspaceId,
    /// How often it has been written.
    pub revision: Revision,
    /// The spec it was put with; see [`DocumentStore::spec`].
    pub spec: SpecId,
    /// The JSON text of the blob, with a node in place of each secret. It is what the database
    /// holds, which may be damaged.
    pub blob: String,
    /// The references recorded for it.
    pub references: Vec<Held>,
}

/// Names a spec by its content: the SHA-256 of its text in hex.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SpecId(pub String);

/// A spec to be kept with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Its name.
    pub id: SpecId,
    /// Its JSON text.
    pub text: String,
}

/// A secret a writer means to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Names the base; the store chooses the version.
    pub base: Coordinate,
    /// How the value was written in the document.
    pub kind: ValueKind,
    /// The keyed digest of the value.
    pub digest: Digest,
    /// Never used before, so that it tells this intent from all others.
    pub id: IntentId,
    /// The workspace of the document it is for, whatever the base names; the nil one for a secret of a
    /// check or discover.
    pub workspace: WorkspaceId,
}

/// A reference as a commit writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewReference {
    /// Where in the document.
    pub pointer: String,
    /// In which backend.
    pub backend: BackendId,
    /// To which secret.
    pub coordinate: Coordinate,
    /// Finds the value again where it moved within its array; `None` outside arrays.
    pub array_digest: Option<Digest>,
}

/// What the writer saw before it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// There is no such document.
    Absent,
    /// The document stood at this revision.
    At(Revision),
}

/// The last transaction of a put.
#[derive(Clone, Debug)]
pub struct DocumentCommit {
    /// Which document.
    pub id: DocumentId,
    /// Whose it is.
    pub workspace: WorkspaceId,
    /// Its spec.
    pub spec: Spec,
    /// The JSON text of the blob.
    pub blob: String,
    /// What the writer saw before it began.
    pub expected: Expected,
    /// Every reference the document has from now on.
    pub references: Vec<NewReference>,
    /// What of `references` this writer intended; the others are kept.
    pub intended: Vec<Intended>,
}

/// What a writer's row was written for. A database that was restored meanwhile may have given the same number to
/// another writer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intended {
    /// In which backend.
    pub backend: BackendId,
    /// The number that was given.
    pub coordinate: Coordinate,
    /// The intent it was given for.
    pub intent: IntentId,
}

impl Intended {
    /// The name of its row.
    pub fn key(&self) -> (BackendId, Coordinate) {
        (self.backend.clone(), self.coordinate.clone())
    }
}

/// How a commit ended. Only `Committed` changed anything but expiries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// Done.
    Committed {
        /// The document's revision now.
        revision: Revision,
        /// What lost its last reference.
        unreferenced: Vec<Coordinate>,
    },
    /// Another writer was first; this one's rows are expired.
    LostRace {
        /// The revision that stands; `None` where the document is gone.
        current: Option<Revision>,
    },
    /// An intended row is no longer intended and unexpired, or a kept row no longer stored; this
    /// writer's rows are expired.
    Expired,
}

/// How a removal ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemoveOutcome {
    /// Gone; these secrets lost their last reference.
    Removed {
        /// What lost its last reference.
        unreferenced: Vec<Coordinate>,
    },
    /// There is no such document.
    Missing,
    /// It stands at another revision than expected.
    LostRace {
        /// The revision that stands.
        current: Revision,
    },
}

/// A line in a list of documents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentSummary {
    /// Its id.
    pub id: DocumentId,
    /// Whose it is.
    pub workspace: WorkspaceId,
    /// How often it has been written.
    pub revision: Revision,
    /// When it was last written.
    pub updated: Timestamp,
    /// How many secrets it refers to.
    pub secrets: u64,
}

/// Which secrets a list shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretFilter {
    /// Only those of this backend.
    pub backend: Option<BackendId>,
    /// Only those written for documents of this workspace.
    pub owner: Option<WorkspaceId>,
    /// Only versions of this base.
    pub base: Option<String>,
    /// Only those in this state.
    pub state: Option<RowState>,
}

/// Some rows of the ledger. One that cannot be read hides none of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretPage {
    /// Those that can be read, in their order.
    pub rows: Vec<LedgerRow>,
    /// The others.
    pub unreadable: Vec<UnreadableRow>,
    /// Behind which one the next page begins; `None` behind the last.
    pub next: Option<(BackendId, Coordinate)>,
}

/// A row of the ledger that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnreadableRow {
    /// Its coordinate, where that can be read.
    pub coordinate: Option<Coordinate>,
    /// What of its keys can be read.
    pub unreadable: String,
    /// What is wrong with it, and what to do.
    pub error: String,
}

impl fmt::Display for UnreadableRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a row of the ledger ({}): {}",
            self.unreadable, self.error
        )
    }
}

/// Documents and the transactions of the write protocol.
#[async_trait]
pub trait DocumentStore: Send + Sync {
    /// Which store this is.
    async fn identity(&self) -> Result<StoreIdentity>;

    /// One document, or `None`.
    async fn document(&self, id: DocumentId) -> Result<Option<StoredDocument>>;

    /// The text of a spec; `Missing` where there is none.
    async fn spec(&self, id: &SpecId) -> Result<String>;

    /// Documents behind `after` in the order of their ids, at most `limit`.
    async fn list_documents(
        &self,
        workspace: Option<WorkspaceId>,
        after: Option<DocumentId>,
        limit: u32,
    ) -> Result<Vec<DocumentSummary>>;

    /// Ledger rows behind `after` in the order of backend and coordinate text, at most `limit`; a row
    /// whose keys cannot be read comes on top of these.
    async fn list_secrets(
        &self,
        filter: &SecretFilter,
        after: Option<(BackendId, Coordinate)>,
        limit: u32,
    ) -> Result<SecretPage>;

    /// Documents and pointers that refer to one secret, in the order of their ids, at most `limit`; `None` for a
    /// document whose id cannot be read.
    async fn referrers(
        &self,
        backend: &BackendId,
        coordinate: &Coordinate,
        limit: u32,
    ) -> Result<Vec<(Option<DocumentId>, String)>>;

    /// Writes down which manager a backend's name means, where nothing is written down yet, and gives back
    /// the one that is.
    async fn note_manager(&self, backend: &BackendId, manager: &str) -> Result<String>;

    /// Step 1: rows `Intended`, each one version above the highest its base ever had in any state,
    /// expiring after `expires_in`. The coordinates are in the order of the intents.
    async fn intend(
        &self,
        backend: &BackendId,
        intents: &[Intent],
        expires_in: Duration,
    ) -> Result<Vec<Coordinate>>;

    /// An ephemeral secret was put: its row becomes `Stored` and keeps its expiry.
    /// `Conflict` where the row is no longer intended and unexpired.
    async fn confirm_ephemeral(&self, backend: &BackendId, coordinate: &Coordinate) -> Result<()>;

    /// Step 3: compare-and-swap the revision, write blob and references, rows become `Stored`.
    async fn commit(&self, commit: &DocumentCommit) -> Result<CommitOutcome>;

    /// A reader asked the manager directly for a secret in use, and it does not have it or has another
    /// value: from now on an equal value is written again, until verify-blobs sees there what was put.
    /// `Missing` where the ledger has no such row.
    async fn report_damage(
        &self,
        backend: &BackendId,
        coordinate: &Coordinate,
        damage: Damage,
    ) -> Result<()>;

    /// The writer gives up: its intended rows expire now.
    async fn abandon(&self, backend: &BackendId, coordinates: &[Coordinate]) -> Result<()>;

    /// Removes a document and its references; the secrets go later.
    async fn remove(&self, id: DocumentId, expected: Option<Revision>) -> Result<RemoveOutcome>;
}
