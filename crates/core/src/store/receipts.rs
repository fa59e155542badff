//! Receipts, chained so that a changed or missing one shows; and what an operator changes in the
//! ledger, with a receipt for each.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::journal::Lease;
use crate::coordinates::{Coordinate, Scope};
use crate::digest::Digest;
use crate::error::Result;
use crate::ids::{BackendId, IntentId, RunId, WorkspaceId};
use crate::platform::SecretName;

/// What was done to one secret, why, and how it ended. Holds no value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Its place in the chain, from 1.
    pub seq: i64,
    /// The run that did it, or the operator's command.
    pub run: RunId,
    /// In which backend.
    pub backend: BackendId,
    /// To which secret: its coordinate, or what its platform calls it.
    pub coordinate: SecretName,
    /// Why: the word of a [`Reason`](crate::ledger::Reason), or one of [`words`].
    pub reason: String,
    /// What the decision rested on.
    pub evidence: String,
    /// How it ended: the word of a [`DeletionOutcome`](crate::ledger::DeletionOutcome), or one of
    /// [`words`].
    pub outcome: String,
    /// When the manager deletes it, or what the failure was.
    pub detail: Option<String>,
    /// The plan that was applied, where one was.
    pub plan: Option<String>,
    /// When it was written down, by the store's clock, to the millisecond.
    pub at: Timestamp,
    /// The hash of the receipt before it.
    pub previous_hash: String,
    /// The hash over everything above.
    pub hash: String,
}

/// The words of receipts that are about no deletion.
pub mod words {
    /// Reason: it bore the store's mark and the ledger had no row for it.
    pub const UNKNOWN_MARKED: &str = "unknown_marked";
    /// Outcome: the ledger has a row for it from now on; or, for the reason `orphaned`, an operator let go
    /// of it. Its time-to-live has begun.
    pub const ADOPTED: &str = "adopted";
    /// Reason: an operator took a run back.
    pub const UNDONE: &str = "undone";
    /// Outcome: it can be read again, and its row is held.
    pub const RESTORED: &str = "restored";
    /// Reason: it was in use and in danger, or a platform had come to mention it again.
    pub const RESCUED: &str = "rescued";
    /// Reason: an operator adopted the epoch of a backend.
    pub const EPOCH: &str = "epoch";
    /// Outcome: the epoch is higher from now on.
    pub const RAISED: &str = "raised";
}

/// Receipts behind a place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptPage {
    /// The receipts, in the order of the chain.
    pub receipts: Vec<Receipt>,
    /// How many receipts the chain has.
    pub length: i64,
    /// The hash of its last one.
    pub head: String,
}

impl Receipt {
    /// The hash it should have, given its content.
    pub fn expected_hash(&self) -> String {
        let mut hash = Sha256::new();
        // Each part with its length, so that no two contents write the same bytes.
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        part(&self.seq.to_be_bytes());
        part(self.run.0.as_bytes());
        part(self.backend.as_str().as_bytes());
        part(self.coordinate.as_str().as_bytes());
        part(self.reason.as_bytes());
        part(self.evidence.as_bytes());
        part(self.outcome.as_bytes());
        part(&[u8::from(self.detail.is_some())]);
        part(self.detail.as_deref().unwrap_or_default().as_bytes());
        part(&self.at.as_millisecond().to_be_bytes());
        part(self.previous_hash.as_bytes());
        // Receipts from before there were plans in them keep the hash they have.
        if let Some(plan) = &self.plan {
            part(plan.as_bytes());
        }
        hex::encode(hash.finalize())
    }
}

/// A secret of ours that the ledger is to know from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adoption {
    /// Which secret.
    pub coordinate: Coordinate,
    /// The digest in its mark.
    pub digest: Digest,
    /// The intent in its mark.
    pub intent: Option<IntentId>,
    /// What it rests on, in words; no value.
    pub evidence: String,
}

