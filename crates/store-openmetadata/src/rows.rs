//! Rows as they come, whichever server sends them; nothing is kept of them.

use async_trait::async_trait;
use cloakroom_core::Result;
use futures_util::{Stream, TryStreamExt as _};
use sqlx::Row as _;
use sqlx::mysql::MySqlRow;
use sqlx::postgres::PgRow;

use crate::failure;

/// A row whose fields are text or bytes.
pub(crate) trait Fields {
    /// A field's bytes; `None` is NULL. An error means that the server sent something else.
    fn field(&self, index: usize) -> sqlx::Result<Option<&[u8]>>;

    /// A field's text.
    fn text(&self, index: usize) -> sqlx::Result<Option<&str>> {
        let told = |source: std::str::Utf8Error| sqlx::Error::ColumnDecode {
            index: index.to_string(),
            source: source.into(),
        };
        self.field(index)?
            .map(|it| std::str::from_utf8(it).map_err(told))
            .transpose()
    }

    /// A field's text, empty where it is NULL.
    fn word(&self, index: usize) -> sqlx::Result<&str> {
        Ok(self.text(index)?.unwrap_or_default())
    }

    /// Whether a field says so, in either server's way of saying it.
    fn is_true(&self, index: usize) -> sqlx::Result<bool> {
        Ok(matches!(self.field(index)?, Some(b"1" | b"t" | b"true")))
    }
}

impl Fields for PgRow {
    fn field(&self, index: usize) -> sqlx::Result<Option<&[u8]>> {
        let text: Option<&str> = self.try_get_unchecked(index)?;
        Ok(text.map(str::as_bytes))
    }
}

impl Fields for MySqlRow {
    fn field(&self, index: usize) -> sqlx::Result<Option<&[u8]>> {
        self.try_get_unchecked(index)
    }
}

/// What becomes of the rows.
#[async_trait]
pub(crate) trait Reader: Send {
    /// Takes a row; its bytes are gone afterwards.
    fn row(&mut self, row: &dyn Fields) -> Result<()>;

    /// Whether [`settle`](Self::settle) is to be called before the next row.
    fn is_full(&self) -> bool;

    /// Hands on what was made of the rows.
    async fn settle(&mut self) -> Result<()>;
}

/// How a read ended.
#[derive(Debug)]
pub(crate) enum Read {
    /// Every row was read.
    Whole,
    /// It was not, for this reason; other tables can still be read.
    Hindered(String),
}

/// Hands every row to the reader. One of the reader's own errors, or a server's that leaves nothing
/// readable, ends everything.
pub(crate) async fn pump<R: Fields + Send>(
    mut rows: impl Stream<Item = sqlx::Result<R>> + Send + Unpin,
    reader: &mut dyn Reader,
) -> Result<Read> {
    loop {
        match rows.try_next().await {
            Ok(Some(row)) => {
                reader.row(&row)?;
                drop(row);
                if reader.is_full() {
                    reader.settle().await?;
                }
            }
            Ok(None) => return Ok(Read::Whole),
            Err(error) => {
                let reason = failure::hindrance(&error);
                return reason
                    .map(Read::Hindered)
                    .ok_or_else(|| failure::error(error));
            }
        }
    }
}
