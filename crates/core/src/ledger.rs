//! The ledger of secrets: one row for each secret Cloakroom ever meant to write, and what the jobs
//! ask of it.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::coordinates::Coordinate;
use crate::digest::Digest;
use crate::error::{ErrorKind, Result};
use crate::ids::{BackendId, IntentId, RunId};
use crate::mark::Mark;
use crate::secret::ValueKind;
use crate::store::{Lease, SecretPage};

/// Where a row stands. `Intended → Stored → Deleting → Deleted`; a row is never removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowState {
    /// A writer means to store it; it may or may not be in the manager.
    Intended,
    /// It is in the manager.
    Stored,
    /// A job decided to delete it; no writer can attach it any more.
    Deleting,
    /// Gone. The row stays so that the name is never lent to another value.
    Deleted,
    /// An undo brought it back; no job touches it until a date.
    Held,
    /// Its deletion failed too often; parked with its last error.
    Quarantined,
}

impl RowState {
    /// Every state, in the order of a row's life.
    pub const ALL: [Self; 6] = [
        Self::Intended,
        Self::Stored,
        Self::Deleting,
        Self::Deleted,
        Self::Held,
        Self::Quarantined,
    ];

    /// The state as a stable lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intended => "intended",
            Self::Stored => "stored",
            Self::Deleting => "deleting",
            Self::Deleted => "deleted",
            Self::Held => "held",
            Self::Quarantined => "quarantined",
        }
    }

    /// The state of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// How a stored value was found to differ from what the ledger says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Damage {
    /// The manager, asked directly, does not have it, or has it switched off.
    Missing,
    /// The manager holds another value.
    Different,
}

impl Damage {
    /// What is known once this was found, too. That the value is another one outlasts its absence: only
    /// reading it tells that it is right again.
    #[must_use]
    pub fn beside(self, known: Option<Self>) -> Self {
        known
            .filter(|known| *known == Self::Different)
            .unwrap_or(self)
    }

    /// The damage as a stable lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Different => "different",
        }
    }

    /// The damage of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Missing, Self::Different]
            .into_iter()
            .find(|damage| damage.as_str() == word)
    }
}

/// One row. All times are the store's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerRow {
    /// The backend it is in.
    pub backend: BackendId,
    /// Its coordinate.
    pub coordinate: Coordinate,
    /// How its value was written in the document.
    pub kind: ValueKind,
    /// Where it stands.
    pub state: RowState,
    /// The keyed digest of its value.
    pub digest: Digest,
    /// The intent it was written for, as the mark in the manager has it; `None` in rows that older
    /// versions wrote.
    pub intent: Option<IntentId>,
    /// Whether a document ever referred to it.
    pub once_referenced: bool,
    /// When it was intended.
    pub created: Timestamp,
    /// When it expires; `None` once a document refers to it.
    pub expires: Option<Timestamp>,
    /// Since when no document refers to it.
    pub unreferenced_since: Option<Timestamp>,
    /// Whether it lost its last reference to a higher version of its base.
    pub superseded: bool,
    /// Failed deletions so far.
    pub attempts: u32,
    /// Not to be tried before.
    pub next_attempt: Option<Timestamp>,
    /// The holder of the lease under which it was claimed last, where it was not written down how that ended.
    pub claimed_by: Option<String>,
    /// What the last failed deletion met.
    pub last_error: Option<String>,
    /// What verify-blobs last found wrong with the stored value.
    pub damage: Option<Damage>,
}

/// Why a secret is to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A writer intended it and never came to refer to it.
    Abandoned,
    /// A secret of a check or discover, past its two hours.
    Ephemeral,
    /// It lost its last reference and no higher version took its place.
    Orphaned,
    /// A higher version of its base is referenced.
    Superseded,
    /// Its row says deleted and the manager lists it: a put landed late.
    Resurfaced,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 5] = [
        Self::Abandoned,
        Self::Ephemeral,
        Self::Orphaned,
        Self::Superseded,
        Self::Resurfaced,
    ];

    /// The reason as a stable lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Abandoned => "abandoned",
            Self::Ephemeral => "ephemeral",
            Self::Orphaned => "orphaned",
            Self::Superseded => "superseded",
            Self::Resurfaced => "resurfaced",
        }
    }
}

