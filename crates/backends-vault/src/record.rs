//! A secret as its metadata tells it: whose it is, and how it stands at the server's present moment.

use std::time::Duration;

use cloakroom_core::{Coordinate, Description, ErrorKind, Mark, SecretState, Timestamp};

use crate::failure::Failure;
use crate::kv::{Custom, Metadata, Seen, Version};

/// What is before the name of every field of ours in the custom metadata.
const OURS: &str = "cloakroom_";

/// The field that says until when a deleted secret is kept.
const DUE: &str = "cloakroom_due";

/// The longest text the custom metadata take, in bytes.
pub(crate) const MOST_TEXT: usize = 512;

/// How far the clocks of two nodes of one cluster may differ. A deletion within it has happened; an
/// expiry is always further away, or near enough to count as passed.
const SKEW: Duration = Duration::from_secs(5);

/// A secret with a mark of Cloakroom's, or somebody else's.
pub(crate) struct Record {
    pub(crate) mark: Option<Mark>,
    pub(crate) standing: Standing,
    pub(crate) metadata: Metadata,
    /// The server's time.
    pub(crate) now: Option<Timestamp>,
}

/// How the latest version stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It can be read, until `expires` if there is such a moment.
    Live { expires: Option<Timestamp> },
    /// It can be brought back for as long as nobody purges it.
    Waiting {
        /// When its window ends.
        due: Option<Timestamp>,
        /// When it was deleted or expired, by the engine's clock.
        since: Timestamp,
    },
    /// There never was a version, or it was destroyed: only the metadata are there.
    Hollow { destroyed: bool },
}

impl Record {
    /// Reads a secret's metadata. A mark that names another coordinate came here by a copy, and
    /// makes nothing ours.
    pub(crate) fn read(coordinate: &Coordinate, seen: Seen<Metadata>) -> Result<Self, Failure> {
        let mark = mark(coordinate, seen.it.custom_metadata.as_ref())?;
        Ok(Self::of(mark, seen))
    }

    /// The same as it is listed and brought back, where it bears a mark: one that is damaged is shown as
    /// none, so that it hides no other secret.
    pub(crate) fn marked(coordinate: &Coordinate, seen: Seen<Metadata>) -> Option<Self> {
        match mark(coordinate, seen.it.custom_metadata.as_ref()) {
            Ok(None) => None,
            Ok(mark) => Some(Self::of(mark, seen)),
            Err(_) => Some(Self::of(None, seen)),
        }
    }

    fn of(mark: Option<Mark>, seen: Seen<Metadata>) -> Self {
        let Seen { it: metadata, now } = seen;
        let standing = Standing::of(&metadata, now);
        Self {
            mark,
            standing,
            metadata,
            now,
        }
    }

    /// The versions that can be read, now or until they expire.
    pub(crate) fn live_versions(&self) -> Vec<u64> {
        self.versions(|version| matches!(standing(version, None, self.now), Standing::Live { .. }))
    }

    /// The versions that can be brought back.
    pub(crate) fn waiting_versions(&self) -> Vec<u64> {
        self.versions(|version| {
            matches!(standing(version, None, self.now), Standing::Waiting { .. })
        })
    }

    /// The custom metadata with another end of the recovery window, or none.
    pub(crate) fn custom_due(&self, due: Option<Timestamp>) -> Custom {
        let mut custom = self.metadata.custom_metadata.clone().unwrap_or_default();
        match due {
            Some(due) => custom.insert(DUE.to_owned(), due.to_string()),
            None => custom.remove(DUE),
        };
        custom
    }

    /// Whether an end of a recovery window was noted.
    pub(crate) fn has_due(&self) -> bool {
        let custom = self.metadata.custom_metadata.as_ref();
        custom.is_some_and(|custom| custom.contains_key(DUE))
    }

