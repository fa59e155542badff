//! What tables are made of, to tell whether one was rewritten, replaced or emptied since the snapshot was
//! taken: its rows of before are out of sight then, and it looks as if it had none.

use std::collections::HashMap;

use cloakroom_core::Result;
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use crate::failure;

/// Each table by its number: its name, the file that has its rows, which table it is a partition of since
/// when, and the numbers of its columns. One that is no partition any more is not read through the table at
/// the top.
pub(crate) struct Shapes(HashMap<i64, String>);

const SHAPES: &str = "SELECT c.oid::bigint, concat_ws(' ', format('%I.%I', n.nspname, c.relname), \
     c.relfilenode, (SELECT format('%s %s', i.inhparent, i.xmin) FROM pg_catalog.pg_inherits i \
     WHERE c.relispartition AND i.inhrelid = c.oid), (SELECT string_agg(format('%s %I', a.attnum, a.attname), ', ' ORDER BY a.attnum) \
     FROM pg_catalog.pg_attribute a \
     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)) \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relkind IN ('r', 'p', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')";

impl Shapes {
    /// As the running transaction sees them.
    pub(crate) async fn load(connection: &mut PgConnection) -> Result<Self> {
        let rows = sqlx::query(SHAPES).fetch_all(connection).await;
        let rows = rows.map_err(failure::error)?;
        let shape = |row: &sqlx::postgres::PgRow| Ok((row.try_get(0)?, row.try_get(1)?));
        let shapes: sqlx::Result<_> = rows.iter().map(shape).collect();
        shapes.map(Self).map_err(failure::error)
    }

    /// Whether a table of these is the same in `later`.
    pub(crate) fn is_unchanged(&self, later: &Self, table: i64) -> bool {
        let before = self.0.get(&table);
        before.is_some() && before == later.0.get(&table)
    }
}
