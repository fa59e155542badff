//! drongo: somebody else's double of several Google services, for what of Secret Manager it knows.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;

use super::daemon::{Daemon, Launch, data_folder, free_port};
use super::install;
use super::secret_manager::answers;

pub(super) const NAME: &str = "drongo";
pub(super) const ABOUT: &str = "a double of Google services, Python package drongo";

const PACKAGE: &str = "drongo==0.8.0";

pub(super) fn start(servers: &Path) -> Result<Daemon> {
    let programs = install::pip(servers, NAME, &[PACKAGE])?;
    let port = free_port()?;
    let mut command = Command::new(programs.join("drongo"));
    command.args(["server", "--host", "127.0.0.1", "--port", &port.to_string()]);
    Daemon::start(Launch {
        command,
        ready: answers(port),
        within: Duration::from_secs(30),
        port,
        folder: data_folder(NAME)?,
        signal: Signal::SIGTERM,
        variables: BTreeMap::from([(
            "CLOAKROOM_TEST_DRONGO_URL".to_owned(),
            format!("http://127.0.0.1:{port}"),
        )]),
    })
}
