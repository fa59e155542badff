//! One connection and one transaction for each question: bounded waits, no writes, names that nobody
//! can shadow.

use std::str::FromStr as _;
use std::time::Duration;

use cloakroom_core::{Error, ErrorKind, Result};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};

use crate::copy::SAVEPOINT;
use crate::failure::{self, OPERATION, invalid};
use crate::options::Options;

const SHAPE: &str = "the PostgreSQL URL is not postgres://user:password@host:port/database, where `@`, `/`, \
                     `:`, `?`, `#` and `%` in user and password are written as %40, %2F, %3A, %3F, %23 and %25";

/// What a URL may say behind its `?`; the driver would log anything else with its value, which may
/// be a misspelt password.
const KNOWN: &[&str] = &[
    "application_name",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
];

/// Where the database is, checked before anything connects.
pub(crate) fn address(options: &Options) -> Result<PgConnectOptions> {
    let url = options
        .url
        .expose_text()
        .ok_or_else(|| invalid("the PostgreSQL URL is not text"))?;
    if url.starts_with("jdbc:") {
        return Err(invalid(
            "the PostgreSQL URL is written as for Java: take `jdbc:` away, and put user and password where \
             they are in postgres://user:password@host:port/database",
        ));
    }
    if !["postgres://", "postgresql://"]
        .iter()
        .any(|it| url.starts_with(it))
    {
        return Err(invalid(SHAPE));
    }
    let parameters = url.split_once('?').map_or("", |(_, behind)| behind);
    let mut names = parameters
        .split('&')
        .filter_map(|pair| pair.split('=').next());
    if names.any(|name| !name.is_empty() && !KNOWN.contains(&name)) {
        return Err(invalid(
            "the PostgreSQL URL has a parameter that is not known",
        ));
    }
    let address = url.split('?').next().unwrap_or_default();
    if is_torn(url) || PgConnectOptions::from_str(address).is_err() {
        return Err(invalid(SHAPE));
    }
    let address = PgConnectOptions::from_str(url).map_err(|_| {
        invalid(
            "a parameter of the PostgreSQL URL says what is not known; sslmode is disable, prefer, require, \
             verify-ca or verify-full",
        )
    })?;
    Ok(address
        // A pooler refuses what it does not keep itself, and prepared statements are another's with it.
        .extra_float_digits(None)
        .statement_cache_capacity(0)
        .disable_statement_logging())
}

/// Whether a character that is not encoded has ended a password, whose rest would be shown as a part of
/// the address.
fn is_torn(url: &str) -> bool {
    let before_parameters = url.split('?').next().unwrap_or_default();
    let address = before_parameters.split_once("://").map_or("", |(_, it)| it);
    let database = address.split_once('/').map_or("", |(_, it)| it);
    url.contains('#') || database.contains(['@', '/'])
}

/// What an operator calls the database; no credential.
pub(crate) fn place(address: &PgConnectOptions) -> String {
    let host = address.get_socket().map_or_else(
        || address.get_host().to_owned(),
        |it| it.display().to_string(),
    );
    format!(
        "{host}:{}/{}",
        address.get_port(),
        address.get_database().unwrap_or(address.get_username())
    )
}

/// Connects and begins a transaction that sees one state and can write nothing.
pub(crate) async fn connect(options: &Options, address: &PgConnectOptions) -> Result<PgConnection> {
    let connecting = async {
        let mut connection = PgConnection::connect_with(address).await?;
        begin(&mut connection, options).await?;
        Ok(connection)
    };
    let connected = match tokio::time::timeout(options.connect_timeout, connecting).await {
        Ok(connected) => connected.map_err(failure::error),
        Err(_) => Err(Error::new(
            ErrorKind::Unavailable,
            OPERATION,
            "no connection to the database in time",
        )),
    };
    connected.map_err(|error| error.with_coordinate(format_args!("at {}", place(address))))
}

/// Ends the transaction and begins another, which sees what is there by now.
pub(crate) async fn begin_anew(connection: &mut PgConnection, options: &Options) -> Result<()> {
    let ended = connection.execute("ROLLBACK").await;
    ended.map_err(failure::error)?;
    let begun = begin(connection, options).await;
    begun.map_err(failure::error)
}

/// Ends the transaction and closes. Nothing was written, and an answer is complete without it; but a pooler
/// hands the server's connection on only where no transaction is open.
pub(crate) async fn part(mut connection: PgConnection) {
    let _ = connection.execute("ROLLBACK").await;
    let _ = connection.close().await;
}

/// Set for the transaction alone: a pooler between us and the server refuses startup parameters,
/// and would hand what is set for a session to others.
async fn begin(connection: &mut PgConnection, options: &Options) -> sqlx::Result<()> {
    connection
        .execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await?;
    let mut query = sqlx::QueryBuilder::<sqlx::Postgres>::new("SELECT ");
    let mut list = query.separated(", ");
    for (name, value) in [
        // Rather an error than rows that are missing.
        ("row_security", "off".to_owned()),
        // Functions and types of the owner's cannot take the place of the server's own.
        ("search_path", String::new()),
        ("statement_timeout", millis(options.statement_timeout)),
        ("lock_timeout", millis(options.lock_timeout)),
        (
            "idle_in_transaction_session_timeout",
            millis(options.statement_timeout),
        ),
    ] {
        list.push("pg_catalog.set_config(")
            .push_bind_unseparated(name);
        list.push_unseparated(", ").push_bind_unseparated(value);
        list.push_unseparated(", true)");
    }
    query.build().execute(&mut *connection).await?;
    connection.execute(SAVEPOINT).await?;
    Ok(())
}

fn millis(wait: Duration) -> String {
    wait.as_millis()
        .min(i32::MAX.unsigned_abs().into())
        .to_string()
}
