//! When a job last did all it was to do, and since when it is awaited to.

use cloakroom_core::ledger::Ledger as _;
use cloakroom_core::store::{Job, Journal as _};
use cloakroom_core::{BackendId, Result, Timestamp};
use cloakroom_store_db::DbStore;

/// A job has done all it was to do once it has on every backend; `None` where on one it never has. Never
/// later than now: a clock that was ahead for a while would hide for as long that nothing succeeds.
pub async fn last_success<'b>(
    store: &DbStore,
    job: Job,
    backends: impl IntoIterator<Item = &'b BackendId>,
) -> Result<Option<Timestamp>> {
    let mut earliest: Option<Timestamp> = None;
    for backend in backends {
        let last = store.last_complete(job, backend).await?;
        let Some(at) = last.and_then(|run| run.finished) else {
            return Ok(None);
        };
        earliest = Some(earliest.map_or(at, |earliest| earliest.min(at)));
    }
    match earliest {
        Some(at) => Ok(Some(at.min(store.now().await?))),
        None => Ok(None),
    }
}

/// Since when a success is awaited on the backend where that is longest ago: since the last one there;
/// where there never was one, since its first run. `None` where no run has ended on any. Never later
/// than now.
pub async fn awaited_since<'b>(
    store: &DbStore,
    job: Job,
    backends: impl IntoIterator<Item = &'b BackendId>,
) -> Result<Option<Timestamp>> {
    let mut earliest = None;
    for backend in backends {
        let last = store.last_complete(job, backend).await?;
        let since = match last.and_then(|run| run.finished) {
            Some(at) => Some(at),
            None => store
                .first_finished(job, backend)
                .await?
                .map(|run| run.started),
        };
        earliest = [earliest, since].into_iter().flatten().min();
    }
    match earliest {
        Some(at) => Ok(Some(at.min(store.now().await?))),
        None => Ok(None),
    }
}
