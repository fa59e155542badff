//! Backends that left the configuration while the ledger still has secrets in them: no job looks at
//! those, so whoever asks has to hear of them.

use cloakroom_core::ledger::{Ledger as _, RowState};
use cloakroom_core::{BackendId, BackendSet, Result};
use cloakroom_store_db::DbStore;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unconfigured {
    /// Its id in the ledger.
    pub backend: BackendId,
    /// Its rows by state.
    pub counts: Vec<(RowState, u64)>,
}

impl Unconfigured {
    /// Secrets that it may still hold: all but the deleted ones.
    pub fn live(&self) -> u64 {
        let living = self.counts.iter();
        living
            .filter(|(state, _)| *state != RowState::Deleted)
            .map(|(_, count)| count)
            .sum()
    }
}

/// Every such backend, in order; also one of which nothing but tombstones is left.
pub async fn unconfigured(store: &DbStore, configured: &BackendSet) -> Result<Vec<Unconfigured>> {
    let mut unconfigured = Vec::new();
    for backend in store.backends().await? {
        if configured.get(&backend).is_err() {
            let counts = store.count_by_state(&backend).await?;
            unconfigured.push(Unconfigured { backend, counts });
        }
    }
    Ok(unconfigured)
}
