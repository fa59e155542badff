//! Deletions of a platform's secrets as the store keeps them: written down before the manager is
//! asked, with a receipt behind each.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{PlatformTarget, SecretName, Standing};
use crate::error::Result;
use crate::ids::RunId;
use crate::ledger::{DeletionOutcome, RowState};
use crate::store::{Lease, RunOutcome};

/// A run that cleans a platform.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlatformRun {
    /// Its id.
    pub id: RunId,
    /// The platform's name in the configuration.
    pub platform: String,
    /// The manager its secrets are in.
    pub backend: crate::ids::BackendId,
    /// The confirmed plan that it rests on.
    pub plan: String,
    /// When it began, by the store's clock.
    pub started: Timestamp,
    /// When it ended; `None` while it runs, or where its process died.
    pub finished: Option<Timestamp>,
    /// How it ended.
    pub outcome: Option<RunOutcome>,
    /// What it reported; null while it runs.
    pub report: serde_json::Value,
}

impl PlatformRun {
    /// The platform's secrets in their manager.
    pub fn target(&self) -> PlatformTarget {
        PlatformTarget {
            platform: self.platform.clone(),
            backend: self.backend.clone(),
        }
    }
}

/// A secret that is to be taken on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovalItem {
    /// Its name.
    pub name: SecretName,
    /// How it stands.
    pub standing: Standing,
}

/// What became of a secret that was taken on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Its name.
    pub name: SecretName,
    /// The latest run that took it on.
    pub run: RunId,
    /// How it stood then.
    pub standing: Standing,
    /// `Deleting`, `Deleted`, `Held` or `Quarantined`.
    pub state: RowState,
    /// When the claim lapses or the pause is over; until when it is held; since when it is parked.
    /// None once it is deleted.
    pub until: Option<Timestamp>,
    /// Failed deletions so far.
    pub attempts: u32,
    /// What the last failed deletion met.
    pub last_error: Option<String>,
}

impl Removal {
    /// Whether nobody may take it on now: it is held, parked, paused, or somebody is at it.
    pub fn rests(&self, now: Timestamp) -> bool {
        match self.state {
            RowState::Held | RowState::Deleting => self.until.is_some_and(|until| until > now),
            RowState::Quarantined => true,
            _ => false,
        }
    }
}

/// A secret that an undo brought back in its manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BroughtBack {
    /// Its name.
    pub name: SecretName,
    /// What it rests on, in words; no value.
    pub evidence: String,
}

/// How it ended for a secret that was taken on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemovalEnd {
    /// The manager was asked to delete it.
    Asked(DeletionOutcome),
    /// It was deleted, had come to be mentioned, and was brought back.
    Rescued,
    /// It was left alone: it is as if it had never been taken on, and has no receipt.
    Spared,
}

/// One end to be written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovalSettlement {
    /// The secret's name.
    pub name: SecretName,
    /// How it stood.
    pub standing: Standing,
    /// What the decision rested on, in words; no value.
    pub evidence: String,
    /// How it ended.
    pub end: RemovalEnd,
}

/// What the store keeps of deletions on a platform. All times are the store's.
#[async_trait]
pub trait Removals: Send + Sync {
    /// Writes down that a run begins. `plan` is the one that was confirmed.
    async fn start_removals(&self, run: RunId, target: &PlatformTarget, plan: &str) -> Result<()>;

    /// Writes down how a run ended.
    async fn finish_removals(
        &self,
        run: RunId,
        outcome: RunOutcome,
        report: &serde_json::Value,
    ) -> Result<()>;

    /// A run by its id; `None` where none of a platform has it.
    async fn removal_run(&self, run: RunId) -> Result<Option<PlatformRun>>;

    /// The run of a platform's that began last among those that have ended, or, where `outcome` is
    /// given, have ended so; `None` where there is none.
    async fn last_removal_run(
        &self,
        platform: &str,
        outcome: Option<RunOutcome>,
    ) -> Result<Option<PlatformRun>>;

    /// What became of these secrets, in their order; `None` where one was never taken on.
    async fn removals(
        &self,
        target: &PlatformTarget,
        names: &[SecretName],
    ) -> Result<Vec<Option<Removal>>>;

    /// What is in one state, behind `after` in the order of the names, at most `limit`.
    async fn removals_in(
        &self,
        target: &PlatformTarget,
        state: RowState,
        after: Option<&SecretName>,
        limit: u32,
    ) -> Result<Vec<Removal>>;

    /// Takes secrets on, before the manager is asked: `Deleting` until the claim lapses after
    /// `deadline`. One that [`rests`](Removal::rests) is refused. All of it only while `lease` is still
    /// its holder's and the platform's confirmation is still that of the run's plan, both looked at in
    /// the same transaction: `Unavailable` or `Conflict` otherwise.
    async fn claim_removals(
        &self,
        lease: &Lease,
        run: RunId,
        target: &PlatformTarget,
        items: &[RemovalItem],
        deadline: Duration,
    ) -> Result<Vec<bool>>;

    /// Writes down how it ended for secrets that were taken on, with a receipt for each that the
    /// manager was asked about. What has moved on meanwhile keeps its state. Needs no lease: what
    /// happened is written down by whoever did it.
    async fn settle_removals(
        &self,
        run: RunId,
        target: &PlatformTarget,
        settlements: &[RemovalSettlement],
    ) -> Result<()>;

    /// Holds secrets that an undo brought back: no run touches them until `hold` has passed; what is held
    /// for longer stays so. Each has a receipt. One that was never taken on is left alone; the answers,
    /// in the order of `restored`, say which are held. All of it only while `lease` is still its holder's,
    /// looked at in the same transaction: `Unavailable` otherwise.
    async fn hold_removals(
        &self,
        lease: &Lease,
        undo: RunId,
        target: &PlatformTarget,
        restored: &[BroughtBack],
        hold: Duration,
    ) -> Result<Vec<bool>>;

    /// Lets what has been parked for longer than `age` be tried again. Gives back how many.
    async fn release_removals(&self, target: &PlatformTarget, age: Duration) -> Result<u64>;
}

/// Everything that cleaning a platform needs of the store.
pub trait PlatformStore: super::Sightings + super::Adoptions + Removals {}

impl<T: super::Sightings + super::Adoptions + Removals> PlatformStore for T {}
