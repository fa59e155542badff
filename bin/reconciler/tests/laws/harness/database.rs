//! A database of its own for each world: a SQLite file in a temporary folder, or a PostgreSQL
//! database that is dropped again.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use cloakroom_backends_embedded as embedded;
use cloakroom_core::SecretValue;
use cloakroom_store_db::{DbStore, Location, Pool};
use cloakroom_testkit::canary::Folder;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Row as _};

/// Where the tests' PostgreSQL is, if there is one. Its user may create databases.
pub(crate) const POSTGRES_URL: &str = "CLOAKROOM_TEST_POSTGRES_URL";

/// Which database a law runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

/// One database, gone when the world is.
pub(crate) enum Database {
    Sqlite(Folder),
    Postgres { admin: String, name: String },
}

/// The file of a SQLite database.
const FILE: &str = "cloakroom.db";

static MADE: AtomicU64 = AtomicU64::new(0);

impl Database {
    pub(crate) async fn create(kind: Kind) -> Self {
        match kind {
            Kind::Sqlite => Self::Sqlite(Folder::new().unwrap()),
            Kind::Postgres => {
                let admin = std::env::var(POSTGRES_URL).unwrap();
                let number = MADE.fetch_add(1, Ordering::Relaxed);
                let name = format!("cloakroom_laws_{}_{number}", std::process::id());
                run_as_admin(
                    &admin,
                    format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
                )
                .await;
                run_as_admin(&admin, format!("CREATE DATABASE {name}")).await;
                Self::Postgres { admin, name }
            }
        }
    }

    /// A copy of it as it is now, made by the database's own means.
    pub(crate) async fn copy(&self, store: &DbStore) -> Self {
        match self {
            Self::Sqlite(_) => {
                let folder = Folder::new().unwrap();
                let path = folder.path().join(FILE);
                behind_the_back(store, &format!("VACUUM INTO '{}'", path.display())).await;
                Self::Sqlite(folder)
            }
            Self::Postgres { admin, name } => {
                let number = MADE.fetch_add(1, Ordering::Relaxed);
                let copy = format!("cloakroom_laws_{}_{number}", std::process::id());
                // Nobody may be connected to what is copied; whoever was connects again.
                for statement in [
                    format!("DROP DATABASE IF EXISTS {copy} WITH (FORCE)"),
                    format!(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                         WHERE datname = '{name}'"
                    ),
                    format!("CREATE DATABASE {copy} TEMPLATE {name}"),
                ] {
                    run_as_admin(admin, statement).await;
                }
                let admin = admin.clone();
                Self::Postgres { admin, name: copy }
            }
        }
    }

    pub(crate) fn location(&self) -> Location {
        match self {
            Self::Sqlite(folder) => Location::Sqlite(folder.path().join(FILE)),
            Self::Postgres { admin, name } => {
                // The path of the URL is the database's name; parameters follow it.
                let (rest, parameters) = admin.split_once('?').unwrap_or((admin, ""));
                let authority = rest.find("://").map_or(0, |at| at + 3);
                let end = rest[authority..]
                    .find('/')
                    .map_or(rest.len(), |at| authority + at);
                let mut url = format!("{}/{name}", &rest[..end]);
                if !parameters.is_empty() {
                    url.push('?');
                    url.push_str(parameters);
                }
                Location::Postgres(SecretValue::from(url))
            }
        }
    }

    /// Its file, where it is one.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        match self {
            Self::Sqlite(folder) => Some(folder.path().join(FILE)),
            Self::Postgres { .. } => None,
        }
    }

    /// The files of the database, where it is one of ours to read.
    pub(crate) fn files(&self) -> Vec<Vec<u8>> {
        let Self::Sqlite(folder) = self else {
            return Vec::new();
        };
        std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
            .collect()
    }

    pub(crate) async fn drop(self) {
        if let Self::Postgres { admin, name } = self {
            run_as_admin(
                &admin,
                format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
            )
            .await;
        }
    }
}

async fn run_as_admin(url: &str, statement: String) {
    let mut admin = sqlx::PgConnection::connect(url).await.unwrap();
    admin.execute(AssertSqlSafe(statement)).await.unwrap();
    admin.close().await.unwrap();
}

/// The store's connections as the embedded backend takes them.
pub(crate) fn pool_of(store: &DbStore) -> embedded::Pool {
    match store.pool() {
        Pool::Sqlite { write, read } => embedded::Pool::Sqlite { write, read },
        Pool::Postgres(pool) => embedded::Pool::Postgres {
            pool,
            longest_silence: store.longest_silence(),
        },
        _ => panic!("a kind of pool these laws do not know"),
    }
}

/// Statements behind the store's back: damage, and what a restore leaves.
pub(crate) async fn behind_the_back(store: &DbStore, statements: &str) {
    let statements = AssertSqlSafe(statements.to_owned());
    match store.pool() {
        Pool::Sqlite { write, .. } => {
            sqlx::raw_sql(statements).execute(&write).await.unwrap();
        }
        Pool::Postgres(pool) => {
            sqlx::raw_sql(statements).execute(&pool).await.unwrap();
        }
        _ => panic!("a kind of pool these laws do not know"),
    }
}

