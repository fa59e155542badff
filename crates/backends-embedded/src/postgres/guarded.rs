//! The table on a server that may fall silent: no question to it waits for ever.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::{Coordinate, KeyId, KeyRing, Mark, Timestamp};

use super::Secrets;
use crate::envelope::WrappedKey;
use crate::failure::Failure;
use crate::row::{Found, FullRow, KeyRow, NewRow, Row, Which};
use crate::silence::unless_silent;
use crate::table::{Rotation, Table};

type Result<T> = std::result::Result<T, Failure>;

/// Each question, given up where nothing is heard of the server.
pub(crate) struct Guarded(pub(crate) Secrets);

impl Guarded {
    async fn ask<T>(&self, question: impl Future<Output = Result<T>>) -> Result<T> {
        unless_silent(self.0.longest_silence, question).await
    }
}

#[async_trait]
impl Table for Guarded {
    async fn insert(&self, rows: &[NewRow<'_>], ring: &KeyRing) -> Result<HashSet<Coordinate>> {
        self.ask(self.0.insert(rows, ring)).await
    }

    async fn rows(&self, coordinates: &[Coordinate]) -> Result<Vec<Found<Row>>> {
        self.ask(self.0.rows(coordinates)).await
    }

    async fn full_rows(&self, coordinates: &[Coordinate]) -> Result<Vec<Found<FullRow>>> {
        self.ask(self.0.full_rows(coordinates)).await
    }

    async fn page(&self, after: &str, limit: u32) -> Result<Vec<Found<Row>>> {
        self.ask(self.0.page(after, limit)).await
    }

    async fn schedule(
        &self,
        which: &Which<'_>,
        window: Duration,
    ) -> Result<Vec<(Coordinate, Timestamp)>> {
        self.ask(self.0.schedule(which, window)).await
    }

    async fn remove(&self, which: &Which<'_>) -> Result<Vec<Coordinate>> {
        self.ask(self.0.remove(which)).await
    }

    async fn restore(&self, coordinate: &Coordinate) -> Result<bool> {
        self.ask(self.0.restore(coordinate)).await
    }

    async fn lift_expiry(&self, coordinate: &Coordinate) -> Result<bool> {
        self.ask(self.0.lift_expiry(coordinate)).await
    }

    async fn purge(&self, mark: &Mark, window: Duration, now: Timestamp) -> Result<bool> {
        self.ask(self.0.purge(mark, window, now)).await
    }

    async fn give_end(&self, mark: &Mark, window: Duration) -> Result<()> {
        self.ask(self.0.give_end(mark, window)).await
    }
}

#[async_trait]
impl Rotation for Guarded {
    async fn keys_in_use(&self) -> Result<Vec<(KeyId, u64)>> {
        self.ask(self.0.keys_in_use()).await
    }

    async fn under_other_keys(
        &self,
        current: &KeyId,
        after: &str,
        limit: u32,
    ) -> Result<Vec<KeyRow>> {
        self.ask(self.0.under_other_keys(current, after, limit))
            .await
    }

    async fn exchange(&self, exchanges: &[(KeyRow, WrappedKey)]) -> Result<u64> {
        self.ask(self.0.exchange(exchanges)).await
    }
}
