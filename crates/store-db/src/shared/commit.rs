//! Step 3 of a put: revision, blob and references change together, or nothing does.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use cloakroom_core::ledger::RowState;
use cloakroom_core::store::{CommitOutcome, DocumentCommit, Expected, Intended, NewReference};
use cloakroom_core::{BackendId, Coordinate, DocumentId, Error, ErrorKind, Result, Revision};

use super::locks::{self, Key, LockedRows, by_backend, execute_exactly, settle_references};
use super::rows::Reader;
use super::transaction::Ending;
use super::{CHUNK, Conn, Query, Store, dialect, push_list};
use crate::failure::{Failure, miscounted};

const OPERATION: &str = "commit a document";

/// The references a document has, by place.
pub(super) type Recorded = BTreeMap<String, (Key, Option<String>)>;

impl Store {
    pub(crate) async fn commit(&self, commit: &DocumentCommit) -> Result<CommitOutcome> {
        refuse_nonsense(commit)?;
        let outcome = in_transaction!(self, OPERATION, |tx| {
            self.commit_within(&mut tx, commit).await
        })?;
        if !matches!(outcome, CommitOutcome::Committed { .. }) {
            self.expire(OPERATION, &keys_of(&commit.intended)).await?;
        }
        Ok(outcome)
    }

    pub(crate) async fn abandon(
        &self,
        backend: &BackendId,
        coordinates: &[Coordinate],
    ) -> Result<()> {
        let keys: Vec<Key> = coordinates
            .iter()
            .map(|coordinate| (backend.clone(), coordinate.clone()))
            .collect();
        self.expire("abandon secrets", &keys).await
    }

    async fn commit_within(
        &self,
        conn: &mut Conn,
        commit: &DocumentCommit,
    ) -> Result<Ending<CommitOutcome>, Failure> {
        // Document, spec, ledger: everybody who takes several of these locks takes them like this.
        let now = self.moment(conn).await?;
        insert_spec(conn, commit).await?;
        let Some(revision) = swap_revision(conn, commit, now).await? else {
            let current = revision_of(conn, commit.id).await?;
            return Ok(Ending::Undo(CommitOutcome::LostRace { current }));
        };

        let recorded = recorded_references(conn, commit.id).await?;
        let before: BTreeSet<Key> = recorded.values().map(|(key, _)| key.clone()).collect();
        let after: BTreeSet<Key> = commit
            .references
            .iter()
            .map(|reference| (reference.backend.clone(), reference.coordinate.clone()))
            .collect();
        let intended: BTreeSet<Key> = commit.intended.iter().map(Intended::key).collect();
        let kept: BTreeSet<Key> = after.difference(&intended).cloned().collect();
        let dropped: BTreeSet<Key> = before.difference(&after).cloned().collect();

        let locked = locks::lock(conn, after.union(&before)).await?;
        // Locks may have been waited for.
        let now = self.moment(conn).await?;
        let attachable = commit
            .intended
            .iter()
            .all(|it| is_intended(&locked, it, now))
            && kept
                .iter()
                .all(|key| before.contains(key) && is_stored(&locked, key));
        if !attachable {
            return Ok(Ending::Undo(CommitOutcome::Expired));
        }

        write_references(conn, commit.id, &commit.references, &recorded).await?;
        attach(conn, &intended).await?;
        let lost = self.lasting_moment(conn).await?;
        let unreferenced = settle_references(conn, &locked, &dropped, lost).await?;
        Ok(Ending::Keep(CommitOutcome::Committed {
            revision,
            unreferenced,
        }))
    }

