//! Real servers to test against: one table, started, found again and stopped by name.

mod daemon;
mod drongo;
mod helm;
#[allow(dead_code)]
mod install;
mod kubernetes;
mod mariadb;
mod moto;
mod mysql;
mod openbao;
mod openmetadata;
mod postgres;
mod prometheus;
mod secret_manager;
mod state;
mod unstable;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use comfy_table::Table;

use crate::interrupt;
use crate::workspace::Workspace;
use daemon::Daemon;

/// A server that tests run against. A new one is one more entry of `TABLE`.
struct Server {
    name: &'static str,
    about: &'static str,
    /// Installs what is missing, starts it, waits until it answers. The folder is for what is
    /// installed by other means than Debian's packages and should outlive the server.
    start: fn(&Path) -> Result<Daemon>,
}

const TABLE: &[Server] = &[
    Server {
        name: postgres::NAME,
        about: postgres::ABOUT,
        start: postgres::start,
    },
    Server {
        name: mariadb::NAME,
        about: mariadb::ABOUT,
        start: mariadb::start,
    },
    Server {
        name: mysql::NAME,
        about: mysql::ABOUT,
        start: mysql::start,
    },
    Server {
        name: kubernetes::NAME,
        about: kubernetes::ABOUT,
        start: kubernetes::start,
    },
    Server {
        name: moto::NAME,
        about: moto::ABOUT,
        start: moto::start,
    },
    Server {
        name: openbao::NAME,
        about: openbao::ABOUT,
        start: openbao::start,
    },
    Server {
        name: secret_manager::NAME,
        about: secret_manager::ABOUT,
        start: secret_manager::start,
    },
    Server {
        name: drongo::NAME,
        about: drongo::ABOUT,
        start: drongo::start,
    },
    Server {
        name: prometheus::NAME,
        about: prometheus::ABOUT,
        start: prometheus::start,
    },
];

/// Start, stop and show the real servers that tests run against
///
/// They run until `down`, on loopback only, with data that `down` throws away.
/// `cargo xtask test` starts what it needs by itself and uses what already runs.
#[derive(Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Install what is missing, start the servers and print the variables that tests read
    Up { names: Vec<String> },
    /// Stop the servers and throw their data away
    Down { names: Vec<String> },
    /// Show which servers run, where, and the variables that tests read
    Status,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    match &options.action {
        Action::Up { names } => {
            interrupt::listen()?;
            for server in chosen(names)? {
                let (daemon, started) = up(workspace, server)?;
                eprintln!(
                    "{} {} (process {}, port {})",
                    server.name,
                    if started { "started" } else { "already runs" },
                    daemon.pid,
                    daemon.port
                );
                for (name, value) in &daemon.variables {
                    println!("export {name}='{value}'");
                }
            }
            Ok(())
        }
        Action::Down { names } => {
            for server in chosen(names)? {
                let stopped = down(workspace, server.name)?;
                eprintln!(
                    "{} {}",
                    server.name,
                    if stopped {
                        "stopped"
                    } else {
                        "was not running"
                    }
                );
            }
            Ok(())
        }
        Action::Status => status(workspace),
    }
}

fn chosen(names: &[String]) -> Result<Vec<&'static Server>> {
    if names.is_empty() {
        return Ok(TABLE.iter().collect());
    }
    names
        .iter()
        .map(|name| {
            TABLE.iter().find(|it| it.name == name).with_context(|| {
                let known: Vec<_> = TABLE.iter().map(|it| it.name).collect();
                format!("there is no server {name:?}; known: {}", known.join(", "))
            })
        })
        .collect()
}

/// The running server, and whether this call started it.
fn up(workspace: &Workspace, server: &Server) -> Result<(Daemon, bool)> {
    let folder = workspace.target("servers");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let _lock = lock(&folder)?;
    if let Some(daemon) = state::load(&folder, server.name)? {
        if daemon.is_alive() {
            return Ok((daemon, false));
        }
        daemon.clear()?;
        state::forget(&folder, server.name)?;
    }
    let daemon =
        (server.start)(&folder).with_context(|| format!("{} could not be started", server.name))?;
    if let Err(error) = state::save(&folder, server.name, &daemon) {
        // Nobody could find it again.
        daemon.stop()?;
        return Err(error);
    }
    Ok((daemon, true))
}

/// Whether there was anything to stop.
fn down(workspace: &Workspace, name: &str) -> Result<bool> {
    let folder = workspace.target("servers");
    if !folder.is_dir() {
        return Ok(false);
    }
    let _lock = lock(&folder)?;
    let Some(daemon) = state::load(&folder, name)? else {
        return Ok(false);
    };
    let alive = daemon.is_alive();
    daemon.stop()?;
    state::forget(&folder, name)?;
    Ok(alive)
}

