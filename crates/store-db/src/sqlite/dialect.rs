//! What SQLite says differently.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::path::Path;
use std::time::{Duration, SystemTime};

use cloakroom_core::store::Home;
use cloakroom_core::{BackendId, Clock as _, Error, ErrorKind, SystemClock};
use uuid::Uuid;

use super::names;
use crate::failure::{Failure, Meaning, means};
use crate::migrations::Embedded;
use crate::times::{length, millis};

pub(crate) type Db = sqlx::Sqlite;

/// UUIDs are text, which sorts as their bytes do and can be read by people.
pub(crate) type Id = uuid::fmt::Hyphenated;

pub(crate) fn id(uuid: Uuid) -> Id {
    uuid.hyphenated()
}

pub(crate) fn uuid(id: Id) -> Uuid {
    id.into_uuid()
}

pub(crate) const MIGRATIONS: &[Embedded] =
    include!(concat!(env!("OUT_DIR"), "/sqlite_migrations.rs"));

/// Takes the write lock at once: a transaction that reads first and writes later can fail with a
/// stale snapshot, which waiting does not cure.
pub(crate) const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";
pub(crate) const BEGIN_READ: &str = "BEGIN DEFERRED";

/// The write lock is on the whole database.
pub(crate) const FOR_UPDATE: &str = "";
pub(crate) const FOR_SHARE: &str = "";
pub(crate) const FOR_UPDATE_SKIP_LOCKED: &str = "";

pub(crate) const FOREIGN_TABLE: &str = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') \
     AND name NOT GLOB 'sqlite_*' ORDER BY name = '_sqlx_migrations', name LIMIT 1";

/// The schema with our migrations, if the list of that name is ours: beside it is a table that only we
/// have.
pub(crate) const OUR_SCHEMA: &str = "SELECT 'main' FROM sqlite_master WHERE type = 'table' \
     AND name = '_sqlx_migrations' AND EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' \
     AND name IN ('store_identity', 'secret_references', 'receipt_head'))";

/// How many tables and views there are, and how many of them are ours.
pub(crate) const WHOSE_TABLES: &str = "SELECT count(*), count(*) FILTER (WHERE type = 'table' \
     AND name IN ('store_identity', 'secret_references', 'receipt_head')) FROM sqlite_master \
     WHERE type IN ('table', 'view') AND name NOT GLOB 'sqlite_*'";

/// What makes a place for our tables where somebody else's are.
#[expect(clippy::unused_async, reason = "PostgreSQL asks its server")]
pub(crate) async fn another_place(_: &mut sqlx::SqliteConnection) -> Result<String, Failure> {
    Ok("name another file for it (`store.sqlite.path`)".to_owned())
}

#[expect(clippy::unused_async, reason = "PostgreSQL asks its server")]
pub(crate) async fn ensure_schema(
    _: &mut sqlx::SqliteConnection,
    _: &'static str,
) -> Result<(), Failure> {
    Ok(())
}

#[expect(clippy::unused_async, reason = "PostgreSQL asks its server")]
pub(crate) async fn ensure_may_create(
    _: &mut sqlx::SqliteConnection,
    _: &'static str,
) -> Result<(), Failure> {
    Ok(())
}

#[expect(clippy::unused_async, reason = "PostgreSQL tells its server")]
pub(crate) async fn go_to(_: &mut sqlx::SqliteConnection, _: &str) -> Result<(), Failure> {
    Ok(())
}

#[expect(clippy::unused_async, reason = "PostgreSQL asks its server")]
pub(crate) async fn now(_: &mut sqlx::SqliteConnection) -> Result<i64, Failure> {
    Ok(millis(SystemClock.now()))
}

/// A clock that is farther behind the latest time than this is believed, since the latest time may be
/// one from a clock that was far ahead, and must not hold what is written now for ever.
pub(crate) const FARTHEST_BEHIND: Duration = Duration::from_hours(31 * 24);

/// How far the latest time may lag behind what was written at it, in milliseconds: it is not written
/// anew for every transaction.
const LAG: i64 = 1_000;

/// The latest moment that anything was written at.
pub(crate) async fn latest(conn: &mut sqlx::SqliteConnection, _: i64) -> Result<i64, Failure> {
    let latest = sqlx::query_scalar("SELECT latest FROM store_clock WHERE single = 1");
    Ok(latest.fetch_one(conn).await?)
}

