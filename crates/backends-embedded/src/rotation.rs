//! Rotating the key-encryption keys while everything is in use.

use cloakroom_core::{Coordinate, Error, KeyId, Result};

use crate::backend::EmbeddedBackend;
use crate::envelope::{self, WrappedKey};
use crate::failure::Failure;
use crate::opening::{damaged, no_such_key};
use crate::row::KeyRow;

/// The most secrets of one batch.
const MOST: u32 = 10_000;

/// What one batch of [`EmbeddedBackend::rewrap`] did.
#[derive(Debug)]
pub struct RewrapPage {
    /// How many secrets are under the current key now that were not before.
    pub rewrapped: u64,
    /// Those that stayed as they were, each with the reason: `Corrupt`, and which key is missing.
    pub failed: Vec<Error>,
    /// Where to go on; `None` when this was the last batch.
    pub next: Option<Coordinate>,
}

impl EmbeddedBackend {
    /// Wraps the data keys of at most `batch` (1 to 10,000) secrets anew under the current key,
    /// beginning behind `after`. Values are neither read nor written, and whoever reads or writes
    /// secrets meanwhile is not disturbed.
    ///
    /// Only what is not yet under the current key is touched, so a rotation that was broken off
    /// begins again with `None` and finds what is left.
    ///
    /// # Errors
    /// `Unavailable` where the database does not answer; the batch is then as it was before.
    pub async fn rewrap(&self, after: Option<&Coordinate>, batch: u32) -> Result<RewrapPage> {
        self.try_rewrap(after, batch.clamp(1, MOST))
            .await
            .map_err(|failure| self.error_of_all("rewrap", &failure))
    }

    /// How many secrets of this backend's each key is needed for, by key id, those included that
    /// wait for their deletion. A key that is not on the list may go, as far as this backend is
    /// concerned: digests are made under these keys too.
    ///
    /// # Errors
    /// `Unavailable` where the database does not answer.
    pub async fn keys_in_use(&self) -> Result<Vec<(KeyId, u64)>> {
        let counted = self.table.keys_in_use().await;
        counted.map_err(|failure| self.error_of_all("count the keys in use", &failure))
    }

    async fn try_rewrap(
        &self,
        after: Option<&Coordinate>,
        batch: u32,
    ) -> Result<RewrapPage, Failure> {
        let ring = self.ring()?;
        let current = ring.current();
        let after = after.map_or("", Coordinate::as_str);
        let rows = self
            .table
            .under_other_keys(current.id(), after, batch)
            .await?;
        let full = rows.len() == batch as usize;
        let next = rows
            .last()
            .filter(|_| full)
            .map(|row| row.coordinate.clone());
        let mut failed = Vec::new();
        let mut exchanges: Vec<(KeyRow, WrappedKey)> = Vec::with_capacity(rows.len());
        for row in rows {
            let old = ring.find(&row.wrapped.key_id);
            let wrapped = old
                .ok_or_else(|| no_such_key(&row.wrapped.key_id, &ring))
                .and_then(|old| {
                    let place = self.place(&row.coordinate);
                    envelope::rewrap(old, current, place, &row.wrapped, self.randomness.as_ref())
                        .map_err(|_| damaged())
                });
            match wrapped {
                Ok(wrapped) => exchanges.push((row, wrapped)),
                Err(failure) => failed.push(self.error("rewrap", &row.coordinate, &failure)),
            }
        }
        let rewrapped = self.table.exchange(&exchanges).await?;
        Ok(RewrapPage {
            rewrapped,
            failed,
            next,
        })
    }
}
