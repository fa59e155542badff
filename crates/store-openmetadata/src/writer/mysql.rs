//! MySQL and MariaDB: keys, and updates that look at the text before they change it.

use std::collections::BTreeMap;

use cloakroom_core::SecretValue;
use sqlx::mysql::{MySql, MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, QueryBuilder};

use super::{KeyColumn, RowKey, Swap, Target, Telling, TextColumn, Updated, texts};
use crate::catalog::{Column, Table};
use crate::options::Options;
use crate::rows::Fields as _;

/// Columns of text that can be written: MariaDB's JSON is `longtext`.
const COLUMNS: &str = "SELECT c.COLUMN_NAME FROM information_schema.COLUMNS c \
     WHERE c.TABLE_SCHEMA = DATABASE() AND c.TABLE_NAME = ? AND c.EXTRA NOT LIKE '%VIRTUAL GENERATED%' \
     AND c.EXTRA NOT LIKE '%STORED GENERATED%' AND LOWER(c.DATA_TYPE) IN ('char', 'varchar', 'tinytext', 'text', 'mediumtext', 'longtext', \
     'json') ORDER BY c.ORDINAL_POSITION";

/// The columns of every unique index, with their types; the primary key first. One with a prefix of a
/// column, an expression or another type tells rows apart in ways that a question cannot.
const KEYS: &str = "SELECT s.INDEX_NAME, s.COLUMN_NAME, LOWER(c.DATA_TYPE), s.SUB_PART IS NULL, \
     CASE WHEN c.IS_NULLABLE = 'YES' THEN '1' ELSE '0' END \
     FROM information_schema.STATISTICS s LEFT JOIN information_schema.COLUMNS c \
     ON c.TABLE_SCHEMA = s.TABLE_SCHEMA AND c.TABLE_NAME = s.TABLE_NAME \
     AND c.COLUMN_NAME = s.COLUMN_NAME \
     WHERE s.TABLE_SCHEMA = DATABASE() AND s.TABLE_NAME = ? AND s.NON_UNIQUE = 0 \
     ORDER BY s.INDEX_NAME = 'PRIMARY' DESC, s.INDEX_NAME, s.SEQ_IN_INDEX";

/// Columns that an update would set to the time it happens at.
const KEPT: &str = "SELECT c.COLUMN_NAME FROM information_schema.COLUMNS c \
     WHERE c.TABLE_SCHEMA = DATABASE() AND c.TABLE_NAME = ? AND c.EXTRA LIKE '%on update%' \
     ORDER BY c.ORDINAL_POSITION";

const TEXT: &[&str] = &["char", "varchar"];
const WHOLE: &[&str] = &["tinyint", "smallint", "mediumint", "int", "bigint"];

/// Every statement is prepared once and kept, which its text has to allow: to close one the driver sends
/// what has no answer, and whatever it sends next then waits for the server's delayed acknowledgement.
pub(crate) struct MySqlWriter {
    connection: MySqlConnection,
}

impl MySqlWriter {
    pub(super) async fn new(
        mut connection: MySqlConnection,
        options: &Options,
    ) -> sqlx::Result<Self> {
        let lock = options.lock_timeout.as_secs().max(1);
        let settings = format!(
            "SET SESSION innodb_lock_wait_timeout = {lock}, SESSION lock_wait_timeout = {lock}"
        );
        let settings = sqlx::raw_sql(AssertSqlSafe(settings));
        connection.execute(settings).await?;
        Ok(Self { connection })
    }

    pub(super) async fn target(&mut self, table: &Table) -> sqlx::Result<Result<Target, String>> {
        let asked = |query| sqlx::query(query).bind(table.name.clone());
        let mut columns = Vec::new();
        for row in asked(COLUMNS).fetch_all(&mut self.connection).await? {
            columns.extend(table.column(row.word(0)?).map(column));
        }
        let mut kept = Vec::new();
        for row in asked(KEPT).fetch_all(&mut self.connection).await? {
            kept.push(quoted(row.word(0)?));
        }
        let rows = asked(KEYS).fetch_all(&mut self.connection).await?;
        Ok(key(&rows)?
            .map(|(key, telling)| Target {
                shown: table.shown(),
                quoted: table.quoted.clone(),
                from: table.from.clone(),
                key,
                telling,
                kept,
                columns,
            })
            .ok_or_else(|| {
                "nothing tells its rows apart: give it a primary key of text or whole numbers"
                    .to_owned()
            }))
    }

    pub(super) async fn try_out(&mut self, update: String) -> sqlx::Result<()> {
        let mut transaction = self.connection.begin().await?;
        transaction
            .execute(sqlx::raw_sql(AssertSqlSafe(update)))
            .await?;
        transaction.rollback().await
    }

