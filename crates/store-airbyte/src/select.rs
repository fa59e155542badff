//! What is asked of one table: everything in it that could hold a name, and what its rows are.

use cloakroom_core::platform::MentionKind;

use crate::catalog::{Catalog, Column, Kind, Table};
use crate::known::{self, Role};
use crate::options::Options;
use crate::types::Reading;

/// Values of at most so many bytes as stored are read without asking for their length as text,
/// which would write them out twice. Even what compresses best stays small enough.
const SMALL: u32 = 256 * 1024;

/// The fields of each row.
pub(crate) const ID: usize = 0;
pub(crate) const TITLE: usize = 1;
pub(crate) const WORKSPACE: usize = 2;
pub(crate) const TOMBSTONE: usize = 3;
pub(crate) const VERSION: usize = 4;
pub(crate) const DEFINITION: usize = 5;
/// Whether a value was too large to be read; it is NULL then.
pub(crate) const TOO_LARGE: usize = 6;
/// The first of the table's own columns.
pub(crate) const FIRST: usize = 7;

/// A table's question.
pub(crate) struct Select {
    pub(crate) sql: String,
    pub(crate) kind: MentionKind,
    pub(crate) columns: Vec<Selected>,
    /// Which of the columns holds the coordinate that a row is about, in an index.
    pub(crate) index: Option<usize>,
    /// Whether its coordinates are told with their storages where the references are read.
    pub(crate) is_told_with_references: bool,
}

/// One of the columns.
pub(crate) struct Selected {
    /// As `schema.table.column`.
    pub(crate) shown: String,
    pub(crate) reading: Reading,
    pub(crate) role: Role,
}

impl Select {
    pub(crate) fn of(catalog: &Catalog, table: &Table, options: &Options) -> Self {
        let schema = &options.schema;
        let index_column = known::index_column(catalog, schema, table);
        let mut columns = Vec::new();
        let mut values = Vec::new();
        let mut index = None;
        for column in table.telling().filter(|it| it.readable) {
            let Some(reading) = column.reading else {
                continue;
            };
            if index_column.is_some_and(|it| it.name == column.name) {
                index = Some(columns.len());
            }
            values.push(Value::of(column, reading, options.max_value));
            columns.push(Selected {
                shown: format!("{}.{}", table.shown(), column.name),
                reading,
                role: known::role(schema, table, column, index_column.is_some()),
            });
        }
        let about = known::about(catalog, schema, table);
        let too_large: Vec<String> = values
            .iter()
            .map(|it| format!("({}) IS FALSE", it.fits))
            .collect();
        let shown: Vec<String> = values.into_iter().map(|it| it.shown).collect();
        let only = if table.kind == Kind::Table {
            "ONLY "
        } else {
            ""
        };
        let sql = format!(
            "SELECT {}, {}, {}, {}, {}, {}, {}, {} FROM {only}{} t",
            about.id,
            about.title,
            about.workspace,
            about.tombstone,
            about.version,
            about.definition,
            too_large.join(" OR "),
            shown.join(", "),
            table.quoted,
        );
        Self {
            sql,
            kind: known::kind(schema, table),
            columns,
            is_told_with_references: index.is_some() && known::is_config(schema, table),
            index,
        }
    }
}

struct Value {
    /// Whether it is small enough to be read; NULL where it is NULL.
    fits: String,
    /// The value, or NULL where it is too large.
    shown: String,
}

impl Value {
    fn of(column: &Column, reading: Reading, most: u32) -> Self {
        let name = format!("t.{}", column.quoted);
        let fits = if reading.has_cheap_length() {
            format!("octet_length({name}) <= {most}")
        } else {
            let small = SMALL.min(most);
            format!("pg_column_size({name}) <= {small} OR octet_length({name}::text) <= {most}")
        };
        let converted = if reading == Reading::Converted {
            format!("{name}::text")
        } else {
            name
        };
        Self {
            shown: format!("CASE WHEN {fits} THEN {converted} END"),
            fits,
        }
    }
}
