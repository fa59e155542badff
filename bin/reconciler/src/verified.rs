//! What verify-blobs knows of a backend: what its last whole run found, and what those found since that
//! did not get through everything. Metrics, `/status`, the page and the commands all go by this.

use std::collections::BTreeMap;

use cloakroom_core::store::{FindingKind, Job, Journal, RunRecord};
use cloakroom_core::{BackendId, Result};

/// Runs that are looked at whether or not findings of theirs are kept: those that an older version ran
/// may have counts alone.
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
        let since = journal.broken_off(job, backend, whole.as_ref(), LOOKED_AT);
        Ok(Self {
            broken_off: since.await?,
            whole,
        })
    }

    /// How many there are at the least: a run that broke off has not seen that anything is well again.
    pub fn at_least(&self, kind: FindingKind) -> u64 {
        let found = self.runs().map(|run| run.found(kind));
        found.max().unwrap_or_default()
    }

    /// The same of each kind that there is something of.
    pub fn amiss(&self) -> BTreeMap<FindingKind, u64> {
        let known = FindingKind::ALL.map(|kind| (kind, self.at_least(kind)));
        known.into_iter().filter(|(_, found)| *found > 0).collect()
    }

    /// The runs that found something, newest first.
    pub fn telling(&self) -> impl Iterator<Item = &RunRecord> {
        self.runs().filter(|run| found_by(run) > 0)
    }

    fn runs(&self) -> impl Iterator<Item = &RunRecord> {
        self.broken_off.iter().chain(&self.whole)
    }
}

/// How many findings the report of a run tells of.
pub fn found_by(run: &RunRecord) -> u64 {
    FindingKind::ALL.map(|kind| run.found(kind)).iter().sum()
}
