//! What a manager can do, said before it is asked.

use std::time::Duration;

use serde::Serialize;

/// What happens to a value when its native expiry passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NativeExpiry {
    /// The manager deletes it.
    Deletes,
    /// The manager stops giving it out.
    Hides,
    /// The manager only says so.
    Advises,
    /// There is none.
    Absent,
}

/// The order in which a manager lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ListOrder {
    /// By coordinate, byte by byte, so that a listing can be merged with the ledger.
    Coordinate,
    /// In an order of its own.
    Unspecified,
}

/// The recovery a deletion leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Recovery {
    /// The shortest window the manager takes.
    pub shortest: Duration,
    /// The longest window the manager takes.
    pub longest: Duration,
}

/// Published rates, in requests a second; `None` where nothing is published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Rates {
    /// Puts.
    pub write: Option<f64>,
    /// Gets.
    pub read: Option<f64>,
    /// Describes.
    pub describe: Option<f64>,
    /// Pages of a listing.
    pub list: Option<f64>,
    /// Deletions and restorations.
    pub delete: Option<f64>,
}

/// What a backend can do. What it cannot answers [`ErrorKind::Unsupported`](crate::ErrorKind).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Capabilities {
    /// Smallest value, in bytes.
    pub least_bytes: usize,
    /// Largest value, in bytes.
    pub most_bytes: usize,
    /// Whether values that are not UTF-8 are kept exactly.
    pub binary: bool,
    /// Longest coordinate, in bytes.
    pub longest_name: usize,
    /// Values put by one call of a batched put; 1 where there is no batch.
    pub put_batch: usize,
    /// Values read by one call of a batched get; 1 where there is no batch.
    pub get_batch: usize,
    /// Secrets described by one call; 1 where there is no batch.
    pub describe_batch: usize,
    /// Secrets deleted by one call; 1 where there is no batch.
    pub delete_batch: usize,
    /// Native expiry.
    pub native_expiry: NativeExpiry,
    /// Recovery after deletion, where there is one.
    pub recovery: Option<Recovery>,
    /// Whether a deletion can be for good at once. Where it cannot (purge protection), every deletion
    /// leaves the recovery, and a name is free again when that is over.
    pub final_deletion: bool,
    /// How long a change may take to show in the listing.
    pub listing_lag: Duration,
    /// The order of the listing.
    pub list_order: ListOrder,
    /// Whether a put on a taken name is refused by the manager itself.
    pub create_only: bool,
    /// Whether describing and listing need no right to read values.
    pub describe_without_reading: bool,
    /// Whether a deletion can carry a precondition.
    pub delete_precondition: bool,
    /// Published rates.
    pub rates: Rates,
}
