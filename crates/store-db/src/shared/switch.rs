//! One document's references taken to another backend: blob, references and ledger change together,
//! and what a move leaves behind is held in the same transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cloakroom_core::ledger::RowState;
use cloakroom_core::store::{CommitOutcome, Intended, Lease, MovedSecret, Switch, Way};
use cloakroom_core::{Coordinate, DocumentId, Error, ErrorKind, MoveId, Result, Revision};

use super::commit::{
    attach, is_intended, is_stored, keys_of, recorded_references, revision_of, write_references,
};

use super::locks::{
    self, Key, LockedRows, by_backend, execute_exactly, referenced, settle_references,
};
use super::rows::{Reader, parsed};
use super::transaction::Ending;
use super::{CHUNK, Conn, Query, Store, dialect, push_list};
use crate::failure::Failure;
use crate::times::after;

const OPERATION: &str = "switch a document's references";
const LET_GO: &str = "let go what a move holds";

/// How long a move holds what it leaves behind, unless it is over before: as good as for ever, and a
/// moment that every clock can name.
const HELD: Duration = Duration::from_hours(24 * 365 * 100);

impl Store {
    pub(crate) async fn switch(&self, lease: &Lease, switch: &Switch) -> Result<CommitOutcome> {
        let outcome = in_transaction!(self, OPERATION, |tx| {
            self.fence(&mut tx, OPERATION, lease).await?;
            self.switch_within(&mut tx, switch).await
        })?;
        if !matches!(outcome, CommitOutcome::Committed { .. }) {
            self.expire(OPERATION, &keys_of(&switch.intended)).await?;
        }
        Ok(outcome)
    }

    async fn switch_within(
        &self,
        conn: &mut Conn,
        switch: &Switch,
    ) -> Result<Ending<CommitOutcome>, Failure> {
        let now = self.moment(conn).await?;
        if !swap(conn, switch, now).await? {
            let current = revision_of(conn, switch.document).await?;
            return Ok(Ending::Undo(CommitOutcome::LostRace { current }));
        }
        let recorded = recorded_references(conn, switch.document).await?;
        let before: BTreeSet<Key> = recorded.values().map(|(key, _)| key.clone()).collect();
        let after: BTreeSet<Key> = switch
            .references
            .iter()
            .map(|reference| (reference.backend.clone(), reference.coordinate.clone()))
            .collect();
        let intended: BTreeMap<Key, &Intended> =
            switch.intended.iter().map(|it| (it.key(), it)).collect();
        let returned: BTreeSet<Key> = switch.returned.iter().cloned().collect();
        let dropped: BTreeSet<Key> = before.difference(&after).cloned().collect();

        let locked = locks::lock(conn, after.union(&before)).await?;
        // Locks may have been waited for.
        let now = self.moment(conn).await?;
        let attachable = after.iter().all(|key| {
            if let Some(intended) = intended.get(key) {
                is_intended(&locked, intended, now)
            } else if returned.contains(key) {
                is_held(&locked, key)
            } else {
                before.contains(key) && is_stored(&locked, key)
            }
        });
        if !attachable {
            return Ok(Ending::Undo(CommitOutcome::Expired));
        }

        write_references(conn, switch.document, &switch.references, &recorded).await?;
        attach(conn, &intended.into_keys().collect()).await?;
        refer_again(conn, &returned).await?;
        let lost = self.lasting_moment(conn).await?;
        let unreferenced = match switch.way {
            Way::Forth => {
                write_moved(conn, switch).await?;
                leave(conn, &locked, &dropped, lost).await?
            }
            Way::Back => settle_references(conn, &locked, &dropped, lost).await?,
        };
        Ok(Ending::Keep(CommitOutcome::Committed {
            revision: next(switch)?,
            unreferenced,
        }))
    }

    pub(crate) async fn let_go(
        &self,
        lease: &Lease,
        id: MoveId,
        documents: &[DocumentId],
    ) -> Result<u64> {
        if documents.is_empty() {
            return Ok(0);
        }
        in_transaction!(self, LET_GO, |tx| {
            self.fence(&mut tx, LET_GO, lease).await?;
            self.let_go_within(&mut tx, id, documents)
                .await
                .map(Ending::Keep)
        })
    }

    async fn let_go_within(
        &self,
        conn: &mut Conn,
        id: MoveId,
        documents: &[DocumentId],
    ) -> Result<u64, Failure> {
        let mut originals = BTreeSet::new();
        for chunk in documents.chunks(CHUNK) {
            originals.extend(originals_of(conn, id, chunk).await?);
        }
        let locked = locks::lock(conn, &originals).await?;
        originals.retain(|key| is_held(&locked, key));
        for (backend, chunk) in by_backend(&originals) {
            let mut query = Query::new(
                "UPDATE secrets SET state = 'stored', held_until = NULL \
                 WHERE state = 'held' AND backend_id = ",
            );
            query
                .push_bind(backend.as_str())
                .push(" AND coordinate IN ");
            push_list(&mut query, chunk.iter().map(|it| it.as_str()));
            execute_exactly(conn, query, "secrets", backend, chunk.len()).await?;
        }
        let now = self.lasting_moment(conn).await?;
        settle_references(conn, &locked, &originals, now).await?;
        Ok(originals.len() as u64)
    }
}

