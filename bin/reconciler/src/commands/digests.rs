//! Digests and their keys: how many each key made, and `key renew`, after which none needs
//! another key than the first.

use std::collections::BTreeMap;

use cloakroom_core::store::DocumentStore as _;
use cloakroom_core::{BackendId, DocumentId, KeyId, Result};
use cloakroom_documents::{ChangeKind, PutDone, Unprovable};
use serde::Serialize;

use super::migrate_secrets::DATABASE;
use crate::output::{Console, count};
use crate::progress;
use crate::wiring::Context;

/// Documents listed together.
const PAGE: u32 = 500;

/// Digests that documents depend on, by backend and key.
pub(super) type ByKey = BTreeMap<BackendId, BTreeMap<KeyId, u64>>;

/// Counts them.
pub(super) async fn by_key(context: &Context) -> Result<ByKey> {
    let mut all = ByKey::new();
    for (backend, key, digests) in context.store.count_digests().await? {
        all.entry(backend).or_default().insert(key, digests);
    }
    Ok(all)
}

/// Counts those that the ways back of migrations and moves of platforms depend on.
pub(super) async fn of_ways_back(context: &Context) -> anyhow::Result<ByKey> {
    let mut all = ByKey::new();
    for it in context.store.count_ways_back().await? {
        let manager = if it.to == DATABASE { it.from } else { it.to };
        let by_key = all.entry(manager.parse()?).or_default();
        *by_key.entry(it.key).or_default() += it.digests;
    }
    Ok(all)
}

/// What became of the documents.
#[derive(Default, Serialize)]
pub(super) struct Renewed {
    /// Documents that were written.
    documents: u64,
    /// Secrets that were written again.
    secrets: u64,
    /// Documents all of whose digests were under the first key already.
    already: u64,
    /// Documents that stand as before, and why.
    pub(super) failed: BTreeMap<DocumentId, String>,
}

impl Renewed {
    fn take(&mut self, done: &PutDone) {
        let written = |kind| matches!(kind, ChangeKind::Raised | ChangeKind::New);
        self.documents += 1;
        self.secrets += done
            .changes
            .iter()
            .filter(|change| written(change.change))
            .count() as u64;
    }

    pub(super) fn print(&self, current: &KeyId, console: &Console) -> anyhow::Result<()> {
        let failed = match self.failed.len() {
            0 => String::new(),
            several => format!(", {several} could not be written and stand as before"),
        };
        console.line(format_args!(
            "{} of {} written again with digests under key {current}, {} needed nothing{failed}",
            count(self.secrets, "secret", "secrets"),
            count(self.documents, "document", "documents"),
            count(self.already, "document", "documents"),
        ))
    }
}

/// Renews every document; one that cannot be holds up no other.
pub(super) async fn renew(
    context: &Context,
    unprovable: Unprovable,
    console: &Console,
) -> Result<Renewed> {
    let bar = progress::spinner(console, "{spinner} {human_pos}");
    let mut renewed = Renewed::default();
    let mut after = None;
    loop {
        let page = context.store.list_documents(None, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for document in &page {
            match context.documents.renew(document.id, unprovable).await {
                Ok(Some(done)) => renewed.take(&done),
                Ok(None) => renewed.already += 1,
                // It was removed since it was listed.
                Err(error) if is_gone(context, document.id, &error).await? => {}
                Err(error) => {
                    renewed.failed.insert(document.id, error.to_string());
                    console.error(&error.into());
                }
            }
            if let Some(bar) = &bar {
                bar.inc(1);
            }
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    Ok(renewed)
}

async fn is_gone(context: &Context, id: DocumentId, error: &cloakroom_core::Error) -> Result<bool> {
    Ok(error.is_missing() && context.store.document(id).await?.is_none())
}
