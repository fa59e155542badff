//! What verify-blobs knows of a backend: what its last whole run found, and what those found since that
//! did not get through everything.

use cloakroom_core::store::{FindingKind, Job, Journal, RunRecord};
use cloakroom_core::{BackendId, Result};

/// As many runs as the journal keeps findings of.
const LOOKED_AT: u32 = 10;

/// What is known of a backend.
pub struct Verified {
    /// The latest run that went through everything, whatever it could not restore.
    pub whole: Option<RunRecord>,
    /// Those that failed or were cut short since, newest first.
    pub broken_off: Vec<RunRecord>,
}

impl Verified {
    /// Reads the journal.
    pub async fn read(journal: &(impl Journal + ?Sized), backend: &BackendId) -> Result<Self> {
        let job = Job::VerifyBlobs;
        let whole = journal.last_whole(job, backend).await?;
        let since = whole.as_ref().map(|run| run.started);
        let mut broken_off = journal.finished(job, backend, LOOKED_AT).await?;
        // The execution of a plan looks for nothing.
        broken_off.retain(|run| {
            since.is_none_or(|since| run.started > since) && run.report["plan"].is_null()
        });
        Ok(Self { whole, broken_off })
    }

    /// How many there are at the least: a run that broke off has not seen that anything is well again.
    pub fn at_least(&self, kind: FindingKind) -> u64 {
        let runs = self.whole.iter().chain(&self.broken_off);
        runs.map(|run| found(run, kind)).max().unwrap_or_default()
    }

    /// The last whole run and, of those since, each that found more of some kind than the ones before
    /// it here.
    pub fn more_than_before(&self) -> Vec<&RunRecord> {
        let mut told: Vec<&RunRecord> = self.whole.iter().collect();
        for run in &self.broken_off {
            let most = |kind| told.iter().map(|told| found(told, kind)).max();
            let more = |kind: FindingKind| found(run, kind) > most(kind).unwrap_or_default();
            if FindingKind::ALL.into_iter().any(more) {
                told.push(run);
            }
        }
        told
    }
}

/// How many findings of a kind the report of a run tells of; 0 where it has not ended.
pub fn found(run: &RunRecord, kind: FindingKind) -> u64 {
    let found = &run.report["findings"][kind.as_str()];
    found.as_u64().unwrap_or_default()
}
