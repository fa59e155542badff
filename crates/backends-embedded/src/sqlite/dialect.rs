//! What SQLite says differently.

use cloakroom_core::{Clock as _, Coordinate, SystemClock, Timestamp};
use sqlx::QueryBuilder;
use uuid::Uuid;

pub(crate) type Db = sqlx::Sqlite;

/// UUIDs are text, which people can read.
pub(crate) type Id = uuid::fmt::Hyphenated;

pub(crate) fn id(uuid: Uuid) -> Id {
    uuid.hyphenated()
}

pub(crate) fn uuid(id: Id) -> Uuid {
    id.into_uuid()
}

pub(crate) const CREATE: &str =
    include_str!("../../../../migrations/sqlite/0002_embedded_secrets.sql");

pub(crate) const HAS_INTENT: &str =
    "SELECT 1 FROM pragma_table_info('embedded_secrets') WHERE name = 'intent'";
pub(crate) const ADD_INTENT: &str = "ALTER TABLE embedded_secrets ADD COLUMN intent TEXT";

/// Takes the write lock at once: a transaction that reads first and writes later can fail with a
/// stale snapshot, which waiting does not cure.
pub(crate) const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";

/// Beginning to write has taken the database's lock already.
pub(crate) const LOCK_FIRST: Option<&str> = None;

/// The database's clock is this machine's.
pub(crate) fn push_now(query: &mut QueryBuilder<Db>, given: Option<Timestamp>) {
    query.push_bind(given.unwrap_or_else(|| SystemClock.now()).as_millisecond());
}

pub(crate) fn push_among(query: &mut QueryBuilder<Db>, coordinates: &[Coordinate]) {
    query.push(" IN (");
    let mut list = query.separated(", ");
    for coordinate in coordinates {
        list.push_bind(coordinate.as_str().to_owned());
    }
    list.push_unseparated(")");
}
