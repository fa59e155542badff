//! Dry runs by hand: one of each job at a time, and whoever asks meanwhile gets the same answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::Result;
use cloakroom_core::store::Job;
use cloakroom_reconcile::{JobName, Reconciler, Report, RunOptions, Silent};
use serde::Serialize;
use tokio::sync::watch;

/// Says what a run would do.
#[async_trait]
pub trait Look<J, R>: Send + Sync {
    /// What a run of `job` would find and do now, in each place that it works on.
    async fn look(&self, job: &J) -> Vec<Result<R>>;
}

/// What a job would do, in each place.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Looked<R> {
    /// What each run would find and do.
    pub(super) reports: Vec<R>,
    /// What could not be looked at.
    pub(super) errors: Vec<String>,
}

impl<R> Default for Looked<R> {
    fn default() -> Self {
        Self {
            reports: Vec::new(),
            errors: Vec::new(),
        }
    }
}

type Answer<R> = watch::Receiver<Option<Arc<Looked<R>>>>;

/// Looks, on request.
pub struct DryRuns<J = Job, R = Report> {
    looks: Arc<dyn Look<J, R>>,
    under_way: Mutex<BTreeMap<J, Answer<R>>>,
}

impl<J: JobName, R: Send + Sync + 'static> DryRuns<J, R> {
    /// Dry runs of these jobs.
    pub fn new(looks: Arc<dyn Look<J, R>>) -> Self {
        Self {
            looks,
            under_way: Mutex::new(BTreeMap::new()),
        }
    }

    /// What a run would do now; `None` where it takes longer than `patience`. It goes on then, and
    /// whoever asks again waits for the same one.
    pub(super) async fn look(&self, job: &J, patience: Duration) -> Option<Arc<Looked<R>>> {
        let mut answer = self.join(job);
        let told = tokio::time::timeout(patience, answer.wait_for(Option::is_some)).await;
        let looked = told.ok()?.ok()?.clone();
        // From here on somebody who asks wants to know how it is then.
        self.under_way().remove(job);
        looked
    }

    fn join(&self, job: &J) -> Answer<R> {
        let mut under_way = self.under_way();
        // One that panicked answers nobody.
        let alive = |answer: &&Answer<R>| answer.has_changed().is_ok() || answer.borrow().is_some();
        if let Some(answer) = under_way.get(job).filter(alive) {
            return answer.clone();
        }
        let (tell, answer) = watch::channel(None);
        let (looks, asked) = (self.looks.clone(), job.clone());
        tokio::spawn(async move {
            let mut looked = Looked::default();
            for outcome in looks.look(&asked).await {
                match outcome {
                    Ok(report) => looked.reports.push(report),
                    Err(error) => {
                        tracing::warn!(job.name = %asked, error = %error, "the dry run failed");
                        looked.errors.push(error.to_string());
                    }
                }
            }
            tell.send_replace(Some(Arc::new(looked)));
        });
        under_way.insert(job.clone(), answer.clone());
        answer
    }

    fn under_way(&self) -> std::sync::MutexGuard<'_, BTreeMap<J, Answer<R>>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Look<Job, Report> for Reconciler {
    async fn look(&self, job: &Job) -> Vec<Result<Report>> {
        let options = RunOptions {
            dry_run: true,
            ..RunOptions::default()
        };
        let mut outcomes = Vec::new();
        for backend in self.backends().iter() {
            outcomes.push(self.run(*job, backend.id(), &options, &Silent).await);
        }
        outcomes
    }
}
