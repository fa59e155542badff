//! Debian packages, installed by name when something they bring is missing.

use std::process::Command;

use anyhow::{Result, bail};

use crate::process;

/// Installs a package; only root can, anyone else is told the command.
pub(crate) fn install(package: &str) -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!("the Debian package {package} is missing; run `sudo apt-get install {package}`");
    }
    eprintln!("installing the Debian package {package}");
    if process::read(&mut apt(&["install", package])).is_ok() {
        return Ok(());
    }
    // A new machine knows no package before its first update.
    process::read(&mut apt(&["update"]))?;
    process::read(&mut apt(&["install", package]))?;
    Ok(())
}

fn apt(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command
        .args(["--quiet", "--yes", "--no-install-recommends"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Keeps a package from starting a system service of its own.
        .env("RUNLEVEL", "1");
    command
}
