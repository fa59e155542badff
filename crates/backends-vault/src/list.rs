//! The listing: the keys of one folder, page by page, with what is known about each.
//!
//! OpenBao gives a page of keys with their metadata in one request. Vault gives the keys of the
//! whole folder at once and the metadata of one key a request.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use cloakroom_core::{Coordinate, Description, ErrorKind, ListPage, PageToken};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::backend::{VaultBackend, together};
use crate::failure::Failure;
use crate::kv::{Listing, Metadata, Seen};
use crate::record::Record;

/// Keys on a page.
const PAGE: usize = 500;

/// Whether the server was seen to have no listing with metadata.
#[derive(Default)]
pub(crate) struct Plain(AtomicBool);

/// A page of keys, in the order of their bytes.
#[derive(Default)]
struct Keys {
    /// Those that may be ours, with what the listing itself said about them.
    ours: Vec<(Coordinate, Option<Seen<Metadata>>)>,
    /// The last key that was looked at, where there may be more.
    last: Option<String>,
}

#[derive(Deserialize)]
struct Listed {
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
    let keys = keys(backend, after).await?;
    let described = keys.ours.into_iter().map(|(coordinate, seen)| async move {
        let seen = match seen {
            Some(seen) => Some(seen),
            None => backend.kv().metadata(&coordinate).await?,
        };
        describe(backend, coordinate, seen).await
    });
    let mut secrets = Vec::new();
    for description in together(backend.in_flight(), described).await {
        secrets.extend(description?);
    }
    Ok(ListPage {
        secrets,
        next: keys.last.map(|key| PageToken(key.into())),
    })
}

/// A secret as it is listed: `None` for what is not ours, went meanwhile, or whose window is over,
/// which is removed here since the server never does. A removal that fails is tried by the next
/// listing and is nobody's failure.
async fn describe(
    backend: &VaultBackend,
    coordinate: Coordinate,
    seen: Option<Seen<Metadata>>,
) -> Result<Option<Description>, Failure> {
    let Some(seen) = seen else {
        return Ok(None);
    };
    let record = Record::read(&coordinate, seen)?;
    if record.is_over(backend.purge_delay()) {
        let _ = backend.kv().remove(&coordinate).await;
        return Ok(None);
    }
    Ok(record.mark.is_some().then(|| record.describe(&coordinate)))
}

async fn keys(backend: &VaultBackend, after: &str) -> Result<Keys, Failure> {
    let (kv, plain) = (backend.kv(), &backend.plain().0);
    let extended = backend.openbao_extensions();
    if extended && !plain.load(Ordering::Relaxed) {
        let listing = kv.list("detailed-metadata", after, Some(PAGE)).await?;
        // Vault does not have this part, and an older policy does not name it: then what the
        // engine surely has tells whether there is nothing.
        if let Listing::Keys(listed) = listing {
            return page(backend, after, listed);
        }
    }
    match kv.list("metadata", after, extended.then_some(PAGE)).await? {
        Listing::Keys(listed) => {
            plain.store(true, Ordering::Relaxed);
            page(backend, after, listed)
        }
        Listing::Nothing => Ok(Keys::default()),
        Listing::Refused(failure) => Err(failure),
    }
}

/// Cuts a page out of whatever the server listed.
fn page(backend: &VaultBackend, after: &str, listed: Seen<Listed>) -> Result<Keys, Failure> {
    let names = backend.kv().names();
    let Seen { it, now } = listed;
    let Listed {
        mut keys,
        mut key_info,
    } = it;
    keys.sort_unstable();
    keys.retain(|key| key.as_str() > after);
    let is_whole = keys.len() < PAGE;
    keys.truncate(PAGE);
    // What does not begin as our names do comes after all of ours.
    let is_past = keys.last().is_none_or(|key| !key.starts_with(names.stem()));
    let last = keys.last().filter(|_| !is_whole && !is_past).cloned();
    let ours = keys.iter().filter_map(|key| {
        let coordinate = names.coordinate(key)?;
        let seen = key_info.remove(key).map(|text| {
            let it = serde_json::from_str(text.get()).map_err(|_| Failure::not_understood())?;
            Ok(Seen { it, now })
        });
        Some(seen.transpose().map(|seen| (coordinate, seen)))
    });
    Ok(Keys {
        ours: ours.collect::<Result<_, Failure>>()?,
        last,
    })
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
