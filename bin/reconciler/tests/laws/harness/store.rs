//! The store decorated: every call of the four traits can be lost on its way there or back, as when a
//! process or a connection dies.

mod history;

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::ledger::{
    Begun, Candidate, Census, Claim, ClaimItem, Damage, DueClass, DueCursor, Ledger, LedgerRow,
    QuarantineRelease, Reason, RowState, Settlement, Unused, Windows,
};
use cloakroom_core::store::{
    CommitOutcome, DocumentCommit, DocumentRow, DocumentStore, DocumentSummary, Finding, Intent,
    Job, Journal, Lease, NewRun, ReferenceCursor, ReferenceRow, ReferenceSource, RemoveOutcome,
    RunOutcome, RunRecord, SecretFilter, SecretPage, SpecId, StoreIdentity, StoredDocument,
};
use cloakroom_core::{
    BackendId, Coordinate, DocumentId, Mark, Result, Revision, RunId, Timestamp, WorkspaceId,
};
use cloakroom_store_db::DbStore;

use super::faults::{Faults, fated};

/// A store whose calls may fail.
pub(crate) struct Crashing {
    pub(super) inner: DbStore,
    pub(crate) faults: Faults,
}

impl Crashing {
    pub(crate) fn new(inner: DbStore) -> Self {
        Self {
            inner,
            faults: Faults::default(),
        }
    }
}

#[async_trait]
impl DocumentStore for Crashing {
    async fn identity(&self) -> Result<StoreIdentity> {
        fated!(
            self.faults,
            "identity",
            None,
            DocumentStore::identity(&self.inner).await
        )
    }

    async fn document(&self, id: DocumentId) -> Result<Option<StoredDocument>> {
        fated!(
            self.faults,
            "document",
            None,
            DocumentStore::document(&self.inner, id).await
        )
    }

    async fn spec(&self, id: &SpecId) -> Result<String> {
        fated!(
            self.faults,
            "spec",
            None,
            DocumentStore::spec(&self.inner, id).await
        )
    }

    async fn list_documents(
        &self,
        workspace: Option<WorkspaceId>,
        after: Option<DocumentId>,
        limit: u32,
    ) -> Result<Vec<DocumentSummary>> {
        fated!(
            self.faults,
            "list_documents",
            None,
            DocumentStore::list_documents(&self.inner, workspace, after, limit).await
        )
    }

    async fn list_secrets(
        &self,
        filter: &SecretFilter,
        after: Option<(BackendId, Coordinate)>,
        limit: u32,
    ) -> Result<SecretPage> {
        fated!(
            self.faults,
            "list_secrets",
            None,
            DocumentStore::list_secrets(&self.inner, filter, after, limit).await
        )
    }

    async fn referrers(
        &self,
        backend: &BackendId,
        coordinate: &Coordinate,
        limit: u32,
    ) -> Result<Vec<(Option<DocumentId>, String)>> {
        fated!(
            self.faults,
            "referrers",
            None,
            DocumentStore::referrers(&self.inner, backend, coordinate, limit).await
        )
    }

    async fn note_manager(&self, backend: &BackendId, manager: &str) -> Result<String> {
        fated!(
            self.faults,
            "note_manager",
            None,
            DocumentStore::note_manager(&self.inner, backend, manager).await
        )
    }

    async fn intend(
        &self,
        backend: &BackendId,
        intents: &[Intent],
        expires_in: Duration,
    ) -> Result<Vec<Coordinate>> {
        fated!(
            self.faults,
            "intend",
            None,
            DocumentStore::intend(&self.inner, backend, intents, expires_in).await
        )
    }

    async fn confirm_ephemeral(&self, backend: &BackendId, coordinate: &Coordinate) -> Result<()> {
        fated!(
            self.faults,
            "confirm_ephemeral",
            None,
            DocumentStore::confirm_ephemeral(&self.inner, backend, coordinate).await
        )
    }

    async fn commit(&self, commit: &DocumentCommit) -> Result<CommitOutcome> {
        fated!(
            self.faults,
            "commit",
            None,
            DocumentStore::commit(&self.inner, commit).await
        )
    }

    async fn report_damage(
        &self,
        backend: &BackendId,
        coordinate: &Coordinate,
        damage: Damage,
    ) -> Result<()> {
        fated!(
            self.faults,
            "report_damage",
            None,
            DocumentStore::report_damage(&self.inner, backend, coordinate, damage).await
        )
    }

    async fn abandon(&self, backend: &BackendId, coordinates: &[Coordinate]) -> Result<()> {
        fated!(
            self.faults,
            "abandon",
            None,
            DocumentStore::abandon(&self.inner, backend, coordinates).await
        )
    }

    async fn remove(&self, id: DocumentId, expected: Option<Revision>) -> Result<RemoveOutcome> {
        fated!(
            self.faults,
            "remove",
            None,
            DocumentStore::remove(&self.inner, id, expected).await
        )
    }
}

