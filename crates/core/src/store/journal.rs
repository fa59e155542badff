//! The journal: runs, what they found, and the leases that keep them apart.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::coordinates::Coordinate;
use crate::error::Result;
use crate::ids::{BackendId, DocumentId, RunId};

/// A job's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Job {
    /// Deletes what was abandoned, expired or orphaned, and sweeps what landed late.
    ExpireOrphans,
    /// Deletes versions that a higher one replaced.
    DeleteSuperseded,
    /// Holds every reference and blob against the managers.
    VerifyBlobs,
}

impl Job {
    /// Every job, in the order `run all` takes them: verify first, so that rescue and reports come
    /// before any deletion.
    pub const ALL: [Self; 3] = [
        Self::VerifyBlobs,
        Self::ExpireOrphans,
        Self::DeleteSuperseded,
    ];

    /// The job's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ExpireOrphans => "expire-orphans",
            Self::DeleteSuperseded => "delete-superseded",
            Self::VerifyBlobs => "verify-blobs",
        }
    }

    /// The job of that name.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|job| job.as_str() == word)
    }
}

impl std::fmt::Display for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A run as it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRun {
    /// Its id.
    pub id: RunId,
    /// Which job.
    pub job: Job,
    /// On which backend.
    pub backend: BackendId,
    /// Whether it only looks.
    pub dry_run: bool,
    /// The plan it applies, if it was given one; a plan is applied once.
    pub plan: Option<String>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// Everything that was to be done is done.
    Done,
    /// Some items failed and are tried again, or the run was told to stop.
    Partial,
    /// A guard stopped its deletions.
    Refused,
    /// It could not be carried out.
    Failed,
}

impl RunOutcome {
    /// The outcome as a stable lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Partial => "partial",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }

    /// The outcome of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Done, Self::Partial, Self::Refused, Self::Failed]
            .into_iter()
            .find(|outcome| outcome.as_str() == word)
    }
}

/// A run as the journal has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Its id.
    pub id: RunId,
    /// Which job.
    pub job: Job,
    /// On which backend.
    pub backend: BackendId,
    /// Whether it only looked.
    pub dry_run: bool,
    /// When it began, by the store's clock.
    pub started: Timestamp,
    /// When it ended; `None` while it runs, or where its process died.
    pub finished: Option<Timestamp>,
    /// How it ended.
    pub outcome: Option<RunOutcome>,
    /// What it found, did and left: counts and guard trips, as the job reports them.
    pub report: serde_json::Value,
}

impl RunRecord {
    /// What stands for the report of a run that cannot be read: why, and what is known without it of what it found.
    pub fn unreadable_report(why: &str, found: &BTreeMap<FindingKind, u64>) -> serde_json::Value {
        serde_json::json!({"unreadable": why, "error": why, "findings": found})
    }

    /// Why its report cannot be read, where it cannot: what it found is known as far as its findings are kept.
    pub fn unreadable(&self) -> Option<&str> {
        self.report["unreadable"].as_str()
    }

    /// How many findings of a kind its report tells of; 0 where it has not ended.
    pub fn found(&self, kind: FindingKind) -> u64 {
        let found = &self.report["findings"][kind.as_str()];
        found.as_u64().unwrap_or_default()
    }
}

/// Of these runs the ones that found the most of some kind; where several found as much, the first.
pub fn telling_most(runs: &[RunRecord]) -> BTreeSet<RunId> {
    let mut telling = BTreeSet::new();
    for kind in FindingKind::ALL {
        let most = runs.iter().map(|run| run.found(kind)).max();
        let most = most.filter(|most| *most > 0);
        let first = runs.iter().find(|run| Some(run.found(kind)) == most);
        telling.extend(first.map(|run| run.id));
    }
    telling
}

/// What verify-blobs can find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// Referenced, and the manager, asked directly, does not have it.
    Dangling,
    /// Referenced, and switched off in the manager.
    Disabled,
    /// Referenced or held, and it waited for its deletion or carried an expiry; a run restores it.
    Endangered,
    /// Referenced, and it does not bear our mark.
    NotOurs,
    /// The mark's digest, or with `--read-values` the value itself, is not what the ledger has.
    Altered,
    /// The manager has it and cannot give it back: damaged, or sealed under a lost key.
    Unreadable,
    /// The digest recorded for it is under a key that is not configured, so its value, which was to
    /// be read, can be compared with nothing.
    Incomparable,
    /// A field the spec marks secret holds clear text.
    ClearText,
    /// The stored blob is not the JSON it was.
    BrokenBlob,
    /// A node in the blob that no reference is recorded for.
    UnrecordedNode,
    /// A reference recorded for a place where the blob has no such node.
    LostNode,
    /// A referenced secret's ledger row is not `Stored`, or the manager does not have what is held.
    LedgerMismatch,
    /// A secret bears our mark and the ledger has no row for it.
    UnknownMarked,
}

impl FindingKind {
    /// Every kind.
    pub const ALL: [Self; 13] = [
        Self::Dangling,
        Self::Disabled,
        Self::Endangered,
        Self::NotOurs,
        Self::Altered,
        Self::Unreadable,
        Self::Incomparable,
        Self::ClearText,
        Self::BrokenBlob,
        Self::UnrecordedNode,
        Self::LostNode,
        Self::LedgerMismatch,
        Self::UnknownMarked,
    ];

