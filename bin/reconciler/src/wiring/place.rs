//! Where the database and the key file are where nothing is said.

use std::path::{Path, PathBuf};

use anyhow::Context;
use directories::ProjectDirs;

use crate::configuration::{Configuration, SecretReference, Store};

/// A SQLite file, and whether its place was chosen here.
pub(super) struct SqlitePlace {
    pub(super) path: PathBuf,
    pub(super) chosen_here: bool,
}

/// Where the SQLite file is; `None` with PostgreSQL.
pub(super) fn sqlite(configuration: &Configuration) -> anyhow::Result<Option<SqlitePlace>> {
    let Store::Sqlite(sqlite) = &configuration.store else {
        return Ok(None);
    };
    Ok(Some(match &sqlite.path {
        Some(path) => SqlitePlace {
            path: path.clone(),
            chosen_here: false,
        },
        None => SqlitePlace {
            path: data_folder()?.join("cloakroom.db"),
            chosen_here: true,
        },
    }))
}

/// Where the keys are.
pub(super) fn keys(configuration: &Configuration) -> anyhow::Result<SecretReference> {
    if let Some(reference) = &configuration.keys {
        return Ok(reference.clone());
    }
    let place = sqlite(configuration)?.context(
        "configuration: `keys` is missing; with PostgreSQL say where the key-encryption keys are, \
         `keys: {file: PATH}` or `keys: {env: NAME}` (`reconciler key generate FILE` makes a file)",
    )?;
    let folder = place.path.parent().unwrap_or(Path::new("")).to_owned();
    Ok(SecretReference::File(folder.join("cloakroom.key")))
}

fn data_folder() -> anyhow::Result<PathBuf> {
    let folders = ProjectDirs::from("", "", "cloakroom").context(
        "this user has no home folder to keep the database in; say where with store.sqlite.path",
    )?;
    Ok(folders.data_dir().to_owned())
}

/// The configuration with the places that were chosen here written out.
pub(super) fn written_out(configuration: &Configuration) -> Configuration {
    let mut written = configuration.clone();
    if let Ok(keys) = keys(configuration) {
        written.keys = Some(keys);
    }
    if let Store::Sqlite(written) = &mut written.store
        && let Ok(Some(place)) = sqlite(configuration)
    {
        written.path = Some(place.path);
    }
    written
}

/// Makes the folder that was chosen here, for this user only.
pub(super) fn make_folder(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let Some(folder) = path.parent() else {
        return Ok(());
    };
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder);
    made.with_context(|| format!("make the folder {}", folder.display()))
}
