//! `serve`.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::cli::ServeArgs;
use crate::configuration::Configuration;
use crate::exit::Exit;
use crate::http::{self, Limits};
use crate::metrics::Metrics;
use crate::service::{self, Settings};
use crate::signals;
use crate::wiring::{Context, Schema};

/// Runs the jobs on their schedules until told to stop.
pub(super) async fn serve(args: ServeArgs, configuration: Configuration) -> anyhow::Result<Exit> {
    let stop = CancellationToken::new();
    signals::cancel_on_signal(stop.clone())?;
    // Before the store is touched: a port that is taken mostly means that another one is running.
    let listener = http::bind(args.listen.unwrap_or(configuration.http.listen)).await?;
    let schema = if args.no_migrate {
        Schema::Leave
    } else {
        Schema::Migrate
    };
    let settings = Settings {
        jobs: Some(configuration.jobs.clone()),
        shutdown_deadline: configuration.shutdown.deadline.0,
        limits: Limits {
            timeout: configuration.http.timeout.0,
            connections: configuration.http.connections,
        },
    };
    let context = Context::open(configuration, schema).await?;
    let metrics = Arc::new(Metrics::new(
        context.backends.iter().map(|backend| backend.id()),
    )?);
    service::serve(listener, &context, metrics, settings, stop).await?;
    context.close().await;
    Ok(Exit::Done)
}
