//! The backend itself: the contract of `SecretBackend` over the table.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::budget::RequestClass::{Delete, Describe, Read, Write};
use cloakroom_core::capabilities::{
    Calls, Characters, CoordinateName, ListOrder, NameRules, NameShape, NativeExpiry, Rates,
    Recovery, Sent,
};
use cloakroom_core::coordinates::MAX_LENGTH;
use cloakroom_core::{
    BackendId, Capabilities, Clock, Coordinate, DeleteMode, Deletion, Description, Error,
    KeySource, ListPage, Mark, PageToken, Precondition, Purge, PutOutcome, PutRequest, Randomness,
    Result, SecretBackend, StoredSecret, Timestamp,
};

use crate::envelope::Place;
use crate::failure::Failure;
use crate::opening::missing;
use crate::pool::Pool;
use crate::row::{Row, Which};
use crate::silence::unless_silent;
use crate::table::Table;
use crate::{postgres, sqlite};

/// The largest value, in bytes.
pub(crate) const MOST_BYTES: usize = 1024 * 1024;
/// Secrets handled by one statement.
const BATCH: usize = 500;
/// Values written by one statement: at most 100 MiB of them.
const PUT_BATCH: usize = 100;

/// The table's key is the coordinate itself.
const NAMES: NameRules = NameRules {
    characters: Characters::letters_digits_and("-_"),
    longest: MAX_LENGTH,
    shape: NameShape::Plain,
    reserved: &[],
    case_counts: true,
    respelled: &[],
    coordinate: CoordinateName::Itself,
};

/// As many together as a batch takes.
const CALLS: Calls = Calls {
    put: &[Sent::batched(Write, PUT_BATCH)],
    get_many: &[Sent::batched(Read, BATCH)],
    read_named: &[Sent::batched(Read, BATCH)],
    describe: &[Sent::batched(Describe, BATCH)],
    delete: &[Sent::batched(Delete, BATCH)],
    delete_finally: &[Sent::batched(Delete, BATCH)],
    ..Calls::ONE
};

/// How long a deletion can be taken back.
pub(crate) const RECOVERY: Recovery = Recovery {
    shortest: Duration::from_mins(1),
    longest: Duration::from_hours(365 * 24),
};

/// Secrets in table `embedded_secrets` of the database behind a [`Pool`], each sealed under a key
/// of its own. Cheap to clone.
///
/// Values have 0 to 1,048,576 bytes of any kind. A deletion can be taken back for a minute to a
/// year, as was asked for, and is kept beyond that until it is purged. What has expired is no longer
/// given out, and kept as well. Nothing but a purge and a deletion for good removes a row. Backends of
/// different names share a table without seeing each other's secrets. No platform writes here, so that
/// there are no names of a platform's to ask by.
#[derive(Clone)]
pub struct EmbeddedBackend {
    pub(crate) id: BackendId,
    pub(crate) table: Arc<dyn Table>,
    pub(crate) keys: Arc<dyn KeySource>,
    pub(crate) randomness: Arc<dyn Randomness>,
    manager: Arc<str>,
}

impl EmbeddedBackend {
    /// What every embedded backend can do.
    pub const CAPABILITIES: Capabilities = Capabilities {
        least_bytes: 0,
        most_bytes: MOST_BYTES,
        binary: true,
        longest_name: MAX_LENGTH,
        names: NAMES,
        name_prefix: Cow::Borrowed(""),
        put_batch: PUT_BATCH,
        get_batch: BATCH,
        describe_batch: BATCH,
        delete_batch: BATCH,
        native_expiry: NativeExpiry::Hides,
        recovery: Some(RECOVERY),
        final_deletion: true,
        listing_lag: Duration::ZERO,
        list_order: ListOrder::Coordinate,
        create_only: true,
        describe_without_reading: true,
        delete_precondition: true,
        rates: Rates::NONE,
        calls: CALLS,
    };

