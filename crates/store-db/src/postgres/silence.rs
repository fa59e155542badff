//! A server that is not heard of any more: no answer, and no word that the connection is broken.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cloakroom_core::{Error, ErrorKind};
use sqlx::{Connection as _, Executor as _, Row as _};
use tokio::time::Instant;

use crate::options::Options;

/// The server ends a statement by itself after `statement_timeout`, and a connection is waited for no
/// longer than `acquire_timeout`: no operation that goes on hears nothing for longer than both.
pub(super) fn longest(options: &Options) -> Duration {
    options
        .acquire_timeout
        .saturating_add(options.statement_timeout)
}

/// How long a connection that nobody uses may take to answer. Half of the wait for a connection leaves
/// whoever waits the other half to make a new one.
pub(super) fn longest_ping(options: &Options) -> Duration {
    options.acquire_timeout / 2
}

/// What is told of a silent server. `call` is the call as the source has it.
pub(crate) fn told(call: &'static str, longest: Duration) -> Error {
    let method = call.split(['.', '(']).nth(1).unwrap_or(call);
    let message = format!(
        "PostgreSQL has not answered `{}` for {longest:?}, and nothing says that the connection is broken: \
         what was being written may be there or not. Look at the server and at the network, load \
         balancer or pooler between; the next operation uses another connection",
        method.trim().replace('_', " ")
    );
    Error::new(ErrorKind::Unavailable, "ask the database", message)
}

/// When one of a pool's connections was first asked something that it did not answer: those that have been
/// idle since before then have most likely gone the same way.
#[derive(Clone, Default)]
pub(super) struct Doubt(Arc<Mutex<Option<Instant>>>);

impl Doubt {
    /// Whether a connection that has been idle for so long answers. Of many that went silent at once one
    /// alone is waited for.
    pub(super) async fn ping(
        &self,
        conn: &mut sqlx::PgConnection,
        idle: Duration,
        longest: Duration,
    ) -> sqlx::Result<bool> {
        let idle_since = Instant::now().checked_sub(idle);
        if idle_since < *self.since() {
            let doubtful = std::io::Error::new(
                std::io::ErrorKind::TimedOut,
                "it was idle while another connection went silent",
            );
            return Err(sqlx::Error::Io(doubtful));
        }
        self.in_time(longest, conn.ping()).await.map(|()| true)
    }

    /// Whether a connection that comes back answers, asked before the driver asks without end, and is in no
    /// transaction: one whose `BEGIN` was answered too late is in one that nobody would end.
    pub(super) async fn is_sound(
        &self,
        conn: &mut sqlx::PgConnection,
        longest: Duration,
    ) -> sqlx::Result<bool> {
        // Of the simple protocol, which poolers take: nothing is prepared.
        const OUTSIDE: &str = "SELECT transaction_timestamp() = statement_timestamp()";
        let asked = async { conn.fetch_one(sqlx::raw_sql(OUTSIDE)).await?.try_get(0) };
        self.in_time(longest, asked).await
    }

    /// Gives a connection up that takes longer.
    async fn in_time<T>(
        &self,
        longest: Duration,
        asked: impl Future<Output = sqlx::Result<T>>,
    ) -> sqlx::Result<T> {
        let begun = Instant::now();
        tokio::time::timeout(longest, asked)
            .await
            .unwrap_or_else(|_| {
                *self.since() = Some(begun);
                Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))
            })
    }

    fn since(&self) -> MutexGuard<'_, Option<Instant>> {
        // Replaced whole; a panic elsewhere leaves it valid.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(1);

    #[test]
    fn the_operation_is_named() {
        let call = "inner.renew_lease(lease, ttl).await";
        let error = told(call, LONGEST).to_string();
        assert!(error.contains("`renew lease` for 1s"), "{error}");
        assert!(
            told("{ inner.a_b(c).await }", LONGEST)
                .to_string()
                .contains("`a b`")
        );
    }
}
