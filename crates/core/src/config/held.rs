//! A reference that a stored document holds.

use crate::coordinates::Coordinate;
use crate::digest::Digest;
use crate::ids::BackendId;
use crate::ledger::Damage;
use crate::secret::ValueKind;

/// One reference a stored document holds, with what is known of its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Where in the document.
    pub pointer: String,
    /// In which backend.
    pub backend: BackendId,
    /// To which secret.
    pub coordinate: Coordinate,
    /// How its value was written in the document.
    pub kind: ValueKind,
    /// The keyed digest of its value.
    pub digest: Digest,
    /// Finds the value again where it moved within its array; `None` outside arrays.
    pub array_digest: Option<Digest>,
    /// What was reported of the stored value.
    pub damage: Option<Damage>,
    /// Whether the stored value was reported missing or different, or the ledger does not have it as
    /// stored: an equal value is written again.
    pub damaged: bool,
}
