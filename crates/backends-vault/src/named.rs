//! The engine asked by the names that a platform gave: the path is prefix and name, the value a text
//! under the key `value`.
//!
//! A name may have slashes, so that the listing goes through folders within folders, depth first and
//! in the order of the keys. A deletion that can be taken back is the engine's own, of the latest
//! version: it has no end, and nothing is noted on the secret.

use std::collections::BTreeMap;
use std::mem;

use async_trait::async_trait;
use cloakroom_core::platform::{NamedPage, NamedSecret, NamedSecrets};
use cloakroom_core::{
    DeleteMode, Deletion, ErrorKind, PageToken, Precondition, Result, SecretBackend as _,
    SecretValue,
};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::backend::{VaultBackend, missing, together};
use crate::delete::{bring_back, check_window, lift_of};
use crate::entry::{self, MOST_BYTES, MOST_ESCAPED, escaped_length};
use crate::failure::Failure;
use crate::kv::{Metadata, Seen, Written, json};
use crate::list::{Keys, PAGE, keys};
use crate::record::{Standing, is_marked};

/// Folders that one page looks into at most: a page may come back with less than it could hold.
const MOST_FOLDERS: usize = 64;

/// Where a listing goes on: in a folder below the one of all names, after one of its keys.
#[derive(Serialize, Deserialize)]
struct Place {
    folder: String,
    after: String,
}

/// What was listed, with what the listing itself said about it.
type Found = Vec<(String, Option<Seen<Metadata>>)>;

/// What a page of keys leads to.
#[derive(PartialEq, Eq)]
enum Next {
    /// More keys, of this folder or another.
    Keys,
    /// The page is full.
    Page,
    /// Nothing more.
    Nothing,
}

async fn list(backend: &VaultBackend, page: Option<&PageToken>) -> Result<NamedPage, Failure> {
    let mut place = match page {
        Some(token) => Place::read(backend, token)?,
        None => Place {
            folder: String::new(),
            after: backend.kv().names().stem().to_owned(),
        },
    };
    let (mut found, mut next) = (Found::new(), Next::Keys);
    for _ in 0..MOST_FOLDERS {
        let mut page = keys(backend, &place.folder, &place.after).await?;
        next = place.walk(backend, &mut page, &mut found)?;
        if next != Next::Keys {
            break;
        }
    }
    let described = found.into_iter().map(|(name, seen)| async move {
        let seen = match seen {
            Some(seen) => Some(seen),
            None => backend.kv().metadata(&name).await?,
        };
        Ok(seen.map(|seen| named(&name, &seen)))
    });
    let mut secrets = Vec::new();
    for described in together(backend.in_flight(), described).await {
        // What went meanwhile is not listed.
        secrets.extend(described?);
    }
    let next = (next != Next::Nothing).then(|| place.to_token());
    Ok(NamedPage { secrets, next })
}

impl Place {
    /// Takes what a page of the folder's keys holds, and goes on: down, further, or up again.
    fn walk(
        &mut self,
        backend: &VaultBackend,
        page: &mut Keys,
        found: &mut Found,
    ) -> Result<Next, Failure> {
        let names = backend.kv().names();
        for key in mem::take(&mut page.listed) {
            if self.folder.is_empty() && !key.starts_with(names.stem()) {
                // What does not begin as our names do comes after all of ours.
                return Ok(Next::Nothing);
            }
            if found.len() == PAGE {
                return Ok(Next::Page);
            }
            let path = format!("{}{key}", self.folder);
            self.after.clone_from(&key);
            if let Some(folder) = path.strip_suffix('/') {
                if names.takes_key(folder) {
                    (self.folder, self.after) = (path, String::new());
                    return Ok(Next::Keys);
                }
            } else if let Some(name) = names.name(&path) {
                found.push((name.to_owned(), page.told(&key)?));
            }
        }
        if page.is_whole && !self.go_up() {
            return Ok(Next::Nothing);
        }
        Ok(Next::Keys)
    }

    /// Goes on after this folder in the one it is in; false for the outermost.
    fn go_up(&mut self) -> bool {
        let Some(path) = self.folder.strip_suffix('/') else {
            return false;
        };
        let split = path.rfind('/').map_or(0, |slash| slash + 1);
        self.after = self.folder.split_off(split);
        true
    }

    fn to_token(&self) -> PageToken {
        let text = json(self).expose_text().unwrap_or_default().to_owned();
        PageToken(text.into())
    }

