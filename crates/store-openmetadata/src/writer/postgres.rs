//! PostgreSQL: keys, and updates that look at the text before they change it.

use cloakroom_core::SecretValue;
use sqlx::postgres::{PgConnection, PgRow, Postgres};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, QueryBuilder, Row as _, Transaction};

use super::{KeyColumn, RowKey, Swap, Target, Telling, TextColumn, Updated, texts};
use crate::catalog::Table;
use crate::options::Options;
use crate::rows::Fields as _;

/// Columns of text that can be written, and the type that a parameter is turned into.
const COLUMNS: &str = "SELECT a.attname::text, quote_ident(a.attname), \
     format_type(a.atttypid, a.atttypmod) FROM pg_catalog.pg_attribute a \
     WHERE a.attrelid = $1::text::regclass AND a.attnum > 0 AND NOT a.attisdropped \
     AND a.attgenerated = '' AND a.atttypid IN ('text'::regtype, 'varchar'::regtype, \
     'bpchar'::regtype, 'json'::regtype, 'jsonb'::regtype) ORDER BY a.attnum";

/// The columns of the primary key, or else of a unique index that has no NULL.
const KEY: &str = "SELECT quote_ident(a.attname), format_type(a.atttypid, a.atttypmod) \
     FROM (SELECT (i.indkey::int2[])[0:i.indnkeyatts - 1] AS numbers FROM pg_catalog.pg_index i \
     WHERE i.indrelid = $1::text::regclass AND i.indisunique AND i.indisvalid \
     AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL \
     AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_attribute n WHERE n.attrelid = i.indrelid \
     AND n.attnum = ANY (i.indkey::int2[]) AND NOT n.attnotnull) \
     ORDER BY i.indisprimary DESC, i.indexrelid LIMIT 1) AS k \
     CROSS JOIN LATERAL unnest(k.numbers) WITH ORDINALITY AS c (number, place) \
     JOIN pg_catalog.pg_attribute a ON a.attrelid = $1::text::regclass AND a.attnum = c.number \
     ORDER BY c.place";

/// A connection, and what each of its transactions begins with.
pub(crate) struct PgWriter {
    connection: PgConnection,
    settings: String,
}

impl PgWriter {
    pub(super) fn new(connection: PgConnection, options: &Options) -> Self {
        let statement = options.statement_timeout.as_millis().min(2_000_000_000);
        let lock = options.lock_timeout.as_millis().min(2_000_000_000);
        Self {
            connection,
            settings: format!(
                "SET LOCAL search_path = ''; SET LOCAL row_security = off; \
                 SET LOCAL statement_timeout = {statement}; SET LOCAL lock_timeout = {lock}"
            ),
        }
    }

