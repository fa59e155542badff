//! The transactions of the write protocol, each one atomic change of the state.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cloakroom_core::config::Held;
use cloakroom_core::ledger::{LedgerRow, RowState};
use cloakroom_core::mutant::{self, Mutant};
use cloakroom_core::store::{
    CommitOutcome, DocumentCommit, Expected, Intended, Intent, NewReference, RemoveOutcome,
    StoredDocument,
};
use cloakroom_core::{
    BackendId, Coordinate, DocumentId, ErrorKind, IntentId, Result, Revision, Timestamp, Version,
};

use super::state::{Document, Row, State, length, refusal};
use crate::happening::{Happening, Key};
use crate::stage::{Stage, moment};

impl State {
    pub(super) fn document(&self, id: DocumentId) -> Option<StoredDocument> {
        let document = self.documents.get(&id)?;
        let held = |reference: &NewReference| {
            let key = (reference.backend.clone(), reference.coordinate.clone());
            let row = &self.rows.get(&key)?.ledger;
            Some(Held {
                pointer: reference.pointer.clone(),
                backend: key.0,
                coordinate: key.1,
                kind: row.kind,
                digest: row.digest.clone(),
                array_digest: reference.array_digest.clone(),
                damage: row.damage,
                damaged: row.damage.is_some() || row.state != RowState::Stored,
            })
        };
        Some(StoredDocument {
            id,
            workspace: document.workspace,
            revision: document.revision,
            spec: document.spec.clone(),
            blob: document.blob.clone(),
            references: document.references.values().filter_map(held).collect(),
        })
    }

    pub(super) fn intend(
        &mut self,
        stage: &Stage,
        backend: &BackendId,
        intents: &[Intent],
        expires_in: Duration,
        now: i64,
    ) -> Result<Vec<Coordinate>> {
        if intents.is_empty() {
            return Ok(Vec::new());
        }
        let now = self.lasting(now);
        let mut coordinates = Vec::with_capacity(intents.len());
        for intent in intents {
            let coordinate = self.one_above(backend, &intent.base)?;
            let key = (backend.clone(), coordinate.clone());
            let row = intended(&key, intent, now, expires_in);
            stage.happened(Happening::Intended {
                key: key.clone(),
                reused: self.rows.contains_key(&key),
            });
            if mutant::on(Mutant::IntentAfterPut) {
                self.kept_back.insert(key, row);
            } else {
                self.rows.insert(key, row);
            }
            coordinates.push(coordinate);
        }
        Ok(coordinates)
    }

    fn one_above(&self, backend: &BackendId, base: &Coordinate) -> Result<Coordinate> {
        let key = (backend.clone(), base.clone());
        let counts =
            |row: &Row| row.ledger.state != RowState::Deleted || !mutant::on(Mutant::VersionReused);
        let rows = self.of_base(&key).filter(|(_, row)| counts(row));
        let kept_back = self.kept_back.keys();
        let kept_back = kept_back.filter(|it| it.0 == key.0 && it.1.base() == base.base());
        let highest = rows.map(|(it, _)| it.1.version().get());
        let highest = highest
            .chain(kept_back.map(|it| it.1.version().get()))
            .max();
        let next = Version::new(highest.unwrap_or_default() + 1);
        next.and_then(|next| base.with_version(next).ok())
            .ok_or_else(|| refusal(ErrorKind::Invalid, "intend secrets", "no version is left"))
    }

