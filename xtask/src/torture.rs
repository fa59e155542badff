//! The torture: the real program on real servers of its own, killed at random moments.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;

use crate::workspace::Workspace;
use crate::{interrupt, process, servers};

/// The servers it starts for itself, as `cargo xtask servers` names them.
const NEEDED: [&str; 3] = ["postgres", "moto", "openbao"];

/// Kill the real program at random moments, then look for what was lost or leaked
///
/// Several replicas and writers work on a PostgreSQL, an OpenBao and a moto of their own, which are
/// paused, killed and started again meanwhile, with a proxy that lets requests go wrong before each
/// manager. Then everything is left alone until nothing is due, and documents, ledger and listings
/// are compared. One table; the exit status is 1 where anything was lost or leaked, where a secret
/// value was found in a log, metric or status, and where it did not end in time.
///
/// The seed decides every random choice. How processes are scheduled does not replay.
#[derive(Args)]
pub(crate) struct Options {
    /// How many processes of the program to kill
    #[arg(long, value_name = "N", default_value_t = 200)]
    kills: u64,
    /// What every random choice follows from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How long the kills may take in all; the run fails past it
    #[arg(long, value_name = "N", default_value_t = 15)]
    minutes: u64,
    /// The program to torture; the one of this tree where it is left out
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Leave the folder with logs and data behind; done anyway after a failure
    #[arg(long)]
    keep: bool,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    interrupt::listen()?;
    let installed = workspace.target("servers").join("installed");
    if !is_complete(&installed) {
        install(workspace)?;
    }
    let mut command = workspace.cargo();
    command
        .args([
            "test",
            "--package",
            "cloakroom-reconciler",
            "--test",
            "torture",
            "--",
        ])
        .arg("--installed")
        .arg(&installed)
        .arg(format!("--kills={}", options.kills))
        .arg(format!("--seed={}", options.seed))
        .arg(format!("--minutes={}", options.minutes));
    if let Some(program) = &options.program {
        command.arg("--program").arg(std::path::absolute(program)?);
    }
    if options.keep {
        command.arg("--keep");
    }
    process::run(&mut command)
}

/// Whether nothing has to be installed.
fn is_complete(installed: &Path) -> bool {
    let packages = ["moto", "openbao"]
        .iter()
        .all(|name| installed.join(format!("{name}.installed")).is_file());
    packages && Path::new("/usr/lib/postgresql").is_dir()
}

/// Whoever starts a server installs it first.
fn install(workspace: &Workspace) -> Result<()> {
    let servers = servers::ForTests::start(workspace)?;
    let mut missing = servers.missing.iter();
    match missing.find(|(name, _)| NEEDED.contains(&name.as_str())) {
        Some((name, reason)) => bail!("{name} cannot be had: {reason}"),
        None => Ok(()),
    }
}
