//! The store as the rest of the program holds it.

use std::time::Duration;

use cloakroom_core::store::{Home, ReceiptPage, RunRecord};
use cloakroom_core::{Error, ErrorKind, Result, RunId, SecretValue, Timestamp};

use crate::audit::AuditPage;
use crate::migrations::MigrationReport;
use crate::options::{Location, Options};
use crate::{Audit, postgres, sqlite};

/// Documents, ledger, references, journal and receipts in a database. Cloning is cheap; clones
/// share their connections.
#[derive(Clone)]
pub struct DbStore {
    pub(crate) kind: Kind,
    /// Where a SQLite file was when it was opened: its connections go on with it when it is removed.
    opened: Option<Home>,
    /// Whether a SQLite file was none of this program's by then.
    opened_to_look: bool,
}

#[derive(Clone)]
pub(crate) enum Kind {
    Sqlite(sqlite::shared::Store),
    Postgres(postgres::shared::Store),
}

/// The connections of a store, for what lives in the same database.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Pool {
    /// SQLite: one connection that writes, and some that only read.
    Sqlite {
        /// Begin with `BEGIN IMMEDIATE`; everybody who writes waits here.
        write: sqlx::SqlitePool,
        /// These refuse to write.
        read: sqlx::SqlitePool,
    },
    /// PostgreSQL.
    Postgres(sqlx::PgPool),
}

/// Calls the same method of whichever store it is; a server that has gone silent is given up.
macro_rules! of_either {
    ($store:expr, $inner:ident => $call:expr) => {
        match &$store.kind {
            $crate::store::Kind::Sqlite($inner) => $call,
            $crate::store::Kind::Postgres($inner) => {
                // On the heap, where it makes no caller's future larger.
                let call = Box::pin(async { $call });
                $inner.unless_silent(stringify!($call), call).await
            }
        }
    };
}
pub(crate) use of_either;

const OPEN: &str = "open the store";
const CHECK: &str = "check the store";

impl DbStore {
    /// Opens a store whose schema is this program's; `Invalid` where migrations are missing, were
    /// changed after they were applied, or are newer than this program.
    pub async fn open(options: &Options) -> Result<Self> {
        let store = Self::connect(OPEN, options, sqlite::connect::Absent::Refuse).await?;
        store.looked_around(options).await
    }

    /// This store, if it can be worked with.
    async fn looked_around(mut self, options: &Options) -> Result<Self> {
        let mut looked = self.look_around().await;
        if looked.is_ok() && self.opened_to_look {
            // Another process made it between the two looks.
            self.close().await;
            self = Self::connect(OPEN, options, sqlite::connect::Absent::Refuse).await?;
            looked = self.look_around().await;
        }
        match looked {
            Ok(opened) => {
                self.opened = opened;
                Ok(self)
            }
            Err(error) => {
                self.close().await;
                Err(error)
            }
        }
    }

    /// Looks at the schema, and tells where a SQLite file is.
    async fn look_around(&self) -> Result<Option<Home>> {
        if let Kind::Sqlite(store) = &self.kind {
            sqlite::connect::refuse_somebody_elses(OPEN, store).await?;
        }
        of_either!(self, inner => inner.check(OPEN).await)?;
        match &self.kind {
            Kind::Sqlite(store) => sqlite::connect::home(OPEN, store).await.map(Some),
            Kind::Postgres(_) => Ok(None),
        }
    }

    /// Applies the migrations that are missing and makes the store's identity, once. Any number of
    /// processes may do this at once.
    pub async fn migrate(options: &Options) -> Result<MigrationReport> {
        let store = Self::connect(
            "migrate the store",
            options,
            sqlite::connect::Absent::Create,
        )
        .await?;
        let report = match &store.kind {
            Kind::Sqlite(inner) => inner.migrate().await,
            Kind::Postgres(inner) => inner.migrate().await,
        };
        store.close().await;
        report
    }

    /// The migrations that [`DbStore::migrate`] would apply, as `<version> <description>`. A SQLite
    /// file that is not there is not made.
    pub async fn pending(options: &Options) -> Result<Vec<String>> {
        const OPERATION: &str = "compare the schema";
        let absent = match &options.location {
            Location::Sqlite(path) if !path.exists() => {
                let known = crate::migrations::migrator(sqlite::dialect::MIGRATIONS);
                return crate::migrations::pending(OPERATION, &known, &[]);
            }
            _ => sqlite::connect::Absent::Refuse,
        };
        let store = Self::connect(OPERATION, options, absent).await?;
        let pending = of_either!(store, inner => inner.pending(OPERATION).await);
        store.close().await;
        pending
    }

    async fn connect(
        operation: &'static str,
        options: &Options,
        absent: sqlite::connect::Absent,
    ) -> Result<Self> {
        let mut opened_to_look = false;
        let kind = match &options.location {
            Location::Sqlite(path) => {
                let opened = sqlite::connect::connect(operation, options, path, absent).await?;
                opened_to_look = opened.1;
                Kind::Sqlite(opened.0)
            }
            Location::Postgres(url) => {
                Kind::Postgres(postgres::connect::connect(operation, options, url).await?)
            }
        };
        Ok(Self {
            kind,
            opened: None,
            opened_to_look,
        })
    }

    /// Whether this process can write: `Denied` for a SQLite file that it may only read, `Unavailable`
    /// for a server that takes no writes now. Changes nothing.
    pub async fn ensure_writable(&self) -> Result<()> {
        const OPERATION: &str = "write to the store";
        of_either!(self, inner => inner.ensure_writable(OPERATION).await)
    }

