//! The driver: jobs are activated by a schedule, a signal or by hand. An activation takes no input;
//! several before a run begins are one; one job runs at a time.
//!
//! The jobs of a store are one set of jobs, each of them over every backend. Whoever has another set,
//! such as a clean-up of each platform, has a driver of its own for it.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::mutant::{self, Mutant};
use cloakroom_core::store::{Job, RunOutcome};
use cloakroom_core::{BackendId, Error, ErrorKind, Randomness, Result, Timestamp};
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

    /// Takes up a run that another one kept from these backends, on these alone where that can be told
    /// apart.
    async fn resume_job(&self, job: J, backends: &BTreeSet<BackendId>) -> Vec<Result<R>> {
        let _ = backends;
        self.run_job(job).await
    }
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
    /// What keeps the activation that waits from beginning, where that is another run.
    pub held_up: Option<HeldUp>,
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

/// Another run, here or on another replica, is where a job is to run. That is no run of it: it is tried
/// again until the other has ended.
#[derive(Clone, Debug, Serialize)]
pub struct HeldUp {
    /// Where the other run is, as far as that is known.
    pub backends: BTreeSet<BackendId>,
    /// When it was first met, by the store's clock.
    pub since: Option<Timestamp>,
    #[serde(skip)]
    met: Instant,
    /// When it is tried again; at once where it was asked for meanwhile.
    #[serde(skip)]
    again: Option<Instant>,
    #[serde(skip)]
    tries: u32,
    /// The run began on other backends and is to be taken up where it could not.
    #[serde(skip)]
    begun: bool,
}

/// Another run is first looked for again after half of this at the least. A lease that nobody renews
/// lapses in a few of these.
const FIRST_TRY: Duration = Duration::from_secs(30);

/// It is looked for no more seldom than this: a look is one question to the database.
const LONGEST_TRY: Duration = Duration::from_mins(2);

/// Another run that has not ended by then is not waited for any longer.
const LAST_TRY: Duration = Duration::from_hours(24);

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
            held_up: None,
            runs: 0,
            last_started: None,
            last_success: None,
            reports: Vec::new(),
            errors: Vec::new(),
            asked: Asked::default(),
        }
    }

    /// Whether it may begin now.
    fn is_due(&self) -> bool {
        self.waiting
            && self
                .tried_again()
                .is_none_or(|again| again <= Instant::now())
    }

    /// When it is tried again, where another run kept it from beginning and nobody asked since.
    fn tried_again(&self) -> Option<Instant> {
        self.held_up.as_ref().and_then(|held_up| held_up.again)
    }

    /// What of the run under way was left where another one was.
    fn left(&self) -> Option<&HeldUp> {
        let held_up = self.held_up.as_ref();
        held_up.filter(|held_up| held_up.begun && held_up.again.is_some())
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
            .find(|job| states.get(job).is_some_and(JobState::is_due))
            .cloned()
    }

    /// When the next job that another run keeps from beginning is tried again.
    fn next_try(&self) -> Option<Instant> {
        let states = self.states();
        let waiting = states.values().filter(|state| state.waiting);
        waiting.filter_map(JobState::tried_again).min()
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
            // What was asked for anew is all of it, and may be possible by now. A run under way has
            // been told already what it is to do.
            if let Some(held_up) = state.held_up.as_mut().filter(|_| !state.running) {
                held_up.again = None;
            }
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
            () = until(shared.next_try()) => {}
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
            run_one(&shared, &*runner, &*randomness, job).await;
            if shared.stop.is_cancelled() {
                return;
            }
        }
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