    /// The backend called `id` in the database behind `pool`, whose table is there: from the
    /// store's migrations, or by [`EmbeddedBackend::prepare`].
    ///
    /// `clock` says when expiries and recovery windows are over; `None` is the database's own clock
    /// (the server's for PostgreSQL, this machine's for SQLite). Nothing is asked of database or
    /// keys yet.
    pub fn new(
        id: BackendId,
        pool: Pool,
        keys: Arc<dyn KeySource>,
        randomness: Arc<dyn Randomness>,
        clock: Option<Arc<dyn Clock>>,
    ) -> Self {
        let manager = format!("embedded in {} as {id}", pool.database());
        let backend = id.clone();
        let table: Arc<dyn Table> = match pool {
            Pool::Sqlite { write, read } => Arc::new(sqlite::Secrets {
                backend,
                write,
                read,
                clock,
                key_in_use: OnceLock::new(),
                longest_silence: None,
            }),
            Pool::Postgres {
                pool,
                longest_silence,
            } => Arc::new(postgres::Guarded(postgres::Secrets {
                backend,
                write: pool.clone(),
                read: pool,
                clock,
                key_in_use: OnceLock::new(),
                longest_silence,
            })),
        };
        Self {
            id,
            table,
            keys,
            randomness,
            manager: manager.into(),
        }
    }

    /// Creates table and indexes, unless they are there: for use of this crate alone. The store's
    /// migrations do the same.
    ///
    /// # Errors
    /// `Denied` where the database's user may not create tables; `Unavailable` where the database
    /// does not answer.
    pub async fn prepare(pool: &Pool) -> Result<()> {
        match pool {
            Pool::Sqlite { write, .. } => sqlite::create(write, None).await,
            Pool::Postgres {
                pool,
                longest_silence,
            } => unless_silent(*longest_silence, postgres::create(pool, *longest_silence)).await,
        }
        .map_err(|failure| failure.to_error("create the table"))
    }

    /// An error of this backend's about one secret.
    pub(crate) fn error(
        &self,
        operation: &'static str,
        coordinate: &Coordinate,
        failure: &Failure,
    ) -> Error {
        self.error_of_all(operation, failure)
            .with_coordinate(coordinate)
    }

    /// An error of this backend's about no secret in particular.
    pub(crate) fn error_of_all(&self, operation: &'static str, failure: &Failure) -> Error {
        failure.to_error(operation).with_backend(&self.id)
    }

    pub(crate) fn place<'a>(&'a self, coordinate: &'a Coordinate) -> Place<'a> {
        Place {
            backend: &self.id,
            coordinate,
        }
    }
}

#[async_trait]
impl SecretBackend for EmbeddedBackend {
    fn id(&self) -> &BackendId {
        &self.id
    }

    fn manager(&self) -> &str {
        &self.manager
    }

    fn capabilities(&self) -> &Capabilities {
        &Self::CAPABILITIES
    }

    fn purges(&self) -> Option<&dyn Purge> {
        Some(self)
    }

    async fn put(&self, request: &PutRequest) -> Result<PutOutcome> {
        let coordinate = &request.mark.coordinate;
        self.try_put(request)
            .await
            .map_err(|failure| self.error("put", coordinate, &failure))
    }

    async fn put_many(&self, requests: &[PutRequest]) -> Vec<Result<PutOutcome>> {
        let mut answers = Vec::with_capacity(requests.len());
        for batch in requests.chunks(PUT_BATCH) {
            let done = self.try_put_many(batch).await;
            let named = batch.iter().zip(done).map(|(request, done)| {
                done.map_err(|failure| self.error("put", &request.mark.coordinate, &failure))
            });
            answers.extend(named);
        }
        answers
    }

    async fn get(&self, coordinate: &Coordinate) -> Result<StoredSecret> {
        let found = self.try_get(std::slice::from_ref(coordinate)).await;
        found
            .and_then(|rows| self.read(rows.get(coordinate)))
            .map_err(|failure| self.error("get", coordinate, &failure))
    }

