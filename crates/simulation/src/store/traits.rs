//! The store's traits, each method one transaction.

mod documents;
mod journal;
mod ledger;

use cloakroom_core::{BackendId, Coordinate};

use crate::happening::Key;

fn keys(backend: &BackendId, coordinates: &[Coordinate]) -> Vec<Key> {
    let key = |coordinate: &Coordinate| (backend.clone(), coordinate.clone());
    coordinates.iter().map(key).collect()
}
