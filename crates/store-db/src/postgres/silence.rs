//! A server that is not heard of any more: no answer, and no word that the connection is broken.

use std::time::Duration;

use cloakroom_core::{Error, ErrorKind};
use sqlx::{Executor as _, Row as _};

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

/// Whether a connection that comes back answers, asked before the driver asks without end, and is in no
/// transaction: one whose `BEGIN` was answered too late is in one that nobody would end.
pub(super) async fn is_sound(
    conn: &mut sqlx::PgConnection,
    longest: Duration,
) -> sqlx::Result<bool> {
    // Of the simple protocol, which poolers take: nothing is prepared.
    const OUTSIDE: &str = "SELECT transaction_timestamp() = statement_timestamp()";
    let asked = async { conn.fetch_one(sqlx::raw_sql(OUTSIDE)).await?.try_get(0) };
    in_time(longest, asked).await
}

/// Gives a connection up that takes longer.
pub(super) async fn in_time<T>(
    longest: Duration,
    asked: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    tokio::time::timeout(longest, asked)
        .await
        .unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))
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
