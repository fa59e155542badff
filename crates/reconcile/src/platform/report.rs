//! What a pass over a platform found.

use std::collections::BTreeMap;

use cloakroom_core::platform::{
    DefectKind, Obstacle, OwnerTally, PlatformIdentity, ScanReport, Standing,
};
use cloakroom_core::{BackendId, RunId, SecretState, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Secrets of one standing, by what the manager says of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingCount {
    /// They can be read.
    pub enabled: u64,
    /// Somebody switched them off in the manager.
    pub disabled: u64,
    /// They wait for their deletion.
    pub waiting: u64,
}

impl StandingCount {
    /// How many there are.
    pub fn total(self) -> u64 {
        self.enabled + self.disabled + self.waiting
    }

    /// How many of them are paid for: a secret that waits for its deletion is not.
    pub fn paid(self) -> u64 {
        self.enabled + self.disabled
    }

    pub(super) fn add(&mut self, state: SecretState) {
        match state {
            SecretState::Enabled => self.enabled += 1,
            SecretState::Disabled | SecretState::Destroyed => self.disabled += 1,
            SecretState::ScheduledForDeletion { .. } => self.waiting += 1,
        }
    }
}

/// How long ago something was last changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Age {
    /// Less than a day.
    Day,
    /// Less than a week.
    Week,
    /// Less than 30 days.
    Month,
    /// Less than 365 days.
    Year,
    /// Longer.
    Older,
    /// The manager does not tell.
    Unknown,
}

impl Age {
    /// Every age, the youngest first.
    pub const ALL: [Self; 6] = [
        Self::Day,
        Self::Week,
        Self::Month,
        Self::Year,
        Self::Older,
        Self::Unknown,
    ];

    pub(super) fn of(changed: Option<Timestamp>, now: Timestamp) -> Self {
        let Some(changed) = changed else {
            return Self::Unknown;
        };
        match now.duration_since(changed).as_hours() / 24 {
            ..1 => Self::Day,
            1..7 => Self::Week,
            7..30 => Self::Month,
            30..365 => Self::Year,
            _ => Self::Older,
        }
    }
}

/// What a clean-up would do now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextRun {
    /// Seen unused twice, far enough apart, and unchanged for the whole grace.
    pub due: u64,
    /// Unused, and not yet seen so twice.
    pub second_sighting: u64,
    /// Seen unused twice, and changed too lately, or at a time that is not known.
    pub within_grace: u64,
    /// Their deletion could not be taken back for the backup horizon (above a version in use the
    /// platform may write again; some managers recover nothing): only once that has passed.
    pub put_off: u64,
    /// The earliest time at which the first of them may go.
    #[serde(default)]
    pub put_off_from: Option<Timestamp>,
    /// The same for the last of them.
    #[serde(default)]
    pub put_off_until: Option<Timestamp>,
    /// What no clean-up deletes: names that the manager would not set free.
    #[serde(default)]
    pub left: u64,
    /// Waiting for their deletion already.
    pub waiting: u64,
}

impl NextRun {
    pub(super) fn put_off(&mut self, until: Timestamp) {
        self.put_off += 1;
        self.put_off_from = Some(self.put_off_from.map_or(until, |it| it.min(until)));
        self.put_off_until = self.put_off_until.max(Some(until));
    }
}

/// What the platform's secrets cost a month, in dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// One secret.
    pub per_secret: f64,
    /// All that the platform wrote, as it is now.
    pub now: f64,
    /// What of it is leaked.
    pub leaked: f64,
    /// What is left once clean-ups have run to their end, if nothing changes meanwhile.
    #[serde(default)]
    pub after: f64,
}

/// What can be amiss with what is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlatformFindingKind {
    /// In use, and the manager, asked directly, does not have it.
    Dangling,
    /// In use, and switched off, waiting for its deletion or with an expiry.
    Endangered,
    /// A field that is secret, by its connector's spec or its name, holds clear text.
    ClearText,
    /// The mask that a page shows was saved in place of the secret.
    Mask,
    /// Two fields have one name for their secrets, so that each overwrites the other's.
    Collision,
    /// What a field refers to is no secret that its manager could have.
    ReferenceToNowhere,
    /// Two places of the database that say which secret it is say different things.
    Disagreement,
    /// An index lists it, nothing uses it, and the manager, asked directly, does not have it.
    IndexWithoutSecret,
    /// Something that was removed still holds it.
    HeldByRemoved,
    /// A configuration that cannot be looked through, or not held against its spec.
    Unjudged,
}

impl PlatformFindingKind {
    /// Every kind, the most urgent first.
    pub const ALL: [Self; 10] = [
        Self::Dangling,
        Self::Endangered,
        Self::ClearText,
        Self::Mask,
        Self::Collision,
        Self::ReferenceToNowhere,
        Self::Disagreement,
        Self::IndexWithoutSecret,
        Self::HeldByRemoved,
        Self::Unjudged,
    ];

    /// The kind as a stable lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dangling => "dangling",
            Self::Endangered => "endangered",
            Self::ClearText => "clear_text",
            Self::Mask => "mask",
            Self::Collision => "collision",
            Self::ReferenceToNowhere => "reference_to_nowhere",
            Self::Disagreement => "disagreement",
            Self::IndexWithoutSecret => "index_without_secret",
            Self::HeldByRemoved => "held_by_removed",
            Self::Unjudged => "unjudged",
        }
    }
}

