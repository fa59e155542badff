//! Rows changed by compare-and-swap: a row is written only if it still says what it said when it was
//! read, whoever else writes meanwhile.

mod mysql;
mod postgres;

use cloakroom_core::{Result, SecretValue};
use sqlx::Connection as _;
use sqlx::mysql::MySqlConnection;
use sqlx::postgres::PgConnection;

use crate::catalog::Table;
use crate::connect::Address;
use crate::failure::{self, invalid, unavailable};
use crate::options::Options;
use crate::rows::Fields;
use mysql::MySqlWriter;
use postgres::PgWriter;

/// A table as rows of it are addressed and written.
#[derive(Debug)]
pub(crate) struct Target {
    /// As reports show it.
    pub(crate) shown: String,
    /// As an UPDATE names it.
    quoted: String,
    /// What its rows are selected from.
    from: String,
    /// What tells its rows apart.
    key: Vec<KeyColumn>,
    /// How far that can be relied on.
    pub(crate) telling: Telling,
    /// Columns that the server would change by itself, and that keep what they have.
    kept: Vec<String>,
    /// The columns of text that can be written.
    pub(crate) columns: Vec<TextColumn>,
}

/// How rows are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Telling {
    /// By a key that every row has.
    Surely,
    /// By a key that may be NULL.
    WhereThereIsAKey,
    /// By where a row stands, until it is written again.
    ByPlace,
}

/// A column of a key.
#[derive(Debug)]
struct KeyColumn {
    quoted: String,
    /// An expression for its text.
    text: String,
    /// What its text is turned into to be compared with it.
    kind: String,
}

/// A column of text.
#[derive(Debug)]
pub(crate) struct TextColumn {
    pub(crate) name: String,
    quoted: String,
    /// The type a parameter is turned into.
    kind: String,
    /// An expression for its text, and one for whether it is small enough to be read.
    value: String,
    fits: String,
}

/// What tells a row from the others, as text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct RowKey(Vec<String>);

/// A row as it is to be written. Column by index in [`Target::columns`].
pub(crate) struct Swap {
    pub(crate) key: RowKey,
    /// At least one; what it said, and what it is to say.
    pub(crate) changes: Vec<Change>,
}

impl RowKey {
    /// As a journal keeps it.
    pub(crate) fn written(&self) -> Result<String> {
        serde_json::to_string(&self.0).map_err(|_| invalid("a row's key cannot be written down"))
    }

    /// As a person reads what was written so.
    pub(crate) fn shown(text: &str) -> String {
        Self::read(text).map_or_else(|_| text.to_owned(), |key| key.0.join(", "))
    }

    /// The key that was written so.
    pub(crate) fn read(text: &str) -> Result<Self> {
        let parts = serde_json::from_str(text);
        parts
            .map(Self)
            .map_err(|_| invalid("a row's key that was written down is none"))
    }
}

impl Swap {
    /// How many bytes it has.
    pub(crate) fn bytes(&self) -> usize {
        let changes = self.changes.iter();
        changes.map(|it| it.old.len() + it.new.len()).sum()
    }
}

/// A column of a row.
pub(crate) struct Change {
    pub(crate) column: usize,
    pub(crate) old: SecretValue,
    pub(crate) new: SecretValue,
}

/// How it ended for one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Swapped {
    /// It is written.
    Written,
    /// It says something else by now, or is gone.
    Changed,
    /// Somebody else holds it; it stands as before.
    Busy,
    /// The server does not take it, for this reason; it stands as before.
    Refused(String),
}

/// What an update did.
#[derive(Clone, Copy)]
enum Updated {
    Row,
    /// There is no such row, or it says something else.
    Nothing,
    /// The row, or a column of it, says what it said before.
    InVain,
}

/// How rows that are written together ended.
enum Together {
    /// Each for itself, in their order.
    Each(Vec<Updated>),
    /// None was written: one of them was in the way.
    Undone(Hitch),
}

/// Why the server did not write.
enum Hitch {
    /// Somebody else holds a row.
    Busy,
    Refused(String),
}

/// A connection that may write.
pub(crate) enum Writer {
    Postgres(PgWriter),
    MySql(MySqlWriter),
}

impl Target {
    /// The question for rows: their keys, then the columns.
    pub(crate) fn select(&self) -> String {
        let keys = self.key.iter().map(|it| it.text.clone());
        let values = self.columns.iter();
        let values = values.map(|it| format!("CASE WHEN {} THEN {} END", it.fits, it.value));
        let all: Vec<String> = keys.chain(values).collect();
        format!("SELECT {} FROM {}", all.join(", "), self.from)
    }

    /// The question for how many rows there are, as text.
    pub(crate) fn select_count(&self) -> String {
        format!("SELECT concat(count(*)) FROM {}", self.from)
    }

    /// Keeps the columns of these names, and gives back the names of those it has not.
    pub(crate) fn keep(&mut self, names: &[String]) -> Vec<String> {
        self.columns.retain(|it| names.contains(&it.name));
        let kept = |name: &&String| self.columns.iter().any(|it| it.name == **name);
        names.iter().filter(|it| !kept(it)).cloned().collect()
    }

    /// A row's key; `None` where a part of it is NULL, so that it tells nothing.
    pub(crate) fn key(&self, row: &dyn Fields) -> Result<Option<RowKey>> {
        let part = |index| row.text(index).map_err(failure::error);
        let mut parts = Vec::with_capacity(self.key.len());
        for index in 0..self.key.len() {
            match part(index)? {
                Some(part) => parts.push(part.to_owned()),
                None => return Ok(None),
            }
        }
        Ok(Some(RowKey(parts)))
    }