fn status(workspace: &Workspace) -> Result<()> {
    let folder = workspace.target("servers");
    let mut table = Table::new();
    table.set_header([
        "server",
        "state",
        "process",
        "port",
        "variables",
        "what it is",
    ]);
    for server in TABLE {
        let daemon = state::load(&folder, server.name)?;
        let row = match &daemon {
            Some(it) if it.is_alive() => [
                "runs".to_owned(),
                it.pid.to_string(),
                it.port.to_string(),
                it.variables
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect::<Vec<_>>()
                    .join("\n"),
            ],
            Some(_) => [
                "died; `down` clears up".to_owned(),
                String::new(),
                String::new(),
                String::new(),
            ],
            None => [
                "stopped".to_owned(),
                String::new(),
                String::new(),
                String::new(),
            ],
        };
        let mut cells = vec![server.name.to_owned()];
        cells.extend(row);
        cells.push(server.about.to_owned());
        table.add_row(cells);
    }
    println!("{table}");
    Ok(())
}

/// The program that renders charts, for tests.
pub(crate) fn helm(workspace: &Workspace) -> Result<PathBuf> {
    installed(workspace, helm::program)
}

/// The Python that has OpenMetadata's client, for tests.
pub(crate) fn openmetadata_client(workspace: &Workspace) -> Result<PathBuf> {
    installed(workspace, openmetadata::python)
}

fn installed(workspace: &Workspace, install: fn(&Path) -> Result<PathBuf>) -> Result<PathBuf> {
    let folder = workspace.target("servers");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let _lock = lock(&folder)?;
    install(&folder)
}

/// Held while a server is looked up and started or stopped: two runs never start the same one.
fn lock(folder: &Path) -> Result<File> {
    let file = File::create(folder.join("lock"))?;
    file.lock()
        .with_context(|| format!("cannot lock {}", folder.display()))?;
    Ok(file)
}

/// The servers of one test run; those it started itself are stopped with it.
pub(crate) struct ForTests<'a> {
    workspace: &'a Workspace,
    started: Vec<&'static str>,
    pub(crate) variables: Vec<(String, String)>,
    /// Where databases are that hold no value in clear. What the managers store is theirs.
    pub(crate) databases: Vec<PathBuf>,
    /// Name and reason of each that could not be had.
    pub(crate) missing: Vec<(String, String)>,
}

impl<'a> ForTests<'a> {
    pub(crate) fn start(workspace: &'a Workspace) -> Result<Self> {
        let mut servers = Self {
            workspace,
            started: Vec::new(),
            variables: Vec::new(),
            databases: Vec::new(),
            missing: Vec::new(),
        };
        for server in TABLE {
            match up(workspace, server) {
                Ok((daemon, started)) => {
                    if started {
                        servers.started.push(server.name);
                    }
                    servers.variables.extend(daemon.variables.clone());
                    if [postgres::NAME, mariadb::NAME, mysql::NAME].contains(&server.name) {
                        servers.databases.push(daemon.folder);
                    }
                }
                Err(error) => servers
                    .missing
                    .push((server.name.to_owned(), format!("{error:#}"))),
            }
            if interrupt::requested() {
                bail!("interrupted");
            }
        }
        Ok(servers)
    }
}

/// Servers for one run alone, whoever else runs some: nothing that they hold slows anybody down.
pub(crate) struct Apart {
    daemons: Vec<Daemon>,
    pub(crate) variables: Vec<(String, String)>,
}

impl Apart {
    pub(crate) fn start(workspace: &Workspace, names: &[&str]) -> Result<Self> {
        let folder = workspace.target("servers");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let _lock = lock(&folder)?;
        let mut servers = Self {
            daemons: Vec::new(),
            variables: Vec::new(),
        };
        for server in TABLE.iter().filter(|it| names.contains(&it.name)) {
            let daemon = (server.start)(&folder)
                .with_context(|| format!("{} could not be started", server.name))?;
            servers.variables.extend(daemon.variables.clone());
            servers.daemons.push(daemon);
            if interrupt::requested() {
                bail!("interrupted");
            }
        }
        Ok(servers)
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        for daemon in &self.daemons {
            if let Err(error) = daemon.stop() {
                eprintln!("process {} could not be stopped: {error:#}", daemon.pid);
            }
        }
    }
}

impl Drop for ForTests<'_> {
    fn drop(&mut self) {
        for name in &self.started {
            if let Err(error) = down(self.workspace, name) {
                eprintln!(
                    "{name} could not be stopped: {error:#}; run `cargo xtask servers down {name}`"
                );
            }
        }
    }
}