/// How long things are left alone before a job may take them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Windows {
    /// How long after its expiry a put of a dead writer may still land.
    pub put_deadline: Duration,
    /// How long a secret without reference or successor stays.
    pub orphan_ttl: Duration,
    /// How long a superseded version stays, from the moment its reference was lost.
    pub superseded_grace: Duration,
    /// How many superseded versions of each base stay whatever their age.
    pub keep_superseded: u32,
}

impl Default for Windows {
    fn default() -> Self {
        Self {
            put_deadline: Duration::from_mins(5),
            orphan_ttl: Duration::from_hours(2),
            superseded_grace: Duration::from_hours(24),
            keep_superseded: 0,
        }
    }
}

/// A class of rows that a job may find due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DueClass {
    /// `Deleting` and nobody at it: a run that was cut off, or a failure whose pause is over.
    Resumable,
    /// Past its expiry and never referenced: reason `Abandoned` or `Ephemeral`.
    Expired,
    /// Unreferenced without successor past the time-to-live: reason `Orphaned`.
    Orphaned,
    /// Superseded past its grace: reason `Superseded`.
    Superseded,
}

/// Where a scan of due rows goes on: by the time that made the row due, then by coordinate text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DueCursor {
    /// The expiry, loss of reference or next attempt of the last row seen.
    pub at: Timestamp,
    /// Its coordinate.
    pub coordinate: Coordinate,
}

/// A row that is due, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The row as it was when scanned.
    pub row: LedgerRow,
    /// Why it is due.
    pub reason: Reason,
    /// The referenced higher version, where there is one.
    pub superseded_by: Option<Coordinate>,
    /// Where the scan goes on behind it.
    pub cursor: DueCursor,
}

/// Counts that the guards rest on. Taken by index, without reading what is not due.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Census {
    /// Whether at least one reference into the backend exists.
    pub any_live_reference: bool,
    /// Where none does: whether something says that there should be one, such as a stored row that was
    /// in use and that no document let go. Whoever drops a last reference writes down when, in the same
    /// transaction, so then the references went another way.
    #[serde(default)]
    pub references_missed: bool,
    /// Rows that are due and were never referenced.
    pub due_never_referenced: u64,
    /// Rows that are due and were once referenced.
    pub due_once_referenced: u64,
    /// Rows once referenced that are still in the manager, due ones included. Counted only where
    /// at least as many as the caller asked about are due; otherwise `None`.
    pub once_referenced: Option<u64>,
    /// The same by workspace, for those with at least as many due as the caller asked about. What nobody
    /// knows the workspace of is in none.
    pub owners: Vec<OwnerCensus>,
}

/// The share of one workspace in what is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerCensus {
    /// The workspace of the documents they were written for.
    pub owner: uuid::Uuid,
    /// Its rows that are due and were once referenced.
    pub due: u64,
    /// Its rows once referenced that are still in the manager.
    pub once_referenced: u64,
}

/// What is of no use to anybody and still in the manager: what is due, what is on its way out, and what
/// is parked because it could not be deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unused {
    /// Secrets that a higher version of their base took the place of.
    pub superseded: u64,
    /// All others.
    pub orphaned: u64,
    /// Since when the oldest of the others has been of no use: since it lost its reference, or since
    /// its writer's time was over.
    pub oldest_orphan: Option<Timestamp>,
}

/// Deletions that were begun or given up, and that no run can go on with now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// Rows in `Deleting` that wait: for the pause after a failure, or for a claim to lapse.
    pub waiting: u64,
    /// Of these, the ones whose last try failed. What another run took on is that run's.
    pub failed: u64,
    /// Rows that are parked.
    pub parked: u64,
}

