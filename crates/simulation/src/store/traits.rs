//! The store's traits, each method one transaction.

mod documents;
mod journal;
mod ledger;

use cloakroom_core::ledger::LedgerRow;
use cloakroom_core::store::SecretPage;
use cloakroom_core::{BackendId, Coordinate};

use crate::happening::Key;

fn keys(backend: &BackendId, coordinates: &[Coordinate]) -> Vec<Key> {
    let key = |coordinate: &Coordinate| (backend.clone(), coordinate.clone());
    coordinates.iter().map(key).collect()
}

/// At most `limit` rows, and where the next ones begin.
fn page(rows: Vec<LedgerRow>, limit: u32) -> SecretPage {
    let last = rows.last().filter(|_| rows.len() == limit as usize);
    SecretPage {
        next: last.map(|row| (row.backend.clone(), row.coordinate.clone())),
        unreadable: Vec::new(),
        rows,
    }
}
