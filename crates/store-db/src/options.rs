//! Where the database is and how long to wait for it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::{Clock, Randomness, SecretValue, SystemRandomness};

/// Where the database is.
#[derive(Clone, Debug)]
pub enum Location {
    /// A SQLite file, used by one reconciling process and any number of command lines.
    Sqlite(PathBuf),
    /// A PostgreSQL URL. It may hold a password, so it is never printed.
    Postgres(SecretValue),
}

/// The store's clock: expiries, leases and graces are measured by it.
#[derive(Clone)]
pub enum StoreClock {
    /// The database's own: the server's for PostgreSQL, this machine's for SQLite.
    Database,
    /// A given one, for tests and simulations.
    Given(Arc<dyn Clock>),
}

impl fmt::Debug for StoreClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Database => "Database",
            Self::Given(_) => "Given(..)",
        })
    }
}

/// What a commit waits for in SQLite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Until the disk has it: what was acknowledged survives a loss of power.
    #[default]
    Full,
    /// Until the file system has it: a crash of the process loses nothing, a loss of power may
    /// take the last commits back. For samples, benchmarks and tests.
    Relaxed,
}

/// How to open a store.
///
/// ```
/// use std::time::Duration;
/// use cloakroom_core::SecretValue;
/// use cloakroom_store_db::{Location, Options};
///
/// let url = SecretValue::from("postgres://cloakroom:hunter2@db/cloakroom".to_owned());
/// let mut options = Options::new(Location::Postgres(url), "production");
/// options.lock_timeout = Duration::from_secs(2);
/// assert!(!format!("{options:?}").contains("hunter2"));
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// Where the database is.
    pub location: Location,
    /// The deployment's name in the configuration; every mark names it.
    pub deployment: String,
    /// The store's clock.
    pub clock: StoreClock,
    /// Where the id of a new store comes from.
    pub randomness: Arc<dyn Randomness>,
    /// What a commit waits for in SQLite. PostgreSQL's own setting stands.
    pub durability: Durability,
    /// Connections at most. SQLite always writes through one; the others read.
    pub max_connections: u32,
    /// How long to wait for a free or a new connection.
    pub acquire_timeout: Duration,
    /// PostgreSQL gives up a statement after this long. An operation that hears nothing from the server for
    /// this and `acquire_timeout` together is given up as `Unavailable`.
    pub statement_timeout: Duration,
    /// How long to wait for a row or a database that somebody else has locked.
    pub lock_timeout: Duration,
    /// PostgreSQL ends a transaction whose client has been silent this long.
    pub idle_in_transaction_timeout: Duration,
}

impl Options {
    /// Options that suit most: the database's clock, ten connections, waits of a few seconds.
    pub fn new(location: Location, deployment: impl Into<String>) -> Self {
        Self {
            location,
            deployment: deployment.into(),
            clock: StoreClock::Database,
            randomness: Arc::new(SystemRandomness),
            durability: Durability::Full,
            max_connections: 10,
            acquire_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(5),
            idle_in_transaction_timeout: Duration::from_mins(1),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("location", &self.location)
            .field("deployment", &self.deployment)
            .field("clock", &self.clock)
            .field("durability", &self.durability)
            .field("max_connections", &self.max_connections)
            .field("acquire_timeout", &self.acquire_timeout)
            .field("statement_timeout", &self.statement_timeout)
            .field("lock_timeout", &self.lock_timeout)
            .field(
                "idle_in_transaction_timeout",
                &self.idle_in_transaction_timeout,
            )
            .finish_non_exhaustive()
    }
}