    /// The bytes of a column of a row.
    pub(crate) fn column<'r>(&self, row: &'r dyn Fields, index: usize) -> Result<Option<&'r [u8]>> {
        let field = row.field(self.key.len() + index);
        field.map_err(failure::error)
    }
}

impl Writer {
    pub(crate) async fn open(options: &Options, address: &Address) -> Result<Self> {
        let connecting = async {
            Ok(match address {
                Address::Postgres(address) => {
                    let connection = PgConnection::connect_with(address).await?;
                    Self::Postgres(PgWriter::new(connection, options))
                }
                Address::MySql(address) => {
                    let connection = MySqlConnection::connect_with(address).await?;
                    Self::MySql(MySqlWriter::new(connection, options).await?)
                }
            })
        };
        match tokio::time::timeout(options.connect_timeout, connecting).await {
            Ok(connected) => connected.map_err(failure::error),
            Err(_) => Err(unavailable("no connection to the database in time")),
        }
    }

    /// How the rows of a table are addressed and written, or why they cannot be.
    pub(crate) async fn target(&mut self, table: &Table) -> Result<Result<Target, String>> {
        let target = match self {
            Self::Postgres(it) => it.target(table).await,
            Self::MySql(it) => it.target(table).await,
        };
        target.map_err(failure::error)
    }

    /// Why the role may not write the columns, if so: the server is asked to change no row at all.
    pub(crate) async fn hindered(&mut self, target: &Target) -> Result<Option<String>> {
        let quoted = target.columns.iter().map(|it| &it.quoted);
        let quoted = quoted.chain(&target.kept);
        let sets: Vec<String> = quoted.map(|it| format!("{it} = {it}")).collect();
        let update = format!(
            "UPDATE {} SET {} WHERE 1 = 0",
            target.quoted,
            sets.join(", ")
        );
        let tried = match self {
            Self::Postgres(it) => it.try_out(update).await,
            Self::MySql(it) => it.try_out(update).await,
        };
        match tried {
            Ok(()) => Ok(None),
            Err(error) => failure::refusal(&error)
                .map(Some)
                .ok_or_else(|| failure::error(error)),
        }
    }

    /// Writes rows in one transaction; where one of them is in the others' way, each for itself.
    ///
    /// # Errors
    /// `Unavailable` where the connection is lost: whether the last ones are written is not known.
    pub(crate) async fn swap(&mut self, target: &Target, rows: &[Swap]) -> Result<Vec<Swapped>> {
        if rows.iter().any(|it| it.changes.is_empty()) {
            return Err(invalid("a row without a change cannot be written"));
        }
        if let Together::Each(written) = self.together(target, rows).await? {
            return Ok(written.into_iter().map(Swapped::of).collect());
        }
        let mut ends = Vec::with_capacity(rows.len());
        for row in rows {
            let end = self.together(target, std::slice::from_ref(row)).await?;
            ends.push(match end {
                Together::Each(written) => {
                    let written = written.into_iter().next();
                    written.map_or(Swapped::Changed, Swapped::of)
                }
                Together::Undone(Hitch::Busy) => Swapped::Busy,
                Together::Undone(Hitch::Refused(reason)) => Swapped::Refused(reason),
            });
        }
        Ok(ends)
    }

    async fn together(&mut self, target: &Target, rows: &[Swap]) -> Result<Together> {
        let written = match self {
            Self::Postgres(it) => it.swap(target, rows).await,
            Self::MySql(it) => it.swap(target, rows).await,
        };
        match written {
            Ok(written) => Ok(Together::Each(written)),
            Err(error) if failure::is_contention(&error) => Ok(Together::Undone(Hitch::Busy)),
            Err(error) => failure::refusal(&error)
                .map(|reason| Together::Undone(Hitch::Refused(reason)))
                .ok_or_else(|| failure::error(error)),
        }
    }

    /// The columns of one row as they are now; `None` where it is gone.
    pub(crate) async fn read(
        &mut self,
        target: &Target,
        key: &RowKey,
    ) -> Result<Option<Vec<Option<SecretValue>>>> {
        let read = match self {
            Self::Postgres(it) => it.read(target, key).await,
            Self::MySql(it) => it.read(target, key).await,
        };
        read.map_err(failure::error)
    }

    pub(crate) async fn close(self) {
        // Everything was committed or taken back.
        let _ = match self {
            Self::Postgres(it) => it.close().await,
            Self::MySql(it) => it.close().await,
        };
    }
}

impl Swapped {
    fn of(updated: Updated) -> Self {
        match updated {
            Updated::Row => Self::Written,
            Updated::Nothing => Self::Changed,
            Updated::InVain => Self::Refused(
                "the server takes the new text and keeps the old one: a trigger of the table restores it; switch it off \
                 for as long as this takes"
                    .to_owned(),
            ),
        }
    }
}

/// The columns of a row behind its key.
fn texts(target: &Target, row: &dyn Fields) -> sqlx::Result<Vec<Option<SecretValue>>> {
    let first = target.key.len();
    (0..target.columns.len())
        .map(|index| {
            let bytes = row.field(first + index)?;
            Ok(bytes.map(|it| SecretValue::new(it.to_vec())))
        })
        .collect()
}
