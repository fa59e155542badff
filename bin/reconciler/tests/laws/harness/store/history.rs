//! What the store remembers of itself and of what was done: epochs and receipts, decorated.

use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::store::{
    Adoption, Epoch, EpochRaise, Epochs, Homes, Lease, LetGo, Receipt, Receipts, Restored,
};
use cloakroom_core::{BackendId, Coordinate, Result, RunId, Timestamp};
use uuid::Uuid;

use super::Crashing;
use crate::harness::faults::fated;

#[async_trait]
impl Epochs for Crashing {
    async fn epoch(&self, backend: &BackendId) -> Result<Epoch> {
        fated!(
            self.faults,
            "epoch",
            None,
            Epochs::epoch(&self.inner, backend).await
        )
    }

    async fn homes(&self, backend: &BackendId) -> Result<Homes> {
        fated!(
            self.faults,
            "homes",
            None,
            Epochs::homes(&self.inner, backend).await
        )
    }

    async fn raise_epoch(&self, backend: &BackendId, raise: &EpochRaise) -> Result<Epoch> {
        fated!(
            self.faults,
            "raise_epoch",
            None,
            Epochs::raise_epoch(&self.inner, backend, raise).await
        )
    }

    async fn confirm_epoch(&self, backend: &BackendId, raise: Uuid) -> Result<()> {
        fated!(
            self.faults,
            "confirm_epoch",
            None,
            Epochs::confirm_epoch(&self.inner, backend, raise).await
        )
    }
}

#[async_trait]
impl Receipts for Crashing {
    async fn receipts_of(&self, run: RunId, after: i64, limit: u32) -> Result<Vec<Receipt>> {
        fated!(
            self.faults,
            "receipts_of",
            None,
            Receipts::receipts_of(&self.inner, run, after, limit).await
        )
    }

    async fn latest_receipt_of(&self, run: RunId) -> Result<Option<Timestamp>> {
        fated!(
            self.faults,
            "latest_receipt_of",
            None,
            Receipts::latest_receipt_of(&self.inner, run).await
        )
    }

    async fn claimed_by(
        &self,
        run: RunId,
        after: Option<&Coordinate>,
        limit: u32,
    ) -> Result<Vec<(BackendId, Coordinate)>> {
        fated!(
            self.faults,
            "claimed_by",
            None,
            Receipts::claimed_by(&self.inner, run, after, limit).await
        )
    }

    async fn adopt(
        &self,
        run: RunId,
        backend: &BackendId,
        adoptions: &[Adoption],
    ) -> Result<Vec<bool>> {
        fated!(
            self.faults,
            "adopt",
            None,
            Receipts::adopt(&self.inner, run, backend, adoptions).await
        )
    }

    async fn rescued(&self, run: RunId, backend: &BackendId, restored: &[Restored]) -> Result<()> {
        fated!(
            self.faults,
            "rescued",
            None,
            Receipts::rescued(&self.inner, run, backend, restored).await
        )
    }

    async fn hold(
        &self,
        lease: &Lease,
        run: RunId,
        backend: &BackendId,
        restored: &[Restored],
        hold: Duration,
    ) -> Result<Vec<bool>> {
        fated!(
            self.faults,
            "hold",
            None,
            Receipts::hold(&self.inner, lease, run, backend, restored, hold).await
        )
    }

    async fn let_missed_go(
        &self,
        run: RunId,
        backend: &BackendId,
        items: &[LetGo],
    ) -> Result<Vec<bool>> {
        fated!(
            self.faults,
            "let_go",
            None,
            Receipts::let_missed_go(&self.inner, run, backend, items).await
        )
    }
}