impl From<DefectKind> for PlatformFindingKind {
    fn from(kind: DefectKind) -> Self {
        match kind {
            DefectKind::ClearText => Self::ClearText,
            DefectKind::Mask => Self::Mask,
            DefectKind::Collision => Self::Collision,
            DefectKind::ReferenceToNowhere => Self::ReferenceToNowhere,
            DefectKind::Disagreement => Self::Disagreement,
            DefectKind::Unjudged => Self::Unjudged,
        }
    }
}

/// One thing amiss. Names only, never a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformFinding {
    /// What is amiss.
    pub kind: PlatformFindingKind,
    /// The secret's name, where it is about one.
    pub name: Option<String>,
    /// A place in the platform's database, as `schema.table.column`.
    pub column: Option<String>,
    /// The row's id.
    pub row: Option<Uuid>,
    /// What the row is called.
    pub title: Option<String>,
    /// The row's workspace.
    pub workspace: Option<Uuid>,
    /// Where in the column's JSON.
    pub pointer: Option<String>,
    /// What was seen, in a sentence.
    pub detail: String,
}

/// A secret that is leaked, or ahead of what is in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnusedSecret {
    /// Its name.
    pub name: String,
    /// How it stands.
    pub standing: Standing,
    /// The owner in its name.
    pub owner: Option<Uuid>,
    /// When it was last changed, by the manager's clock.
    pub changed: Option<Timestamp>,
    /// Since when every pass has found it unused.
    pub unused_since: Option<Timestamp>,
}

/// The report of one pass over a platform.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlatformReport {
    /// The name the platform has in the configuration.
    pub platform: String,
    /// Which database was read.
    pub database: PlatformIdentity,
    /// The manager that was listed.
    pub backend: BackendId,
    /// Which manager that is.
    pub manager: String,
    /// The pass.
    pub pass: RunId,
    /// When it began, by the store's clock.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// Pages of the manager's listing.
    pub pages: u64,
    /// Secrets the manager lists, whosever.
    pub listed: u64,
    /// Names the manager was asked for directly.
    pub asked: u64,
    /// Names it gave no sure answer for: nothing is said of them.
    pub unanswered: u64,
    /// What was read of the database.
    pub scan: ScanReport,
    /// Why nothing may be deleted on this pass's word; empty where everything was seen.
    pub obstacles: Vec<Obstacle>,
    /// Listed secrets by standing; standings without any are left out.
    pub secrets: BTreeMap<Standing, StandingCount>,
    /// How long secrets of a check or discover live, in seconds.
    #[serde(default)]
    pub ephemeral_seconds: u64,
    /// Listed secrets in use that nothing keeps but tables without a known meaning, by the names of these
    /// tables.
    #[serde(default)]
    pub kept_by_history: BTreeMap<String, u64>,
    /// Places of the database that mention a secret of another storage, by that storage: nothing is said of
    /// what they mention.
    #[serde(default)]
    pub elsewhere: BTreeMap<Uuid, u64>,
    /// Leaked secrets by age.
    pub leaked_by_age: BTreeMap<Age, u64>,
    /// What a clean-up would do now.
    pub next: NextRun,
    /// Dollars a month.
    pub cost: Cost,
    /// The owners with the most leaked secrets.
    pub owners: Vec<OwnerTally>,
    /// Whether there are more owners.
    pub more_owners: bool,
    /// What is amiss, by kind.
    pub findings: BTreeMap<PlatformFindingKind, u64>,
    /// Some of it, of each kind.
    pub examples: Vec<PlatformFinding>,
    /// Some unused secrets of each standing.
    pub unused: Vec<UnusedSecret>,
}

impl PlatformReport {
    /// How many secrets there are of a standing.
    pub fn count(&self, standing: Standing) -> u64 {
        self.secrets.get(&standing).map_or(0, |it| it.total())
    }

    /// How many secrets are leaked.
    pub fn leaked(&self) -> u64 {
        let leaked = self.secrets.iter().filter(|(it, _)| it.is_leaked());
        leaked.map(|(_, count)| count.total()).sum()
    }

    /// Whether everything was seen that could keep a secret.
    pub fn is_complete(&self) -> bool {
        self.obstacles.is_empty()
    }

    /// How many secrets a clean-up would delete now: none on the word of a pass that may have missed
    /// something.
    pub fn would_delete(&self) -> u64 {
        if self.is_complete() { self.next.due } else { 0 }
    }

    /// Whether anything is amiss, or left behind.
    pub fn has_findings(&self) -> bool {
        let unused = self
            .secrets
            .iter()
            .any(|(standing, count)| standing.is_unused() && count.total() > 0);
        unused || self.findings.values().any(|&count| count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_by_whole_days() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let day = jiff::SignedDuration::from_hours(24);
        let second = jiff::SignedDuration::from_secs(1);
        for (age, expected) in [
            (day - second, Age::Day),
            (day, Age::Week),
            (day * 7, Age::Month),
            (day * 30 - second, Age::Month),
            (day * 30, Age::Year),
            (day * 365, Age::Older),
            (-day, Age::Day),
        ] {
            assert_eq!(Age::of(Some(now - age), now), expected, "{age}");
        }
        assert_eq!(Age::of(None, now), Age::Unknown);
    }
}