    /// What a writer intended and will not come back for expires now.
    pub(super) async fn expire(&self, operation: &'static str, keys: &[Key]) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        in_transaction!(self, operation, |tx| self
            .expire_within(&mut tx, keys)
            .await)
    }

    async fn expire_within(&self, conn: &mut Conn, keys: &[Key]) -> Result<Ending<()>, Failure> {
        locks::lock(conn, keys).await?;
        let now = self.moment(conn).await?;
        for (backend, chunk) in by_backend(keys) {
            let mut query = Query::new("UPDATE secrets SET expires_at = ");
            query
                .push_bind(now)
                .push(" WHERE state = 'intended' AND expires_at > ")
                .push_bind(now);
            query.push(" AND backend_id = ").push_bind(backend.as_str());
            query.push(" AND coordinate IN ");
            push_list(
                &mut query,
                chunk.iter().map(|coordinate| coordinate.as_str()),
            );
            query.build().persistent(false).execute(&mut *conn).await?;
        }
        Ok(Ending::Keep(()))
    }
}

fn refuse_nonsense(commit: &DocumentCommit) -> Result<()> {
    let refuse = |message: &'static str| {
        Err(Error::new(ErrorKind::Invalid, OPERATION, message).with_coordinate(commit.id))
    };
    let pointers: BTreeSet<&str> = commit
        .references
        .iter()
        .map(|reference| reference.pointer.as_str())
        .collect();
    if pointers.len() != commit.references.len() {
        return refuse("two references have one place in the document");
    }
    let referred: HashSet<(&BackendId, &Coordinate)> = commit
        .references
        .iter()
        .map(|reference| (&reference.backend, &reference.coordinate))
        .collect();
    let refers = |it: &Intended| referred.contains(&(&it.backend, &it.coordinate));
    if !commit.intended.iter().all(refers) {
        return refuse("a secret was intended that the document does not refer to");
    }
    Ok(())
}

pub(super) fn keys_of(intended: &[Intended]) -> Vec<Key> {
    intended.iter().map(Intended::key).collect()
}

/// Whether the row is still this writer's, and in time.
pub(super) fn is_intended(locked: &LockedRows, intended: &Intended, now: i64) -> bool {
    locked.get(&intended.key()).is_some_and(|row| {
        row.state == RowState::Intended
            && row.intent == Some(intended.intent)
            && row.expires_at.is_some_and(|expires| expires > now)
    })
}

pub(super) fn is_stored(locked: &LockedRows, key: &Key) -> bool {
    locked
        .get(key)
        .is_some_and(|row| row.state == RowState::Stored)
}

