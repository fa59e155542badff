//! Secrets and versions as this crate sees them, free of the SDK's types.

use std::collections::BTreeMap;
use std::time::Duration;

use cloakroom_core::{Coordinate, Mark, Result};
use jiff::Timestamp;

use crate::settings::OURS;

/// Texts kept beside a secret.
pub(crate) type Annotations = BTreeMap<String, String>;

/// A secret to be made, without a version yet.
pub(crate) struct NewSecret {
    pub(crate) annotations: Annotations,
    /// Of a secret of ours: for the label that listings are filtered by.
    pub(crate) store: Option<String>,
    pub(crate) expiry: Option<Duration>,
}

/// A secret, all but its versions.
#[derive(Clone, Debug)]
pub(crate) struct Secret {
    pub(crate) id: String,
    pub(crate) annotations: Annotations,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) etag: String,
    pub(crate) created: Option<Timestamp>,
    /// When the manager deletes it.
    pub(crate) expires: Option<Timestamp>,
    /// For how long a destroyed version can be brought back.
    pub(crate) destroy_delay: Option<Duration>,
}

/// A change of a secret; what is `None` stays.
pub(crate) struct Change {
    pub(crate) annotations: Annotations,
    pub(crate) expiry: Option<NewExpiry>,
    pub(crate) destroy_delay: Option<Duration>,
}

#[derive(Clone, Copy)]
pub(crate) enum NewExpiry {
    After(Duration),
    Never,
}

/// One version of a secret, all but its value.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) number: u64,
    pub(crate) state: VersionState,
    pub(crate) etag: String,
    pub(crate) created: Option<Timestamp>,
    /// When the manager destroys it.
    pub(crate) due: Option<Timestamp>,
    /// Whether the service checked what it received against our checksum.
    pub(crate) checked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VersionState {
    Enabled,
    /// Also while it waits for its destruction.
    Disabled,
    Destroyed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Number(u64),
    Latest,
}

/// Says that the secret was deleted and can be restored until it expires.
const DELETED: &str = "cloakroom-deleted";
/// Says that another put than the one that made the secret writes its version.
const TAKEN_OVER: &str = "cloakroom-taken-over";
const YES: &str = "true";

/// The mark as annotations.
pub(crate) fn annotations_of(mark: &Mark) -> Annotations {
    let fields = mark.fields().into_iter();
    fields
        .map(|(name, text)| (format!("{OURS}-{name}"), text))
        .collect()
}

impl Secret {
    /// The mark, if it is the one of this name: what bears another's was copied with its annotations.
    pub(crate) fn mark(&self, coordinate: &Coordinate) -> Result<Option<Mark>> {
        let find = |name: &str| self.annotations.get(&format!("{OURS}-{name}"));
        let mark = Mark::from_fields(|name| find(name).map(String::as_str))?;
        Ok(mark.filter(|mark| mark.coordinate == *coordinate))
    }

    /// Whether it bears a mark of any store's, be it damaged or of another name.
    pub(crate) fn is_marked(&self) -> bool {
        let [store, ..] = cloakroom_core::mark::FIELDS;
        self.annotations.contains_key(&format!("{OURS}-{store}"))
    }

    /// Whether it was deleted and can be restored.
    pub(crate) fn waits(&self) -> bool {
        self.annotations.contains_key(DELETED)
    }

    pub(crate) fn is_taken_over(&self) -> bool {
        self.annotations.contains_key(TAKEN_OVER)
    }

    pub(crate) fn deleted(&self, window: Duration) -> Change {
        Change {
            annotations: self.with(DELETED),
            expiry: Some(NewExpiry::After(window)),
            destroy_delay: Some(window),
        }
    }

    pub(crate) fn restored(&self) -> Change {
        let mut annotations = self.annotations.clone();
        annotations.remove(DELETED);
        Change {
            annotations,
            expiry: Some(NewExpiry::Never),
            destroy_delay: None,
        }
    }

    pub(crate) fn taken_over(&self) -> Change {
        Change {
            annotations: self.with(TAKEN_OVER),
            expiry: None,
            destroy_delay: None,
        }
    }

    pub(crate) fn without_expiry(&self) -> Change {
        Change {
            annotations: self.annotations.clone(),
            expiry: Some(NewExpiry::Never),
            destroy_delay: None,
        }
    }

    fn with(&self, name: &str) -> Annotations {
        let mut annotations = self.annotations.clone();
        annotations.insert(name.to_owned(), YES.to_owned());
        annotations
    }
}