    async fn get_many(&self, coordinates: &[Coordinate]) -> Vec<Result<StoredSecret>> {
        let mut answers = Vec::with_capacity(coordinates.len());
        for batch in coordinates.chunks(BATCH) {
            let found = self.try_get(batch).await;
            answers.extend(batch.iter().map(|coordinate| {
                match &found {
                    Ok(rows) => self.read(rows.get(coordinate)),
                    Err(failure) => Err(failure.clone()),
                }
                .map_err(|failure| self.error("get", coordinate, &failure))
            }));
        }
        answers
    }

    async fn describe(&self, coordinate: &Coordinate) -> Result<Description> {
        let found = self.try_describe(std::slice::from_ref(coordinate)).await;
        found
            .and_then(|mut rows| rows.remove(coordinate).unwrap_or_else(|| Err(missing())))
            .map(Row::into_description)
            .map_err(|failure| self.error("describe", coordinate, &failure))
    }

    async fn describe_many(&self, coordinates: &[Coordinate]) -> Vec<Result<Description>> {
        let mut answers = Vec::with_capacity(coordinates.len());
        for batch in coordinates.chunks(BATCH) {
            let found = self.try_describe(batch).await;
            answers.extend(batch.iter().map(|coordinate| {
                match &found {
                    Ok(rows) => rows
                        .get(coordinate)
                        .cloned()
                        .unwrap_or_else(|| Err(missing())),
                    Err(failure) => Err(failure.clone()),
                }
                .map(Row::into_description)
                .map_err(|failure| self.error("describe", coordinate, &failure))
            }));
        }
        answers
    }

    async fn list(&self, page: Option<&PageToken>) -> Result<ListPage> {
        self.try_list(page)
            .await
            .map_err(|failure| self.error_of_all("list", &failure))
    }

    async fn delete(
        &self,
        coordinate: &Coordinate,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion> {
        let deletion = if let Some(precondition) = precondition {
            self.try_delete_if(coordinate, mode, precondition).await
        } else {
            let which = Which::Any(std::slice::from_ref(coordinate));
            let done = self.try_delete(&which, mode).await;
            done.map(|done| {
                done.get(coordinate)
                    .copied()
                    .unwrap_or(Deletion::AlreadyGone)
            })
        };
        deletion.map_err(|failure| self.error("delete", coordinate, &failure))
    }

    async fn delete_many(
        &self,
        coordinates: &[Coordinate],
        mode: DeleteMode,
    ) -> Vec<Result<Deletion>> {
        let mut answers = Vec::with_capacity(coordinates.len());
        for batch in coordinates.chunks(BATCH) {
            let mut done = self.try_delete(&Which::Any(batch), mode).await;
            answers.extend(batch.iter().map(|coordinate| {
                match &mut done {
                    // Taken out, so that a name asked for twice is gone the second time.
                    Ok(done) => Ok(done.remove(coordinate).unwrap_or(Deletion::AlreadyGone)),
                    Err(failure) => Err(self.error("delete", coordinate, failure)),
                }
            }));
        }
        answers
    }

    async fn restore(&self, coordinate: &Coordinate) -> Result<()> {
        let restored = self.try_restore(coordinate).await;
        restored.map_err(|failure| self.error("restore", coordinate, &failure))
    }

    async fn lift_expiry(&self, coordinate: &Coordinate) -> Result<()> {
        let lifted = self.try_lift_expiry(coordinate).await;
        lifted.map_err(|failure| self.error("lift the expiry of", coordinate, &failure))
    }
}

#[async_trait]
impl Purge for EmbeddedBackend {
    async fn purge(&self, mark: &Mark, window: Duration, now: Timestamp) -> Result<bool> {
        let purged = self.try_purge(mark, window, now).await;
        purged.map_err(|failure| self.error("purge", &mark.coordinate, &failure))
    }

    /// A put writes mark and value in one statement.
    async fn outlast_put(&self, _: &Mark, _: Duration) -> Result<Option<Timestamp>> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_coordinate_is_a_name(text in "[A-Za-z0-9_-]{1,8}_v[1-9]|[A-Za-z0-9_-]{240,253}_v[1-9]") {
            if let Ok(coordinate) = Coordinate::from_stored(&text) {
                prop_assert_eq!(NAMES.check(coordinate.as_str()), Ok(()));
            }
        }
    }
}
