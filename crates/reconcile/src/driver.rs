//! The driver: jobs are activated by a schedule, a signal or by hand. An activation takes no input;
//! several before a run begins are one; one job runs at a time.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::mutant::{self, Mutant};
use cloakroom_core::store::Job;
use cloakroom_core::{Error, ErrorKind, Randomness, Result, Timestamp};
use futures_util::FutureExt as _;
use serde::Serialize;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::report::Report;
use crate::settings::RunOptions;
use crate::{Reconciler, Silent};

/// What the driver runs.
#[async_trait]
pub trait JobRunner: Send + Sync {
    /// The store's present moment, for the record.
    async fn now(&self) -> Result<Timestamp>;

    /// Runs a job on every backend; one backend's failure is its own.
    async fn run_job(&self, job: Job) -> Vec<Result<Report>>;
}

/// Where one job stands.
#[derive(Clone, Debug, Serialize)]
pub struct JobState {
    /// Which job.
    pub job: Job,
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
    pub reports: Vec<Report>,
    /// What the last run failed with.
    pub errors: Vec<String>,
}

impl JobState {
    fn new(job: Job) -> Self {
        Self {
            job,
            running: false,
            waiting: false,
            runs: 0,
            last_started: None,
            last_success: None,
            reports: Vec::new(),
            errors: Vec::new(),
        }
    }
}

struct Shared {
    states: Mutex<BTreeMap<Job, JobState>>,
    wake: Notify,
    stop: CancellationToken,
}

impl Shared {
    fn states(&self) -> MutexGuard<'_, BTreeMap<Job, JobState>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job in turn behind `last`, so that none waits for ever behind one that is
    /// activated all the time.
    fn next_waiting(&self, last: Option<Job>) -> Option<Job> {
        let states = self.states();
        let behind = last
            .and_then(|last| Job::ALL.into_iter().position(|job| job == last))
            .map_or(0, |at| at + 1);
        (0..Job::ALL.len())
            .map(|step| Job::ALL[(behind + step) % Job::ALL.len()])
            .find(|job| states.get(job).is_some_and(|state| state.waiting))
    }

    /// From here on an activation asks for another run.
    fn begin(&self, job: Job) {
        if let Some(state) = self.states().get_mut(&job) {
            state.waiting = false;
            state.running = true;
        }
    }
}

/// Runs jobs one at a time, each at most once however often it is activated meanwhile.
pub struct Driver {
    shared: Arc<Shared>,
    worker: JoinHandle<()>,
}

impl Driver {
    /// Starts the worker. Before each run it waits for a random part of `jitter`, so that replicas
    /// woken by one clock do not all begin at once.
    pub fn start(
        runner: Arc<dyn JobRunner>,
        randomness: Arc<dyn Randomness>,
        jitter: Duration,
        stop: CancellationToken,
    ) -> Self {
        let (Activator { shared }, work) = Self::prepare(runner, randomness, jitter, stop);
        let worker = tokio::spawn(work);
        Self { shared, worker }
    }

    /// The same for whoever polls the worker himself: what activates jobs, and the worker, which ends
    /// when it is told to stop. Dropped, it takes the run under way with it.
    pub fn prepare(
        runner: Arc<dyn JobRunner>,
        randomness: Arc<dyn Randomness>,
        jitter: Duration,
        stop: CancellationToken,
    ) -> (Activator, impl Future<Output = ()> + Send + 'static) {
        let states = Job::ALL
            .into_iter()
            .map(|job| (job, JobState::new(job)))
            .collect();
        let shared = Arc::new(Shared {
            states: Mutex::new(states),
            wake: Notify::new(),
            stop,
        });
        let activator = Activator {
            shared: shared.clone(),
        };
        (activator, work(shared, runner, randomness, jitter))
    }

    /// Asks for a run of `job`. Activations that come before it begins are one.
    pub fn activate(&self, job: Job) {
        self.activator().activate(job);
    }

    /// A handle that can only activate, for schedules and servers.
    pub fn activator(&self) -> Activator {
        Activator {
            shared: self.shared.clone(),
        }
    }

    /// Where each job stands.
    pub fn states(&self) -> Vec<JobState> {
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
#[derive(Clone)]
pub struct Activator {
    shared: Arc<Shared>,
}

impl Activator {
    /// Asks for a run of `job`.
    pub fn activate(&self, job: Job) {
        if let Some(state) = self.shared.states().get_mut(&job) {
            state.waiting = true;
        }
        self.shared.wake.notify_one();
    }

    /// Where each job stands.
    pub fn states(&self) -> Vec<JobState> {
        self.shared.states().values().cloned().collect()
    }
}

async fn work(
    shared: Arc<Shared>,
    runner: Arc<dyn JobRunner>,
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
        while let Some(job) = shared.next_waiting(last) {
            last = Some(job);
            let pause = jitter.mul_f64(randomness.fraction());
            tokio::select! {
                biased;
                () = shared.stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            shared.begin(job);
            run_one(&shared, &runner, job).await;
            if shared.stop.is_cancelled() {
                return;
            }
        }
    }
}

async fn run_one(shared: &Shared, runner: &Arc<dyn JobRunner>, job: Job) {
    // A bug in one job must not end the driver. What the run held is dropped with it, and a reconciler
    // keeps nothing from one run to the next.
    let run = async { (runner.now().await.ok(), runner.run_job(job).await) };
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
                tracing::error!(job.name = %job, error = %error, cause = ?std::error::Error::source(&error), "the run failed");
                state.errors.push(error.to_string());
            }
        }
    }
    let succeeded = state.errors.is_empty()
        && state
            .reports
            .iter()
            .all(|report| report.outcome == cloakroom_core::store::RunOutcome::Done);
    if succeeded {
        state.last_success = state.reports.iter().map(|report| report.finished).max();
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