/// `now`, or the latest moment that anything was written at where the machine's clock has fallen
/// behind that. What is written then does not look old once the clock is set right.
pub(crate) async fn no_earlier(
    conn: &mut sqlx::SqliteConnection,
    now: i64,
) -> Result<i64, Failure> {
    let latest = latest(&mut *conn, now).await?;
    let ahead = latest.saturating_sub(now);
    let believed = ahead <= length(FARTHEST_BEHIND);
    if ahead <= -LAG || !believed {
        sqlx::query("UPDATE store_clock SET latest = $1 WHERE single = 1")
            .bind(now)
            .execute(conn)
            .await?;
    }
    Ok(if believed { now.max(latest) } else { now })
}

/// The file behind the name that was opened: its number in its file system, and when it was made. A
/// file that is moved keeps both, and a copy has others. Its device is left out: after a restart, or
/// attached to another machine, a disk often has another number. All names of a file agree in both, so with
/// a second name nothing is known.
///
/// A connection that is made later goes by whatever has the name then, so `opened_as` tells of a link in the
/// place of the file.
pub(crate) async fn home(
    conn: &mut sqlx::SqliteConnection,
    opened_as: Option<&Path>,
) -> Result<Home, Failure> {
    const OPERATION: &str = "look at the database";
    let unavailable = |message: String| Error::new(ErrorKind::Unavailable, OPERATION, message);
    let path: String =
        sqlx::query_scalar("SELECT file FROM pragma_database_list WHERE name = 'main'")
            .fetch_one(conn)
            .await?;
    let file = std::fs::metadata(&path).map_err(|source| {
        unavailable("the database's file cannot be looked at".to_owned()).with_source(source)
    })?;
    let moved = opened_as.and_then(names::link_in_its_place);
    if let Some(message) = moved.or_else(|| names::second_name(path.as_ref())) {
        return Err(unavailable(message).into());
    }
    let since = |made: SystemTime| made.duration_since(SystemTime::UNIX_EPOCH).ok();
    let born = file.created().ok().and_then(since);
    let born = born.map(|born| ("born", born.as_nanos().to_string()));
    Ok(Home::of(number_of(&file).into_iter().chain(born)))
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere files have no number")]
fn number_of(file: &Metadata) -> Option<(&'static str, String)> {
    use std::os::unix::fs::MetadataExt as _;
    Some(("file", file.ino().to_string()))
}

#[cfg(not(unix))]
fn number_of(_: &Metadata) -> Option<(&'static str, String)> {
    None
}

#[expect(clippy::unused_async, reason = "PostgreSQL takes locks here")]
pub(crate) async fn lock_bases(
    _: &mut sqlx::SqliteConnection,
    _: &BackendId,
    _: &BTreeSet<&str>,
) -> Result<(), Failure> {
    Ok(())
}

#[expect(clippy::unused_async, reason = "PostgreSQL takes a lock here")]
pub(crate) async fn lock_migrations(_: &mut sqlx::SqliteConnection) -> Result<(), Failure> {
    Ok(())
}

/// Nothing here goes away by trying the same transaction again.
pub(crate) fn can_be_repeated(_: &str) -> bool {
    false
}

/// Reads SQLite's (extended) result codes; the low byte is the primary one.
pub(crate) fn meaning_of(code: &str) -> Meaning {
    use ErrorKind::{Conflict, Corrupt, Denied, Invalid, TooLarge, Unavailable};
    const CONSTRAINT_PRIMARY_KEY: i32 = 1555;
    const CONSTRAINT_UNIQUE: i32 = 2067;
    /// The file beside the database that its readers share could not be made larger.
    const IO_SHARED_SIZE: i32 = 4874;

    let code: i32 = code.parse().unwrap_or_default();
    match code & 0xff {
        3 | 23 => means(Denied, "the database may not be accessed"),
        5 | 6 => means(Unavailable, "the database is locked by somebody else"),
        7 => means(Unavailable, "SQLite is out of memory"),
        8 => means(Denied, "the database is read-only"),
        9 => means(Unavailable, "the statement was interrupted"),
        10 if code == IO_SHARED_SIZE => means(Unavailable, "the disk of the database is full"),
        10 => means(
            Unavailable,
            "the database file could not be read or written",
        ),
        11 => means(Corrupt, "the database file is damaged"),
        13 => means(Unavailable, "the database or its disk is full"),
        14 => means(Unavailable, "the database file cannot be opened"),
        18 => means(TooLarge, "a value is larger than SQLite takes"),
        19 if code == CONSTRAINT_PRIMARY_KEY || code == CONSTRAINT_UNIQUE => {
            means(Conflict, "such a row is there already")
        }
        19 => means(Invalid, "a constraint of the schema does not hold"),
        26 => means(Corrupt, "the file is not a SQLite database"),
        _ => means(Invalid, "SQLite refused the statement"),
    }
}
