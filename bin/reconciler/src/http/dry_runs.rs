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
use tokio::time::Instant;

/// How long an answer waits for those whose patience was over: from then on it tells of the past.
const KEPT: Duration = Duration::from_mins(1);

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

struct Ended<R> {
    looked: Arc<Looked<R>>,
    at: Instant,
}

type Answer<R> = watch::Receiver<Option<Ended<R>>>;

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
    /// whoever asks again waits for the same one, or has its answer while that is no older than [`KEPT`].
    pub(super) async fn look(&self, job: &J, patience: Duration) -> Option<Arc<Looked<R>>> {
        let mut answer = self.join(job);
        let told = tokio::time::timeout(patience, answer.wait_for(Option::is_some)).await;
        let looked = told.ok()?.ok()?.as_ref()?.looked.clone();
        // From here on somebody who asks wants to know how it is then.
        let mut under_way = self.under_way();
        if under_way
            .get(job)
            .is_some_and(|it| it.same_channel(&answer))
        {
            under_way.remove(job);
        }
        Some(looked)
    }

    fn join(&self, job: &J) -> Answer<R> {
        let mut under_way = self.under_way();
        let answers = |answer: &&Answer<R>| match &*answer.borrow() {
            Some(ended) => ended.at.elapsed() <= KEPT,
            // One that panicked answers nobody.
            None => answer.has_changed().is_ok(),
        };
        if let Some(answer) = under_way.get(job).filter(answers) {
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
            let looked = Arc::new(looked);
            let at = Instant::now();
            tell.send_replace(Some(Ended { looked, at }));
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(8);

    /// Tells the number of each look, once it may end.
    struct Looks {
        begun: AtomicUsize,
        may_end: Semaphore,
    }

    #[async_trait]
    impl Look<String, usize> for Looks {
        async fn look(&self, _: &String) -> Vec<Result<usize>> {
            let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
            self.may_end.acquire().await.unwrap().forget();
            vec![Ok(number)]
        }
    }

    struct Scene {
        looks: Arc<Looks>,
        runs: DryRuns<String, usize>,
    }

    impl Scene {
        fn new() -> Self {
            let looks = Arc::new(Looks {
                begun: AtomicUsize::new(0),
                may_end: Semaphore::new(0),
            });
            let runs = DryRuns::new(looks.clone());
            Self { looks, runs }
        }

        /// The number of the look that answers.
        async fn ask(&self) -> Option<usize> {
            let looked = self.runs.look(&"job".to_owned(), PATIENCE).await?;
            Some(looked.reports[0])
        }

        async fn ends_later(&self) {
            self.looks.may_end.add_permits(1);
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_took_longer_is_the_answer_of_the_next_who_asks_soon() {
        let scene = Scene::new();
        assert_eq!(scene.ask().await, None);
        assert_eq!(scene.ask().await, None, "it is the same one");
        scene.ends_later().await;
        tokio::time::advance(KEPT / 2).await;
        assert_eq!(scene.ask().await, Some(1));
        scene.looks.may_end.add_permits(1);
        assert_eq!(scene.ask().await, Some(2), "an answer is given once");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_told_of_the_past() {
        let scene = Scene::new();
        assert_eq!(scene.ask().await, None);
        scene.ends_later().await;
        tokio::time::advance(KEPT + Duration::from_secs(1)).await;
        scene.looks.may_end.add_permits(1);
        assert_eq!(scene.ask().await, Some(2));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_had_the_answer_late_ends_nobody_elses_look() {
        let scene = Scene::new();
        let (early, late) = (scene.runs.join(&"job".to_owned()), scene.ask());
        let mut late = std::pin::pin!(late);
        tokio::select! {
            biased;
            told = &mut late => panic!("{told:?}, and nothing has ended"),
            () = tokio::task::yield_now() => {}
        }
        scene.ends_later().await;
        assert!(early.borrow().is_some());
        scene.runs.under_way().remove("job");
        let next = scene.runs.join(&"job".to_owned());
        assert_eq!(late.await, Some(1));
        assert!(scene.runs.join(&"job".to_owned()).same_channel(&next));
    }
}
