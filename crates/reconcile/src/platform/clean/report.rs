//! What a run that cleans a platform did.

use std::collections::BTreeMap;

use cloakroom_core::ledger::DeletionOutcome;
use cloakroom_core::platform::{Obstacle, Standing};
use cloakroom_core::store::RunOutcome;
use cloakroom_core::{BackendId, RunId, Timestamp};
use serde::{Deserialize, Serialize};

use super::super::{Cost, NextRun, PlatformFindingKind, PlatformReport, StandingCount};

/// What stops the deletions of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CleanGuard {
    /// No operator has confirmed a plan for this platform.
    NotAdopted,
    /// A plan was confirmed for another database, manager or configuration.
    ScopeChanged,
    /// More than the allowed share of the platform's secrets, or of one workspace's, would go.
    Share,
}

impl CleanGuard {
    /// Every guard.
    pub const ALL: [Self; 3] = [Self::NotAdopted, Self::ScopeChanged, Self::Share];

    /// The guard's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotAdopted => "not-adopted",
            Self::ScopeChanged => "scope-changed",
            Self::Share => "share",
        }
    }

    /// Whether one run may be let past it. The others end with a confirmation.
    pub fn can_be_passed(self) -> bool {
        self == Self::Share
    }
}

impl std::fmt::Display for CleanGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A guard that stepped in, and what it saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CleanGuardTrip {
    /// Which guard.
    pub guard: CleanGuard,
    /// What it saw and what to do, for the operator.
    pub saw: String,
    /// Whether the run was told to pass it.
    pub overridden: bool,
}

/// What became of the secrets of one standing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CleanCount {
    /// They could go.
    pub found: u64,
    /// Gone for good.
    pub deleted: u64,
    /// Handed to deletion; the manager can give them back for a while.
    pub scheduled: u64,
    /// They were not there any more.
    pub already_gone: u64,
    /// A last look spared them: mentioned by then, changed, or deleted by somebody else.
    pub spared: u64,
    /// Held, paused after a failure, or parked: not for this run.
    pub resting: u64,
    /// Tried in vain; a later run tries again.
    pub failed: u64,
}

impl CleanCount {
    pub(super) fn add(&mut self, outcome: &DeletionOutcome) {
        let count = match outcome {
            DeletionOutcome::Deleted => &mut self.deleted,
            DeletionOutcome::Scheduled { .. } => &mut self.scheduled,
            DeletionOutcome::AlreadyGone => &mut self.already_gone,
            DeletionOutcome::Failed { .. } => &mut self.failed,
        };
        *count += 1;
    }
}

/// How many causes are told apart.
const CAUSES: usize = 20;

/// Why deletions failed: in this run, or in earlier ones so that they rest now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CleanFailure {
    /// What the manager answered, with `…` for the name of the secret.
    pub cause: String,
    /// How many secrets failed so last.
    pub secrets: u64,
    /// One of them.
    pub example: String,
}

