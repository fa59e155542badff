//! The driver: jobs are activated by a schedule, a signal or by hand. An activation takes no input;
//! several before a run begins are one; one job runs at a time.
//!
//! The jobs of a store are one set of jobs, each of them over every backend. Whoever has another set,
//! such as a clean-up of each platform, has a driver of its own for it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Display;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::mutant::{self, Mutant};
use cloakroom_core::store::{Job, RunOutcome};
use cloakroom_core::{Error, ErrorKind, Randomness, Result, Timestamp};
use futures_util::FutureExt as _;
use serde::Serialize;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::causes::causes;
use crate::platform::CleanReport;
use crate::report::Report;
use crate::settings::RunOptions;
use crate::{Reconciler, Silent};

/// What names a job.
pub trait JobName: Clone + Ord + Display + Send + Sync + 'static {}

impl<T: Clone + Ord + Display + Send + Sync + 'static> JobName for T {}

/// What a run leaves.
pub trait RunReport: Clone + Send + 'static {
    /// When the run ended, where it did all it was to do.
    fn succeeded(&self) -> Option<Timestamp>;
}

impl RunReport for Report {
    fn succeeded(&self) -> Option<Timestamp> {
        (self.outcome == RunOutcome::Done).then_some(self.finished)
    }
}

impl RunReport for CleanReport {
    fn succeeded(&self) -> Option<Timestamp> {
        (self.outcome == RunOutcome::Done).then_some(self.finished)
    }
}

/// What the driver runs.
#[async_trait]
pub trait JobRunner<J: JobName = Job, R: RunReport = Report>: Send + Sync {
    /// The store's present moment, for the record.
    async fn now(&self) -> Result<Timestamp>;

    /// Runs a job on every backend; one backend's failure is its own. A run that failed after it had
    /// begun may leave its report as well.
    async fn run_job(&self, job: J) -> Vec<Result<R>>;
}

/// Where one job stands.
#[derive(Clone, Debug, Serialize)]
pub struct JobState<J = Job, R = Report> {
    /// Which job.
    pub job: J,
    /// Whether it is running now.
    pub running: bool,
    /// Whether an activation waits.
    pub waiting: bool,
    /// Runs so far.
    pub runs: u64,
    /// When the last run began, by the store's clock.
    pub last_started: Option<Timestamp>,
    /// When the last run ended that did all it was to do.
    pub last_success: Option<Timestamp>,
    /// The reports of the last run, one a backend.
    pub reports: Vec<R>,
    /// What the last run failed with.
    pub errors: Vec<String>,
    /// When the run under way was asked for, and the one that waits.
    #[serde(skip)]
    asked: Asked,
}

#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    running: Option<Instant>,
    waiting: Option<Instant>,
}

impl<J, R> JobState<J, R> {
    /// For how long it has been at work, its wait for the jobs before it included; `None` where it is
    /// not.
    pub fn busy(&self) -> Option<Duration> {
        let asked = self.asked.running.or(self.asked.waiting);
        asked.map(|at| at.elapsed())
    }

    fn new(job: J) -> Self {
        Self {
            job,
            running: false,
            waiting: false,
            runs: 0,
            last_started: None,
            last_success: None,
            reports: Vec::new(),
            errors: Vec::new(),
            asked: Asked::default(),
        }
    }
}

struct Shared<J, R> {
    order: Vec<J>,
    states: Mutex<BTreeMap<J, JobState<J, R>>>,
    wake: Notify,
    stop: CancellationToken,
}

impl<J: JobName, R> Shared<J, R> {
    fn states(&self) -> MutexGuard<'_, BTreeMap<J, JobState<J, R>>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job in turn behind `last`, so that none waits for ever behind one that is
    /// activated all the time.
    fn next_waiting(&self, last: Option<&J>) -> Option<J> {
        let states = self.states();
        let behind = last
            .and_then(|last| self.order.iter().position(|job| job == last))
            .map_or(0, |at| at + 1);
        let (before, behind) = self.order.split_at(behind);
        let mut turns = behind.iter().chain(before);
        turns
            .find(|job| states.get(job).is_some_and(|state| state.waiting))
            .cloned()
    }

    /// From here on an activation asks for another run.
    fn begin(&self, job: &J) {
        if let Some(state) = self.states().get_mut(job) {
            state.waiting = false;
            state.running = true;
            state.asked.running = state.asked.waiting.take();
        }
    }
}

/// Runs jobs one at a time, each at most once however often it is activated meanwhile.
pub struct Driver<J = Job, R = Report> {
    shared: Arc<Shared<J, R>>,
    worker: JoinHandle<()>,
}

impl Driver {
    /// Starts the worker of a store's jobs. Before each run it waits for a random part of `jitter`, so
    /// that replicas woken by one clock do not all begin at once.
    pub fn start(
        runner: Arc<dyn JobRunner>,
        randomness: Arc<dyn Randomness>,
        jitter: Duration,
        stop: CancellationToken,
    ) -> Self {
        Self::of(Job::ALL, runner, randomness, jitter, stop)
    }

    /// The same for whoever polls the worker himself: what activates jobs, and the worker, which ends
    /// when it is told to stop. Dropped, it takes the run under way with it.
    pub fn prepare(
        runner: Arc<dyn JobRunner>,
        randomness: Arc<dyn Randomness>,
        jitter: Duration,
        stop: CancellationToken,
    ) -> (Activator, impl Future<Output = ()> + Send + 'static) {
        prepare(Job::ALL, runner, randomness, jitter, stop)
    }
}

