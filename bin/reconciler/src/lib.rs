//! The reconciler: command line, configuration, HTTP and wiring. The only place that sees every
//! other crate.
#![doc = include_str!("../README.md")]

/// The examples of crates that know neither a store nor a backend, where all are known.
#[cfg(doctest)]
pub mod examples {
    #[doc = include_str!("../../../crates/documents/README.md")]
    pub mod documents {}
    #[doc = include_str!("../../../crates/reconcile/README.md")]
    pub mod reconcile {}
}

pub mod backlog;
mod bounded;
pub mod cleaning;
pub mod cli;
pub mod commands;
pub mod configuration;
pub mod demo;
pub mod exit;
pub mod figures;
pub mod harmless;
pub mod http;
pub mod hygiene;
pub mod import;
pub mod last_success;
pub mod listing;
pub mod lost_database;
pub mod managers;
pub mod metrics;
pub mod namesakes;
pub mod output;
pub mod platform;
pub mod presence;
pub mod progress;
pub mod recent;
mod repeatable;
pub mod runner;
pub mod schedule;
pub mod service;
pub mod signals;
mod spec_manifest;
mod spec_yaml;
pub mod standard_error;
pub mod tables;
pub mod telemetry;
pub mod unconfigured;
pub mod unpurged;
pub mod verified;
pub mod wiring;
mod yaml_bounds;
mod yaml_keys;
mod yaml_values;

use std::io::{IsTerminal as _, Write as _};

use crate::cli::Cli;
use crate::exit::{Exit, Misuse};
use crate::output::{Console, Format};

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

/// Says what is wrong with a command line that cannot be read; help and version are no error.
pub fn misused(error: &clap::Error) -> Exit {
    if error.use_stderr() && asks_for_json(std::env::args_os().skip(1)) {
        Console::new(Format::Json).usage(error);
        return Exit::Usage;
    }
    if error.use_stderr() && !std::io::stderr().is_terminal() {
        Console::new(Format::Table).note(error.render().to_string().trim_end());
        return Exit::Usage;
    }
    let printed = error.print().and_then(|()| std::io::stdout().flush());
    match printed {
        _ if error.use_stderr() => Exit::Usage,
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => fail(
            &Console::new(Format::Table),
            &anyhow::Error::new(error).context("write to standard output"),
        ),
        _ => Exit::Done,
    }
}

/// Whether an unreadable command line asks for JSON all the same.
fn asks_for_json(arguments: impl Iterator<Item = std::ffi::OsString>) -> bool {
    let arguments: Vec<_> = arguments.take_while(|argument| argument != "--").collect();
    let two = arguments
        .windows(2)
        .any(|pair| pair[0] == "--output" && pair[1] == "json");
    two || arguments.iter().any(|argument| argument == "--output=json")
}

fn fail(console: &Console, error: &anyhow::Error) -> Exit {
    console.error(error);
    if Misuse::is_behind(error) {
        Exit::Usage
    } else {
        Exit::Failed
    }
}
