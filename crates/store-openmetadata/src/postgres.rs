//! PostgreSQL: its catalogue, its snapshot, its identity.

use std::collections::HashMap;

use cloakroom_core::Result;
use cloakroom_core::platform::Obstacle;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Executor as _};

use crate::catalog::{Catalog, Column, Table};
use crate::failure;
use crate::options::Options;
use crate::rows::{Fields as _, Read, Reader, pump};

/// Values of at most so many bytes as stored are read without asking for their length as text,
/// which would write them out twice. Even what compresses best stays small enough.
const SMALL: u32 = 256 * 1024;

const LARGE_OBJECTS: &str = "pg_catalog.pg_largeobject";

/// Columns that could hold text. Types are told by exclusion: what is not known is read.
const COLUMNS: &str = "SELECT n.nspname::text, c.relname::text, \
     format('%I.%I', n.nspname, c.relname), c.relkind::text, \
     has_schema_privilege(n.oid, 'USAGE')::text, row_security_active(c.oid)::text, \
     a.attname::text, quote_ident(a.attname), t.typname::text, \
     has_column_privilege(c.oid, a.attnum, 'SELECT')::text \
     FROM pg_catalog.pg_class c \
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
     JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
     JOIN pg_catalog.pg_namespace m ON m.oid = t.typnamespace \
     WHERE c.relkind IN ('r', 'm', 'f') AND c.relpersistence <> 't' AND c.relispopulated \
     AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') \
     AND n.nspname !~ '^pg_(toast_)?temp_' \
     AND NOT (m.nspname = 'pg_catalog' AND (t.typcategory::text ~ '[BDGINRTV]' OR t.typname IN \
     ('uuid', 'macaddr', 'macaddr8', 'pg_lsn', 'tid', 'xid', 'xid8', 'cid', 'char', 'oid'))) \
     ORDER BY n.nspname, c.relname, a.attnum";

/// Begins a transaction that sees one state and can write nothing. What is set is set for it alone:
/// a pooler between us and the server would hand a session's settings to others.
pub(crate) async fn begin(connection: &mut PgConnection, options: &Options) -> sqlx::Result<()> {
    let statement = options.statement_timeout.as_millis().min(2_000_000_000);
    let lock = options.lock_timeout.as_millis().min(2_000_000_000);
    // Rather an error than rows that are missing; and functions of the owner's cannot take the
    // place of the server's own.
    let settings = format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL row_security = off; \
         SET LOCAL search_path = ''; SET LOCAL statement_timeout = {statement}; \
         SET LOCAL lock_timeout = {lock}; \
         SET LOCAL idle_in_transaction_session_timeout = {statement}"
    );
    connection
        .execute(sqlx::raw_sql(AssertSqlSafe(settings)))
        .await?;
    Ok(())
}

/// The moment of the snapshot in milliseconds since 1970, and what the server has.
pub(crate) async fn look(
    connection: &mut PgConnection,
    options: &Options,
) -> sqlx::Result<(i64, Catalog)> {
    // The transaction began before its snapshot was taken, so this is never too late.
    let server = one(
        connection,
        "SELECT floor(extract(epoch FROM transaction_timestamp()) * 1000)::bigint::text, \
         pg_is_in_recovery()::text, quote_ident(current_user), \
         EXISTS (SELECT 1 FROM pg_catalog.pg_largeobject_metadata)::text",
    )
    .await?;
    let moment = server.word(0)?.parse().unwrap_or_default();
    let role = server.word(2)?;
    let mut catalog = Catalog {
        schema: options.schema.clone(),
        remedy: format!("GRANT SELECT ON {{}} TO {role}"),
        ..Catalog::default()
    };
    if server.is_true(1)? {
        catalog.obstacles.push(Obstacle {
            subject: "server".to_owned(),
            detail: "a standby, which may lag behind: what has come to be in use may not have \
                     reached it; give the address of the primary"
                .to_owned(),
        });
    }
    if server.is_true(3)? {
        catalog.obstacles.push(Obstacle {
            subject: LARGE_OBJECTS.to_owned(),
            detail: "there are large objects, which OpenMetadata has none of and which are not \
                     read; move whatever made them to another database"
                .to_owned(),
        });
    }
    for row in all(connection, COLUMNS).await? {
        let column = column(&row, options.max_value)?;
        catalog.add(row.word(0)?, row.word(1)?, column, || table(&row, role))?;
    }
    Ok((moment, catalog))
}

