//! Writing, reading and deleting rows, each in one statement.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::{Coordinate, KeyRing, Mark, Timestamp};
use sqlx::{QueryBuilder, Row as _};

use super::decode::{self, COLUMNS, SEALED_COLUMNS};
use super::dialect::{self, Db};
use super::{Connection, Result, Secrets};
use crate::failure::Failure;
use crate::row::{Found, FullRow, NewRow, Row, Which, millis};
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

    async fn rows(&self, coordinates: &[Coordinate]) -> Result<Vec<Found<Row>>> {
        let mut query = self.select("");
        push_named(&mut query, coordinates);
        let again = Which::Any(coordinates).is_for_one();
        let rows = query
            .build()
            .persistent(again)
            .fetch_all(&self.read)
            .await?;
        decode::found(&rows, decode::row)
    }

    async fn full_rows(&self, coordinates: &[Coordinate]) -> Result<Vec<Found<FullRow>>> {
        let mut query = self.select(SEALED_COLUMNS);
        push_named(&mut query, coordinates);
        let again = Which::Any(coordinates).is_for_one();
        let rows = query
            .build()
            .persistent(again)
            .fetch_all(&self.read)
            .await?;
        decode::found(&rows, decode::full_row)
    }

    async fn page(&self, after: &str, limit: u32) -> Result<Vec<Found<Row>>> {
        let mut query = self.select("");
        query.push(" AND coordinate > ").push_bind(after.to_owned());
        query
            .push(" ORDER BY coordinate LIMIT ")
            .push_bind(i64::from(limit));
        let rows = query.build().fetch_all(&self.read).await?;
        decode::found(&rows, decode::row)
    }

    async fn schedule(
        &self,
        which: &Which<'_>,
        window: Duration,
    ) -> Result<Vec<(Coordinate, Timestamp)>> {
        let mut query = QueryBuilder::new("UPDATE embedded_secrets SET ");
        self.push_end(&mut query, window);
        self.push_change(&mut query);
        push_which(&mut query, which);
        query.push(" AND (deleted_at IS NULL OR purge_at <= ");
        self.push_now(&mut query);
        query.push(") RETURNING coordinate, purge_at");
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
        query.push(" RETURNING coordinate");
        let rows = query
            .build()
            .persistent(which.is_for_one())
            .fetch_all(&self.write)
            .await?;
        rows.iter().map(decode::coordinate).collect()
    }

    async fn restore(&self, coordinate: &Coordinate) -> Result<bool> {
        let mut query = QueryBuilder::new(
            "UPDATE embedded_secrets SET deleted_at = NULL, purge_at = NULL, \
             expires_at = CASE WHEN expires_at <= ",
        );
        self.push_now(&mut query);
        query.push(" THEN NULL ELSE expires_at END");
        self.push_change(&mut query);
        push_one(&mut query, coordinate);
        query.push(" AND (deleted_at IS NOT NULL OR expires_at <= ");
        self.push_now(&mut query);
        query.push(")");
        self.changes(&mut query).await
    }

    async fn lift_expiry(&self, coordinate: &Coordinate) -> Result<bool> {
        let mut query = QueryBuilder::new("UPDATE embedded_secrets SET expires_at = NULL");
        self.push_change(&mut query);
        push_one(&mut query, coordinate);
        query.push(" AND expires_at IS NOT NULL");
        self.changes(&mut query).await
    }

    async fn purge(&self, mark: &Mark, window: Duration, now: Timestamp) -> Result<bool> {
        let (window, now) = (millis(window), now.as_millisecond());
        let mut query = self.query("DELETE FROM embedded_secrets WHERE backend_id = ");
        push_mark(&mut query, mark);
        query.push(" AND purge_at <= ").push_bind(now);
        query
            .push(" AND deleted_at <= ")
            .push_bind(now.saturating_sub(window));
        query.push(" AND purge_at <= ");
        self.push_now(&mut query);
        query.push(" AND deleted_at <= ");
        self.push_now(&mut query);
        query.push(" - ").push_bind(window);
        self.changes(&mut query).await
    }

    async fn give_end(&self, mark: &Mark, window: Duration) -> Result<()> {
        let mut query = QueryBuilder::new("UPDATE embedded_secrets SET ");
        self.push_end(&mut query, window);
        self.push_change(&mut query);
        push_mark(&mut query, mark);
        query.push(" AND deleted_at IS NULL AND expires_at <= ");
        self.push_now(&mut query);
        self.changes(&mut query).await.map(drop)
    }
}

impl Secrets {
    /// A question for this backend's rows, with these columns besides; which of them, is to follow.
    fn select(&self, more: &'static str) -> QueryBuilder<Db> {
        let mut query = QueryBuilder::new("SELECT ");
        query.push(COLUMNS).push(", COALESCE(expires_at <= ");
        self.push_now(&mut query);
        query.push(", FALSE) AS expired");
        if !more.is_empty() {
            query.push(", ").push(more);
        }
        query.push(" FROM embedded_secrets WHERE backend_id = ");
        query.push_bind(self.backend.as_str().to_owned());
        query
    }

    /// Sets a window that begins now.
    fn push_end(&self, query: &mut QueryBuilder<Db>, window: Duration) {
        query.push("deleted_at = ");
        self.push_now(query);
        query.push(", purge_at = ");
        self.push_now(query);
        query.push(" + ").push_bind(millis(window));
    }

    /// The columns that every change of state sets, and whose rows are meant.
    fn push_change(&self, query: &mut QueryBuilder<Db>) {
        query.push(", changed_at = ");
        self.push_now(query);
        query.push(", revision = revision + 1 WHERE backend_id = ");
        query.push_bind(self.backend.as_str().to_owned());
    }

    /// Whether the statement about one row changed it.
    async fn changes(&self, query: &mut QueryBuilder<Db>) -> Result<bool> {
        Ok(query.build().execute(&self.write).await?.rows_affected() == 1)
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
        query.push(" ON CONFLICT (backend_id, coordinate) DO NOTHING RETURNING coordinate");
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

fn push_named(query: &mut QueryBuilder<Db>, coordinates: &[Coordinate]) {
    query.push(" AND coordinate");
    dialect::push_among(query, coordinates);
}

fn push_one(query: &mut QueryBuilder<Db>, coordinate: &Coordinate) {
    query
        .push(" AND coordinate = ")
        .push_bind(coordinate.as_str().to_owned());
}

/// What bears exactly this mark.
fn push_mark(query: &mut QueryBuilder<Db>, mark: &Mark) {
    push_one(query, &mark.coordinate);
    query
        .push(" AND store_id = ")
        .push_bind(dialect::id(mark.store.0));
    query
        .push(" AND deployment = ")
        .push_bind(mark.deployment.clone());
    query
        .push(" AND digest = ")
        .push_bind(mark.digest.to_string());
    match mark.intent {
        Some(intent) => query
            .push(" AND intent = ")
            .push_bind(dialect::id(intent.0)),
        None => query.push(" AND intent IS NULL"),
    };
}
