//! `/readyz`: the store answers, its schema is this program's, and no job is overdue.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use cloakroom_core::ledger::Ledger as _;
use cloakroom_core::{Error, ErrorKind, Result};

use super::platforms::platforms;
use super::routes::App;
use super::status;
use super::token::Caller;
use crate::metrics::cleaning_job_name;

/// A probe waits no longer than this for the store.
const READY_WITHIN: Duration = Duration::from_secs(2);

pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    if app.stop.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    let looked = tokio::time::timeout(READY_WITHIN, look(&app)).await;
    let looked = looked.unwrap_or_else(|_| {
        let message = "no answer in time for a probe";
        Err(Error::new(
            ErrorKind::Unavailable,
            "look at the store",
            message,
        ))
    });
    match looked {
        Ok((overdue, doubt)) if overdue.is_empty() => match doubt {
            // No failure: this may be a first start, which waits for what is to be written.
            Some(doubt) => format!("ready, but: {doubt}\n").into_response(),
            None => "ready\n".into_response(),
        },
        Ok((overdue, _)) => {
            let lines = format!("overdue: {}\n", overdue.join(", "));
            tracing::warn!(jobs = ?overdue, "not ready: jobs are overdue");
            (StatusCode::SERVICE_UNAVAILABLE, lines).into_response()
        }
        Err(error) => {
            tracing::warn!(error = %error, "not ready: the store does not answer, or not as it should");
            let kind = error.kind();
            (
                StatusCode::SERVICE_UNAVAILABLE,
                format!("the store: {kind}\n"),
            )
                .into_response()
        }
    }
}

/// The jobs that are overdue, and why this may not be the right database.
async fn look(app: &App) -> Result<(Vec<String>, Option<String>)> {
    app.store.check().await?;
    let jobs = status::jobs(app).await?;
    let jobs = jobs.into_iter().filter(|job| job.overdue);
    let mut overdue: Vec<String> = jobs.map(|job| job.job.to_string()).collect();
    let now = app.store.now().await?;
    let platforms = platforms(app, Caller::Anybody, now).await?.into_iter();
    let platforms = platforms.filter(|platform| platform.overdue);
    overdue.extend(platforms.map(|platform| cleaning_job_name(&platform.platform)));
    let doubt = app.doubt().await?;
    Ok((overdue, doubt))
}
