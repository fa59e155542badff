//! What PostgreSQL says differently.

use std::collections::BTreeSet;
use std::path::Path;

use cloakroom_core::store::Home;
use cloakroom_core::{BackendId, Error, ErrorKind};
use sqlx::error::DatabaseError;
use sqlx::{Executor as _, Row as _};
use uuid::Uuid;

use crate::failure::{Failure, Meaning, means};
use crate::migrations::Embedded;

pub(crate) type Db = sqlx::Postgres;

pub(crate) type Id = Uuid;

pub(crate) fn id(uuid: Uuid) -> Id {
    uuid
}

pub(crate) fn uuid(id: Id) -> Uuid {
    id
}

pub(crate) const MIGRATIONS: &[Embedded] =
    include!(concat!(env!("OUT_DIR"), "/postgres_migrations.rs"));

/// Each statement must see what was committed while the one before it waited for a lock. Nothing is said
/// of writing: where an operator has set `default_transaction_read_only`, that is meant.
pub(crate) const BEGIN_WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
/// All statements see one state.
pub(crate) const BEGIN_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

pub(crate) const FOR_UPDATE: &str = " FOR UPDATE";
/// Others may look, and nobody may write.
pub(crate) const FOR_SHARE: &str = " FOR SHARE";
pub(crate) const FOR_UPDATE_SKIP_LOCKED: &str = " FOR UPDATE SKIP LOCKED";

/// A table of somebody else's where ours go; what an extension brought belongs to no application. The
/// list of its migrations tells least.
pub(crate) const FOREIGN_TABLE: &str = "SELECT CAST(c.relname AS TEXT) FROM pg_catalog.pg_class AS c \
     JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
     WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'v', 'm', 'f') \
     AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend AS d \
                     WHERE d.objid = c.oid AND d.deptype = 'e') \
     ORDER BY c.relname = '_sqlx_migrations', c.relname LIMIT 1";

/// The schema with our migrations, as a statement names it: the first on the search path that has both a
/// list of migrations and a table that only we have. Another application may keep a list of the same name
/// in a schema before or behind it.
pub(crate) const OUR_SCHEMA: &str = "SELECT quote_ident(n.nspname) \
     FROM unnest(current_schemas(false)) WITH ORDINALITY AS path (name, place) \
     JOIN pg_catalog.pg_namespace AS n ON n.nspname = path.name \
     WHERE EXISTS (SELECT 1 FROM pg_catalog.pg_class AS c \
                   WHERE c.relnamespace = n.oid AND c.relname = '_sqlx_migrations') \
     AND EXISTS (SELECT 1 FROM pg_catalog.pg_class AS c WHERE c.relnamespace = n.oid \
                 AND c.relname IN ('store_identity', 'secret_references', 'receipt_head')) \
     ORDER BY path.place LIMIT 1";

/// What makes a place for our tables where somebody else's are.
pub(crate) async fn another_place(conn: &mut sqlx::PgConnection) -> Result<String, Failure> {
    let user: String = sqlx::query_scalar("SELECT quote_ident(current_user)")
        .fetch_one(conn)
        .await?;
    let own = a_schema_of_its_own(&user);
    Ok(format!("name an empty database, or {own}"))
}

fn a_schema_of_its_own(user: &str) -> String {
    format!(
        "give Cloakroom a schema of its own: as a user who may, run `CREATE SCHEMA IF NOT EXISTS cloakroom \
         AUTHORIZATION {user}`, then put `?options[search_path]=cloakroom` behind the database in the URL \
         (`&options[search_path]=cloakroom` where a `?` stands there already)"
    )
}

/// Refuses a database that lacks characters: a document would be refused when its secrets are written
/// already. `SQL_ASCII` keeps every byte as it comes, and what comes from here is UTF-8.
pub(crate) async fn ensure_encoding(
    conn: &mut sqlx::PgConnection,
    operation: &'static str,
) -> Result<(), Failure> {
    let asked = sqlx::raw_sql("SHOW server_encoding");
    let encoding: String = conn.fetch_one(asked).await?.try_get(0)?;
    if ["UTF8", "SQL_ASCII"].contains(&encoding.as_str()) {
        return Ok(());
    }
    let message = format!(
        "the database's encoding is {encoding}, which lacks characters that documents may have: name one \
         in the URL that was made with `ENCODING 'UTF8' TEMPLATE template0`; what is here comes along with \
         pg_dump and pg_restore"
    );
    Err(Error::new(ErrorKind::Invalid, operation, message).into())
}

