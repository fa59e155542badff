//! The page for people at `/`: where everything stands, readable on a phone, without a script.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use cloakroom_core::ErrorKind;
use cloakroom_core::budget::RequestClass;
use cloakroom_core::ledger::{Reason, RowState};
use cloakroom_core::store::{FindingKind, RunOutcome};
use cloakroom_core::{BackendId, Error, Timestamp};
use cloakroom_reconcile::DeletionCount;

use super::backend_status::BackendStatus;
use super::page_platforms;
use super::routes::App;
use super::status::{self, JobStatus, OpenMoveStatus, Status};
use super::token::Caller;
use crate::metrics::cleaning_job_name;
use crate::namesakes;
use crate::output::count;
use crate::unpurged;

/// How long before the page is read anew.
const REFRESH_SECONDS: u32 = 5;

const STYLE: &str = include_str!("../../templates/style.css");

/// How urgent something is. The order is that of urgency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Good,
    /// Nobody has looked yet.
    Unknown,
    Warn,
    Bad,
}

impl Level {
    fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Unknown => "unknown",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }

    /// What the title of the page begins with: in a row of tabs it is all there is to see.
    fn sign(self) -> &'static str {
        match self {
            Self::Good => "✓",
            Self::Unknown => "?",
            Self::Warn | Self::Bad => "✗",
        }
    }
}

#[derive(Template)]
#[template(path = "status.html")]
struct Page {
    refresh_seconds: u32,
    sign: &'static str,
    deployment: String,
    version: &'static str,
    now: String,
    up: String,
    level: Level,
    verdict: String,
    attention: Vec<Attention>,
    jobs: Vec<JobCard>,
    backends: Vec<BackendCard>,
}

#[derive(Template)]
#[template(path = "away.html")]
struct Away {
    refresh_seconds: u32,
    kind: ErrorKind,
}

pub(super) struct Attention {
    pub(super) level: Level,
    pub(super) text: String,
}

pub(super) struct JobCard {
    pub(super) name: String,
    /// How it went; `None` where nothing is known of it.
    pub(super) level: Option<Level>,
    pub(super) state: &'static str,
    pub(super) last_run: String,
    pub(super) last_success: String,
    pub(super) next_run: String,
    pub(super) schedule: String,
    pub(super) did: String,
    /// What only some have, each with its label.
    pub(super) more: Vec<(&'static str, String)>,
}

struct BackendCard {
    name: String,
    /// What is in it, what waits to be deleted and what is going on, each with its label.
    lines: Vec<(&'static str, String)>,
}

pub(super) async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE)
}

pub(super) async fn page(State(app): State<Arc<App>>) -> Response {
    match status::of(&app, Caller::Anybody).await {
        Ok(status) => rendered(StatusCode::OK, &Page::new(&status)),
        Err(error) => away(&error),
    }
}

fn away(error: &Error) -> Response {
    tracing::warn!(error = %error, "the page cannot be told");
    let away = Away {
        refresh_seconds: REFRESH_SECONDS,
        kind: error.kind(),
    };
    rendered(StatusCode::SERVICE_UNAVAILABLE, &away)
}

