//! A backend written as `docs/backends/adding.md` says, held to every law over a real connection.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test that cannot go on fails, and its modules are shared by two test programs"
)]

mod backend;
mod client;
mod server;
mod suite;
mod wire;

use std::process::ExitCode;

use cloakroom_testkit::{conformance, faults};

fn main() -> ExitCode {
    let mut trials = conformance::trials(suite::Shelf);
    trials.extend(faults::trials(suite::Shelf));
    conformance::run(trials)
}