/// What a job asks to claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimItem {
    /// Which secret.
    pub coordinate: Coordinate,
    /// For what reason; the claim checks again that it still holds.
    pub reason: Reason,
}

/// The answer to one claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The row is `Deleting` (or, for `Resurfaced`, still `Deleted`) and ours until the deadline.
    Ready(Box<LedgerRow>),
    /// A document refers to it: it is not deleted.
    Referenced,
    /// It is no longer what the scan saw (state, expiry or age), or another worker has it.
    Changed,
}

/// How one deletion ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeletionOutcome {
    /// Gone for good.
    Deleted,
    /// Handed to deletion; the manager can give it back until then.
    Scheduled {
        /// When the manager deletes it, where it says so.
        due: Option<Timestamp>,
    },
    /// It was not there.
    AlreadyGone,
    /// It failed and is tried again after the pause, or parked.
    Failed {
        /// What kind of answer it was.
        kind: ErrorKind,
        /// The error for the person reading it.
        message: String,
        /// How long to leave it alone.
        pause: Duration,
        /// Whether it has failed often enough to be parked.
        quarantine: bool,
    },
}

impl DeletionOutcome {
    /// The outcome as a stable lower-case word.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::Scheduled { .. } => "scheduled",
            Self::AlreadyGone => "already_gone",
            Self::Failed {
                quarantine: false, ..
            } => "failed",
            Self::Failed {
                quarantine: true, ..
            } => "quarantined",
        }
    }
}

/// One deletion to be written down: the row's new state and its receipt, in one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// Which secret.
    pub coordinate: Coordinate,
    /// Why it was deleted.
    pub reason: Reason,
    /// What the decision rested on, in words; no value.
    pub evidence: String,
    /// How it ended.
    pub outcome: DeletionOutcome,
}

