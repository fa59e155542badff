//! Backends that left the configuration while something of theirs is still there: no job looks at
//! those, so whoever asks has to hear of them.

use std::collections::{BTreeMap, BTreeSet};

use cloakroom_backends_embedded::sealed_by_key;
use cloakroom_core::ledger::{Ledger as _, RowState};
use cloakroom_core::{BackendId, KeyId, Result, SecretBackend};
use cloakroom_store_db::DbStore;

use crate::wiring::{Context, pool_of};

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
pub async fn unconfigured<'b>(
    store: &DbStore,
    configured: impl IntoIterator<Item = &'b BackendId>,
) -> Result<Vec<Unconfigured>> {
    let configured: BTreeSet<&BackendId> = configured.into_iter().collect();
    let mut unconfigured = Vec::new();
    for backend in store.backends().await? {
        if !configured.contains(&backend) {
            let counts = store.count_by_state(&backend).await?;
            unconfigured.push(Unconfigured { backend, counts });
        }
    }
    Ok(unconfigured)
}

/// What the database holds sealed, whether its backend is configured or not.
pub struct Sealed {
    /// Secrets by backend and key.
    pub by_key: BTreeMap<BackendId, Vec<(KeyId, u64)>>,
    /// Those of these backends that no configured one can open or put under another key: their name
    /// is gone, or is another kind of backend's now.
    pub unconfigured: BTreeSet<BackendId>,
}

impl Sealed {
    /// Counts it.
    pub async fn of(context: &Context) -> anyhow::Result<Self> {
        let mut by_key: BTreeMap<BackendId, Vec<(KeyId, u64)>> = BTreeMap::new();
        for (backend, key, secrets) in sealed_by_key(&pool_of(&context.store)?).await? {
            by_key.entry(backend).or_default().push((key, secrets));
        }
        let embedded: BTreeSet<&BackendId> =
            context.embedded.iter().map(SecretBackend::id).collect();
        let backends = by_key.keys();
        let unconfigured = backends.filter(|backend| !embedded.contains(backend));
        Ok(Self {
            unconfigured: unconfigured.cloned().collect(),
            by_key,
        })
    }

    /// Secrets of each such backend that are under another key than `current`.
    pub fn left_behind(&self, current: &KeyId) -> BTreeMap<&BackendId, u64> {
        let mut left = BTreeMap::new();
        for backend in &self.unconfigured {
            let keys = self.by_key.get(backend).into_iter().flatten();
            let others: u64 = keys
                .filter(|(key, _)| key != current)
                .map(|(_, secrets)| secrets)
                .sum();
            if others > 0 {
                left.insert(backend, others);
            }
        }
        left
    }
}
