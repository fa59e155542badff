//! The key-encryption keys: from a file or the environment, made at the first start with SQLite.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, bail};
use cloakroom_backends_embedded::{
    KeyFile, Pool, Readers, has_ciphertexts, needed_keys, parse_keys,
};
use cloakroom_core::{ErrorKind, KeyId, KeyRing, KeySource, Randomness};
use cloakroom_store_db::DbStore;

use super::place;
use crate::configuration::{Configuration, SecretReference, Store};
use crate::repeatable::reads_like_a_secrets_file;

/// Opens the keys, which must fit what is sealed. With SQLite, and while nothing is sealed yet, a
/// missing file is made.
pub(super) async fn open(
    configuration: &Configuration,
    pool: &Pool,
    randomness: &dyn Randomness,
) -> anyhow::Result<Arc<dyn KeySource>> {
    let reference = place::keys(configuration)?;
    let keys: Arc<dyn KeySource> = match &reference {
        SecretReference::Env(_) => {
            let ring = parse_keys(&reference.read().context("keys")?)
                .with_context(|| format!("read the keys in {reference}"))?;
            Arc::new(ring)
        }
        SecretReference::File(path) => {
            refuse_keys_themselves(configuration, &reference)?;
            if !path.exists() {
                make(configuration, pool, path, randomness).await?;
            }
            Arc::new(Watched {
                file: open_file(path)?,
                told: Mutex::new(None),
            })
        }
    };
    ensure_fit(&reference, &*keys.ring()?, &needed_keys(pool).await?)?;
    Ok(keys)
}

/// Opens a key file. One that is root's may be its group's to read: Kubernetes mounts a volume with `fsGroup` so, and
/// nobody but root could have arranged it.
pub fn open_file(path: impl Into<PathBuf>) -> cloakroom_core::Result<KeyFile> {
    let path = path.into();
    let readers = if is_roots_for_a_group(&path) {
        Readers::OwnerAndGroup
    } else {
        Readers::Owner
    };
    KeyFile::open_for(path, readers)
}

#[cfg(unix)]
fn is_roots_for_a_group(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    path.metadata()
        .is_ok_and(|metadata| metadata.uid() == 0 && metadata.mode() & 0o077 == 0o040)
}

#[cfg(not(unix))]
fn is_roots_for_a_group(_: &Path) -> bool {
    false
}

/// Refuses a ring that opens nothing of what is there: with it the next put would find every secret
/// changed and seal it under the wrong key, and the right one could not open the document any more.
/// Every backend in the table counts, also those that the configuration does not name.
fn ensure_fit(reference: &SecretReference, ring: &KeyRing, needed: &[KeyId]) -> anyhow::Result<()> {
    let missing: Vec<&str> = needed
        .iter()
        .filter(|key| ring.find(key).is_none())
        .map(KeyId::as_str)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let missing_shown = missing.join(", ");
    if missing.len() == needed.len() {
        let has: Vec<&str> = ring.keys().iter().map(|key| key.id().as_str()).collect();
        bail!(
            "these are not the keys of this database: its secrets are sealed under {missing_shown}, \
             and {reference} has {}; bring the right keys back (a new one is added to them, it does \
             not replace them); nothing was changed",
            has.join(", ")
        );
    }
    tracing::warn!(
        keys = missing_shown,
        "some secrets are sealed under keys that are not in {reference} and cannot be read; bring \
         those keys back, in any line but the first"
    );
    Ok(())
}

/// Warns where the keys made none of the digests that are there: another process has other keys, or a
/// managed deployment lost its own. Nothing is lost by it, which is why it is no refusal: an unchanged
/// secret counts as changed and gets a new version.
pub(super) async fn compare_with_digests(
    keys: &dyn KeySource,
    store: &DbStore,
    configuration: &Configuration,
) -> anyhow::Result<()> {
    let made = store.some_digest_keys().await?;
    let ring = keys.ring()?;
    if made.is_empty() || made.iter().any(|key| ring.find(key).is_some()) {
        return Ok(());
    }
    let reference = place::keys(configuration)?;
    let made: Vec<&str> = made.iter().map(KeyId::as_str).collect();
    tracing::warn!(
        keys = made.join(", "),
        "the digests in this database were made under keys that are not in {reference}: every \
         unchanged secret that is saved gets a new version; give the same keys to every process, or add \
         those keys behind the first line"
    );
    Ok(())
}

/// A key file whose problems are logged, each once: the ring before stays in force, so nothing else
/// would show that the file as it is now counts for nothing.
struct Watched {
    file: KeyFile,
    told: Mutex<Option<String>>,
}

