//! `serve`.

use std::sync::Arc;

use cloakroom_core::BackendId;
use tokio_util::sync::CancellationToken;

use crate::cli::ServeArgs;
use crate::configuration::Configuration;
use crate::exit::Exit;
use crate::http::{self, Limits, Token};
use crate::metrics::Metrics;
use crate::service::{self, Settings};
use crate::signals::{self, UserSignal};
use crate::wiring::{Context, Schema};

/// Runs the jobs on their schedules until told to stop.
pub(super) async fn serve(args: ServeArgs, configuration: Configuration) -> anyhow::Result<Exit> {
    let stop = CancellationToken::new();
    signals::serve_until_signal(stop.clone(), configuration.shutdown.deadline.0)?;
    let wishes = UserSignal::listen()?;
    configuration.log_doubts();
    // Before the store is touched: a port that is taken mostly means that another one is running.
    let listener = http::bind(args.listen.unwrap_or(configuration.http.listen)).await?;
    let schema = if args.no_migrate {
        Schema::Leave
    } else {
        Schema::Migrate
    };
    let token = Token::open(configuration.http.token_file.as_deref())?;
    let settings = Settings {
        jobs: Some(configuration.jobs.clone()),
        shutdown_deadline: configuration.shutdown.deadline.0,
        limits: Limits {
            timeout: configuration.http.timeout.0,
            connections: configuration.http.connections,
        },
        token,
    };
    let names = configuration.backends.keys().map(|name| name.parse());
    let names: Vec<BackendId> = names.collect::<Result<_, _>>()?;
    let metrics = Arc::new(Metrics::new(names.iter())?);
    let context = Context::open_measured(configuration, schema, metrics.clone()).await?;
    // Otherwise it would listen, never be ready, and do nothing.
    context.store.ensure_writable().await?;
    context.log_doubt().await?;
    let exit = service::serve(listener, &context, metrics, settings, wishes, stop).await?;
    context.close().await;
    Ok(exit)
}
