//! `COPY … TO STDOUT (FORMAT binary)`: rows as they come, nothing kept of them.
//!
//! The format: a header, then for each row a count of fields and for each field a length and its
//! bytes (-1: NULL), all big-endian; a count of -1 ends it.

use std::ops::Range;

use async_trait::async_trait;
use cloakroom_core::{Error, ErrorKind, Result};
use futures_util::TryStreamExt as _;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _};
use uuid::Uuid;

use crate::failure::{self, OPERATION};

/// What becomes of the rows.
#[async_trait]
pub(crate) trait Reader: Send {
    /// Takes a row; its bytes are gone afterwards.
    fn row(&mut self, row: &Row<'_>) -> Result<()>;

    /// Whether [`settle`](Self::settle) is to be called before the next row.
    fn is_full(&self) -> bool {
        false
    }

    /// Hands on what was made of the rows.
    async fn settle(&mut self) -> Result<()> {
        Ok(())
    }
}

/// How a read ended.
#[derive(Debug)]
pub(crate) enum Read {
    /// Every row was read.
    Whole,
    /// It was not, for this reason; other tables can still be read.
    Hindered(String),
}

/// One row of a `COPY`.
pub(crate) struct Row<'a> {
    bytes: &'a [u8],
    fields: &'a [Option<Range<usize>>],
}

impl<'a> Row<'a> {
    /// The bytes of a field; `None` is NULL.
    pub(crate) fn field(&self, index: usize) -> Option<&'a [u8]> {
        let range = self.fields.get(index)?.clone()?;
        self.bytes.get(range)
    }

    pub(crate) fn uuid(&self, index: usize) -> Option<Uuid> {
        Uuid::from_slice(self.field(index)?).ok()
    }

    pub(crate) fn bool(&self, index: usize) -> bool {
        self.field(index) == Some(&[1])
    }

    pub(crate) fn text(&self, index: usize) -> Option<&'a str> {
        std::str::from_utf8(self.field(index)?).ok()
    }
}

/// Where the transaction goes back to where reading fails; there from its beginning.
pub(crate) const SAVEPOINT: &str = "SAVEPOINT reading";

/// Reads all rows of `select` inside the running transaction, which goes on whatever happens.
pub(crate) async fn read(
    connection: &mut PgConnection,
    select: &str,
    reader: &mut dyn Reader,
) -> Result<Read> {
    // The driver loses its place where a COPY is refused at once. What could refuse it (a missing
    // table or privilege, a lock) refuses this too, and the table stays locked against changes. All in
    // one request: where tables are small, waiting for answers is what takes the time.
    let probe =
        format!("RELEASE {SAVEPOINT}; {SAVEPOINT}; SELECT 1 FROM ({select}) AS probe LIMIT 0");
    if let Err(error) = connection.execute(AssertSqlSafe(probe)).await {
        return hindered(connection, error).await;
    }
    let copy = format!("COPY ({select}) TO STDOUT (FORMAT binary)");
    match stream(connection, &copy, reader).await? {
        None => Ok(Read::Whole),
        Some(error) => hindered(connection, error).await,
    }
}

async fn hindered(connection: &mut PgConnection, error: sqlx::Error) -> Result<Read> {
    let Some(reason) = failure::hindrance(&error) else {
        return Err(failure::error(error));
    };
    let back = connection.execute("ROLLBACK TO SAVEPOINT reading").await;
    back.map_err(failure::error)?;
    Ok(Read::Hindered(reason))
}

/// The server's error is handed back; one of the reader's own ends everything.
async fn stream(
    connection: &mut PgConnection,
    copy: &str,
    reader: &mut dyn Reader,
) -> Result<Option<sqlx::Error>> {
    let mut chunks = match connection.copy_out_raw(copy).await {
        Ok(chunks) => chunks,
        Err(error) => return Err(failure::error(error)),
    };
    let mut decoder = Decoder::default();
    loop {
        match chunks.try_next().await {
            Ok(Some(chunk)) => {
                decoder.feed(&chunk, |row| reader.row(row))?;
                if reader.is_full() {
                    reader.settle().await?;
                }
            }
            Ok(None) => {
                drop(chunks);
                decoder.finish()?;
                return Ok(None);
            }
            Err(error) => return Ok(Some(error)),
        }
    }
}

/// Puts chunks together to rows, wherever the chunks are cut.
#[derive(Default)]
struct Decoder {
    /// What came of a row that is not whole yet.
    pending: Vec<u8>,
    fields: Vec<Option<Range<usize>>>,
    header_read: bool,
    ended: bool,
}

const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";