impl KeySource for Watched {
    fn ring(&self) -> cloakroom_core::Result<Arc<KeyRing>> {
        let ring = self.file.ring()?;
        let problem = self.file.problem().map(|problem| problem.to_string());
        // Replaced whole; a panic elsewhere leaves it valid.
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if *told != problem {
            if let Some(problem) = &problem {
                tracing::warn!("the keys from before stay in force: {problem}");
            }
            *told = problem;
        }
        Ok(ring)
    }
}

/// Reads the keys without using them; a file that is yet to be made is no fault.
pub(super) fn check(configuration: &Configuration) -> anyhow::Result<()> {
    let reference = place::keys(configuration)?;
    refuse_keys_themselves(configuration, &reference)?;
    match reference {
        SecretReference::File(path) => {
            let sqlite = matches!(configuration.store, Store::Sqlite(_));
            if !sqlite || path.exists() {
                open_file(path)?;
            }
        }
        reference @ SecretReference::Env(_) => {
            parse_keys(&reference.read().context("keys")?)
                .with_context(|| format!("read the keys in {reference}"))?;
        }
    }
    Ok(())
}

/// What is no file's name is not made, nor repeated where a file has to be there.
fn refuse_keys_themselves(
    configuration: &Configuration,
    reference: &SecretReference,
) -> anyhow::Result<()> {
    let is_made = matches!(configuration.store, Store::Sqlite(_));
    let refused = if is_made {
        reference.is_secret_itself()
    } else {
        !reference.is_repeatable()
    };
    if refused {
        reference.read().context(if is_made {
            "keys: no file is made under a name that reads like a secret; make it with `reconciler key generate FILE`"
        } else {
            "keys"
        })?;
    }
    Ok(())
}

async fn make(
    configuration: &Configuration,
    pool: &Pool,
    path: &Path,
    randomness: &dyn Randomness,
) -> anyhow::Result<()> {
    let shown = path.display();
    if has_ciphertexts(pool).await? {
        // Another process may have made the file since and sealed under its key.
        if path.exists() {
            return Ok(());
        }
        bail!(
            "there is no key file {shown} and the database holds secrets sealed under its key; \
             bring the file back, a new key would open none of them"
        );
    }
    if !matches!(configuration.store, Store::Sqlite(_)) {
        bail!(
            "there is no key file {shown}; make one with `reconciler key generate {shown}` and give it to every replica"
        );
    }
    match KeyFile::create(path, randomness) {
        Ok(()) => {
            tell_of(path);
            Ok(())
        }
        // Another process was at its first start too; its key is the one.
        Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A name that does not read like a file's may be the key itself, in the place of its file's name.
fn tell_of(path: &Path) {
    if reads_like_a_secrets_file(path) {
        tracing::info!(path = %path.display(), "made a key file; back it up apart from the database");
    } else {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        tracing::warn!(
            folder = %path.parent().unwrap_or(&path).display(),
            "made a key file in this folder, under the name that `keys` gives (it is not repeated, for it may be a \
             secret; if so, name a file there and remove this one); back it up apart from the database"
        );
    }
}

#[cfg(test)]
mod tests {
    use cloakroom_core::SystemRandomness;

    use super::*;

    /// As Kubernetes mounts a volume with `fsGroup`: the files are root's, and the group's to read.
    #[cfg(unix)]
    #[test]
    fn what_a_group_may_read_is_taken_from_root_alone() {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        KeyFile::create(&path, &SystemRandomness).unwrap();
        let readable_by = |mode| {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            open_file(&path).is_ok()
        };
        let group_may_read = readable_by(0o440);
        assert_eq!(group_may_read, path.metadata().unwrap().uid() == 0);
        assert!(!readable_by(0o444));
        assert!(!readable_by(0o460));
        assert!(readable_by(0o400));
    }

    #[test]
    fn a_problem_is_told_once_and_a_cured_one_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let aside = folder.path().join("aside");
        KeyFile::create(&path, &SystemRandomness).unwrap();
        let keys = Watched {
            file: KeyFile::open(&path).unwrap(),
            told: Mutex::new(None),
        };
        let before = keys.ring().unwrap();
        std::fs::rename(&path, &aside).unwrap();
        KeyFile::create(&path, &SystemRandomness).unwrap();
        for _ in 0..2 {
            let ring = keys.ring().unwrap();
            assert_eq!(ring.current().id(), before.current().id());
            let told = keys.told.lock().unwrap().clone().unwrap();
            assert!(told.contains(before.current().id().as_str()), "{told}");
        }
        std::fs::rename(&aside, &path).unwrap();
        keys.ring().unwrap();
        assert!(keys.told.lock().unwrap().is_none());
    }
}