/// What the jobs ask of the ledger. Every time is the store's own.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// The store's present moment.
    async fn now(&self) -> Result<Timestamp>;

    /// Due rows of one class, oldest first, behind `after`; at most `limit`. Work is proportional
    /// to what is given back.
    async fn due(
        &self,
        backend: &BackendId,
        class: DueClass,
        windows: &Windows,
        after: Option<&DueCursor>,
        limit: u32,
    ) -> Result<Vec<Candidate>>;

    /// Counts of what is due in `classes`, for the guards. Totals of what was once referenced are
    /// counted only where `share_from` or more such rows are due.
    async fn census(
        &self,
        backend: &BackendId,
        classes: &[DueClass],
        windows: &Windows,
        share_from: u64,
    ) -> Result<Census>;

    /// How many rows are due, by the reason they go for; reasons without a row are left out. Work is
    /// proportional to what is due.
    async fn count_due(&self, backend: &BackendId, windows: &Windows)
    -> Result<Vec<(Reason, u64)>>;

    /// What is of no use and still there, whether or not a run can take it now. Work is proportional
    /// to what is counted.
    async fn unused(&self, backend: &BackendId, windows: &Windows) -> Result<Unused>;

    /// Deletions that no run can go on with now. Work is proportional to what is counted.
    async fn begun(&self, backend: &BackendId) -> Result<Begun>;

    /// Rows that say a document refers to them, and no document does: their references went another
    /// way than by an edit or a removal, by which somebody lets go. Such a row is never due. In the
    /// order of the coordinates, behind `after`, at most `limit`; a row whose keys cannot be read comes on
    /// top of these. Reads every row that is in use.
    async fn missed(
        &self,
        backend: &BackendId,
        after: Option<&Coordinate>,
        limit: u32,
    ) -> Result<SecretPage>;

    /// The rows of these coordinates, in their order; `None` where there is none.
    async fn rows(
        &self,
        backend: &BackendId,
        coordinates: &[Coordinate],
    ) -> Result<Vec<Option<LedgerRow>>>;

    /// The same, each with an answer of its own: `Corrupt` where there is a row and it cannot be read. Such
    /// a row is never due and never claimed, and counts as what it was for the guards.
    async fn each_row(
        &self,
        backend: &BackendId,
        coordinates: &[Coordinate],
    ) -> Result<Vec<Result<Option<LedgerRow>>>> {
        let rows = self.rows(backend, coordinates).await?;
        Ok(rows.into_iter().map(Ok).collect())
    }

    /// The other backend under whose name the ledger has the very secret that bears each of these marks, in
    /// their order; `None` where no other has it. It is the same where the intent is, or where neither
    /// names one and the digest is. Tombstones that no document refers to do not count.
    async fn known_elsewhere(
        &self,
        backend: &BackendId,
        marks: &[Mark],
    ) -> Result<Vec<Option<BackendId>>>;

    /// Which of these the ledger has a row for, under whatever backend's name and in whatever state, be it
    /// unreadable: they are ours, whatever became of their marks.
    async fn known(&self, coordinates: &[Coordinate]) -> Result<BTreeSet<Coordinate>>;

    /// Which of these a document refers to under this backend's name.
    async fn referenced(
        &self,
        backend: &BackendId,
        coordinates: &[Coordinate],
    ) -> Result<BTreeSet<Coordinate>>;

    /// Locks each row, reads its references in a second statement, and sets `Deleting` where
    /// none is left, not even to the same secret under another backend's name, and the reason still holds. The claim lapses after `deadline`. All of it only
    /// while `lease` stands, looked at in the same transaction: `Unavailable` where somebody has had it
    /// since, whether or not they gave it back, where it has lapsed, since its holder slept, and where
    /// the database is older than its last renewal, since it was restored from a backup.
    async fn claim(
        &self,
        lease: &Lease,
        backend: &BackendId,
        items: &[ClaimItem],
        windows: &Windows,
        deadline: Duration,
    ) -> Result<Vec<Claim>>;

    /// Writes down how claimed deletions ended, with a receipt for each, in one transaction. The
    /// receipts name the plan the run applies. Needs no lease: what happened is written down by
    /// whoever did it.
    async fn settle(
        &self,
        run: RunId,
        backend: &BackendId,
        settlements: &[Settlement],
    ) -> Result<()>;

    /// Gives the claims of the lease's holder back without an attempt (a shutdown, a lost lease): they
    /// are due at once. The lease may have lapsed; what somebody else has claimed since is left alone.
    async fn release(
        &self,
        lease: &Lease,
        backend: &BackendId,
        coordinates: &[Coordinate],
    ) -> Result<()>;

    /// Writes down what verify-blobs found wrong with a stored value, [beside](Damage::beside) what is
    /// known by then.
    async fn set_damage(
        &self,
        backend: &BackendId,
        coordinate: &Coordinate,
        damage: Damage,
    ) -> Result<()>;

    /// Takes back what verify-blobs knew to be wrong and found right again. What somebody else has found
    /// since stays.
    async fn forget_damage(
        &self,
        backend: &BackendId,
        coordinate: &Coordinate,
        known: Damage,
    ) -> Result<()>;

    /// How many rows a backend has in each state, for status and metrics. Reads an index.
    async fn count_by_state(&self, backend: &BackendId) -> Result<Vec<(RowState, u64)>>;

    /// Puts quarantined rows back to `Deleting`, to be tried again at once. Gives back how many.
    async fn release_quarantine(
        &self,
        backend: &BackendId,
        release: &QuarantineRelease,
    ) -> Result<u64>;
}

/// Which quarantined rows are tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuarantineRelease {
    /// These, by hand: as if they had never failed.
    Coordinates(Vec<Coordinate>),
    /// All of them, by hand.
    All,
    /// All that have been parked for longer than this, by the passing of time: their failures still count,
    /// so that one more parks them again.
    OlderThan(Duration),
}
