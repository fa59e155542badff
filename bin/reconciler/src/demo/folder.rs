//! The folder the sample deployment is made in.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use cloakroom_core::{Randomness, SystemRandomness};

/// Tells a demo's folder from any other.
const MARKER: &str = ".cloakroom-demo";

/// The database.
pub(super) const DATABASE: &str = "cloakroom.db";
/// The key-encryption key, where the configuration looks for it.
pub(super) const KEY: &str = "cloakroom.key";
/// The configuration.
pub(super) const CONFIG: &str = "cloakroom.yaml";

/// Everything a demo leaves in its folder.
const OURS: [&str; 6] = [
    MARKER,
    DATABASE,
    "cloakroom.db-wal",
    "cloakroom.db-shm",
    KEY,
    CONFIG,
];

/// An empty folder to begin in: the given one, which must be new, empty or an earlier demo's, or a
/// fresh temporary one.
pub(super) fn prepare(given: Option<&Path>) -> Result<PathBuf> {
    let folder = match given {
        Some(folder) => std::path::absolute(folder).context("find the folder")?,
        None => fresh(),
    };
    if folder.exists() {
        empty(&folder)?;
    } else {
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder);
        made.with_context(|| format!("make the folder {}", folder.display()))?;
    }
    fs::write(
        folder.join(MARKER),
        "A sample deployment, made by `reconciler demo`.\n",
    )
    .with_context(|| format!("write into the folder {}", folder.display()))?;
    Ok(folder)
}

/// A name nobody can have taken in advance, so not one that a seed gives.
fn fresh() -> PathBuf {
    let id = SystemRandomness.uuid().simple().to_string();
    std::env::temp_dir().join(format!("cloakroom-demo-{}", &id[..12]))
}

fn empty(folder: &Path) -> Result<()> {
    let read = || format!("read the folder {}", folder.display());
    let mut ours = Vec::new();
    for entry in fs::read_dir(folder).with_context(read)? {
        let name = entry.with_context(read)?.file_name();
        if !OURS.iter().any(|known| name == OsStr::new(known)) {
            bail!(
                "{} is neither empty nor an earlier demo's: it holds {}; choose another folder",
                folder.display(),
                name.display()
            );
        }
        ours.push(name);
    }
    if !ours.is_empty() && !ours.iter().any(|name| name == OsStr::new(MARKER)) {
        bail!(
            "{} holds a deployment that no demo made; choose another folder",
            folder.display()
        );
    }
    // The marker goes last: what is interrupted here can be taken up again.
    ours.sort_by_key(|name| name == OsStr::new(MARKER));
    for name in ours {
        let path = folder.join(name);
        fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_new_an_empty_or_a_demos_folder_is_taken() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("a/b");
        assert_eq!(prepare(Some(&folder)).unwrap(), folder);
        fs::write(folder.join(DATABASE), "old").unwrap();
        prepare(Some(&folder)).unwrap();
        assert!(!folder.join(DATABASE).exists());

        fs::write(folder.join("letters.txt"), "mine").unwrap();
        let refused = prepare(Some(&folder)).unwrap_err().to_string();
        assert!(refused.contains("letters.txt"), "{refused}");
        assert!(folder.join("letters.txt").exists());
    }

    #[test]
    fn a_deployment_that_no_demo_made_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(DATABASE), "real").unwrap();
        assert!(prepare(Some(folder.path())).is_err());
        assert!(folder.path().join(DATABASE).exists());
    }
}
