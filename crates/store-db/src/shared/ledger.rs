//! Small changes to single rows of the ledger.

use cloakroom_core::ledger::Damage;
use cloakroom_core::store::Lease;
use cloakroom_core::{BackendId, Coordinate, Error, ErrorKind, Result};

use super::locks::{Key, by_backend};
use super::transaction::Ending;
use super::{Conn, Query, Store, push_list};
use crate::failure::{Failure, miscounted};

impl Store {
    pub(crate) async fn confirm_ephemeral(
        &self,
        backend: &BackendId,
        coordinate: &Coordinate,
    ) -> Result<()> {
        const OPERATION: &str = "confirm an ephemeral secret";
        in_transaction!(self, OPERATION, |tx| {
            self.confirm_within(&mut tx, OPERATION, backend, coordinate)
                .await
        })
    }

    async fn confirm_within(
        &self,
        conn: &mut Conn,
        operation: &'static str,
        backend: &BackendId,
        coordinate: &Coordinate,
    ) -> Result<Ending<()>, Failure> {
        let now = self.moment(conn).await?;
        let met = sqlx::query(
            "UPDATE secrets SET state = 'stored' WHERE backend_id = $1 AND coordinate = $2 \
             AND state = 'intended' AND expires_at > $3",
        )
        .bind(backend.as_str())
        .bind(coordinate.as_str())
        .bind(now)
        .execute(conn)
        .await?
        .rows_affected();
        match met {
            1 => Ok(Ending::Keep(())),
            0 => Err(Error::new(
                ErrorKind::Conflict,
                operation,
                "it is no longer intended and unexpired",
            )
            .with_backend(backend)
            .with_coordinate(coordinate)
            .into()),
            met => Err(miscounted("secrets", coordinate, 1, met)),
        }
    }

    pub(crate) async fn set_damage(
        &self,
        backend: &BackendId,
        coordinate: &Coordinate,
        damage: Damage,
    ) -> Result<()> {
        const OPERATION: &str = "write down damage";
        const NOTED: &str = "UPDATE secrets SET damage = CASE WHEN damage = 'different' THEN damage \
             ELSE $1 END WHERE backend_id = $2 AND coordinate = $3";
        self.change_damage(OPERATION, NOTED, (backend, coordinate), damage)
            .await
    }

    pub(crate) async fn forget_damage(
        &self,
        backend: &BackendId,
        coordinate: &Coordinate,
        known: Damage,
    ) -> Result<()> {
        const OPERATION: &str = "take back damage";
        const FORGOTTEN: &str = "UPDATE secrets SET damage = CASE WHEN damage = $1 THEN NULL \
             ELSE damage END WHERE backend_id = $2 AND coordinate = $3";
        self.change_damage(OPERATION, FORGOTTEN, (backend, coordinate), known)
            .await
    }

    async fn change_damage(
        &self,
        operation: &'static str,
        change: &'static str,
        (backend, coordinate): (&BackendId, &Coordinate),
        damage: Damage,
    ) -> Result<()> {
        in_transaction!(self, operation, |tx| {
            let met = sqlx::query(change)
                .bind(damage.as_str())
                .bind(backend.as_str())
                .bind(coordinate.as_str())
                .execute(&mut *tx)
                .await?
                .rows_affected();
            match met {
                1 => Ok(Ending::Keep(())),
                _ => Err(no_row(operation, backend, coordinate)),
            }
        })
    }

    pub(crate) async fn release(
        &self,
        lease: &Lease,
        backend: &BackendId,
        coordinates: &[Coordinate],
    ) -> Result<()> {
        let keys: Vec<Key> = coordinates
            .iter()
            .map(|coordinate| (backend.clone(), coordinate.clone()))
            .collect();
        in_transaction!(self, "release claims", |tx| self
            .release_within(&mut tx, &lease.holder, &keys)
            .await)
    }

    async fn release_within(
        &self,
        conn: &mut Conn,
        holder: &str,
        keys: &[Key],
    ) -> Result<Ending<()>, Failure> {
        let now = self.moment(conn).await?;
        for (backend, chunk) in by_backend(keys) {
            // A claimed tombstone (a put that landed late) has no turn of its own to wait for.
            let mut query =
                Query::new("UPDATE secrets SET next_attempt_at = CASE state WHEN 'deleting' THEN ");
            query
                .push_bind(now)
                .push(" END WHERE state IN ('deleting', 'deleted')");
            query.push(" AND next_attempt_at IS NOT NULL AND claimed_by = ");
            query.push_bind(holder).push(" AND backend_id = ");
            query
                .push_bind(backend.as_str())
                .push(" AND coordinate IN ");
            push_list(
                &mut query,
                chunk.iter().map(|coordinate| coordinate.as_str()),
            );
            query.build().persistent(false).execute(&mut *conn).await?;
        }
        Ok(Ending::Keep(()))
    }
}

/// The error about a secret the ledger does not know.
pub(super) fn no_row(
    operation: &'static str,
    backend: &BackendId,
    coordinate: &Coordinate,
) -> Failure {
    Error::new(
        ErrorKind::Missing,
        operation,
        "table secrets has no such row",
    )
    .with_backend(backend)
    .with_coordinate(coordinate)
    .into()
}
