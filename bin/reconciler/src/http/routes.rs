//! The routes. All but one are read only.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use cloakroom_core::{BackendId, Timestamp};
use cloakroom_reconcile::{Activator, CleanReport};
use cloakroom_store_db::DbStore;
use tokio_util::sync::CancellationToken;

use super::counts::Counts;
use super::dry_runs::DryRuns;
use super::token::Token;
use super::{guards, page, ready, run_job, status};
use crate::backlog::Backlogs;
use crate::cleaning::{CleanUps, CleaningRunner, CleaningSchedules};
use crate::configuration::Jobs;
use crate::last_success::Ahead;
use crate::lost_database;
use crate::metrics::Metrics;
use crate::wiring::RequestBudget;

/// What the routes tell about.
pub struct App {
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Where the jobs stand.
    pub activator: Activator,
    /// Where the clean-ups of platforms stand.
    pub clean_ups: CleanUps,
    /// What cleans them.
    pub cleaner: Arc<CleaningRunner>,
    /// When each platform is cleaned.
    pub platforms: CleaningSchedules,
    /// What waits to be deleted.
    pub backlogs: Backlogs,
    /// What there is, by state.
    pub counts: Counts,
    /// Dry runs by hand.
    pub dry_runs: DryRuns,
    /// The same of clean-ups, by the platform's name.
    pub clean_up_dry_runs: DryRuns<String, CleanReport>,
    /// When they run; `None` where nothing is scheduled.
    pub jobs: Option<Jobs>,
    /// The store.
    pub store: Arc<DbStore>,
    /// The file of the key-encryption keys.
    pub key_file: Option<PathBuf>,
    /// Every backend's budget of requests.
    pub budgets: Vec<Arc<RequestBudget>>,
    /// Who may start jobs and see ids.
    pub token: Token,
    /// How long an answer may take.
    pub timeout: Duration,
    /// When this process began, by the store's clock.
    pub started: Timestamp,
    /// What is dated later than now.
    pub ahead: Ahead,
    /// Cancelled once no new work is taken on.
    pub stop: CancellationToken,
}

impl App {
    /// The backends' names.
    pub(super) fn backends(&self) -> impl Iterator<Item = &BackendId> {
        self.budgets.iter().map(|budget| budget.backend())
    }

    /// What there is to say of an empty database that may stand in the place of a lost one.
    pub(super) async fn doubt(&self) -> cloakroom_core::Result<Option<String>> {
        let platforms = self.platforms.keys().map(String::as_str);
        lost_database::doubt(&self.store, self.key_file.as_deref(), platforms).await
    }

    /// When this process began, or, where that is later than now, when it saw so.
    pub(super) fn started_by(&self, now: Timestamp) -> Timestamp {
        self.ahead.settled("the start", self.started, now)
    }
}

/// The routes, each with a deadline.
pub fn router(app: Arc<App>) -> Router {
    let timeout = app.timeout;
    Router::new()
        .route("/", get(page::page))
        .route("/style.css", get(page::style))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready::ready))
        .route("/status", get(status))
        .route("/jobs/{name}/run", post(run_job::run_job))
        .route("/jobs/clean/{platform}/run", post(run_job::run_clean_up))
        .fallback(|| async {
            (
                StatusCode::NOT_FOUND,
                "there are /, /metrics, /healthz, /readyz, /status and POST /jobs/NAME/run\n",
            )
        })
        .layer(middleware::from_fn(guards::without_body))
        .layer(middleware::from_fn(move |request, next| {
            guards::in_time(timeout, request, next)
        }))
        .layer(middleware::from_fn(guards::with_headers))
        .with_state(app)
}

async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    app.metrics.set_unauthorized(app.token.refused());
    for state in app.activator.states() {
        app.metrics.set_busy(state.job.as_str(), state.busy());
    }
    for state in app.clean_ups.states() {
        if app.platforms.get(&state.job.0).is_some_and(Option::is_some) {
            app.metrics.set_busy(&state.job.to_string(), state.busy());
        }
    }
    for budget in &app.budgets {
        for figures in budget.figures() {
            app.metrics.set_budget(budget.backend(), &figures);
        }
    }
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        app.metrics.render(),
    )
}

async fn status(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let caller = match app.token.caller(&headers).await {
        Ok(caller) => caller,
        Err(refused) => return refused.into_response(),
    };
    match status::of(&app, caller).await {
        Ok(status) => Json(status).into_response(),
        Err(error) => {
            tracing::warn!(error = %error, "the status cannot be told");
            let told = status::Untold::new(error.kind());
            (StatusCode::SERVICE_UNAVAILABLE, Json(told)).into_response()
        }
    }
}
