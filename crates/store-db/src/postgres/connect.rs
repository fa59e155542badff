//! Connecting to PostgreSQL with bounded waits.

use std::str::FromStr as _;
use std::time::Duration;

use cloakroom_core::{Error, ErrorKind, Result, SecretValue};
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use super::shared::Store;
use super::silence::Doubt;
use super::{dialect, silence};
use crate::failure::Failure;
use crate::options::Options;

/// What a URL may say behind its `?`. The driver would log an unknown parameter with its value,
/// which may be a misspelt password.
const PARAMETERS: [&str; 19] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
    "options[search_path]",
];

/// Connects at once, so that a wrong address or password shows at the start.
pub(crate) async fn connect(
    operation: &'static str,
    options: &Options,
    url: &SecretValue,
) -> Result<Store> {
    let settings = settings(options);
    let address = address(operation, url)?;
    probe(operation, options, &address).await?;
    let ping = silence::longest_ping(options);
    let doubt = Doubt::default();
    let released = doubt.clone();
    let pool = PgPoolOptions::new()
        .max_connections(options.max_connections.max(1))
        .acquire_timeout(options.acquire_timeout)
        // The driver's own look at a connection waits without end.
        .test_before_acquire(false)
        .before_acquire(move |conn, meta| {
            let doubt = doubt.clone();
            Box::pin(async move { doubt.ping(conn, meta.idle_for, ping).await })
        })
        .after_release(move |conn, _| {
            let doubt = released.clone();
            Box::pin(async move { doubt.is_sound(conn, ping).await })
        })
        .after_connect(move |conn, _| {
            let settings = settings.clone();
            Box::pin(async move {
                // Set by statement: poolers between us and the server refuse startup parameters.
                let mut query = sqlx::QueryBuilder::<sqlx::Postgres>::new("SELECT ");
                let mut list = query.separated(", ");
                for (name, value) in settings {
                    list.push("set_config(").push_bind_unseparated(name);
                    list.push_unseparated(", ").push_bind_unseparated(value);
                    list.push_unseparated(", false)");
                }
                // An intent that a crash of the server forgets would leave a secret without a row.
                list.push(
                    "set_config('synchronous_commit', \
                     CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' \
                     ELSE current_setting('synchronous_commit') END, false)",
                );
                query.build().execute(&mut *conn).await?;
                Ok(())
            })
        })
        .connect_with(address)
        .await
        .map_err(|error| Failure::from(error).into_error(operation, dialect::meaning_of))?;
    let mut store = Store::new(options, pool.clone(), pool);
    store.longest_silence = Some(silence::longest(options));
    Ok(store)
}

/// From now on new connections go to this URL; those that stand are left alone. One that names another
/// database would leave some connections here and some there.
pub(crate) fn redirect(
    operation: &'static str,
    pool: &sqlx::PgPool,
    url: &SecretValue,
) -> Result<()> {
    let address = address(operation, url)?;
    if names_another_database(&pool.connect_options(), &address) {
        let message = "the URL names another server, database or search path than the one that is open; \
                       only a restart goes there";
        return Err(Error::new(ErrorKind::Conflict, operation, message));
    }
    pool.set_connect_options(address);
    Ok(())
}

fn names_another_database(one: &PgConnectOptions, other: &PgConnectOptions) -> bool {
    let database = |of: &PgConnectOptions| {
        let named = of.get_database().unwrap_or(of.get_username());
        (
            place(of),
            named.to_owned(),
            of.get_options().map(str::to_owned),
        )
    };
    database(one) != database(other)
}

/// One connection outside the pool: a pool tries until its time is over and then only knows that
/// it is.
async fn probe(
    operation: &'static str,
    options: &Options,
    address: &PgConnectOptions,
) -> Result<()> {
    let asking = async {
        let mut connection = sqlx::PgConnection::connect_with(address).await?;
        dialect::ensure_encoding(&mut connection, operation).await?;
        Ok(connection.close().await?)
    };
    let asked = match tokio::time::timeout(options.acquire_timeout, asking).await {
        Ok(asked) => asked,
        Err(_) => Err(sqlx::Error::PoolTimedOut.into()),
    };
    asked.map_err(|failure: Failure| {
        failure
            .into_error(operation, dialect::meaning_of)
            .with_coordinate(place(address))
    })
}

/// Host or socket, and port. What follows may be part of a password with a `/` that was not encoded.
fn place(address: &PgConnectOptions) -> String {
    let host = address.get_socket().map_or_else(
        || address.get_host().to_owned(),
        |socket| socket.display().to_string(),
    );
    format!("{host}:{}", address.get_port())
}

fn address(operation: &'static str, url: &SecretValue) -> Result<PgConnectOptions> {
    let invalid = |message: &'static str| Error::new(ErrorKind::Invalid, operation, message);
    let text = url
        .expose_text()
        .ok_or_else(|| invalid("the PostgreSQL URL is not text"))?;
    // The driver takes any scheme for its own.
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    match scheme {
        Some("postgres" | "postgresql") => {}
        Some("mysql" | "mariadb") => {
            return Err(invalid(
                "Cloakroom's own database is SQLite or PostgreSQL, and this URL is MySQL's; only a \
                 platform's database, under `platforms`, may be that",
            ));
        }
        _ => return Err(invalid(NO_URL)),
    }
    let parameters = text
        .split_once('?')
        .map_or("", |(_, parameters)| parameters);
    let names = parameters
        .split('&')
        .filter_map(|pair| pair.split('=').next());
    for name in names.filter(|name| !name.is_empty()) {
        let name = name.replace("%5B", "[").replace("%5D", "]");
        if !PARAMETERS.contains(&name.as_str()) {
            return Err(invalid(
                "the PostgreSQL URL has a parameter that is not known",
            ));
        }
    }
    PgConnectOptions::from_str(text).map_err(|_| invalid(NO_URL))
}

const NO_URL: &str = "the PostgreSQL URL is not postgres://user:password@host:port/database";

fn settings(options: &Options) -> [(&'static str, String); 3] {
    let millis = |wait: Duration| {
        wait.as_millis()
            .min(i32::MAX.unsigned_abs().into())
            .to_string()
    };
    [
        ("statement_timeout", millis(options.statement_timeout)),
        ("lock_timeout", millis(options.lock_timeout)),
        (
            "idle_in_transaction_session_timeout",
            millis(options.idle_in_transaction_timeout),
        ),
    ]
}
