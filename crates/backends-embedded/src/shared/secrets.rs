//! Writing, reading and deleting rows, each in one statement.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::{Coordinate, KeyRing, Timestamp};
use sqlx::{QueryBuilder, Row as _};

use super::decode::{self, COLUMNS, SEALED_COLUMNS};
use super::dialect::{self, Db};
use super::{Connection, Result, Secrets};
use crate::failure::Failure;
use crate::row::{FullRow, NewRow, Passed, Row, Which, millis};
use crate::table::Table;

#[async_trait]
impl Table for Secrets {
    async fn insert(&self, rows: &[NewRow<'_>], ring: &KeyRing) -> Result<HashSet<Coordinate>> {
        if !self.is_open_to(ring).await? {
            return self.insert_first(rows, ring).await;
        }
        let mut connection = self.write.acquire().await?;
        self.insert_within(&mut connection, rows).await
    }

    async fn rows(&self, coordinates: &[Coordinate]) -> Result<Vec<Row>> {
        let mut query = QueryBuilder::new("SELECT ");
        query.push(COLUMNS);
        self.push_named(&mut query, coordinates);
        let again = Which::Any(coordinates).is_for_one();
        let rows = query
            .build()
            .persistent(again)
            .fetch_all(&self.read)
            .await?;
        rows.iter().map(decode::row).collect()
    }

    async fn full_rows(&self, coordinates: &[Coordinate]) -> Result<Vec<FullRow>> {
        let mut query = QueryBuilder::new("SELECT ");
        query.push(COLUMNS).push(", ").push(SEALED_COLUMNS);
        self.push_named(&mut query, coordinates);
        let again = Which::Any(coordinates).is_for_one();
        let rows = query
            .build()
            .persistent(again)
            .fetch_all(&self.read)
            .await?;
        rows.iter().map(decode::full_row).collect()
    }

    async fn page(&self, after: &str, limit: u32) -> Result<Vec<Row>> {
        let mut query = QueryBuilder::new("SELECT ");
        query
            .push(COLUMNS)
            .push(" FROM embedded_secrets WHERE backend_id = ");
        query.push_bind(self.backend.as_str().to_owned());
        query.push(" AND coordinate > ").push_bind(after.to_owned());
        self.push_living(&mut query);
        query
            .push(" ORDER BY coordinate LIMIT ")
            .push_bind(i64::from(limit));
        let rows = query.build().fetch_all(&self.read).await?;
        rows.iter().map(decode::row).collect()
    }

    async fn schedule(
        &self,
        which: &Which<'_>,
        window: Duration,
    ) -> Result<Vec<(Coordinate, Timestamp)>> {
        let mut query = QueryBuilder::new("UPDATE embedded_secrets SET deleted_at = ");
        self.push_now(&mut query);
        query.push(", purge_at = ");
        self.push_now(&mut query);
        query.push(" + ").push_bind(millis(window));
        self.push_change(&mut query);
        push_which(&mut query, which);
        query.push(" AND deleted_at IS NULL");
        self.push_living(&mut query);
        query.push(" RETURNING coordinate, purge_at");
        let rows = query
            .build()
            .persistent(which.is_for_one())
            .fetch_all(&self.write)
            .await?;
        let scheduled = rows.iter().map(|row| {
            let due = Timestamp::from_millisecond(row.try_get("purge_at")?)
                .map_err(|_| Failure::corrupt("purge_at"))?;
            Ok((decode::coordinate(row)?, due))
        });
        scheduled.collect()
    }

    async fn remove(&self, which: &Which<'_>) -> Result<Vec<Coordinate>> {
        let mut query = self.query("DELETE FROM embedded_secrets WHERE backend_id = ");
        push_which(&mut query, which);
        self.push_living(&mut query);
        query.push(" RETURNING coordinate");
        let rows = query
            .build()
            .persistent(which.is_for_one())
            .fetch_all(&self.write)
            .await?;
        rows.iter().map(decode::coordinate).collect()
    }

    async fn restore(&self, coordinate: &Coordinate) -> Result<bool> {
        let query =
            QueryBuilder::new("UPDATE embedded_secrets SET deleted_at = NULL, purge_at = NULL");
        self.change_one(query, coordinate, " AND deleted_at IS NOT NULL")
            .await
    }

    async fn lift_expiry(&self, coordinate: &Coordinate) -> Result<bool> {
        let query = QueryBuilder::new("UPDATE embedded_secrets SET expires_at = NULL");
        self.change_one(query, coordinate, " AND expires_at IS NOT NULL")
            .await
    }

    async fn purge(&self, passed: Passed, limit: u32) -> Result<u64> {
        let column = match passed {
            Passed::Recovery => "purge_at",
            Passed::Expiry => "expires_at",
        };
        if !self.has_passed(column).await? {
            return Ok(0);
        }
        // Chosen once, beforehand: PostgreSQL may ask a subquery anew for each row, and its limit
        // with it. What was restored meanwhile is spared by asking again.
        let mut query = self.query(
            "WITH passed AS MATERIALIZED (SELECT coordinate FROM embedded_secrets \
             WHERE backend_id = ",
        );
        query.push(" AND ").push(column).push(" <= ");
        self.push_now(&mut query);
        query.push(" ORDER BY ").push(column);
        query.push(" LIMIT ").push_bind(i64::from(limit));
        query.push(dialect::FOR_UPDATE_SKIP_LOCKED);
        query.push(") DELETE FROM embedded_secrets WHERE backend_id = ");
        query.push_bind(self.backend.as_str().to_owned());
        query.push(" AND coordinate IN (SELECT coordinate FROM passed) AND ");
        query.push(column).push(" <= ");
        self.push_now(&mut query);
        let done = query.build().execute(&self.write).await?;
        Ok(done.rows_affected())
    }
}

impl Secrets {
    fn push_named(&self, query: &mut QueryBuilder<Db>, coordinates: &[Coordinate]) {
        query.push(" FROM embedded_secrets WHERE backend_id = ");
        query.push_bind(self.backend.as_str().to_owned());
        query.push(" AND coordinate");
        dialect::push_among(query, coordinates);
        self.push_living(query);
    }

