//! What `/status` tells of platforms.

use std::time::Duration;

use cloakroom_core::platform::{Adoptions as _, PlatformRun, Removals as _};
use cloakroom_core::store::RunOutcome;
use cloakroom_core::{Result, RunId, Timestamp};
use cloakroom_reconcile::{CleanReport, JobState};
use serde::Serialize;

use super::held_up;
use super::overdue::{allowances, is_overdue};
use super::routes::App;
use super::token::Caller;
use super::told::told;
use super::without_ids::without_ids;
use crate::cleaning::CleanUp;

/// Where the clean-ups of one platform stand.
#[derive(Clone, Debug, Serialize)]
pub struct PlatformStatus {
    /// The name it has in the configuration.
    pub platform: String,
    /// Its cron line, in UTC; `None` where `serve` does not clean it.
    pub schedule: Option<String>,
    /// When an operator last confirmed a plan; nothing is cleaned without.
    pub confirmed: Option<Timestamp>,
    /// Whether a clean-up is running now.
    pub running: bool,
    /// Whether one has been asked for and not begun.
    pub waiting: bool,
    /// What it waits for, where another one keeps it from beginning.
    pub waits_for: Option<String>,
    /// Whether two have been missed.
    pub overdue: bool,
    /// Clean-ups of this process.
    pub runs: u64,
    /// When the last one began, of whichever process.
    pub last_run: Option<Timestamp>,
    /// How it ended.
    pub outcome: Option<RunOutcome>,
    /// When one last did all it was to do.
    pub last_success: Option<Timestamp>,
    /// When the schedule starts the next.
    pub next_run: Option<Timestamp>,
    /// What the last one found, did and left.
    pub report: Option<CleaningStatus>,
    /// What the last one failed with.
    pub errors: Vec<String>,
}

/// What anybody is told of a clean-up's report.
const TOLD: [&str; 30] = [
    "platform",
    "backend",
    "dry_run",
    "started",
    "finished",
    "outcome",
    "error",
    "obstacles.*.subject",
    "obstacles.*.detail",
    "guards.*.guard",
    "guards.*.saw",
    "guards.*.overridden",
    "listed",
    "secrets.*.*",
    "next.*",
    "next.put_off_from",
    "next.put_off_until",
    "findings.*",
    "cost.*",
    "deletions.*.*",
    "failures.*.cause",
    "failures.*.secrets",
    "taken_on",
    "taken_on_until",
    "kept_by_others.*",
    "resumed",
    "rescued",
    "endangered",
    "unchecked",
    "cut_short",
];

/// The report of a clean-up as it is told: whoever is not the operator reads no name and no id in it.
#[derive(Clone, Debug)]
pub struct CleaningStatus {
    report: CleanReport,
    caller: Caller,
}

impl CleaningStatus {
    pub(super) fn new(report: CleanReport, caller: Caller) -> Self {
        let report = match caller {
            Caller::Operator => report,
            Caller::Anybody => anonymous(report),
        };
        Self { report, caller }
    }

    /// The report.
    pub fn report(&self) -> &CleanReport {
        &self.report
    }
}

impl Serialize for CleaningStatus {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.caller == Caller::Operator {
            return self.report.serialize(serializer);
        }
        let report = serde_json::to_value(&self.report).map_err(serde::ser::Error::custom)?;
        told(&report, &TOLD).serialize(serializer)
    }
}

/// The report without ids and without the names in it, of which there are as many as before.
fn anonymous(mut report: CleanReport) -> CleanReport {
    let examples = report.failures.iter().map(|failure| &failure.example);
    let mut names: Vec<String> = examples.chain(&report.lost).cloned().collect();
    names.retain(|name| !name.is_empty());
    // One may be the beginning of another.
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    let told = |text: &str| {
        let without = |text: String, name: &String| text.replace(name.as_str(), "…");
        without_ids(&names.iter().fold(text.to_owned(), without))
    };
    report.run = RunId(uuid::Uuid::nil());
    report.plan = None;
    report.error = report.error.as_deref().map(told);
    for trip in &mut report.guards {
        trip.saw = told(&trip.saw);
    }
    for obstacle in &mut report.obstacles {
        obstacle.subject = told(&obstacle.subject);
        obstacle.detail = told(&obstacle.detail);
    }
    for failure in &mut report.failures {
        failure.cause = told(&failure.cause);
        failure.example = String::new();
    }
    report.lost.fill("…".to_owned());
    report
}

