//! Documents, what is recorded for them, and their references.

use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::ledger::{Damage, Ledger as _};
use cloakroom_core::store::{
    CommitOutcome, DocumentCommit, DocumentRow, DocumentStore, DocumentSummary, Intent,
    RecordedReference, ReferenceCursor, ReferenceRow, ReferenceSource, ReferencedRow,
    RemoveOutcome, SecretFilter, SecretPage, SpecId, StoreIdentity, StoredDocument,
};
use cloakroom_core::{BackendId, Coordinate, DocumentId, ErrorKind, Result, Revision, WorkspaceId};

use super::{keys, page};
use crate::happening::{Happening, Key};
use crate::stage::moment;
use crate::store::MemoryStore;
use crate::store::state::refusal;

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
    ) -> Result<SecretPage> {
        self.transact("list secrets", |state, _| {
            let order = |key: &Key| (key.0.clone(), key.1.as_str().to_owned());
            let mut rows: Vec<_> = state
                .rows
                .iter()
                .filter(|(key, row)| {
                    after.as_ref().is_none_or(|it| order(key) > order(it))
                        && filter.backend.as_ref().is_none_or(|it| key.0 == *it)
                        && (filter.owner.is_none() || row.owner == filter.owner)
                        && filter.base.as_ref().is_none_or(|it| key.1.base() == it)
                        && filter.state.is_none_or(|it| row.ledger.state == it)
                })
                .collect();
            rows.sort_by_key(|(key, _)| order(key));
            let rows = rows.into_iter().map(|(_, row)| row.ledger.clone());
            Ok(page(rows.take(limit as usize).collect(), limit))
        })
        .await
    }

    async fn referrers(
        &self,
        backend: &BackendId,
        coordinate: &Coordinate,
        limit: u32,
    ) -> Result<Vec<(Option<DocumentId>, String)>> {
        self.transact("referrers", |state, _| {
            let all = state.documents.iter().flat_map(|(id, document)| {
                let references = document.references.values();
                let these =
                    references.filter(|it| it.backend == *backend && it.coordinate == *coordinate);
                these.map(|it| (Some(*id), it.pointer.clone()))
            });
            Ok(all.take(limit as usize).collect())
        })
        .await
    }

    async fn note_manager(&self, backend: &BackendId, manager: &str) -> Result<String> {
        self.transact("note manager", |state, _| {
            Ok(state.note_manager(backend, manager))
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

    async fn report_damage(
        &self,
        backend: &BackendId,
        coordinate: &Coordinate,
        damage: Damage,
    ) -> Result<()> {
        self.set_damage(backend, coordinate, damage).await
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
                    unreadable: None,
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
                unreadable: Vec::new(),
            });
            Ok(rows.take(limit as usize).collect())
        })
        .await
    }

    async fn spec_text(&self, id: &SpecId) -> Result<String> {
        DocumentStore::spec(self, id).await
    }
}