#[async_trait]
impl ReferenceSource for Crashing {
    async fn references(
        &self,
        backend: &BackendId,
        after: Option<&ReferenceCursor>,
        limit: u32,
    ) -> Result<Vec<ReferenceRow>> {
        fated!(
            self.faults,
            "references",
            None,
            ReferenceSource::references(&self.inner, backend, after, limit).await
        )
    }

    async fn documents(&self, after: Option<DocumentId>, limit: u32) -> Result<Vec<DocumentRow>> {
        fated!(
            self.faults,
            "documents",
            None,
            ReferenceSource::documents(&self.inner, after, limit).await
        )
    }

    async fn spec_text(&self, id: &SpecId) -> Result<String> {
        fated!(
            self.faults,
            "spec_text",
            None,
            ReferenceSource::spec_text(&self.inner, id).await
        )
    }
}

#[async_trait]
impl Ledger for Crashing {
    async fn now(&self) -> Result<Timestamp> {
        fated!(self.faults, "now", None, Ledger::now(&self.inner).await)
    }

    async fn due(
        &self,
        backend: &BackendId,
        class: DueClass,
        windows: &Windows,
        after: Option<&DueCursor>,
        limit: u32,
    ) -> Result<Vec<Candidate>> {
        fated!(
            self.faults,
            "due",
            None,
            Ledger::due(&self.inner, backend, class, windows, after, limit).await
        )
    }

    async fn census(
        &self,
        backend: &BackendId,
        classes: &[DueClass],
        windows: &Windows,
        share_from: u64,
    ) -> Result<Census> {
        fated!(
            self.faults,
            "census",
            None,
            Ledger::census(&self.inner, backend, classes, windows, share_from).await
        )
    }

    async fn count_due(
        &self,
        backend: &BackendId,
        windows: &Windows,
    ) -> Result<Vec<(Reason, u64)>> {
        fated!(
            self.faults,
            "count_due",
            None,
            Ledger::count_due(&self.inner, backend, windows).await
        )
    }

    async fn unused(&self, backend: &BackendId, windows: &Windows) -> Result<Unused> {
        fated!(
            self.faults,
            "unused",
            None,
            Ledger::unused(&self.inner, backend, windows).await
        )
    }

    async fn begun(&self, backend: &BackendId) -> Result<Begun> {
        fated!(
            self.faults,
            "begun",
            None,
            Ledger::begun(&self.inner, backend).await
        )
    }

    async fn missed(
        &self,
        backend: &BackendId,
        after: Option<&Coordinate>,
        limit: u32,
    ) -> Result<SecretPage> {
        fated!(
            self.faults,
            "missed",
            None,
            Ledger::missed(&self.inner, backend, after, limit).await
        )
    }

    async fn rows(
        &self,
        backend: &BackendId,
        coordinates: &[Coordinate],
    ) -> Result<Vec<Option<LedgerRow>>> {
        fated!(
            self.faults,
            "rows",
            None,
            Ledger::rows(&self.inner, backend, coordinates).await
        )
    }

    async fn each_row(
        &self,
        backend: &BackendId,
        coordinates: &[Coordinate],
    ) -> Result<Vec<Result<Option<LedgerRow>>>> {
        fated!(
            self.faults,
            "rows",
            None,
            self.inner.each_row(backend, coordinates).await
        )
    }

    async fn known_elsewhere(
        &self,
        backend: &BackendId,
        marks: &[Mark],
    ) -> Result<Vec<Option<BackendId>>> {
        fated!(
            self.faults,
            "known_elsewhere",
            None,
            Ledger::known_elsewhere(&self.inner, backend, marks).await
        )
    }

    async fn known(&self, coordinates: &[Coordinate]) -> Result<BTreeSet<Coordinate>> {
        fated!(
            self.faults,
            "known",
            None,
            Ledger::known(&self.inner, coordinates).await
        )
    }

    async fn referenced(
        &self,
        backend: &BackendId,
        coordinates: &[Coordinate],
    ) -> Result<BTreeSet<Coordinate>> {
        fated!(
            self.faults,
            "referenced",
            None,
            Ledger::referenced(&self.inner, backend, coordinates).await
        )
    }

    async fn claim(
        &self,
        lease: &Lease,
        backend: &BackendId,
        items: &[ClaimItem],
        windows: &Windows,
        deadline: Duration,
    ) -> Result<Vec<Claim>> {
        fated!(
            self.faults,
            "claim",
            None,
            Ledger::claim(&self.inner, lease, backend, items, windows, deadline).await
        )
    }

    async fn settle(
        &self,
        run: RunId,
        backend: &BackendId,
        settlements: &[Settlement],
    ) -> Result<()> {
        fated!(
            self.faults,
            "settle",
            None,
            Ledger::settle(&self.inner, run, backend, settlements).await
        )
    }

    async fn release(
        &self,
        lease: &Lease,
        backend: &BackendId,
        coordinates: &[Coordinate],
    ) -> Result<()> {
        fated!(
            self.faults,
            "release",
            None,
            Ledger::release(&self.inner, lease, backend, coordinates).await
        )
    }

