//! Whether an empty database may stand in the place of one that was lost: its keys are older than it is.

use std::path::Path;
use std::time::Duration;

use cloakroom_core::store::{DocumentStore as _, SecretFilter};
use cloakroom_core::{Result, Timestamp};
use cloakroom_store_db::DbStore;

/// At a first start the keys are made after the database, or shortly before.
const SHORTLY: Duration = Duration::from_hours(1);

/// What there is to say of a database that is empty and younger than its key file. That is no proof: keys
/// may be given to a first start. `None` where nothing is to be said, and where the keys are in no file.
pub async fn doubt(store: &DbStore, key_file: Option<&Path>) -> Result<Option<String>> {
    let Some(keys) = key_file.and_then(last_changed) else {
        return Ok(None);
    };
    let made = store.made().await?;
    let between = Duration::try_from(made.duration_since(keys)).unwrap_or_default();
    if between <= SHORTLY || !is_empty(store).await? {
        return Ok(None);
    }
    Ok(Some(format!(
        "this database is empty and was made {made}, after its key file ({keys}). If this is no first \
         start, the database that belongs to the keys was lost or is elsewhere: bring it or its backup \
         back before anything is written here"
    )))
}

/// Says it in the log, for whatever acts on the database.
pub async fn log_doubt(store: &DbStore, key_file: Option<&Path>) -> Result<()> {
    if let Some(doubt) = doubt(store, key_file).await? {
        tracing::warn!("{doubt}");
    }
    Ok(())
}

fn last_changed(path: &Path) -> Option<Timestamp> {
    let changed = path.metadata().ok()?.modified().ok()?;
    Timestamp::try_from(changed).ok()
}

async fn is_empty(store: &DbStore) -> Result<bool> {
    let documents = store.list_documents(None, None, 1).await?;
    let secrets = store
        .list_secrets(&SecretFilter::default(), None, 1)
        .await?;
    Ok(documents.is_empty() && secrets.rows.is_empty() && secrets.unreadable.is_empty())
}
