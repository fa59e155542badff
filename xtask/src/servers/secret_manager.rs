//! Google Secret Manager: a double of our own, since no server that keeps annotations, etags and
//! delayed destruction can be installed by name. Standard library Python, nothing to fetch.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use super::daemon::{Daemon, Launch, data_folder, free_port};

pub(super) const NAME: &str = "secret-manager";
pub(super) const ABOUT: &str = "a double of Google Secret Manager, after its documentation";

const PROGRAM: &str = include_str!("secret_manager.py");

pub(super) fn start(_: &Path) -> Result<Daemon> {
    let folder = data_folder(NAME)?;
    let program = folder.join("secret_manager.py");
    fs::write(&program, PROGRAM).with_context(|| format!("cannot write {}", program.display()))?;
    let port = free_port()?;
    let mut command = Command::new("python3");
    command.arg(&program).arg(port.to_string());
    Daemon::start(Launch {
        command,
        ready: answers(port),
        within: Duration::from_secs(30),
        port,
        folder,
        signal: Signal::SIGTERM,
        variables: BTreeMap::from([(
            "CLOAKROOM_TEST_GCP_URL".to_owned(),
            format!("http://127.0.0.1:{port}"),
        )]),
    })
}

/// Succeeds when the port is open.
pub(super) fn answers(port: u16) -> Command {
    let mut command = Command::new("python3");
    let look = format!("import socket; socket.create_connection(('127.0.0.1', {port}), 5)");
    command.args(["-c", &look]);
    command
}
