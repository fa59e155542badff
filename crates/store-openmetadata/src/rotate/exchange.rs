//! One table's rows written again, in batches behind the reading of them.

use std::collections::BTreeMap;

use async_trait::async_trait;
use cloakroom_core::{Error, ErrorKind, Result, SecretValue};

use super::text::{Tally, reseal};
use super::{OPERATION, RotationObserver};
use crate::connect::Connection;
use crate::fernet_keys::FernetKeys;
use crate::rows::{Fields, Read, Reader};
use crate::writer::{Change, RowKey, Swap, Swapped, Target, Writer};

/// Rows written in one transaction, and bytes of their text.
const BATCH_ROWS: usize = 100;
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// How often a row that is changed or held meanwhile is read again.
const ATTEMPTS: u32 = 4;

/// What was done in a table.
#[derive(Clone, Debug, Default)]
pub(super) struct Done {
    pub(super) rotated: u64,
    pub(super) read_again: u64,
    /// Why a row could not be written, the last time that happened.
    pub(super) refused: Option<String>,
}

/// Writes what is read.
pub(super) struct Exchange<'a> {
    keys: &'a FernetKeys,
    writer: &'a mut Writer,
    observer: &'a dyn RotationObserver,
    of: u64,
    /// Whether rows are only read: what could not be written is noted all the same.
    looks: bool,
    /// By table.
    pub(super) done: BTreeMap<String, Done>,
    /// Whether it was told to stop.
    pub(super) stopped: bool,
}

/// Whoever only looks is not followed.
struct Unobserved;

impl RotationObserver for Unobserved {}

/// A batch of one table.
struct Batch<'x, 'a> {
    exchange: &'x mut Exchange<'a>,
    target: &'x Target,
    rows: Vec<(Swap, Tally)>,
    bytes: usize,
    did: Done,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(
        keys: &'a FernetKeys,
        writer: &'a mut Writer,
        observer: &'a dyn RotationObserver,
        of: u64,
        done: BTreeMap<String, Done>,
    ) -> Self {
        Self {
            keys,
            writer,
            observer,
            of,
            looks: false,
            done,
            stopped: false,
        }
    }

    /// One that writes nothing.
    pub(super) fn looking(keys: &'a FernetKeys, writer: &'a mut Writer) -> Self {
        Self {
            looks: true,
            ..Self::new(keys, writer, &Unobserved, 0, BTreeMap::new())
        }
    }

    /// Reads a table and writes it.
    pub(super) async fn table(
        &mut self,
        connection: &mut Connection,
        target: &Target,
    ) -> Result<()> {
        let did = self.done.remove(&target.shown).unwrap_or_default();
        let mut batch = Batch {
            exchange: self,
            target,
            rows: Vec::new(),
            bytes: 0,
            did,
        };
        let mut read = connection.read(&target.select(), &mut batch).await;
        if read.is_ok() {
            read = batch.settle().await.and(read);
        }
        let mut did = batch.did;
        if let Ok(Read::Hindered(reason)) = &read {
            did.refused = Some(reason.clone());
        }
        self.done.insert(target.shown.clone(), did);
        read.map(|_| ())
    }

    fn rotated(&self) -> u64 {
        self.done.values().map(|it| it.rotated).sum()
    }
}

impl Batch<'_, '_> {
    /// What a row is to say; `None` where it needs nothing.
    fn swap(
        &self,
        key: RowKey,
        texts: impl Iterator<Item = Result<Option<SecretValue>>>,
    ) -> Result<Option<(Swap, Tally)>> {
        let (mut changes, mut all) = (Vec::new(), Tally::default());
        for (column, old) in texts.enumerate() {
            let Some(old) = old? else { continue };
            let (tally, new) = reseal(old.expose(), self.exchange.keys);
            all.add(tally);
            changes.extend(new.map(|new| Change { column, old, new }));
        }
        Ok((!changes.is_empty()).then_some((Swap { key, changes }, all)))
    }

    async fn write(&mut self, rows: Vec<(Swap, Tally)>) -> Result<()> {
        let (rows, tallies): (Vec<Swap>, Vec<Tally>) = rows.into_iter().unzip();
        let ends = self.exchange.writer.swap(self.target, &rows).await?;
        for ((row, tally), end) in rows.into_iter().zip(tallies).zip(ends) {
            self.note(row, tally, end).await?;
        }
        Ok(())
    }

    async fn note(&mut self, mut row: Swap, mut tally: Tally, mut end: Swapped) -> Result<()> {
        for _ in 0..ATTEMPTS {
            match end {
                Swapped::Written => {
                    self.did.rotated += tally.older;
                    return Ok(());
                }
                Swapped::Refused(reason) => {
                    self.did.refused = Some(reason);
                    return Ok(());
                }
                Swapped::Changed | Swapped::Busy => {}
            }
            self.did.read_again += 1;
            let texts = self.exchange.writer.read(self.target, &row.key).await?;
            let Some(texts) = texts else { return Ok(()) };
            let again = self.swap(row.key, texts.into_iter().map(Ok))?;
            let Some(again) = again else { return Ok(()) };
            (row, tally) = again;
            let ends = self
                .exchange
                .writer
                .swap(self.target, std::slice::from_ref(&row))
                .await?;
            end = ends.into_iter().next().unwrap_or(Swapped::Busy);
        }
        if end == Swapped::Written {
            self.did.rotated += tally.older;
        } else {
            self.did.refused = Some("somebody else holds or writes them".to_owned());
        }
        Ok(())
    }
}

#[async_trait]
impl Reader for Batch<'_, '_> {
    fn row(&mut self, row: &dyn Fields) -> Result<()> {
        let texts = (0..self.target.columns.len()).map(|index| {
            let text = self.target.column(row, index)?;
            Ok(text.map(|it| SecretValue::new(it.to_vec())))
        });
        let Some(key) = self.target.key(row)? else {
            if self.swap(RowKey::default(), texts)?.is_some() {
                self.did.refused = Some("their key is NULL".to_owned());
            }
            return Ok(());
        };
        if self.exchange.looks {
            return Ok(());
        }
        if let Some((swap, tally)) = self.swap(key, texts)? {
            self.bytes += swap.bytes();
            self.rows.push((swap, tally));
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        let is_full = self.rows.len() >= BATCH_ROWS || self.bytes >= BATCH_BYTES;
        is_full || self.exchange.observer.told_to_stop()
    }

    async fn settle(&mut self) -> Result<()> {
        if !self.rows.is_empty() {
            self.exchange.observer.about_to_write(&self.target.shown);
            self.bytes = 0;
            let rows = std::mem::take(&mut self.rows);
            self.write(rows).await?;
            let done = self.exchange.rotated() + self.did.rotated;
            self.exchange.observer.progressed(done, self.exchange.of);
        }
        if self.exchange.observer.told_to_stop() {
            self.exchange.stopped = true;
            let message = "it was told to stop";
            return Err(Error::new(ErrorKind::Unavailable, OPERATION, message));
        }
        Ok(())
    }
}
