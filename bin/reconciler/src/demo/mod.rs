//! `demo`: a sample deployment, lived through, damaged and cleaned, with what came of it in a table.

mod check;
mod clock;
pub mod connector;
mod deployment;
mod folder;
pub mod generator;
mod making;
pub mod samples;
mod scenario;
pub mod seeded;
mod shares;
mod show;
pub mod specs_folder;
mod tally;
mod words;

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use cloakroom_core::store::{Finding, Job};
use cloakroom_core::{Clock, Randomness, RunId, SystemClock};
use cloakroom_reconcile::{Observer, Report, RunOptions, Silent};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cli::DemoArgs;
use crate::configuration;
use crate::exit::Exit;
use crate::http::{self, Limits, Token};
use crate::metrics::Metrics;
use crate::output::Console;
use crate::progress::Progress;
use crate::runner::MeasuredRunner;
use crate::service;
use crate::signals::{self, UserSignal};
use crate::wiring::{Context, Schema};
use connector::Connector;
use deployment::Deployment;
use folder::Folder;
use making::Making;
use scenario::Scenario;
use seeded::Seeded;
use show::{ConnectorLine, Outcome, SkippedLine};
use tally::Tally;

/// Findings read at once.
const PAGE: u32 = 500;

/// How long a request may take, and the service to stop.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often measurements are added up.
const UPKEEP: Duration = Duration::from_secs(5);

/// Connections served at once.
const CONNECTIONS: usize = 64;

/// Runs the demo. `Failed` where the jobs lost something in use, left something unused, or missed
/// a planted damage.
pub async fn run(args: DemoArgs, console: &Console) -> Result<Exit> {
    let stop = CancellationToken::new();
    let deadline = configuration::Shutdown::default().deadline.0;
    signals::cancel_on_signal_within(stop.clone(), deadline)?;
    // Before anything is made: a port that is taken is known at once.
    let listener = if args.once {
        None
    } else {
        Some(http::bind(args.listen).await?)
    };
    let (connectors, skipped) = connectors(args.specs.as_deref(), console)?;
    let taken = Folder::take(args.folder.as_deref(), args.replace)?;
    let folder = taken.path();
    let randomness: Arc<dyn Randomness> = Arc::new(Seeded::new(args.seed));
    let metrics = deployment::metrics()?;
    let now = SystemClock.now();
    let (dice, counted) = (randomness.clone(), metrics.clone());
    let mut deployment = Deployment::make(folder, now, dice, counted, stop.clone()).await?;

    let began = Instant::now();
    let made = make(
        &deployment,
        &connectors,
        &randomness,
        args.documents,
        console,
    );
    let planted = tokio::select! {
        planted = made => planted?,
        never = tend(&metrics) => match never {},
        () = stop.cancelled() => {
            console.note(format_args!("Stopped. What was made so far is in {}.", folder.display()));
            return Ok(Exit::Partial);
        }
    };
    let making_seconds = began.elapsed().as_secs_f64();
    deployment.find_healthy(&planted).await?;

    let (runs, job_seconds) = reconcile(&deployment, metrics.clone(), console).await?;
    let findings = findings(&deployment, runs.iter().map(|report| report.run)).await?;
    let verdict = check::check(&deployment, &planted, &runs, &findings).await?;
    let exit = if verdict.holds() {
        Exit::Done
    } else {
        Exit::Failed
    };
    let outcome = Outcome {
        folder: folder.display().to_string(),
        seed: args.seed,
        connectors: lines(&connectors),
        skipped,
        planted,
        runs,
        findings,
        verdict,
        making_seconds,
        job_seconds,
    };
    show::show(&outcome, &deployment, console)?;
    let config = deployment.config.clone();
    deployment.close().await;
    match listener {
        Some(listener) if !stop.is_cancelled() => {
            let served = serve(listener, &config, metrics, console, stop).await?;
            Ok(exit.and(served))
        }
        _ => Ok(exit),
    }
}

