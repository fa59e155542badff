//! What the backend asks of the table, whichever database that is in.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::{Coordinate, KeyId, KeyRing, Timestamp};

use crate::envelope::WrappedKey;
use crate::failure::Failure;
use crate::row::{FullRow, KeyRow, NewRow, Passed, Row, Which};

type Result<T> = std::result::Result<T, Failure>;

/// One backend's rows. What has expired, or whose recovery window is over, is nowhere among them,
/// whether it has been purged yet or not.
#[async_trait]
pub(crate) trait Table: Rotation {
    /// Writes rows under free names, all in one statement; gives the names that were free. No two
    /// of the rows have one name. Refused where the table has rows and `ring` opens none of them,
    /// whichever backend's.
    async fn insert(&self, rows: &[NewRow<'_>], ring: &KeyRing) -> Result<HashSet<Coordinate>>;

    /// The rows of these names, as far as there are any, in no order.
    async fn rows(&self, coordinates: &[Coordinate]) -> Result<Vec<Row>>;

    /// The same with their sealed values.
    async fn full_rows(&self, coordinates: &[Coordinate]) -> Result<Vec<FullRow>>;

    /// Rows behind `after`, in the order of their coordinates.
    async fn page(&self, after: &str, limit: u32) -> Result<Vec<Row>>;

    /// Lets rows wait for their deletion; gives those that did not wait already, with the moment.
    async fn schedule(
        &self,
        which: &Which<'_>,
        window: Duration,
    ) -> Result<Vec<(Coordinate, Timestamp)>>;

    /// Removes rows at once, those that wait too; gives the names that were there.
    async fn remove(&self, which: &Which<'_>) -> Result<Vec<Coordinate>>;

    /// Ends a row's wait; `false` where none waits under that name.
    async fn restore(&self, coordinate: &Coordinate) -> Result<bool>;

    /// Takes a row's expiry off; `false` where none has one under that name.
    async fn lift_expiry(&self, coordinate: &Coordinate) -> Result<bool>;

    /// Removes at most `limit` rows, in one statement; gives how many.
    async fn purge(&self, passed: Passed, limit: u32) -> Result<u64>;
}

/// What a rotation of the key-encryption keys needs. Here rows count until they are purged.
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