    fn read(backend: &VaultBackend, token: &PageToken) -> Result<Self, Failure> {
        let names = backend.kv().names();
        let place = serde_json::from_str(&token.0).ok();
        let ours = |place: &Self| match place.folder.strip_suffix('/') {
            Some(folder) => names.takes_key(folder),
            None => place.folder.is_empty() && place.after.starts_with(names.stem()),
        };
        place.filter(ours).ok_or_else(|| {
            Failure::new(
                ErrorKind::Invalid,
                "the page token is not one of this backend's",
            )
        })
    }
}

async fn describe(backend: &VaultBackend, name: &str) -> Result<NamedSecret, Failure> {
    check(backend, name)?;
    let seen = backend.kv().metadata(&name).await?.ok_or_else(missing)?;
    Ok(named(name, &seen))
}

async fn read(backend: &VaultBackend, name: &str) -> Result<SecretValue, Failure> {
    check(backend, name)?;
    let (content, _) = backend.content(&name).await?;
    Ok(entry::parse(&content)?.value)
}

async fn put(backend: &VaultBackend, name: &str, value: &SecretValue) -> Result<(), Failure> {
    check(backend, name)?;
    let content = content(value)?;
    let kv = backend.kv();
    if let Some(seen) = kv.metadata(&name).await?
        && (seen.it.current_version > 0 || is_marked(seen.it.custom_metadata.as_ref()))
    {
        return compare(backend, name, &seen.it, value).await;
    }
    let version = match kv.create(&name, &content).await? {
        Written::Done(version) => version,
        Written::Refused(failure) => {
            return match kv.metadata(&name).await? {
                Some(seen) if seen.it.current_version > 0 => {
                    compare(backend, name, &seen.it, value).await
                }
                _ => Err(failure),
            };
        }
    };
    if version.deletion_time.is_none() {
        return Ok(());
    }
    // A live secret that the manager deletes one day is worse than none.
    kv.remove(&name).await?;
    Err(expires_all())
}

fn expires_all() -> Failure {
    Failure::new(
        ErrorKind::Invalid,
        "the mount itself lets every secret expire; set its delete_version_after to 0",
    )
}

async fn keeps(backend: &VaultBackend) -> Result<(), Failure> {
    if backend.kv().expires_all().await? {
        return Err(expires_all());
    }
    Ok(())
}

/// The engine keeps any number of keys, of which the platform reads one.
async fn parts_beside(backend: &VaultBackend, name: &str) -> Result<usize, Failure> {
    check(backend, name)?;
    let (content, _) = backend.content(&name).await?;
    #[expect(
        clippy::zero_sized_map_values,
        reason = "a set is not read from an object, and no value is to be kept"
    )]
    let keys: BTreeMap<String, IgnoredAny> = crate::kv::read(&content)?;
    Ok(keys.keys().filter(|key| *key != "value").count())
}

/// What the platform itself would write.
fn content(value: &SecretValue) -> Result<SecretValue, Failure> {
    #[derive(Serialize)]
    struct Content<'a> {
        value: &'a str,
    }
    let Some(text) = value.expose_text() else {
        return Err(Failure::new(
            ErrorKind::Unsupported,
            "a platform reads text, and the value is not",
        ));
    };
    if text.len() > MOST_BYTES || escaped_length(text) > MOST_ESCAPED {
        return Err(Failure::new(
            ErrorKind::TooLarge,
            format!("the value has more than {MOST_BYTES} bytes, or many that are escaped"),
        ));
    }
    Ok(json(&Content { value: text }))
}

/// Whether what has the name is an unmarked secret with the very value.
async fn compare(
    backend: &VaultBackend,
    name: &str,
    taken: &Metadata,
    value: &SecretValue,
) -> Result<(), Failure> {
    let told = |by| Failure::new(ErrorKind::Conflict, format!("the name is taken by {by}"));
    if is_marked(taken.custom_metadata.as_ref()) {
        return Err(told("a secret of Cloakroom's"));
    }
    if let Some(version) = taken.versions.get(&taken.current_version)
        && version.destroyed
    {
        return Err(told("a secret that was destroyed"));
    }
    let (content, _) = backend.content(&name).await?;
    match entry::parse(&content) {
        Ok(entry) if entry.is(value) => Ok(()),
        Ok(_) => Err(told("another value")),
        Err(_) => Err(told("data of another form")),
    }
}