async fn run_one<J: JobName, R: RunReport>(
    shared: &Shared<J, R>,
    runner: &dyn JobRunner<J, R>,
    randomness: &dyn Randomness,
    job: J,
) {
    let left = shared.states().get(&job).and_then(JobState::left).cloned();
    // A bug in one job must not end the driver. What the run held is dropped with it, and a reconciler
    // keeps nothing from one run to the next.
    let run = async {
        let started = runner.now().await.ok();
        let outcomes = match &left {
            Some(left) => runner.resume_job(job.clone(), &left.backends).await,
            None => runner.run_job(job.clone()).await,
        };
        (started, outcomes)
    };
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
    let asked = state.asked.running.take();
    if mutant::on(Mutant::ActivationLost) {
        state.waiting = false;
    }
    let (busy, outcomes): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(is_held_up);
    // A run that was kept from every backend was none.
    let began = !outcomes.is_empty() || busy.is_empty();
    if began && left.is_none() {
        state.runs += 1;
        state.last_started = started;
        state.reports.clear();
        state.errors.clear();
    }
    for outcome in outcomes {
        match outcome {
            Ok(report) => state.reports.push(report),
            Err(error) => {
                tracing::error!(job.name = %job, error = %error, cause = causes(&error), "the run failed");
                state.errors.push(error.to_string());
            }
        }
    }
    if busy.is_empty() {
        state.held_up = None;
        state.succeed();
        return;
    }
    let begun = began || left.is_some();
    state.hold_up(&busy, begun, started, asked, randomness.fraction());
}

fn is_held_up<R>(outcome: &Result<R>) -> bool {
    outcome.as_ref().is_err_and(crate::is_busy)
}

impl<J: JobName, R: RunReport> JobState<J, R> {
    /// Takes down when the run ended, where it did all it was to do.
    fn succeed(&mut self) {
        let ends = self.reports.iter().map(RunReport::succeeded);
        let last = ends.collect::<Option<Vec<_>>>();
        if let Some(ends) = last.filter(|_| self.errors.is_empty()) {
            self.last_success = ends.into_iter().max();
        }
    }

    /// What was asked for stays asked for, where another run was met, until that has ended.
    fn hold_up(
        &mut self,
        busy: &[Result<R>],
        begun: bool,
        now: Option<Timestamp>,
        asked: Option<Instant>,
        fraction: f64,
    ) {
        let reasons = || busy.iter().filter_map(|outcome| outcome.as_ref().err());
        for reason in reasons() {
            tracing::info!(job.name = %self.job, reason = %reason, "skipped for now");
        }
        let before = self.held_up.take();
        let met = before.as_ref().map_or_else(Instant::now, |it| it.met);
        if met.elapsed() >= LAST_TRY {
            tracing::error!(job.name = %self.job, "given up: another run has not ended for a day");
            // What a run that began elsewhere failed with is told beside it.
            if !begun {
                self.errors.clear();
            }
            self.errors.extend(reasons().map(ToString::to_string));
            return;
        }
        let tries = before.as_ref().map_or(0, |it| it.tries);
        let pause = FIRST_TRY.saturating_mul(1 << tries.min(8)).min(LONGEST_TRY);
        let again = Instant::now() + pause.mul_f64(f64::midpoint(1.0, fraction));
        self.held_up = Some(HeldUp {
            backends: reasons().filter_map(|it| it.backend().cloned()).collect(),
            since: before.and_then(|it| it.since).or(now),
            met,
            // Asked for meanwhile: that is another run, of all there is.
            again: (!self.waiting).then_some(again),
            tries: tries + 1,
            begun,
        });
        self.waiting = true;
        self.asked.waiting = asked.or(self.asked.waiting);
    }
}

#[async_trait]
impl JobRunner for Reconciler {
    async fn now(&self) -> Result<Timestamp> {
        self.store.now().await
    }

    async fn run_job(&self, job: Job) -> Vec<Result<Report>> {
        let backends = self.backends.iter().map(|backend| backend.id().clone());
        self.resume_job(job, &backends.collect()).await
    }

    async fn resume_job(&self, job: Job, backends: &BTreeSet<BackendId>) -> Vec<Result<Report>> {
        let options = RunOptions::default();
        let mut outcomes = Vec::new();
        for backend in backends {
            outcomes.push(self.run(job, backend, &options, &Silent).await);
        }
        outcomes
    }
}