fn table(row: &PgRow, role: &str) -> sqlx::Result<Table> {
    let (schema, quoted, kind) = (row.word(0)?, row.word(2)?, row.word(3)?);
    let obstacle = if kind == "f" {
        Some(
            "a foreign table: its rows are on another server and not in this snapshot; leave it \
             out if nothing in it names a secret"
                .to_owned(),
        )
    } else if !row.is_true(4)? {
        Some(format!(
            "the role may not look into its schema: GRANT USAGE ON SCHEMA {schema} TO {role}, and \
             GRANT SELECT ON {quoted} TO {role}"
        ))
    } else if row.is_true(5)? {
        Some(format!(
            "row security may hide rows from the role: ALTER ROLE {role} BYPASSRLS, or leave the \
             table out if nothing in it names a secret"
        ))
    } else {
        None
    };
    Ok(Table {
        schema: schema.to_owned(),
        name: row.word(1)?.to_owned(),
        quoted: quoted.to_owned(),
        // Children and partitions are tables of their own.
        from: if kind == "r" {
            format!("ONLY {quoted}")
        } else {
            quoted.to_owned()
        },
        from_history: None,
        obstacle,
        columns: Vec::new(),
    })
}

fn column(row: &PgRow, most: u32) -> sqlx::Result<Column> {
    let (quoted, kind) = (row.word(7)?, row.word(8)?);
    let (value, fits) = match kind {
        "text" | "varchar" | "bpchar" => (
            format!("{quoted}::text"),
            format!("octet_length({quoted}) <= {most}"),
        ),
        // What is no text in it is shown as `\123`.
        "bytea" => (
            format!("encode({quoted}, 'escape')"),
            format!("octet_length({quoted}) <= {most}"),
        ),
        _ => (
            format!("{quoted}::text"),
            format!(
                "pg_column_size({quoted}) <= {} OR octet_length({quoted}::text) <= {most}",
                SMALL.min(most)
            ),
        ),
    };
    Ok(Column {
        name: row.word(6)?.to_owned(),
        readable: row.is_true(9)?,
        value,
        fits,
    })
}

/// What each table is made of, by its name: its number, the file that has its rows, and the numbers of its
/// columns. One that was rewritten, replaced or emptied since a snapshot was taken is another then, and its
/// rows of before are out of sight.
const SHAPES: &str = "SELECT n.nspname || '.' || c.relname, concat_ws(' ', c.oid, c.relfilenode, \
     (SELECT string_agg(format('%s %I', a.attnum, a.attname), ', ' ORDER BY a.attnum) \
     FROM pg_catalog.pg_attribute a \
     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)) \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')";

/// As the running transaction sees them.
pub(crate) async fn shapes(connection: &mut PgConnection) -> sqlx::Result<HashMap<String, String>> {
    let rows = all(connection, SHAPES).await?;
    let shape = |row: &PgRow| Ok((row.word(0)?.to_owned(), row.word(1)?.to_owned()));
    rows.iter().map(shape).collect()
}

/// Reads a table inside the running transaction, which goes on whatever happens.
pub(crate) async fn read(
    connection: &mut PgConnection,
    select: &str,
    reader: &mut dyn Reader,
) -> Result<Read> {
    run(connection, "SAVEPOINT reading").await?;
    let rows = sqlx::raw_sql(AssertSqlSafe(select.to_owned())).fetch(&mut *connection);
    let read = pump::<PgRow>(rows, reader).await?;
    let after = match read {
        Read::Whole => "RELEASE SAVEPOINT reading",
        Read::Hindered(_) => "ROLLBACK TO SAVEPOINT reading",
    };
    run(connection, after).await?;
    Ok(read)
}

/// The server's own identifier with the database's number and name, as far as the role may know it.
pub(crate) async fn identity(connection: &mut PgConnection, place: &str) -> sqlx::Result<String> {
    let row = one(
        connection,
        "SELECT d.oid::text, d.datname::text, \
         has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')::text \
         FROM pg_catalog.pg_database d WHERE d.datname = current_database()",
    )
    .await?;
    let server = if row.is_true(2)? {
        let asked = "SELECT system_identifier::text FROM pg_catalog.pg_control_system()";
        one(connection, asked).await?.word(0)?.to_owned()
    } else {
        place.to_owned()
    };
    Ok(format!("{server}/{}/{}", row.word(0)?, row.word(1)?))
}

async fn run(connection: &mut PgConnection, statement: &'static str) -> Result<()> {
    let ran = connection.execute(statement).await;
    ran.map(|_| ()).map_err(failure::error)
}

async fn one(connection: &mut PgConnection, query: &'static str) -> sqlx::Result<PgRow> {
    sqlx::raw_sql(query).fetch_one(connection).await
}

async fn all(connection: &mut PgConnection, query: &'static str) -> sqlx::Result<Vec<PgRow>> {
    sqlx::raw_sql(query).fetch_all(connection).await
}
