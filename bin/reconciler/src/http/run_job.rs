//! `POST /jobs/NAME/run`: asks for a run, or tells what one would do. A clean-up of a platform is a job
//! called `clean/PLATFORM`, and `clean` is all of them.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use cloakroom_core::platform::Adoptions as _;
use cloakroom_core::store::Job;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use super::dry_runs::Looked;
use super::routes::App;
use crate::cleaning::CleanUp;

/// A dry run that has not ended by then goes on without its asker. Shorter than any sensible
/// `http.timeout`.
const SHORTEST_PATIENCE: Duration = Duration::from_millis(500);

/// What all clean-ups together are called.
const CLEAN: &str = "clean";

/// What may be asked. A word that is none of these is refused: `?dryrun=true` must not run.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Asked {
    dry_run: bool,
}

/// What a name stands for.
enum Named {
    Job(Job),
    /// Clean-ups of these platforms.
    CleanUps(Vec<String>),
}

/// The answer to an activation.
#[derive(Debug, Serialize)]
struct Activated {
    job: String,
    dry_run: bool,
    /// A run was under way when this one was asked for; it begins behind that.
    running: bool,
    message: String,
}

/// The answer to a dry run.
#[derive(Debug, Serialize)]
struct Told<R> {
    job: String,
    dry_run: bool,
    /// It has not ended; asking again tells more.
    running: bool,
    #[serde(flatten)]
    looked: Looked<R>,
}

pub(super) async fn run_job(
    State(app): State<Arc<App>>,
    name: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    run(&app, readable(name), &uri, &headers).await
}

pub(super) async fn run_clean_up(
    State(app): State<Arc<App>>,
    platform: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let name = format!("{CLEAN}/{}", readable(platform));
    run(&app, name, &uri, &headers).await
}

/// One that is no text is no job's, which is said to the bearer of the token alone.
fn readable(name: Result<Path<String>, PathRejection>) -> String {
    name.map(|Path(name)| name).unwrap_or_default()
}

async fn run(app: &App, name: String, uri: &Uri, headers: &HeaderMap) -> Response {
    if let Err(refused) = app.token.demand(headers).await {
        return refused.into_response();
    }
    let Some(named) = Named::read(app, &name) else {
        let message = format!("there is no such job; there are {}\n", names(app));
        return (StatusCode::NOT_FOUND, message).into_response();
    };
    let Ok(Query(asked)) = Query::<Asked>::try_from_uri(uri) else {
        let message = "the only question is dry_run, true or false\n";
        return (StatusCode::BAD_REQUEST, message).into_response();
    };
    if app.stop.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    match (named, asked.dry_run) {
        (Named::Job(job), false) => activate(app, name, job),
        (Named::Job(job), true) => look(app, name, job).await,
        (Named::CleanUps(platforms), false) => activate_clean_ups(app, name, platforms).await,
        (Named::CleanUps(platforms), true) => look_at_platforms(app, name, &platforms).await,
    }
}

impl Named {
    fn read(app: &App, name: &str) -> Option<Self> {
        if let Some(job) = Job::from_word(name) {
            return Some(Self::Job(job));
        }
        let behind = name.strip_prefix(CLEAN)?;
        let one = behind.strip_prefix('/');
        let known = app.platforms.keys().filter(|it| match one {
            Some(one) => *it == one,
            None => behind.is_empty(),
        });
        let platforms: Vec<String> = known.cloned().collect();
        (!platforms.is_empty()).then_some(Self::CleanUps(platforms))
    }
}

/// Every name that a request may have.
fn names(app: &App) -> String {
    let jobs = Job::ALL.iter().map(ToString::to_string);
    let all = (!app.platforms.is_empty()).then(|| CLEAN.to_owned());
    let each = app.platforms.keys().map(|it| format!("{CLEAN}/{it}"));
    jobs.chain(all).chain(each).collect::<Vec<_>>().join(", ")
}

fn activate(app: &App, name: String, job: Job) -> Response {
    let states = app.activator.states();
    let running = states.iter().any(|state| state.job == job && state.running);
    app.activator.activate(job);
    tracing::info!(job.name = name, "activated by hand");
    activated(app, name, running, "")
}

async fn activate_clean_ups(app: &App, name: String, platforms: Vec<String>) -> Response {
    let states = app.clean_ups.states();
    let mut running = false;
    let mut unconfirmed = Vec::new();
    for platform in platforms {
        running |= states.iter().any(|it| it.job.0 == platform && it.running);
        let confirmation = app.store.confirmation(&platform).await;
        unconfirmed.extend(matches!(confirmation, Ok(None)).then(|| platform.clone()));
        app.cleaner.ask_by_hand(&platform);
        app.clean_ups.activate(CleanUp(platform));
    }
    tracing::info!(job.name = name, "activated by hand");
    let but = if unconfirmed.is_empty() {
        String::new()
    } else {
        format!(
            "; nothing comes of it for {}: nobody has confirmed a plan (`reconciler adopt` shows one)",
            unconfirmed.join(", ")
        )
    };
    activated(app, name, running, &but)
}

fn activated(app: &App, job: String, running: bool, but: &str) -> Response {
    let jitter = app
        .jobs
        .as_ref()
        .map_or(Duration::ZERO, |jobs| jobs.jitter.0);
    let message = if running {
        format!("it runs again when the run under way has ended{but}")
    } else {
        format!(
            "it begins within {}, behind any job under way, here or on another replica at the same \
             backend; /status tells what it waits for and how it went{but}",
            humantime::format_duration(jitter)
        )
    };
    let activated = Activated {
        job,
        dry_run: false,
        running,
        message,
    };
    (StatusCode::ACCEPTED, Json(activated)).into_response()
}

async fn look(app: &App, name: String, job: Job) -> Response {
    let looked = app.dry_runs.look(&job, patience(app)).await;
    told(name, vec![looked])
}

async fn look_at_platforms(app: &App, name: String, platforms: &[String]) -> Response {
    let looks = platforms
        .iter()
        .map(|platform| app.clean_up_dry_runs.look(platform, patience(app)));
    told(name, join_all(looks).await)
}

fn patience(app: &App) -> Duration {
    app.timeout.mul_f64(0.8).max(SHORTEST_PATIENCE)
}

fn told<R: Clone + Serialize>(job: String, answers: Vec<Option<Arc<Looked<R>>>>) -> Response {
    let running = answers.iter().any(Option::is_none);
    let mut looked = Looked::default();
    for answer in answers.into_iter().flatten() {
        let answer = Arc::unwrap_or_clone(answer);
        looked.reports.extend(answer.reports);
        looked.errors.extend(answer.errors);
    }
    let told = Told {
        job,
        dry_run: true,
        running,
        looked,
    };
    (StatusCode::ACCEPTED, Json(told)).into_response()
}
