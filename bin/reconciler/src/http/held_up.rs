//! Which run is at a backend, and so which other one keeps a job from beginning, and since when.

use cloakroom_core::store::{Journal as _, RunRecord};
use cloakroom_core::{BackendId, Result, RunId, Timestamp};
use cloakroom_reconcile::{HeldUp, lease_name};

use super::routes::App;

/// What keeps a job from beginning.
pub(super) struct Obstacle {
    /// In words.
    pub(super) text: String,
    /// The journal has it as a run that has not ended, and it keeps its lease.
    pub(super) at_work: bool,
}

/// What the journal and the leases know of it beyond what was met.
pub(super) async fn tell(app: &App, held_up: &HeldUp) -> Result<Obstacle> {
    let at_work = at_work(app, &held_up.backends).await?;
    Ok(match at_work.first() {
        Some((backend, run)) => {
            let whose = format!("another run, {}, is at this backend", run.job);
            Obstacle {
                text: since(&whose, Some(*backend), Some(run.started)),
                at_work: true,
            }
        }
        None => Obstacle {
            text: elsewhere(held_up),
            at_work: false,
        },
    })
}

/// The runs that are at these backends now: the journal has them as not ended, and they keep their leases.
pub(super) async fn at_work<'b>(
    app: &App,
    backends: impl IntoIterator<Item = &'b BackendId>,
) -> Result<Vec<(&'b BackendId, RunRecord)>> {
    let mut at_work = Vec::new();
    for backend in backends {
        let holder = app.store.lease_holder(&lease_name(backend)).await?;
        // What is no run's has another form: what an operator does by hand takes the lease too.
        let Some(run) = holder.and_then(|holder| holder.parse::<RunId>().ok()) else {
            continue;
        };
        let run = app.store.run(run).await?;
        let run = run.filter(|run| run.finished.is_none());
        at_work.extend(run.map(|run| (backend, run)));
    }
    Ok(at_work)
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
