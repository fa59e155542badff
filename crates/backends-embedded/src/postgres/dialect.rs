//! What PostgreSQL says differently.

use cloakroom_core::{Coordinate, Timestamp};
use sqlx::QueryBuilder;
use uuid::Uuid;

pub(crate) type Db = sqlx::Postgres;

pub(crate) type Id = Uuid;

pub(crate) fn id(uuid: Uuid) -> Id {
    uuid
}

pub(crate) fn uuid(id: Id) -> Uuid {
    id
}

/// Two processes that create the table at once would both find that it is not there.
pub(crate) const CREATE: &str = concat!(
    "SELECT pg_advisory_xact_lock(hashtextextended('cloakroom embedded_secrets', 0));\n",
    include_str!("../../../../migrations/postgres/0002_embedded_secrets.sql"),
);

pub(crate) const HAS_INTENT: &str = "SELECT 1 FROM pg_catalog.pg_attribute \
     WHERE attrelid = to_regclass('embedded_secrets') AND attname = 'intent' AND NOT attisdropped";
pub(crate) const ADD_INTENT: &str = "ALTER TABLE embedded_secrets ADD COLUMN intent UUID";

/// Each statement must see what was committed while the one before it waited for a lock.
pub(crate) const BEGIN_WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// Two that write first rows at once would both find that there are none.
pub(crate) const LOCK_FIRST: Option<&str> =
    Some("SELECT pg_advisory_xact_lock(hashtextextended('cloakroom embedded_secrets', 0))");

/// The server's clock, which all its clients share.
pub(crate) fn push_now(query: &mut QueryBuilder<Db>, given: Option<Timestamp>) {
    match given {
        Some(now) => query.push_bind(now.as_millisecond()),
        None => {
            query.push("CAST(floor(extract(epoch FROM statement_timestamp()) * 1000) AS BIGINT)")
        }
    };
}

/// One parameter whatever the number, so that every batch is the same prepared statement.
pub(crate) fn push_among(query: &mut QueryBuilder<Db>, coordinates: &[Coordinate]) {
    let names: Vec<String> = coordinates.iter().map(ToString::to_string).collect();
    query.push(" = ANY(").push_bind(names).push(")");
}
