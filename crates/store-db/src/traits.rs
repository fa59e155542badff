//! The traits of a store, each method handed to the store it is.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::ledger::{
    Begun, Candidate, Census, Claim, ClaimItem, Damage, DueClass, DueCursor, Ledger, LedgerRow,
    QuarantineRelease, Reason, RowState, Settlement, Unused, Windows,
};
use cloakroom_core::store::{
    Adoption, CommitOutcome, DocumentCommit, DocumentRow, DocumentStore, DocumentSummary, Epoch,
    EpochRaise, Epochs, Finding, Homes, Intent, Job, Journal, Lease, LetGo, NewRun, Receipt,
    Receipts, ReferenceCursor, ReferenceRow, ReferenceSource, RemoveOutcome, Restored, RunOutcome,
    RunRecord, SecretFilter, SecretPage, SpecId, StoreIdentity, StoredDocument,
};
use cloakroom_core::{
    BackendId, Coordinate, DocumentId, Mark, Result, Revision, RunId, Timestamp, WorkspaceId,
};
use uuid::Uuid;

use crate::DbStore;
use crate::store::of_either;

#[async_trait]
impl DocumentStore for DbStore {
    async fn identity(&self) -> Result<StoreIdentity> {
        of_either!(self, inner => inner.identity().await)
    }

    async fn document(&self, id: DocumentId) -> Result<Option<StoredDocument>> {
        of_either!(self, inner => inner.document(id).await)
    }

    async fn spec(&self, id: &SpecId) -> Result<String> {
        of_either!(self, inner => inner.spec(id).await)
    }

    async fn list_documents(
        &self,
        workspace: Option<WorkspaceId>,
        after: Option<DocumentId>,
        limit: u32,
    ) -> Result<Vec<DocumentSummary>> {
        of_either!(self, inner => inner.list_documents(workspace, after, limit).await)
    }

    async fn list_secrets(
        &self,
        filter: &SecretFilter,
        after: Option<(BackendId, Coordinate)>,
        limit: u32,
    ) -> Result<SecretPage> {
        of_either!(self, inner => inner.list_secrets(filter, after, limit).await)
    }

    async fn referrers(
        &self,
        backend: &BackendId,
        coordinate: &Coordinate,
        limit: u32,
    ) -> Result<Vec<(Option<DocumentId>, String)>> {
        of_either!(self, inner => inner.referrers(backend, coordinate, limit).await)
    }

    async fn note_manager(&self, backend: &BackendId, manager: &str) -> Result<String> {
        of_either!(self, inner => inner.note_manager(backend, manager).await)
    }

    async fn intend(
        &self,
        backend: &BackendId,
        intents: &[Intent],
        expires_in: Duration,
    ) -> Result<Vec<Coordinate>> {
        of_either!(self, inner => inner.intend(backend, intents, expires_in).await)
    }

    async fn confirm_ephemeral(&self, backend: &BackendId, coordinate: &Coordinate) -> Result<()> {
        of_either!(self, inner => inner.confirm_ephemeral(backend, coordinate).await)
    }

    async fn commit(&self, commit: &DocumentCommit) -> Result<CommitOutcome> {
        of_either!(self, inner => inner.commit(commit).await)
    }

    async fn report_damage(
        &self,
        backend: &BackendId,
        coordinate: &Coordinate,
        damage: Damage,
    ) -> Result<()> {
        self.set_damage(backend, coordinate, damage).await
    }

    async fn abandon(&self, backend: &BackendId, coordinates: &[Coordinate]) -> Result<()> {
        of_either!(self, inner => inner.abandon(backend, coordinates).await)
    }

    async fn remove(&self, id: DocumentId, expected: Option<Revision>) -> Result<RemoveOutcome> {
        of_either!(self, inner => inner.remove(id, expected).await)
    }
}

#[async_trait]
impl ReferenceSource for DbStore {
    async fn references(
        &self,
        backend: &BackendId,
        after: Option<&ReferenceCursor>,
        limit: u32,
    ) -> Result<Vec<ReferenceRow>> {
        of_either!(self, inner => inner.references(backend, after, limit).await)
    }

    async fn documents(&self, after: Option<DocumentId>, limit: u32) -> Result<Vec<DocumentRow>> {
        of_either!(self, inner => inner.documents(after, limit).await)
    }

    async fn spec_text(&self, id: &SpecId) -> Result<String> {
        of_either!(self, inner => inner.spec(id).await)
    }
}

#[async_trait]
impl Ledger for DbStore {
    async fn now(&self) -> Result<Timestamp> {
        of_either!(self, inner => inner.now().await)
    }

