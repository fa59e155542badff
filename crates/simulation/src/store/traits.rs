//! The store's traits, each method one transaction.

use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::ledger::{
    Candidate, Census, Claim, ClaimItem, Damage, DueClass, DueCursor, Ledger, LedgerRow,
    QuarantineRelease, Reason, RowState, Settlement, Windows,
};
use cloakroom_core::store::{
    Adoption, CommitOutcome, DocumentCommit, DocumentRow, DocumentStore, DocumentSummary, Epoch,
    EpochRaise, Epochs, Finding, Intent, Job, Journal, Lease, NewRun, Receipt, Receipts,
    RecordedReference, ReferenceCursor, ReferenceRow, ReferenceSource, ReferencedRow,
    RemoveOutcome, Restored, RunOutcome, RunRecord, SecretFilter, SpecId, StoreIdentity,
    StoredDocument,
};
use cloakroom_core::{
    BackendId, Coordinate, DocumentId, ErrorKind, Result, Revision, RunId, Timestamp, WorkspaceId,
};

use super::MemoryStore;
use super::state::refusal;
use crate::happening::{Happening, Key};
use crate::stage::moment;

fn keys(backend: &BackendId, coordinates: &[Coordinate]) -> Vec<Key> {
    let key = |coordinate: &Coordinate| (backend.clone(), coordinate.clone());
    coordinates.iter().map(key).collect()
}

#[async_trait]
impl DocumentStore for MemoryStore {
    async fn identity(&self) -> Result<StoreIdentity> {
        self.transact("identity", |state, _| Ok(state.identity.clone()))
            .await
    }

    async fn document(&self, id: DocumentId) -> Result<Option<StoredDocument>> {
        self.transact("document", |state, _| Ok(state.document(id)))
            .await
    }

    async fn spec(&self, id: &SpecId) -> Result<String> {
        self.transact("spec", |state, _| {
            let missing = || refusal(ErrorKind::Missing, "read a spec", "there is no such spec");
            state.specs.get(id).cloned().ok_or_else(missing)
        })
        .await
    }

    async fn list_documents(
        &self,
        workspace: Option<WorkspaceId>,
        after: Option<DocumentId>,
        limit: u32,
    ) -> Result<Vec<DocumentSummary>> {
        self.transact("list documents", |state, _| {
            let documents = state.documents.iter().filter(|(id, document)| {
                after.is_none_or(|after| **id > after)
                    && workspace.is_none_or(|it| document.workspace == it)
            });
            let summaries = documents.map(|(id, document)| DocumentSummary {
                id: *id,
                workspace: document.workspace,
                revision: document.revision,
                updated: moment(document.updated),
                secrets: document.references.len() as u64,
            });
            Ok(summaries.take(limit as usize).collect())
        })
        .await
    }

    async fn list_secrets(
        &self,
        filter: &SecretFilter,
        after: Option<(BackendId, Coordinate)>,
        limit: u32,
    ) -> Result<Vec<LedgerRow>> {
        self.transact("list secrets", |state, _| {
            let order = |key: &Key| (key.0.clone(), key.1.as_str().to_owned());
            let mut rows: Vec<_> = state
                .rows
                .iter()
                .filter(|(key, row)| {
                    after.as_ref().is_none_or(|it| order(key) > order(it))
                        && filter.owner.is_none_or(|it| key.1.owner() == Some(it.0))
                        && filter.base.as_ref().is_none_or(|it| key.1.base() == it)
                        && filter.state.is_none_or(|it| row.ledger.state == it)
                })
                .collect();
            rows.sort_by_key(|(key, _)| order(key));
            let rows = rows.into_iter().map(|(_, row)| row.ledger.clone());
            Ok(rows.take(limit as usize).collect())
        })
        .await
    }

    async fn referrers(
        &self,
        backend: &BackendId,
        coordinate: &Coordinate,
        limit: u32,
    ) -> Result<Vec<(DocumentId, String)>> {
        self.transact("referrers", |state, _| {
            let all = state.documents.iter().flat_map(|(id, document)| {
                let references = document.references.values();
                let these =
                    references.filter(|it| it.backend == *backend && it.coordinate == *coordinate);
                these.map(|it| (*id, it.pointer.clone()))
            });
            Ok(all.take(limit as usize).collect())
        })
        .await
    }

    async fn intend(
        &self,
        backend: &BackendId,
        intents: &[Intent],
        expires_in: Duration,
    ) -> Result<Vec<Coordinate>> {
        self.transact("intend", |state, now| {
            let done = state.intend(&self.stage, backend, intents, expires_in, now);
            if let Ok(coordinates) = &done {
                self.stage.tell(|| format!("intends {coordinates:?}"));
            }
            done
        })
        .await
    }

