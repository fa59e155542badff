//! What happened in one step, as the laws want to know it: told by store and manager, which see
//! what was there before, and by nobody that is under test.

use cloakroom_core::ledger::{Census, DeletionOutcome, LedgerRow, Reason};
use cloakroom_core::store::{Expected, Finding, Job};
use cloakroom_core::{
    BackendId, Coordinate, Description, DocumentId, Revision, SecretJson, Timestamp,
};

/// A secret among all backends.
pub(crate) type Key = (BackendId, Coordinate);

/// One thing that happened; `task` says at whose turn.
#[derive(Debug)]
pub(crate) enum Happening {
    /// A row was intended. `reused`: one of this name stood there.
    Intended { key: Key, reused: bool },
    /// A document was written over `previous`.
    Committed {
        id: DocumentId,
        expected: Expected,
        previous: Option<Revision>,
        revision: Revision,
    },
    /// A document was removed.
    Removed { id: DocumentId },
    /// A process begins another run: what it saw before does not count.
    Begins { task: usize },
    /// A row was claimed; `row` as it was before, judged at `now` by the store's clock.
    Claimed {
        task: usize,
        row: Box<LedgerRow>,
        reason: Reason,
        now: i64,
        /// Whether the run's lease stood.
        leased: bool,
    },
    /// A deletion was written down; `receipt` says whether it left one.
    Settled {
        key: Key,
        outcome: DeletionOutcome,
        claimed_at: Option<i64>,
        receipt: bool,
    },
    /// A lease was asked for.
    Lease { task: usize, granted: bool },
    /// Rows were looked up that are not there.
    Unknown { task: usize, key: Key },
    /// A run wrote down what it found.
    Found {
        backend: BackendId,
        finding: Box<Finding>,
    },
    /// An undo brought something back, to be left alone until then.
    Held { key: Key, until: i64 },
    /// An operator let go of what no document referred to.
    LetGo { key: Key },
    /// The guards' counts were taken.
    Counted { task: usize, census: Box<Census> },
    /// A page of a listing was given out, or failed.
    Listed { task: usize, whole: bool },
    /// A request met a fault.
    Fault { task: usize },
    /// Bytes were put under a name that held others.
    Overwritten { key: Key },
    /// A secret was deleted, or handed to deletion until `due`. `description` is what it was.
    Deleted {
        key: Key,
        due: Option<Timestamp>,
        description: Box<Description>,
    },
    /// A writer was told that its attempt is the document's revision.
    Written {
        id: DocumentId,
        attempt: u64,
        revision: Revision,
    },
    /// A reader that began at `began` was given this.
    Read {
        id: DocumentId,
        began: u64,
        config: SecretJson,
    },
    /// A reader was told that there is no such thing, although it began at `began`.
    Hole { id: DocumentId, began: u64 },
    /// A check was given its configuration back, right or wrong.
    Checked { right: bool },
    /// A whole pass over a backend ended as it should, having begun at `began` by the true time.
    Passed {
        task: usize,
        backend: BackendId,
        began: i64,
    },
    /// A driver was asked for a job.
    Activated { task: usize, job: Job },
    /// A driver began a job.
    JobBegan { task: usize, job: Job },
    /// The job that a driver had begun is over.
    JobEnded { task: usize },
    /// A driver ended, having nothing more to do by its own account.
    DriverEnded { task: usize },
    /// Something that a person or a machine would read.
    Said { text: String },
}
