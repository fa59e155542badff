//! What the backend asks of the table, whichever database that is in.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::{Coordinate, KeyId, KeyRing, Mark, Timestamp};

use crate::envelope::WrappedKey;
use crate::failure::Failure;
use crate::row::{Found, FullRow, KeyRow, NewRow, Row, Which};

type Result<T> = std::result::Result<T, Failure>;

/// One backend's rows, with all that is kept: what was deleted recoverably and what has expired stays
/// until it is removed or purged.
#[async_trait]
pub(crate) trait Table: Rotation {
    /// Writes rows under free names, all in one statement; gives the names that were free. No two
    /// of the rows have one name. Refused where the table has rows and `ring` opens none of them,
    /// whichever backend's.
    async fn insert(&self, rows: &[NewRow<'_>], ring: &KeyRing) -> Result<HashSet<Coordinate>>;

    /// The rows of these names, as far as there are any, in no order.
    async fn rows(&self, coordinates: &[Coordinate]) -> Result<Vec<Found<Row>>>;

    /// The same with their sealed values.
    async fn full_rows(&self, coordinates: &[Coordinate]) -> Result<Vec<Found<FullRow>>>;

    /// Rows behind `after`, in the order of their coordinates.
    async fn page(&self, after: &str, limit: u32) -> Result<Vec<Found<Row>>>;

    /// Lets rows wait for their deletion; gives those that did not wait already, or whose window was
    /// over, with the moment.
    async fn schedule(
        &self,
        which: &Which<'_>,
        window: Duration,
    ) -> Result<Vec<(Coordinate, Timestamp)>>;

    /// Removes rows at once, those that wait too; gives the names that were there.
    async fn remove(&self, which: &Which<'_>) -> Result<Vec<Coordinate>>;

    /// Ends a row's wait, and takes an expiry off that has passed; `false` where none waits under that
    /// name.
    async fn restore(&self, coordinate: &Coordinate) -> Result<bool>;

    /// Takes a row's expiry off; `false` where none has one under that name.
    async fn lift_expiry(&self, coordinate: &Coordinate) -> Result<bool>;

    /// Removes the row that bears this mark, once the end of its window has passed, and `window` since
    /// it was deleted, by the table's clock and by `now`; whether it went.
    async fn purge(&self, mark: &Mark, window: Duration, now: Timestamp) -> Result<bool>;

    /// Gives what bears this mark and has expired the end of a window that begins now.
    async fn give_end(&self, mark: &Mark, window: Duration) -> Result<()>;
}

/// What a rotation of the key-encryption keys needs.
#[async_trait]
pub(crate) trait Rotation: Send + Sync {
    /// How many rows each key is needed for, by key id.
    async fn keys_in_use(&self) -> Result<Vec<(KeyId, u64)>>;

    /// Rows behind `after` under another key than `current`, in the order of their coordinates.
    async fn under_other_keys(
        &self,
        current: &KeyId,
        after: &str,
        limit: u32,
    ) -> Result<Vec<KeyRow>>;

    /// Exchanges each row's wrapped key, unless somebody else did so meanwhile; in one transaction.
    /// Gives how many were exchanged.
    async fn exchange(&self, exchanges: &[(KeyRow, WrappedKey)]) -> Result<u64>;
}
