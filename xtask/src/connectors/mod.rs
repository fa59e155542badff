//! Specs of published connectors, fetched for tests and never committed.

mod extract;
mod pins;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::process::Limit;
use crate::workspace::{Workspace, in_ci};
use crate::{interrupt, process};
use pins::{PINS, Pin};

/// Fetch the specs of a few published connectors that tests read
///
/// Downloads the pinned packages with `pip`, by name, version and hash, and extracts each one's
/// spec.json, spec.yaml or manifest.yaml into target/connectors/specs/NAME/, with an index.json.
/// What is already there is not fetched again. Without a network this is reported as skipped;
/// with CI=true it is a failure.
#[derive(Args)]
pub(crate) struct Options {
    /// Fetch again what is already there
    #[arg(long)]
    refresh: bool,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    interrupt::listen()?;
    let fetched = if options.refresh {
        fetch_anew(workspace)
    } else {
        fetch(workspace)
    };
    match fetched {
        Ok(specs) => {
            for entry in read_index(&specs).unwrap_or_default() {
                println!(
                    "{} {}: {}",
                    entry.name,
                    entry.version,
                    entry.files.join(", ")
                );
            }
            println!("{} connectors in {}", PINS.len(), specs.display());
            Ok(())
        }
        Err(error) if in_ci() => Err(error),
        Err(error) => {
            println!("skipped: {error:#}");
            Ok(())
        }
    }
}

/// One connector in `index.json`.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    name: String,
    version: String,
    sha256: String,
    /// Relative to the index.
    files: Vec<String>,
}

/// The folder of the specs, fetched unless they are there already.
pub(crate) fn fetch(workspace: &Workspace) -> Result<PathBuf> {
    let specs = workspace.target("connectors/specs");
    if is_complete(&specs) {
        return Ok(specs);
    }
    fetch_anew(workspace)
}

fn fetch_anew(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.target("connectors");
    let specs = folder.join("specs");
    let packages = folder.join("packages");
    fs::create_dir_all(&packages).with_context(|| format!("cannot make {}", packages.display()))?;
    download(workspace, &packages)?;
    // The index comes last: a run that is broken off leaves none, and the next one starts anew.
    if specs.is_dir() {
        fs::remove_dir_all(&specs)?;
    }
    let entries = PINS
        .iter()
        .map(|pin| {
            let target = specs.join(pin.name);
            let files = extract::specs(&packages.join(pin.wheel()), &target)
                .with_context(|| format!("the package of {} cannot be used", pin.name))?;
            Ok(Entry {
                name: pin.name.to_owned(),
                version: pin.version.to_owned(),
                sha256: pin.sha256.to_owned(),
                files: files
                    .into_iter()
                    .map(|file| format!("{}/{file}", pin.name))
                    .collect(),
            })
        })
        .collect::<Result<Vec<_>>>()?;
    fs::write(
        specs.join("index.json"),
        serde_json::to_vec_pretty(&entries)?,
    )?;
    Ok(specs)
}

fn read_index(specs: &Path) -> Option<Vec<Entry>> {
    serde_json::from_slice(&fs::read(specs.join("index.json")).ok()?).ok()
}

fn is_complete(specs: &Path) -> bool {
    let Some(entries) = read_index(specs) else {
        return false;
    };
    entries.len() == PINS.len()
        && entries.iter().zip(PINS).all(|(entry, pin)| {
            entry.name == pin.name
                && entry.sha256 == pin.sha256
                && entry.files.iter().all(|it| specs.join(it).is_file())
        })
}

/// Wheels only: a source package would run its own code here to be unpacked.
fn download(workspace: &Workspace, to: &Path) -> Result<()> {
    let requirements = to.with_file_name("requirements.txt");
    let text: String = PINS.iter().map(Pin::requirement).collect();
    fs::write(&requirements, text)?;
    let mut last: Vec<String> = Vec::new();
    let mut pip: Command = workspace.command("python3");
    pip.args(["-m", "pip", "--no-input", "--disable-pip-version-check"])
        .args(["download", "--quiet", "--no-deps", "--require-hashes"])
        .args([
            "--only-binary",
            ":all:",
            "--timeout",
            "20",
            "--retries",
            "2",
        ])
        .arg("--dest")
        .arg(to)
        .arg("--requirement")
        .arg(&requirements);
    let status = process::watch(&mut pip, Limit::Whole(Duration::from_mins(5)), |line| {
        last.push(line.to_owned());
    })?;
    if !status.success() {
        let said = last[last.len().saturating_sub(3)..].join("\n");
        bail!("pip could not download the connectors ({status}):\n{said}");
    }
    Ok(())
}
