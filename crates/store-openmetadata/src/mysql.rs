//! MySQL and MariaDB: their catalogue, their snapshot, their identity.

use cloakroom_core::Result;
use cloakroom_core::platform::Obstacle;
use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, Executor as _};

use crate::catalog::{Catalog, Column, Table};
use crate::options::Options;
use crate::rows::{Fields as _, Read, Reader, pump};

/// Columns that could hold text; MariaDB's JSON is `longtext`. Types are told by exclusion.
const COLUMNS: &str = "SELECT t.TABLE_NAME, t.ENGINE, c.COLUMN_NAME, \
     CASE WHEN t.TABLE_TYPE = 'SYSTEM VERSIONED' THEN '1' ELSE '0' END \
     FROM information_schema.TABLES t JOIN information_schema.COLUMNS c \
     ON c.TABLE_SCHEMA = t.TABLE_SCHEMA AND c.TABLE_NAME = t.TABLE_NAME \
     WHERE t.TABLE_SCHEMA = DATABASE() AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') \
     AND LOWER(c.DATA_TYPE) NOT IN ('tinyint', 'smallint', 'mediumint', 'int', 'bigint', 'decimal', \
     'float', 'double', 'bit', 'date', 'datetime', 'timestamp', 'time', 'year', \
     'geometry', 'point', 'linestring', 'polygon', 'multipoint', 'multilinestring', 'multipolygon', \
     'geometrycollection', 'geomcollection', 'uuid', 'inet4', 'inet6', 'vector') \
     ORDER BY HEX(t.TABLE_NAME), c.ORDINAL_POSITION";

/// Whether the role may read the whole database. The catalogue shows it nothing of tables that it
/// may not read, so that a grant on single tables would hide the others.
const READS_ALL: &str = "SELECT EXISTS (SELECT 1 FROM information_schema.SCHEMA_PRIVILEGES p, \
     (SELECT CONCAT('''', LEFT(CURRENT_USER(), CHAR_LENGTH(CURRENT_USER()) \
     - LOCATE('@', REVERSE(CURRENT_USER()))), '''@''', SUBSTRING_INDEX(CURRENT_USER(), '@', -1), \
     '''') AS me) AS w WHERE p.GRANTEE = w.me AND p.PRIVILEGE_TYPE = 'SELECT' \
     AND DATABASE() LIKE p.TABLE_SCHEMA) \
     OR EXISTS (SELECT 1 FROM information_schema.USER_PRIVILEGES p, \
     (SELECT CONCAT('''', LEFT(CURRENT_USER(), CHAR_LENGTH(CURRENT_USER()) \
     - LOCATE('@', REVERSE(CURRENT_USER()))), '''@''', SUBSTRING_INDEX(CURRENT_USER(), '@', -1), \
     '''') AS me) AS w WHERE p.GRANTEE = w.me AND p.PRIVILEGE_TYPE = 'SELECT')";

/// Engines whose rows a consistent snapshot has.
const WITH_SNAPSHOT: &[&str] = &["InnoDB", "ROCKSDB"];

/// Begins a transaction that sees one state and can write nothing.
pub(crate) async fn begin(connection: &mut MySqlConnection, options: &Options) -> sqlx::Result<()> {
    let version = one(connection, "SELECT VERSION()").await?;
    let statement = options.statement_timeout;
    let limit = if version.word(0)?.contains("MariaDB") {
        format!("max_statement_time = {}", statement.as_secs().max(1))
    } else {
        let millis = statement.as_millis().min(u32::MAX.into());
        format!("max_execution_time = {millis}")
    };
    // The server waits for us while the sink writes.
    let patience = statement.as_secs().clamp(60, 86_400);
    let lock = options.lock_timeout.as_secs().max(1);
    let settings = format!(
        "SET SESSION {limit}, SESSION net_write_timeout = {patience}, \
         SESSION lock_wait_timeout = {lock}"
    );
    run(connection, &settings).await?;
    run(
        connection,
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    )
    .await?;
    run(
        connection,
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
    )
    .await
}