impl Adoption {
    /// The workspace it counts to: no document tells, so its name must. An organisation's tells none.
    pub fn workspace(&self) -> Option<WorkspaceId> {
        match self.coordinate.scope()? {
            Scope::Workspace | Scope::OauthWorkspace => self.coordinate.owner().map(WorkspaceId),
            Scope::Organization | Scope::RsmOrganization | Scope::StorageOrganization => None,
        }
    }
}

/// A secret that an undo or a rescue brought back in its manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Which secret.
    pub coordinate: Coordinate,
    /// What it rests on, in words; no value.
    pub evidence: String,
}

/// A secret that an operator lets go of, since its references went another way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetGo {
    /// Which secret.
    pub coordinate: Coordinate,
    /// What it rests on, in words; no value.
    pub evidence: String,
}

/// What an operator changes in the ledger, each change with its receipt in one transaction; and the
/// receipts it rests on.
#[async_trait]
pub trait Receipts: Send + Sync {
    /// The receipts of one run behind `after`, in the order of the chain, at most `limit`.
    async fn receipts_of(&self, run: RunId, after: i64, limit: u32) -> Result<Vec<Receipt>>;

    /// When the run wrote its latest receipt; `None` where it has none. Reads no receipt but asks the
    /// database.
    async fn latest_receipt_of(&self, run: RunId) -> Result<Option<Timestamp>>;

    /// What the run claimed for deletion and wrote no end of: it died at it or left it, and no other run
    /// has claimed it since. Behind `after`, in the order of the coordinates, at most `limit`. The run is
    /// known by its lease, whose holder has its name.
    async fn claimed_by(
        &self,
        run: RunId,
        after: Option<&Coordinate>,
        limit: u32,
    ) -> Result<Vec<(BackendId, Coordinate)>>;

    /// Writes rows for secrets that have none: `Stored`, once referenced, unreferenced since now, so
    /// that the whole time-to-live passes before a job takes them. A row of that name for another
    /// intent, or for another value that no document ever referred to, is taken over where nobody is at
    /// it (no document refers to it, and it is `Deleted`, `Quarantined`, `Deleting` and its claim or
    /// pause over, `Intended` and expired, unreferenced, or held no longer). Any other row is left as it
    /// is and gets no receipt, and so is what the ledger has under another backend's name
    /// ([`known_elsewhere`](crate::ledger::Ledger::known_elsewhere)): a document may refer to it there. The
    /// answers, in the order of the adoptions, say which were written.
    async fn adopt(
        &self,
        run: RunId,
        backend: &BackendId,
        adoptions: &[Adoption],
    ) -> Result<Vec<bool>>;

    /// Writes a receipt for each secret that was in use and in danger and was restored in its manager.
    /// Its row says that it is stored, and stays as it is.
    async fn rescued(&self, run: RunId, backend: &BackendId, restored: &[Restored]) -> Result<()>;

    /// Puts rows that an undo brought back, or that nothing refers to any more, into state `Held`: no job touches them until `hold` has
    /// passed, and then their time-to-live begins; what is held for longer stays so. Rows that are in
    /// use or on their way to be are left alone and get no receipt. The answers, in the order of
    /// `restored`, say which are held. All of it only while `lease` is still its holder's, looked at in
    /// the same transaction: `Unavailable` otherwise, since another run may have deleted it all again.
    async fn hold(
        &self,
        lease: &Lease,
        run: RunId,
        backend: &BackendId,
        restored: &[Restored],
        hold: Duration,
    ) -> Result<Vec<bool>>;

    /// Dates the loss of rows that say a document refers to them and that no document does, as they
    /// stand when they are locked: their time-to-live or grace begins now. Any other row is left as it
    /// is and gets no receipt. The answers, in the order of `items`, say which were let go.
    async fn let_missed_go(
        &self,
        run: RunId,
        backend: &BackendId,
        items: &[LetGo],
    ) -> Result<Vec<bool>>;
}
