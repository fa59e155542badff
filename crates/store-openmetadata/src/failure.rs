//! What the servers' answers mean, told in our own words: the drivers' errors may quote rows.

use std::fmt;

use cloakroom_core::{Error, ErrorKind};
use sqlx::error::DatabaseError;
use sqlx::mysql::MySqlDatabaseError;

pub(crate) const OPERATION: &str = "read OpenMetadata's database";

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

pub(crate) fn unavailable(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Unavailable, OPERATION, message)
}

pub(crate) fn error(error: sqlx::Error) -> Error {
    match error {
        sqlx::Error::Database(error) => {
            let (code, meaning) = read(&*error);
            Error::new(meaning.kind(), OPERATION, meaning.told()).with_source(Code(code))
        }
        sqlx::Error::Io(source) => {
            unavailable("the connection to the database failed").with_source(source)
        }
        sqlx::Error::Tls(source) => {
            unavailable("no TLS connection to the database").with_source(source)
        }
        // The cause may quote the address, password included.
        sqlx::Error::Configuration(_) => invalid(
            "the database cannot be connected to as its address says: a file of certificates that it names \
             cannot be read, or the user's password is checked in a way that wants an encrypted connection \
             (caching_sha2_password): leave ssl-mode=disabled out of the address, and switch on TLS on the server \
             where it is off",
        ),
        _ => unavailable("the database's answer could not be understood"),
    }
}

/// Why a table could not be read, where that leaves the others readable: `None` means that the
/// whole scan has to end.
pub(crate) fn hindrance(error: &sqlx::Error) -> Option<String> {
    let (code, meaning) = read(&**error.as_database_error().as_ref()?);
    (!meaning.ends_everything()).then(|| format!("{} (database error {code})", meaning.told()))
}

/// Whether a row was not written since somebody else holds it, or wrote it at the same moment.
pub(crate) fn is_contention(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else {
        return false;
    };
    match error.try_downcast_ref::<MySqlDatabaseError>() {
        Some(error) => matches!(error.number(), 1020 | 1205 | 1213),
        None => matches!(error.code().as_deref(), Some("40001" | "40P01" | "55P03")),
    }
}

/// Why the server does not write, where that is its answer and the connection goes on.
pub(crate) fn refusal(error: &sqlx::Error) -> Option<String> {
    let error = error.as_database_error()?;
    let code = match error.try_downcast_ref::<MySqlDatabaseError>() {
        Some(error) => error.number().to_string(),
        None => error.code().unwrap_or_default().into_owned(),
    };
    let reason = match code.as_str() {
        "42501" | "1142" | "1143" => "the role may not write it",
        "25006" | "1290" | "1792" | "1836" => "the server is set to read only",
        "55P03" | "1205" => "somebody else holds a lock on it",
        "1053" | "1077" | "1152" | "1927" => return None,
        _ if code.starts_with("57P") || code.starts_with("08") => return None,
        _ => "the server does not take it",
    };
    Some(format!("{reason} (database error {code})"))
}

/// The code as an operator looks it up, and what it means.
fn read(error: &(dyn DatabaseError + 'static)) -> (String, Meaning) {
    if let Some(error) = error.try_downcast_ref::<MySqlDatabaseError>() {
        let number = error.number();
        return (number.to_string(), Meaning::of_mysql(number));
    }
    let code = error.code().unwrap_or_default().into_owned();
    let meaning = Meaning::of_postgres(&code);
    (code, meaning)
}

#[derive(Clone, Copy)]
enum Meaning {
    NotAllowed,
    NoSuchDatabase,
    Changed,
    Locked,
    TooLong,
    Full,
    Disconnected,
    Refused,
    SnapshotLost,
    Damaged,
    Other,
}

impl Meaning {
    fn of_postgres(code: &str) -> Self {
        match code {
            "42501" => Self::NotAllowed,
            "3D000" => Self::NoSuchDatabase,
            "42P01" | "42703" => Self::Changed,
            "55P03" => Self::Locked,
            "57014" => Self::TooLong,
            "25P03" | "40001" => Self::SnapshotLost,
            _ if code.starts_with("57P") => Self::Disconnected,
            _ => match code.get(..2).unwrap_or_default() {
                "08" => Self::Disconnected,
                "28" => Self::Refused,
                "53" => Self::Full,
                "22" | "XX" => Self::Damaged,
                _ => Self::Other,
            },
        }
    }

    fn of_mysql(number: u16) -> Self {
        match number {
            1142 | 1143 | 1227 | 1370 => Self::NotAllowed,
            1049 => Self::NoSuchDatabase,
            1054 | 1146 | 1412 => Self::Changed,
            1205 => Self::Locked,
            1317 | 1969 | 3024 => Self::TooLong,
            1040 | 1041 | 1203 | 1226 => Self::Full,
            1053 | 1077 | 1152 | 1927 => Self::Disconnected,
            1044 | 1045 | 1130 | 1251 | 1698 => Self::Refused,
            1213 => Self::SnapshotLost,
            126 | 127 | 145 | 1030 | 1034 | 1194 | 1712 => Self::Damaged,
            _ => Self::Other,
        }
    }

    fn kind(self) -> ErrorKind {
        match self {
            Self::NotAllowed | Self::Refused => ErrorKind::Denied,
            Self::NoSuchDatabase => ErrorKind::Invalid,
            _ => ErrorKind::Unavailable,
        }
    }

    fn ends_everything(self) -> bool {
        matches!(
            self,
            Self::NoSuchDatabase
                | Self::Full
                | Self::Disconnected
                | Self::Refused
                | Self::SnapshotLost
        )
    }

    fn told(self) -> &'static str {
        match self {
            Self::NotAllowed => {
                "the database user may not read it; grant SELECT on it, or BYPASSRLS where row \
                 security is in force"
            }
            Self::NoSuchDatabase => "there is no such database on the server",
            Self::Changed => "it was changed or dropped while the scan ran; run it again",
            Self::Locked => "somebody else holds a lock on it; run it again later",
            Self::TooLong => "reading it took longer than the statement timeout",
            Self::Full => "the server has no room for another connection or query",
            Self::Disconnected => "the server ended the connection",
            Self::Refused => "the server refused user or password",
            Self::SnapshotLost => "the server ended the snapshot; run it again",
            Self::Damaged => "the server could not read what is stored; it may be damaged",
            Self::Other => "the server did not answer as expected",
        }
    }
}