/// Where every platform stands, for whoever asks.
pub(super) async fn platforms(
    app: &App,
    caller: Caller,
    now: Timestamp,
) -> Result<Vec<PlatformStatus>> {
    let mut platforms = Vec::new();
    let states = app.clean_ups.states();
    let jitter = app.jobs.as_ref().map(|jobs| jobs.jitter.0);
    let allowances = allowances(&states, jitter.unwrap_or_default());
    for state in states {
        let allowance = allowances(&state);
        platforms.push(status(app, state, allowance, caller, now).await?);
    }
    Ok(platforms)
}

async fn status(
    app: &App,
    mut state: JobState<CleanUp, CleanReport>,
    allowance: Duration,
    caller: Caller,
    now: Timestamp,
) -> Result<PlatformStatus> {
    let platform = state.job.0.clone();
    let confirmation = app.store.confirmation(&platform).await?;
    let last = app.store.last_removal_run(&platform, None).await?;
    let complete = app
        .store
        .last_removal_run(&platform, Some(RunOutcome::Done));
    let last_success = complete.await?.and_then(|run| run.finished);
    let last_success = last_success.filter(|at| *at <= now);
    // Where no jobs are scheduled, no platform is.
    let schedule = app.platforms.get(&platform).and_then(Option::as_ref);
    let schedule = schedule.filter(|_| app.jobs.is_some());
    let ended = ended(app, &state, last.as_ref(), now);
    let overdue = confirmation.is_some()
        && schedule.is_some_and(|schedule| is_overdue(schedule, ended, allowance, now));
    if last.as_ref().is_some_and(|last| is_over(&state, last)) {
        state.errors.clear();
    }
    let last_run = state.last_started.max(last.as_ref().map(|run| run.started));
    let report = latest(&state, last, now);
    let failed = (!state.errors.is_empty()).then_some(RunOutcome::Failed);
    let error = |error: String| match caller {
        Caller::Operator => error,
        Caller::Anybody => without_ids(&error),
    };
    Ok(PlatformStatus {
        schedule: schedule.map(ToString::to_string),
        confirmed: confirmation.map(|it| it.at),
        running: state.running,
        waiting: state.waiting,
        waits_for: state.held_up.as_ref().map(held_up::elsewhere),
        overdue,
        runs: state.runs,
        last_run,
        outcome: failed.or(report.as_ref().map(|report| report.outcome)),
        last_success,
        next_run: schedule.and_then(|schedule| schedule.next_after(now)),
        report: report.map(|report| CleaningStatus::new(report, caller)),
        errors: state.errors.into_iter().map(error).collect(),
        platform,
    })
}

/// Whether what a clean-up of this process failed with is past: a later one, of whichever process, did not
/// fail.
fn is_over(state: &JobState<CleanUp, CleanReport>, last: &PlatformRun) -> bool {
    let failed = last.outcome == Some(RunOutcome::Failed);
    !failed && last.finished > state.last_started
}

/// When the last clean-up ended, here or in another process; the beginning of this process where that is
/// later.
fn ended(
    app: &App,
    state: &JobState<CleanUp, CleanReport>,
    last: Option<&PlatformRun>,
    now: Timestamp,
) -> Timestamp {
    // One that failed may have been kept from beginning.
    let began = state.last_started.filter(|_| state.errors.is_empty());
    let ended = last.and_then(|run| run.finished).max(began);
    let name = state.job.to_string();
    let ended = ended.map(|ended| app.ahead.settled(&name, ended, now));
    let started = app.started_by(now);
    ended.map_or(started, |ended| ended.max(started))
}

/// The newest report there is, of this process or of another.
fn latest(
    state: &JobState<CleanUp, CleanReport>,
    last: Option<PlatformRun>,
    now: Timestamp,
) -> Option<CleanReport> {
    let own = state.reports.first();
    // A report from the future hides nothing.
    let is_newer =
        |run: &PlatformRun, own: &CleanReport| (run.started..=now).contains(&own.finished);
    let journalled = last.filter(|run| own.is_none_or(|own| !is_newer(run, own)));
    // A report of an older version may lack what this one has.
    let journalled = journalled.and_then(|run| serde_json::from_value(run.report).ok());
    journalled.or_else(|| own.cloned())
}

#[cfg(test)]
mod tests;