    async fn confirm_ephemeral(&self, backend: &BackendId, coordinate: &Coordinate) -> Result<()> {
        let key = (backend.clone(), coordinate.clone());
        self.transact("confirm", |state, now| state.confirm(&key, now))
            .await
    }

    async fn commit(&self, commit: &DocumentCommit) -> Result<CommitOutcome> {
        self.transact("commit", |state, now| {
            let done = state.commit(&self.stage, commit, now);
            self.stage
                .tell(|| format!("commits {}: {done:?}", commit.id));
            done
        })
        .await
    }

    async fn abandon(&self, backend: &BackendId, coordinates: &[Coordinate]) -> Result<()> {
        let keys = keys(backend, coordinates);
        self.transact("abandon", |state, now| {
            state.expire(keys.iter(), now);
            Ok(())
        })
        .await
    }

    async fn remove(&self, id: DocumentId, expected: Option<Revision>) -> Result<RemoveOutcome> {
        self.transact("remove", |state, now| {
            let done = state.remove(id, expected, now);
            if matches!(done, RemoveOutcome::Removed { .. }) {
                self.stage.happened(Happening::Removed { id });
            }
            self.stage.tell(|| format!("removes {id}: {done:?}"));
            Ok(done)
        })
        .await
    }
}

#[async_trait]
impl ReferenceSource for MemoryStore {
    async fn references(
        &self,
        backend: &BackendId,
        after: Option<&ReferenceCursor>,
        limit: u32,
    ) -> Result<Vec<ReferenceRow>> {
        self.transact("references", |state, _| {
            let order = |row: &ReferenceRow| {
                let text = row.coordinate.as_str().to_owned();
                (text, row.document, row.pointer.clone())
            };
            let after = after.map(|it| {
                let text = it.coordinate.as_str().to_owned();
                (text, it.document, it.pointer.clone())
            });
            let all = state.documents.iter().flat_map(|(id, document)| {
                let references = document.references.values();
                references.map(|reference| (*id, reference))
            });
            let row = |(document, it): (DocumentId, &cloakroom_core::store::NewReference)| {
                let key = (it.backend.clone(), it.coordinate.clone());
                let ledger = state.rows.get(&key).map(|row| ReferencedRow {
                    state: row.ledger.state,
                    kind: row.ledger.kind,
                    digest: row.ledger.digest.clone(),
                    damage: row.ledger.damage,
                });
                ReferenceRow {
                    document,
                    pointer: it.pointer.clone(),
                    coordinate: it.coordinate.clone(),
                    ledger,
                }
            };
            let mut rows: Vec<ReferenceRow> = all
                .filter(|(_, it)| it.backend == *backend)
                .map(row)
                .filter(|it| after.as_ref().is_none_or(|after| order(it) > *after))
                .collect();
            rows.sort_by_key(order);
            rows.truncate(limit as usize);
            Ok(rows)
        })
        .await
    }

    async fn documents(&self, after: Option<DocumentId>, limit: u32) -> Result<Vec<DocumentRow>> {
        self.transact("documents", |state, _| {
            let documents = state.documents.iter();
            let documents = documents.filter(|(id, _)| after.is_none_or(|after| **id > after));
            let rows = documents.map(|(id, document)| DocumentRow {
                id: *id,
                spec: document.spec.clone(),
                blob: document.blob.clone(),
                references: document
                    .references
                    .values()
                    .map(|it| RecordedReference {
                        pointer: it.pointer.clone(),
                        backend: it.backend.clone(),
                        coordinate: it.coordinate.clone(),
                    })
                    .collect(),
            });
            Ok(rows.take(limit as usize).collect())
        })
        .await
    }

    async fn spec_text(&self, id: &SpecId) -> Result<String> {
        DocumentStore::spec(self, id).await
    }
}

#[async_trait]
impl Ledger for MemoryStore {
    async fn now(&self) -> Result<Timestamp> {
        self.transact("now", |_, now| Ok(moment(now))).await
    }

    async fn due(
        &self,
        backend: &BackendId,
        class: DueClass,
        windows: &Windows,
        after: Option<&DueCursor>,
        limit: u32,
    ) -> Result<Vec<Candidate>> {
        self.transact("due", |state, now| {
            Ok(state.due(backend, class, windows, after, limit, now))
        })
        .await
    }

    async fn census(
        &self,
        backend: &BackendId,
        classes: &[DueClass],
        windows: &Windows,
        share_from: u64,
    ) -> Result<Census> {
        self.transact("census", |state, now| {
            let census = state.census(backend, classes, windows, share_from, now);
            self.stage.happened(Happening::Counted {
                task: self.stage.current(),
                any_reference: census.any_live_reference,
            });
            Ok(census)
        })
        .await
    }

