//! The `reconciler` program: parse, run, exit.

use std::process::ExitCode;

use cloakroom_reconciler::cli::Cli;
use cloakroom_reconciler::output::{Console, Format};
use cloakroom_reconciler::{hygiene, standard_error};

fn main() -> ExitCode {
    if let Err(error) = hygiene::guard_memory() {
        // A sandbox may refuse it; the work is worth more than the precaution.
        Console::new(Format::Table).note(format_args!(
            "core dumps of this process could not be switched off: {error}"
        ));
    }
    let exit = match Cli::read(std::env::args_os()) {
        Ok(cli) => cloakroom_reconciler::run(cli),
        Err(error) => cloakroom_reconciler::misused(&error),
    };
    standard_error::flush();
    exit.into()
}
