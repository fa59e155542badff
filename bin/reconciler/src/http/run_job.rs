//! `POST /jobs/{name}/run`: asks for a run, or tells what one would do.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use cloakroom_core::store::Job;
use serde::{Deserialize, Serialize};

use super::dry_runs::Looked;
use super::routes::App;

/// A dry run that has not ended by then goes on without its asker. Shorter than any sensible
/// `http.timeout`.
const SHORTEST_PATIENCE: Duration = Duration::from_millis(500);

/// What may be asked. A word that is none of these is refused: `?dryrun=true` must not run.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Asked {
    dry_run: bool,
}

/// The answer to an activation.
#[derive(Debug, Serialize)]
struct Activated {
    job: Job,
    dry_run: bool,
    /// A run was under way when this one was asked for; it begins behind that.
    running: bool,
    message: String,
}

/// The answer to a dry run.
#[derive(Debug, Serialize)]
struct Told {
    job: Job,
    dry_run: bool,
    /// It has not ended; asking again tells more.
    running: bool,
    #[serde(flatten)]
    looked: Looked,
}

pub(super) async fn run_job(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if let Err(refused) = app.token.demand(&headers) {
        return refused.into_response();
    }
    let Some(job) = Job::from_word(&name) else {
        let names = Job::ALL.map(Job::as_str).join(", ");
        let message = format!("there is no such job; there are {names}\n");
        return (StatusCode::NOT_FOUND, message).into_response();
    };
    let Ok(Query(asked)) = Query::<Asked>::try_from_uri(&uri) else {
        let message = "the only question is dry_run, true or false\n";
        return (StatusCode::BAD_REQUEST, message).into_response();
    };
    if app.stop.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    if asked.dry_run {
        look(&app, job).await
    } else {
        activate(&app, job)
    }
}

fn activate(app: &App, job: Job) -> Response {
    let states = app.activator.states();
    let running = states.iter().any(|state| state.job == job && state.running);
    app.activator.activate(job);
    tracing::info!(job.name = %job, "activated by hand");
    let jitter = app
        .jobs
        .as_ref()
        .map_or(Duration::ZERO, |jobs| jobs.jitter.0);
    let message = if running {
        "it runs again when the run under way has ended".to_owned()
    } else {
        format!(
            "it begins within {}, behind any job under way; /status tells how it went",
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

async fn look(app: &App, job: Job) -> Response {
    let patience = app.timeout.mul_f64(0.8).max(SHORTEST_PATIENCE);
    let looked = app.dry_runs.look(job, patience).await;
    let told = Told {
        job,
        dry_run: true,
        running: looked.is_none(),
        looked: looked.map(Arc::unwrap_or_clone).unwrap_or_default(),
    };
    (StatusCode::ACCEPTED, Json(told)).into_response()
}
