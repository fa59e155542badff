//! The service: schedules activate the driver, HTTP tells about it, a signal ends both in time.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use cloakroom_core::SystemRandomness;
use cloakroom_core::ledger::Ledger as _;
use cloakroom_reconcile::Driver;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::configuration::Jobs;
use crate::http::{self, App, Limits};
use crate::metrics::Metrics;
use crate::runner::MeasuredRunner;
use crate::schedule;
use crate::wiring::{Connection, Context};

/// How often gauges that nobody sets are brought up to date.
const REFRESH: Duration = Duration::from_secs(30);

/// How the service runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// When each job runs; `None` schedules nothing.
    pub jobs: Option<Jobs>,
    /// How long the running item may take to finish once told to stop.
    pub shutdown_deadline: Duration,
    /// What a client may take up.
    pub limits: Limits,
}

/// Serves until `stop` is cancelled, then lets the running item finish.
pub async fn serve(
    listener: TcpListener,
    context: &Context,
    metrics: Arc<Metrics>,
    settings: Settings,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let runner = MeasuredRunner::new(
        context.reconciler(stop.clone()),
        context.store.clone(),
        metrics.clone(),
    );
    runner.recall().await;
    let jitter = settings
        .jobs
        .as_ref()
        .map_or(Duration::ZERO, |jobs| jobs.jitter.0);
    let driver = Driver::start(
        Arc::new(runner.clone()),
        Arc::new(SystemRandomness),
        jitter,
        stop.clone(),
    );
    let app = Arc::new(App {
        metrics: metrics.clone(),
        activator: driver.activator(),
        jobs: settings.jobs.clone(),
        store: context.store.clone(),
        backends: context
            .backends
            .iter()
            .map(|backend| backend.id().clone())
            .collect(),
        started: context.store.now().await?,
        stop: stop.clone(),
    });
    let mut scheduler = match &settings.jobs {
        Some(jobs) => Some(schedule::start(jobs, &driver.activator()).await?),
        None => None,
    };
    let address = listener.local_addr().context("ask for the address")?;
    tracing::info!(http.address = %address, "listening");
    if !address.ip().is_loopback() {
        tracing::warn!(http.address = %address, "metrics and status are open to whoever can reach this address");
    }
    let router = http::router(app, settings.limits.timeout);
    let server = tokio::spawn(http::serve(listener, router, settings.limits, stop.clone()));
    let refresher = tokio::spawn(refresh(
        runner,
        metrics,
        context.connection()?,
        stop.clone(),
    ));

    stop.cancelled().await;
    if let Some(scheduler) = &mut scheduler
        && let Err(error) = scheduler.shutdown().await
    {
        tracing::warn!(error = %error, "the scheduler ended badly");
    }
    let stopped = async {
        driver.join().await;
        server.await
    };
    match tokio::time::timeout(settings.shutdown_deadline, stopped).await {
        Ok(served) => served.context("end the HTTP server")??,
        Err(_) => bail!(
            "the running item did not finish within {}; its claim lapses and the next run takes it up",
            humantime::format_duration(settings.shutdown_deadline)
        ),
    }
    refresher.abort();
    tracing::info!("stopped");
    Ok(())
}

async fn refresh(
    runner: MeasuredRunner,
    metrics: Arc<Metrics>,
    mut connection: Option<Connection>,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(REFRESH) => {
                metrics.run_upkeep();
                if let Some(Err(error)) = connection.as_mut().map(Connection::refresh) {
                    tracing::warn!(error = %format_args!("{error:#}"), "the last database URL stays in force");
                }
                runner.recall().await;
            }
        }
    }
}
