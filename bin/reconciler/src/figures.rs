//! The gauges that the database tells, brought to what ledger and journal say.

use std::sync::Arc;

use cloakroom_core::ledger::Ledger as _;
use cloakroom_core::store::{Job, Journal as _};
use cloakroom_core::{BackendId, Result};
use cloakroom_reconcile::Reconciler;
use cloakroom_store_db::DbStore;

use crate::backlog::Backlogs;
use crate::last_success::last_success;
use crate::metrics::Metrics;
use crate::unconfigured::unconfigured;
use crate::wiring::Context;

/// Reads the figures and sets the gauges.
pub struct Figures {
    store: Arc<DbStore>,
    reconciler: Reconciler,
    backlogs: Backlogs,
    metrics: Arc<Metrics>,
}

impl Figures {
    /// The figures of a deployment, for these metrics.
    pub fn new(context: &Context, reconciler: Reconciler, metrics: Arc<Metrics>) -> Self {
        Self {
            store: context.store.clone(),
            backlogs: Backlogs::new(context, reconciler.clone()),
            reconciler,
            metrics,
        }
    }

    /// Reads everything anew. What cannot be read stays as it was.
    pub async fn tell(&self, replicas: u32) {
        self.metrics.set_replicas(replicas.into());
        for id in self.reconciler.backends().ids() {
            if let Err(error) = self.tell_backend(id, replicas).await {
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

    async fn tell_backend(&self, id: &BackendId, replicas: u32) -> Result<()> {
        let counts = self.store.count_by_state(id).await?;
        self.metrics.set_secrets(id, &counts);
        let backlog = self.backlogs.of(id, replicas).await?;
        self.metrics.set_backlog(id, &backlog);
        let complete = self.store.last_complete(Job::VerifyBlobs, id).await?;
        let report = complete.and_then(|run| serde_json::from_value(run.report).ok());
        if let Some(report) = report {
            self.metrics.set_findings(&report);
        }
        Ok(())
    }
}