/// The report of one run. Names only, never a value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CleanReport {
    /// The run.
    pub run: RunId,
    /// The name the platform has in the configuration.
    pub platform: String,
    /// The manager that is cleaned.
    pub backend: BackendId,
    /// Whether it only looked.
    pub dry_run: bool,
    /// The confirmed plan that it rests on; `None` where there is none for what is there now.
    pub plan: Option<String>,
    /// When it began, by the store's clock.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// How it ended.
    pub outcome: RunOutcome,
    /// What it failed with.
    pub error: Option<String>,
    /// Why nothing may be deleted, if it may not; empty where everything was seen.
    pub obstacles: Vec<Obstacle>,
    /// Guards that stepped in.
    pub guards: Vec<CleanGuardTrip>,
    /// Secrets the manager lists, whosever.
    pub listed: u64,
    /// Listed secrets by standing.
    pub secrets: BTreeMap<Standing, StandingCount>,
    /// What could go when the run began, and what has to wait.
    pub next: NextRun,
    /// What was amiss when the run began, by kind.
    #[serde(default)]
    pub findings: BTreeMap<PlatformFindingKind, u64>,
    /// Dollars a month, when the run began.
    #[serde(default)]
    pub cost: Cost,
    /// What could go, and what became of it.
    pub deletions: BTreeMap<Standing, CleanCount>,
    /// Why what could go is still there, where its deletion failed; the first causes that were met.
    #[serde(default)]
    pub failures: Vec<CleanFailure>,
    /// Of what rests: taken on by a run that was cut off, so that what it asked for may be under way still.
    #[serde(default)]
    pub taken_on: u64,
    /// When the last of that can be taken on again.
    #[serde(default)]
    pub taken_on_until: Option<Timestamp>,
    /// What could go but for another platform of this manager that mentions it, by that platform.
    #[serde(default)]
    pub kept_by_others: BTreeMap<String, u64>,
    /// Deletions of earlier runs that were cut off, and whose end is written down now.
    pub resumed: u64,
    /// Mentioned secrets that waited for their deletion and were brought back, or carried an expiry that
    /// was taken off.
    pub rescued: u64,
    /// Mentioned secrets that wait for their deletion or carry an expiry, and still do: the run only
    /// looked, or the manager did not take it.
    pub endangered: u64,
    /// Secrets deleted for good that had come to be mentioned by the time the database was asked again.
    pub lost: Vec<String>,
    /// Deletions behind which the database could not be asked again; the next run looks first.
    pub unchecked: u64,
    /// Whether it ended before all was done: it was told to, or one side stopped answering.
    pub cut_short: bool,
}

impl CleanReport {
    pub(super) fn new(seen: PlatformReport, dry_run: bool) -> Self {
        Self {
            run: seen.pass,
            platform: seen.platform,
            backend: seen.backend,
            dry_run,
            plan: None,
            started: seen.started,
            finished: seen.finished,
            outcome: RunOutcome::Done,
            error: None,
            obstacles: seen.obstacles,
            guards: Vec::new(),
            listed: seen.listed,
            secrets: seen.secrets,
            next: seen.next,
            findings: seen.findings,
            cost: seen.cost,
            deletions: BTreeMap::new(),
            failures: Vec::new(),
            taken_on: 0,
            taken_on_until: None,
            kept_by_others: BTreeMap::new(),
            resumed: 0,
            rescued: 0,
            endangered: 0,
            lost: Vec::new(),
            unchecked: 0,
            cut_short: false,
        }
    }

    pub(super) fn of(&mut self, standing: Standing) -> &mut CleanCount {
        self.deletions.entry(standing).or_default()
    }

    pub(super) fn add_failure(&mut self, name: &str, message: &str) {
        let cause = message.replace(name, "…");
        if let Some(known) = self.failures.iter_mut().find(|it| it.cause == cause) {
            known.secrets += 1;
        } else if self.failures.len() < CAUSES {
            self.failures.push(CleanFailure {
                cause,
                secrets: 1,
                example: name.to_owned(),
            });
        }
    }

    pub(super) fn add_taken_on(&mut self, until: Option<Timestamp>) {
        self.taken_on += 1;
        self.taken_on_until = self.taken_on_until.max(until);
    }

    /// The sum of one count over all standings.
    pub fn total(&self, of: impl Fn(&CleanCount) -> u64) -> u64 {
        self.deletions.values().map(of).sum()
    }

    /// Secrets that are gone, or handed to deletion, by this run.
    pub fn deleted(&self) -> u64 {
        self.total(|it| it.deleted + it.scheduled)
    }

    /// Whether anything keeps it from deleting.
    pub fn is_stopped(&self) -> bool {
        self.is_refused() || !self.obstacles.is_empty()
    }

    fn is_refused(&self) -> bool {
        self.guards.iter().any(|trip| !trip.overridden)
    }

    pub(super) fn judged(&self) -> RunOutcome {
        let left = self.cut_short
            || !self.obstacles.is_empty()
            || !self.lost.is_empty()
            || !self.failures.is_empty()
            || self.taken_on + self.endangered + self.unchecked + self.total(|it| it.failed) > 0;
        if self.is_refused() {
            RunOutcome::Refused
        } else if left {
            RunOutcome::Partial
        } else {
            RunOutcome::Done
        }
    }
}