    /// The columns that every change of state sets, and whose rows are meant.
    fn push_change(&self, query: &mut QueryBuilder<Db>) {
        query.push(", changed_at = ");
        self.push_now(query);
        query.push(", revision = revision + 1 WHERE backend_id = ");
        query.push_bind(self.backend.as_str().to_owned());
    }

    async fn change_one(
        &self,
        mut query: QueryBuilder<Db>,
        coordinate: &Coordinate,
        condition: &'static str,
    ) -> Result<bool> {
        self.push_change(&mut query);
        query
            .push(" AND coordinate = ")
            .push_bind(coordinate.as_str().to_owned());
        query.push(condition);
        self.push_living(&mut query);
        Ok(query.build().execute(&self.write).await?.rows_affected() == 1)
    }

    /// Asked first, so that nobody waits for the write lock when there is nothing to purge.
    async fn has_passed(&self, column: &'static str) -> Result<bool> {
        let mut query = self.query("SELECT revision FROM embedded_secrets WHERE backend_id = ");
        query.push(" AND ").push(column).push(" <= ");
        self.push_now(&mut query);
        query.push(" LIMIT 1");
        Ok(query.build().fetch_optional(&self.read).await?.is_some())
    }
}

impl Secrets {
    pub(super) async fn insert_within(
        &self,
        connection: &mut Connection,
        rows: &[NewRow<'_>],
    ) -> Result<HashSet<Coordinate>> {
        let mut query = QueryBuilder::new(
            "INSERT INTO embedded_secrets (backend_id, coordinate, key_id, key_nonce, \
             wrapped_key, nonce, ciphertext, store_id, deployment, digest, intent, \
             revision, created_at, changed_at, expires_at) VALUES ",
        );
        for (at, row) in rows.iter().enumerate() {
            query.push(if at == 0 { "" } else { ", " });
            self.push_row(&mut query, row);
        }
        // A name is free also where what it held has passed and was not purged yet.
        query.push(
            " ON CONFLICT (backend_id, coordinate) DO UPDATE SET key_id = excluded.key_id, \
             key_nonce = excluded.key_nonce, wrapped_key = excluded.wrapped_key, \
             nonce = excluded.nonce, ciphertext = excluded.ciphertext, \
             store_id = excluded.store_id, deployment = excluded.deployment, \
             digest = excluded.digest, intent = excluded.intent, \
             revision = excluded.revision, \
             created_at = excluded.created_at, changed_at = excluded.changed_at, \
             expires_at = excluded.expires_at, deleted_at = NULL, purge_at = NULL \
             WHERE embedded_secrets.purge_at <= ",
        );
        self.push_now(&mut query);
        query.push(" OR embedded_secrets.expires_at <= ");
        self.push_now(&mut query);
        query.push(" RETURNING coordinate");
        let again = rows.len() == 1;
        let written = query
            .build()
            .persistent(again)
            .fetch_all(connection)
            .await?;
        written.iter().map(decode::coordinate).collect()
    }

    fn push_row(&self, query: &mut QueryBuilder<Db>, row: &NewRow<'_>) {
        let NewRow {
            mark,
            sealed,
            expiry,
        } = row;
        query.push("(").push_bind(self.backend.as_str().to_owned());
        query
            .push(", ")
            .push_bind(mark.coordinate.as_str().to_owned());
        query
            .push(", ")
            .push_bind(sealed.key.key_id.as_str().to_owned());
        query.push(", ").push_bind(sealed.key.nonce.clone());
        query.push(", ").push_bind(sealed.key.bytes.clone());
        query.push(", ").push_bind(sealed.nonce.clone());
        query.push(", ").push_bind(sealed.ciphertext.clone());
        query.push(", ").push_bind(dialect::id(mark.store.0));
        query.push(", ").push_bind(mark.deployment.clone());
        query.push(", ").push_bind(mark.digest.to_string());
        query
            .push(", ")
            .push_bind(mark.intent.map(|id| dialect::id(id.0)));
        query.push(", 1, ");
        self.push_now(query);
        query.push(", ");
        self.push_now(query);
        query.push(", ");
        self.push_now(query);
        query.push(" + ").push_bind(expiry.map(millis)).push(")");
    }
}

fn push_which(query: &mut QueryBuilder<Db>, which: &Which<'_>) {
    query.push(" AND coordinate");
    match which {
        Which::Any(coordinates) => dialect::push_among(query, coordinates),
        Which::Only(coordinate, state) => {
            query.push(" = ").push_bind(coordinate.as_str().to_owned());
            query.push(" AND nonce = ").push_bind(state.nonce.clone());
            query.push(" AND revision = ").push_bind(state.revision);
        }
    }
}