    fn take_kept_back<'a>(&mut self, keys: impl Iterator<Item = &'a Key>) {
        for key in keys {
            if let Some(row) = self.kept_back.remove(key) {
                self.rows.insert(key.clone(), row);
            }
        }
    }

    pub(super) fn confirm(&mut self, key: &Key, now: i64) -> Result<()> {
        self.take_kept_back(std::iter::once(key));
        match self.rows.get_mut(key) {
            Some(row) if is_fresh(&row.ledger, now) => {
                row.ledger.state = RowState::Stored;
                Ok(())
            }
            _ => Err(refusal(
                ErrorKind::Conflict,
                "confirm an ephemeral secret",
                "it is no longer intended and unexpired",
            )),
        }
    }

    pub(super) fn expire<'a>(&mut self, keys: impl Iterator<Item = &'a Key> + Clone, now: i64) {
        self.take_kept_back(keys.clone());
        for key in keys {
            if let Some(row) = self.rows.get_mut(key)
                && is_fresh(&row.ledger, now)
            {
                row.ledger.expires = Some(moment(now));
            }
        }
    }

    pub(super) fn commit(
        &mut self,
        stage: &Stage,
        commit: &DocumentCommit,
        now: i64,
    ) -> Result<CommitOutcome> {
        let is_lost = |outcome: &CommitOutcome| !matches!(outcome, CommitOutcome::Committed { .. });
        let intended: Vec<Key> = commit.intended.iter().map(Intended::key).collect();
        self.take_kept_back(intended.iter());
        let outcome = self.commit_within(stage, commit, now)?;
        if is_lost(&outcome) {
            self.expire(intended.iter(), now);
        }
        Ok(outcome)
    }

    fn commit_within(
        &mut self,
        stage: &Stage,
        commit: &DocumentCommit,
        now: i64,
    ) -> Result<CommitOutcome> {
        self.specs
            .insert(commit.spec.id.clone(), commit.spec.text.clone());
        let current = self.documents.get(&commit.id).map(|it| it.revision);
        let expected = match commit.expected {
            Expected::Absent => None,
            Expected::At(_) if mutant::on(Mutant::RevisionUnchecked) => current,
            Expected::At(revision) => Some(revision),
        };
        if expected != current {
            return Ok(CommitOutcome::LostRace { current });
        }
        let recorded: Vec<&NewReference> = self
            .documents
            .get(&commit.id)
            .map(|document| document.references.values().collect())
            .unwrap_or_default();
        let before: BTreeSet<Key> = recorded.into_iter().map(key_of).collect();
        let after: BTreeSet<Key> = commit.references.iter().map(key_of).collect();
        let intended: BTreeSet<Key> = commit.intended.iter().map(Intended::key).collect();
        if !intended.is_subset(&after) {
            return Err(refusal(
                ErrorKind::Invalid,
                "commit a document",
                "a secret was intended that the document does not refer to",
            ));
        }
        let mut kept = after.difference(&intended);
        let dropped: BTreeSet<Key> = before.difference(&after).cloned().collect();
        let living = self.living(after.union(&before));
        let state = |key: &Key| living.get(key).map(|row| row.ledger.state);
        let takes_anything = mutant::on(Mutant::ExpiredCommitted);
        let attachable = commit.intended.iter().all(|it| {
            let key = it.key();
            let fresh = living.get(&key).is_some_and(|row| {
                is_fresh(&row.ledger, now) && row.ledger.intent == Some(it.intent)
            });
            fresh || (takes_anything && self.rows.contains_key(&key))
        }) && kept
            .all(|key| before.contains(key) && state(key) == Some(RowState::Stored));
        if !attachable {
            return Ok(CommitOutcome::Expired);
        }

        let revision = Revision(current.map_or(0, |it| it.0) + 1);
        let references = commit.references.iter();
        self.documents.insert(
            commit.id,
            Document {
                workspace: commit.workspace,
                revision,
                spec: commit.spec.id.clone(),
                blob: commit.blob.clone(),
                updated: now,
                references: references
                    .map(|reference| (reference.pointer.clone(), reference.clone()))
                    .collect(),
            },
        );
        for key in &intended {
            if let Some(row) = self.rows.get_mut(key) {
                attach(&mut row.ledger);
            }
        }
        let lost = self.lasting(now);
        let unreferenced = if mutant::on(Mutant::LossUnnoticed) {
            Vec::new()
        } else {
            self.settle_references(&living, &dropped, lost)
        };
        stage.happened(Happening::Committed {
            id: commit.id,
            expected: commit.expected,
            previous: current,
            revision,
        });
        Ok(CommitOutcome::Committed {
            revision,
            unreferenced,
        })
    }

    /// Takes a document's references to copies under the same coordinates in another backend, as a move
    /// that is over has done it.
    pub(crate) fn switch(
        &mut self,
        id: DocumentId,
        copies: &BTreeMap<Key, (Key, IntentId)>,
        now: i64,
    ) {
        let now = self.lasting(now);
        let living = self.living(copies.keys());
        let Some(document) = self.documents.get_mut(&id) else {
            return;
        };
        document.revision = Revision(document.revision.0 + 1);
        for reference in document.references.values_mut() {
            if let Some((to, _)) = copies.get(&key_of(reference)) {
                reference.backend = to.0.clone();
            }
        }
        for (from, (to, intent)) in copies {
            let Some(row) = self.rows.get(from) else {
                continue;
            };
            let mut row = Row {
                claimed: BTreeMap::new(),
                ..row.clone()
            };
            row.ledger.backend = to.0.clone();
            row.ledger.intent = Some(*intent);
            row.ledger.created = moment(now);
            self.rows.insert(to.clone(), row);
        }
        let dropped = copies.keys().cloned().collect();
        self.settle_references(&living, &dropped, now);
    }

    pub(super) fn remove(
        &mut self,
        id: DocumentId,
        expected: Option<Revision>,
        now: i64,
    ) -> RemoveOutcome {
        let Some(document) = self.documents.get(&id) else {
            return RemoveOutcome::Missing;
        };
        let current = document.revision;
        if expected.is_some_and(|expected| expected != current) {
            return RemoveOutcome::LostRace { current };
        }
        let dropped: BTreeSet<Key> = document.references.values().map(key_of).collect();
        let living = self.living(dropped.iter());
        let now = self.lasting(now);
        self.documents.remove(&id);
        let unreferenced = self.settle_references(&living, &dropped, now);
        RemoveOutcome::Removed { unreferenced }
    }
}

pub(super) fn key_of(reference: &NewReference) -> Key {
    (reference.backend.clone(), reference.coordinate.clone())
}

fn is_fresh(row: &LedgerRow, now: i64) -> bool {
    let unexpired = |expires: Timestamp| expires.as_millisecond() > now;
    row.state == RowState::Intended && row.expires.is_some_and(unexpired)
}

fn attach(row: &mut LedgerRow) {
    row.state = RowState::Stored;
    row.once_referenced = true;
    row.expires = None;
    row.unreferenced_since = None;
    row.superseded = false;
}

fn intended(key: &Key, intent: &Intent, now: i64, expires_in: Duration) -> Row {
    Row {
        ledger: LedgerRow {
            backend: key.0.clone(),
            coordinate: key.1.clone(),
            kind: intent.kind,
            state: RowState::Intended,
            digest: intent.digest.clone(),
            intent: Some(intent.id),
            once_referenced: false,
            created: moment(now),
            expires: Some(moment(now.saturating_add(length(expires_in)))),
            unreferenced_since: None,
            superseded: false,
            attempts: 0,
            next_attempt: None,
            claimed_by: None,
            last_error: None,
            damage: None,
        },
        owner: Some(intent.workspace),
        quarantined: None,
        claimed: BTreeMap::new(),
    }
}
