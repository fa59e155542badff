//! What a run found, did and left.

use std::collections::BTreeMap;

use cloakroom_core::ledger::{DeletionOutcome, Reason};
use cloakroom_core::store::{Finding, FindingKind, Job, RunOutcome};
use cloakroom_core::{BackendId, RunId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::guard::GuardTrip;

/// Deletions of one reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletionCount {
    /// Due when the run looked.
    pub found: u64,
    /// Gone for good.
    pub deleted: u64,
    /// Handed to deletion; the manager can give them back for a while.
    pub scheduled: u64,
    /// Not there any more.
    pub already_gone: u64,
    /// Referenced, changed or fallen due since the guards looked, and so left alone.
    pub spared: u64,
    /// Failed, to be tried again or parked.
    pub failed: u64,
    /// Stopped by a guard.
    pub refused: u64,
}

impl DeletionCount {
    /// Secrets that went, one way or another.
    pub fn went(&self) -> u64 {
        self.deleted + self.scheduled + self.already_gone
    }
}

/// What verify-blobs went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// References held against the backend.
    pub references: u64,
    /// Values read and held against their digest.
    pub values: u64,
    /// Documents read for clear text and damage.
    pub documents: u64,
    /// Secrets the backend listed.
    pub listed: u64,
}

/// The report of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Its id.
    pub run: RunId,
    /// Which job.
    pub job: Job,
    /// On which backend.
    pub backend: BackendId,
    /// Whether it only looked.
    pub dry_run: bool,
    /// The plan it applied. A run that goes through everything has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// When it began, by the store's clock.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// How it ended.
    pub outcome: RunOutcome,
    /// Deletions by reason.
    pub deletions: BTreeMap<String, DeletionCount>,
    /// Deletions that failed.
    pub failed: u64,
    /// Deletions parked by this run.
    pub quarantined: u64,
    /// Deletions begun before that nobody could go on with: they wait for the pause after a failure, or
    /// for the claim of whoever was at them to lapse.
    #[serde(default)]
    pub waiting: u64,
    /// Of these, those that wait because the last try failed.
    #[serde(default)]
    pub failed_before: u64,
    /// Deletions parked before, and still so.
    #[serde(default)]
    pub parked: u64,
    /// What a run would purge, told by a dry run.
    #[serde(default)]
    pub to_purge: u64,
    /// Secrets handed to deletion before whose recovery window was over: gone for good, where the
    /// manager ends no window itself.
    #[serde(default)]
    pub purged: u64,
    /// The same whose recovery window is over and that could not be removed; the next run tries again.
    #[serde(default)]
    pub unpurged: u64,
    /// Why the first of them could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpurged_because: Option<String>,
    /// Secrets in use that waited for deletion or carried an expiry, restored by this run.
    pub rescued: u64,
    /// Secrets in use and in danger that could not be restored; the next run tries again.
    #[serde(default)]
    pub unrestored: u64,
    /// Secrets listed that bear the mark of another store of this deployment's name.
    #[serde(default)]
    pub namesakes: u64,
    /// Findings by kind.
    pub findings: BTreeMap<FindingKind, u64>,
    /// A few findings of each kind; the journal has them all.
    pub examples: Vec<Finding>,
    /// What was gone through.
    pub checked: Checked,
    /// Guards that stepped in.
    pub guards: Vec<GuardTrip>,
    /// Whether the run ended before everything due was done.
    pub cut_short: bool,
    /// What it could not get past.
    pub error: Option<String>,
}

impl Report {
    pub(crate) fn new(
        run: RunId,
        job: Job,
        backend: BackendId,
        dry_run: bool,
        started: Timestamp,
    ) -> Self {
        Self {
            run,
            job,
            backend,
            dry_run,
            plan: None,
            started,
            finished: started,
            outcome: RunOutcome::Done,
            deletions: BTreeMap::new(),
            failed: 0,
            quarantined: 0,
            waiting: 0,
            failed_before: 0,
            parked: 0,
            to_purge: 0,
            purged: 0,
            unpurged: 0,
            unpurged_because: None,
            rescued: 0,
            unrestored: 0,
            namesakes: 0,
            findings: BTreeMap::new(),
            examples: Vec::new(),
            checked: Checked::default(),
            guards: Vec::new(),
            cut_short: false,
            error: None,
        }
    }

    /// Secrets that went, one way or another.
    pub fn deleted(&self) -> u64 {
        self.total(DeletionCount::went)
    }

    /// A count of deletions over all reasons: `report.total(|count| count.refused)`.
    pub fn total(&self, of: impl Fn(&DeletionCount) -> u64) -> u64 {
        self.deletions.values().map(of).sum()
    }

    /// Whether anything is amiss that a person should look at.
    pub fn has_findings(&self) -> bool {
        self.findings.values().any(|&count| count > 0)
    }

    /// Whether a guard stopped deletions.
    pub fn refused(&self) -> bool {
        self.guards.iter().any(|trip| !trip.overridden)
    }

    /// How the run ended, from what it counted.
    pub(crate) fn judged(&self) -> RunOutcome {
        if self.refused() {
            RunOutcome::Refused
        } else if self.left_undone() {
            RunOutcome::Partial
        } else {
            RunOutcome::Done
        }
    }

    /// Whether there is something that a later run tries again. What is parked waits for a person, and what a
    /// dry run saw failing is not its own.
    fn left_undone(&self) -> bool {
        let failed = self.failed + self.unrestored + self.unpurged;
        let failed_before = !self.dry_run && self.failed_before > 0;
        self.cut_short || failed > 0 || failed_before
    }

    pub(crate) fn of(&mut self, reason: Reason) -> &mut DeletionCount {
        self.deletions
            .entry(reason.as_str().to_owned())
            .or_default()
    }

    pub(crate) fn count(&mut self, reason: Reason, outcome: &DeletionOutcome) {
        let count = self.of(reason);
        match outcome {
            DeletionOutcome::Deleted => count.deleted += 1,
            DeletionOutcome::Scheduled { .. } => count.scheduled += 1,
            DeletionOutcome::AlreadyGone => count.already_gone += 1,
            DeletionOutcome::Failed { quarantine, .. } => {
                count.failed += 1;
                self.failed += 1;
                self.quarantined += u64::from(*quarantine);
            }
        }
    }
}