fn rendered(code: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => (code, Html(text)).into_response(),
        Err(error) => {
            tracing::error!(error = %error, "the page cannot be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

impl Page {
    fn new(status: &Status) -> Self {
        let mut attention = Vec::new();
        let mut jobs = Vec::new();
        for job in &status.jobs {
            let card = JobCard::new(job, status);
            attention.extend(card.with_its_own(of_job(job)));
            jobs.push(card);
        }
        for platform in &status.platforms {
            let card = JobCard::of_platform(platform, status.now);
            attention.extend(card.with_its_own(page_platforms::attention(platform)));
            jobs.push(card);
        }
        attention.extend(of_namesakes(status));
        attention.extend(of_counts(status));
        attention.sort_by_key(|item| std::cmp::Reverse(item.level));
        let unseen = unseen(status);
        let calm = if unseen.is_empty() {
            Level::Good
        } else {
            Level::Unknown
        };
        let worst = attention.iter().map(|item| item.level).max();
        let level = worst.unwrap_or(calm);
        let verdict = match (status.stopping, attention.len()) {
            (true, _) => "Stopping: the running item finishes.".to_owned(),
            (false, 0) if level == Level::Unknown => {
                format!(
                    "Not known yet. Still to get through once: {}.",
                    unseen.join(", ")
                )
            }
            (false, 0) => format!("All is well.{}", switched_off(status)),
            (false, 1) => "One thing needs attention.".to_owned(),
            (false, several) => format!("{several} things need attention."),
        };
        let backends = status.secrets.iter();
        let backends = backends.map(|(id, counts)| BackendCard::new(id, counts, status));
        Self {
            refresh_seconds: REFRESH_SECONDS,
            sign: level.sign(),
            deployment: status.deployment.clone(),
            version: status.version,
            now: moment(status.now),
            up: spoken(since(status.started, status.now)),
            level,
            verdict,
            attention,
            jobs,
            backends: backends.collect(),
        }
    }
}

/// The jobs and clean-ups that are to run and have never done all they were to do. Where no job is scheduled,
/// somebody runs all of them by hand.
fn unseen(status: &Status) -> Vec<String> {
    let jobs = status.jobs.iter();
    let unseen = jobs.filter(|job| job.last_success.is_none());
    let awaited = unseen.filter(|job| job.enabled || is_unscheduled(status));
    let platforms = status.platforms.iter();
    let unseen = platforms.filter(|it| it.last_success.is_none() && it.schedule.is_some());
    let jobs = awaited.map(|job| job.job.to_string());
    jobs.chain(unseen.map(|it| cleaning_job_name(&it.platform)))
        .collect()
}

fn is_unscheduled(status: &Status) -> bool {
    status.jobs.iter().all(|job| !job.enabled)
}

/// What nobody looks at.
fn switched_off(status: &Status) -> String {
    if is_unscheduled(status) {
        return " No job is scheduled.".to_owned();
    }
    let jobs = status.jobs.iter().filter(|job| !job.enabled);
    let jobs: Vec<&str> = jobs.map(|job| job.job.as_str()).collect();
    if jobs.is_empty() {
        String::new()
    } else {
        format!(" Switched off: {}.", jobs.join(", "))
    }
}

/// What a job asks a person to look at.
fn of_job(job: &JobStatus) -> Vec<Attention> {
    let mut items = Vec::new();
    let mut add = |level, text| items.push(Attention { level, text });
    if job.overdue {
        add(
            Level::Bad,
            format!("{} is overdue: it has missed two starts.", job.job),
        );
    }
    // A run that had begun tells its error itself.
    let told = |error: &&String| {
        let mut reports = job.reports.iter().map(status::ReportStatus::report);
        reports.any(|report| report.error.as_ref() == Some(*error))
    };
    for error in job.errors.iter().filter(|error| !told(error)) {
        add(Level::Bad, format!("{} failed: {error}", job.job));
    }
    for told in &job.reports {
        let report = told.report();
        let (job, backend) = (report.job, &report.backend);
        if let Some(error) = &report.error {
            add(Level::Bad, format!("{job} failed on {backend}: {error}"));
        }
        for trip in report.guards.iter().filter(|trip| !trip.overridden) {
            let (guard, saw) = (trip.guard, &trip.saw);
            add(
                Level::Bad,
                format!("The guard {guard} stopped {job} on {backend}: {saw}"),
            );
        }
        if report.failed > 0 {
            let failed = count(report.failed, "deletion", "deletions");
            let text = format!("{failed} failed on {backend} in the last {job}.");
            add(Level::Warn, text);
        }
        if report.failed_before > 0 {
            let failed = count(report.failed_before, "deletion", "deletions");
            let text = format!(
                "{failed} on {backend} failed before the last {job} and wait to be tried again: \
                 `reconciler secret list --state deleting`."
            );
            add(Level::Warn, text);
        }
        if report.unpurged > 0 {
            let because = report.unpurged_because.as_deref();
            let text = unpurged::in_words(report.unpurged, backend, because);
            add(Level::Warn, text);
        }
        if report.unrestored > 0 {
            let unrestored = count(report.unrestored, "secret in use", "secrets in use");
            add(
                Level::Bad,
                format!(
                    "{unrestored} about to disappear from {backend}: {job} could not restore them."
                ),
            );
        }
        if report.cut_short {
            let text = format!("{job} ended on {backend} before all was done.");
            add(Level::Warn, text);
        }
        if report.rescued > 0 {
            let rescued = count(report.rescued, "secret in use was", "secrets in use were");
            let text = format!("{rescued} rescued on {backend} by the last {job}.");
            add(Level::Warn, text);
        }
    }
    for ((backend, kind), found) in amiss(job) {
        let level = match kind {
            FindingKind::Dangling | FindingKind::ClearText => Level::Bad,
            _ => Level::Warn,
        };
        let (job, kind) = (job.job, kind.as_str().replace('_', " "));
        add(
            level,
            format!("{found} × {kind} on {backend}, as far as {job} knows."),
        );
    }
    items
}

/// What a job knows to be amiss. A run whose report the journal could not take has found it all the same.
fn amiss(job: &JobStatus) -> BTreeMap<(&BackendId, FindingKind), u64> {
    let reports = job.reports.iter().map(status::ReportStatus::report);
    let reports = reports.map(|report| (&report.backend, &report.findings));
    let mut amiss = BTreeMap::new();
    for (backend, findings) in job.findings.iter().chain(reports) {
        for (kind, found) in findings.iter().filter(|(_, found)| **found > 0) {
            let most: &mut u64 = amiss.entry((backend, *kind)).or_default();
            *most = (*most).max(*found);
        }
    }
    amiss
}

/// Every job that looks for them sees the same ones.
fn of_namesakes(status: &Status) -> Vec<Attention> {
    let reports = || {
        let jobs = status.jobs.iter().flat_map(|job| &job.reports);
        jobs.map(status::ReportStatus::report)
    };
    let backends: BTreeSet<&BackendId> = reports().map(|report| &report.backend).collect();
    let of = |backend: &BackendId| {
        let seen = namesakes::seen(reports().filter(|report| report.backend == *backend))?;
        (seen > 0).then(|| Attention {
            level: Level::Warn,
            text: format!("{}.", namesakes::in_words(seen, backend)),
        })
    };
    backends.into_iter().filter_map(of).collect()
}

fn of_counts(status: &Status) -> Vec<Attention> {
    let parked = (status.quarantined > 0).then(|| {
        format!(
            "{} parked because of too many failures.",
            count(status.quarantined, "deletion is", "deletions are")
        )
    });
    let left = status.unconfigured.iter().map(|(backend, number)| {
        format!(
            "{} in {backend}, which is not configured: no job looks there.",
            count(*number, "secret may still be", "secrets may still be")
        )
    });
    let doubt = status.doubt.clone();
    let moves = open_moves(status.open_moves, status.now);
    let told = doubt.into_iter().chain(parked).chain(left).chain(moves);
    told.map(|text| Attention {
        level: Level::Warn,
        text,
    })
    .collect()
}

impl JobCard {
    fn new(job: &JobStatus, status: &Status) -> Self {
        let now = status.now;
        let found = !amiss(job).is_empty();
        let (level, state) = Self::state(job.running, job.overdue, job.outcome, found);
        let ahead = status.jobs.iter().find(|other| other.running);
        let next_run = match job.next_run {
            _ if job.waits_for.is_some() => waits(job.waits_for.as_deref()),
            _ if job.waiting => ahead.map_or_else(
                || "now".to_owned(),
                |ahead| format!("once {} has ended", ahead.job),
            ),
            Some(next) => hence(next, now),
            None => "only by hand".to_owned(),
        };
        Self {
            name: job.job.to_string(),
            level,
            state,
            last_run: ago(job.last_run, now),
            last_success: ago(job.last_success, now),
            next_run,
            schedule: job.schedule.clone().unwrap_or_else(|| "none".to_owned()),
            did: did(job),
            more: Vec::new(),
        }
    }

    fn class(&self) -> &'static str {
        self.level.map_or("", Level::class)
    }

    /// What there is to look at, and the state itself where all of that is less urgent.
    fn with_its_own(&self, mut items: Vec<Attention>) -> Vec<Attention> {
        let told = items.iter().map(|item| item.level).max();
        let own = self.level.filter(|level| *level >= Level::Warn);
        items.extend(own.filter(|_| told < own).map(|level| Attention {
            level,
            text: format!("{}: {}.", self.name, self.state),
        }));
        items
    }

    /// How it stands, and in words. A job that runs again is as well as its last run left it.
    pub(super) fn state(
        running: bool,
        overdue: bool,
        outcome: Option<RunOutcome>,
        found: bool,
    ) -> (Option<Level>, &'static str) {
        let (level, state) = match (overdue, outcome) {
            (true, _) => (Some(Level::Bad), "overdue"),
            (_, Some(RunOutcome::Failed)) => (Some(Level::Bad), "failed"),
            (_, Some(RunOutcome::Refused)) => (Some(Level::Bad), "stopped by a guard"),
            (_, Some(RunOutcome::Partial)) => (Some(Level::Warn), "done in part"),
            (_, Some(RunOutcome::Done)) if found => (Some(Level::Warn), "done, with findings"),
            (_, Some(RunOutcome::Done)) => (Some(Level::Good), "done"),
            (_, None) => (None, "not yet run"),
        };
        let state = if running { "running" } else { state };
        (level, state)
    }
}

impl BackendCard {
    fn new(id: &BackendId, counts: &BTreeMap<&'static str, u64>, status: &Status) -> Self {
        let backend = status.backends.get(id);
        let busy = backend.and_then(|backend| backend.busy.as_ref());
        let busy = busy.map(|busy| {
            let time = spoken(since(busy.since, status.now));
            ("busy with", format!("{} for {time}", busy.job))
        });
        // Nothing was ever written there for a document; a platform's leaks are on its own card.
        let is_unused = counts.values().all(|number| *number == 0);
        let lines = if is_unused {
            vec![("of documents", "none".to_owned())]
        } else {
            let states = RowState::ALL.map(RowState::as_str).into_iter();
            let number = |state| counts.get(state).copied().unwrap_or_default();
            let states = states.map(|state| (state, number(state).to_string()));
            let backlog = backend.map(backlog).unwrap_or_default();
            states.chain(backlog).collect()
        };
        Self {
            name: id.to_string(),
            lines: busy.into_iter().chain(lines).collect(),
        }
    }
}

/// A move is meant to be open for a while: what is told is one that may have been forgotten.
fn open_moves(moves: OpenMoveStatus, now: Timestamp) -> Option<String> {
    const FORGOTTEN: Duration = Duration::from_hours(24);
    let open = since(moves.since?, now);
    let number = count(
        moves.documents + moves.platforms,
        "move is neither finished nor taken back, and its old copies are",
        "moves are neither finished nor taken back, and their old copies are",
    );
    (open > FORGOTTEN).then(|| {
        let age = spoken(open);
        format!("{number} kept and paid for: the oldest began {age} ago. `reconciler status` names them.")
    })
}

/// What a job that is kept from beginning waits for, in the place of a time.
pub(super) fn waits(waits_for: Option<&str>) -> String {
    format!("it waits: {}", waits_for.unwrap_or_default())
}

pub(super) fn ago(at: Option<Timestamp>, now: Timestamp) -> String {
    at.map_or_else(
        || "never".to_owned(),
        |at| format!("{} ago", spoken(since(at, now))),
    )
}

pub(super) fn hence(at: Timestamp, now: Timestamp) -> String {
    format!("in {}", spoken(since(now, at)))
}

/// What the last run did, in a few words.
fn did(job: &JobStatus) -> String {
    let reports = || job.reports.iter().map(status::ReportStatus::report);
    let total =
        |of: fn(&DeletionCount) -> u64| -> u64 { reports().map(|report| report.total(of)).sum() };
    let deleted = total(|count| count.deleted);
    let scheduled = total(|count| count.scheduled);
    let refused = total(|count| count.refused);
    let references: u64 = reports().map(|report| report.checked.references).sum();
    let documents: u64 = reports().map(|report| report.checked.documents).sum();
    let mut words = Vec::new();
    if deleted > 0 {
        words.push(format!("deleted {deleted}"));
    }
    if scheduled > 0 {
        words.push(format!("handed {scheduled} to deletion"));
    }
    if refused > 0 {
        words.push(format!("left {refused} alone"));
    }
    if references > 0 || documents > 0 {
        let references = count(references, "reference", "references");
        let documents = count(documents, "document", "documents");
        words.push(format!("checked {references} in {documents}"));
    }
    match job.outcome {
        _ if !words.is_empty() => words.join(", "),
        Some(RunOutcome::Done) => "nothing was to be done".to_owned(),
        Some(_) => "nothing".to_owned(),
        None => "–".to_owned(),
    }
}

/// What waits to be deleted in a backend, what it costs, and how fast it may go.
fn backlog(backend: &BackendStatus) -> Vec<(&'static str, String)> {
    let unused: u64 = backend.unused.values().sum();
    let costs = backend.estimated_monthly_cost_dollars.values();
    // The sum of nothing is less than nothing by its sign.
    let cost = costs.fold(0.0, |sum, cost| sum + cost);
    let pace = backend.budget.get(RequestClass::Delete.as_str());
    let pace = pace.and_then(|budget| budget.requests_per_second);
    let oldest = match backend.unused.get(Reason::Orphaned.as_str()) {
        Some(1..) => spoken(Duration::from_secs(backend.oldest_orphan_seconds)),
        _ => "–".to_owned(),
    };
    vec![
        ("due now", backend.due.values().sum::<u64>().to_string()),
        ("of no use", unused.to_string()),
        ("oldest orphan", oldest),
        ("cost a month", format!("${cost:.2}")),
        (
            "deletions a second",
            pace.map_or_else(|| "no limit".to_owned(), |pace| format!("{pace:.1}")),
        ),
    ]
}

fn since(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or_default()
}

/// A length of time as people say it.
fn spoken(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod verdicts;
