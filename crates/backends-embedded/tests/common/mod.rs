//! Databases for the tests: a SQLite file or a PostgreSQL schema, each for one test alone.
#![allow(dead_code, reason = "each test program uses its part")]

use std::sync::Arc;
use std::time::Duration;

use cloakroom_backends_embedded::{EmbeddedBackend, Pool};
use cloakroom_core::keys::{KEY_BYTES, Key};
use cloakroom_core::{
    Clock, Digest, Error, ErrorKind, Grammar, KeyRing, KeySource, Mark, PutRequest, Randomness,
    Result, Scope, SecretValue, StoreId, SystemRandomness, ValueKind, Version,
};
use cloakroom_testkit::canary::{Folder, marked};
use cloakroom_testkit::{ManualClock, SeededRandomness, SilentProxy};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, PgPool, SqlSafeStr};

/// Names the PostgreSQL server that tests may create schemas on.
pub(crate) const POSTGRES_URL: &str = "CLOAKROOM_TEST_POSTGRES_URL";

/// A database of one test's own.
pub(crate) struct Database {
    pub(crate) pool: Pool,
    place: Place,
}

enum Place {
    Folder(Folder),
    Schema {
        server: PgPool,
        url: String,
        name: String,
    },
}

impl Database {
    /// A new SQLite file with the table in it.
    pub(crate) async fn sqlite() -> Result<Self> {
        let folder = Folder::new().map_err(|error| told(&error))?;
        let pool = open_sqlite(&folder).await.map_err(|error| told(&error))?;
        EmbeddedBackend::prepare(&pool).await?;
        Ok(Self {
            pool,
            place: Place::Folder(folder),
        })
    }

    /// A new schema with the table in it.
    pub(crate) async fn postgres(url: &str) -> Result<Self> {
        let name = format!("embedded_{}", SystemRandomness.uuid().simple());
        let server = PgPoolOptions::new().max_connections(1).connect(url).await;
        let server = server.map_err(|error| told(&error))?;
        let create = AssertSqlSafe(format!("CREATE SCHEMA {name}"));
        sqlx::query(create)
            .execute(&server)
            .await
            .map_err(|error| told(&error))?;
        let pool = open_postgres(url, &name)
            .await
            .map_err(|error| told(&error))?;
        EmbeddedBackend::prepare(&pool).await?;
        Ok(Self {
            pool,
            place: Place::Schema {
                server,
                url: url.to_owned(),
                name,
            },
        })
    }

    /// Connections of another process to the same database.
    pub(crate) async fn second_pool(&self) -> Result<Pool> {
        let pool = match &self.place {
            Place::Folder(folder) => open_sqlite(folder).await,
            Place::Schema { url, name, .. } => open_postgres(url, name).await,
        };
        pool.map_err(|error| told(&error))
    }

    /// Connections to the same schema through a proxy of their own, which are given up after so long.
    pub(crate) async fn through_a_proxy(&self, longest: Duration) -> Result<(SilentProxy, Pool)> {
        let Place::Schema { url, name, .. } = &self.place else {
            panic!("a file has no connections")
        };
        let opening = async {
            let options = on_schema(url, name)?;
            let proxy = SilentProxy::before(options.get_host(), options.get_port()).await?;
            let options = options.host("127.0.0.1").port(proxy.port());
            let pool = PgPoolOptions::new().connect_with(options).await?;
            let pool = Pool::Postgres {
                pool,
                longest_silence: Some(longest),
            };
            Ok((proxy, pool))
        };
        let opened: Result<_, sqlx::Error> = opening.await;
        opened.map_err(|error| told(&error))
    }

    /// The folder of the SQLite file.
    pub(crate) fn folder(&self) -> Option<&std::path::Path> {
        match &self.place {
            Place::Folder(folder) => Some(folder.path()),
            Place::Schema { .. } => None,
        }
    }

    /// Takes a schema away; a folder goes by itself.
    pub(crate) async fn finish(&self) {
        if let Place::Schema { server, name, .. } = &self.place {
            let drop = AssertSqlSafe(format!("DROP SCHEMA {name} CASCADE"));
            // What is left behind goes with the server.
            let _ = sqlx::query(drop).execute(server).await;
        }
    }
}

