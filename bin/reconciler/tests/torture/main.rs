//! Torture: the real program on real servers, killed at random moments, then held to its promise.
//!
//! Writers, replicas and passes by hand run against one PostgreSQL and two managers, OpenBao and
//! moto, with a proxy that lets requests go wrong before each. Processes are killed, servers paused
//! and started again, writers and replicas frozen past their deadlines. Then everything is left
//! alone until nothing is due any more, and what documents, ledger and managers hold is compared.
//!
//! Everything random follows from the seed: who does what, which process is killed how late into
//! its work, which request meets which fault. How the kernel schedules the processes does not, so a
//! seed gives the same kind of trouble again and not the same run.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program of its own speaks through its output"
)]

mod chaos;
mod deployment;
mod drawing;
mod model;
mod openbao;
mod process;
mod replicas;
mod server;
mod tally;
mod truth;
mod writers;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Parser;
use cloakroom_testkit::SeededRandomness;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use deployment::Deployment;
use tally::Tally;

/// Kill the real program at random moments, then look for what was lost or leaked.
#[derive(Clone, Debug, Parser)]
#[command(name = "torture")]
pub(crate) struct Options {
    /// How many processes of the program to kill
    #[arg(long, value_name = "N", default_value_t = 200)]
    kills: u64,
    /// What every random choice follows from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How long the kills may take in all; the run fails past it
    #[arg(long, value_name = "N", default_value_t = 15)]
    minutes: u64,
    /// How many `serve` processes
    #[arg(long, value_name = "N", default_value_t = 3)]
    replicas: usize,
    /// How many writers at once
    #[arg(long, value_name = "N", default_value_t = 4)]
    writers: usize,
    /// How many documents
    #[arg(long, value_name = "N", default_value_t = 48)]
    documents: usize,
    /// The program to torture
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_reconciler"))]
    program: PathBuf,
    /// Where `cargo xtask servers` has installed OpenBao and moto
    #[arg(long, value_name = "DIR")]
    installed: PathBuf,
    /// Leave the folder with logs and data behind
    #[arg(long)]
    keep: bool,
    /// `cargo bench` and `cargo test` hand this over
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    println!(
        "torture: seed {}, {} kills, {} replicas, {} writers, {} documents",
        options.seed, options.kills, options.replicas, options.writers, options.documents
    );
    match run(&options).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the promise held. Whatever happens, and on Ctrl-C too, what was started is stopped.
async fn run(options: &Options) -> Result<bool> {
    let random = SeededRandomness::new(options.seed);
    let tally = Arc::new(Tally::new(options.kills));
    let deployment = tokio::select! {
        started = Deployment::start(options, &random, tally) => Arc::new(started?),
        () = interruption() => bail!("interrupted"),
    };
    println!("logs and data: {}", deployment.folder().display());
    let (outcome, is_worth_keeping) = tokio::select! {
        outcome = torture(options, &deployment, &random) => {
            let failed = !outcome.as_ref().is_ok_and(|held| *held);
            (outcome, failed)
        }
        () = interruption() => (Err(anyhow!("interrupted")), false),
    };
    deployment.stop(options.keep || is_worth_keeping).await?;
    outcome
}

/// Returns at the first Ctrl-C or SIGTERM.
async fn interruption() {
    // Without a handler the signal ends the process, and with it whatever it started.
    let Ok(mut terminated) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        Ok(()) = tokio::signal::ctrl_c() => {}
        _ = terminated.recv() => {}
    }
}

/// Torments the deployment, waits for quiet and says whether everything is as it was promised.
async fn torture(
    options: &Options,
    deployment: &Arc<Deployment>,
    random: &SeededRandomness,
) -> Result<bool> {
    let tally = &deployment.tally;
    let stop = CancellationToken::new();
    let calm = CancellationToken::new();
    let mut serving = replicas::start(options, deployment, random, &calm, &stop);
    let mut troubled = JoinSet::new();
    for number in 0..options.writers {
        let draw = random.stream(&format!("writer {number}"));
        let (deployment, calm) = (deployment.clone(), calm.clone());
        troubled.spawn(writers::write(deployment, draw, calm, options.documents));
    }
    let draw = random.stream("reader");
    troubled.spawn(writers::read(deployment.clone(), draw, calm.clone()));
    let draw = random.stream("passes");
    troubled.spawn(replicas::passes(deployment.clone(), draw, calm.clone()));
    let draw = random.stream("servers");
    troubled.spawn(chaos::trouble(deployment.clone(), draw, calm.clone()));

    let time = Duration::from_mins(options.minutes);
    let enough = tokio::time::timeout(time, tally.enough_kills(options.seed)).await;
    calm.cancel();
    while let Some(ended) = troubled.join_next().await {
        ended.context("a part of the torture panicked")?;
    }
    println!("calm after {} s; waiting for quiet", tally.seconds());
    deployment.calm().await?;
    let mut verdict = truth::after_quiet(deployment).await?;
    stop.cancel();
    while let Some(ended) = serving.join_next().await {
        ended.context("a replica's keeper panicked")?;
    }
    truth::establish(deployment, &mut verdict).await?;
    verdict.require(
        enough.is_ok(),
        "the kills were not done within the time given",
    );
    truth::search_for_canaries(deployment, &mut verdict)?;
    println!("{}", verdict.table(tally, options.seed));
    Ok(verdict.holds())
}
