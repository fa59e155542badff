//! Reading columns: what does not parse is named by table, column and row.

use std::str::FromStr;

use cloakroom_core::coordinates::Coordinate;
use cloakroom_core::ledger::{Damage, LedgerRow, RowState};
use cloakroom_core::platform::SecretName;
use cloakroom_core::{BackendId, Digest, IntentId, Timestamp, ValueKind};
use sqlx::Row as _;
use uuid::Uuid;

use super::Row;
use super::dialect::{self, Db, Id};
use crate::failure::{Failure, corrupt};
use crate::times::written;

/// What [`ledger_row`] reads, from `secrets AS s`.
pub(super) const LEDGER_COLUMNS: &str = "s.backend_id, s.coordinate, s.kind, s.state, s.digest, \
     s.intent, s.once_referenced, s.created_at, s.expires_at, s.unreferenced_since, s.superseded, \
     s.attempts, s.next_attempt_at, s.claimed_by, s.last_error, s.damage";

/// A row of a result, and the table it stands for in errors.
#[derive(Clone, Copy)]
pub(super) struct Reader<'r> {
    pub(super) row: &'r Row,
    pub(super) table: &'static str,
}

impl<'r> Reader<'r> {
    pub(super) fn new(table: &'static str, row: &'r Row) -> Self {
        Self { row, table }
    }

    /// The column as the driver reads it.
    pub(super) fn get<T>(self, column: &'static str) -> Result<T, Failure>
    where
        T: sqlx::Decode<'r, Db> + sqlx::Type<Db>,
    {
        self.row.try_get(column).map_err(|error| match error {
            sqlx::Error::ColumnDecode { .. } => self.corrupt(column),
            other => other.into(),
        })
    }

    pub(super) fn id(self, column: &'static str) -> Result<Uuid, Failure> {
        self.get::<Id>(column).map(dialect::uuid)
    }

    pub(super) fn optional_id(self, column: &'static str) -> Result<Option<Uuid>, Failure> {
        Ok(self.get::<Option<Id>>(column)?.map(dialect::uuid))
    }

    pub(super) fn time(self, column: &'static str) -> Result<Timestamp, Failure> {
        let millis = self.get(column)?;
        written(millis).ok_or_else(|| self.corrupt(column))
    }

    pub(super) fn optional_time(self, column: &'static str) -> Result<Option<Timestamp>, Failure> {
        let millis: Option<i64> = self.get(column)?;
        let time = |millis| written(millis).ok_or_else(|| self.corrupt(column));
        millis.map(time).transpose()
    }

    /// A text as far as it is one, and the error where it is not one wholly.
    pub(super) fn as_far_as_text(
        self,
        column: &'static str,
    ) -> Result<(String, Option<cloakroom_core::Error>), Failure> {
        match or_unreadable(self.get::<String>(column))? {
            Ok(text) => Ok((text, None)),
            Err(error) => {
                let bytes: Vec<u8> = or_unreadable(self.get(column))?.unwrap_or_default();
                let text = String::from_utf8_lossy(&bytes).into_owned();
                Ok((text, Some(error)))
            }
        }
    }

    pub(super) fn count(self, column: &'static str) -> Result<u64, Failure> {
        u64::try_from(self.get::<i64>(column)?).map_err(|_| self.corrupt(column))
    }

    /// The column's text as `parse` reads it.
    pub(super) fn word<T>(
        self,
        column: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, Failure> {
        parse(self.get(column)?).ok_or_else(|| self.corrupt(column))
    }

    /// The same where the column may be empty.
    pub(super) fn optional_word<T>(
        self,
        column: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        let text: Option<&str> = self.get(column)?;
        text.map(|text| parse(text).ok_or_else(|| self.corrupt(column)))
            .transpose()
    }

    pub(super) fn coordinate(self) -> Result<Coordinate, Failure> {
        self.word("coordinate", |text| Coordinate::from_stored(text).ok())
    }

    pub(super) fn secret_name(self) -> Result<SecretName, Failure> {
        self.word("coordinate", parsed)
    }

    pub(super) fn backend(self) -> Result<BackendId, Failure> {
        self.word("backend_id", parsed)
    }

    pub(super) fn corrupt(self, column: &'static str) -> Failure {
        corrupt(self.table, column, &self.identity())
    }

    /// Whatever of the row's keys was selected and can be read.
    fn identity(self) -> String {
        let texts = [
            "backend_id",
            "coordinate",
            "pointer",
            "spec_id",
            "name",
            "base",
        ];
        let ids = ["document_id", "run_id"];
        let texts = texts.into_iter().filter_map(|key| {
            let text: &str = self.row.try_get(key).ok()?;
            Some(format!("{key}={text}"))
        });
        let ids = ids.into_iter().filter_map(|key| {
            let id: Id = self.row.try_get(key).ok()?;
            Some(format!("{key}={id}"))
        });
        texts.chain(ids).collect::<Vec<_>>().join(" ")
    }
}

/// Parses what [`FromStr`] parses.
pub(super) fn parsed<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

pub(super) fn value_kind(word: &str) -> Option<ValueKind> {
    [ValueKind::Text, ValueKind::Json]
        .into_iter()
        .find(|kind| kind.as_str() == word)
}

/// What was read of a row; within it the error, where all that is wrong is that the row cannot be read.
pub(super) fn or_unreadable<T>(
    read: Result<T, Failure>,
) -> Result<cloakroom_core::Result<T>, Failure> {
    match read {
        Ok(read) => Ok(Ok(read)),
        Err(failure) => failure.of_one_row().map(Err),
    }
}

pub(super) fn ledger_row(row: &Row) -> Result<LedgerRow, Failure> {
    let reader = Reader::new("secrets", row);
    Ok(LedgerRow {
        backend: reader.backend()?,
        coordinate: reader.coordinate()?,
        kind: reader.word("kind", value_kind)?,
        state: reader.word("state", RowState::from_word)?,
        digest: reader.word("digest", parsed::<Digest>)?,
        intent: reader.optional_id("intent")?.map(IntentId),
        once_referenced: reader.get("once_referenced")?,
        created: reader.time("created_at")?,
        expires: reader.optional_time("expires_at")?,
        unreferenced_since: reader.optional_time("unreferenced_since")?,
        superseded: reader.get("superseded")?,
        attempts: u32::try_from(reader.get::<i64>("attempts")?)
            .map_err(|_| reader.corrupt("attempts"))?,
        next_attempt: reader.optional_time("next_attempt_at")?,
        claimed_by: reader.get("claimed_by")?,
        last_error: reader.get("last_error")?,
        damage: reader.optional_word("damage", Damage::from_word)?,
    })
}