async fn open_sqlite(folder: &Folder) -> Result<Pool, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(folder.path().join("cloakroom.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // Nobody pulls the plug on a test.
        .synchronous(SqliteSynchronous::Off);
    let write = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(options.clone())
        .await?;
    let read = SqlitePoolOptions::new()
        .max_connections(4)
        .connect_lazy_with(options);
    Ok(Pool::Sqlite { write, read })
}

async fn open_postgres(url: &str, schema: &str) -> Result<Pool, sqlx::Error> {
    let pool = PgPoolOptions::new()
        .max_connections(4)
        .connect_with(on_schema(url, schema)?)
        .await?;
    Ok(Pool::Postgres {
        pool,
        longest_silence: None,
    })
}

fn on_schema(url: &str, schema: &str) -> Result<PgConnectOptions, sqlx::Error> {
    let options: PgConnectOptions = url.parse()?;
    Ok(options.options([("search_path", schema)]))
}

/// The key whose every byte is `byte`.
pub(crate) fn key(byte: u8) -> Key {
    Key::derive([byte; KEY_BYTES])
}

/// A ring of such keys.
pub(crate) fn ring(bytes: &[u8]) -> Arc<dyn KeySource> {
    Arc::new(KeyRing::new(bytes.iter().copied().map(key).collect()).unwrap())
}

/// A backend called `embedded` under these keys.
pub(crate) fn backend(
    pool: &Pool,
    keys: Arc<dyn KeySource>,
    clock: &ManualClock,
) -> EmbeddedBackend {
    named("embedded", pool, keys, clock)
}

/// A backend under these keys.
pub(crate) fn named(
    name: &str,
    pool: &Pool,
    keys: Arc<dyn KeySource>,
    clock: &ManualClock,
) -> EmbeddedBackend {
    let clock: Arc<dyn Clock> = Arc::new(clock.clone());
    let random = Arc::new(SystemRandomness);
    EmbeddedBackend::new(
        name.parse().unwrap(),
        pool.clone(),
        keys,
        random,
        Some(clock),
    )
}

/// A put under a name that follows from the value.
pub(crate) fn request(value: &SecretValue) -> PutRequest {
    let random = SeededRandomness::new(value.len() as u64).stream(&format!("{:?}", value.expose()));
    let coordinate = Grammar::default().managed(
        Scope::Workspace,
        random.uuid(),
        random.uuid(),
        Version::FIRST,
    );
    PutRequest {
        mark: Mark {
            store: StoreId(SeededRandomness::new(1).uuid()),
            deployment: "tests".to_owned(),
            digest: Digest::of(&key(9), coordinate.base(), ValueKind::Text, value),
            coordinate,
            intent: None,
        },
        value: value.clone(),
        native_expiry: None,
    }
}

/// The same for text.
pub(crate) fn text(value: &str) -> PutRequest {
    request(&marked(value))
}

fn told(error: &dyn std::error::Error) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "set up a database",
        error.to_string(),
    )
}

/// Runs a statement past the backend.
pub(crate) async fn execute(pool: &Pool, statement: impl SqlSafeStr) -> Result<u64> {
    let rows = match pool {
        Pool::Sqlite { write, .. } => sqlx::query(statement)
            .execute(write)
            .await
            .map(|done| done.rows_affected()),
        Pool::Postgres { pool, .. } => sqlx::query(statement)
            .execute(pool)
            .await
            .map(|done| done.rows_affected()),
    };
    rows.map_err(|error| told(&error))
}

/// How many rows there are, whatever their state.
pub(crate) async fn rows(pool: &Pool) -> Result<i64> {
    let count = "SELECT count(*) FROM embedded_secrets";
    let rows = match pool {
        Pool::Sqlite { write, .. } => sqlx::query_scalar(count).fetch_one(write).await,
        Pool::Postgres { pool, .. } => sqlx::query_scalar(count).fetch_one(pool).await,
    };
    rows.map_err(|error| told(&error))
}

/// Every row, as text.
pub(crate) async fn dump(pool: &Pool) -> Result<Vec<String>> {
    let rows = match pool {
        Pool::Sqlite { write, .. } => {
            let columns = "SELECT group_concat('quote(' || name || ')', ' || '', '' || ') \
                           FROM pragma_table_info('embedded_secrets')";
            let columns: String = sqlx::query_scalar(columns)
                .fetch_one(write)
                .await
                .map_err(|error| told(&error))?;
            let rows = format!("SELECT {columns} FROM embedded_secrets ORDER BY 1");
            sqlx::query_scalar(AssertSqlSafe(rows))
                .fetch_all(write)
                .await
        }
        Pool::Postgres { pool, .. } => {
            let rows = "SELECT row_to_json(t)::text FROM embedded_secrets AS t ORDER BY 1";
            sqlx::query_scalar(rows).fetch_all(pool).await
        }
    };
    rows.map_err(|error| told(&error))
}
