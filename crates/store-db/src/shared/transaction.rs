//! Transactions: how they begin, what time it is in them, and when they are tried again.

use std::time::Duration;

use cloakroom_core::{Error, Result, Timestamp};
use sqlx::Transaction;

use super::dialect::{self, Db};
use super::{Conn, Store};
use crate::failure::Failure;
use crate::options::StoreClock;
use crate::postgres::silence;
use crate::times::{millis, moment};

/// How a transaction's work ended.
pub(super) enum Ending<T> {
    /// What it wrote stays.
    Keep(T),
    /// What it wrote is taken back.
    Undo(T),
}

/// Runs work in a write transaction, again where the database asks for that. The work is an
/// expression that gives `Result<Ending<T>, Failure>`; a closure could not say that its future is
/// `Send`.
macro_rules! in_transaction {
    ($store:expr, $operation:expr, |$tx:ident| $work:expr) => {{
        let mut attempts = super::transaction::Attempts::default();
        loop {
            let outcome = async {
                let mut $tx = $store.begin_write().await?;
                match $work? {
                    Ending::Keep(value) => {
                        $tx.commit().await?;
                        Ok(value)
                    }
                    Ending::Undo(value) => {
                        $tx.rollback().await?;
                        Ok(value)
                    }
                }
            };
            let outcome: ::std::result::Result<_, $crate::failure::Failure> = outcome.await;
            match outcome {
                Ok(value) => break Ok(value),
                Err(failure) => {
                    if let Err(error) = $store
                        .pause_before_again(&mut attempts, $operation, failure)
                        .await
                    {
                        break Err(error);
                    }
                }
            }
        }
    }};
}

/// How often a transaction was begun.
#[derive(Default)]
pub(super) struct Attempts(u32);

const MOST_ATTEMPTS: u32 = 6;

/// Begins a transaction, whether or not the caller waits for it. sqlx knows of a transaction only
/// once the database has answered: dropped before that, the connection would go back to its pool
/// inside a transaction that nobody ends, and what the next user writes would never be committed.
async fn begin(
    pool: &sqlx::Pool<Db>,
    statement: &'static str,
    longest_silence: Option<Duration>,
) -> Result<Transaction<'static, Db>, Failure> {
    let pool = pool.clone();
    let begun = tokio::spawn(async move {
        let begun = pool.begin_with(statement);
        let Some(longest) = longest_silence else {
            return Ok(begun.await?);
        };
        // What is dropped here is looked at before somebody else gets it.
        match tokio::time::timeout(longest, begun).await {
            Ok(begun) => Ok(begun?),
            Err(_) => Err(silence::told("begin", longest).into()),
        }
    });
    begun.await.map_err(|_| sqlx::Error::WorkerCrashed)?
}

impl Store {
    pub(super) async fn begin_write(&self) -> Result<Transaction<'static, Db>, Failure> {
        begin(&self.write, dialect::BEGIN_WRITE, self.longest_silence).await
    }

    /// A transaction whose statements all see one state.
    pub(super) async fn begin_read(&self) -> Result<Transaction<'static, Db>, Failure> {
        begin(&self.read, dialect::BEGIN_READ, self.longest_silence).await
    }

    /// The store's present moment. Asked after the locks are held, it is no older than the wait.
    pub(super) async fn moment(&self, conn: &mut Conn) -> Result<i64, Failure> {
        match &self.clock {
            StoreClock::Database => dialect::now(conn).await,
            StoreClock::Given(clock) => Ok(millis(clock.now())),
        }
    }

    /// The moment that waits of days are counted from: the present one, unless the clock has fallen
    /// behind what the store knows. What has passed is judged by [`Self::moment`], so that a clock
    /// that was ahead makes nothing look older than it is.
    pub(super) async fn lasting_moment(&self, conn: &mut Conn) -> Result<i64, Failure> {
        let now = self.moment(conn).await?;
        dialect::no_earlier(conn, now).await
    }

    /// Waits a little and gives `Ok` where the same transaction may succeed if it is begun again.
    pub(super) async fn pause_before_again(
        &self,
        attempts: &mut Attempts,
        operation: &'static str,
        failure: Failure,
    ) -> Result<()> {
        attempts.0 += 1;
        if attempts.0 >= MOST_ATTEMPTS || !can_be_repeated(&failure) {
            return Err(told(operation, failure));
        }
        let longest = Duration::from_millis(10 << attempts.0);
        tokio::time::sleep(longest.mul_f64(self.randomness.fraction())).await;
        Ok(())
    }

    /// Asks for a change of no row: beginning alone does not tell, since SQLite begins to read where it
    /// cannot write.
    pub(crate) async fn ensure_writable(&self, operation: &'static str) -> Result<()> {
        let asked = async {
            let mut tx = self.begin_write().await?;
            sqlx::query("UPDATE store_identity SET single = single WHERE single = 0")
                .execute(&mut *tx)
                .await?;
            tx.rollback().await?;
            Ok(())
        };
        asked
            .await
            .map_err(|failure: Failure| told(operation, failure))
    }

    pub(crate) async fn now(&self) -> Result<Timestamp> {
        const OPERATION: &str = "ask the store's clock";
        let now = async {
            let mut conn = self.read.acquire().await?;
            self.moment(&mut conn).await
        };
        let now = now.await.map_err(|failure| told(OPERATION, failure))?;
        moment(now, OPERATION)
    }

    pub(crate) async fn clock_is_behind(&self) -> Result<Duration> {
        let behind = async {
            let mut conn = self.read.acquire().await?;
            let now = self.moment(&mut conn).await?;
            let latest = dialect::latest(&mut conn, now).await?;
            Ok(latest.saturating_sub(now))
        };
        let behind = behind
            .await
            .map_err(|failure| told("compare the clock with the database", failure))?;
        Ok(Duration::from_millis(
            u64::try_from(behind).unwrap_or_default(),
        ))
    }
}

/// The failure as it is handed out.
pub(super) fn told(operation: &'static str, failure: Failure) -> Error {
    failure.into_error(operation, dialect::meaning_of)
}

fn can_be_repeated(failure: &Failure) -> bool {
    let Failure::Database(error) = failure else {
        return false;
    };
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| dialect::can_be_repeated(&code))
}