    async fn count_due(
        &self,
        backend: &BackendId,
        windows: &Windows,
    ) -> Result<Vec<(Reason, u64)>> {
        self.transact("count due", |state, now| {
            Ok(state.count_due(backend, windows, now))
        })
        .await
    }

    async fn rows(
        &self,
        backend: &BackendId,
        coordinates: &[Coordinate],
    ) -> Result<Vec<Option<LedgerRow>>> {
        let keys = keys(backend, coordinates);
        self.transact("rows", |state, _| {
            let row = |key: &Key| {
                let row = state.rows.get(key).map(|row| row.ledger.clone());
                if row.is_none() {
                    self.stage.happened(Happening::Unknown {
                        task: self.stage.current(),
                        key: key.clone(),
                    });
                }
                row
            };
            Ok(keys.iter().map(row).collect())
        })
        .await
    }

    async fn claim(
        &self,
        lease: &Lease,
        backend: &BackendId,
        items: &[ClaimItem],
        windows: &Windows,
        deadline: Duration,
    ) -> Result<Vec<Claim>> {
        self.transact("claim", |state, now| {
            let stage = &self.stage;
            let done = state.claim(stage, lease, backend, items, windows, deadline, now);
            self.stage.tell(|| format!("claims {items:?}: {done:?}"));
            done
        })
        .await
    }

    async fn settle(
        &self,
        run: RunId,
        backend: &BackendId,
        settlements: &[Settlement],
    ) -> Result<()> {
        self.transact("settle", |state, now| {
            let done = state.settle(&self.stage, run, backend, settlements, now);
            self.stage
                .tell(|| format!("settles {settlements:?}: {done:?}"));
            done
        })
        .await
    }

    async fn release(&self, backend: &BackendId, coordinates: &[Coordinate]) -> Result<()> {
        self.transact("release", |state, now| {
            state.release(backend, coordinates, now);
            Ok(())
        })
        .await
    }

    async fn set_damage(
        &self,
        backend: &BackendId,
        coordinate: &Coordinate,
        damage: Option<Damage>,
    ) -> Result<()> {
        let key = (backend.clone(), coordinate.clone());
        self.transact("set damage", |state, _| match state.rows.get_mut(&key) {
            Some(row) => {
                row.ledger.damage = damage;
                Ok(())
            }
            None => Err(refusal(
                ErrorKind::Missing,
                "write down damage",
                "table secrets has no such row",
            )),
        })
        .await
    }

    async fn count_by_state(&self, backend: &BackendId) -> Result<Vec<(RowState, u64)>> {
        self.transact("count by state", |state, _| {
            let count = |wanted: RowState| {
                let rows = state.rows.iter();
                let these =
                    rows.filter(|(key, row)| key.0 == *backend && row.ledger.state == wanted);
                (wanted, these.count() as u64)
            };
            Ok(RowState::ALL.map(count).to_vec())
        })
        .await
    }

    async fn release_quarantine(
        &self,
        backend: &BackendId,
        release: &QuarantineRelease,
    ) -> Result<u64> {
        self.transact("release quarantine", |state, now| {
            Ok(state.release_quarantine(backend, release, now))
        })
        .await
    }
}

#[async_trait]
impl Journal for MemoryStore {
    async fn start_run(&self, run: &NewRun) -> Result<()> {
        self.transact("start run", |state, now| state.start_run(run, now))
            .await
    }

    async fn finish_run(
        &self,
        run: RunId,
        outcome: RunOutcome,
        report: &serde_json::Value,
    ) -> Result<()> {
        self.transact("finish run", |state, now| {
            self.stage
                .tell(|| format!("run ends {outcome:?}: {report}"));
            state.finish_run(run, outcome, report, now)
        })
        .await
    }

    async fn runs(&self, limit: u32) -> Result<Vec<RunRecord>> {
        self.transact("runs", |state, _| {
            Ok(state.records().into_iter().take(limit as usize).collect())
        })
        .await
    }

    async fn last_finished(&self, job: Job, backend: &BackendId) -> Result<Option<RunRecord>> {
        self.transact("last finished", |state, _| {
            let last = state.records().into_iter().find(|run| {
                !run.dry_run && run.finished.is_some() && run.job == job && run.backend == *backend
            });
            Ok(last)
        })
        .await
    }

    async fn last_complete(&self, job: Job, backend: &BackendId) -> Result<Option<RunRecord>> {
        self.transact("last complete", |state, _| {
            let last = state.records().into_iter().find(|run| {
                !run.dry_run
                    && run.outcome == Some(RunOutcome::Done)
                    && run.report["plan"].is_null()
                    && run.job == job
                    && run.backend == *backend
            });
            Ok(last)
        })
        .await
    }

