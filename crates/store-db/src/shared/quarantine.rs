//! Rows that are parked: released to be tried again, or held because an undo brought them back.

use std::time::Duration;

use cloakroom_core::ledger::QuarantineRelease;
use cloakroom_core::{BackendId, Coordinate, Result};

use super::locks::{Key, by_backend};
use super::transaction::Ending;
use super::{Conn, Query, Store, push_list};
use crate::failure::Failure;
use crate::times::{after, before};

impl Store {
    pub(crate) async fn release_quarantine(
        &self,
        backend: &BackendId,
        release: &QuarantineRelease,
    ) -> Result<u64> {
        in_transaction!(self, "release quarantined secrets", |tx| {
            self.release_quarantine_within(&mut tx, backend, release)
                .await
                .map(Ending::Keep)
        })
    }

    async fn release_quarantine_within(
        &self,
        conn: &mut Conn,
        backend: &BackendId,
        release: &QuarantineRelease,
    ) -> Result<u64, Failure> {
        let now = self.moment(conn).await?;
        let released = |backend: &BackendId| {
            let mut query = Query::new(
                "UPDATE secrets SET state = 'deleting', attempts = 0, quarantined_at = NULL, \
                 next_attempt_at = ",
            );
            query
                .push_bind(now)
                .push(" WHERE state = 'quarantined' AND backend_id = ");
            query.push_bind(backend.as_str());
            query
        };
        match release {
            QuarantineRelease::OlderThan(age) => {
                let mut query = released(backend);
                query
                    .push(" AND quarantined_at <= ")
                    .push_bind(before(now, *age));
                Ok(query.build().execute(conn).await?.rows_affected())
            }
            QuarantineRelease::Coordinates(coordinates) => {
                let mut count = 0;
                for (backend, chunk) in by_backend(&keys(backend, coordinates)) {
                    let mut query = released(backend);
                    query.push(" AND coordinate IN ");
                    push_list(
                        &mut query,
                        chunk.iter().map(|coordinate| coordinate.as_str()),
                    );
                    let outcome = query.build().persistent(false).execute(&mut *conn).await?;
                    count += outcome.rows_affected();
                }
                Ok(count)
            }
        }
    }

    pub(crate) async fn hold(
        &self,
        backend: &BackendId,
        coordinates: &[Coordinate],
        hold: Duration,
    ) -> Result<u64> {
        in_transaction!(self, "hold secrets", |tx| {
            self.hold_within(&mut tx, backend, coordinates, hold)
                .await
                .map(Ending::Keep)
        })
    }

    async fn hold_within(
        &self,
        conn: &mut Conn,
        backend: &BackendId,
        coordinates: &[Coordinate],
        hold: Duration,
    ) -> Result<u64, Failure> {
        let until = after(self.lasting_moment(conn).await?, hold);
        let mut count = 0;
        for (backend, chunk) in by_backend(&keys(backend, coordinates)) {
            // Its time-to-live begins when the hold ends: until then no scan comes upon it.
            let mut query = Query::new("UPDATE secrets SET state = 'held', held_until = ");
            query
                .push_bind(until)
                .push(", unreferenced_since = ")
                .push_bind(until);
            query.push(
                ", superseded = FALSE, expires_at = NULL, attempts = 0, next_attempt_at = NULL, \
                 last_error = NULL, quarantined_at = NULL \
                 WHERE state IN ('deleting', 'deleted', 'quarantined', 'held') AND backend_id = ",
            );
            query
                .push_bind(backend.as_str())
                .push(" AND coordinate IN ");
            push_list(
                &mut query,
                chunk.iter().map(|coordinate| coordinate.as_str()),
            );
            count += query
                .build()
                .persistent(false)
                .execute(&mut *conn)
                .await?
                .rows_affected();
        }
        Ok(count)
    }
}

fn keys(backend: &BackendId, coordinates: &[Coordinate]) -> Vec<Key> {
    coordinates
        .iter()
        .map(|coordinate| (backend.clone(), coordinate.clone()))
        .collect()
}
