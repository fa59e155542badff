//! The driver: activations before a run begins are one, one job runs at a time, a stop is heard while
//! waiting, and a job that fails or panics is recorded and holds up no other. Under tokio's paused clock.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::store::Job;
use cloakroom_core::{BackendId, Error, ErrorKind, Result, Timestamp};
use cloakroom_reconcile::{Driver, JobRunner, JobState, Report};
use cloakroom_testkit::SeededRandomness;
use libtest_mimic::{Failed, Trial};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

const JOB: Job = Job::ExpireOrphans;

/// A runner whose runs take ten seconds and end as they are told.
#[derive(Default)]
struct Runner {
    log: Mutex<Vec<(Job, Instant)>>,
    running: Mutex<usize>,
    most: Mutex<usize>,
    fails: Mutex<Option<Job>>,
    panics: Mutex<Option<Job>>,
    /// Backends where another run is, and all there are.
    taken: Mutex<BTreeSet<BackendId>>,
    backends: Mutex<Vec<BackendId>>,
    looked: Mutex<Vec<BackendId>>,
}

impl Runner {
    fn begun(&self) -> Vec<Job> {
        self.log
            .lock()
            .unwrap()
            .iter()
            .map(|(job, _)| *job)
            .collect()
    }

    async fn run_on(&self, job: Job, backends: &[BackendId]) -> Vec<Result<Report>> {
        self.log.lock().unwrap().push((job, Instant::now()));
        let mut outcomes = Vec::new();
        for backend in backends {
            self.looked.lock().unwrap().push(backend.clone());
            if self.taken.lock().unwrap().contains(backend) {
                let busy = Error::new(ErrorKind::Unavailable, "begin the run", "another run");
                outcomes.push(Err(busy.with_backend(backend)));
            } else {
                sleep(Duration::from_secs(10)).await;
                outcomes.push(Ok(done(job, backend)));
            }
        }
        outcomes
    }
}

fn done(job: Job, backend: &BackendId) -> Report {
    serde_json::from_value(serde_json::json!({
        "run": cloakroom_core::RunId(uuid::Uuid::nil()), "job": job, "backend": backend,
        "dry_run": false, "started": "2026-03-01T11:58:00Z", "finished": "2026-03-01T11:58:01Z",
        "outcome": "done", "deletions": {}, "failed": 0, "quarantined": 0, "rescued": 0,
        "findings": {}, "examples": [],
        "checked": {"references": 0, "values": 0, "documents": 0, "listed": 0},
        "guards": [], "cut_short": false, "error": null,
    }))
    .unwrap()
}

#[async_trait]
impl JobRunner for Runner {
    async fn now(&self) -> Result<Timestamp> {
        Ok(Timestamp::UNIX_EPOCH)
    }

    async fn resume_job(&self, job: Job, backends: &BTreeSet<BackendId>) -> Vec<Result<Report>> {
        let backends: Vec<BackendId> = backends.iter().cloned().collect();
        self.run_on(job, &backends).await
    }

    async fn run_job(&self, job: Job) -> Vec<Result<Report>> {
        let backends = self.backends.lock().unwrap().clone();
        if !backends.is_empty() {
            return self.run_on(job, &backends).await;
        }
        self.log.lock().unwrap().push((job, Instant::now()));
        {
            let mut running = self.running.lock().unwrap();
            *running += 1;
            let mut most = self.most.lock().unwrap();
            *most = (*most).max(*running);
        }
        sleep(Duration::from_secs(10)).await;
        *self.running.lock().unwrap() -= 1;
        assert!(*self.panics.lock().unwrap() != Some(job), "a bug in a job");
        if *self.fails.lock().unwrap() == Some(job) {
            vec![Err(Error::new(
                ErrorKind::Unavailable,
                "run",
                "the database is away",
            ))]
        } else {
            Vec::new()
        }
    }
}

struct Stage {
    runner: Arc<Runner>,
    driver: Driver,
    stop: CancellationToken,
}

fn stage(jitter: Duration) -> Stage {
    let runner = Arc::new(Runner::default());
    let stop = CancellationToken::new();
    let random = Arc::new(SeededRandomness::new(1));
    let driver = Driver::start(runner.clone(), random, jitter, stop.clone());
    Stage {
        runner,
        driver,
        stop,
    }
}

