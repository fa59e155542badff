//! References: which document uses which secret, from our own store or a platform's database.

use async_trait::async_trait;

use super::documents::SpecId;
use crate::coordinates::Coordinate;
use crate::digest::Digest;
use crate::error::Result;
use crate::ids::{BackendId, DocumentId};
use crate::ledger::{Damage, RowState};
use crate::secret::ValueKind;

/// A reference as the jobs see it, with what the ledger says of its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceRow {
    /// Which document.
    pub document: DocumentId,
    /// Where in the document.
    pub pointer: String,
    /// To which secret.
    pub coordinate: Coordinate,
    /// The ledger's row, where there is one that can be read.
    pub ledger: Option<ReferencedRow>,
    /// Why the ledger's row cannot be read, where it cannot.
    pub unreadable: Option<String>,
}

/// What verify-blobs needs of a referenced secret's ledger row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferencedRow {
    /// Where the row stands.
    pub state: RowState,
    /// How its value was written in the document.
    pub kind: ValueKind,
    /// The digest recorded.
    pub digest: Digest,
    /// What was last found wrong.
    pub damage: Option<Damage>,
}

/// A whole document as the jobs see it. What the ledger says of its secrets is not here: they lie all
/// over the ledger, and [`ReferenceSource::references`] goes through them in its order.
#[derive(Clone, Debug)]
pub struct DocumentRow {
    /// Which document.
    pub id: DocumentId,
    /// The spec it was put with.
    pub spec: SpecId,
    /// The JSON text of its blob, as the database holds it.
    pub blob: String,
    /// The references recorded for it, ordered by pointer text.
    pub references: Vec<RecordedReference>,
    /// Why what is recorded for it cannot be read, for each column that cannot: references are missing above,
    /// or the blob is not what was written.
    pub unreadable: Vec<String>,
}

/// A reference as it is recorded for its document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedReference {
    /// Where in the document.
    pub pointer: String,
    /// In which backend.
    pub backend: BackendId,
    /// To which secret.
    pub coordinate: Coordinate,
}

/// Where a scan of references goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceCursor {
    /// The coordinate of the last reference seen.
    pub coordinate: Coordinate,
    /// Its document.
    pub document: DocumentId,
    /// Its place in the document.
    pub pointer: String,
}

impl From<&ReferenceRow> for ReferenceCursor {
    fn from(last: &ReferenceRow) -> Self {
        Self {
            coordinate: last.coordinate.clone(),
            document: last.document,
            pointer: last.pointer.clone(),
        }
    }
}

/// Where references come from: our own store, or a platform's database read live.
#[async_trait]
pub trait ReferenceSource: Send + Sync {
    /// References into one backend behind `after`, ordered by coordinate text (byte by byte), then
    /// document, then pointer; at most `limit`. One whose own row cannot be read is left out:
    /// [`DocumentRow::unreadable`] tells it.
    async fn references(
        &self,
        backend: &BackendId,
        after: Option<&ReferenceCursor>,
        limit: u32,
    ) -> Result<Vec<ReferenceRow>>;

    /// Whole documents behind `after` in the order of their ids, at most `limit`.
    async fn documents(&self, after: Option<DocumentId>, limit: u32) -> Result<Vec<DocumentRow>>;

    /// The text of a spec.
    async fn spec_text(&self, id: &SpecId) -> Result<String>;
}
