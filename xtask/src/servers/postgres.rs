//! PostgreSQL from Debian's package: a cluster of its own, on loopback and a Unix socket.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use super::daemon::{Daemon, Launch, attempt, data_folder, free_port, unprivileged};
use crate::{apt, process};

pub(super) const NAME: &str = "postgres";
pub(super) const ABOUT: &str = "PostgreSQL, Debian package postgresql";

pub(super) fn start(_: &Path) -> Result<Daemon> {
    let programs = programs()?;
    attempt(NAME, || start_once(&programs))
}

fn start_once(programs: &Path) -> Result<Daemon> {
    let folder = data_folder(NAME)?;
    let user = unprivileged(&folder, "postgres", "postgresql")?;
    let port = free_port()?;
    let data = folder.join("data");
    let command = |program: &str| {
        let mut command = Command::new(programs.join(program));
        command.current_dir(&folder);
        if let Some(user) = &user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        // The developer's own settings are for another server.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        command
    };

    let made = process::read(
        command("initdb")
            .arg("--pgdata")
            .arg(&data)
            .args(["--username=postgres", "--auth=trust"])
            .args(["--encoding=UTF8", "--no-locale", "--no-sync"]),
    );
    if let Err(error) = made {
        let _ = std::fs::remove_dir_all(&folder);
        return Err(error);
    }

    let mut server = command("postgres");
    server.arg("-D").arg(&data).arg("-k").arg(&folder).args([
        "-h",
        "127.0.0.1",
        "-p",
        &port.to_string(),
    ]);
    for setting in [
        "max_connections=200",
        // The data is thrown away anyway, also after a crash.
        "fsync=off",
        "synchronous_commit=off",
        "full_page_writes=off",
    ] {
        server.args(["-c", setting]);
    }

    let mut ready = command("pg_isready");
    ready.args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]);
    Daemon::start(Launch {
        command: server,
        ready,
        within: Duration::from_secs(30),
        port,
        folder,
        // A fast shutdown: clients are disconnected, nothing is left half written.
        signal: Signal::SIGINT,
        variables: BTreeMap::from([(
            "CLOAKROOM_TEST_POSTGRES_URL".to_owned(),
            format!("postgres://postgres@127.0.0.1:{port}/postgres"),
        )]),
    })
}

/// Where `initdb` and its like are; Debian keeps them off the PATH, one folder for each version.
fn programs() -> Result<PathBuf> {
    if let Some(found) = installed() {
        return Ok(found);
    }
    apt::install("postgresql")?;
    installed().context("the Debian package postgresql brought no /usr/lib/postgresql/*/bin/initdb")
}

fn installed() -> Option<PathBuf> {
    std::fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(Result::ok)
        .filter(|it| it.path().join("bin/initdb").is_file())
        .max_by_key(|it| it.file_name().to_string_lossy().parse().unwrap_or(0_u32))
        .map(|it| it.path().join("bin"))
}