fn state(states: &[JobState], job: Job) -> JobState {
    states
        .iter()
        .find(|state| state.job == job)
        .unwrap()
        .clone()
}

async fn seconds(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

async fn activations_before_a_run_are_one() {
    let stage = stage(Duration::ZERO);
    for _ in 0..10 {
        stage.driver.activate(Job::ExpireOrphans);
    }
    seconds(5).await;
    assert!(state(&stage.driver.states(), Job::ExpireOrphans).running);
    seconds(100).await;
    assert_eq!(stage.runner.begun(), [Job::ExpireOrphans]);
    assert_eq!(state(&stage.driver.states(), Job::ExpireOrphans).runs, 1);
}

async fn activations_during_a_run_are_one_more() {
    let stage = stage(Duration::ZERO);
    stage.driver.activate(Job::VerifyBlobs);
    seconds(5).await;
    let activator = stage.driver.activator();
    for _ in 0..10 {
        activator.activate(Job::VerifyBlobs);
    }
    let during = state(&activator.states(), Job::VerifyBlobs);
    assert!(during.running && during.waiting);
    seconds(100).await;
    assert_eq!(stage.runner.begun(), [Job::VerifyBlobs; 2]);
    let after = state(&activator.states(), Job::VerifyBlobs);
    assert!(!after.running && !after.waiting);
}

async fn activations_while_waiting_for_the_jitter_are_one() {
    let stage = stage(Duration::from_mins(1));
    for _ in 0..100 {
        stage.driver.activate(Job::ExpireOrphans);
        seconds(1).await;
        if !stage.runner.begun().is_empty() {
            break;
        }
    }
    seconds(300).await;
    assert_eq!(stage.runner.begun(), [Job::ExpireOrphans]);
}

async fn one_job_runs_at_a_time() {
    let stage = stage(Duration::from_secs(3));
    for _ in 0..5 {
        for job in Job::ALL {
            stage.driver.activate(job);
        }
        seconds(7).await;
    }
    seconds(300).await;
    assert_eq!(*stage.runner.most.lock().unwrap(), 1);
    for job in Job::ALL {
        assert!(
            stage.runner.begun().contains(&job),
            "{job} never had its turn"
        );
    }
}

/// A job that is activated all the time does not keep the others from their turn.
async fn no_job_is_starved() {
    let stage = stage(Duration::ZERO);
    for job in Job::ALL {
        stage.driver.activate(job);
    }
    for _ in 0..100 {
        stage.driver.activate(Job::VerifyBlobs);
        seconds(1).await;
    }
    for job in Job::ALL {
        assert!(
            stage.runner.begun().contains(&job),
            "{job} never had its turn"
        );
    }
}

async fn a_stop_is_heard_while_waiting() {
    let stage = stage(Duration::from_hours(1));
    stage.driver.activate(Job::ExpireOrphans);
    seconds(1).await;
    stage.stop.cancel();
    let activator = stage.driver.activator();
    let before = Instant::now();
    stage.driver.join().await;
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert!(stage.runner.begun().is_empty());
    assert!(
        !state(&activator.states(), Job::ExpireOrphans).running,
        "nothing runs any more"
    );
}

async fn a_stop_waits_for_the_run_and_begins_no_other() {
    let stage = stage(Duration::ZERO);
    stage.driver.activate(Job::VerifyBlobs);
    stage.driver.activate(Job::ExpireOrphans);
    seconds(1).await;
    stage.stop.cancel();
    let before = Instant::now();
    stage.driver.join().await;
    assert_eq!(before.elapsed(), Duration::from_secs(9));
    assert_eq!(stage.runner.begun(), [Job::VerifyBlobs]);
    assert_eq!(*stage.runner.running.lock().unwrap(), 0);
}

async fn a_failing_job_is_recorded_and_the_next_one_runs() {
    let stage = stage(Duration::ZERO);
    *stage.runner.fails.lock().unwrap() = Some(Job::VerifyBlobs);
    for job in Job::ALL {
        stage.driver.activate(job);
    }
    seconds(100).await;
    let states = stage.driver.states();
    let failed = state(&states, Job::VerifyBlobs);
    assert_eq!(
        (failed.runs, failed.errors.len(), failed.last_success),
        (1, 1, None)
    );
    assert!(failed.errors[0].contains("the database is away"));
    assert_eq!(stage.runner.begun(), Job::ALL);
    // And it runs again when asked again.
    *stage.runner.fails.lock().unwrap() = None;
    stage.driver.activate(Job::VerifyBlobs);
    seconds(100).await;
    let healed = state(&stage.driver.states(), Job::VerifyBlobs);
    assert_eq!((healed.runs, healed.errors.len()), (2, 0));
}

async fn a_panicking_job_is_recorded_and_the_next_one_runs() {
    let stage = stage(Duration::ZERO);
    *stage.runner.panics.lock().unwrap() = Some(Job::VerifyBlobs);
    for job in Job::ALL {
        stage.driver.activate(job);
    }
    seconds(100).await;
    assert_eq!(stage.runner.begun(), Job::ALL);
    let failed = state(&stage.driver.states(), Job::VerifyBlobs);
    assert!(!failed.running, "{failed:?}");
    assert_eq!((failed.runs, failed.errors.len()), (1, 1));
    assert!(
        !failed.errors[0].contains("a bug in a job"),
        "a panic's text may hold anything"
    );
}

async fn the_jitter_is_within_its_bound() {
    let stage = stage(Duration::from_mins(1));
    let mut waits = Vec::new();
    for _ in 0..20 {
        let before = Instant::now();
        stage.driver.activate(Job::ExpireOrphans);
        seconds(100).await;
        let begun = stage.runner.log.lock().unwrap().last().unwrap().1;
        waits.push(begun - before);
    }
    assert!(
        waits.iter().all(|wait| *wait < Duration::from_secs(61)),
        "{waits:?}"
    );
    waits.dedup();
    assert!(waits.len() > 10, "{waits:?}");
}

/// A machine that slept for eight hours wakes up with every start that it missed at once.
async fn a_suspend_makes_one_run_of_each_job() {
    let stage = stage(Duration::from_mins(1));
    seconds(5).await;
    let woke = Instant::now();
    for job in Job::ALL {
        for _ in 0..8 * 4 {
            stage.driver.activate(job);
        }
    }
    seconds(8 * 3600).await;
    let mut begun = stage.runner.begun();
    begun.sort();
    assert_eq!(
        begun,
        [Job::ExpireOrphans, Job::DeleteSuperseded, Job::VerifyBlobs]
    );
    // Not all replicas at the very moment they wake: each run waits for its jitter.
    let log = stage.runner.log.lock().unwrap();
    let mut before = woke;
    for (job, begun) in log.iter() {
        let waited = *begun - before;
        assert!(!waited.is_zero(), "{job} did not wait");
        assert!(waited < Duration::from_secs(61 + 10), "{job}: {waited:?}");
        before = *begun;
    }
}

fn ids<const N: usize>(ids: [&str; N]) -> [BackendId; N] {
    ids.map(|id| id.parse().unwrap())
}

/// Where another run is at the backend nothing was run, and what was asked for is done once it has gone.
async fn a_run_kept_from_beginning_is_none_and_stays_asked_for() {
    let stage = stage(Duration::ZERO);
    let [main] = ids(["main"]);
    stage.runner.backends.lock().unwrap().push(main.clone());
    stage.driver.activate(JOB);
    seconds(100).await;
    let before = state(&stage.driver.states(), JOB);
    assert_eq!((before.runs, before.reports.len()), (1, 1));
    stage.runner.taken.lock().unwrap().insert(main.clone());
    stage.runner.log.lock().unwrap().clear();
    // However often it is asked for meanwhile.
    for _ in 0..3 {
        stage.driver.activate(JOB);
        seconds(60).await;
    }
    let held_up = state(&stage.driver.states(), JOB);
    assert!(held_up.waiting && !held_up.running, "{held_up:?}");
    assert_eq!(
        (
            held_up.runs,
            held_up.last_started,
            held_up.last_success,
            held_up.reports.len()
        ),
        (1, before.last_started, before.last_success, 1)
    );
    assert!(held_up.errors.is_empty());
    assert!(held_up.held_up.unwrap().backends.contains(&main));
    // It looks now and then, and not all the time.
    let looked = stage.runner.begun().len();
    assert!((3..20).contains(&looked), "{looked}");
    stage.runner.taken.lock().unwrap().clear();
    seconds(200).await;
    let after = state(&stage.driver.states(), JOB);
    assert_eq!((after.runs, after.waiting), (2, false), "{after:?}");
    assert!(after.held_up.is_none());
    // Once is enough.
    let looked = stage.runner.begun().len();
    seconds(3600).await;
    assert_eq!(stage.runner.begun().len(), looked);
}

/// What was done on the other backends is not done again, and is told with what was missing.
async fn a_run_that_missed_a_backend_is_taken_up_there_alone() {
    let stage = stage(Duration::ZERO);
    let backends = ids(["one", "other"]);
    stage
        .runner
        .backends
        .lock()
        .unwrap()
        .extend(backends.clone());
    stage
        .runner
        .taken
        .lock()
        .unwrap()
        .insert(backends[0].clone());
    stage.driver.activate(JOB);
    seconds(12).await;
    let part = state(&stage.driver.states(), JOB);
    assert_eq!((part.runs, part.reports.len(), part.waiting), (1, 1, true));
    assert_eq!(part.last_success, None, "one backend was left out");
    stage.runner.taken.lock().unwrap().clear();
    seconds(200).await;
    let whole = state(&stage.driver.states(), JOB);
    assert_eq!(
        (whole.runs, whole.reports.len(), whole.waiting),
        (1, 2, false)
    );
    assert!(whole.last_success.is_some());
    let looked = stage.runner.looked.lock().unwrap().clone();
    assert_eq!(looked, [&backends[..], &backends[..1]].concat());
}

/// It is not tried for ever, and giving up is told.
async fn waiting_for_another_run_ends() {
    let stage = stage(Duration::ZERO);
    let [main] = ids(["main"]);
    stage.runner.backends.lock().unwrap().push(main.clone());
    stage.runner.taken.lock().unwrap().insert(main);
    stage.driver.activate(JOB);
    seconds(25 * 3600).await;
    let given_up = state(&stage.driver.states(), JOB);
    assert_eq!((given_up.runs, given_up.waiting), (0, false));
    assert_eq!(given_up.errors.len(), 1, "{given_up:?}");
    let looked = stage.runner.begun().len();
    assert!((24..2000).contains(&looked), "{looked}");
    stage.runner.taken.lock().unwrap().clear();
    stage.driver.activate(JOB);
    seconds(100).await;
    let healed = state(&stage.driver.states(), JOB);
    assert_eq!((healed.runs, healed.errors.len()), (1, 0));
}

/// A stop is heard while another run is waited for, and other jobs have their turn meanwhile.
async fn waiting_for_another_run_holds_up_nothing_else() {
    let stage = stage(Duration::ZERO);
    let [main] = ids(["main"]);
    stage.runner.backends.lock().unwrap().push(main.clone());
    stage.runner.taken.lock().unwrap().insert(main);
    stage.driver.activate(JOB);
    seconds(1).await;
    stage.runner.taken.lock().unwrap().clear();
    stage.driver.activate(Job::VerifyBlobs);
    seconds(1).await;
    assert!(state(&stage.driver.states(), Job::VerifyBlobs).running);
    stage.runner.taken.lock().unwrap().extend(ids(["main"]));
    seconds(100).await;
    stage.stop.cancel();
    let before = Instant::now();
    stage.driver.join().await;
    assert_eq!(before.elapsed(), Duration::ZERO);
}

macro_rules! trials {
    ($($law:ident),+ $(,)?) => {
        vec![$(Trial::test(concat!("driver::", stringify!($law)), || paused($law()))),+]
    };
}

pub(crate) fn trials() -> Vec<Trial> {
    trials![
        activations_before_a_run_are_one,
        activations_during_a_run_are_one_more,
        activations_while_waiting_for_the_jitter_are_one,
        one_job_runs_at_a_time,
        no_job_is_starved,
        a_stop_is_heard_while_waiting,
        a_stop_waits_for_the_run_and_begins_no_other,
        a_failing_job_is_recorded_and_the_next_one_runs,
        a_panicking_job_is_recorded_and_the_next_one_runs,
        the_jitter_is_within_its_bound,
        a_suspend_makes_one_run_of_each_job,
        a_run_kept_from_beginning_is_none_and_stays_asked_for,
        a_run_that_missed_a_backend_is_taken_up_there_alone,
        waiting_for_another_run_ends,
        waiting_for_another_run_holds_up_nothing_else,
    ]
}

fn paused(law: impl Future<Output = ()>) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    runtime.block_on(law);
    Ok(())
}
