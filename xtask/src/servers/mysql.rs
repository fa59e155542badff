//! MySQL from Debian's unstable release, since no other has it: a data folder of its own, on loopback
//! and a Unix socket. Nothing of it is installed into the machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use nix::unistd::geteuid;

use super::daemon::{Daemon, Launch, attempt, data_folder, free_port};
use super::mariadb::administrator;
use super::{install, secret_manager};
use crate::process;

pub(super) const NAME: &str = "mysql";
pub(super) const ABOUT: &str = "MySQL, package mysql-server-core of Debian unstable";

const PACKAGE: &str = "mysql-server-core";

/// What its package depends on for scripts that nobody runs here.
const NEEDLESS: &[&str] = &["perl", "libperl", "libgdbm", "libdb5", "gcc-"];

/// Whom the server becomes where root starts it. Every machine has that user.
const USER: &str = "nobody";

/// The data is thrown away anyway, also after a crash; and the files are searched when tests end.
const FRUGAL: [&str; 8] = [
    "--disable-log-bin",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-flush-method=nosync",
    "--innodb-doublewrite=OFF",
    "--innodb-redo-log-capacity=16M",
    "--innodb-buffer-pool-size=64M",
    "--performance-schema=OFF",
    "--mysqlx=OFF",
];

pub(super) fn start(servers: &Path) -> Result<Daemon> {
    let installed = install::debian_unstable(servers, NAME, PACKAGE, NEEDLESS, |root| {
        // Takes longer than everything else, and comes out the same each time.
        process::read(
            server(root, "root", &fresh(root))
                .arg("--initialize-insecure")
                .args(FRUGAL),
        )?;
        // Which server it is is not to be the same.
        fs::remove_file(fresh(root).join("auto.cnf"))?;
        Ok(())
    })?;
    attempt(NAME, || start_once(&installed))
}

fn start_once(installed: &Path) -> Result<Daemon> {
    let folder = data_folder(NAME)?;
    let port = free_port()?;
    let data = folder.join("data");
    let first = furnish(installed, &folder).inspect_err(|_| {
        let _ = fs::remove_dir_all(&folder);
    })?;
    let mut command = server(installed, USER, &data);
    command
        .args(FRUGAL)
        .args([
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--max-connections=200",
        ])
        .arg(format!("--socket={}", folder.join("socket").display()))
        .arg(format!("--pid-file={}", folder.join("pid").display()))
        .arg(format!("--init-file={}", first.display()))
        .arg(format!("--port={port}"));
    Daemon::start(Launch {
        command,
        // The port is open before the server takes requests, and clients wait for it.
        ready: secret_manager::answers(port),
        within: Duration::from_mins(1),
        port,
        folder,
        signal: Signal::SIGTERM,
        variables: BTreeMap::from([(
            "CLOAKROOM_TEST_MYSQL_URL".to_owned(),
            format!("mysql://administrator@127.0.0.1:{port}/mysql"),
        )]),
    })
}

/// Makes what is in the data folder, which belongs to the server's own user, and tells what it is to read
/// as it starts.
fn furnish(installed: &Path, folder: &Path) -> Result<PathBuf> {
    let first = administrator(folder)?;
    process::read(
        Command::new("cp")
            .args(["--archive", "--reflink=auto"])
            .arg(fresh(installed))
            .arg(folder.join("data")),
    )?;
    if geteuid().is_root() {
        process::read(Command::new("chown").args(["-R", USER]).arg(folder))?;
    }
    Ok(first)
}

/// The program under the C library it was made for, which is newer than this machine's.
fn server(root: &Path, user: &str, data: &Path) -> Command {
    let libraries = root.join("usr/lib/x86_64-linux-gnu");
    let mut command = Command::new(libraries.join("ld-linux-x86-64.so.2"));
    command
        .arg("--library-path")
        .arg(&libraries)
        .arg(root.join("usr/sbin/mysqld"))
        // The machine's own settings are for another server; this has to come first.
        .arg("--no-defaults")
        .arg(format!("--basedir={}", root.join("usr").display()))
        .arg(format!(
            "--lc-messages-dir={}",
            root.join("usr/share/mysql").display()
        ))
        .arg(format!("--datadir={}", data.display()))
        .arg("--secure-file-priv=NULL");
    if geteuid().is_root() {
        command.arg(format!("--user={user}"));
    }
    command
}

/// The data of a server that was never used.
fn fresh(root: &Path) -> PathBuf {
    root.join("fresh")
}
