//! The developer's chores, one command each: `cargo xtask --help`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program speaks through its output"
)]

mod apt;
mod bench;
mod book;
mod connectors;
mod fuzz;
mod interrupt;
mod layers;
mod lint;
mod process;
mod promtool;
mod servers;
mod simulate;
mod test;
mod tools;
mod torture;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use workspace::Workspace;

/// The chores of Cloakroom's developers.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    Test(test::Options),
    Lint(lint::Options),
    /// Check the workspace's laws: who may depend on whom, and tidiness
    ///
    /// The arrows point down: coordinates ← core ← backends, stores, documents, reconcile ← bin.
    /// Also: `//!` on every file, a README for every library, lints inherited, versions of
    /// third-party crates in the workspace manifest only, no overlong files, migrations
    /// append-only, no unfinished code.
    Layers,
    /// Build the documentation of every crate; any warning is an error
    Docs,
    Book(book::Options),
    /// Check the alert rules with promtool and run their unit tests
    Rules,
    Servers(servers::Options),
    Connectors(connectors::Options),
    Bench(bench::Options),
    Simulate(simulate::Options),
    Torture(torture::Options),
    Fuzz(fuzz::Options),
}

fn main() -> ExitCode {
    let chore = Cli::parse().chore;
    let outcome = Workspace::find().and_then(|workspace| match chore {
        Chore::Test(options) => test::run(&workspace, &options),
        Chore::Lint(options) => lint::run(&workspace, &options),
        Chore::Layers => layers::run(&workspace),
        Chore::Docs => lint::docs(&workspace),
        Chore::Book(options) => book::run(&workspace, &options),
        Chore::Rules => promtool::run(&workspace),
        Chore::Servers(options) => servers::run(&workspace, &options),
        Chore::Connectors(options) => connectors::run(&workspace, &options),
        Chore::Bench(options) => bench::run(&workspace, &options),
        Chore::Simulate(options) => simulate::run(&workspace, &options),
        Chore::Torture(options) => torture::run(&workspace, &options),
        Chore::Fuzz(options) => fuzz::run(&workspace, &options),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // The summary of a test run is its own report and has to stay the last line.
        Err(error) if error.is::<test::Failed>() => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
