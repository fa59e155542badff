//! What waits to be deleted on each backend: how much is due, how much is of no use, what that costs
//! and how long it takes. Metrics, `/status` and the page tell the same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::capabilities::Sent;
use cloakroom_core::ledger::{Ledger as _, Reason, Unused};
use cloakroom_core::{BackendId, Result};
use cloakroom_reconcile::Reconciler;
use cloakroom_store_db::DbStore;

use crate::configuration::Backend as Section;
use crate::recent::Recent;
use crate::wiring::{Context, RequestBudget};

/// The reasons that costs are told for: everything that was never superseded counts as orphaned.
pub const COSTLY: [Reason; 2] = [Reason::Orphaned, Reason::Superseded];

/// One backend's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Backlog {
    /// What the next runs take, by the reason it goes for; reasons left out have none.
    pub due: Vec<(Reason, u64)>,
    /// What is of no use, whether or not a run can take it now.
    pub unused: Unused,
    /// For how long the oldest that was never superseded has been of no use.
    pub oldest_orphan: Duration,
    /// What one secret costs a month, in dollars.
    pub price: f64,
    /// How long deleting what is due takes at the present allowance.
    pub drain: Duration,
}

impl Backlog {
    /// All that is due.
    pub fn total(&self) -> u64 {
        self.due.iter().map(|(_, count)| count).sum()
    }

    /// What is due for this reason.
    pub fn due_for(&self, reason: Reason) -> u64 {
        let counted = self.due.iter().find(|(other, _)| *other == reason);
        counted.map_or(0, |(_, count)| *count)
    }

    /// What superseded versions and everything else of no use cost a month, in dollars.
    pub fn costs(&self) -> [(Reason, f64); 2] {
        COSTLY.map(|reason| {
            let count = match reason {
                Reason::Superseded => self.unused.superseded,
                _ => self.unused.orphaned,
            };
            (reason, count as f64 * self.price)
        })
    }
}

/// Counts the backlogs of a deployment.
pub struct Backlogs {
    store: Arc<DbStore>,
    reconciler: Reconciler,
    backends: Vec<Backend>,
    recent: Recent<BTreeMap<BackendId, Backlog>>,
}

struct Backend {
    budget: Arc<RequestBudget>,
    dollars_per_secret_month: f64,
}

impl Backlogs {
    /// Those of this deployment, as these jobs see it.
    pub fn new(context: &Context, reconciler: Reconciler) -> Self {
        let sections = &context.configuration.backends;
        let price = |id: &BackendId| {
            let section = sections.get(id.as_str());
            section.map_or(0.0, Section::dollars_per_secret_month)
        };
        let backends = context.budgets.iter().map(|budget| Backend {
            budget: budget.clone(),
            dollars_per_secret_month: price(budget.backend()),
        });
        Self {
            store: context.store.clone(),
            reconciler,
            backends: backends.collect(),
            recent: Recent::default(),
        }
    }

    /// The backlog of each backend as it is now, or was a few seconds ago; `replicas` work at it.
    pub async fn recent(&self, replicas: u32) -> Result<Arc<BTreeMap<BackendId, Backlog>>> {
        self.recent.or(self.count_all(replicas)).await
    }

    /// The backlog of one backend now; `replicas` work at it.
    pub async fn of(&self, id: &BackendId, replicas: u32) -> Result<Backlog> {
        let mut backends = self.backends.iter();
        match backends.find(|it| it.budget.backend() == id) {
            Some(backend) => self.count(backend, replicas).await,
            None => Ok(Backlog::default()),
        }
    }

    async fn count_all(&self, replicas: u32) -> Result<BTreeMap<BackendId, Backlog>> {
        let mut backlogs = BTreeMap::new();
        for backend in &self.backends {
            let id = backend.budget.backend();
            backlogs.insert(id.clone(), self.count(backend, replicas).await?);
        }
        Ok(backlogs)
    }

    async fn count(&self, backend: &Backend, replicas: u32) -> Result<Backlog> {
        let id = backend.budget.backend();
        let windows = self.reconciler.windows(id)?;
        let unused = self.store.unused(id, &windows).await?;
        let now = self.store.now().await?;
        let age = unused
            .oldest_orphan
            .and_then(|since| Duration::try_from(now.duration_since(since)).ok());
        let mut backlog = Backlog {
            due: self.store.count_due(id, &windows).await?,
            unused,
            oldest_orphan: age.unwrap_or_default(),
            price: backend.dollars_per_secret_month,
            drain: Duration::ZERO,
        };
        let calls = self.reconciler.backends().get(id)?.capabilities().calls;
        let due = usize::try_from(backlog.total()).unwrap_or(usize::MAX);
        let drain = |deletion: &[Sent]| {
            let each = [calls.describe, deletion].concat();
            backend.budget.time_for(&each, due)
        };
        let drain = drain(calls.delete).max(drain(calls.delete_finally));
        backlog.drain = drain.unwrap_or_default() / replicas.max(1);
        Ok(backlog)
    }
}