impl Decoder {
    fn feed(&mut self, chunk: &[u8], mut each: impl FnMut(&Row<'_>) -> Result<()>) -> Result<()> {
        if self.pending.is_empty() {
            let used = self.consume(chunk, &mut each)?;
            self.pending.extend_from_slice(&chunk[used..]);
            return Ok(());
        }
        let mut pending = std::mem::take(&mut self.pending);
        pending.extend_from_slice(chunk);
        let used = self.consume(&pending, &mut each)?;
        pending.drain(..used);
        self.pending = pending;
        Ok(())
    }

    /// Takes every whole row and says how many bytes that were.
    fn consume(
        &mut self,
        bytes: &[u8],
        each: &mut impl FnMut(&Row<'_>) -> Result<()>,
    ) -> Result<usize> {
        let mut used = 0;
        if !self.header_read {
            let Some(length) = header(bytes)? else {
                return Ok(0);
            };
            self.header_read = true;
            used = length;
        }
        while !self.ended {
            let Some(length) = self.tuple(&bytes[used..]) else {
                return Ok(used);
            };
            if !self.ended {
                each(&Row {
                    bytes: &bytes[used..used + length],
                    fields: &self.fields,
                })?;
            }
            used += length;
        }
        Ok(used)
    }

    /// Finds the fields of the first row; `None` where it is not whole.
    fn tuple(&mut self, bytes: &[u8]) -> Option<usize> {
        let count = integer::<2>(bytes, 0).map(i16::from_be_bytes)?;
        self.fields.clear();
        if count == -1 {
            self.ended = true;
            return Some(2);
        }
        let mut at = 2;
        for _ in 0..count {
            let length = integer::<4>(bytes, at).map(i32::from_be_bytes)?;
            at += 4;
            let Ok(length) = usize::try_from(length) else {
                self.fields.push(None);
                continue;
            };
            if bytes.len() < at + length {
                return None;
            }
            self.fields.push(Some(at..at + length));
            at += length;
        }
        Some(at)
    }

    fn finish(&self) -> Result<()> {
        if self.ended && self.pending.is_empty() {
            Ok(())
        } else {
            Err(garbled())
        }
    }
}

/// The length of the header; `None` where it is not whole.
fn header(bytes: &[u8]) -> Result<Option<usize>> {
    let fixed = SIGNATURE.len() + 8;
    if bytes.len() < fixed {
        return Ok(None);
    }
    if !bytes.starts_with(SIGNATURE) {
        return Err(garbled());
    }
    let more = integer::<4>(bytes, fixed - 4).map_or(0, u32::from_be_bytes);
    let length = fixed + usize::try_from(more).map_err(|_| garbled())?;
    Ok((bytes.len() >= length).then_some(length))
}

fn integer<const SIZE: usize>(bytes: &[u8], at: usize) -> Option<[u8; SIZE]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn garbled() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        OPERATION,
        "the database's rows could not be understood",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0, 0, 0, 0, 0, 0, 0, 2, 9, 9]);
        for text in ["first", ""] {
            bytes.extend(3_i16.to_be_bytes());
            bytes.extend(i32::try_from(text.len()).unwrap().to_be_bytes());
            bytes.extend(text.as_bytes());
            bytes.extend((-1_i32).to_be_bytes());
            bytes.extend(1_i32.to_be_bytes());
            bytes.push(1);
        }
        bytes.extend((-1_i16).to_be_bytes());
        bytes
    }

    #[test]
    fn rows_come_whole_wherever_the_chunks_are_cut() {
        let bytes = sample();
        for size in 1..=bytes.len() {
            let mut decoder = Decoder::default();
            let mut rows = Vec::new();
            for chunk in bytes.chunks(size) {
                decoder
                    .feed(chunk, |row| {
                        rows.push((
                            row.text(0).map(str::to_owned),
                            row.text(1).is_none(),
                            row.bool(2),
                        ));
                        Ok(())
                    })
                    .unwrap();
            }
            decoder.finish().unwrap();
            let expected = [
                (Some("first".into()), true, true),
                (Some(String::new()), true, true),
            ];
            assert_eq!(rows, expected, "chunks of {size}");
        }
    }

    #[test]
    fn what_ends_early_or_is_something_else_is_an_error() {
        let bytes = sample();
        let mut decoder = Decoder::default();
        decoder.feed(&bytes[..bytes.len() - 1], |_| Ok(())).unwrap();
        decoder.finish().unwrap_err();
        let mut decoder = Decoder::default();
        decoder.feed(&[7; 40], |_| Ok(())).unwrap_err();
    }
}
