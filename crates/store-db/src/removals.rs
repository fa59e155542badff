//! What is kept of a platform's clean-up, each method handed to the store it is.

use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::ledger::RowState;
use cloakroom_core::platform::{
    Adoptions, BroughtBack, Confirmation, PlatformRun, PlatformTarget, Removal, RemovalItem,
    RemovalSettlement, Removals, SecretName, ShownPlan,
};
use cloakroom_core::store::{Lease, RunOutcome};
use cloakroom_core::{Result, RunId};

use crate::DbStore;
use crate::store::of_either;

#[async_trait]
impl Adoptions for DbStore {
    async fn show_plan(&self, platform: &str, plan: &ShownPlan) -> Result<()> {
        of_either!(self, inner => inner.show_plan(platform, plan).await)
    }

    async fn confirm(&self, platform: &str, plan: &ShownPlan, by: &str) -> Result<Confirmation> {
        of_either!(self, inner => inner.confirm(platform, plan, by).await)
    }

    async fn confirmation(&self, platform: &str) -> Result<Option<Confirmation>> {
        of_either!(self, inner => inner.confirmation(platform).await)
    }
}

#[async_trait]
impl Removals for DbStore {
    async fn start_removals(&self, run: RunId, target: &PlatformTarget, plan: &str) -> Result<()> {
        of_either!(self, inner => inner.start_removals(run, target, plan).await)
    }

    async fn finish_removals(
        &self,
        run: RunId,
        outcome: RunOutcome,
        report: &serde_json::Value,
    ) -> Result<()> {
        of_either!(self, inner => inner.finish_removals(run, outcome, report).await)
    }

    async fn removal_run(&self, run: RunId) -> Result<Option<PlatformRun>> {
        of_either!(self, inner => inner.removal_run(run).await)
    }

    async fn last_removal_run(
        &self,
        platform: &str,
        outcome: Option<RunOutcome>,
    ) -> Result<Option<PlatformRun>> {
        of_either!(self, inner => inner.last_removal_run(platform, outcome).await)
    }

    async fn removals(
        &self,
        target: &PlatformTarget,
        names: &[SecretName],
    ) -> Result<Vec<Option<Removal>>> {
        of_either!(self, inner => inner.removals(target, names).await)
    }

    async fn removals_in(
        &self,
        target: &PlatformTarget,
        state: RowState,
        after: Option<&SecretName>,
        limit: u32,
    ) -> Result<Vec<Removal>> {
        of_either!(self, inner => inner.removals_in(target, state, after, limit).await)
    }

    async fn claim_removals(
        &self,
        lease: &Lease,
        run: RunId,
        target: &PlatformTarget,
        items: &[RemovalItem],
        deadline: Duration,
    ) -> Result<Vec<bool>> {
        of_either!(self, inner => inner.claim_removals(lease, run, target, items, deadline).await)
    }

    async fn settle_removals(
        &self,
        run: RunId,
        target: &PlatformTarget,
        settlements: &[RemovalSettlement],
    ) -> Result<()> {
        of_either!(self, inner => inner.settle_removals(run, target, settlements).await)
    }

    async fn hold_removals(
        &self,
        lease: &Lease,
        undo: RunId,
        target: &PlatformTarget,
        restored: &[BroughtBack],
        hold: Duration,
    ) -> Result<Vec<bool>> {
        of_either!(self, inner => inner.hold_removals(lease, undo, target, restored, hold).await)
    }

    async fn release_removals(&self, target: &PlatformTarget, age: Duration) -> Result<u64> {
        of_either!(self, inner => inner.release_removals(target, age).await)
    }
}
