//! Writing down how deletions ended: the rows' new states and their receipts, together.

use std::collections::HashMap;

use cloakroom_core::ledger::{DeletionOutcome, Reason, RowState, Settlement};
use cloakroom_core::{BackendId, Coordinate, Error, ErrorKind, Result, RunId};

use super::ledger::no_row;
use super::locks::execute_exactly;
use super::receipts::{Entry, append};
use super::rows::Reader;
use super::transaction::Ending;
use super::{CHUNK, Conn, Query, Store, dialect, push_list};
use crate::failure::{Failure, printable};
use crate::times::after;

const OPERATION: &str = "settle deletions";

impl Store {
    pub(crate) async fn settle(
        &self,
        run: RunId,
        backend: &BackendId,
        settlements: &[Settlement],
    ) -> Result<()> {
        if settlements.is_empty() {
            return Ok(());
        }
        in_transaction!(self, OPERATION, |tx| {
            self.settle_within(&mut tx, run, backend, settlements).await
        })
    }

    async fn settle_within(
        &self,
        conn: &mut Conn,
        run: RunId,
        backend: &BackendId,
        settlements: &[Settlement],
    ) -> Result<Ending<()>, Failure> {
        let states = lock_states(conn, backend, settlements).await?;
        let now = self.moment(conn).await?;
        let mut gone = Vec::new();
        for settlement in settlements {
            let coordinate = &settlement.coordinate;
            let state = *states
                .get(coordinate)
                .ok_or_else(|| no_row(OPERATION, backend, coordinate))?;
            match verdict(state, settlement) {
                Verdict::Gone => gone.push(coordinate),
                Verdict::Failed => write_failure(conn, run, backend, settlement, now).await?,
                Verdict::OnlyReceipt => end_claim(conn, run, backend, coordinate).await?,
                Verdict::NeverClaimed => {
                    return Err(Error::new(
                        ErrorKind::Conflict,
                        OPERATION,
                        format!(
                            "its row in table secrets is {}, not claimed",
                            state.as_str()
                        ),
                    )
                    .with_backend(backend)
                    .with_coordinate(coordinate)
                    .into());
                }
            }
        }
        gone.sort();
        gone.dedup();
        for chunk in gone.chunks(CHUNK) {
            write_gone(conn, backend, chunk, now).await?;
        }
        // Last, since everybody who settles waits for the chain's end.
        let entries: Vec<Entry<'_>> = settlements.iter().map(Entry::from).collect();
        append(conn, run, backend, &entries, now).await?;
        Ok(Ending::Keep(()))
    }
}

enum Verdict {
    Gone,
    Failed,
    /// The row has moved on meanwhile; what happened is still written down.
    OnlyReceipt,
    NeverClaimed,
}

fn verdict(state: RowState, settlement: &Settlement) -> Verdict {
    let failed = matches!(settlement.outcome, DeletionOutcome::Failed { .. });
    match (state, failed) {
        (RowState::Intended | RowState::Stored, _) => Verdict::NeverClaimed,
        (RowState::Deleted, true) if settlement.reason == Reason::Resurfaced => Verdict::Failed,
        // An undo was faster; or our claim lapsed, and another worker succeeded or parked it.
        (RowState::Held, _) | (RowState::Deleted | RowState::Quarantined, true) => {
            Verdict::OnlyReceipt
        }
        (_, true) => Verdict::Failed,
        (_, false) => Verdict::Gone,
    }
}

async fn lock_states(
    conn: &mut Conn,
    backend: &BackendId,
    settlements: &[Settlement],
) -> Result<HashMap<Coordinate, RowState>, Failure> {
    let mut coordinates: Vec<&Coordinate> = settlements
        .iter()
        .map(|settlement| &settlement.coordinate)
        .collect();
    // By base and version, as everybody locks.
    coordinates.sort();
    coordinates.dedup();
    let mut states = HashMap::with_capacity(coordinates.len());
    for chunk in coordinates.chunks(CHUNK) {
        let mut query = Query::new(
            "SELECT s.backend_id, s.coordinate, s.state FROM secrets AS s WHERE s.backend_id = ",
        );
        query
            .push_bind(backend.as_str())
            .push(" AND s.coordinate IN ");
        push_list(
            &mut query,
            chunk.iter().map(|coordinate| coordinate.as_str()),
        );
        query
            .push(" ORDER BY s.base, s.version")
            .push(dialect::FOR_UPDATE);
        for row in &query
            .build()
            .persistent(false)
            .fetch_all(&mut *conn)
            .await?
        {
            let reader = Reader::new("secrets", row);
            states.insert(
                reader.coordinate()?,
                reader.word("state", RowState::from_word)?,
            );
        }
    }
    Ok(states)
}

async fn write_gone(
    conn: &mut Conn,
    backend: &BackendId,
    coordinates: &[&Coordinate],
    now: i64,
) -> Result<(), Failure> {
    let mut query = Query::new("UPDATE secrets SET state = 'deleted', deleted_at = ");
    query.push_bind(now).push(
        ", next_attempt_at = NULL, claimed_by = NULL, last_error = NULL, quarantined_at = NULL \
         WHERE backend_id = ",
    );
    query
        .push_bind(backend.as_str())
        .push(" AND coordinate IN ");
    push_list(
        &mut query,
        coordinates.iter().map(|coordinate| coordinate.as_str()),
    );
    execute_exactly(conn, query, "secrets", backend, coordinates.len()).await
}

/// What has a receipt of the run is no claim of it any more.
async fn end_claim(
    conn: &mut Conn,
    run: RunId,
    backend: &BackendId,
    coordinate: &Coordinate,
) -> Result<(), Failure> {
    let mut query = Query::new("UPDATE secrets SET claimed_by = NULL WHERE claimed_by = ");
    query
        .push_bind(run.to_string())
        .push(" AND backend_id = ")
        .push_bind(backend.as_str())
        .push(" AND coordinate = ")
        .push_bind(coordinate.as_str());
    query.build().execute(conn).await?;
    Ok(())
}

async fn write_failure(
    conn: &mut Conn,
    run: RunId,
    backend: &BackendId,
    settlement: &Settlement,
    now: i64,
) -> Result<(), Failure> {
    let DeletionOutcome::Failed {
        kind,
        message,
        pause,
        quarantine,
    } = &settlement.outcome
    else {
        return Ok(());
    };
    // A manager that is away or busy says nothing about the item.
    let counted = !matches!(kind, ErrorKind::Unavailable | ErrorKind::Throttled);
    let mut query = Query::new("UPDATE secrets SET attempts = attempts + ");
    query.push_bind(i64::from(counted)).push(", last_error = ");
    query.push_bind(printable(&format!("{kind}: {message}")));
    // Another run's claim is that run's to end.
    query.push(", claimed_by = NULLIF(claimed_by, ");
    query.push_bind(run.to_string()).push(")");
    if *quarantine {
        query.push(", state = 'quarantined', next_attempt_at = NULL, quarantined_at = ");
        query.push_bind(now);
    } else {
        query
            .push(", next_attempt_at = ")
            .push_bind(after(now, *pause));
    }
    query
        .push(" WHERE backend_id = ")
        .push_bind(backend.as_str());
    query
        .push(" AND coordinate = ")
        .push_bind(settlement.coordinate.as_str());
    execute_exactly(conn, query, "secrets", &settlement.coordinate, 1).await
}
