//! What the driver runs: a job on every backend, measured.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use cloakroom_core::store::{Job, RunOutcome, Store};
use cloakroom_core::{BackendId, Result, Timestamp};
use cloakroom_reconcile::{
    JobRunner, Observer, Phase, Reconciler, Report, RunOptions, Silent, is_busy,
};
use tokio::time::Instant;

use crate::metrics::{Counted, Metrics};
use crate::verified::Verified;

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
        let ended = self.measure(job, backend, options, observer).await;
        ended.0
    }

    /// The same, and beside the error of a run that had begun what it had done until then.
    async fn measure(
        &self,
        job: Job,
        backend: &BackendId,
        options: &RunOptions,
        observer: &dyn Observer,
    ) -> (Result<Report>, Option<Report>) {
        if options.dry_run {
            let outcome = self.reconciler.run(job, backend, options, observer).await;
            return (outcome, None);
        }
        let began = Instant::now();
        let counting = Counting::new(&self.metrics, observer);
        let outcome = self.reconciler.run(job, backend, options, &counting).await;
        let ended = match &outcome {
            Ok(report) => report.outcome,
            Err(error) if is_busy(error) => return (outcome, None),
            Err(_) => RunOutcome::Failed,
        };
        self.metrics.record_run(job, ended, began.elapsed());
        self.count_secrets(backend).await;
        if job == Job::VerifyBlobs {
            self.tell_findings(backend).await;
        }
        let broken_off = counting.ended.into_inner();
        let broken_off = broken_off.filter(|_| outcome.is_err());
        (outcome, broken_off)
    }

    /// What is amiss, from the journal, as every replica tells it.
    async fn tell_findings(&self, backend: &BackendId) {
        match Verified::read(&*self.store, backend).await {
            Ok(verified) => self.metrics.set_findings(backend, &verified),
            Err(error) => {
                tracing::warn!(backend.id = %backend, error = %error, "could not read the findings");
            }
        }
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

/// Counts what one run does while it lasts.
struct Counting<'a> {
    metrics: &'a Metrics,
    observer: &'a dyn Observer,
    counted: Mutex<Counted>,
    ended: OnceLock<Report>,
}

impl<'a> Counting<'a> {
    fn new(metrics: &'a Metrics, observer: &'a dyn Observer) -> Self {
        Self {
            metrics,
            observer,
            counted: Mutex::default(),
            ended: OnceLock::new(),
        }
    }
}

impl Observer for Counting<'_> {
    fn progressed(&self, job: Job, backend: &BackendId, phase: Phase, done: u64) {
        self.observer.progressed(job, backend, phase, done);
    }

    fn counted(&self, report: &Report) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        self.metrics.count_more(report, &mut counted);
        self.observer.counted(report);
    }

    fn ended(&self, report: &Report) {
        self.counted(report);
        self.ended.get_or_init(|| report.clone());
        self.observer.ended(report);
    }
}

#[async_trait]
impl JobRunner for MeasuredRunner {
    async fn now(&self) -> Result<Timestamp> {
        self.store.now().await
    }

    async fn run_job(&self, job: Job) -> Vec<Result<Report>> {
        let backends = self.reconciler.backends().iter();
        let backends = backends.map(|backend| backend.id().clone()).collect();
        let outcomes = self.resume_job(job, &backends).await;
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

    /// Of its success the journal tells, which knows the other backends' too.
    async fn resume_job(&self, job: Job, backends: &BTreeSet<BackendId>) -> Vec<Result<Report>> {
        let options = RunOptions::default();
        let mut outcomes = Vec::new();
        for backend in backends {
            let (outcome, broken_off) = self.measure(job, backend, &options, &Silent).await;
            outcomes.extend(broken_off.map(Ok));
            outcomes.push(outcome);
        }
        outcomes
    }
}