    /// The connections, for what lives in the same database.
    pub fn pool(&self) -> Pool {
        match &self.kind {
            Kind::Sqlite(store) => Pool::Sqlite {
                write: store.write.clone(),
                read: store.read.clone(),
            },
            Kind::Postgres(store) => Pool::Postgres(store.write.clone()),
        }
    }

    /// After this long without a word from PostgreSQL an operation is given up; what else lives in the
    /// database waits no longer. `None` with SQLite, which no network is between.
    pub fn longest_silence(&self) -> Option<Duration> {
        match &self.kind {
            Kind::Sqlite(store) => store.longest_silence,
            Kind::Postgres(store) => store.longest_silence,
        }
    }

    /// New connections to PostgreSQL use this URL, so that a rotated password needs no restart;
    /// connections that stand are left alone. `Conflict` where it names another server, database or
    /// search path than the one that is open, `Invalid` where it is no PostgreSQL URL, `Unsupported` for
    /// SQLite; each leaves the last URL in force.
    pub fn redirect(&self, url: &SecretValue) -> Result<()> {
        const OPERATION: &str = "take the new database URL";
        match &self.kind {
            Kind::Postgres(store) => postgres::connect::redirect(OPERATION, &store.write, url),
            Kind::Sqlite(_) => Err(Error::new(
                ErrorKind::Unsupported,
                OPERATION,
                "a SQLite store has no URL",
            )),
        }
    }

    /// Whether the database answers and its schema is this program's, and whether a SQLite file is the one
    /// that was opened: `Unavailable` where it was removed, or another one is in its place.
    pub async fn check(&self) -> Result<()> {
        of_either!(self, inner => inner.check(CHECK).await)?;
        self.check_place().await
    }

    /// Whether a SQLite file is the one that was opened: `Unavailable` where it was removed, or another one
    /// is in its place. What is open answers all the same.
    pub async fn check_place(&self) -> Result<()> {
        match (&self.kind, &self.opened) {
            (Kind::Sqlite(store), Some(opened))
                if sqlite::connect::home(CHECK, store).await? != *opened =>
            {
                let message = "another file is in the place of the one that this process has open; \
                               start it anew";
                Err(Error::new(ErrorKind::Unavailable, CHECK, message))
            }
            _ => Ok(()),
        }
    }

    /// Closes every connection, after the transactions that are under way; those with PostgreSQL are
    /// waited for a few seconds, since one may have gone silent.
    pub async fn close(&self) {
        match &self.kind {
            Kind::Sqlite(inner) => inner.close().await,
            Kind::Postgres(inner) => inner.close().await,
        }
    }

    /// When the store was made, by its own clock.
    pub async fn made(&self) -> Result<Timestamp> {
        of_either!(self, inner => inner.made().await)
    }

    /// A run by its id; `None` where there never was one.
    pub async fn run(&self, run: RunId) -> Result<Option<RunRecord>> {
        of_either!(self, inner => inner.run(run).await)
    }

    /// Receipts behind `after`, in the order they were written, at most `limit`.
    pub async fn receipts(&self, after: i64, limit: u32) -> Result<ReceiptPage> {
        of_either!(self, inner => inner.receipts(after, limit).await)
    }

    pub(crate) async fn audit_page(&self, after: i64, limit: u32) -> Result<AuditPage> {
        of_either!(self, inner => inner.audit_page(after, limit).await)
    }

    /// Follows the chain of receipts from its start to its end and gives back its length;
    /// `Corrupt` where one was changed, removed or cut off.
    pub async fn verify_receipts(&self) -> Result<u64> {
        match self.audit_receipts(None).await? {
            Audit {
                broken: None,
                whole,
                ..
            } => Ok(whole),
            Audit {
                broken: Some(broken),
                ..
            } => Err(
                Error::new(ErrorKind::Corrupt, "verify receipts", broken.message())
                    .with_coordinate(format_args!("receipt {}", broken.seq)),
            ),
        }
    }
}

impl std::fmt::Debug for DbStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.kind {
            Kind::Sqlite(_) => "DbStore(SQLite)",
            Kind::Postgres(_) => "DbStore(PostgreSQL)",
        })
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{ConnectOptions as _, Connection as _};

    use super::*;

    /// Of two first starts the one that finds a file without tables, and then all of them, works with it.
    #[tokio::test]
    async fn what_another_process_makes_meanwhile_can_be_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cloakroom.db");
        let options = Options::new(Location::Sqlite(path.clone()), "tests");
        // Its log holds something while nobody's table is there.
        let mut other = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal)
            .connect()
            .await
            .unwrap();
        for statement in ["CREATE TABLE passing (n)", "DROP TABLE passing"] {
            sqlx::query(statement).execute(&mut other).await.unwrap();
        }
        let early = DbStore::connect(OPEN, &options, sqlite::connect::Absent::Refuse);
        let early = early.await.unwrap();
        DbStore::migrate(&options).await.unwrap();
        let store = early.looked_around(&options).await.unwrap();
        store.ensure_writable().await.unwrap();
        let backend = "vault".parse().unwrap();
        let noted = match &store.kind {
            Kind::Sqlite(store) => store.note_manager(&backend, "there").await.unwrap(),
            Kind::Postgres(_) => unreachable!(),
        };
        assert_eq!(noted, "there");
        store.close().await;
        other.close().await.unwrap();
    }
}
