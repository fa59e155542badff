//! Each backend's part of the status: what waits to be deleted, what that costs, and the budget of
//! requests. No name of a secret.

use std::collections::BTreeMap;

use cloakroom_core::ledger::Reason;
use cloakroom_core::store::Job;
use cloakroom_core::{BackendId, Result, Timestamp};
use serde::Serialize;

use super::held_up;
use super::routes::App;
use crate::backlog::Backlog;
use crate::metrics::BudgetFigures;
use crate::presence;

/// One backend's.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BackendStatus {
    /// What the next runs take, by the reason it goes for.
    pub due: BTreeMap<&'static str, u64>,
    /// What is of no use and still there, `orphaned` or `superseded`: what is due, on its way out, or
    /// parked.
    pub unused: BTreeMap<&'static str, u64>,
    /// For how long the oldest orphaned one has been of no use; 0 where there is none.
    pub oldest_orphan_seconds: u64,
    /// What the unused ones cost a month.
    pub estimated_monthly_cost_dollars: BTreeMap<&'static str, f64>,
    /// How long deleting what is due takes at the rate allowed now.
    pub drain_seconds: u64,
    /// Requests this replica allows itself, by class.
    pub budget: BTreeMap<&'static str, BudgetStatus>,
    /// The run that is at it, here or on another replica.
    pub busy: Option<BusyStatus>,
}

/// A run that has not ended.
#[derive(Clone, Debug, Serialize)]
pub struct BusyStatus {
    /// Of which job.
    pub job: Job,
    /// When it began.
    pub since: Timestamp,
}

/// The budget of one class of requests.
#[derive(Clone, Debug, Serialize)]
pub struct BudgetStatus {
    /// What is allowed now; `null` where there is no limit.
    pub requests_per_second: Option<f64>,
    /// What the manager publishes; `null` where it publishes nothing.
    pub published_requests_per_second: Option<f64>,
    /// All that requests have waited.
    pub waited_seconds: u64,
    /// Requests whose turn did not come in time.
    pub exhausted: u64,
}

impl BackendStatus {
    fn new(backlog: &Backlog, budget: impl Iterator<Item = BudgetFigures>) -> Self {
        let unused = [
            (Reason::Orphaned, backlog.unused.orphaned),
            (Reason::Superseded, backlog.unused.superseded),
        ];
        Self {
            due: named(Reason::ALL.map(|reason| (reason, backlog.due_for(reason)))),
            unused: named(unused),
            oldest_orphan_seconds: backlog.oldest_orphan.as_secs(),
            estimated_monthly_cost_dollars: named(backlog.costs()),
            drain_seconds: backlog.drain.as_secs(),
            budget: budget
                .map(|figures| (figures.class.as_str(), BudgetStatus::from(figures)))
                .collect(),
            busy: None,
        }
    }
}

impl From<BudgetFigures> for BudgetStatus {
    fn from(figures: BudgetFigures) -> Self {
        Self {
            requests_per_second: figures.allowance.filter(|allowed| allowed.is_finite()),
            published_requests_per_second: figures.published,
            waited_seconds: figures.waited.as_secs(),
            exhausted: figures.exhausted,
        }
    }
}

fn named<T, const N: usize>(figures: [(Reason, T); N]) -> BTreeMap<&'static str, T> {
    let named = figures.map(|(reason, figure)| (reason.as_str(), figure));
    named.into_iter().collect()
}

/// Every backend's.
pub(super) async fn of(app: &App) -> Result<BTreeMap<BackendId, BackendStatus>> {
    let replicas = presence::count(&*app.store).await?.max(1);
    let backlogs = app.backlogs.recent(replicas).await?;
    let told = app.budgets.iter().filter_map(|budget| {
        let id = budget.backend();
        let status = BackendStatus::new(backlogs.get(id)?, budget.figures());
        Some((id.clone(), status))
    });
    let mut told: BTreeMap<BackendId, BackendStatus> = told.collect();
    for (backend, run) in held_up::at_work(app, app.backends()).await? {
        if let Some(told) = told.get_mut(backend) {
            let (job, since) = (run.job, run.started);
            told.busy = Some(BusyStatus { job, since });
        }
    }
    Ok(told)
}
