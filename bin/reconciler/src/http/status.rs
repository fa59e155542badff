//! `/status`: version, jobs, schedules, counts, costs and budgets as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use cloakroom_core::ledger::{Ledger as _, RowState};
use cloakroom_core::store::{
    DocumentStore as _, FindingKind, Job, Journal as _, RunOutcome, RunRecord,
};
use cloakroom_core::{BackendId, Error, ErrorKind, Result, RunId, Timestamp};
use cloakroom_reconcile::{JobState, Report};
use serde::Serialize;

use super::backend_status::{self, BackendStatus};
use super::held_up;
use super::overdue::{LONG_RUN, allowances, is_overdue};
use super::platforms::{PlatformStatus, platforms};
use super::routes::App;
use super::token::Caller;
use super::told::told;
use super::without_ids::without_ids;
use crate::last_success::last_success;
use crate::verified::Verified;

/// The whole of it.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The version that is running.
    pub version: &'static str,
    /// The deployment's name.
    pub deployment: String,
    /// When this process began, by the store's clock.
    pub started: Timestamp,
    /// The store's present moment.
    pub now: Timestamp,
    /// Whether it is stopping.
    pub stopping: bool,
    /// Whether this replica reports the database's figures to Prometheus.
    pub leader: bool,
    /// Each job.
    pub jobs: Vec<JobStatus>,
    /// Each platform.
    pub platforms: Vec<PlatformStatus>,
    /// Ledger rows of each backend by state.
    pub secrets: BTreeMap<BackendId, BTreeMap<&'static str, u64>>,
    /// What waits to be deleted in each backend, what it costs, and the budget of requests.
    pub backends: BTreeMap<BackendId, BackendStatus>,
    /// Deletions that are parked because they failed too often, on all backends.
    pub quarantined: u64,
    /// Secrets that an undo brought back and no job touches yet, on all backends.
    pub held: u64,
    /// Moves that are neither finished nor taken back.
    pub open_moves: OpenMoveStatus,
    /// Why this may not be the right database, where something speaks for that.
    pub doubt: Option<String>,
    /// Secrets that may still be in backends which the configuration does not name: no job looks at
    /// those.
    pub unconfigured: BTreeMap<BackendId, u64>,
}

/// Moves that somebody has to finish or take back.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct OpenMoveStatus {
    /// How many of documents.
    pub documents: u64,
    /// How many of what platforms wrote.
    pub platforms: u64,
    /// When the oldest of them all began.
    pub since: Option<Timestamp>,
}

/// Where one job stands.
#[derive(Clone, Debug, Serialize)]
pub struct JobStatus {
    /// Which job.
    pub job: Job,
    /// Its cron line, in UTC.
    pub schedule: Option<String>,
    /// Whether the schedule starts it.
    pub enabled: bool,
    /// Whether it is running now.
    pub running: bool,
    /// Whether a run has been asked for and not begun.
    pub waiting: bool,
    /// What it waits for, where another run keeps it from beginning.
    pub waits_for: Option<String>,
    /// Whether it has missed two starts.
    pub overdue: bool,
    /// Runs of this process.
    pub runs: u64,
    /// When the last run began, of whichever process.
    pub last_run: Option<Timestamp>,
    /// How it ended: the worst of the backends.
    pub outcome: Option<RunOutcome>,
    /// When a run last did all it was to do.
    pub last_success: Option<Timestamp>,
    /// When the schedule starts it next.
    pub next_run: Option<Timestamp>,
    /// What is amiss on each backend as far as this job knows. Of verify-blobs at the least: what its
    /// last run that went through everything found, or one that broke off since, whichever is more.
    pub findings: BTreeMap<BackendId, BTreeMap<FindingKind, u64>>,
    /// What the last run found, did and left, one a backend.
    pub reports: Vec<ReportStatus>,
    /// What the last run failed with.
    pub errors: Vec<String>,
}

/// A report as it is told: whoever is not the operator reads no id in it.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum ReportStatus {
    /// For the operator: all of it.
    Whole(Box<Report>),
    /// For anybody.
    WithoutIds(Box<AnonymousReport>),
}

/// A report without ids.
#[derive(Clone, Debug)]
pub struct AnonymousReport(Report);

/// What anybody is told of a run's report.
const TOLD: [&str; 26] = [
    "job",
    "backend",
    "dry_run",
    "started",
    "finished",
    "outcome",
    "deletions.*.*",
    "failed",
    "quarantined",
    "waiting",
    "failed_before",
    "parked",
    "to_purge",
    "purged",
    "unpurged",
    "unpurged_because",
    "rescued",
    "unrestored",
    "namesakes",
    "findings.*",
    "checked.*",
    "guards.*.guard",
    "guards.*.saw",
    "guards.*.overridden",
    "cut_short",
    "error",
];

