//! Rows that are parked, and released to be tried again.

use cloakroom_core::ledger::QuarantineRelease;
use cloakroom_core::{BackendId, Coordinate, Result};

use super::locks::{Key, by_backend};
use super::transaction::Ending;
use super::{Conn, Query, Store, push_list};
use crate::failure::Failure;
use crate::times::before;

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
        let by_hand = !matches!(release, QuarantineRelease::OlderThan(_));
        let released = |backend: &BackendId| {
            let mut query = Query::new("UPDATE secrets SET state = 'deleting', ");
            if by_hand {
                query.push("attempts = 0, ");
            }
            query
                .push("quarantined_at = NULL, next_attempt_at = ")
                .push_bind(now)
                .push(" WHERE state = 'quarantined' AND backend_id = ");
            query.push_bind(backend.as_str());
            query
        };
        match release {
            QuarantineRelease::All => {
                let mut query = released(backend);
                Ok(query.build().execute(conn).await?.rows_affected())
            }
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
}

fn keys(backend: &BackendId, coordinates: &[Coordinate]) -> Vec<Key> {
    coordinates
        .iter()
        .map(|coordinate| (backend.clone(), coordinate.clone()))
        .collect()
}
