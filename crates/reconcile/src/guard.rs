//! Guards: what stops the deletions of a run for one backend. Rescue and reports always run.

use std::fmt;

use cloakroom_core::ledger::Census;
use serde::{Deserialize, Serialize};

use crate::settings::Settings;
use crate::survey::Survey;

/// What a guard looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guard {
    /// No document refers to anything in the backend, and once-referenced secrets would go.
    ZeroReferences,
    /// More than the allowed share of once-referenced secrets would go.
    Share,
    /// Secrets bear our mark and the ledger has no row for them.
    UnknownMarked,
    /// A page of the backend's listing failed.
    ListingFailed,
}

impl Guard {
    /// Every guard.
    pub const ALL: [Self; 4] = [
        Self::ZeroReferences,
        Self::Share,
        Self::UnknownMarked,
        Self::ListingFailed,
    ];

    /// The guard's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ZeroReferences => "zero-references",
            Self::Share => "share",
            Self::UnknownMarked => "unknown-marked",
            Self::ListingFailed => "listing-failed",
        }
    }

    /// The guard of that name.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|guard| guard.as_str() == word)
    }

    /// Whether it stops only what was once referenced: rows that never were are outside the share
    /// and the zero rule.
    pub fn spares_never_referenced(self) -> bool {
        matches!(self, Self::ZeroReferences | Self::Share)
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A guard that stepped in, and what it saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardTrip {
    /// Which guard.
    pub guard: Guard,
    /// What it saw and what to do, for the operator.
    pub saw: String,
    /// Whether the run was told to pass it.
    pub overridden: bool,
}

/// Every guard that steps in on these counts.
pub(crate) fn trips(census: &Census, survey: &Survey, settings: &Settings) -> Vec<(Guard, String)> {
    let mut trips = Vec::new();
    if let Some(error) = &survey.failure {
        trips.push((
            Guard::ListingFailed,
            format!(
                "the listing stopped after {} secrets: {error}",
                survey.listed
            ),
        ));
    }
    if survey.unknown > 0 {
        trips.push((
            Guard::UnknownMarked,
            format!(
                "{} secrets bear this store's mark and the ledger did not write them: the \
                 database may have been restored from a backup or cloned",
                survey.unknown
            ),
        ));
    }
    if !census.any_live_reference && census.due_once_referenced > 0 {
        trips.push((
            Guard::ZeroReferences,
            format!(
                "{} secrets that were in use would go and no document refers to any secret here: \
                 is this the right database?",
                census.due_once_referenced
            ),
        ));
    }
    trips.extend(share(census, settings).map(|saw| (Guard::Share, saw)));
    trips
}

fn share(census: &Census, settings: &Settings) -> Option<String> {
    let too_large = |due: u64, of: u64| {
        due >= settings.share_from && due as f64 > settings.largest_share * of as f64
    };
    let percent = settings.largest_share * 100.0;
    let whole = census
        .once_referenced
        .filter(|&of| too_large(census.due_once_referenced, of))
        .map(|of| {
            format!(
                "{} of {of} secrets that were in use would go, more than {percent:.0} %",
                census.due_once_referenced
            )
        });
    whole.or_else(|| {
        let owner = census
            .owners
            .iter()
            .find(|owner| too_large(owner.due, owner.once_referenced))?;
        Some(format!(
            "{} of {} secrets that were in use in workspace {} would go, more than {percent:.0} %",
            owner.due, owner.once_referenced, owner.owner
        ))
    })
}
