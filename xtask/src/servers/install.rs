//! Servers from the package registries, through their ordinary clients, each in a folder of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::unstable::Unstable;
use crate::{apt, process};

/// A Python package with its programs, in a virtual environment. `packages` are pinned requirements
/// such as `moto[server]==5.2.0`; the answer is the environment's folder of programs.
pub(super) fn pip(servers: &Path, name: &str, packages: &[&str]) -> Result<PathBuf> {
    let folder = servers.join("installed").join(name);
    install_once(&folder, &packages.join(" "), |folder| {
        process::read(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
        process::read(
            Command::new(folder.join("bin/python"))
                .args([
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                ])
                .args(packages),
        )?;
        Ok(())
    })?;
    Ok(folder.join("bin"))
}

/// A program in Go, built from `package@version`; the answer is the folder it is in.
pub(super) fn go(servers: &Path, name: &str, package: &str) -> Result<PathBuf> {
    let folder = servers.join("installed").join(name);
    install_once(&folder, package, |folder| {
        if process::read(Command::new("go").arg("version")).is_err() {
            apt::install("golang-go")?;
        }
        process::read(
            Command::new("go")
                .args(["install", package])
                .env("GOBIN", folder)
                .env("GOFLAGS", "-trimpath"),
        )?;
        Ok(())
    })?;
    Ok(folder)
}

/// A program in Go whose module must be built from within another one, because it replaces modules
/// that it needs; `manifest` is that other module's go.mod. Built for starting soon, not for
/// running fast. The answer is the folder it is in.
pub(super) fn go_within(
    servers: &Path,
    name: &str,
    manifest: &str,
    package: &str,
) -> Result<PathBuf> {
    let folder = servers.join("installed").join(name);
    install_once(&folder, &format!("{package}\n{manifest}"), |folder| {
        if process::read(Command::new("go").arg("version")).is_err() {
            apt::install("golang-go")?;
        }
        fs::write(folder.join("go.mod"), manifest)?;
        process::read(
            Command::new("go")
                .current_dir(folder)
                .args(["build", "-mod=mod", "-trimpath", "-ldflags=-s -w"])
                .arg("-gcflags=all=-N -l -dwarf=false")
                .args(["-o", ".", package])
                .env("CGO_ENABLED", "0")
                // Memory is there; most of the time would go into collecting it.
                .env("GOGC", "400"),
        )?;
        Ok(())
    })?;
    Ok(folder)
}

/// A file from a Maven repository, `group:artifact:version[:packaging[:classifier]]`; the answer is
/// that file.
pub(super) fn maven(servers: &Path, name: &str, artifact: &str) -> Result<PathBuf> {
    let folder = servers.join("installed").join(name);
    install_once(&folder, artifact, |folder| {
        if process::read(Command::new("mvn").arg("--version")).is_err() {
            apt::install("maven")?;
        }
        process::read(
            Command::new("mvn")
                .args(["--batch-mode", "--quiet", "dependency:copy"])
                .arg(format!("-Dartifact={artifact}"))
                .arg(format!("-DoutputDirectory={}", folder.display())),
        )?;
        Ok(())
    })?;
    only_file(&folder, "jar")
}

/// A package of Debian's unstable release with what it depends on, unpacked into a folder and not
/// installed: the machine's own release is another, and its C library is to stay. Packages whose name
/// begins with one of `needless` are left out. `finish` is done to the folder once, which is the answer.
pub(super) fn debian_unstable(
    servers: &Path,
    name: &str,
    package: &str,
    needless: &[&str],
    finish: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let folder = servers.join("installed").join(name);
    install_once(&folder, package, |folder| {
        let archive = folder.join("archive");
        let unstable = Unstable::at(&archive)?;
        for file in unstable.fetch(package, needless)? {
            process::read(
                Command::new("dpkg-deb")
                    .arg("--extract")
                    .arg(file)
                    .arg(folder),
            )?;
        }
        fs::remove_dir_all(&archive)?;
        finish(folder)
    })?;
    Ok(folder)
}

/// Runs `install` on an empty folder unless a whole installation of `what` is there. An installation
/// that broke off, or of another version, is begun anew.
fn install_once(
    folder: &Path,
    what: &str,
    install: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let done = folder.with_extension("installed");
    if fs::read_to_string(&done).is_ok_and(|text| text == what) && folder.is_dir() {
        return Ok(());
    }
    let _ = fs::remove_file(&done);
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    eprintln!("installing {}", what.lines().next().unwrap_or_default());
    install(folder).with_context(|| format!("{what} could not be installed"))?;
    fs::write(&done, what).with_context(|| format!("cannot write {}", done.display()))
}

fn only_file(folder: &Path, extension: &str) -> Result<PathBuf> {
    let files: Vec<_> = fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|it| it == extension))
        .collect();
    match files.as_slice() {
        [file] => Ok(file.clone()),
        _ => bail!(
            "{} holds {} .{extension} files instead of one",
            folder.display(),
            files.len()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_installation_is_kept_and_any_other_begun_anew() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("server");
        let install = |version: &str, works: bool| {
            let mut ran = false;
            let outcome = install_once(&folder, version, |folder| {
                ran = true;
                assert_eq!(fs::read_dir(folder)?.count(), 0);
                fs::write(folder.join("program"), version)?;
                if works { Ok(()) } else { bail!("no network") }
            });
            assert_eq!(outcome.is_ok(), works);
            ran
        };
        assert!(install("1", false));
        assert!(install("1", true));
        assert!(!install("1", true));
        assert!(install("2", true));
    }
}
