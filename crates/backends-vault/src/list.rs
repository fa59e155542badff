//! The listing: the keys of one folder, page by page, with what is known about each.
//!
//! OpenBao gives a page of keys with their metadata in one request. Vault gives the keys of the
//! whole folder at once and the metadata of one key a request.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use cloakroom_core::{ErrorKind, ListPage, PageToken, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::backend::{VaultBackend, together};
use crate::failure::Failure;
use crate::kv::{Listing, Metadata, Seen};
use crate::record::Record;

/// Keys on a page.
pub(crate) const PAGE: usize = 500;

/// Whether the server was seen to have no listing with metadata.
#[derive(Default)]
pub(crate) struct Plain(AtomicBool);

/// A page of a folder's keys, in the order of their bytes. That of a folder within ends in `/`.
#[derive(Default)]
pub(crate) struct Keys {
    pub(crate) listed: Vec<String>,
    /// Whether these were the folder's last.
    pub(crate) is_whole: bool,
    key_info: BTreeMap<String, Box<RawValue>>,
    now: Option<Timestamp>,
}

#[derive(Deserialize)]
pub(crate) struct Listed {
    keys: Vec<String>,
    /// Of a folder it is empty, so that it is read only for what may be ours.
    #[serde(default)]
    key_info: BTreeMap<String, Box<RawValue>>,
}

pub(crate) async fn list(
    backend: &VaultBackend,
    page: Option<&PageToken>,
) -> Result<ListPage, Failure> {
    let after = match page {
        Some(token) => key_of(backend, token)?,
        // Everything of ours comes after its own beginning.
        None => backend.kv().names().stem(),
    };
    let mut page = keys(backend, "", after).await?;
    let names = backend.kv().names();
    // What does not begin as our names do comes after all of ours.
    let is_past = |key: &String| !key.starts_with(names.stem());
    let last = page.listed.last().filter(|_| !page.is_whole);
    let next = last
        .filter(|key| !is_past(key))
        .map(|key| PageToken(key.as_str().into()));
    let mut ours = Vec::new();
    for key in std::mem::take(&mut page.listed) {
        if let Some(coordinate) = names.coordinate(&key) {
            ours.push((coordinate, page.told(&key)?));
        }
    }
    let described = ours.into_iter().map(|(coordinate, seen)| async move {
        let seen = match seen {
            Some(seen) => Some(seen),
            None => backend.kv().metadata(&coordinate).await?,
        };
        // What is not ours, or went meanwhile, is nothing.
        let record = seen.and_then(|seen| Record::marked(&coordinate, seen));
        Ok::<_, Failure>(record.map(|record| record.describe(&coordinate)))
    });
    let mut secrets = Vec::new();
    for description in together(backend.in_flight(), described).await {
        secrets.extend(description?);
    }
    Ok(ListPage { secrets, next })
}

impl Keys {
    /// What the listing itself said about a key.
    pub(crate) fn told(&mut self, key: &str) -> Result<Option<Seen<Metadata>>, Failure> {
        let told = self.key_info.remove(key).map(|text| {
            let it = serde_json::from_str(text.get()).map_err(|_| Failure::not_understood())?;
            Ok(Seen { it, now: self.now })
        });
        told.transpose()
    }
}

/// The keys of a folder after one of them.
pub(crate) async fn keys(
    backend: &VaultBackend,
    folder: &str,
    after: &str,
) -> Result<Keys, Failure> {
    let (kv, plain) = (backend.kv(), &backend.plain().0);
    let extended = backend.openbao_extensions();
    if extended && !plain.load(Ordering::Relaxed) {
        let listing = kv
            .list("detailed-metadata", folder, after, Some(PAGE))
            .await?;
        // Vault does not have this part, and an older policy does not name it: then what the
        // engine surely has tells whether there is nothing.
        if let Listing::Keys(listed) = listing {
            return Ok(page(after, listed));
        }
    }
    let limit = extended.then_some(PAGE);
    match kv.list("metadata", folder, after, limit).await? {
        Listing::Keys(listed) => {
            plain.store(true, Ordering::Relaxed);
            Ok(page(after, listed))
        }
        Listing::Nothing => Ok(Keys {
            is_whole: true,
            ..Keys::default()
        }),
        Listing::Refused(failure) => Err(failure),
    }
}

/// Cuts a page out of whatever the server listed.
pub(crate) fn page(after: &str, listed: Seen<Listed>) -> Keys {
    let Seen { it, now } = listed;
    let Listed { mut keys, key_info } = it;
    keys.sort_unstable();
    keys.retain(|key| key.as_str() > after);
    let is_whole = keys.len() < PAGE;
    keys.truncate(PAGE);
    Keys {
        listed: keys,
        is_whole,
        key_info,
        now,
    }
}

/// A token is the last key of a page: a name of ours, or of somebody else's between them.
fn key_of<'a>(backend: &VaultBackend, token: &'a PageToken) -> Result<&'a str, Failure> {
    let key = &*token.0;
    let stem = backend.kv().names().stem();
    let is_key = key.len() > stem.len()
        && key.starts_with(stem)
        && key.len() <= 1_024
        && key.bytes().all(|it| it.is_ascii_graphic());
    if is_key {
        return Ok(key);
    }
    Err(Failure::new(
        ErrorKind::Invalid,
        "the page token is not one of this backend's",
    ))
}
