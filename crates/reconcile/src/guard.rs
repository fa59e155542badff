//! Guards: what stops the deletions of a run for one backend. Rescue and reports always run.

use std::fmt;

use cloakroom_core::BackendId;
use cloakroom_core::ledger::Census;
use cloakroom_core::mutant::{self, Mutant};
use serde::{Deserialize, Serialize};

use crate::epoch::Verdict;
use crate::settings::Settings;
use crate::survey::Survey;

/// What a guard looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guard {
    /// No document refers to anything in the backend although something should be referred to, and
    /// once-referenced secrets would go.
    ZeroReferences,
    /// More than the allowed share of once-referenced secrets would go.
    Share,
    /// Secrets bear our mark and the ledger has no row for them.
    UnknownMarked,
    /// A page of the backend's listing failed.
    ListingFailed,
    /// The backend's epoch is not the one the store knows.
    Epoch,
    /// The database is a copy of the one that deleted here before, another store raised the backend's
    /// epoch under this deployment's name, or the backend's name leads to another manager.
    Identity,
}

impl Guard {
    /// Every guard.
    pub const ALL: [Self; 6] = [
        Self::ZeroReferences,
        Self::Share,
        Self::UnknownMarked,
        Self::ListingFailed,
        Self::Epoch,
        Self::Identity,
    ];

    /// The guard's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ZeroReferences => "zero-references",
            Self::Share => "share",
            Self::UnknownMarked => "unknown-marked",
            Self::ListingFailed => "listing-failed",
            Self::Epoch => "epoch",
            Self::Identity => "identity",
        }
    }

    /// The guard of that name.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|guard| guard.as_str() == word)
    }

    /// Whether one run may be let past it. Which database goes on is said once and for all, by
    /// adopting the epoch.
    pub fn can_be_passed(self) -> bool {
        !matches!(self, Self::Epoch | Self::Identity)
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
pub(crate) fn trips(
    backend: &BackendId,
    census: &Census,
    survey: &Survey,
    epoch: &Verdict,
    settings: &Settings,
) -> Vec<(Guard, String)> {
    let mut trips = Vec::new();
    trips.extend(
        epoch
            .standing
            .guard()
            .map(|guard| (guard, epoch.saw.clone())),
    );
    if !survey.exchanged.is_empty() {
        trips.push((Guard::Identity, exchanged(survey, backend)));
    }
    if let Some(error) = &survey.failure {
        trips.push((
            Guard::ListingFailed,
            format!(
                "the listing stopped after {} secrets: {error}",
                survey.listed
            ),
        ));
    }
    if survey.unknown > 0 && !mutant::on(Mutant::UnknownMarkedIgnored) {
        trips.push((Guard::UnknownMarked, unknown_marked(survey, backend)));
    }
    let references_missed = census.references_missed && !mutant::on(Mutant::ZeroReferencesIgnored);
    if references_missed && census.due_once_referenced > 0 {
        trips.push((
            Guard::ZeroReferences,
            format!(
                "{} secrets that were in use would go, and no document refers to any secret here \
                 although some were never let go: are the documents whole, and is this the right \
                 database? `reconciler secret let-go` lists those",
                census.due_once_referenced
            ),
        ));
    }
    if !mutant::on(Mutant::ShareIgnored) {
        trips.extend(share(census, settings).map(|saw| (Guard::Share, saw)));
    }
    trips
}

fn exchanged(survey: &Survey, backend: &BackendId) -> String {
    let others = survey.exchanged.iter().map(|(other, number)| {
        format!(
            "{number} secrets here are what the ledger has as backend `{other}`'s, under coordinates that \
             `{backend}` has as well"
        )
    });
    format!(
        "{}: the names of two backends were swapped, or lead to one manager; put the configuration right",
        others.collect::<Vec<_>>().join("; ")
    )
}

fn unknown_marked(survey: &Survey, backend: &BackendId) -> String {
    let elsewhere: u64 = survey.elsewhere.values().sum();
    let restored = if elsewhere < survey.unknown {
        ": the database may have been restored from a backup or cloned"
    } else {
        ""
    };
    let others = survey.elsewhere.iter().map(|(other, number)| {
        format!(
            "; {number} are backend `{other}`'s: two names lead to one manager, or it was renamed, and no \
             sweep adopts them; give it that one name again"
        )
    });
    format!(
        "{} secrets bear this store's mark and the ledger did not write them{restored}{}; \
         `reconciler sweep --backend {backend}` lists them",
        survey.unknown,
        others.collect::<String>()
    )
}

fn share(census: &Census, settings: &Settings) -> Option<String> {
    let percent = settings.largest_share * 100.0;
    let whole = census
        .once_referenced
        .filter(|&of| settings.is_too_large_a_share(census.due_once_referenced, of))
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
            .find(|owner| settings.is_too_large_a_share(owner.due, owner.once_referenced))?;
        Some(format!(
            "{} of {} secrets that were in use in workspace {} would go, more than {percent:.0} %",
            owner.due, owner.once_referenced, owner.owner
        ))
    })
}
