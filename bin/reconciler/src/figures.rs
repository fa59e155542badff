//! The gauges that the database tells, brought to what ledger and journal say.

use std::sync::Arc;

use cloakroom_core::ledger::Ledger as _;
use cloakroom_core::store::Job;
use cloakroom_core::{BackendId, Result, Timestamp};
use cloakroom_reconcile::Reconciler;
use cloakroom_store_db::DbStore;

use crate::backlog::Backlogs;
use crate::last_success::{Ahead, awaited_since, last_success};
use crate::metrics::{Metrics, MoveKind};
use crate::namesakes;
use crate::unconfigured::unconfigured;
use crate::verified::Verified;
use crate::wiring::Context;

/// Reads the figures and sets the gauges.
pub struct Figures {
    store: Arc<DbStore>,
    reconciler: Reconciler,
    backlogs: Backlogs,
    metrics: Arc<Metrics>,
    /// When this process began.
    started: Timestamp,
    ahead: Ahead,
}

impl Figures {
    /// The figures of a deployment, for these metrics, of a process that `started` then.
    pub fn new(
        context: &Context,
        reconciler: Reconciler,
        metrics: Arc<Metrics>,
        started: Timestamp,
    ) -> Self {
        Self {
            store: context.store.clone(),
            backlogs: Backlogs::new(context, reconciler.clone()),
            reconciler,
            metrics,
            started,
            ahead: Ahead::default(),
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
        if let Err(error) = self.tell_moves().await {
            tracing::warn!(error = %error, "could not read which moves are open");
        }
        if let Err(error) = self.tell_unconfigured().await {
            tracing::warn!(error = %error, "could not read which backends are not configured");
        }
        for job in Job::ALL {
            if let Err(error) = self.tell_job(job).await {
                tracing::warn!(job.name = %job, error = %error, "could not read the last success");
            }
        }
    }

    async fn tell_job(&self, job: Job) -> Result<()> {
        let backends = || self.reconciler.backends().ids();
        let at = last_success(&self.store, job, backends()).await?;
        self.metrics.set_last_success(job.as_str(), at);
        let since = awaited_since(&self.store, job, backends(), self.started, &self.ahead);
        self.metrics.set_awaited(job.as_str(), since.await?);
        Ok(())
    }

    async fn tell_moves(&self) -> Result<()> {
        let now = self.store.now().await?;
        for (kind, open) in [
            (MoveKind::Documents, self.store.open_moves().await?),
            (MoveKind::Platforms, self.store.open_platform_moves().await?),
        ] {
            let age = open.oldest.map(|oldest| now.duration_since(oldest));
            let age = age.and_then(|age| age.try_into().ok()).unwrap_or_default();
            self.metrics.set_open_moves(kind, open.number, age);
        }
        Ok(())
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
        let verified = Verified::read(&*self.store, id).await?;
        self.metrics.set_findings(id, &verified);
        if let Some(seen) = namesakes::last_seen(&*self.store, id).await? {
            self.metrics.set_namesakes(id, seen);
        }
        Ok(())
    }
}