impl ReportStatus {
    /// The report.
    pub fn report(&self) -> &Report {
        match self {
            Self::Whole(report) => report,
            Self::WithoutIds(told) => &told.0,
        }
    }

    pub(super) fn new(report: Report, caller: Caller) -> Self {
        match caller {
            Caller::Operator => Self::Whole(Box::new(report)),
            Caller::Anybody => Self::WithoutIds(Box::new(AnonymousReport::new(report))),
        }
    }
}

impl AnonymousReport {
    fn new(mut report: Report) -> Self {
        report.run = RunId(uuid::Uuid::nil());
        report.plan = None;
        report.examples.clear();
        for trip in &mut report.guards {
            trip.saw = without_ids(&trip.saw);
        }
        report.error = report.error.as_deref().map(without_ids);
        report.unpurged_because = report.unpurged_because.as_deref().map(without_ids);
        Self(report)
    }
}

impl Serialize for AnonymousReport {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let report = serde_json::to_value(&self.0).map_err(serde::ser::Error::custom)?;
        told(&report, &TOLD).serialize(serializer)
    }
}

/// What is told where the store does not answer.
#[derive(Debug, Serialize)]
pub(super) struct Untold {
    version: &'static str,
    error: Cause,
}

#[derive(Debug, Serialize)]
struct Cause {
    kind: String,
}

impl Untold {
    pub(super) fn new(kind: ErrorKind) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            error: Cause {
                kind: kind.to_string(),
            },
        }
    }
}

/// Of the time that a request has. Whoever waits for a store longer is told so as he asked for it.
const SHARE_OF_TIMEOUT: f64 = 0.8;

/// The status now, for whoever asks.
pub(super) async fn of(app: &App, caller: Caller) -> Result<Status> {
    let patience = app.timeout.mul_f64(SHARE_OF_TIMEOUT);
    let looked = tokio::time::timeout(patience, look(app, caller)).await;
    looked.unwrap_or_else(|_| {
        let message = "the store does not answer in time";
        Err(Error::new(
            ErrorKind::Unavailable,
            "tell the status",
            message,
        ))
    })
}

async fn look(app: &App, caller: Caller) -> Result<Status> {
    app.store.check_place().await?;
    let now = app.store.now().await?;
    let counted = app.counts.recent().await?;
    let named = counted.by_state.iter().map(|(backend, counts)| {
        let counts = counts
            .iter()
            .map(|(state, number)| (state.as_str(), *number));
        (backend.clone(), counts.collect())
    });
    let secrets = named.collect();
    Ok(Status {
        version: env!("CARGO_PKG_VERSION"),
        deployment: app.store.identity().await?.deployment,
        started: app.started,
        now,
        stopping: app.stop.is_cancelled(),
        leader: app.metrics.leads(),
        jobs: jobs_for(app, caller, now).await?,
        platforms: platforms(app, caller, now).await?,
        secrets,
        backends: backend_status::of(app).await?,
        quarantined: counted.in_state(RowState::Quarantined),
        held: counted.in_state(RowState::Held),
        open_moves: open_moves(app).await?,
        doubt: app.doubt().await?,
        unconfigured: counted.unconfigured.clone(),
    })
}

async fn open_moves(app: &App) -> Result<OpenMoveStatus> {
    let documents = app.store.open_moves().await?;
    let platforms = app.store.open_platform_moves().await?;
    Ok(OpenMoveStatus {
        documents: documents.number,
        platforms: platforms.number,
        since: documents.oldest.into_iter().chain(platforms.oldest).min(),
    })
}

/// Where each job stands.
pub(super) async fn jobs(app: &App) -> Result<Vec<JobStatus>> {
    let now = app.store.now().await?;
    jobs_for(app, Caller::Anybody, now).await
}

async fn jobs_for(app: &App, caller: Caller, now: Timestamp) -> Result<Vec<JobStatus>> {
    let mut jobs = Vec::new();
    let states = app.activator.states();
    let jitter = app.jobs.as_ref().map(|jobs| jobs.jitter.0);
    let allowances = allowances(&states, jitter.unwrap_or_default());
    for state in states {
        let allowance = allowances(&state);
        jobs.push(job_status(app, state, allowance, caller, now).await?);
    }
    Ok(jobs)
}