/// Waits for what a dropped future had already sent: a COMMIT under way may still be carried out.
pub(crate) async fn settle(store: &DbStore) {
    match store.pool() {
        // Whoever gets the one connection that writes comes after everything sent before.
        Pool::Sqlite { write, .. } => drop(write.acquire().await.unwrap()),
        Pool::Postgres(pool) => loop {
            let busy: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                 AND pid <> pg_backend_pid() AND state <> 'idle' AND backend_type = 'client backend'",
            )
            .fetch_one(&pool)
            .await
            .unwrap();
            if busy == 0 {
                return;
            }
        },
        _ => panic!("a kind of pool these laws do not know"),
    }
}

/// Takes the triggers away that keep ledger rows from being deleted.
pub(crate) async fn allow_deleting_rows(store: &DbStore) {
    let statement = match store.pool() {
        Pool::Sqlite { .. } => "DROP TRIGGER IF EXISTS secrets_stay",
        _ => "DROP TRIGGER IF EXISTS secrets_stay ON secrets",
    };
    behind_the_back(store, statement).await;
}

/// Every row of every table, as text: what a dry run must leave as it is, and where no value may
/// be found.
pub(crate) async fn dump(store: &DbStore) -> Vec<String> {
    let mut lines = Vec::new();
    match store.pool() {
        Pool::Sqlite { write, .. } => {
            let tables: Vec<String> = sqlx::query_scalar(
                "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name",
            )
            .fetch_all(&write)
            .await
            .unwrap();
            for table in tables {
                let columns = format!("SELECT name FROM pragma_table_info('{table}')");
                let columns: Vec<String> = sqlx::query_scalar(AssertSqlSafe(columns))
                    .fetch_all(&write)
                    .await
                    .unwrap();
                let quoted: Vec<String> = columns
                    .iter()
                    .map(|column| format!("quote(\"{column}\")"))
                    .collect();
                let rows = format!("SELECT {} FROM {table}", quoted.join(" || ', ' || "));
                lines.extend(rows_of(
                    &table,
                    sqlx::query_scalar(AssertSqlSafe(rows))
                        .fetch_all(&write)
                        .await,
                ));
            }
        }
        Pool::Postgres(pool) => {
            let tables: Vec<String> = sqlx::query(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename",
            )
            .fetch_all(&pool)
            .await
            .unwrap()
            .iter()
            .map(|row| row.get(0))
            .collect();
            for table in tables {
                let rows = format!("SELECT row_to_json(t)::text FROM {table} AS t");
                lines.extend(rows_of(
                    &table,
                    sqlx::query_scalar(AssertSqlSafe(rows))
                        .fetch_all(&pool)
                        .await,
                ));
            }
        }
        _ => panic!("a kind of pool these laws do not know"),
    }
    lines
}

fn rows_of(table: &str, rows: sqlx::Result<Vec<String>>) -> Vec<String> {
    let mut rows: Vec<String> = rows
        .unwrap()
        .into_iter()
        .map(|row| format!("{table}: {row}"))
        .collect();
    rows.sort();
    rows
}

/// What a backup of the store holds, children last. The embedded secrets are the manager's.
const BACKED_UP: [&str; 11] = [
    "store_identity",
    "backend_epochs",
    "backend_managers",
    "specs",
    "documents",
    "secrets",
    "secret_references",
    "runs",
    "findings",
    "receipts",
    "receipt_head",
];

/// Takes a backup of the store under a name, in place of one it had.
pub(crate) async fn save(store: &DbStore, name: &str) {
    let copies = BACKED_UP.map(|table| {
        format!(
            "DROP TABLE IF EXISTS {name}_{table}; \
             CREATE TABLE {name}_{table} AS SELECT * FROM {table};"
        )
    });
    behind_the_back(store, &copies.join(" ")).await;
}

/// Restores a backup; the manager keeps what it has.
pub(crate) async fn bring_back(store: &DbStore, name: &str) {
    let in_the_way = [
        ("secrets_stay", "secrets"),
        ("receipts_stay", "receipts"),
        ("receipts_stand", "receipts"),
    ];
    let triggers = in_the_way.map(|(trigger, table)| match store.pool() {
        Pool::Sqlite { .. } => format!("DROP TRIGGER IF EXISTS {trigger};"),
        _ => format!("DROP TRIGGER IF EXISTS {trigger} ON {table};"),
    });
    let mut emptied = BACKED_UP.map(|table| format!("DELETE FROM {table};"));
    emptied.reverse();
    let filled =
        BACKED_UP.map(|table| format!("INSERT INTO {table} SELECT * FROM {name}_{table};"));
    let statements = [triggers.join(" "), emptied.join(" "), filled.join(" ")];
    behind_the_back(store, &statements.join(" ")).await;
}
