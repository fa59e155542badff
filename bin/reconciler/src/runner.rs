//! What the driver runs: a job on every backend, measured.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use cloakroom_core::store::{Job, RunOutcome, Store};
use cloakroom_core::{BackendId, Result, Timestamp};
use cloakroom_reconcile::{
    JobRunner, Observer, Phase, Reconciler, Report, RunOptions, Silent, is_busy,
};
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::metrics::{Counted, Metrics};
use crate::verified::Verified;
use crate::wiring::RequestBudget;

/// Runs jobs and counts what they did.
#[derive(Clone)]
pub struct MeasuredRunner {
    reconciler: Reconciler,
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    budgets: Vec<Arc<RequestBudget>>,
}

impl MeasuredRunner {
    /// Runs the jobs of `reconciler`, whose store is `store`.
    pub fn new(reconciler: Reconciler, store: Arc<dyn Store>, metrics: Arc<Metrics>) -> Self {
        Self {
            reconciler,
            store,
            metrics,
            budgets: Vec::new(),
        }
    }

    /// The same, which knows whose requests a manager counts together.
    pub fn with_budgets(self, budgets: Vec<Arc<RequestBudget>>) -> Self {
        Self { budgets, ..self }
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

    /// One after the other.
    async fn run_line(&self, job: Job, backends: Vec<&BackendId>) -> Vec<Result<Report>> {
        let options = RunOptions::default();
        let mut outcomes = Vec::new();
        for backend in backends {
            let (outcome, broken_off) = self.measure(job, backend, &options, &Silent).await;
            outcomes.extend(broken_off.map(Ok));
            outcomes.push(outcome);
        }
        outcomes
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

/// Those whose requests are counted together in one line, every other in one of its own.
fn lines<'b>(
    budgets: &[Arc<RequestBudget>],
    backends: &'b BTreeSet<BackendId>,
) -> Vec<Vec<&'b BackendId>> {
    let budget = |id: &BackendId| budgets.iter().find(|budget| budget.backend() == id);
    let mut lines: Vec<Vec<&BackendId>> = Vec::new();
    for backend in backends {
        let is_beside = |line: &&mut Vec<&BackendId>| match (budget(backend), budget(line[0])) {
            (Some(one), Some(other)) => one.is_beside(other),
            _ => false,
        };
        match lines.iter_mut().find(is_beside) {
            Some(line) => line.push(backend),
            None => lines.push(vec![backend]),
        }
    }
    lines
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
            self.metrics.set_last_success(job.as_str(), Some(at));
        }
        outcomes
    }

    /// On all of them side by side but those with one quota: one whose manager is silent keeps no other
    /// waiting. Of its success the journal tells, which knows the other backends' too.
    async fn resume_job(&self, job: Job, backends: &BTreeSet<BackendId>) -> Vec<Result<Report>> {
        let lines = lines(&self.budgets, backends);
        let lines = lines.into_iter().map(|line| self.run_line(job, line));
        join_all(lines.collect::<Vec<_>>())
            .await
            .into_iter()
            .flatten()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cloakroom_core::capabilities::Rates;

    use super::*;

    #[test]
    fn backends_of_one_quota_run_one_after_the_other() {
        let id = |name: &str| -> BackendId { name.parse().unwrap() };
        let budget = |name| RequestBudget::new(id(name), &Rates::NONE, 0.5, Duration::from_secs(1));
        let (one, other) = (budget("a"), budget("b"));
        let beside = one.beside(id("c"));
        let budgets = [one, other, beside].map(Arc::new);
        let backends = ["a", "b", "c", "d"].map(id).into();
        let lines = lines(&budgets, &backends);
        let names: Vec<Vec<&str>> = lines
            .iter()
            .map(|line| line.iter().map(|it| it.as_str()).collect())
            .collect();
        assert_eq!(names, [vec!["a", "c"], vec!["b"], vec!["d"]]);
    }
}
