//! What the database can answer instead of rows, and what of that is told outside.

use std::borrow::Cow;
use std::fmt;

use cloakroom_core::{Error, ErrorKind, KeyId};
use sqlx::error::DatabaseError;
use sqlx::postgres::PgDatabaseError;

/// A failure that does not know yet during which operation it was met. One of these can become the
/// error of every answer of a batch.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    kind: ErrorKind,
    message: Cow<'static, str>,
    missing_key: Option<KeyId>,
    cause: Option<Cause>,
}

/// What is kept of a database's own words. The driver's error is not, since its `Debug` prints the
/// row that broke a constraint.
#[derive(Clone, Debug)]
struct Cause(String);

impl Failure {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
            missing_key: None,
            cause: None,
        }
    }

    pub(crate) fn for_want_of(self, key: &KeyId) -> Self {
        Self {
            missing_key: Some(key.clone()),
            ..self
        }
    }

    fn because(self, cause: &dyn std::error::Error) -> Self {
        Self {
            cause: Some(Cause(cause.to_string())),
            ..self
        }
    }

    /// A column does not hold what was written there.
    pub(crate) fn corrupt(column: &str) -> Self {
        Self::new(
            ErrorKind::Corrupt,
            format!(
                "column {column} of table embedded_secrets does not hold what it should; \
                 nothing was changed"
            ),
        )
    }

    pub(crate) fn to_error(&self, operation: &'static str) -> Error {
        let mut error = Error::new(self.kind, operation, self.message.clone());
        if let Some(key) = &self.missing_key {
            error = error.with_missing_key(key);
        }
        match &self.cause {
            Some(cause) => error.with_source(cause.clone()),
            None => error,
        }
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        use ErrorKind::{Corrupt, Invalid, Unavailable};
        match error {
            sqlx::Error::Database(error) => of_database(error.as_ref()),
            sqlx::Error::ColumnDecode { index, .. } => Self::corrupt(&index),
            sqlx::Error::ColumnNotFound(column) => Self::corrupt(&column),
            sqlx::Error::Io(cause) => {
                Self::new(Unavailable, "the connection to the database failed").because(&cause)
            }
            sqlx::Error::Tls(cause) => {
                Self::new(Unavailable, "no TLS connection to the database").because(&*cause)
            }
            sqlx::Error::PoolTimedOut => Self::new(
                Unavailable,
                "no connection to the database came free in time",
            ),
            sqlx::Error::PoolClosed => Self::new(Unavailable, "the database was closed"),
            sqlx::Error::Configuration(_) => {
                Self::new(Invalid, "the database's address is not valid")
            }
            sqlx::Error::Encode(_) | sqlx::Error::InvalidArgument(_) => {
                Self::new(Invalid, "a value cannot be handed to the database")
            }
            sqlx::Error::TypeNotFound { .. } | sqlx::Error::ColumnIndexOutOfBounds { .. } => {
                Self::new(
                    Corrupt,
                    "table embedded_secrets is not the one this program knows",
                )
            }
            _ => Self::new(Unavailable, "the database's answer could not be understood"),
        }
    }
}

fn of_database(error: &dyn DatabaseError) -> Failure {
    let code = error.code().unwrap_or_default().into_owned();
    let postgres = error.try_downcast_ref::<PgDatabaseError>().is_some();
    let (kind, message) = if postgres {
        of_postgres(&code)
    } else {
        of_sqlite(&code)
    };
    // PostgreSQL's data exceptions (class 22) quote the data.
    let words = if postgres && code.starts_with("22") {
        format!("database error {code}")
    } else {
        format!("database error {code}: {}", error.message())
    };
    Failure {
        kind,
        message: message.into(),
        missing_key: None,
        cause: Some(Cause(words)),
    }
}

/// Reads PostgreSQL's SQLSTATE codes.
fn of_postgres(code: &str) -> (ErrorKind, &'static str) {
    use ErrorKind::{Corrupt, Denied, Invalid, TooLarge, Unavailable};
    match code {
        "25006" => (Unavailable, "the server takes no writes now"),
        "40001" | "40P01" => (Unavailable, "other transactions were in the way"),
        "42501" => (Denied, "the database user may not do that"),
        "42P01" | "42703" | "3F000" => (
            Invalid,
            "table embedded_secrets is not there: run reconciler migrate-schema",
        ),
        "3D000" => (Invalid, "there is no such database on the server"),
        "53100" => (Unavailable, "the server's disk is full"),
        "53300" => (Unavailable, "the server takes no more connections"),
        "55P03" => (Unavailable, "somebody else holds a lock on the rows"),
        "57014" => (Unavailable, "the statement took too long"),
        "XX001" | "XX002" => (Corrupt, "the server found its data damaged"),
        _ => match code.get(..2).unwrap_or_default() {
            "08" => (Unavailable, "the connection to the server failed"),
            "22" | "23" => (Invalid, "the table does not take such a row"),
            "28" => (Denied, "the server refused user or password"),
            "40" | "53" | "55" | "57" | "58" | "XX" => (Unavailable, "the server cannot do it now"),
            "54" => (TooLarge, "a value is larger than PostgreSQL takes"),
            _ => (Invalid, "PostgreSQL refused the statement"),
        },
    }
}

/// Reads SQLite's (extended) result codes; the low byte is the primary one.
fn of_sqlite(code: &str) -> (ErrorKind, &'static str) {
    use ErrorKind::{Corrupt, Denied, Invalid, TooLarge, Unavailable};
    let code: i32 = code.parse().unwrap_or_default();
    match code & 0xff {
        1 => (
            Invalid,
            "SQLite refused the statement; the schema may be behind this program",
        ),
        3 | 23 => (Denied, "the database may not be accessed"),
        5 | 6 => (Unavailable, "the database is locked by somebody else"),
        7 => (Unavailable, "SQLite is out of memory"),
        8 => (Denied, "the database is read-only"),
        9 => (Unavailable, "the statement was interrupted"),
        10 => (
            Unavailable,
            "the database file could not be read or written",
        ),
        11 => (Corrupt, "the database file is damaged"),
        13 => (Unavailable, "the database or its disk is full"),
        14 => (Unavailable, "the database file cannot be opened"),
        18 => (TooLarge, "a value is larger than SQLite takes"),
        19 => (Invalid, "the table does not take such a row"),
        26 => (Corrupt, "the file is not a SQLite database"),
        _ => (Invalid, "SQLite refused the statement"),
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Cause {}