    async fn set_damage(
        &self,
        backend: &BackendId,
        coordinate: &Coordinate,
        damage: Damage,
    ) -> Result<()> {
        fated!(
            self.faults,
            "set_damage",
            None,
            Ledger::set_damage(&self.inner, backend, coordinate, damage).await
        )
    }

    async fn forget_damage(
        &self,
        backend: &BackendId,
        coordinate: &Coordinate,
        known: Damage,
    ) -> Result<()> {
        fated!(
            self.faults,
            "forget_damage",
            None,
            Ledger::forget_damage(&self.inner, backend, coordinate, known).await
        )
    }

    async fn count_by_state(&self, backend: &BackendId) -> Result<Vec<(RowState, u64)>> {
        fated!(
            self.faults,
            "count_by_state",
            None,
            Ledger::count_by_state(&self.inner, backend).await
        )
    }

    async fn release_quarantine(
        &self,
        backend: &BackendId,
        release: &QuarantineRelease,
    ) -> Result<u64> {
        fated!(
            self.faults,
            "release_quarantine",
            None,
            Ledger::release_quarantine(&self.inner, backend, release).await
        )
    }
}

#[async_trait]
impl Journal for Crashing {
    async fn start_run(&self, run: &NewRun) -> Result<()> {
        fated!(
            self.faults,
            "start_run",
            None,
            Journal::start_run(&self.inner, run).await
        )
    }

    async fn finish_run(
        &self,
        run: RunId,
        outcome: RunOutcome,
        report: &serde_json::Value,
    ) -> Result<()> {
        fated!(
            self.faults,
            "finish_run",
            None,
            Journal::finish_run(&self.inner, run, outcome, report).await
        )
    }

    async fn runs(&self, limit: u32) -> Result<Vec<RunRecord>> {
        fated!(
            self.faults,
            "runs",
            None,
            Journal::runs(&self.inner, limit).await
        )
    }

    async fn finished(&self, job: Job, backend: &BackendId, limit: u32) -> Result<Vec<RunRecord>> {
        fated!(
            self.faults,
            "finished",
            None,
            Journal::finished(&self.inner, job, backend, limit).await
        )
    }

    async fn first_started(&self, job: Job, backend: &BackendId) -> Result<Option<RunRecord>> {
        fated!(
            self.faults,
            "first_started",
            None,
            Journal::first_started(&self.inner, job, backend).await
        )
    }

    async fn broken_off(
        &self,
        job: Job,
        backend: &BackendId,
        whole: Option<&RunRecord>,
        limit: u32,
    ) -> Result<Vec<RunRecord>> {
        fated!(
            self.faults,
            "broken_off",
            None,
            Journal::broken_off(&self.inner, job, backend, whole, limit).await
        )
    }

    async fn last_whole(&self, job: Job, backend: &BackendId) -> Result<Option<RunRecord>> {
        fated!(
            self.faults,
            "last_whole",
            None,
            Journal::last_whole(&self.inner, job, backend).await
        )
    }

    async fn last_complete(&self, job: Job, backend: &BackendId) -> Result<Option<RunRecord>> {
        fated!(
            self.faults,
            "last_complete",
            None,
            Journal::last_complete(&self.inner, job, backend).await
        )
    }

    async fn record_findings(&self, run: RunId, findings: &[Finding]) -> Result<()> {
        fated!(
            self.faults,
            "record_findings",
            None,
            Journal::record_findings(&self.inner, run, findings).await
        )
    }

    async fn findings(&self, run: RunId, after: u64, limit: u32) -> Result<Vec<Finding>> {
        fated!(
            self.faults,
            "findings",
            None,
            Journal::findings(&self.inner, run, after, limit).await
        )
    }

    async fn acquire_lease(
        &self,
        name: &str,
        holder: &str,
        ttl: Duration,
    ) -> Result<Option<Lease>> {
        fated!(
            self.faults,
            "acquire_lease",
            None,
            Journal::acquire_lease(&self.inner, name, holder, ttl).await
        )
    }

    async fn renew_lease(&self, lease: &Lease, ttl: Duration) -> Result<Option<Lease>> {
        fated!(
            self.faults,
            "renew_lease",
            None,
            Journal::renew_lease(&self.inner, lease, ttl).await
        )
    }

    async fn lease_holder(&self, name: &str) -> Result<Option<String>> {
        fated!(
            self.faults,
            "lease_holder",
            None,
            Journal::lease_holder(&self.inner, name).await
        )
    }

    async fn count_leases(&self, prefix: &str) -> Result<u64> {
        fated!(
            self.faults,
            "count_leases",
            None,
            Journal::count_leases(&self.inner, prefix).await
        )
    }

    async fn release_lease(&self, lease: &Lease) -> Result<()> {
        fated!(
            self.faults,
            "release_lease",
            None,
            Journal::release_lease(&self.inner, lease).await
        )
    }
}
