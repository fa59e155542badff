//! Documents, ledger, references, journal and receipts in SQLite or PostgreSQL.
#![doc = include_str!("../README.md")]
#![expect(
    clippy::duplicate_mod,
    reason = "one query text for two databases, compiled for each"
)]

mod failure;
mod migrations;
mod options;
mod postgres;
mod receipt;
mod sqlite;
mod store;
mod times;
mod traits;

pub use migrations::MigrationReport;
pub use options::{Durability, Location, Options, StoreClock};
pub use receipt::{Receipt, ReceiptPage};
pub use store::{DbStore, Pool};
