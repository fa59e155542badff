//! Which other run keeps a job from beginning, and since when.

use cloakroom_core::store::{Journal as _, RunRecord};
use cloakroom_core::{BackendId, Result, Timestamp};
use cloakroom_reconcile::{HeldUp, lease_name};

use super::routes::App;

/// Among so many runs is whichever holds a lease: each backend has one at a time.
const LATEST: u32 = 100;

/// What keeps a job from beginning.
pub(super) struct Obstacle {
    /// In words.
    pub(super) text: String,
    /// The journal has it as a run that has not ended, and it keeps its lease.
    pub(super) at_work: bool,
}

/// What the journal and the leases know of it beyond what was met.
pub(super) async fn tell(app: &App, held_up: &HeldUp) -> Result<Obstacle> {
    let runs = app.store.runs(LATEST).await?;
    for backend in &held_up.backends {
        let Some(holder) = app.store.lease_holder(&lease_name(backend)).await? else {
            continue;
        };
        let is_it = |run: &&RunRecord| run.finished.is_none() && run.id.to_string() == holder;
        if let Some(run) = runs.iter().find(is_it) {
            let whose = format!("another run, {}, is at this backend", run.job);
            return Ok(Obstacle {
                text: since(&whose, Some(backend), Some(run.started)),
                at_work: true,
            });
        }
    }
    Ok(Obstacle {
        text: elsewhere(held_up),
        at_work: false,
    })
}

/// What was met.
pub(super) fn elsewhere(held_up: &HeldUp) -> String {
    let backend = held_up.backends.first();
    let what = match backend {
        Some(_) => "another run is at this backend",
        None => "another run is at this platform",
    };
    since(what, backend, held_up.since)
}

fn since(what: &str, backend: Option<&BackendId>, since: Option<Timestamp>) -> String {
    let backend = backend.map(|it| format!(" ({it})")).unwrap_or_default();
    let since = since
        .map(|it| format!(" since {it:.0}"))
        .unwrap_or_default();
    format!("{what}{backend}{since}")
}
