//! moto from the Python registry: an AWS in memory whose requests are signed and permitted.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use super::daemon::{Daemon, Launch, data_folder, free_port};
use super::install;
use crate::workspace::own_folder;

pub(super) const NAME: &str = "moto";
pub(super) const ABOUT: &str = "AWS in memory, moto[server] 5.2.5";

const PACKAGE: &str = "moto[server]==5.2.5";
const PROGRAM: &str = include_str!("moto.py");

/// Exits with 0 once a connection is taken: which request would be answered depends on users that
/// are not known yet.
const KNOCK: &str = "import socket,sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])))";

pub(super) fn start(servers: &Path) -> Result<Daemon> {
    let python = install::pip(servers, NAME, &[PACKAGE])?.join("python");
    let folder = data_folder(NAME)?;
    let port = free_port()?;
    let program = folder.join("serve.py");
    fs::write(&program, PROGRAM)?;
    let users = folder.join("users.json");

    let mut command = Command::new(&python);
    command
        .arg(&program)
        .arg(port.to_string())
        // The policies that the users are given.
        .arg(own_folder().with_file_name("deploy").join("policies/aws"))
        .arg(&users);
    let mut ready = Command::new(&python);
    ready.args(["-c", KNOCK, &port.to_string()]);
    let mut daemon = Daemon::start(Launch {
        command,
        ready,
        within: Duration::from_mins(1),
        port,
        folder,
        signal: Signal::SIGINT,
        variables: BTreeMap::from([(
            "CLOAKROOM_TEST_AWS_URL".to_owned(),
            format!("http://127.0.0.1:{port}"),
        )]),
    })?;
    match variables(&users) {
        Ok(more) => daemon.variables.extend(more),
        Err(error) => {
            daemon.stop()?;
            return Err(error);
        }
    }
    Ok(daemon)
}

/// The users that the server made: `CLOAKROOM_TEST_AWS_ADMIN` and so on.
fn variables(users: &Path) -> Result<BTreeMap<String, String>> {
    let text = fs::read_to_string(users)
        .with_context(|| format!("the server did not write {}", users.display()))?;
    let users: BTreeMap<String, String> = serde_json::from_str(&text)?;
    Ok(users
        .into_iter()
        .map(|(name, text)| {
            let name = format!("CLOAKROOM_TEST_AWS_{}", name.to_uppercase());
            (name, text)
        })
        .collect())
}