    pub(crate) fn describe(self, coordinate: &Coordinate) -> Description {
        let (state, native_expiry) = self.standing.told();
        Description {
            coordinate: coordinate.clone(),
            mark: self.mark,
            state,
            native_expiry,
            created: Some(self.metadata.created_time),
            changed: Some(self.metadata.updated_time),
            accessed: None,
            precondition: None,
        }
    }

    fn versions(&self, wanted: impl Fn(&Version) -> bool) -> Vec<u64> {
        let versions = self.metadata.versions.iter();
        versions
            .filter(|(_, version)| wanted(version))
            .map(|(number, _)| *number)
            .collect()
    }
}

impl Standing {
    /// How the latest version stands at `now`.
    pub(crate) fn of(metadata: &Metadata, now: Option<Timestamp>) -> Self {
        let custom = metadata.custom_metadata.as_ref();
        match metadata.versions.get(&metadata.current_version) {
            Some(version) => standing(version, custom, now),
            // The mark of a put whose value never came, left so that it knows the value if it does.
            None if custom.is_some_and(|custom| custom.contains_key(DUE)) => Self::Waiting {
                due: due_in(custom),
                since: metadata.updated_time,
            },
            None => Self::Hollow { destroyed: false },
        }
    }

    /// The state and the manager's own expiry, as a description tells them.
    pub(crate) fn told(self) -> (SecretState, Option<Timestamp>) {
        match self {
            Self::Live { expires } => (SecretState::Enabled, expires),
            Self::Waiting { due, .. } => (SecretState::ScheduledForDeletion { due }, None),
            Self::Hollow { destroyed: true } => (SecretState::Destroyed, None),
            Self::Hollow { destroyed: false } => (SecretState::Disabled, None),
        }
    }

    /// When its window ends, and no sooner than `window` after it was deleted: the end that was noted may
    /// come from an answer with a wrong time. `None` where there is no end.
    pub(crate) fn ends(self, window: Duration) -> Option<Timestamp> {
        match self {
            Self::Waiting {
                due: Some(due),
                since,
            } => Some(due.max(after(since, window))),
            _ => None,
        }
    }
}

/// How one version stands.
pub(crate) fn standing(
    version: &Version,
    custom: Option<&Custom>,
    now: Option<Timestamp>,
) -> Standing {
    if version.destroyed {
        return Standing::Hollow { destroyed: true };
    }
    match version.deletion_time {
        None => Standing::Live { expires: None },
        Some(moment) if now.is_some_and(|now| moment > after(now, SKEW)) => Standing::Live {
            expires: Some(moment),
        },
        Some(since) => Standing::Waiting {
            since,
            due: due_in(custom),
        },
    }
}

fn due_in(custom: Option<&Custom>) -> Option<Timestamp> {
    custom?.get(DUE)?.parse().ok()
}

/// The mark in custom metadata, where it is this secret's.
pub(crate) fn mark(
    coordinate: &Coordinate,
    custom: Option<&Custom>,
) -> Result<Option<Mark>, Failure> {
    let Some(custom) = custom else {
        return Ok(None);
    };
    let mark = Mark::from_fields(|field| custom.get(&format!("{OURS}{field}")).map(String::as_str))
        .map_err(|error| Failure::new(ErrorKind::Corrupt, error.message().to_owned()))?;
    Ok(mark.filter(|mark| mark.coordinate == *coordinate))
}

/// Whether custom metadata have a mark of any store's, be it damaged or of another name.
pub(crate) fn is_marked(custom: Option<&Custom>) -> bool {
    let [store, ..] = cloakroom_core::mark::FIELDS;
    custom.is_some_and(|custom| custom.contains_key(&format!("{OURS}{store}")))
}

/// A mark as custom metadata.
pub(crate) fn custom(mark: &Mark) -> Custom {
    mark.fields()
        .into_iter()
        .map(|(field, text)| (format!("{OURS}{field}"), text))
        .collect()
}

/// The moment `wait` after another, at most the last one there is.
pub(crate) fn after(moment: Timestamp, wait: Duration) -> Timestamp {
    moment.checked_add(wait).unwrap_or(Timestamp::MAX)
}
