//! How the jobs run.

use std::collections::BTreeSet;
use std::time::Duration;

use cloakroom_core::Error;
use cloakroom_core::ledger::{DeletionOutcome, Windows};
use cloakroom_core::retry::RetryPolicy;

use crate::guard::Guard;

/// What an operator sets once.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long things are left alone before a job may take them.
    pub windows: Windows,
    /// How far back a restore of the database must find every secret that was in use then.
    /// What was once referenced is deleted with a recovery window of at least this long, and
    /// where the manager has none its deletion is put off by this long.
    pub backup_horizon: Duration,
    /// Rows claimed, described and deleted together.
    pub batch: u32,
    /// Rows of a page when reading references, documents or due rows.
    pub page: u32,
    /// How long a claim lasts. No request begins that could outlast it; longer than three times
    /// `request.deadline`, so that looking, deleting and one slow group fit into it and a run
    /// against a slow manager makes progress.
    pub claim_deadline: Duration,
    /// How one request to a backend is tried. Three of its deadlines have to be shorter than
    /// `claim_deadline`.
    pub request: RetryPolicy,
    /// How long a run may be silent before another may take over.
    pub lease: Duration,
    /// Pause before the first repetition of a failed deletion; it doubles each time.
    pub first_pause: Duration,
    /// Longest pause between repetitions.
    pub longest_pause: Duration,
    /// Failures after which a deletion is parked.
    pub attempts: u32,
    /// How long a parked deletion rests before it is tried again.
    pub quarantine: Duration,
    /// The largest share of the once-referenced secrets of a backend or workspace that one run may
    /// delete, `0.0..=1.0`.
    pub largest_share: f64,
    /// Below this many due rows the share is not looked at.
    pub share_from: u64,
}

impl Settings {
    /// Whether no run may delete so many at once of the secrets that were in use.
    pub fn is_too_large_a_share(&self, due: u64, of: u64) -> bool {
        due >= self.share_from && due as f64 > self.largest_share * of as f64
    }

    /// What a deletion that failed for the `attempts`th time and once more comes to. `fraction` is a
    /// random part of one, so that what failed together is not tried together.
    pub(crate) fn failure(&self, error: &Error, attempts: u32, fraction: f64) -> DeletionOutcome {
        let pause = self
            .first_pause
            .saturating_mul(1 << attempts.min(16))
            .min(self.longest_pause)
            .mul_f64(1.0 + fraction / 4.0);
        DeletionOutcome::Failed {
            kind: error.kind(),
            message: error.to_string(),
            pause: error.retry_after().unwrap_or_default().max(pause),
            // A manager that is away says nothing about the item.
            quarantine: !error.is_retryable() && attempts + 1 >= self.attempts,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            windows: Windows::default(),
            backup_horizon: Duration::from_hours(7 * 24),
            batch: 200,
            page: 1_000,
            claim_deadline: Duration::from_mins(2),
            request: RetryPolicy::default(),
            lease: Duration::from_mins(3),
            first_pause: Duration::from_mins(1),
            longest_pause: Duration::from_hours(1),
            attempts: 5,
            quarantine: Duration::from_hours(24),
            largest_share: 0.3,
            share_from: 20,
        }
    }
}

/// What is asked of one run.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// Only look: nothing is changed, in the store or in a backend.
    pub dry_run: bool,
    /// verify-blobs reads every referenced value and holds it against its digest.
    pub read_values: bool,
    /// Guards that this one run may pass, on purpose.
    pub overrides: BTreeSet<Guard>,
}
