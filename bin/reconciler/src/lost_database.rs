//! Whether an empty database may stand in the place of one that was lost: its keys are older than it is.

use std::path::Path;
use std::time::Duration;

use cloakroom_core::platform::Adoptions as _;
use cloakroom_core::store::{DocumentStore as _, SecretFilter};
use cloakroom_core::{Result, Timestamp};
use cloakroom_store_db::DbStore;

/// At a first start the keys are made after the database, or shortly before.
const SHORTLY: Duration = Duration::from_hours(1);

/// What there is to say of a database that is empty and younger than its key file. That is no proof: keys
/// may be given to a first start. `None` where nothing is to be said, and where the keys are in no file.
pub async fn doubt(
    store: &DbStore,
    key_file: Option<&Path>,
    platforms: impl IntoIterator<Item = &str>,
) -> Result<Option<String>> {
    let Some(keys) = key_file.and_then(last_changed) else {
        return Ok(None);
    };
    let made = store.made().await?;
    let between = Duration::try_from(made.duration_since(keys)).unwrap_or_default();
    if between <= SHORTLY || !is_empty(store, platforms).await? {
        return Ok(None);
    }
    Ok(Some(format!(
        "this database is empty and was made {made}, after its key file ({keys}). If this is no first \
         start, the database that belongs to the keys was lost or is elsewhere: bring it or its backup \
         back before anything is written here"
    )))
}

fn last_changed(path: &Path) -> Option<Timestamp> {
    let changed = path.metadata().ok()?.modified().ok()?;
    Timestamp::try_from(changed).ok()
}

async fn is_empty(store: &DbStore, platforms: impl IntoIterator<Item = &str>) -> Result<bool> {
    let documents = store.list_documents(None, None, 1).await?;
    let secrets = store
        .list_secrets(&SecretFilter::default(), None, 1)
        .await?;
    if !documents.is_empty() || !secrets.rows.is_empty() || !secrets.unreadable.is_empty() {
        return Ok(false);
    }
    // Of a platform there is nothing but what an operator confirmed.
    for platform in platforms {
        if store.confirmation(platform).await?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use cloakroom_core::platform::{PlatformScope, ShownPlan};
    use cloakroom_store_db::{Location, Options};

    use super::*;

    #[tokio::test]
    async fn what_only_cleans_platforms_is_not_empty_once_a_plan_is_confirmed() {
        let folder = tempfile::tempdir().unwrap();
        let place = Location::Sqlite(folder.path().join("store.db"));
        let options = Options::new(place, "laws");
        DbStore::migrate(&options).await.unwrap();
        let store = DbStore::open(&options).await.unwrap();
        let keys = folder.path().join("keys");
        let file = std::fs::File::create(&keys).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH)
            .unwrap();
        let doubt = async || {
            let doubt = doubt(&store, Some(&keys), ["production"]).await;
            doubt.unwrap()
        };
        assert!(doubt().await.is_some());
        let plan = ShownPlan {
            id: "0123456789abcdef".into(),
            scope: PlatformScope::default(),
        };
        store.show_plan("production", &plan).await.unwrap();
        assert!(
            doubt().await.is_some(),
            "a plan that is shown is none confirmed"
        );
        store
            .confirm("production", &plan, "somebody")
            .await
            .unwrap();
        assert_eq!(doubt().await, None);
    }
}