    async fn begin(&mut self) -> sqlx::Result<Transaction<'_, Postgres>> {
        let mut transaction = self.connection.begin().await?;
        let settings = sqlx::raw_sql(AssertSqlSafe(self.settings.clone()));
        transaction.execute(settings).await?;
        Ok(transaction)
    }

    pub(super) async fn target(&mut self, table: &Table) -> sqlx::Result<Result<Target, String>> {
        if table.from == table.quoted {
            let told = "it is a view: REFRESH it once the tables that it is made of are done";
            return Ok(Err(told.to_owned()));
        }
        let mut transaction = self.begin().await?;
        let asked = |query| {
            sqlx::query(query)
                .persistent(false)
                .bind(table.quoted.clone())
        };
        let mut columns = Vec::new();
        for row in asked(COLUMNS).fetch_all(&mut *transaction).await? {
            let known = table.column(row.word(0)?);
            columns.extend(known.map(|known| column(&row, known)).transpose()?);
        }
        let mut key = Vec::new();
        for row in asked(KEY).fetch_all(&mut *transaction).await? {
            key.push(key_column(row.word(0)?, row.word(1)?));
        }
        transaction.rollback().await?;
        let telling = if key.is_empty() {
            key.push(key_column("ctid", "tid"));
            Telling::ByPlace
        } else {
            Telling::Surely
        };
        Ok(Ok(Target {
            shown: table.shown(),
            quoted: table.from.clone(),
            from: table.from.clone(),
            key,
            telling,
            kept: Vec::new(),
            columns,
        }))
    }

    pub(super) async fn try_out(&mut self, update: String) -> sqlx::Result<()> {
        let mut transaction = self.begin().await?;
        transaction
            .execute(sqlx::raw_sql(AssertSqlSafe(update)))
            .await?;
        transaction.rollback().await
    }

    pub(super) async fn swap(
        &mut self,
        target: &Target,
        rows: &[Swap],
    ) -> sqlx::Result<Vec<Updated>> {
        let mut transaction = self.begin().await?;
        let mut written = Vec::with_capacity(rows.len());
        for row in rows {
            let mut update = update(target, row);
            let query = update.build().persistent(false);
            let done = query.fetch_optional(&mut *transaction).await?;
            let is_as_before = done.map(|done| done.try_get(0)).transpose()?;
            written.push(match is_as_before {
                None => Updated::Nothing,
                Some(true) => Updated::InVain,
                Some(false) if is_restored(&mut transaction, target, row).await? => Updated::InVain,
                Some(false) => Updated::Row,
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
        let mut transaction = self.begin().await?;
        let mut select = QueryBuilder::<Postgres>::new(target.select());
        push_key(&mut select, target, key);
        let query = select.build().persistent(false);
        let row = query.fetch_optional(&mut *transaction).await?;
        transaction.rollback().await?;
        row.map(|row| texts(target, &row)).transpose()
    }

    pub(super) async fn close(self) -> sqlx::Result<()> {
        self.connection.close().await
    }
}

fn key_column(quoted: &str, kind: &str) -> KeyColumn {
    KeyColumn {
        quoted: quoted.to_owned(),
        text: format!("{quoted}::text"),
        kind: kind.to_owned(),
    }
}

fn column(row: &PgRow, known: &crate::catalog::Column) -> sqlx::Result<TextColumn> {
    Ok(TextColumn {
        name: known.name.clone(),
        quoted: row.word(1)?.to_owned(),
        kind: row.word(2)?.to_owned(),
        value: known.value.clone(),
        fits: known.fits.clone(),
    })
}

fn update(target: &Target, row: &Swap) -> QueryBuilder<Postgres> {
    let mut update = QueryBuilder::new(format!("UPDATE {} SET ", target.quoted));
    for (index, change) in row.changes.iter().enumerate() {
        let column = &target.columns[change.column];
        let comma = if index > 0 { ", " } else { "" };
        update.push(format_args!("{comma}{} = CAST(CAST(", column.quoted));
        push_text(&mut update, &change.new);
        update.push(format_args!(" AS text) AS {})", column.kind));
    }
    push_key(&mut update, target, &row.key);
    push_old(&mut update, [" AND ", " AND "], target, row);
    // What a trigger made of it before it was written.
    push_old(&mut update, [" RETURNING ", " OR "], target, row);
    update
}

/// Whether a trigger has written a row again behind its update. Where a row stands by then is not known.
async fn is_restored(
    transaction: &mut Transaction<'_, Postgres>,
    target: &Target,
    row: &Swap,
) -> sqlx::Result<bool> {
    if target.telling == Telling::ByPlace {
        return Ok(false);
    }
    let mut as_before = QueryBuilder::new("SELECT");
    push_old(&mut as_before, [" ", " OR "], target, row);
    as_before.push(format_args!(" FROM {}", target.from));
    push_key(&mut as_before, target, &row.key);
    let query = as_before.build().persistent(false);
    let found = query.fetch_optional(&mut **transaction).await?;
    let is_as_before = found.map(|found| found.try_get(0)).transpose()?;
    Ok(is_as_before.unwrap_or_default())
}

/// Whether columns say what they said, with one word in front and another one between them.
fn push_old(
    query: &mut QueryBuilder<Postgres>,
    [before, between]: [&str; 2],
    target: &Target,
    row: &Swap,
) {
    for (index, change) in row.changes.iter().enumerate() {
        let quoted = &target.columns[change.column].quoted;
        let joint = if index == 0 { before } else { between };
        // Byte by byte: a column's own collation may take two texts for one.
        query.push(format_args!(
            "{joint}COALESCE(({quoted}::text) COLLATE \"C\" = CAST("
        ));
        push_text(query, &change.old);
        query.push(" AS text), FALSE)");
    }
}

fn push_key(query: &mut QueryBuilder<Postgres>, target: &Target, key: &RowKey) {
    for (index, (column, part)) in target.key.iter().zip(&key.0).enumerate() {
        let word = if index == 0 { "WHERE" } else { "AND" };
        query.push(format_args!(" {word} {} = CAST(CAST(", column.quoted));
        query.push_bind(part.clone());
        query.push(format_args!(" AS text) AS {})", column.kind));
    }
}

/// What the server sent as text is text.
fn push_text(query: &mut QueryBuilder<Postgres>, text: &SecretValue) {
    query.push_bind(text.expose_text().unwrap_or_default());
}