/// The connectors to use, and those that cannot be used.
fn connectors(
    specs: Option<&Path>,
    console: &Console,
) -> Result<(Vec<Connector>, Vec<SkippedLine>)> {
    let Some(folder) = specs else {
        return Ok((samples::connectors()?, Vec::new()));
    };
    let mut connectors = Vec::new();
    let mut skipped = Vec::new();
    for found in specs_folder::read(folder)? {
        match found.connector {
            Ok(connector) => connectors.push(connector),
            Err(reason) => skipped.push(SkippedLine {
                file: found.file.display().to_string(),
                reason: format!("{reason:#}"),
            }),
        }
    }
    show::show_specs(&lines(&connectors), &skipped, console)?;
    if connectors.is_empty() {
        bail!(
            "no {} in or below {} can be used",
            specs_folder::names(),
            folder.display()
        );
    }
    Ok((connectors, skipped))
}

fn lines(connectors: &[Connector]) -> Vec<ConnectorLine> {
    let line = |connector: &Connector| ConnectorLine {
        name: connector.name.clone(),
        secret_fields: connector.secret_fields().len(),
    };
    connectors.iter().map(line).collect()
}

async fn make(
    deployment: &Deployment,
    connectors: &[Connector],
    randomness: &Arc<dyn Randomness>,
    documents: u64,
    console: &Console,
) -> Result<Tally> {
    let making = Making::new(console, Scenario::steps(documents));
    let scenario = Scenario::new(deployment, connectors, &**randomness, &making)?;
    let tally = scenario.live(documents).await;
    making.finish();
    tally
}

/// Adds up what was measured, again and again: until then each measurement takes up memory.
async fn tend(metrics: &Metrics) -> Infallible {
    loop {
        tokio::time::sleep(UPKEEP).await;
        metrics.run_upkeep();
    }
}

/// Every job once, with what each reports and the seconds it took.
async fn reconcile(
    deployment: &Deployment,
    metrics: Arc<Metrics>,
    console: &Console,
) -> Result<(Vec<Report>, Vec<f64>)> {
    let runner = MeasuredRunner::new(deployment.reconciler()?, deployment.store.clone(), metrics);
    let progress: Box<dyn Observer> = if console.is_json() {
        Box::new(Silent)
    } else {
        Box::new(Progress::new(console))
    };
    let mut reports = Vec::new();
    let mut seconds = Vec::new();
    for job in Job::ALL {
        // So that a list of runs shows them in the order they ran.
        deployment.clock.advance(Duration::from_secs(1));
        let options = RunOptions {
            read_values: job == Job::VerifyBlobs,
            ..RunOptions::default()
        };
        let began = Instant::now();
        reports.push(
            runner
                .run(job, deployment.backend.id(), &options, &*progress)
                .await?,
        );
        seconds.push(began.elapsed().as_secs_f64());
    }
    Ok((reports, seconds))
}

async fn findings(
    deployment: &Deployment,
    runs: impl Iterator<Item = RunId>,
) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for run in runs {
        let mut seen = 0;
        loop {
            let page = deployment.store.findings(run, seen, PAGE).await?;
            if page.is_empty() {
                break;
            }
            seen += page.len() as u64;
            findings.extend(page);
        }
    }
    Ok(findings)
}

async fn serve(
    listener: TcpListener,
    config: &Path,
    metrics: Arc<Metrics>,
    console: &Console,
    stop: CancellationToken,
) -> Result<Exit> {
    let wishes = UserSignal::listen()?;
    let address = listener.local_addr()?;
    let configuration = configuration::load(Some(config), &[])?.configuration;
    let context = Context::open_measured(configuration, Schema::Leave, metrics.clone()).await?;
    let settings = service::Settings {
        jobs: None,
        shutdown_deadline: PATIENCE,
        limits: Limits {
            timeout: PATIENCE,
            connections: CONNECTIONS,
        },
        token: Token::default(),
    };
    if !console.is_json() {
        console.note(format_args!(
            "Serving http://{address}/ (and /metrics, /healthz, /status) until Ctrl-C."
        ));
    }
    let served = service::serve(listener, &context, metrics, settings, wishes, stop).await;
    context.close().await;
    served
}

#[cfg(test)]
mod tests;
