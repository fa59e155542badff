//! What the driver runs: a job on every backend, measured.

use std::sync::Arc;

use async_trait::async_trait;
use cloakroom_core::store::{Job, RunOutcome, Store};
use cloakroom_core::{BackendId, Result, Timestamp};
use cloakroom_reconcile::{JobRunner, Observer, Reconciler, Report, RunOptions, Silent, is_busy};
use tokio::time::Instant;

use crate::metrics::Metrics;

/// Runs jobs and counts what they did.
#[derive(Clone)]
pub struct MeasuredRunner {
    reconciler: Reconciler,
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
}

impl MeasuredRunner {
    /// Runs the jobs of `reconciler`, whose store is `store`.
    pub fn new(reconciler: Reconciler, store: Arc<dyn Store>, metrics: Arc<Metrics>) -> Self {
        Self {
            reconciler,
            store,
            metrics,
        }
    }

    /// Runs a job on one backend and counts what it did; a dry run counts as nothing.
    pub async fn run(
        &self,
        job: Job,
        backend: &BackendId,
        options: &RunOptions,
        observer: &dyn Observer,
    ) -> Result<Report> {
        let began = Instant::now();
        let outcome = self.reconciler.run(job, backend, options, observer).await;
        if options.dry_run {
            return outcome;
        }
        match &outcome {
            Ok(report) => self.metrics.record_run(report, began.elapsed()),
            Err(error) if is_busy(error) => return outcome,
            Err(_) => self.metrics.record_failure(job, began.elapsed()),
        }
        self.count_secrets(backend).await;
        outcome
    }

    async fn count_secrets(&self, backend: &BackendId) {
        match self.store.count_by_state(backend).await {
            Ok(counts) => self.metrics.set_secrets(backend, &counts),
            Err(error) => {
                tracing::warn!(backend.id = %backend, error = %error, "could not count the secrets");
            }
        }
    }
}

#[async_trait]
impl JobRunner for MeasuredRunner {
    async fn now(&self) -> Result<Timestamp> {
        self.store.now().await
    }

    async fn run_job(&self, job: Job) -> Vec<Result<Report>> {
        let options = RunOptions::default();
        let mut outcomes = Vec::new();
        for backend in self.reconciler.backends().iter() {
            outcomes.push(self.run(job, backend.id(), &options, &Silent).await);
        }
        let all_done = outcomes.iter().all(|outcome| {
            outcome
                .as_ref()
                .is_ok_and(|report| report.outcome == RunOutcome::Done)
        });
        let finished = outcomes
            .iter()
            .flatten()
            .map(|report| report.finished)
            .max();
        if let Some(at) = finished.filter(|_| all_done) {
            self.metrics.set_last_success(job, at);
        }
        outcomes
    }
}
