//! What the server's answers mean, told in our own words: the driver's errors may quote rows.

use std::fmt;

use cloakroom_core::{Error, ErrorKind};

pub(crate) const OPERATION: &str = "read Airbyte's database";

/// What the server says and nothing of what it quotes.
#[derive(Debug)]
struct Code(String);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "database error {}", self.0)
    }
}

impl std::error::Error for Code {}

pub(crate) fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Invalid, OPERATION, message)
}

pub(crate) fn error(error: sqlx::Error) -> Error {
    use ErrorKind::{Invalid, Unavailable};
    let told = |kind, message: &'static str| Error::new(kind, OPERATION, message);
    match error {
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default().into_owned();
            let (kind, message) = meaning(&code);
            told(kind, message).with_source(Code(code))
        }
        sqlx::Error::Io(source) => {
            told(Unavailable, "the connection to the database failed").with_source(source)
        }
        sqlx::Error::Tls(source) => {
            told(Unavailable, "no TLS connection to the database").with_source(source)
        }
        // The cause may quote the address, password included.
        sqlx::Error::Configuration(_) => told(Invalid, "the database's address is not valid"),
        _ => told(Unavailable, "the database's answer could not be understood"),
    }
}

/// Why a table could not be read, where that leaves the others readable: `None` means that the
/// whole scan has to end.
pub(crate) fn hindrance(error: &sqlx::Error) -> Option<String> {
    let sqlx::Error::Database(error) = error else {
        return None;
    };
    let code = error.code().unwrap_or_default();
    let ends_everything = matches!(code.get(..2), Some("08" | "28" | "3D" | "53"))
        || code.starts_with("57P")
        || code == "25P03";
    (!ends_everything).then(|| format!("{} (database error {code})", meaning(&code).1))
}

/// Reads PostgreSQL's SQLSTATE codes.
fn meaning(code: &str) -> (ErrorKind, &'static str) {
    use ErrorKind::{Denied, Invalid, Unavailable};
    match code {
        "42501" => (
            Denied,
            "the database user may not read it; grant SELECT on it, or BYPASSRLS where row security \
             is in force",
        ),
        "3D000" => (Invalid, "there is no such database on the server"),
        "42P01" | "42703" => (
            Unavailable,
            "it was changed or dropped while the scan ran; run it again",
        ),
        "55P03" => (
            Unavailable,
            "somebody else holds a lock on it; run it again later",
        ),
        "57014" => (
            Unavailable,
            "reading it took longer than the statement timeout",
        ),
        "53300" => (Unavailable, "the server takes no more connections"),
        "40001" => (
            Unavailable,
            "the server ended the read because of a conflict with recovery",
        ),
        _ => match code.get(..2).unwrap_or_default() {
            "08" => (Unavailable, "the connection to the server failed"),
            "28" => (Denied, "the server refused user or password"),
            "22" | "XX" => (
                Unavailable,
                "the server could not read what is stored; it may be damaged",
            ),
            "54" | "53" => (Unavailable, "the server has no room to read it"),
            _ => (Unavailable, "the server did not answer as expected"),
        },
    }
}
