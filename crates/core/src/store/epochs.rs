//! Epochs: how a store and a manager notice that one of them is not the one the other knew.
//!
//! A store counts, backend by backend, how often it went about deleting. The same number stands in
//! the backend as a mark. A database that was restored from a backup, or a clone of it, is behind
//! that mark sooner or later, and then deletes nothing.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::coordinates::Coordinate;
use crate::error::Result;
use crate::ids::{BackendId, RunId};

/// The epoch of one backend, as the store has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epoch {
    /// How often it was raised; 0 where it never was.
    pub number: i64,
    /// Names the raise to this number. Two copies of one store that raise to the same number are
    /// told apart by it. Nil where it was never raised.
    pub raise: Uuid,
    /// When it was raised, by the store's clock.
    pub raised: Option<Timestamp>,
}

/// A raise: compare and swap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochRaise {
    /// The number that the caller saw, 0 where there is none.
    pub from: i64,
    /// The number from now on; higher than `from`.
    pub to: i64,
    /// Names this raise.
    pub raise: Uuid,
    /// Where an operator raises it: what the receipt says, written in the same transaction.
    pub adopted: Option<EpochAdopted>,
}

/// What the receipt of an operator's raise says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochAdopted {
    /// Under which id it is written down.
    pub run: RunId,
    /// The coordinate of the mark to come.
    pub mark: Coordinate,
    /// Who did it, and what was there before.
    pub evidence: String,
}

/// The epochs of a store's backends.
#[async_trait]
pub trait Epochs: Send + Sync {
    /// The epoch of a backend; [`Epoch::default`] where it was never raised.
    async fn epoch(&self, backend: &BackendId) -> Result<Epoch>;

    /// Raises the epoch of a backend at the store's present moment, and the epoch of
    /// [`StoreIdentity`](super::StoreIdentity) to at least the same. `Conflict` where it no longer
    /// stands at `from`; `Invalid` unless `to` is higher.
    async fn raise_epoch(&self, backend: &BackendId, raise: &EpochRaise) -> Result<Epoch>;
}