impl<J: JobName, R: RunReport> Driver<J, R> {
    /// Starts the worker of these jobs, which take turns in this order, as [`start`](Driver::start) does.
    pub fn of(
        jobs: impl IntoIterator<Item = J>,
        runner: Arc<dyn JobRunner<J, R>>,
        randomness: Arc<dyn Randomness>,
        jitter: Duration,
        stop: CancellationToken,
    ) -> Self {
        let (Activator { shared }, work) = prepare(jobs, runner, randomness, jitter, stop);
        let worker = tokio::spawn(work);
        Self { shared, worker }
    }

    /// Asks for a run of `job`. Activations that come before it begins are one.
    pub fn activate(&self, job: J) {
        self.activator().activate(job);
    }

    /// A handle that can only activate, for schedules and servers.
    pub fn activator(&self) -> Activator<J, R> {
        Activator {
            shared: self.shared.clone(),
        }
    }

    /// Where each job stands.
    pub fn states(&self) -> Vec<JobState<J, R>> {
        self.activator().states()
    }

    /// Waits for the run under way to end, once the driver was told to stop.
    pub async fn join(self) {
        if let Err(error) = self.worker.await {
            tracing::error!(error = %error, "the driver ended badly");
        }
    }
}

/// Activates jobs and tells where they stand.
pub struct Activator<J = Job, R = Report> {
    shared: Arc<Shared<J, R>>,
}

impl<J, R> Clone for Activator<J, R> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<J: JobName, R: RunReport> Activator<J, R> {
    /// Asks for a run of `job`.
    pub fn activate(&self, job: J) {
        if let Entry::Occupied(mut state) = self.shared.states().entry(job) {
            let state = state.get_mut();
            state.waiting = true;
            state.asked.waiting.get_or_insert_with(Instant::now);
        }
        self.shared.wake.notify_one();
    }

    /// Where each job stands.
    pub fn states(&self) -> Vec<JobState<J, R>> {
        self.shared.states().values().cloned().collect()
    }
}

fn prepare<J: JobName, R: RunReport>(
    jobs: impl IntoIterator<Item = J>,
    runner: Arc<dyn JobRunner<J, R>>,
    randomness: Arc<dyn Randomness>,
    jitter: Duration,
    stop: CancellationToken,
) -> (Activator<J, R>, impl Future<Output = ()> + Send + 'static) {
    let order: Vec<J> = jobs.into_iter().collect();
    let states = order.iter().cloned();
    let states = states
        .map(|job| (job.clone(), JobState::new(job)))
        .collect();
    let shared = Arc::new(Shared {
        order,
        states: Mutex::new(states),
        wake: Notify::new(),
        stop,
    });
    let activator = Activator {
        shared: shared.clone(),
    };
    (activator, work(shared, runner, randomness, jitter))
}

async fn work<J: JobName, R: RunReport>(
    shared: Arc<Shared<J, R>>,
    runner: Arc<dyn JobRunner<J, R>>,
    randomness: Arc<dyn Randomness>,
    jitter: Duration,
) {
    loop {
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            () = shared.wake.notified() => {}
        }
        let mut last = None;
        while let Some(job) = shared.next_waiting(last.as_ref()) {
            last = Some(job.clone());
            let pause = jitter.mul_f64(randomness.fraction());
            tokio::select! {
                biased;
                () = shared.stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            shared.begin(&job);
            run_one(&shared, &*runner, job).await;
            if shared.stop.is_cancelled() {
                return;
            }
        }
    }
}

async fn run_one<J: JobName, R: RunReport>(
    shared: &Shared<J, R>,
    runner: &dyn JobRunner<J, R>,
    job: J,
) {
    // A bug in one job must not end the driver. What the run held is dropped with it, and a reconciler
    // keeps nothing from one run to the next.
    let run = async { (runner.now().await.ok(), runner.run_job(job.clone()).await) };
    let run = AssertUnwindSafe(run).catch_unwind();
    // A panic's text may hold anything, so it is not repeated.
    let (started, outcomes) = run.await.unwrap_or_else(|_| {
        let message = "it panicked, which is a bug; nothing is known about this run";
        let panicked = Error::new(ErrorKind::Unavailable, "run the job", message);
        (None, vec![Err(panicked)])
    });
    let mut states = shared.states();
    let Some(state) = states.get_mut(&job) else {
        return;
    };
    state.running = false;
    state.asked.running = None;
    if mutant::on(Mutant::ActivationLost) {
        state.waiting = false;
    }
    state.runs += 1;
    state.last_started = started;
    state.reports.clear();
    state.errors.clear();
    for outcome in outcomes {
        match outcome {
            Ok(report) => state.reports.push(report),
            Err(error) if crate::is_busy(&error) => {
                tracing::info!(job.name = %job, reason = %error, "skipped");
            }
            Err(error) => {
                tracing::error!(job.name = %job, error = %error, cause = causes(&error), "the run failed");
                state.errors.push(error.to_string());
            }
        }
    }
    let ends = state.reports.iter().map(RunReport::succeeded);
    let last = ends.collect::<Option<Vec<_>>>();
    if let Some(ends) = last.filter(|_| state.errors.is_empty()) {
        state.last_success = ends.into_iter().max();
    }
}

#[async_trait]
impl JobRunner for Reconciler {
    async fn now(&self) -> Result<Timestamp> {
        self.store.now().await
    }

    async fn run_job(&self, job: Job) -> Vec<Result<Report>> {
        let options = RunOptions::default();
        let mut outcomes = Vec::new();
        for backend in self.backends.iter() {
            outcomes.push(self.run(job, backend.id(), &options, &Silent).await);
        }
        outcomes
    }
}
