//! MariaDB from Debian's package: a data folder of its own, on loopback and a Unix socket.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use super::daemon::{Daemon, Launch, attempt, data_folder, free_port, unprivileged};
use crate::{apt, process};

pub(super) const NAME: &str = "mariadb";
pub(super) const ABOUT: &str = "MariaDB, Debian package mariadb-server";

const PACKAGE: &str = "mariadb-server";
const INSTALL: &str = "/usr/bin/mariadb-install-db";
const SERVER: &str = "/usr/sbin/mariadbd";
const ADMIN: &str = "/usr/bin/mariadb-admin";

/// The data is thrown away anyway, also after a crash; and the files are searched when tests end.
const FRUGAL: [&str; 3] = [
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-log-file-size=8M",
    "--innodb-buffer-pool-size=64M",
];

/// A server that forgets everything needs no password. Each statement has a line of its own.
const ADMINISTRATOR: &str = "CREATE USER administrator@'%';\n\
     GRANT ALL ON *.* TO administrator@'%' WITH GRANT OPTION;\n";

pub(super) fn start(_: &Path) -> Result<Daemon> {
    if !Path::new(INSTALL).is_file() {
        apt::install(PACKAGE)?;
    }
    attempt(NAME, start_once)
}

fn start_once() -> Result<Daemon> {
    let folder = data_folder(NAME)?;
    let user = unprivileged(&folder, "mysql", PACKAGE)?;
    let port = free_port()?;
    let data = format!("--datadir={}", folder.join("data").display());
    let socket = format!("--socket={}", folder.join("socket").display());
    let first = administrator(&folder);
    let command = |program: &str| {
        let mut command = Command::new(program);
        // The machine's own settings are for another server; this has to come first.
        command.arg("--no-defaults").current_dir(&folder);
        if let Some(user) = &user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
    };
    let made = first.and_then(|first| {
        process::read(
            command(INSTALL)
                .arg(&data)
                .args(["--auth-root-authentication-method=normal", "--skip-test-db"])
                .args(FRUGAL),
        )?;
        Ok(first)
    });
    let first = made.inspect_err(|_| {
        let _ = fs::remove_dir_all(&folder);
    })?;

    let mut server = command(SERVER);
    server.args([&data, &socket]).args([
        "--bind-address=127.0.0.1",
        "--skip-name-resolve",
        "--max-connections=200",
        "--innodb-doublewrite=0",
    ]);
    server
        .args(FRUGAL)
        .arg(format!("--port={port}"))
        .arg(format!("--init-file={}", first.display()));

    let mut ready = command(ADMIN);
    ready
        .args(["--host=127.0.0.1", "--protocol=tcp", "--user=administrator"])
        .arg(format!("--port={port}"))
        .arg("status");
    Daemon::start(Launch {
        command: server,
        ready,
        within: Duration::from_mins(1),
        port,
        folder,
        signal: Signal::SIGTERM,
        variables: BTreeMap::from([(
            "CLOAKROOM_TEST_MARIADB_URL".to_owned(),
            format!("mysql://administrator@127.0.0.1:{port}/mysql"),
        )]),
    })
}

/// Writes down the statements that make the administrator, for the server to read as it starts.
pub(super) fn administrator(folder: &Path) -> Result<PathBuf> {
    let file = folder.join("first.sql");
    fs::write(&file, ADMINISTRATOR)
        // The server's own user reads it, whatever the mask of ours.
        .and_then(|()| fs::set_permissions(&file, Permissions::from_mode(0o644)))
        .context("the administrator's statements could not be written")?;
    Ok(file)
}
