//! Which database, as whom, and how long and how much to wait for.

use std::fmt;
use std::time::Duration;

use cloakroom_core::{Grammar, SecretValue};
use uuid::Uuid;

/// How to read an Airbyte database.
///
/// ```
/// use cloakroom_core::SecretValue;
/// use cloakroom_store_airbyte::Options;
///
/// let url = SecretValue::from("postgres://cloakroom:hunter2@db/db-airbyte".to_owned());
/// let mut options = Options::new(url);
/// options.leave_out = vec!["public.attempts".to_owned()];
/// assert!(!format!("{options:?}").contains("hunter2"));
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// `postgres://user:password@host:port/database`. It may hold a password, so it is never printed.
    pub url: SecretValue,
    /// The schema that Airbyte's own tables are in. Tables of every other schema are read too.
    pub schema: String,
    /// What the platform's coordinates begin with.
    pub grammar: Grammar,
    /// Tables that are not read, as `schema.table`, or `table` for one in [`schema`](Self::schema):
    /// history that would keep secrets for ever. With a partitioned table its partitions are left
    /// out. Tables that say what is in use cannot be left out.
    pub leave_out: Vec<String>,
    /// Whoever reads may keep a journal in the database itself; it is left out.
    pub journal: Option<Journal>,
    /// The platform's id of the storage that is meant, as `secret_storage` has it; nil is its default
    /// one, which needs no row. One that the database does not know makes the scan incomplete.
    pub storage: Uuid,
    /// The largest value that is read, in bytes of its text. A larger one makes the scan
    /// incomplete. A row is read whole: at worst memory is all its values of this size, twice, and a few
    /// times this for the one that is looked through.
    pub max_value: u32,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// The server gives up reading one table after this long, the time that the scan waits for its
    /// sink included.
    pub statement_timeout: Duration,
    /// How long to wait for a table that somebody else has locked.
    pub lock_timeout: Duration,
}

/// Tables in the database that list names and use none, as a journal of what was seen does. They are known by
/// the number of a table that stands with them in their schema, which no copy and no namesake of it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal {
    /// The server's own identifier; where it does not tell that, they are read like all others.
    pub cluster: String,
    /// The number of the database.
    pub database: String,
    /// The number of the table.
    pub table: String,
    /// Their names, without the schema.
    pub tables: Vec<String>,
}

impl Options {
    /// Options that suit most: Airbyte's own prefix and schema, everything read.
    pub fn new(url: SecretValue) -> Self {
        Self {
            url,
            schema: "public".to_owned(),
            grammar: Grammar::default(),
            leave_out: Vec::new(),
            journal: None,
            storage: Uuid::nil(),
            max_value: 32 * 1024 * 1024,
            connect_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_mins(30),
            lock_timeout: Duration::from_secs(5),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("schema", &self.schema)
            .field("grammar", &self.grammar)
            .field("leave_out", &self.leave_out)
            .field("journal", &self.journal)
            .field("storage", &self.storage)
            .field("max_value", &self.max_value)
            .field("connect_timeout", &self.connect_timeout)
            .field("statement_timeout", &self.statement_timeout)
            .field("lock_timeout", &self.lock_timeout)
            .finish_non_exhaustive()
    }
}
