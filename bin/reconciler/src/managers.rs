//! Backends whose names mean another manager than the store remembers: no run deletes there, and whoever
//! asks is told before one is stopped.

use std::collections::BTreeMap;

use cloakroom_core::store::Epochs as _;
use cloakroom_core::{BackendId, Result, SecretBackend};
use cloakroom_store_db::DbStore;

use crate::wiring::Context;

/// Which manager a backend's name meant, where it means another now.
pub async fn changed_from(store: &DbStore, backend: &dyn SecretBackend) -> Result<Option<String>> {
    let homes = store.homes(backend.id()).await?;
    let changed = !homes.is_same_manager(backend.manager());
    Ok(homes.manager.filter(|_| changed))
}

/// The same of every backend, in words.
pub async fn changes(context: &Context) -> Result<BTreeMap<BackendId, String>> {
    let mut changes = BTreeMap::new();
    for backend in context.backends.iter() {
        if let Some(known) = changed_from(&context.store, &**backend).await? {
            changes.insert(backend.id().clone(), in_words(&**backend, &known));
        }
    }
    Ok(changes)
}

/// What there is to say of it.
pub fn in_words(backend: &dyn SecretBackend, known: &str) -> String {
    let (id, now) = (backend.id(), backend.manager());
    format!(
        "backend `{id}` means another manager than the ledger remembers: {known} then, {now} now. No run \
         deletes there until the configuration is put right, or `reconciler epoch adopt --backend {id} \
         --manager` says that this is the one"
    )
}