fn is_held(locked: &LockedRows, key: &Key) -> bool {
    locked
        .get(key)
        .is_some_and(|row| row.state == RowState::Held)
}

fn next(switch: &Switch) -> Result<Revision, Failure> {
    let next = switch.revision.0.checked_add(1).ok_or_else(|| {
        Error::new(
            ErrorKind::Invalid,
            OPERATION,
            "the document has used up its revisions",
        )
        .with_coordinate(switch.document)
    })?;
    Ok(Revision(next))
}

/// Writes the blob where the document is as it was read; says whether it is.
async fn swap(conn: &mut Conn, switch: &Switch, now: i64) -> Result<bool, Failure> {
    let written = sqlx::query(
        "UPDATE documents SET revision = $1, blob = $2, updated_at = $3 \
         WHERE document_id = $4 AND revision = $5",
    )
    .bind(next(switch)?.0)
    .bind(&switch.blob)
    .bind(now)
    .bind(dialect::id(switch.document.0))
    .bind(switch.revision.0)
    .execute(conn)
    .await?;
    Ok(written.rows_affected() == 1)
}

/// What a move held is stored and referred to again.
async fn refer_again(conn: &mut Conn, returned: &BTreeSet<Key>) -> Result<(), Failure> {
    for (backend, chunk) in by_backend(returned) {
        let mut query = Query::new(
            "UPDATE secrets SET state = 'stored', held_until = NULL, unreferenced_since = NULL, \
             superseded = FALSE WHERE state = 'held' AND backend_id = ",
        );
        query
            .push_bind(backend.as_str())
            .push(" AND coordinate IN ");
        push_list(&mut query, chunk.iter().map(|it| it.as_str()));
        execute_exactly(conn, query, "secrets", backend, chunk.len()).await?;
    }
    Ok(())
}

/// Holds what lost its last reference. Superseded versions below it stay what they are: the way back
/// leads past them.
async fn leave(
    conn: &mut Conn,
    locked: &LockedRows,
    dropped: &BTreeSet<Key>,
    now: i64,
) -> Result<Vec<Coordinate>, Failure> {
    let still = referenced(conn, dropped).await?;
    let left: BTreeSet<Key> = dropped
        .iter()
        .filter(|key| !still.contains(*key) && is_stored(locked, key))
        .cloned()
        .collect();
    let until = after(now, HELD);
    for (backend, chunk) in by_backend(&left) {
        let mut query = Query::new("UPDATE secrets SET state = 'held', held_until = ");
        query
            .push_bind(until)
            .push(", unreferenced_since = ")
            .push_bind(until);
        query
            .push(", superseded = FALSE WHERE state = 'stored' AND backend_id = ")
            .push_bind(backend.as_str())
            .push(" AND coordinate IN ");
        push_list(&mut query, chunk.iter().map(|it| it.as_str()));
        execute_exactly(conn, query, "secrets", backend, chunk.len()).await?;
    }
    // What cannot be held, since a job is at it already, is lost as it always was.
    let others: BTreeSet<Key> = dropped.difference(&left).cloned().collect();
    if !others.is_empty() {
        settle_references(conn, locked, &others, now).await?;
    }
    Ok(left.into_iter().map(|(_, coordinate)| coordinate).collect())
}

async fn write_moved(conn: &mut Conn, switch: &Switch) -> Result<(), Failure> {
    for chunk in switch.moved.chunks(CHUNK) {
        let mut query = Query::new(
            "INSERT INTO moved_secrets (move_id, document_id, from_coordinate, to_coordinate) ",
        );
        query.push_values(chunk, |mut row, MovedSecret { from, to }| {
            row.push_bind(dialect::id(switch.id.0))
                .push_bind(dialect::id(switch.document.0))
                .push_bind(from.as_str())
                .push_bind(to.as_str());
        });
        execute_exactly(conn, query, "moved_secrets", switch.document, chunk.len()).await?;
    }
    Ok(())
}

/// What a move took some documents away from.
async fn originals_of(
    conn: &mut Conn,
    id: MoveId,
    documents: &[DocumentId],
) -> Result<Vec<Key>, Failure> {
    let mut query = Query::new(
        "SELECT o.from_backend, m.document_id, m.from_coordinate FROM moved_secrets AS m \
         JOIN moves AS o ON o.move_id = m.move_id WHERE m.move_id = ",
    );
    query
        .push_bind(dialect::id(id.0))
        .push(" AND m.document_id IN (");
    let mut list = query.separated(", ");
    for document in documents {
        list.push_bind(dialect::id(document.0));
    }
    query.push(")");
    let rows = query.build().persistent(false).fetch_all(conn).await?;
    let keys = rows.iter().map(|row| {
        let reader = Reader::new("moved_secrets", row);
        let coordinate =
            reader.word("from_coordinate", |text| Coordinate::from_stored(text).ok())?;
        Ok((reader.word("from_backend", parsed)?, coordinate))
    });
    keys.collect()
}