async fn delete(backend: &VaultBackend, name: &str, mode: DeleteMode) -> Result<Deletion, Failure> {
    check(backend, name)?;
    check_window(mode)?;
    let kv = backend.kv();
    let Some(Seen { it, now }) = kv.metadata(&name).await? else {
        return Ok(Deletion::AlreadyGone);
    };
    match (mode, Standing::of(&it, now)) {
        (DeleteMode::Final, _) => {
            kv.remove(&name).await?;
            Ok(Deletion::Deleted)
        }
        (DeleteMode::Recoverable(_), Standing::Live { .. }) => {
            kv.delete(&name, &[it.current_version]).await?;
            Ok(Deletion::Scheduled { due: None })
        }
        (DeleteMode::Recoverable(_), Standing::Waiting { .. } | Standing::Hollow { .. }) => {
            Ok(Deletion::AlreadyGone)
        }
    }
}

async fn restore(backend: &VaultBackend, name: &str) -> Result<(), Failure> {
    check(backend, name)?;
    let Seen { it, now } = backend.kv().metadata(&name).await?.ok_or_else(missing)?;
    match Standing::of(&it, now) {
        Standing::Live { expires: None } => Ok(()),
        standing @ Standing::Live { expires: Some(_) } => {
            lift_of(backend, &name, &it, standing).await
        }
        Standing::Waiting { .. } => bring_back(backend, &name, &it, &[it.current_version]).await,
        Standing::Hollow { .. } => Err(missing()),
    }
}

async fn lift(backend: &VaultBackend, name: &str) -> Result<(), Failure> {
    check(backend, name)?;
    let Seen { it, now } = backend.kv().metadata(&name).await?.ok_or_else(missing)?;
    lift_of(backend, &name, &it, Standing::of(&it, now)).await
}

fn check(backend: &VaultBackend, name: &str) -> Result<(), Failure> {
    let checked = backend.kv().names().check(name);
    checked.map_err(|fault| Failure::new(ErrorKind::Invalid, fault.to_string()))
}

fn named(name: &str, Seen { it, now }: &Seen<Metadata>) -> NamedSecret {
    let (state, native_expiry) = Standing::of(it, *now).told();
    NamedSecret {
        name: name.to_owned(),
        marked: is_marked(it.custom_metadata.as_ref()),
        state,
        tags: None,
        native_expiry,
        created: Some(it.created_time),
        changed: Some(it.updated_time),
        accessed: None,
        precondition: None,
    }
}

#[async_trait]
impl NamedSecrets for VaultBackend {
    async fn list_named(&self, page: Option<&PageToken>) -> Result<NamedPage> {
        let listed = list(self, page).await;
        listed.map_err(|failure| failure.to_error("list").with_backend(self.id()))
    }

    async fn describe_named(&self, names: &[String]) -> Vec<Result<NamedSecret>> {
        let described = names.iter().map(|name| async move {
            let described = describe(self, name).await;
            described.map_err(self.error("describe", name))
        });
        together(self.in_flight(), described.collect::<Vec<_>>()).await
    }

    async fn read_named(&self, names: &[String]) -> Vec<Result<SecretValue>> {
        let read = names.iter().map(|name| async move {
            let read = read(self, name).await;
            read.map_err(self.error("get", name))
        });
        together(self.in_flight(), read.collect::<Vec<_>>()).await
    }

    async fn parts_beside_named(&self, name: &str) -> Result<usize> {
        let counted = parts_beside(self, name).await;
        counted.map_err(self.error("get", &name))
    }

    async fn keeps_named(&self) -> Result<()> {
        let kept = keeps(self).await;
        kept.map_err(|failure| failure.to_error("put").with_backend(self.id()))
    }

    async fn put_named(&self, name: &str, value: &SecretValue) -> Result<()> {
        let put = put(self, name, value).await;
        put.map_err(self.error("put", &name))
    }

    async fn delete_named(
        &self,
        name: &str,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion> {
        let deleted = match precondition {
            None => delete(self, name, mode).await,
            Some(_) => Err(Failure::new(
                ErrorKind::Unsupported,
                "this manager has no preconditions",
            )),
        };
        deleted.map_err(self.error("delete", &name))
    }

    async fn restore_named(&self, name: &str) -> Result<()> {
        let restored = restore(self, name).await;
        restored.map_err(self.error("restore", &name))
    }

    async fn lift_expiry_named(&self, name: &str) -> Result<()> {
        let lifted = lift(self, name).await;
        lifted.map_err(self.error("lift the expiry of", &name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_goes_up_folder_by_folder() {
        let mut place = Place {
            folder: "a/b-c/".to_owned(),
            after: "x".to_owned(),
        };
        assert!(place.go_up());
        assert_eq!(
            (place.folder.as_str(), place.after.as_str()),
            ("a/", "b-c/")
        );
        assert!(place.go_up());
        assert_eq!((place.folder.as_str(), place.after.as_str()), ("", "a/"));
        assert!(!place.go_up());
    }
}