    async fn record_findings(&self, run: RunId, findings: &[Finding]) -> Result<()> {
        self.transact("record findings", |state, _| {
            let backend = state.runs.get(&run).map(|run| run.new.backend.clone());
            for finding in findings {
                self.stage.tell(|| format!("finds {finding:?}"));
                if let Some(backend) = &backend {
                    self.stage.happened(Happening::Found {
                        backend: backend.clone(),
                        finding: Box::new(finding.clone()),
                    });
                }
            }
            state.record_findings(run, findings)
        })
        .await
    }

    async fn findings(&self, run: RunId, after: u64, limit: u32) -> Result<Vec<Finding>> {
        self.transact("findings", |state, _| {
            let of_run = state.runs.get(&run).map(|run| run.findings.iter());
            let behind = usize::try_from(after).unwrap_or(usize::MAX);
            let page = of_run.into_iter().flatten().skip(behind);
            Ok(page.take(limit as usize).cloned().collect())
        })
        .await
    }

    async fn acquire_lease(
        &self,
        name: &str,
        holder: &str,
        ttl: Duration,
    ) -> Result<Option<Lease>> {
        self.transact("lease", |state, now| {
            let lease = state.acquire_lease(name, holder, ttl, now);
            self.stage.happened(Happening::Lease {
                task: self.stage.current(),
                granted: lease.is_some(),
            });
            Ok(lease)
        })
        .await
    }

    async fn renew_lease(&self, lease: &Lease, ttl: Duration) -> Result<Option<Lease>> {
        self.transact("renew lease", |state, now| {
            let renewed = state.renew_lease(lease, ttl, now);
            self.stage.happened(Happening::Lease {
                task: self.stage.current(),
                granted: renewed.is_some(),
            });
            Ok(renewed)
        })
        .await
    }

    async fn lease_holder(&self, name: &str) -> Result<Option<String>> {
        self.transact("lease holder", |state, now| {
            let standing = state.leases.get(name).filter(|it| it.stands(now));
            Ok(standing.and_then(|it| it.holder.clone()))
        })
        .await
    }

    async fn count_leases(&self, prefix: &str) -> Result<u64> {
        self.transact("count leases", |state, now| {
            let leases = state.leases.iter();
            let held = leases.filter(|(name, it)| name.starts_with(prefix) && it.stands(now));
            Ok(held.count() as u64)
        })
        .await
    }

    async fn release_lease(&self, lease: &Lease) -> Result<()> {
        self.transact("release lease", |state, _| {
            state.release_lease(lease);
            Ok(())
        })
        .await
    }
}

#[async_trait]
impl Epochs for MemoryStore {
    async fn epoch(&self, backend: &BackendId) -> Result<Epoch> {
        self.transact("epoch", |state, _| Ok(state.epoch(backend)))
            .await
    }

    async fn raise_epoch(&self, backend: &BackendId, raise: &EpochRaise) -> Result<Epoch> {
        self.transact("raise epoch", |state, now| {
            let done = state.raise_epoch(backend, raise, now);
            self.stage.tell(|| format!("raises the epoch: {done:?}"));
            done
        })
        .await
    }
}

#[async_trait]
impl Receipts for MemoryStore {
    async fn receipts_of(&self, run: RunId, after: i64, limit: u32) -> Result<Vec<Receipt>> {
        self.transact("receipts", |state, _| {
            let receipts = state.receipts.iter();
            let these = receipts.filter(|it| it.run == run && it.seq > after);
            Ok(these.take(limit as usize).cloned().collect())
        })
        .await
    }

    async fn latest_receipt_of(&self, run: RunId) -> Result<Option<Timestamp>> {
        self.transact("latest receipt", |state, _| {
            let receipts = state.receipts.iter();
            Ok(receipts.filter(|it| it.run == run).map(|it| it.at).max())
        })
        .await
    }

    async fn adopt(
        &self,
        run: RunId,
        backend: &BackendId,
        adoptions: &[Adoption],
    ) -> Result<Vec<bool>> {
        self.transact("adopt", |state, now| {
            Ok(state.adopt(run, backend, adoptions, now))
        })
        .await
    }

    async fn hold(
        &self,
        run: RunId,
        backend: &BackendId,
        restored: &[Restored],
        hold: Duration,
    ) -> Result<Vec<bool>> {
        self.transact("hold", |state, now| {
            let held = state.hold(run, backend, restored, hold, now);
            for (restored, (_, until)) in restored.iter().zip(&held).filter(|(_, it)| it.0) {
                let key = (backend.clone(), restored.coordinate.clone());
                let until = *until;
                self.stage.happened(Happening::Held { key, until });
            }
            Ok(held.into_iter().map(|(held, _)| held).collect())
        })
        .await
    }
}