async fn job_status(
    app: &App,
    mut state: JobState,
    allowance: Duration,
    caller: Caller,
    now: Timestamp,
) -> Result<JobStatus> {
    let ended = recall(app, &mut state, now).await?;
    let held_up = match &state.held_up {
        Some(held_up) => Some(held_up::tell(app, held_up).await?),
        None => None,
    };
    let at_work = held_up.as_ref().is_some_and(|it| it.at_work);
    let allowance = if at_work {
        allowance + LONG_RUN
    } else {
        allowance
    };
    let schedule = app.jobs.as_ref().map(|jobs| jobs.of(state.job));
    let enabled = schedule.is_some_and(|schedule| schedule.enabled);
    let overdue = enabled
        && schedule.is_some_and(|schedule| is_overdue(&schedule.cron, ended, allowance, now));
    let failed = (!state.errors.is_empty()).then_some(RunOutcome::Failed);
    let outcomes = state
        .reports
        .iter()
        .map(|report| report.outcome)
        .chain(failed);
    let outcome = outcomes.max_by_key(|outcome| weight(*outcome));
    let error = |error: String| match caller {
        Caller::Operator => error,
        Caller::Anybody => without_ids(&error),
    };
    Ok(JobStatus {
        job: state.job,
        schedule: schedule.map(|schedule| schedule.cron.to_string()),
        enabled,
        running: state.running,
        waiting: state.waiting,
        waits_for: held_up.map(|it| it.text),
        overdue,
        runs: state.runs,
        last_run: state.last_started,
        outcome,
        last_success: last_success(&app.store, state.job, app.backends()).await?,
        next_run: schedule
            .filter(|_| enabled)
            .and_then(|schedule| schedule.cron.next_after(now)),
        findings: amiss(app, &state).await?,
        reports: state
            .reports
            .into_iter()
            .map(|report| ReportStatus::new(report, caller))
            .collect(),
        errors: state.errors.into_iter().map(error).collect(),
    })
}

async fn amiss(
    app: &App,
    state: &JobState,
) -> Result<BTreeMap<BackendId, BTreeMap<FindingKind, u64>>> {
    let mut amiss = BTreeMap::new();
    if state.job == Job::VerifyBlobs {
        for backend in app.backends() {
            let verified = Verified::read(&*app.store, backend).await?;
            amiss.insert(backend.clone(), verified.amiss());
        }
    } else {
        for report in &state.reports {
            amiss.insert(report.backend.clone(), report.findings.clone());
        }
    }
    Ok(amiss)
}

/// Adds what other processes, or this one before its restart, wrote down: what the journal has of later is
/// the news. Gives back when a run last ended, of whichever process, on the backend where that is longest
/// ago; the beginning of this process where that is later.
async fn recall(app: &App, state: &mut JobState, now: Timestamp) -> Result<Timestamp> {
    let mut oldest: Option<Timestamp> = None;
    let mut never = false;
    let own = state.last_started;
    let mut is_settled = true;
    for backend in app.backends() {
        let Some(run) = app.store.last_finished(state.job, backend).await? else {
            never = true;
            is_settled = false;
            continue;
        };
        if let Some(finished) = run.finished {
            let name = format!("{} on {backend}", state.job);
            let finished = app.ahead.settled(&name, finished, now);
            oldest = Some(oldest.map_or(finished, |oldest| oldest.min(finished)));
        }
        state.last_started = state.last_started.max(Some(run.started));
        is_settled &= recall_one(state, run, own, now);
    }
    if is_settled {
        forget_errors(state);
    }
    // Without backends there is nothing to be late with.
    let ended = if app.backends().next().is_none() {
        own
    } else {
        oldest.filter(|_| !never)
    };
    let started = app.started_by(now);
    Ok(ended.map_or(started, |ended| ended.max(started)))
}

/// Takes up a run of the journal if it is newer than the one of this process, and says whether what that
/// one, which began at `own`, may have failed with on this backend is told or over.
fn recall_one(
    state: &mut JobState,
    run: RunRecord,
    own: Option<Timestamp>,
    now: Timestamp,
) -> bool {
    let at = state
        .reports
        .iter()
        .position(|report| report.backend == run.backend);
    // A report from the future hides nothing.
    let is_newer = |report: &Report| (run.started..=now).contains(&report.finished);
    if at.is_some_and(|at| is_newer(&state.reports[at])) {
        return true;
    }
    let is_later = run.finished > own;
    // A report of an older version may lack what this one has; the rest is told all the same.
    let Ok(report) = serde_json::from_value::<Report>(run.report) else {
        return is_later;
    };
    match at {
        Some(at) => {
            let before = std::mem::replace(&mut state.reports[at], report);
            state
                .errors
                .retain(|error| Some(error) != before.error.as_ref());
            true
        }
        // A run of this process that could not begin has no report and is the news.
        None if !is_later && !state.errors.is_empty() => false,
        None => {
            state.reports.push(report);
            is_later
        }
    }
}

/// Every backend has been worked on since; what is left is what the reports tell themselves.
fn forget_errors(state: &mut JobState) {
    let reports = &state.reports;
    state.errors.retain(|error| {
        let mut told = reports.iter().filter_map(|report| report.error.as_ref());
        told.any(|told| told == error)
    });
}

fn weight(outcome: RunOutcome) -> u8 {
    match outcome {
        RunOutcome::Done => 0,
        RunOutcome::Partial => 1,
        RunOutcome::Refused => 2,
        RunOutcome::Failed => 3,
    }
}