    async fn due(
        &self,
        backend: &BackendId,
        class: DueClass,
        windows: &Windows,
        after: Option<&DueCursor>,
        limit: u32,
    ) -> Result<Vec<Candidate>> {
        of_either!(self, inner => inner.due(backend, class, windows, after, limit).await)
    }

    async fn census(
        &self,
        backend: &BackendId,
        classes: &[DueClass],
        windows: &Windows,
        share_from: u64,
    ) -> Result<Census> {
        of_either!(self, inner => inner.census(backend, classes, windows, share_from).await)
    }

    async fn count_due(
        &self,
        backend: &BackendId,
        windows: &Windows,
    ) -> Result<Vec<(Reason, u64)>> {
        of_either!(self, inner => inner.count_due(backend, windows).await)
    }

    async fn unused(&self, backend: &BackendId, windows: &Windows) -> Result<Unused> {
        of_either!(self, inner => inner.unused(backend, windows).await)
    }

    async fn begun(&self, backend: &BackendId) -> Result<Begun> {
        of_either!(self, inner => inner.begun(backend).await)
    }

    async fn missed(
        &self,
        backend: &BackendId,
        after: Option<&Coordinate>,
        limit: u32,
    ) -> Result<SecretPage> {
        of_either!(self, inner => inner.missed(backend, after, limit).await)
    }

    async fn rows(
        &self,
        backend: &BackendId,
        coordinates: &[Coordinate],
    ) -> Result<Vec<Option<LedgerRow>>> {
        of_either!(self, inner => inner.rows(backend, coordinates).await)
    }

    async fn each_row(
        &self,
        backend: &BackendId,
        coordinates: &[Coordinate],
    ) -> Result<Vec<Result<Option<LedgerRow>>>> {
        of_either!(self, inner => inner.each_row(backend, coordinates).await)
    }

    async fn known_elsewhere(
        &self,
        backend: &BackendId,
        marks: &[Mark],
    ) -> Result<Vec<Option<BackendId>>> {
        of_either!(self, inner => inner.known_elsewhere(backend, marks).await)
    }

    async fn known(&self, coordinates: &[Coordinate]) -> Result<BTreeSet<Coordinate>> {
        of_either!(self, inner => inner.known(coordinates).await)
    }

    async fn referenced(
        &self,
        backend: &BackendId,
        coordinates: &[Coordinate],
    ) -> Result<BTreeSet<Coordinate>> {
        of_either!(self, inner => inner.referenced(backend, coordinates).await)
    }

    async fn claim(
        &self,
        lease: &Lease,
        backend: &BackendId,
        items: &[ClaimItem],
        windows: &Windows,
        deadline: Duration,
    ) -> Result<Vec<Claim>> {
        of_either!(self, inner => inner.claim(lease, backend, items, windows, deadline).await)
    }

    async fn settle(
        &self,
        run: RunId,
        backend: &BackendId,
        settlements: &[Settlement],
    ) -> Result<()> {
        of_either!(self, inner => inner.settle(run, backend, settlements).await)
    }

    async fn release(
        &self,
        lease: &Lease,
        backend: &BackendId,
        coordinates: &[Coordinate],
    ) -> Result<()> {
        of_either!(self, inner => inner.release(lease, backend, coordinates).await)
    }

    async fn set_damage(
        &self,
        backend: &BackendId,
        coordinate: &Coordinate,
        damage: Damage,
    ) -> Result<()> {
        of_either!(self, inner => inner.set_damage(backend, coordinate, damage).await)
    }

    async fn forget_damage(
        &self,
        backend: &BackendId,
        coordinate: &Coordinate,
        known: Damage,
    ) -> Result<()> {
        of_either!(self, inner => inner.forget_damage(backend, coordinate, known).await)
    }

    async fn count_by_state(&self, backend: &BackendId) -> Result<Vec<(RowState, u64)>> {
        of_either!(self, inner => inner.count_by_state(backend).await)
    }

    async fn release_quarantine(
        &self,
        backend: &BackendId,
        release: &QuarantineRelease,
    ) -> Result<u64> {
        of_either!(self, inner => inner.release_quarantine(backend, release).await)
    }
}

#[async_trait]
impl Journal for DbStore {
    async fn start_run(&self, run: &NewRun) -> Result<()> {
        of_either!(self, inner => inner.start_run(run).await)
    }

    async fn finish_run(
        &self,
        run: RunId,
        outcome: RunOutcome,
        report: &serde_json::Value,
    ) -> Result<()> {
        of_either!(self, inner => inner.finish_run(run, outcome, report).await)
    }

    async fn runs(&self, limit: u32) -> Result<Vec<RunRecord>> {
        of_either!(self, inner => inner.runs(limit).await)
    }