/// The moment of the snapshot in milliseconds since 1970, and what the server has.
pub(crate) async fn look(
    connection: &mut MySqlConnection,
    options: &Options,
) -> sqlx::Result<(i64, Catalog)> {
    // The snapshot was taken a moment before; a second is more than that took.
    let moment = "SELECT CAST(FLOOR((UNIX_TIMESTAMP(NOW(3)) - 1) * 1000) AS CHAR), \
                  @@global.read_only, DATABASE(), CURRENT_USER()";
    let server = one(connection, moment).await?;
    let schema = server.word(2)?;
    let role = account(server.word(3)?);
    let mut catalog = Catalog {
        schema: schema.to_owned(),
        remedy: format!("GRANT SELECT ON {}.{{}} TO {role}", quoted(schema)),
        ..Catalog::default()
    };
    if server.is_true(1)? || is_replica(connection).await {
        catalog.obstacles.push(Obstacle {
            subject: "server".to_owned(),
            detail: "a replica, or set to read only, which may lag behind: what has come to be in \
                     use may not have reached it; give the address of the primary"
                .to_owned(),
        });
    }
    if !one(connection, READS_ALL).await?.is_true(0)? {
        catalog.obstacles.push(Obstacle {
            subject: schema.to_owned(),
            detail: format!(
                "the role may not read the whole database by a grant of its own, and what it may \
                 not read it does not see: GRANT SELECT ON {}.* TO {role}",
                quoted(schema)
            ),
        });
    }
    for row in all(connection, COLUMNS).await? {
        let (name, column) = (row.word(0)?, row.word(2)?);
        let value = quoted(column);
        let column = Column {
            name: column.to_owned(),
            // One that may not be read is not shown, or is an error that hinders the table.
            readable: true,
            fits: format!("OCTET_LENGTH({value}) <= {}", options.max_value),
            value,
        };
        catalog.add(schema, name, column, || {
            Ok(Table {
                schema: schema.to_owned(),
                name: name.to_owned(),
                quoted: quoted(name),
                from: quoted(name),
                from_history: row
                    .is_true(3)?
                    .then(|| format!("{} FOR SYSTEM_TIME ALL", quoted(name))),
                obstacle: outside_the_snapshot(row.text(1)?),
                columns: Vec::new(),
            })
        })?;
    }
    Ok((server.word(0)?.parse().unwrap_or_default(), catalog))
}

fn outside_the_snapshot(engine: Option<&str>) -> Option<String> {
    let engine = engine.unwrap_or("a broken one");
    let inside = WITH_SNAPSHOT
        .iter()
        .any(|it| it.eq_ignore_ascii_case(engine));
    (!inside).then(|| {
        format!(
            "its engine is {engine}, whose rows are not in the snapshot; ALTER TABLE … \
             ENGINE=InnoDB, or leave it out if nothing in it names a secret"
        )
    })
}

/// Whether it copies another server, as far as the role may ask.
async fn is_replica(connection: &mut MySqlConnection) -> bool {
    let copies = all(connection, "SHOW REPLICA STATUS").await;
    copies.is_ok_and(|rows| !rows.is_empty())
}

/// Reads a table inside the running transaction, which goes on whatever happens.
pub(crate) async fn read(
    connection: &mut MySqlConnection,
    select: &str,
    reader: &mut dyn Reader,
) -> Result<Read> {
    let rows = sqlx::raw_sql(AssertSqlSafe(select.to_owned())).fetch(&mut *connection);
    pump::<MySqlRow>(rows, reader).await
}

/// The server's own identifier with the database's name; host and port where it has none.
pub(crate) async fn identity(
    connection: &mut MySqlConnection,
    place: &str,
) -> sqlx::Result<String> {
    let asked = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('server_uuid', 'server_uid')";
    let rows = all(connection, asked).await?;
    let server = match rows.first() {
        Some(row) => row.word(1)?,
        None => place,
    };
    let name = one(connection, "SELECT DATABASE()").await?;
    Ok(format!("{server}/{}", name.word(0)?))
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// An account as a grant names it: the server itself shows it without quotation marks, `reader@%`. A host has no `@`.
fn account(shown: &str) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"));
    match shown.rsplit_once('@') {
        Some((user, host)) => format!("{}@{}", quoted(user), quoted(host)),
        None => quoted(shown),
    }
}

async fn run(connection: &mut MySqlConnection, statement: &str) -> sqlx::Result<()> {
    let statement = sqlx::raw_sql(AssertSqlSafe(statement.to_owned()));
    connection.execute(statement).await.map(|_| ())
}

async fn one(connection: &mut MySqlConnection, query: &'static str) -> sqlx::Result<MySqlRow> {
    sqlx::raw_sql(query).fetch_one(connection).await
}

async fn all(connection: &mut MySqlConnection, query: &'static str) -> sqlx::Result<Vec<MySqlRow>> {
    sqlx::raw_sql(query).fetch_all(connection).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_named_as_grants_name_it() {
        for (shown, expected) in [
            ("reader@%", "'reader'@'%'"),
            ("o'brien@10.0.%", "'o''brien'@'10.0.%'"),
            ("me@home@db.lan", "'me@home'@'db.lan'"),
            ("a\\b@%", "'a\\\\b'@'%'"),
            ("@localhost", "''@'localhost'"),
        ] {
            assert_eq!(account(shown), expected);
        }
    }
}
