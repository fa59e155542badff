//! The reconciler: command line, configuration, HTTP and wiring. The only place that sees every
//! other crate.
#![doc = include_str!("../README.md")]

pub mod cli;
pub mod commands;
pub mod configuration;
pub mod demo;
pub mod exit;
pub mod http;
pub mod metrics;
pub mod output;
pub mod progress;
pub mod runner;
pub mod schedule;
pub mod service;
pub mod signals;
pub mod tables;
pub mod telemetry;
pub mod wiring;

use crate::cli::Cli;
use crate::exit::Exit;
use crate::output::Console;

/// Runs one command to its end and says how the process is to exit. An error is printed here,
/// once, with the chain of its causes.
pub fn run(cli: Cli) -> Exit {
    let console = Console::new(cli.global.output);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            return fail(
                &console,
                &anyhow::Error::new(error).context("start the runtime"),
            );
        }
    };
    let done = runtime.block_on(commands::dispatch(cli, &console));
    // A read of standard input cannot be cancelled; nobody waits for it any more.
    runtime.shutdown_background();
    done.unwrap_or_else(|error| fail(&console, &error))
}

fn fail(console: &Console, error: &anyhow::Error) -> Exit {
    console.error(error);
    Exit::Failed
}