    /// The kind as a stable lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dangling => "dangling",
            Self::Disabled => "disabled",
            Self::Endangered => "endangered",
            Self::NotOurs => "not_ours",
            Self::Altered => "altered",
            Self::Unreadable => "unreadable",
            Self::Incomparable => "incomparable",
            Self::ClearText => "clear_text",
            Self::BrokenBlob => "broken_blob",
            Self::UnrecordedNode => "unrecorded_node",
            Self::LostNode => "lost_node",
            Self::LedgerMismatch => "ledger_mismatch",
            Self::UnknownMarked => "unknown_marked",
        }
    }

    /// The kind of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// One thing amiss. Holds no value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What is amiss.
    pub kind: FindingKind,
    /// In which document, where it is about one.
    pub document: Option<DocumentId>,
    /// Where in the document.
    pub pointer: Option<String>,
    /// About which secret.
    pub coordinate: Option<Coordinate>,
    /// What was seen and what to do, in a sentence.
    pub detail: String,
}

/// A lease: who may run a job now. Times are the store's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What it is for.
    pub name: String,
    /// Who holds it.
    pub holder: String,
    /// Grows with every new holder.
    pub token: i64,
    /// When it was taken or last renewed.
    pub renewed: Timestamp,
}

/// The journal of runs, their findings, and the leases that keep them apart.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Writes down that a run begins. `Conflict` where its plan was applied before.
    async fn start_run(&self, run: &NewRun) -> Result<()>;

    /// Writes down how a run ended.
    async fn finish_run(
        &self,
        run: RunId,
        outcome: RunOutcome,
        report: &serde_json::Value,
    ) -> Result<()>;

    /// The latest `limit` runs, newest first.
    async fn runs(&self, limit: u32) -> Result<Vec<RunRecord>>;

    /// The latest `limit` runs of a job on a backend that were no dry runs and have ended, newest first.
    async fn finished(&self, job: Job, backend: &BackendId, limit: u32) -> Result<Vec<RunRecord>>;

    /// The latest of them.
    async fn last_finished(&self, job: Job, backend: &BackendId) -> Result<Option<RunRecord>> {
        Ok(self.finished(job, backend, 1).await?.into_iter().next())
    }

    /// The first run of a job on a backend there ever was that was no dry run, whether or not it has
    /// ended.
    async fn first_started(&self, job: Job, backend: &BackendId) -> Result<Option<RunRecord>>;

    /// The latest run of a job on a backend that did all the job is to do: no dry run, `Done`, and
    /// not the execution of a plan, which knows nothing of the rest.
    async fn last_complete(&self, job: Job, backend: &BackendId) -> Result<Option<RunRecord>>;

    /// The latest run of a job on a backend that went through everything there is, whatever of it could
    /// not be done: no dry run, neither failed nor cut short, and not the execution of a plan.
    async fn last_whole(&self, job: Job, backend: &BackendId) -> Result<Option<RunRecord>>;

    /// The runs of a job on a backend that ended since `whole`, the last whole one, newest first, and so
    /// broke off: no dry runs, and no executions of a plan, which look for nothing. The latest `limit`,
    /// and of those before them the ones whose findings are kept.
    async fn broken_off(
        &self,
        job: Job,
        backend: &BackendId,
        whole: Option<&RunRecord>,
        limit: u32,
    ) -> Result<Vec<RunRecord>>;

    /// Adds findings to a run. Findings of runs before the last ten of a job and backend go, but for what
    /// is not settled until another run is whole: those of the last whole run, and those of the runs
    /// that broke off since and found the most of some kind.
    async fn record_findings(&self, run: RunId, findings: &[Finding]) -> Result<()>;

    /// Findings of a run behind the `after`th, at most `limit`.
    async fn findings(&self, run: RunId, after: u64, limit: u32) -> Result<Vec<Finding>>;

    /// Takes or renews a lease for `ttl`: `None` while somebody else holds it. A lease that was
    /// taken further ahead of now than it lasts was written before the clock jumped back and does
    /// not count.
    async fn acquire_lease(&self, name: &str, holder: &str, ttl: Duration)
    -> Result<Option<Lease>>;

    /// Renews a lease for `ttl`, also one that has lapsed. `None` where somebody has had it since, and
    /// where this database is older than its last renewal: it was restored from a backup. `Unavailable` where
    /// a file is not where it was opened.
    async fn renew_lease(&self, lease: &Lease, ttl: Duration) -> Result<Option<Lease>>;

    /// Who holds a lease now; `None` where nobody does. Changes nothing.
    async fn lease_holder(&self, name: &str) -> Result<Option<String>>;

    /// How many leases whose names begin with `prefix` somebody holds now. Changes nothing.
    async fn count_leases(&self, prefix: &str) -> Result<u64>;

    /// Gives a lease back; one that is no longer ours is left alone.
    async fn release_lease(&self, lease: &Lease) -> Result<()>;
}
