//! What is remembered about a running server between two commands: one JSON file each.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::daemon::Daemon;

fn file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.json"))
}

pub(super) fn load(folder: &Path, name: &str) -> Result<Option<Daemon>> {
    let path = file(folder, name);
    let text = match fs::read(&path) {
        Ok(it) => it,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    serde_json::from_slice(&text).map(Some).with_context(|| {
        format!(
            "{} is damaged; stop {name} by hand, then delete it",
            path.display()
        )
    })
}

pub(super) fn save(folder: &Path, name: &str, daemon: &Daemon) -> Result<()> {
    let path = file(folder, name);
    fs::write(&path, serde_json::to_vec_pretty(daemon)?)
        .with_context(|| format!("cannot write {}", path.display()))
}

pub(super) fn forget(folder: &Path, name: &str) -> Result<()> {
    let path = file(folder, name);
    fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))
}