async fn insert_spec(conn: &mut Conn, commit: &DocumentCommit) -> Result<(), Failure> {
    sqlx::query("INSERT INTO specs (spec_id, body) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(&commit.spec.id.0)
        .bind(&commit.spec.text)
        .execute(conn)
        .await?;
    Ok(())
}

/// The new revision, or `None` where the document is not as the writer saw it.
async fn swap_revision(
    conn: &mut Conn,
    commit: &DocumentCommit,
    now: i64,
) -> Result<Option<Revision>, Failure> {
    let id = dialect::id(commit.id.0);
    let workspace = dialect::id(commit.workspace.0);
    let (revision, write) = match commit.expected {
        Expected::Absent => (
            Revision(1),
            sqlx::query(
                "INSERT INTO documents \
                 (document_id, workspace_id, revision, spec_id, blob, created_at, updated_at) \
                 VALUES ($1, $2, 1, $3, $4, $5, $5) ON CONFLICT DO NOTHING",
            )
            .bind(id)
            .bind(workspace)
            .bind(&commit.spec.id.0)
            .bind(&commit.blob)
            .bind(now),
        ),
        Expected::At(Revision(seen)) => {
            let next = seen.checked_add(1).ok_or_else(|| {
                Error::new(
                    ErrorKind::Invalid,
                    OPERATION,
                    "the document has used up its revisions",
                )
                .with_coordinate(commit.id)
            })?;
            (
                Revision(next),
                sqlx::query(
                    "UPDATE documents SET workspace_id = $1, revision = $2, spec_id = $3, \
                     blob = $4, updated_at = $5 WHERE document_id = $6 AND revision = $7",
                )
                .bind(workspace)
                .bind(next)
                .bind(&commit.spec.id.0)
                .bind(&commit.blob)
                .bind(now)
                .bind(id)
                .bind(seen),
            )
        }
    };
    match write.execute(conn).await?.rows_affected() {
        0 => Ok(None),
        1 => Ok(Some(revision)),
        met => Err(miscounted("documents", commit.id, 1, met)),
    }
}

pub(super) async fn revision_of(
    conn: &mut Conn,
    id: DocumentId,
) -> Result<Option<Revision>, Failure> {
    let revision = sqlx::query_scalar("SELECT revision FROM documents WHERE document_id = $1")
        .bind(dialect::id(id.0))
        .fetch_optional(conn)
        .await?;
    Ok(revision.map(Revision))
}

pub(super) async fn recorded_references(
    conn: &mut Conn,
    id: DocumentId,
) -> Result<Recorded, Failure> {
    let rows = sqlx::query(
        "SELECT document_id, pointer, backend_id, coordinate, array_digest \
         FROM secret_references WHERE document_id = $1",
    )
    .bind(dialect::id(id.0))
    .fetch_all(conn)
    .await?;
    let recorded = rows.iter().map(|row| {
        let reader = Reader::new("secret_references", row);
        let key = (reader.backend()?, reader.coordinate()?);
        Ok((reader.get("pointer")?, (key, reader.get("array_digest")?)))
    });
    recorded.collect()
}

/// Writes only what differs: most places of a document stay as they are.
pub(super) async fn write_references(
    conn: &mut Conn,
    document: DocumentId,
    references: &[NewReference],
    recorded: &Recorded,
) -> Result<(), Failure> {
    let is_recorded = |reference: &NewReference| {
        recorded
            .get(&reference.pointer)
            .is_some_and(|((backend, coordinate), digest)| {
                *backend == reference.backend
                    && *coordinate == reference.coordinate
                    && *digest == reference.array_digest.as_ref().map(ToString::to_string)
            })
    };
    let (same, new): (Vec<_>, Vec<_>) = references
        .iter()
        .partition(|reference| is_recorded(reference));
    let same: BTreeSet<&str> = same
        .iter()
        .map(|reference| reference.pointer.as_str())
        .collect();
    let gone: Vec<&str> = recorded
        .keys()
        .map(String::as_str)
        .filter(|pointer| !same.contains(pointer))
        .collect();

    for chunk in gone.chunks(CHUNK) {
        let mut query = Query::new("DELETE FROM secret_references WHERE document_id = ");
        query
            .push_bind(dialect::id(document.0))
            .push(" AND pointer IN ");
        push_list(&mut query, chunk.iter().copied());
        execute_exactly(conn, query, "secret_references", document, chunk.len()).await?;
    }
    for chunk in new.chunks(CHUNK) {
        let mut query = Query::new(
            "INSERT INTO secret_references \
             (document_id, pointer, backend_id, coordinate, array_digest) ",
        );
        query.push_values(chunk, |mut row, reference| {
            row.push_bind(dialect::id(document.0))
                .push_bind(reference.pointer.as_str())
                .push_bind(reference.backend.as_str())
                .push_bind(reference.coordinate.as_str())
                .push_bind(reference.array_digest.as_ref().map(ToString::to_string));
        });
        execute_exactly(conn, query, "secret_references", document, chunk.len()).await?;
    }
    Ok(())
}

/// What was intended is stored and referred to from now on.
pub(super) async fn attach(conn: &mut Conn, intended: &BTreeSet<Key>) -> Result<(), Failure> {
    for (backend, chunk) in by_backend(intended) {
        let mut query = Query::new(
            "UPDATE secrets SET state = 'stored', once_referenced = TRUE, expires_at = NULL, \
             unreferenced_since = NULL, superseded = FALSE \
             WHERE state = 'intended' AND backend_id = ",
        );
        query
            .push_bind(backend.as_str())
            .push(" AND coordinate IN ");
        push_list(
            &mut query,
            chunk.iter().map(|coordinate| coordinate.as_str()),
        );
        execute_exactly(conn, query, "secrets", backend, chunk.len()).await?;
    }
    Ok(())
}
