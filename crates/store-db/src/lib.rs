//! Documents, ledger, references, journal and receipts in SQLite or PostgreSQL.
#![doc = include_str!("../README.md")]
#![expect(
    clippy::duplicate_mod,
    reason = "one query text for two databases, compiled for each"
)]

mod audit;
mod failure;
mod migrations;
mod moves;
mod options;
mod overview;
mod platform_moves;
mod postgres;
mod removals;
mod secret_migrations;
mod sightings;
mod sqlite;
mod store;
mod times;
mod traits;

pub use audit::{Audit, Break};
pub use cloakroom_core::store::{Receipt, ReceiptPage};
pub use migrations::MigrationReport;
pub use options::{Durability, Location, Options, StoreClock};
pub use overview::{OpenMoves, WaysBack};
pub use store::{DbStore, Pool};
