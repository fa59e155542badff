//! What can go wrong inside a transaction, and what of it is told outside.

use std::fmt;

use cloakroom_core::{Error, ErrorKind};

/// A failure on its way to becoming an [`Error`].
pub(crate) enum Failure {
    /// The database or the driver said no.
    Database(sqlx::Error),
    /// Already told in our own words.
    Told(Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Told(error)
    }
}

/// What a database's error code means.
pub(crate) struct Meaning {
    /// The kind of answer.
    pub(crate) kind: ErrorKind,
    /// What happened and what to do.
    pub(crate) message: &'static str,
}

/// Shorthand for the tables of codes.
pub(crate) const fn means(kind: ErrorKind, message: &'static str) -> Meaning {
    Meaning { kind, message }
}

/// What is kept of a database's own words. The driver's error is not, since its `Debug` prints the
/// row that broke a constraint.
#[derive(Debug)]
struct Cause {
    code: String,
    message: Option<String>,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "database error {}", self.code)?;
        self.message
            .iter()
            .try_for_each(|message| write!(f, ": {message}"))
    }
}

impl std::error::Error for Cause {}

impl Failure {
    /// The error to hand out. `meaning_of` reads the database's codes.
    pub(crate) fn into_error(
        self,
        operation: &'static str,
        meaning_of: fn(&str) -> Meaning,
    ) -> Error {
        match self {
            Self::Told(error) => error,
            Self::Database(sqlx::Error::Database(error)) => {
                let code = error.code().unwrap_or_default().into_owned();
                let meaning = meaning_of(&code);
                // Messages of PostgreSQL's class 22 (data exceptions) quote the data.
                let quotes_data = code.len() == 5 && code.starts_with("22");
                let message = (!quotes_data).then(|| error.message().to_owned());
                Error::new(meaning.kind, operation, meaning.message)
                    .with_source(Cause { code, message })
            }
            Self::Database(error) => from_driver(operation, error),
        }
    }
}

fn from_driver(operation: &'static str, error: sqlx::Error) -> Error {
    use ErrorKind::{Corrupt, Invalid, Unavailable};
    let told = |kind, message: &'static str| Error::new(kind, operation, message);
    match error {
        sqlx::Error::Io(source) => {
            told(Unavailable, "the connection to the database failed").with_source(source)
        }
        sqlx::Error::Tls(source) => {
            told(Unavailable, "no TLS connection to the database").with_source(source)
        }
        sqlx::Error::PoolTimedOut => told(
            Unavailable,
            "no connection to the database came free in time",
        ),
        sqlx::Error::PoolClosed => told(Unavailable, "the store was closed"),
        sqlx::Error::ColumnDecode { index, .. } => Error::new(
            Corrupt,
            operation,
            format!("column {index} does not hold what it should"),
        ),
        sqlx::Error::ColumnNotFound(column) => Error::new(
            Invalid,
            operation,
            format!("the schema has no column {column}"),
        ),
        sqlx::Error::TypeNotFound { .. } | sqlx::Error::ColumnIndexOutOfBounds { .. } => {
            told(Invalid, "the schema is not the one this program knows")
        }
        // What could not be configured or encoded may be quoted by the cause.
        sqlx::Error::Configuration(_) => told(Invalid, "the database's address is not valid"),
        sqlx::Error::Encode(_) | sqlx::Error::InvalidArgument(_) => {
            told(Invalid, "a value cannot be handed to the database")
        }
        _ => told(Unavailable, "the database's answer could not be understood"),
    }
}

impl Failure {
    /// What is wrong with one row, where that is all that is wrong.
    pub(crate) fn of_one_row(self) -> Result<Error, Self> {
        match self {
            Self::Told(error) if error.kind() == ErrorKind::Corrupt => Ok(error),
            other => Err(other),
        }
    }
}

/// An error about what a row holds.
pub(crate) fn corrupt(table: &str, column: &str, row: &str) -> Failure {
    Failure::Told(
        Error::new(
            ErrorKind::Corrupt,
            "read the store",
            format!(
                "column {column} of table {table} does not hold what it should; write into it what a \
                 backup of the database has there"
            ),
        )
        .with_coordinate(row),
    )
}

/// An error about a write that met another number of rows than it should.
pub(crate) fn miscounted(table: &str, row: impl fmt::Display, expected: u64, met: u64) -> Failure {
    Failure::Told(
        Error::new(
            ErrorKind::Corrupt,
            "write the store",
            format!("{met} rows of table {table} were written instead of {expected}"),
        )
        .with_coordinate(row),
    )
}

/// Text for people, without the one character PostgreSQL cannot hold.
pub(crate) fn printable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