/// Refuses a search path that leads nowhere: the server would only say so of the first table.
pub(crate) async fn ensure_schema(
    conn: &mut sqlx::PgConnection,
    operation: &'static str,
) -> Result<(), Failure> {
    let (schema, path, user): (Option<String>, String, String) = sqlx::query_as(
        "SELECT CAST(current_schema() AS TEXT), current_setting('search_path'), quote_ident(current_user)",
    )
    .fetch_one(&mut *conn)
    .await?;
    if schema.is_some() {
        return Ok(());
    }
    let way = match names(&path).into_iter().find(|name| is_ones_own(name)) {
        Some(name) => {
            let named: String = sqlx::query_scalar("SELECT quote_ident($1)")
                .bind(name)
                .fetch_one(conn)
                .await?;
            format!(
                "as a user who may, run `CREATE SCHEMA IF NOT EXISTS {named} AUTHORIZATION {user}`, and \
                 `GRANT USAGE, CREATE ON SCHEMA {named} TO {user}` where it is another's; or correct \
                 `options[search_path]` in the URL"
            )
        }
        None => a_schema_of_its_own(&user),
    };
    let message = format!(
        "the connection's search path ({path}) names no schema that is there and that {user} may use: {way}"
    );
    Err(Error::new(ErrorKind::Invalid, operation, message).into())
}

/// The names on a search path, as the server understands them.
fn names(path: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut name = String::new();
    let mut quoted = false;
    let mut letters = path.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.next_if_eq(&'"').is_some() => name.push('"'),
            '"' => quoted = !quoted,
            _ if quoted => name.push(letter),
            ',' => names.push(std::mem::take(&mut name)),
            _ if letter.is_whitespace() => {}
            _ => name.push(letter.to_ascii_lowercase()),
        }
    }
    names.push(name);
    names
}

/// Whether somebody chose the schema: the usual search path, `"$user", public`, is everybody's.
fn is_ones_own(name: &str) -> bool {
    !["", "$user", "public"].contains(&name) && !name.starts_with("pg_")
}

/// Refuses a schema that the user may make no tables in, such as `public` of a new database.
pub(crate) async fn ensure_may_create(
    conn: &mut sqlx::PgConnection,
    operation: &'static str,
) -> Result<(), Failure> {
    let (may, schema, user): (bool, String, String) = sqlx::query_as(
        "SELECT has_schema_privilege(current_schema(), 'CREATE'), \
         quote_ident(current_schema()), quote_ident(current_user)",
    )
    .fetch_one(conn)
    .await?;
    if may {
        return Ok(());
    }
    let message = format!(
        "the database user {user} may not make tables in the schema {schema}: as its owner, run \
         `GRANT CREATE ON SCHEMA {schema} TO {user}`"
    );
    Err(Error::new(ErrorKind::Denied, operation, message).into())
}

/// For the rest of the transaction tables are made in this schema.
pub(crate) async fn go_to(conn: &mut sqlx::PgConnection, schema: &str) -> Result<(), Failure> {
    sqlx::query(
        "SELECT set_config('search_path', $1 || ', ' || current_setting('search_path'), true)",
    )
    .bind(schema)
    .execute(conn)
    .await?;
    Ok(())
}

/// The moment of the question, not of the transaction's begin: it may have waited for locks since.
pub(crate) async fn now(conn: &mut sqlx::PgConnection) -> Result<i64, Failure> {
    let now = sqlx::query_scalar(
        "SELECT CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS BIGINT)",
    );
    Ok(now.fetch_one(conn).await?)
}

/// Only the server knows, and nobody asks it: see [`no_earlier`].
#[expect(clippy::unused_async, reason = "SQLite remembers the latest time")]
pub(crate) async fn latest(_: &mut sqlx::PgConnection, now: i64) -> Result<i64, Failure> {
    Ok(now)
}

/// The server's clock is not the machine's that happens to run us, and one row that every writer had
/// to write would make them wait for each other.
#[expect(clippy::unused_async, reason = "SQLite remembers the latest time here")]
pub(crate) async fn no_earlier(_: &mut sqlx::PgConnection, now: i64) -> Result<i64, Failure> {
    Ok(now)
}

