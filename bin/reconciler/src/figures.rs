//! The gauges that the database tells, brought to what ledger and journal say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::budget::RequestClass;
use cloakroom_core::ledger::{DueClass, Ledger as _, Windows};
use cloakroom_core::store::{Job, Journal as _};
use cloakroom_core::{BackendId, Result};
use cloakroom_reconcile::Reconciler;
use cloakroom_store_db::DbStore;

use crate::last_success::last_success;
use crate::metrics::{Due, Metrics};
use crate::unconfigured::unconfigured;
use crate::wiring::{Context, RequestBudget};

/// Reads the figures and sets the gauges.
pub struct Figures {
    store: Arc<DbStore>,
    reconciler: Reconciler,
    backends: Vec<Backend>,
    metrics: Arc<Metrics>,
}

struct Backend {
    budget: Arc<RequestBudget>,
    dollars_per_secret_month: f64,
}

impl Figures {
    /// The figures of a deployment, for these metrics.
    pub fn new(context: &Context, reconciler: Reconciler, metrics: Arc<Metrics>) -> Self {
        let prices: BTreeMap<&str, f64> = context
            .configuration
            .backends
            .iter()
            .map(|(name, section)| (name.as_str(), section.dollars_per_secret_month()))
            .collect();
        let backends = context.budgets.iter().map(|budget| Backend {
            budget: budget.clone(),
            dollars_per_secret_month: prices
                .get(budget.backend().as_str())
                .copied()
                .unwrap_or_default(),
        });
        Self {
            store: context.store.clone(),
            reconciler,
            backends: backends.collect(),
            metrics,
        }
    }

    /// Reads everything anew. What cannot be read stays as it was.
    pub async fn tell(&self, replicas: u32) {
        self.metrics.set_replicas(replicas.into());
        for backend in &self.backends {
            let id = backend.budget.backend();
            if let Err(error) = self.tell_backend(backend, replicas).await {
                tracing::warn!(backend.id = %id, error = %error, "could not read the figures");
            }
        }
        if let Err(error) = self.tell_unconfigured().await {
            tracing::warn!(error = %error, "could not read which backends are not configured");
        }
        for job in Job::ALL {
            match last_success(&self.store, job, self.reconciler.backends().ids()).await {
                Ok(Some(at)) => self.metrics.set_last_success(job, at),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(job.name = %job, error = %error, "could not read the last success");
                }
            }
        }
    }

    async fn tell_unconfigured(&self) -> Result<()> {
        for left in unconfigured(&self.store, self.reconciler.backends().ids()).await? {
            self.metrics.set_secrets(&left.backend, &left.counts);
            self.metrics.set_unconfigured(&left.backend, left.live());
        }
        Ok(())
    }

    async fn tell_backend(&self, backend: &Backend, replicas: u32) -> Result<()> {
        let id = backend.budget.backend();
        let counts = self.store.count_by_state(id).await?;
        self.metrics.set_secrets(id, &counts);
        let due = self.due(backend, replicas).await?;
        self.metrics.set_due(id, &due);
        let complete = self.store.last_complete(Job::VerifyBlobs, id).await?;
        let report = complete.and_then(|run| serde_json::from_value(run.report).ok());
        if let Some(report) = report {
            self.metrics.set_findings(&report);
        }
        Ok(())
    }

    async fn due(&self, backend: &Backend, replicas: u32) -> Result<Due> {
        let id = backend.budget.backend();
        let windows = self.reconciler.windows(id)?;
        let mut due = Due {
            counts: self.store.count_due(id, &windows).await?,
            oldest_orphan: self.oldest_orphan(id, &windows).await?,
            price: backend.dollars_per_secret_month,
            drain: Duration::ZERO,
        };
        if let Some(allowance) = backend.budget.allowance(RequestClass::Delete) {
            let together = allowance * f64::from(replicas);
            let batch = self
                .reconciler
                .backends()
                .get(id)?
                .capabilities()
                .delete_batch;
            let requests = due.total().div_ceil(batch.max(1) as u64);
            due.drain =
                Duration::try_from_secs_f64(requests as f64 / together).unwrap_or(Duration::MAX);
        }
        Ok(due)
    }

    /// For how long the oldest due secret that was never superseded has been of no use: since it
    /// lost its reference, or since its writer's time was over.
    async fn oldest_orphan(&self, backend: &BackendId, windows: &Windows) -> Result<Duration> {
        let now = self.store.now().await?;
        let mut oldest = Duration::ZERO;
        for class in [DueClass::Expired, DueClass::Orphaned] {
            let first = self.store.due(backend, class, windows, None, 1).await?;
            if let Some(first) = first.first() {
                let age = Duration::try_from(now.duration_since(first.cursor.at));
                oldest = oldest.max(age.unwrap_or_default());
            }
        }
        Ok(oldest)
    }
}
