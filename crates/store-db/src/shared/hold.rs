//! Rows that an undo brought back: held, with a receipt for each.

use std::collections::HashSet;
use std::time::Duration;

use cloakroom_core::store::{Lease, Restored};
use cloakroom_core::{BackendId, Coordinate, Result, RunId};

use super::locks::execute_exactly;
use super::receipts::{Entry, append};
use super::rows::Reader;
use super::transaction::Ending;
use super::{CHUNK, Conn, Query, Store, dialect, push_list};
use crate::failure::Failure;
use crate::times::after;

const OPERATION: &str = "hold secrets";

impl Store {
    pub(crate) async fn hold(
        &self,
        lease: &Lease,
        run: RunId,
        backend: &BackendId,
        restored: &[Restored],
        hold: Duration,
    ) -> Result<Vec<bool>> {
        if restored.is_empty() {
            return Ok(Vec::new());
        }
        in_transaction!(self, OPERATION, |tx| {
            self.fence(&mut tx, OPERATION, lease).await?;
            self.hold_within(&mut tx, run, backend, restored, hold)
                .await
                .map(Ending::Keep)
        })
    }

    async fn hold_within(
        &self,
        conn: &mut Conn,
        run: RunId,
        backend: &BackendId,
        restored: &[Restored],
        hold: Duration,
    ) -> Result<Vec<bool>, Failure> {
        let mut can_be_held = HashSet::new();
        for chunk in restored.chunks(CHUNK) {
            can_be_held.extend(lock_unused(conn, backend, chunk).await?);
        }
        let now = self.lasting_moment(conn).await?;
        let until = after(now, hold);
        let mut held = Vec::with_capacity(restored.len());
        let mut entries = Vec::with_capacity(restored.len());
        for item in restored {
            // Taken out, so that a coordinate named twice is held once.
            let this = can_be_held.remove(&item.coordinate);
            if this {
                write_held(conn, backend, &item.coordinate, until).await?;
                entries.push(Entry::from(item));
            }
            held.push(this);
        }
        append(conn, run, backend, &entries, now).await?;
        Ok(held)
    }
}

/// Locks those of the rows that are deleted, on their way or next to be, or held already. What was let go and
/// a document refers to all the same is in use: its references were brought back by hand.
async fn lock_unused(
    conn: &mut Conn,
    backend: &BackendId,
    restored: &[Restored],
) -> Result<Vec<Coordinate>, Failure> {
    let mut query = Query::new(
        "SELECT s.backend_id, s.coordinate FROM secrets AS s \
         WHERE (s.state IN ('deleting', 'deleted', 'quarantined', 'held') \
         OR s.state = 'stored' AND s.unreferenced_since IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM secret_references AS r \
         WHERE r.backend_id = s.backend_id AND r.coordinate = s.coordinate)) \
         AND s.backend_id = ",
    );
    query
        .push_bind(backend.as_str())
        .push(" AND s.coordinate IN ");
    push_list(
        &mut query,
        restored.iter().map(|item| item.coordinate.as_str()),
    );
    // By base and version, as everybody locks.
    query
        .push(" ORDER BY s.base, s.version")
        .push(dialect::FOR_UPDATE);
    let rows = query.build().persistent(false).fetch_all(conn).await?;
    rows.iter()
        .map(|row| Reader::new("secrets", row).coordinate())
        .collect()
}

async fn write_held(
    conn: &mut Conn,
    backend: &BackendId,
    coordinate: &Coordinate,
    until: i64,
) -> Result<(), Failure> {
    // Its time-to-live begins when the hold ends: until then no scan comes upon it. What is held for longer,
    // be it by a move, stays so.
    let mut query = Query::new("UPDATE secrets SET ");
    for (first, column) in [
        ("held_until = ", "held_until"),
        (", unreferenced_since = ", "unreferenced_since"),
    ] {
        query
            .push(first)
            .push("CASE WHEN state = 'held' AND ")
            .push(column)
            .push(" > ")
            .push_bind(until);
        query
            .push(" THEN ")
            .push(column)
            .push(" ELSE ")
            .push_bind(until)
            .push(" END");
    }
    query.push(
        ", state = 'held', superseded = FALSE, expires_at = NULL, attempts = 0, next_attempt_at = NULL, \
         last_error = NULL, quarantined_at = NULL WHERE backend_id = ",
    );
    query
        .push_bind(backend.as_str())
        .push(" AND coordinate = ")
        .push_bind(coordinate.as_str());
    execute_exactly(conn, query, "secrets", coordinate, 1).await
}
