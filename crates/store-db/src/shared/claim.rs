//! Claiming rows for deletion: lock, read the references again, decide, mark.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use cloakroom_core::ledger::{Claim, ClaimItem, LedgerRow, Reason, RowState, Windows};
use cloakroom_core::store::Lease;
use cloakroom_core::{BackendId, Coordinate, Result, Timestamp};

use super::due::{NEWER_SUPERSEDED, reason_of};
use super::elsewhere::referenced_elsewhere;
use super::locks::{Key, by_backend, execute_exactly, referenced};
use super::rows::{LEDGER_COLUMNS, Reader, ledger_row, or_unreadable};
use super::transaction::Ending;
use super::{CHUNK, Conn, Query, Store, dialect, push_list};
use crate::failure::Failure;
use crate::times::{after, before, millis, moment};

const OPERATION: &str = "claim secrets for deletion";

impl Store {
    pub(crate) async fn claim(
        &self,
        lease: &Lease,
        backend: &BackendId,
        items: &[ClaimItem],
        windows: &Windows,
        deadline: Duration,
    ) -> Result<Vec<Claim>> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        in_transaction!(self, OPERATION, |tx| {
            self.fence(&mut tx, OPERATION, lease).await?;
            self.claim_within(&mut tx, lease, backend, items, windows, deadline)
                .await
                .map(Ending::Keep)
        })
    }

    async fn claim_within(
        &self,
        conn: &mut Conn,
        lease: &Lease,
        backend: &BackendId,
        items: &[ClaimItem],
        windows: &Windows,
        deadline: Duration,
    ) -> Result<Vec<Claim>, Failure> {
        let keys: Vec<Key> = items
            .iter()
            .map(|item| (backend.clone(), item.coordinate.clone()))
            .collect();
        let mut rows = lock_free_rows(conn, backend, items).await?;
        let now = self.moment(conn).await?;
        // A statement of its own: it sees what was committed while the lock was waited for.
        let referenced = referenced(conn, &keys).await?;
        let coordinates: Vec<&Coordinate> = items.iter().map(|item| &item.coordinate).collect();
        let elsewhere = referenced_elsewhere(conn, backend, &coordinates).await?;
        let kept = newest_superseded(conn, backend, items, windows).await?;
        let lapses = after(now, deadline);

        let mut claims = Vec::with_capacity(items.len());
        let mut writes = Writes::default();
        for (item, key) in items.iter().zip(&keys) {
            // Taken out, so that a coordinate named twice is claimed once.
            let claim = match rows.remove(&item.coordinate) {
                Some(row) if referenced.contains(key) => {
                    let settled = matches!(row.state, RowState::Stored | RowState::Held);
                    if settled && row.unreferenced_since.is_some() {
                        writes.in_use.push(key.clone());
                    }
                    Claim::Referenced
                }
                Some(_) if elsewhere.contains(&item.coordinate) => Claim::Referenced,
                Some(row)
                    if !(item.reason == Reason::Superseded && kept.contains(&item.coordinate))
                        && holds(&row, item.reason, windows, now) =>
                {
                    writes.take(key, item.reason);
                    Claim::Ready(Box::new(claimed(row, lease, item.reason, lapses)?))
                }
                _ => Claim::Changed,
            };
            claims.push(claim);
        }
        writes.execute(conn, lease, lapses).await?;
        Ok(claims)
    }
}

/// Whether what the scan saw is still so.
fn holds(row: &LedgerRow, reason: Reason, windows: &Windows, now: i64) -> bool {
    let free = row.next_attempt.is_none_or(|next| millis(next) <= now);
    let past =
        |time: Option<Timestamp>, wait| time.is_some_and(|time| millis(time) <= before(now, wait));
    match (row.state, reason) {
        (RowState::Deleted, Reason::Resurfaced) => free,
        (_, Reason::Resurfaced) => false,
        // It was decided before; somebody died at it, or its pause is over.
        (RowState::Deleting, _) => free,
        (RowState::Intended | RowState::Stored, Reason::Abandoned | Reason::Ephemeral) => {
            !row.once_referenced
                && reason_of(row) == reason
                && past(row.expires, windows.put_deadline)
        }
        (RowState::Stored | RowState::Held, Reason::Orphaned) => {
            !row.superseded && past(row.unreferenced_since, windows.orphan_ttl)
        }
        (RowState::Stored | RowState::Held, Reason::Superseded) => {
            row.superseded && past(row.unreferenced_since, windows.superseded_grace)
        }
        _ => false,
    }
}

