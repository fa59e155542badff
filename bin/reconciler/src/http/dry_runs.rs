//! Dry runs by hand: one of each job at a time, and whoever asks meanwhile gets the same answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cloakroom_core::store::Job;
use cloakroom_reconcile::{Reconciler, Report, RunOptions, Silent};
use serde::Serialize;
use tokio::sync::watch;

/// What a job would do, on each backend.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Looked {
    /// What each run would find and do.
    pub(super) reports: Vec<Report>,
    /// What could not be looked at.
    pub(super) errors: Vec<String>,
}

type Answer = watch::Receiver<Option<Arc<Looked>>>;

/// Looks, on request.
pub struct DryRuns {
    reconciler: Reconciler,
    under_way: Mutex<BTreeMap<Job, Answer>>,
}

impl DryRuns {
    /// Dry runs of these jobs.
    pub fn new(reconciler: Reconciler) -> Self {
        Self {
            reconciler,
            under_way: Mutex::new(BTreeMap::new()),
        }
    }

    /// What a run would do now; `None` where it takes longer than `patience`. It goes on then, and
    /// whoever asks again waits for the same one.
    pub(super) async fn look(&self, job: Job, patience: Duration) -> Option<Arc<Looked>> {
        let mut answer = self.join(job);
        let told = tokio::time::timeout(patience, answer.wait_for(Option::is_some)).await;
        let looked = told.ok()?.ok()?.clone();
        // From here on somebody who asks wants to know how it is then.
        self.under_way().remove(&job);
        looked
    }

    fn join(&self, job: Job) -> Answer {
        let mut under_way = self.under_way();
        // One that panicked answers nobody.
        let alive = |answer: &&Answer| answer.has_changed().is_ok() || answer.borrow().is_some();
        if let Some(answer) = under_way.get(&job).filter(alive) {
            return answer.clone();
        }
        let (tell, answer) = watch::channel(None);
        let reconciler = self.reconciler.clone();
        tokio::spawn(async move {
            let looked = look(&reconciler, job).await;
            tell.send_replace(Some(Arc::new(looked)));
        });
        under_way.insert(job, answer.clone());
        answer
    }

    fn under_way(&self) -> std::sync::MutexGuard<'_, BTreeMap<Job, Answer>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

async fn look(reconciler: &Reconciler, job: Job) -> Looked {
    let options = RunOptions {
        dry_run: true,
        ..RunOptions::default()
    };
    let mut looked = Looked::default();
    for backend in reconciler.backends().iter() {
        match reconciler.run(job, backend.id(), &options, &Silent).await {
            Ok(report) => looked.reports.push(report),
            Err(error) => {
                tracing::warn!(job.name = %job, backend.id = %backend.id(), error = %error, "the dry run failed");
                looked.errors.push(error.to_string());
            }
        }
    }
    looked
}