    /// Nothing is read in the transaction but what it has locked: an update then sees what is committed at its moment.
    pub(super) async fn swap(
        &mut self,
        target: &Target,
        rows: &[Swap],
    ) -> sqlx::Result<Vec<Updated>> {
        let mut transaction = self.connection.begin().await?;
        let mut written = Vec::with_capacity(rows.len());
        for row in rows {
            let mut update = update(target, row);
            let done = update.build().execute(&mut *transaction).await?;
            if done.rows_affected() == 0 {
                written.push(Updated::Nothing);
                continue;
            }
            // What a trigger made of it.
            let mut as_before = as_before(target, row);
            let found = as_before.build().fetch_optional(&mut *transaction);
            written.push(match found.await? {
                Some(_) => Updated::InVain,
                None => Updated::Row,
            });
        }
        transaction.commit().await?;
        Ok(written)
    }

    pub(super) async fn read(
        &mut self,
        target: &Target,
        key: &RowKey,
    ) -> sqlx::Result<Option<Vec<Option<SecretValue>>>> {
        let mut select = QueryBuilder::<MySql>::new(target.select());
        push_key(&mut select, target, key);
        let row = select.build().fetch_optional(&mut self.connection);
        let row = row.await?;
        row.map(|row| texts(target, &row)).transpose()
    }

    pub(super) async fn close(self) -> sqlx::Result<()> {
        self.connection.close().await
    }
}

fn column(known: &Column) -> TextColumn {
    TextColumn {
        name: known.name.clone(),
        quoted: known.value.clone(),
        kind: String::new(),
        value: known.value.clone(),
        fits: known.fits.clone(),
    }
}

/// The first index all of whose columns can be asked for.
fn key(rows: &[MySqlRow]) -> sqlx::Result<Option<(Vec<KeyColumn>, Telling)>> {
    let mut order = Vec::new();
    let mut keys: BTreeMap<&str, Option<(Vec<KeyColumn>, Telling)>> = BTreeMap::new();
    for row in rows {
        let (index, kind) = (row.word(0)?, row.word(2)?);
        let key = keys.entry(index).or_insert_with(|| {
            order.push(index);
            Some((Vec::new(), Telling::Surely))
        });
        let is_whole = WHOLE.contains(&kind);
        let whole_column: Option<i64> = sqlx::Row::try_get_unchecked(row, 3)?;
        if whole_column != Some(1) || !(is_whole || TEXT.contains(&kind)) {
            *key = None;
        } else if let Some((key, telling)) = key {
            if row.is_true(4)? {
                *telling = Telling::WhereThereIsAKey;
            }
            let quoted = quoted(row.word(1)?);
            key.push(KeyColumn {
                text: format!("CONCAT({quoted}, '')"),
                quoted,
                kind: if is_whole { "whole" } else { "text" }.to_owned(),
            });
        }
    }
    let mut known = order.into_iter().filter_map(|index| keys.remove(index)?);
    Ok(known.next())
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

fn update(target: &Target, row: &Swap) -> QueryBuilder<MySql> {
    let mut update = QueryBuilder::new(format!("UPDATE {} SET ", target.quoted));
    for (index, change) in row.changes.iter().enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        let quoted = &target.columns[change.column].quoted;
        update.push(format_args!("{comma}{quoted} = "));
        update.push_bind(change.new.expose_text().unwrap_or_default());
    }
    for column in &target.kept {
        update.push(format_args!(", {column} = {column}"));
    }
    push_key(&mut update, target, &row.key);
    push_old(&mut update, [" AND ", " AND "], target, row);
    update
}

/// The row where any column says what it said; it is locked already, and another reading would be of a snapshot.
fn as_before(target: &Target, row: &Swap) -> QueryBuilder<MySql> {
    let mut select = QueryBuilder::new(format!("SELECT 1 FROM {}", target.quoted));
    push_key(&mut select, target, &row.key);
    push_old(&mut select, [" AND (", " OR "], target, row);
    select.push(") FOR UPDATE");
    select
}

/// Whether columns say what they said, with one word in front and another one between them.
fn push_old(
    query: &mut QueryBuilder<MySql>,
    [before, between]: [&str; 2],
    target: &Target,
    row: &Swap,
) {
    for (index, change) in row.changes.iter().enumerate() {
        let quoted = &target.columns[change.column].quoted;
        let joint = if index == 0 { before } else { between };
        // Byte by byte: a column's own collation may take two texts for one.
        query.push(format_args!(
            "{joint}CAST(CONVERT({quoted} USING utf8mb4) AS BINARY) = "
        ));
        query.push_bind(change.old.expose());
    }
}

fn push_key(query: &mut QueryBuilder<MySql>, target: &Target, key: &RowKey) {
    for (index, (column, part)) in target.key.iter().zip(&key.0).enumerate() {
        let word = if index == 0 { "WHERE" } else { "AND" };
        query.push(format_args!(" {word} {} = ", column.quoted));
        // As text a whole number would be compared as one with a fraction.
        if column.kind != "whole" {
            query.push_bind(part.clone());
        } else if let Ok(number) = part.parse::<i64>() {
            query.push_bind(number);
        } else if let Ok(number) = part.parse::<u64>() {
            query.push_bind(number);
        } else {
            query.push_bind(part.clone());
        }
    }
}
