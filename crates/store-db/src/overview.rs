//! Questions about the database as a whole.

use std::time::Duration;

use cloakroom_core::{BackendId, KeyId, Result, Timestamp};

use crate::DbStore;
use crate::options::{Location, Options};
use crate::sqlite::connect::{self, Absent};
use crate::store::of_either;

/// Moves that are neither finished nor taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenMoves {
    /// How many.
    pub number: u64,
    /// When the oldest of them began, by the store's clock.
    pub oldest: Option<Timestamp>,
}

/// Digests that tell what a platform's migrations and moves wrote from what others did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaysBack {
    /// Where secrets were taken from.
    pub from: String,
    /// Where to.
    pub to: String,
    /// The key that made them.
    pub key: KeyId,
    /// How many.
    pub digests: u64,
}

impl DbStore {
    /// Whether this is a SQLite file that nobody has made anything in: it is not there, or whoever
    /// made it has not come as far as the first table.
    pub async fn is_blank(options: &Options) -> Result<bool> {
        const OPERATION: &str = "look for a first start";
        let Location::Sqlite(path) = &options.location else {
            return Ok(false);
        };
        if !path.exists() {
            return Ok(true);
        }
        let (store, _) = connect::connect(OPERATION, options, path, Absent::Refuse).await?;
        let blank = connect::is_blank(OPERATION, &store).await;
        store.close().await;
        blank
    }

    /// Digests by which migrations and moves of platforms know what they wrote, of those that can be taken back
    /// still, by places and key.
    pub async fn count_ways_back(&self) -> Result<Vec<WaysBack>> {
        of_either!(self, inner => inner.count_ways_back().await)
    }

    /// Every backend that the ledger has rows of, in order. Work grows with the backends, not with
    /// the rows.
    pub async fn backends(&self) -> Result<Vec<BackendId>> {
        of_either!(self, inner => inner.backends().await)
    }

    /// Moves of documents that are not over.
    pub async fn open_moves(&self) -> Result<OpenMoves> {
        of_either!(self, inner => inner.open_moves("moves").await)
    }

    /// Moves of platforms that are not over.
    pub async fn open_platform_moves(&self) -> Result<OpenMoves> {
        of_either!(self, inner => inner.open_moves("platform_moves").await)
    }

    /// How far the machine's clock is behind what was last written at, with SQLite, whose clock it is; no
    /// time where it is not. Until it has caught up, what is written counts from that moment: it stays for
    /// so much longer.
    pub async fn clock_is_behind(&self) -> Result<Duration> {
        of_either!(self, inner => inner.clock_is_behind().await)
    }

    /// The keys that made the digests of a thousand secrets in use, whichever they are, in order.
    pub async fn some_digest_keys(&self) -> Result<Vec<KeyId>> {
        of_either!(self, inner => inner.some_digest_keys().await)
    }

    /// How many references depend on digests of each key, by backend and key. Reads every reference.
    pub async fn count_digests(&self) -> Result<Vec<(BackendId, KeyId, u64)>> {
        of_either!(self, inner => inner.count_digests().await)
    }
}