    async fn finished(&self, job: Job, backend: &BackendId, limit: u32) -> Result<Vec<RunRecord>> {
        of_either!(self, inner => inner.finished(job, backend, limit).await)
    }

    async fn first_started(&self, job: Job, backend: &BackendId) -> Result<Option<RunRecord>> {
        of_either!(self, inner => inner.first_started(job, backend).await)
    }

    async fn broken_off(
        &self,
        job: Job,
        backend: &BackendId,
        whole: Option<&RunRecord>,
        limit: u32,
    ) -> Result<Vec<RunRecord>> {
        of_either!(self, inner => inner.broken_off(job, backend, whole, limit).await)
    }

    async fn last_whole(&self, job: Job, backend: &BackendId) -> Result<Option<RunRecord>> {
        of_either!(self, inner => inner.last_whole(job, backend).await)
    }

    async fn last_complete(&self, job: Job, backend: &BackendId) -> Result<Option<RunRecord>> {
        of_either!(self, inner => inner.last_complete(job, backend).await)
    }

    async fn record_findings(&self, run: RunId, findings: &[Finding]) -> Result<()> {
        of_either!(self, inner => inner.record_findings(run, findings).await)
    }

    async fn findings(&self, run: RunId, after: u64, limit: u32) -> Result<Vec<Finding>> {
        of_either!(self, inner => inner.findings(run, after, limit).await)
    }

    async fn acquire_lease(
        &self,
        name: &str,
        holder: &str,
        ttl: Duration,
    ) -> Result<Option<Lease>> {
        of_either!(self, inner => inner.acquire_lease(name, holder, ttl).await)
    }

    async fn renew_lease(&self, lease: &Lease, ttl: Duration) -> Result<Option<Lease>> {
        // Whoever deletes renews right before: a file that is not in its place any more may have another log.
        self.check_place().await?;
        of_either!(self, inner => inner.renew_lease(lease, ttl).await)
    }

    async fn lease_holder(&self, name: &str) -> Result<Option<String>> {
        of_either!(self, inner => inner.lease_holder(name).await)
    }

    async fn count_leases(&self, prefix: &str) -> Result<u64> {
        of_either!(self, inner => inner.count_leases(prefix).await)
    }

    async fn release_lease(&self, lease: &Lease) -> Result<()> {
        of_either!(self, inner => inner.release_lease(lease).await)
    }
}

#[async_trait]
impl Epochs for DbStore {
    async fn epoch(&self, backend: &BackendId) -> Result<Epoch> {
        of_either!(self, inner => inner.epoch(backend).await)
    }

    async fn homes(&self, backend: &BackendId) -> Result<Homes> {
        of_either!(self, inner => inner.homes(backend).await)
    }

    async fn raise_epoch(&self, backend: &BackendId, raise: &EpochRaise) -> Result<Epoch> {
        of_either!(self, inner => inner.raise_epoch(backend, raise).await)
    }

    async fn confirm_epoch(&self, backend: &BackendId, raise: Uuid) -> Result<()> {
        of_either!(self, inner => inner.confirm_epoch(backend, raise).await)
    }
}

#[async_trait]
impl Receipts for DbStore {
    async fn receipts_of(&self, run: RunId, after: i64, limit: u32) -> Result<Vec<Receipt>> {
        of_either!(self, inner => inner.receipts_of(run, after, limit).await)
    }

    async fn latest_receipt_of(&self, run: RunId) -> Result<Option<Timestamp>> {
        of_either!(self, inner => inner.latest_receipt_of(run).await)
    }

    async fn claimed_by(
        &self,
        run: RunId,
        after: Option<&Coordinate>,
        limit: u32,
    ) -> Result<Vec<(BackendId, Coordinate)>> {
        of_either!(self, inner => inner.claimed_by(run, after, limit).await)
    }

    async fn adopt(
        &self,
        run: RunId,
        backend: &BackendId,
        adoptions: &[Adoption],
    ) -> Result<Vec<bool>> {
        of_either!(self, inner => inner.adopt(run, backend, adoptions).await)
    }

    async fn rescued(&self, run: RunId, backend: &BackendId, restored: &[Restored]) -> Result<()> {
        of_either!(self, inner => inner.rescued(run, backend, restored).await)
    }

    async fn hold(
        &self,
        lease: &Lease,
        run: RunId,
        backend: &BackendId,
        restored: &[Restored],
        hold: Duration,
    ) -> Result<Vec<bool>> {
        of_either!(self, inner => inner.hold(lease, run, backend, restored, hold).await)
    }

    async fn let_missed_go(
        &self,
        run: RunId,
        backend: &BackendId,
        items: &[LetGo],
    ) -> Result<Vec<bool>> {
        of_either!(self, inner => inner.let_missed_go(run, backend, items).await)
    }
}
