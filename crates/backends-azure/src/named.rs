//! A vault asked by the names that a platform gave: each `_` written as `-`.
//!
//! Case and underscores are lost on the way, so that the listing turns back only the names whose shape
//! tells them, and two names that differ in nothing else are one secret. All others are listed as they
//! are in the vault: there are platforms that write no underscores.

use async_trait::async_trait;
use cloakroom_core::platform::{NamedPage, NamedSecret, NamedSecrets};
use cloakroom_core::{
    DeleteMode, Deletion, ErrorKind, PageToken, Precondition, Result, SecretValue,
};
use futures_util::{StreamExt as _, stream};

use crate::backend::{AzureBackend, MOST_BYTES};
use crate::failure::{Failure, Reason};
use crate::mark::is_marked;
use crate::name::NAMES;
use crate::platform_name::in_listing;
use crate::put::{copy, taken};
use crate::read::{ours, state_of};
use crate::sdk::{Held, Listing, NewVersion, Version};

/// Requests of one batch that are under way at a time.
const AT_ONCE: usize = 16;

impl AzureBackend {
    fn name_in_vault(&self, name: &str) -> Result<String, Failure> {
        let written = NAMES.written(&self.settings.prefix, name);
        written.map_err(|fault| Failure::new(ErrorKind::Invalid, fault.to_string()))
    }

    async fn try_list_named(&self, page: Option<&PageToken>) -> Result<NamedPage, Failure> {
        let (listing, versions, next) = self.page(page).await?;
        let waits = listing == Listing::Deleted;
        let secrets = versions.iter().filter_map(|version| {
            let prefix = &self.settings.prefix;
            let name = match ours(prefix, version) {
                Some(mark) => mark.coordinate.to_string(),
                None => in_listing(prefix, &version.name)?,
            };
            Some(named(&name, version, waits))
        });
        let secrets = secrets.collect();
        Ok(NamedPage { secrets, next })
    }

    async fn try_describe_named(&self, name: &str) -> Result<NamedSecret, Failure> {
        let written = self.name_in_vault(name)?;
        let (version, waits) = self.look_up(&written).await?;
        Ok(named(name, &version, waits))
    }

    async fn try_read_named(&self, name: &str) -> Result<SecretValue, Failure> {
        let written = self.name_in_vault(name)?;
        match self.vault.current(&written).await {
            Err(failure) if failure.is_missing() => Err(self.absent(&written).await?),
            held => Ok(held?.value),
        }
    }

    /// A vault refuses no name, so this looks, sets, and looks who else did.
    async fn try_put_named(&self, name: &str, value: &SecretValue) -> Result<(), Failure> {
        let written = self.name_in_vault(name)?;
        check(value)?;
        match self.vault.current(&written).await {
            Ok(held) => return compare(&held, value),
            Err(failure) if failure.is_missing() => {}
            Err(failure) if failure.reason == Reason::Disabled => {
                return Err(taken("the name is taken by a secret that is switched off"));
            }
            Err(failure) => return Err(failure),
        }
        let new = NewVersion {
            value,
            tags: self.settings.tags.clone(),
            content_type: None,
            enabled: true,
            expires: None,
            not_before: None,
        };
        let set = self.vault.set(&written, &new).await?;
        self.learn(&set);
        let versions = self.vault.versions(&written).await?;
        let theirs = versions.iter().filter(|version| version.id != set.id);
        match theirs.max_by_key(|version| version.created) {
            None => Ok(()),
            Some(theirs) => self.give_way(&written, value, theirs).await,
        }
    }

    /// Somebody else has written between the two looks, and this put may be on top of theirs, which
    /// everybody reads: theirs is put on top again.
    async fn give_way(
        &self,
        written: &str,
        value: &SecretValue,
        theirs: &Version,
    ) -> Result<(), Failure> {
        let theirs = self.vault.version(written, &theirs.id).await?;
        if theirs.value == *value {
            return Ok(());
        }
        let again = copy(&theirs.value, &theirs.version);
        self.vault.set(written, &again).await?;
        Err(taken("somebody else puts another value there"))
    }
}

#[async_trait]
impl NamedSecrets for AzureBackend {
    async fn list_named(&self, page: Option<&PageToken>) -> Result<NamedPage> {
        let listed = self.try_list_named(page).await;
        listed.map_err(|failure| failure.to_error("list").with_backend(&self.id))
    }

    async fn describe_named(&self, names: &[String]) -> Vec<Result<NamedSecret>> {
        let described = names.iter().map(|name| async move {
            let described = self.try_describe_named(name).await;
            described.map_err(self.error("describe", name))
        });
        let described: Vec<_> = described.collect();
        stream::iter(described).buffered(AT_ONCE).collect().await
    }

    async fn read_named(&self, names: &[String]) -> Vec<Result<SecretValue>> {
        let read = names.iter().map(|name| async move {
            let read = self.try_read_named(name).await;
            read.map_err(self.error("get", name))
        });
        let read: Vec<_> = read.collect();
        stream::iter(read).buffered(AT_ONCE).collect().await
    }

    async fn put_named(&self, name: &str, value: &SecretValue) -> Result<()> {
        let put = self.try_put_named(name, value).await;
        put.map_err(self.error("put", &name))
    }

    async fn delete_named(
        &self,
        name: &str,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion> {
        let deleted = match self.name_in_vault(name) {
            Ok(_) if precondition.is_some() => Err(Failure::new(
                ErrorKind::Unsupported,
                "a key vault's deletions take no precondition",
            )),
            Ok(written) => self.try_delete(&written, mode).await,
            Err(invalid) => Err(invalid),
        };
        deleted.map_err(self.error("delete", &name))
    }

    async fn restore_named(&self, name: &str) -> Result<()> {
        let restored = match self.name_in_vault(name) {
            Ok(written) => self.try_restore(&written).await,
            Err(invalid) => Err(invalid),
        };
        restored.map_err(self.error("restore", &name))
    }
}

fn check(value: &SecretValue) -> Result<(), Failure> {
    if value.len() > MOST_BYTES {
        let message = format!(
            "the value has {} bytes, more than {MOST_BYTES}",
            value.len()
        );
        return Err(Failure::new(ErrorKind::TooLarge, message));
    }
    if value.expose_text().is_none() {
        let message = "a platform reads text, and the value is not";
        return Err(Failure::new(ErrorKind::Unsupported, message));
    }
    Ok(())
}

/// Whether what has the name is an unmarked secret with the very value.
fn compare(held: &Held, value: &SecretValue) -> Result<(), Failure> {
    if is_marked(&held.version.tags) {
        Err(taken("the name is taken by a secret of Cloakroom's"))
    } else if held.value == *value {
        Ok(())
    } else {
        Err(taken("the name is taken by another value"))
    }
}

fn named(name: &str, version: &Version, waits: bool) -> NamedSecret {
    NamedSecret {
        name: name.to_owned(),
        marked: is_marked(&version.tags),
        state: state_of(version, waits),
        tags: Some(version.tags.clone().into_iter().collect()),
        native_expiry: version.expires,
        created: version.created,
        changed: version.updated.max(version.created),
        accessed: None,
        precondition: None,
    }
}
