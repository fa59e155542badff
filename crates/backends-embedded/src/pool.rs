//! The database the secrets live in: the caller's pools, never opened or closed here.

use std::fmt;
use std::time::Duration;

use cloakroom_core::{BackendId, KeyId, Result};
use sqlx::{PgPool, SqlitePool};

use crate::silence::unless_silent;
use crate::{postgres, sqlite};

/// Connections to the database that holds the sealed values, usually the store's own.
///
/// ```
/// use cloakroom_backends_embedded::Pool;
/// use sqlx::SqlitePool;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), sqlx::Error> {
/// let pool = SqlitePool::connect_lazy("sqlite://cloakroom.db")?;
/// let pool = Pool::Sqlite { write: pool.clone(), read: pool };
/// assert_eq!(pool.database(), "sqlite:cloakroom.db");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub enum Pool {
    /// SQLite: one connection that writes, and others that only read.
    Sqlite {
        /// A pool of one connection; more would wait for each other's locks.
        write: SqlitePool,
        /// Any number of connections. May be the same pool.
        read: SqlitePool,
    },
    /// PostgreSQL.
    Postgres {
        /// Any number of connections.
        pool: PgPool,
        /// After this long without a word from the server a question fails as `Unavailable`; `None` waits
        /// for ever. Longer than the server may be at a statement, or wait for a connection.
        longest_silence: Option<Duration>,
    },
}

impl Pool {
    /// Where the database is, without user or password: `sqlite:<path>` or
    /// `postgres://<host>:<port>/<database>`.
    pub fn database(&self) -> String {
        match self {
            Self::Sqlite { write, .. } => {
                format!(
                    "sqlite:{}",
                    write.connect_options().get_filename().display()
                )
            }
            Self::Postgres { pool, .. } => {
                let options = pool.connect_options();
                // Without a database's name the server takes the user's.
                let database = options
                    .get_database()
                    .unwrap_or_else(|| options.get_username());
                format!(
                    "postgres://{}:{}/{database}",
                    options.get_host(),
                    options.get_port()
                )
            }
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({})", self.database())
    }
}

/// Whether any backend's ciphertext is in the database. While there is none, a new key-encryption
/// key takes nothing away.
///
/// # Errors
/// `Invalid` where the table is not there; `Unavailable` where the database does not answer.
pub async fn has_ciphertexts(pool: &Pool) -> Result<bool> {
    match pool {
        Pool::Sqlite { read, .. } => sqlite::is_empty(read).await,
        Pool::Postgres {
            pool,
            longest_silence,
        } => unless_silent(*longest_silence, postgres::is_empty(pool)).await,
    }
    .map(|empty| !empty)
    .map_err(|failure| failure.to_error("look for ciphertexts"))
}

/// How many secrets of each backend's each key is needed for, those included that wait for their
/// deletion; also backends that nobody has configured. In order of backend and key.
///
/// # Errors
/// `Invalid` where the table is not there; `Unavailable` where the database does not answer.
pub async fn sealed_by_key(pool: &Pool) -> Result<Vec<(BackendId, KeyId, u64)>> {
    match pool {
        Pool::Sqlite { read, .. } => sqlite::sealed_by_key(read).await,
        Pool::Postgres {
            pool,
            longest_silence,
        } => unless_silent(*longest_silence, postgres::sealed_by_key(pool)).await,
    }
    .map_err(|failure| failure.to_error("count the keys in use"))
}

/// The ids of the keys that some row of any backend is sealed under, each once and in order. With a
/// ring that has none of them nothing in the database can be opened.
///
/// # Errors
/// `Invalid` where the table is not there; `Unavailable` where the database does not answer.
pub async fn needed_keys(pool: &Pool) -> Result<Vec<KeyId>> {
    let keys = match pool {
        Pool::Sqlite { read, .. } => sqlite::needed_keys(read).await,
        Pool::Postgres {
            pool,
            longest_silence,
        } => unless_silent(*longest_silence, postgres::needed_keys(pool)).await,
    };
    keys.map(|keys| keys.into_iter().collect())
        .map_err(|failure| failure.to_error("look for the keys in use"))
}
