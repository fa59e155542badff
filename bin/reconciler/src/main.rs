//! The `reconciler` program: parse, run, exit.

use std::process::ExitCode;

use clap::Parser;
use cloakroom_reconciler::cli::Cli;

fn main() -> ExitCode {
    cloakroom_reconciler::run(Cli::parse()).into()
}
