//! Epochs: how a store and a manager notice that one of them is not the one the other knew.
//!
//! A store counts, backend by backend, how often it went about deleting. The same number stands in
//! the backend as a mark. A database that was restored from a backup, or a clone of it, is behind
//! that mark sooner or later, and then deletes nothing. A copy that is not behind it yet is told from its
//! original by where it is.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::coordinates::Coordinate;
use crate::error::Result;
use crate::ids::{BackendId, RunId};

/// The epoch of one backend, as the store has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epoch {
    /// How often it was raised; 0 where it never was.
    pub number: i64,
    /// Names the raise to this number. Two copies of one store that raise to the same number are
    /// told apart by it. Nil where it was never raised.
    pub raise: Uuid,
    /// When it was raised, by the store's clock.
    pub raised: Option<Timestamp>,
    /// Whether the backend has borne the mark of this raise. One that was lost since is not taken for one
    /// that was never put.
    #[serde(default)]
    pub marked: bool,
}

/// Where a database is: parts such as `file=12`, as many as can be told, that no copy of the database
/// shares all of. Of a copy that was made beneath the database, block by block, all may be the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Home(String);

/// What tells where a file is, and where a server's database is.
const PLACES: [&[&str]; 2] = [
    &["file", "born"],
    &["cluster", "timeline", "database", "table"],
];

impl Home {
    /// A home with these parts. Neither names nor what they are hold a space.
    pub fn of<'a>(parts: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        let parts = parts.into_iter().map(|(name, is)| format!("{name}={is}"));
        Self(parts.collect::<Vec<_>>().join(" "))
    }

    /// A home as it was written down.
    pub fn from_stored(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The parts, as they are written down and shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Names of parts that could not be told here. What tells all of them elsewhere would show a copy that
    /// may not show here.
    pub fn untold(&self) -> Vec<&'static str> {
        let tells = |name: &str| {
            let parts = self.0.split(' ').filter_map(|part| part.split_once('='));
            parts.into_iter().any(|(told, _)| told == name)
        };
        let here = PLACES
            .iter()
            .find(|place| place.iter().any(|name| tells(name)));
        let parts = here.into_iter().flat_map(|place| place.iter().copied());
        parts.filter(|name| !tells(name)).collect()
    }

    /// Whether a database that was at `known` can be the one that is here: whatever was told then
    /// is told now, and the same. What could not be told then says nothing.
    pub fn is_still(&self, known: &Self) -> bool {
        let here = |part| self.0.split(' ').any(|it| it == part);
        known.0.split(' ').filter(|part| !part.is_empty()).all(here)
    }
}

impl fmt::Display for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() {
            "nowhere"
        } else {
            &self.0
        })
    }
}

/// Where a database is, and where it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Homes {
    /// Where it is now. It is no part of the database, and is not copied with it.
    pub here: Home,
    /// Where it was when the epoch of the backend was last raised. Where it never was: where the database
    /// was made, or where an operator last adopted it for every backend that it knew. It is written in
    /// the database, and is copied with it.
    pub known: Home,
    /// Which manager the backend's name meant when it was first used, or last adopted; `None` where that
    /// was never written down.
    pub manager: Option<String>,
}

impl Homes {
    /// Whether a backend's name still means the manager that it meant.
    pub fn is_same_manager(&self, manager: &str) -> bool {
        let known = self.manager.as_deref();
        known.is_none_or(|known| is_same_manager(known, manager))
    }
}

/// Whether both name one manager. What is embedded in the store's own database is wherever that is, which
/// its home tells.
pub fn is_same_manager(known: &str, manager: &str) -> bool {
    let embedded = |it: &str| it.starts_with("embedded in ");
    known == manager || (embedded(known) && embedded(manager))
}

/// A raise: compare and swap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochRaise {
    /// The number that the caller saw, 0 where there is none.
    pub from: i64,
    /// The number from now on; higher than `from`.
    pub to: i64,
    /// Names this raise.
    pub raise: Uuid,
    /// Where the database was when the caller looked.
    pub home: Home,
    /// Which manager the backend is. It is written down where none is, and where an operator raises it.
    pub manager: String,
    /// Where an operator raises it: what the receipt says, written in the same transaction.
    pub adopted: Option<EpochAdopted>,
}

/// What the receipt of an operator's raise says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochAdopted {
    /// Under which id it is written down.
    pub run: RunId,
    /// The coordinate of the mark to come.
    pub mark: Coordinate,
    /// Who did it, and what was there before.
    pub evidence: String,
}

/// The epochs of a store's backends.
#[async_trait]
pub trait Epochs: Send + Sync {
    /// The epoch of a backend; [`Epoch::default`] where it was never raised.
    async fn epoch(&self, backend: &BackendId) -> Result<Epoch>;

    /// Where the database is now, where it was for this backend, and which manager the backend was. A copy
    /// is told from its original by the first two.
    async fn homes(&self, backend: &BackendId) -> Result<Homes>;

    /// Raises the epoch of a backend at the store's present moment, and the epoch of
    /// [`StoreIdentity`](super::StoreIdentity) to at least the same. `Conflict` where it no longer
    /// stands at `from`; `Invalid` unless `to` is higher.
    async fn raise_epoch(&self, backend: &BackendId, raise: &EpochRaise) -> Result<Epoch>;

    /// Writes down that the backend bears the mark of this raise. Nothing where the epoch was raised again
    /// since.
    async fn confirm_epoch(&self, backend: &BackendId, raise: Uuid) -> Result<()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_the_same_where_all_that_was_told_is() {
        let of = |parts: &[(&'static str, &str)]| {
            Home::of(parts.iter().map(|(name, is)| (*name, (*is).to_owned())))
        };
        let here = of(&[("file", "12"), ("born", "5")]);
        assert_eq!(here.as_str(), "file=12 born=5");
        assert!(here.is_still(&here));
        assert!(here.is_still(&Home::default()), "nothing was told");
        assert!(here.is_still(&of(&[("file", "12")])), "less was told");
        assert!(!of(&[("file", "12")]).is_still(&here), "less is told now");
        assert!(!Home::default().is_still(&here));
        for copy in [
            of(&[("file", "1"), ("born", "5")]),
            of(&[("file", "12"), ("born", "55")]),
        ] {
            assert!(!copy.is_still(&here), "{copy}");
        }
    }

    #[test]
    fn a_manager_is_the_one_that_was_written_down() {
        let of = |known: Option<&str>| Homes {
            manager: known.map(str::to_owned),
            ..Homes::default()
        };
        assert!(of(None).is_same_manager("vault at one"));
        assert!(of(Some("vault at one")).is_same_manager("vault at one"));
        assert!(!of(Some("vault at one")).is_same_manager("vault at two"));
        let moved = "embedded in sqlite:/new/store.db as main";
        assert!(of(Some("embedded in sqlite:/store.db as main")).is_same_manager(moved));
        assert!(!of(Some("vault at one")).is_same_manager(moved));
    }

    #[test]
    fn what_could_not_be_told_is_named() {
        for (told, untold) in [
            ("file=12 born=5", &[][..]),
            ("file=12", &["born"]),
            ("database=1 table=2", &["cluster", "timeline"]),
            ("made=elsewhere", &[]),
            ("", &[]),
        ] {
            assert_eq!(Home::from_stored(told).untold(), untold, "{told}");
        }
    }
}