/// The cluster, its timeline, the database in it and the store's table in that. A dump that is read in
/// anywhere makes a table of another number, a copy of a database has a number of its own, and where a
/// base backup or a replica goes on by itself a timeline begins. Outside of a transaction: a server that
/// does not tell one of them would end it.
pub(crate) async fn home(conn: &mut sqlx::PgConnection, _: Option<&Path>) -> Result<Home, Failure> {
    let parts = [
        (
            "cluster",
            "SELECT CAST(system_identifier AS TEXT) FROM pg_catalog.pg_control_system()",
        ),
        (
            "timeline",
            "SELECT substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8)",
        ),
        (
            "database",
            "SELECT CAST(oid AS TEXT) FROM pg_catalog.pg_database \
             WHERE datname = current_database()",
        ),
        (
            "table",
            "SELECT CAST(CAST(to_regclass('store_identity') AS oid) AS TEXT)",
        ),
    ];
    let mut told = Vec::with_capacity(parts.len());
    for (name, question) in parts {
        let answer: Result<Option<String>, sqlx::Error> =
            sqlx::query_scalar(question).fetch_one(&mut *conn).await;
        match answer {
            Ok(answer) => told.extend(answer.map(|answer| (name, answer))),
            Err(error) if is_not_told(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Home::of(told))
}

/// Whether the server has no such question or does not answer it to us: some who offer PostgreSQL as a
/// service keep these from their customers, and what looks like PostgreSQL may know none of them.
fn is_not_told(error: &sqlx::Error) -> bool {
    const UNKNOWN_FUNCTION: &str = "42883";
    const NOT_ALLOWED: &str = "42501";
    const NOT_SUPPORTED: &str = "0A000";
    const NOT_IN_THIS_STATE: &str = "55000";
    let code = error.as_database_error().and_then(DatabaseError::code);
    code.is_some_and(|code| {
        [
            UNKNOWN_FUNCTION,
            NOT_ALLOWED,
            NOT_SUPPORTED,
            NOT_IN_THIS_STATE,
        ]
        .contains(&&*code)
    })
}

/// Until the transaction ends nobody else chooses a version of these bases. A base may have no row
/// yet, so there is none to lock.
pub(crate) async fn lock_bases(
    conn: &mut sqlx::PgConnection,
    backend: &BackendId,
    bases: &BTreeSet<&str>,
) -> Result<(), Failure> {
    let names: Vec<String> = bases
        .iter()
        .map(|base| format!("{backend}/{base}"))
        .collect();
    // Sorted by key, so that two writers never wait for each other.
    sqlx::query(
        "SELECT pg_advisory_xact_lock(wanted.key) FROM \
         (SELECT DISTINCT hashtextextended(name, 0) AS key FROM unnest($1) AS name ORDER BY 1) \
         AS wanted",
    )
    .bind(names)
    .execute(conn)
    .await?;
    Ok(())
}

/// Waits for another process that migrates, however long it takes.
pub(crate) async fn lock_migrations(conn: &mut sqlx::PgConnection) -> Result<(), Failure> {
    sqlx::raw_sql(
        "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; \
         SELECT pg_advisory_xact_lock(hashtextextended('cloakroom migrations', 0)); \
         SET LOCAL lock_timeout = '60s'",
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Serialization failures and deadlocks: the transaction did nothing and may succeed next time.
pub(crate) fn can_be_repeated(code: &str) -> bool {
    matches!(code, "40001" | "40P01")
}

/// Reads PostgreSQL's SQLSTATE codes.
pub(crate) fn meaning_of(code: &str) -> Meaning {
    use ErrorKind::{Conflict, Corrupt, Denied, Invalid, TooLarge, Unavailable};
    match code {
        "23505" => means(Conflict, "such a row is there already"),
        "25006" => means(
            Unavailable,
            "the server takes no writes now: it is a standby, or default_transaction_read_only is on \
             for it, the database or the user",
        ),
        "25P03" => means(Unavailable, "the transaction was silent for too long"),
        "40001" | "40P01" => means(Unavailable, "other transactions were in the way each time"),
        "42501" => means(Denied, "the database user may not do that"),
        "42P01" | "42703" | "3F000" => means(
            Invalid,
            "the schema is not there: run reconciler migrate-schema",
        ),
        "3D000" => means(Invalid, "there is no such database on the server"),
        "53100" => means(Unavailable, "the server's disk is full"),
        "53300" => means(Unavailable, "the server takes no more connections"),
        "55P03" => means(Unavailable, "somebody else holds a lock on the rows"),
        "57014" => means(Unavailable, "the statement took too long"),
        "XX001" | "XX002" => means(Corrupt, "the server found its data damaged"),
        _ => match code.get(..2).unwrap_or_default() {
            "08" => means(Unavailable, "the connection to the server failed"),
            "22" => means(Invalid, "a value is none that PostgreSQL can hold"),
            "23" => means(Invalid, "a constraint of the schema does not hold"),
            "28" => means(Denied, "the server refused user or password"),
            "40" | "53" | "55" | "57" | "58" | "XX" => {
                means(Unavailable, "the server cannot do it now")
            }
            "54" => means(TooLarge, "a value is larger than PostgreSQL takes"),
            _ => means(Invalid, "PostgreSQL refused the statement"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_path_is_read_as_the_server_reads_it() {
        for (path, read) in [
            ("\"$user\", public", &["$user", "public"][..]),
            ("Foo-Bar , b", &["foo-bar", "b"]),
            ("\"Foo, \"\"Bar\"", &["Foo, \"Bar"]),
            ("\"\", a", &["", "a"]),
            ("", &[""]),
        ] {
            assert_eq!(names(path), read, "{path}");
        }
    }

    /// Making `public` anew, or a schema of the user's name, would help as little as it was asked for.
    #[test]
    fn what_everybody_has_on_the_path_is_nobodys_own() {
        for usual in ["", "$user", "public", "pg_temp"] {
            assert!(!is_ones_own(usual), "{usual}");
        }
        assert!(is_ones_own("cloakroom"));
    }
}
