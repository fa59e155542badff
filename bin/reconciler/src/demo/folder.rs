//! The folder the sample deployment is made in.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::Write as _;
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

/// A folder without a deployment in it, which no other demo takes while this one holds it.
pub(super) struct Folder {
    path: PathBuf,
    /// The marker, locked until the process ends.
    _lock: File,
}

impl Folder {
    /// Takes the given folder, which must be new or empty, or a fresh temporary one. `replace`
    /// removes what an earlier demo made in it, unless that demo still runs.
    pub(super) fn take(given: Option<&Path>, replace: bool) -> Result<Self> {
        let path = match given {
            Some(folder) => std::path::absolute(folder).context("find the folder")?,
            None => fresh(),
        };
        if path.to_str().is_none() {
            bail!("the folder's name is not Unicode; choose another one");
        }
        if path.exists() {
            only_a_demos(&path)?;
        } else {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
            made.with_context(|| format!("make the folder {}", path.display()))?;
        }
        let lock = lock(&path)?;
        // Under the lock, so that two demos that begin at once do not both find it empty.
        let old = only_a_demos(&path)?;
        if !old.is_empty() && !replace {
            bail!(
                "{} holds the deployment of an earlier demo; choose another folder, or remove that \
                 deployment with --replace",
                path.display()
            );
        }
        for name in old {
            let file = path.join(name);
            fs::remove_file(&file).with_context(|| format!("remove {}", file.display()))?;
        }
        Ok(Self { path, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// A name nobody can have taken in advance, so not one that a seed gives.
fn fresh() -> PathBuf {
    let id = SystemRandomness.uuid().simple().to_string();
    std::env::temp_dir().join(format!("cloakroom-demo-{}", &id[..12]))
}

/// What an earlier demo left, without the marker. Refuses a folder that holds anything else.
fn only_a_demos(folder: &Path) -> Result<Vec<OsString>> {
    let read = || format!("read the folder {}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(read)? {
        let name = entry.with_context(read)?.file_name();
        if !OURS.iter().any(|known| name == OsStr::new(known)) {
            bail!(
                "{} is neither empty nor an earlier demo's: it holds {}; choose another folder",
                folder.display(),
                name.display()
            );
        }
        names.push(name);
    }
    let all = names.len();
    names.retain(|name| name != OsStr::new(MARKER));
    if !names.is_empty() && names.len() == all {
        bail!(
            "{} holds a deployment that no demo made; choose another folder",
            folder.display()
        );
    }
    Ok(names)
}

/// Marks the folder as a demo's and takes it for this process. The marker is never removed, so
/// that everybody locks the same file.
fn lock(folder: &Path) -> Result<File> {
    let write = || format!("write into the folder {}", folder.display());
    let mut marker = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(folder.join(MARKER))
        .with_context(write)?;
    match marker.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => bail!(
            "a demo is running in {}; stop it, or choose another folder",
            folder.display()
        ),
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("lock the folder {}", folder.display()));
        }
    }
    marker
        .write_all(b"A sample deployment, made by `reconciler demo`.\n")
        .with_context(write)?;
    Ok(marker)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(folder: &Path, replace: bool) -> String {
        let taken = Folder::take(Some(folder), replace);
        taken.map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn an_earlier_demos_folder_is_taken_only_when_asked_for() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("a/b");
        let taken = Folder::take(Some(&folder), false).unwrap();
        assert_eq!(taken.path(), folder);
        drop(taken);
        // Nothing but the marker: nothing to lose.
        drop(Folder::take(Some(&folder), false).unwrap());

        fs::write(folder.join(DATABASE), "old").unwrap();
        let told = refused(&folder, false);
        assert!(
            told.contains("--replace") && told.contains("another folder"),
            "{told}"
        );
        assert!(folder.join(DATABASE).exists());
        drop(Folder::take(Some(&folder), true).unwrap());
        assert!(!folder.join(DATABASE).exists());

        fs::write(folder.join(DATABASE), "old").unwrap();
        fs::write(folder.join("letters.txt"), "mine").unwrap();
        for replace in [false, true] {
            let told = refused(&folder, replace);
            assert!(told.contains("letters.txt"), "{told}");
        }
        assert!(folder.join("letters.txt").exists());
        assert!(folder.join(DATABASE).exists());
    }

    #[test]
    fn a_running_demos_folder_is_never_taken() {
        let folder = tempfile::tempdir().unwrap();
        let running = Folder::take(Some(folder.path()), false).unwrap();
        fs::write(folder.path().join(DATABASE), "in use").unwrap();
        for replace in [false, true] {
            let told = refused(folder.path(), replace);
            assert!(told.contains("is running in"), "{told}");
        }
        assert!(folder.path().join(DATABASE).exists());
        drop(running);
        Folder::take(Some(folder.path()), true).unwrap();
    }

    #[test]
    fn a_deployment_that_no_demo_made_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(DATABASE), "real").unwrap();
        for replace in [false, true] {
            let told = refused(folder.path(), replace);
            assert!(told.contains("no demo made"), "{told}");
        }
        assert!(folder.path().join(DATABASE).exists());
        assert!(!folder.path().join(MARKER).exists());
    }
}
