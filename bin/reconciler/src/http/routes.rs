//! The routes. All are read only.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use cloakroom_core::store::Store;
use cloakroom_core::{BackendId, Error, ErrorKind, Timestamp};
use cloakroom_reconcile::Activator;
use tokio_util::sync::CancellationToken;

use super::status;
use crate::configuration::Jobs;
use crate::metrics::Metrics;

/// A probe waits no longer than this for the store.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// What the routes tell about.
pub struct App {
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Where the jobs stand.
    pub activator: Activator,
    /// When they run; `None` where nothing is scheduled.
    pub jobs: Option<Jobs>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The backends' names.
    pub backends: Vec<BackendId>,
    /// When this process began, by the store's clock.
    pub started: Timestamp,
    /// Cancelled once no new work is taken on.
    pub stop: CancellationToken,
}

/// The routes, each with a deadline.
pub fn router(app: Arc<App>, timeout: Duration) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/status", get(status))
        .fallback(|| async {
            (
                StatusCode::NOT_FOUND,
                "there are /metrics, /healthz, /readyz and /status\n",
            )
        })
        .layer(DefaultBodyLimit::max(1024))
        .layer(middleware::from_fn(move |request, next| {
            in_time(timeout, request, next)
        }))
        .with_state(app)
}

async fn in_time(timeout: Duration, request: Request, next: Next) -> Response {
    match tokio::time::timeout(timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "no answer in time\n").into_response(),
    }
}

async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        app.metrics.render(),
    )
}

/// Ready is who can reach its store and still takes on work.
async fn ready(State(app): State<Arc<App>>) -> Response {
    if app.stop.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    let answered = tokio::time::timeout(READY_WITHIN, app.store.now()).await;
    let answered = answered.unwrap_or_else(|_| {
        let message = "no answer in time for a probe";
        Err(Error::new(
            ErrorKind::Unavailable,
            "ask the store's clock",
            message,
        ))
    });
    match answered {
        Ok(_) => "ready\n".into_response(),
        Err(error) => {
            tracing::warn!(error = %error, "not ready: the store does not answer");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                format!("the store: {}\n", error.kind()),
            )
                .into_response()
        }
    }
}

async fn status(State(app): State<Arc<App>>) -> Response {
    match status::of(&app).await {
        Ok(status) => Json(status).into_response(),
        Err(error) => {
            tracing::warn!(error = %error, "the status cannot be told");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                format!("the store: {}\n", error.kind()),
            )
                .into_response()
        }
    }
}
