//! The `reconciler` program: parse, run, exit.

use std::process::ExitCode;

use clap::Parser;
use cloakroom_reconciler::cli::Cli;

fn main() -> ExitCode {
    let exit = match Cli::try_parse() {
        Ok(cli) => cloakroom_reconciler::run(cli),
        Err(error) => cloakroom_reconciler::misused(&error),
    };
    exit.into()
}