fn claimed(
    mut row: LedgerRow,
    lease: &Lease,
    reason: Reason,
    lapses: i64,
) -> Result<LedgerRow, Failure> {
    if reason != Reason::Resurfaced {
        row.state = RowState::Deleting;
    }
    row.next_attempt = Some(moment(lapses, OPERATION)?);
    row.claimed_by = Some(lease.holder.clone());
    Ok(row)
}

/// What is written once all is decided.
#[derive(Default)]
struct Writes {
    deleting: Vec<Key>,
    resurfaced: Vec<Key>,
    in_use: Vec<Key>,
}

impl Writes {
    fn take(&mut self, key: &Key, reason: Reason) {
        match reason {
            Reason::Resurfaced => self.resurfaced.push(key.clone()),
            _ => self.deleting.push(key.clone()),
        }
    }

    async fn execute(&self, conn: &mut Conn, lease: &Lease, lapses: i64) -> Result<(), Failure> {
        for (keys, change) in [
            (&self.deleting, "state = 'deleting', claimed_by = "),
            (&self.resurfaced, "claimed_by = "),
        ] {
            for (backend, chunk) in by_backend(keys) {
                let mut query = Query::new("UPDATE secrets SET ");
                query.push(change).push_bind(lease.holder.clone());
                query.push(", next_attempt_at = ").push_bind(lapses);
                write_to(conn, query, backend, &chunk).await?;
            }
        }
        for (backend, chunk) in by_backend(&self.in_use) {
            let query = Query::new(
                "UPDATE secrets SET state = 'stored', unreferenced_since = NULL, \
                     superseded = FALSE, held_until = NULL",
            );
            write_to(conn, query, backend, &chunk).await?;
        }
        Ok(())
    }
}

async fn write_to(
    conn: &mut Conn,
    mut query: Query,
    backend: &BackendId,
    coordinates: &[&Coordinate],
) -> Result<(), Failure> {
    query
        .push(" WHERE backend_id = ")
        .push_bind(backend.as_str())
        .push(" AND coordinate IN ");
    push_list(
        &mut query,
        coordinates.iter().map(|coordinate| coordinate.as_str()),
    );
    execute_exactly(conn, query, "secrets", backend, coordinates.len()).await
}

/// Locks what nobody else holds. A row that a writer or another worker has locked is changing, and
/// one such row must not hold up the others.
async fn lock_free_rows(
    conn: &mut Conn,
    backend: &BackendId,
    items: &[ClaimItem],
) -> Result<HashMap<Coordinate, LedgerRow>, Failure> {
    let mut locked = HashMap::with_capacity(items.len());
    for chunk in items.chunks(CHUNK) {
        let mut query = Query::new("SELECT ");
        query
            .push(LEDGER_COLUMNS)
            .push(" FROM secrets AS s WHERE s.backend_id = ");
        query
            .push_bind(backend.as_str())
            .push(" AND s.coordinate IN ");
        push_list(
            &mut query,
            chunk.iter().map(|item| item.coordinate.as_str()),
        );
        query
            .push(" ORDER BY s.base, s.version")
            .push(dialect::FOR_UPDATE_SKIP_LOCKED);
        for row in &query
            .build()
            .persistent(false)
            .fetch_all(&mut *conn)
            .await?
        {
            // What cannot be read goes no further, and holds up no other.
            if let Ok(row) = or_unreadable(ledger_row(row))? {
                locked.insert(row.coordinate.clone(), row);
            }
        }
    }
    Ok(locked)
}

/// Those of the items that are among the newest superseded versions of their bases, which stay
/// whatever their age.
async fn newest_superseded(
    conn: &mut Conn,
    backend: &BackendId,
    items: &[ClaimItem],
    windows: &Windows,
) -> Result<HashSet<Coordinate>, Failure> {
    let mut newest = HashSet::new();
    let superseded: Vec<&ClaimItem> = items
        .iter()
        .filter(|item| item.reason == Reason::Superseded)
        .collect();
    if windows.keep_superseded == 0 {
        return Ok(newest);
    }
    for chunk in superseded.chunks(CHUNK) {
        let mut query = Query::new(
            "SELECT s.coordinate FROM secrets AS s WHERE s.state IN ('stored', 'held') \
             AND s.backend_id = ",
        );
        query
            .push_bind(backend.as_str())
            .push(" AND s.coordinate IN ");
        push_list(
            &mut query,
            chunk.iter().map(|item| item.coordinate.as_str()),
        );
        query.push(" AND ").push(NEWER_SUPERSEDED).push(" < ");
        query.push_bind(i64::from(windows.keep_superseded));
        for row in &query
            .build()
            .persistent(false)
            .fetch_all(&mut *conn)
            .await?
        {
            newest.insert(Reader::new("secrets", row).coordinate()?);
        }
    }
    Ok(newest)
}
