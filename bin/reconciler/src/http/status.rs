//! `/status`: version, jobs, schedules and counts as JSON.

use std::collections::BTreeMap;

use cloakroom_core::store::{Job, RunOutcome};
use cloakroom_core::{BackendId, Result, Timestamp};
use cloakroom_reconcile::{JobState, Report};
use serde::Serialize;

use super::routes::App;

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
    /// Each job.
    pub jobs: Vec<JobStatus>,
    /// Ledger rows of each backend by state.
    pub secrets: BTreeMap<BackendId, BTreeMap<&'static str, u64>>,
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
    /// What the last run found, did and left, one a backend.
    pub reports: Vec<Report>,
    /// What the last run failed with.
    pub errors: Vec<String>,
}

/// The status now.
pub(super) async fn of(app: &App) -> Result<Status> {
    let now = app.store.now().await?;
    let mut jobs = Vec::new();
    for state in app.activator.states() {
        jobs.push(job_status(app, state, now).await?);
    }
    let mut secrets = BTreeMap::new();
    for backend in &app.backends {
        let counts = app.store.count_by_state(backend).await?;
        let counts = counts
            .into_iter()
            .map(|(state, number)| (state.as_str(), number))
            .collect();
        secrets.insert(backend.clone(), counts);
    }
    Ok(Status {
        version: env!("CARGO_PKG_VERSION"),
        deployment: app.store.identity().await?.deployment,
        started: app.started,
        now,
        stopping: app.stop.is_cancelled(),
        jobs,
        secrets,
    })
}

async fn job_status(app: &App, mut state: JobState, now: Timestamp) -> Result<JobStatus> {
    if state.runs == 0 {
        recall(app, &mut state).await?;
    }
    for report in &mut state.reports {
        report.examples.clear();
        for trip in &mut report.guards {
            trip.saw = without_ids(&trip.saw);
        }
        report.error = report.error.as_deref().map(without_ids);
    }
    for error in &mut state.errors {
        *error = without_ids(error);
    }
    let schedule = app.jobs.as_ref().map(|jobs| jobs.of(state.job));
    let enabled = schedule.is_some_and(|schedule| schedule.enabled);
    let failed = (!state.errors.is_empty()).then_some(RunOutcome::Failed);
    let outcomes = state
        .reports
        .iter()
        .map(|report| report.outcome)
        .chain(failed);
    Ok(JobStatus {
        job: state.job,
        schedule: schedule.map(|schedule| schedule.cron.to_string()),
        enabled,
        running: state.running,
        runs: state.runs,
        last_run: state.last_started,
        outcome: outcomes.max_by_key(|outcome| weight(*outcome)),
        last_success: state.last_success,
        next_run: schedule
            .filter(|_| enabled)
            .and_then(|schedule| schedule.cron.next_after(now)),
        reports: state.reports,
        errors: state.errors,
    })
}

/// What another process, or this one before its restart, wrote down.
async fn recall(app: &App, state: &mut JobState) -> Result<()> {
    for backend in &app.backends {
        let Some(run) = app.store.last_finished(state.job, backend).await? else {
            continue;
        };
        state.last_started = state.last_started.max(Some(run.started));
        if run.outcome == Some(RunOutcome::Done) {
            state.last_success = state.last_success.max(run.finished);
        }
        // A report of an older version may lack what this one has; the rest is told all the same.
        state
            .reports
            .extend(serde_json::from_value::<Report>(run.report).ok());
    }
    Ok(())
}

fn weight(outcome: RunOutcome) -> u8 {
    match outcome {
        RunOutcome::Done => 0,
        RunOutcome::Partial => 1,
        RunOutcome::Refused => 2,
        RunOutcome::Failed => 3,
    }
}

/// A text without the ids in it: they name documents, workspaces and secrets, and whoever reaches this
/// address need not know them.
fn without_ids(text: &str) -> String {
    let mut told = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let id = rest.get(..ID_LENGTH).filter(|start| is_id(start));
        if id.is_some() {
            told.push('…');
        } else {
            told.push(next);
        }
        rest = &rest[id.map_or(next.len_utf8(), str::len)..];
    }
    told
}

/// The length of a UUID with its hyphens.
const ID_LENGTH: usize = 36;

fn is_id(text: &str) -> bool {
    text.bytes().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_told_without_ids() {
        let id = "6a1d7e9c-8d3b-4e55-9d6f-0f2c5b1a7c11";
        let text = format!("30 of 40 in workspace {id} would go, é airbyte_workspace_{id}_v1");
        assert_eq!(
            without_ids(&text),
            "30 of 40 in workspace … would go, é airbyte_workspace_…_v1"
        );
        for kept in ["", "6a1d7e9c-8d3b", "ééééééééééééééééééééé", "no id"] {
            assert_eq!(without_ids(kept), kept);
        }
    }
}
