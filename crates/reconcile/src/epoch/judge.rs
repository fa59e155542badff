//! What the store's epoch and the backend's marks say together.

use cloakroom_core::StoreId;
use cloakroom_core::mutant::{self, Mutant};
use cloakroom_core::store::{Epoch, Homes, StoreIdentity};
use serde::{Deserialize, Serialize};

use super::mark_of;
use super::seen::{SeenMark, SeenMarks};
use crate::guard::Guard;

/// How the epoch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EpochStanding {
    /// It was never raised, and the backend bears no mark.
    Fresh,
    /// The backend bears the mark of this very raise.
    Current,
    /// The store was raised and the mark has not followed; the next run finishes that.
    Unfinished,
    /// The backend bears a higher number: this database is older than what it deleted.
    Behind,
    /// The backend bears this number from another raise: there is another copy of this store.
    Copied,
    /// The store was raised and the backend bears no mark.
    Lost,
    /// This database is not where it was: it is a copy, or it was brought back, or moved.
    Elsewhere,
    /// The backend's name meant another manager.
    OtherManager,
    /// Another store raised the epoch under this deployment's name.
    Foreign,
}

impl EpochStanding {
    /// The standing as a stable lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Current => "current",
            Self::Unfinished => "unfinished",
            Self::Behind => "behind",
            Self::Copied => "copied",
            Self::Lost => "lost",
            Self::Elsewhere => "elsewhere",
            Self::OtherManager => "other-manager",
            Self::Foreign => "foreign",
        }
    }

    /// The guard that stops deletions, where one does.
    pub fn guard(self) -> Option<Guard> {
        match self {
            Self::Fresh | Self::Current | Self::Unfinished => None,
            Self::Elsewhere | Self::OtherManager => Some(Guard::Identity),
            _ if mutant::on(Mutant::EpochIgnored) => None,
            Self::Behind | Self::Copied | Self::Lost => Some(Guard::Epoch),
            Self::Foreign => Some(Guard::Identity),
        }
    }
}

/// How the epoch stands, and what was seen, for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) standing: EpochStanding,
    pub(crate) saw: String,
    /// What is to be said where the backend's name meant another manager, whatever else is wrong.
    pub(super) other_manager: Option<String>,
    /// Whether the mark that stands can be counted on for a while.
    pub(super) firm: bool,
}

/// Judges what was seen. `complete` says whether the listing came to its end: of one that did not
/// nobody knows what it would have shown.
pub(super) fn judge(
    identity: &StoreIdentity,
    manager: &str,
    epoch: &Epoch,
    homes: &Homes,
    seen: &SeenMarks,
    complete: bool,
) -> Verdict {
    let verdict = judge_place(identity, homes, seen);
    match (verdict, other_manager(homes, manager)) {
        // A database that was moved hides no names that were swapped.
        (Some(verdict), Some(other)) => Verdict {
            saw: format!("{}. Also, {other}", verdict.saw),
            other_manager: Some(other),
            ..verdict
        },
        (Some(verdict), None) => verdict,
        (None, Some(other)) => Verdict {
            other_manager: Some(other.clone()),
            ..Verdict::of(EpochStanding::OtherManager, other)
        },
        (None, None) => judge_number(identity, epoch, seen, complete),
    }
}

/// Whether another store is at the backend, or the database is not where it was.
fn judge_place(identity: &StoreIdentity, homes: &Homes, seen: &SeenMarks) -> Option<Verdict> {
    if let Some((at, mark)) = seen.highest()
        && mark.store != Some(identity.store)
    {
        let saw = foreign(identity, at, mark.store);
        return Some(Verdict::of(EpochStanding::Foreign, saw));
    }
    if !homes.here.is_still(&homes.known) && !mutant::on(Mutant::HomeIgnored) {
        let saw = format!(
            "this database is not where it was: {} then, {} now; it is a copy, or it was restored, \
             moved or upgraded, or a replica took over. If another copy of it is or may be at work, \
             leave it so and give this one a manager or a deployment name of its own; \
             `reconciler epoch adopt` if this is the database that goes on",
            homes.known, homes.here
        );
        return Some(Verdict::of(EpochStanding::Elsewhere, saw));
    }
    None
}

/// How the store's number and the backend's stand to each other.
fn judge_number(
    identity: &StoreIdentity,
    epoch: &Epoch,
    seen: &SeenMarks,
    complete: bool,
) -> Verdict {
    let number = epoch.number;
    if seen.ours > number {
        let saw = format!(
            "the backend bears epoch {} and this database knows {number}: it was restored from a \
             backup, a clone of it is at work, or another backend's name led to this manager for a \
             while; `reconciler epoch adopt` if this is the database that goes on",
            seen.ours
        );
        return Verdict::of(EpochStanding::Behind, saw);
    }
    match seen.here.get(&number) {
        Some(mark) => standing_on(identity, epoch, mark),
        None if may_be_unfinished(epoch, seen, complete) => {
            let standing = if number == 0 {
                EpochStanding::Fresh
            } else {
                EpochStanding::Unfinished
            };
            Verdict::of(standing, String::new())
        }
        None if number == 0 => {
            let saw = "the listing did not come to its end, and this store never raised an epoch: \
                       nobody knows whether the backend bears a mark";
            Verdict::of(EpochStanding::Lost, saw.to_owned())
        }
        None => {
            let saw = format!(
                "this database knows epoch {number} and the backend bears no mark of it: the mark \
                 was deleted, or the deployment is no longer called {:?}, or this is another \
                 manager; `reconciler epoch adopt` if this is the right one",
                identity.deployment
            );
            Verdict::of(EpochStanding::Lost, saw)
        }
    }
}

fn standing_on(identity: &StoreIdentity, epoch: &Epoch, mark: &SeenMark) -> Verdict {
    let expected = mark_of(identity, epoch).ok().map(|mark| mark.digest);
    if expected.is_some() && mark.digest == expected {
        return Verdict {
            standing: EpochStanding::Current,
            saw: String::new(),
            other_manager: None,
            firm: mark.enabled,
        };
    }
    let saw = format!(
        "epoch {} was raised in the backend by another copy of this database: two are at work on \
         one manager; stop one, then `reconciler epoch adopt` on the one that goes on",
        epoch.number
    );
    Verdict::of(EpochStanding::Copied, saw)
}

/// Whether what is missing is a mark that was never put: nobody has seen it, and the one before it still
/// stands, since it is deleted only once the higher one does.
fn may_be_unfinished(epoch: &Epoch, seen: &SeenMarks, complete: bool) -> bool {
    match epoch.number {
        0 => complete,
        _ if epoch.marked => false,
        1 => complete && seen.here.is_empty() && seen.ours == 0,
        number => seen.here.contains_key(&(number - 1)),
    }
}

/// What is to be said where the backend's name meant another manager.
fn other_manager(homes: &Homes, manager: &str) -> Option<String> {
    if homes.is_same_manager(manager) {
        return None;
    }
    Some(format!(
        "this backend's name meant {}, and means {manager} now: names were swapped, or an address or a \
         prefix was changed. Put the configuration right; `reconciler epoch adopt --manager` if this is \
         the same manager at another place, or all that the documents refer to was taken along",
        homes.manager.as_deref().unwrap_or_default()
    ))
}

fn foreign(identity: &StoreIdentity, number: i64, store: Option<StoreId>) -> String {
    let deployment = &identity.deployment;
    match store {
        Some(store) => format!(
            "store {store} raised epoch {number} in this backend under the name {deployment:?}, \
             which is this store's ({}) too: give each deployment a name of its own, or, if that \
             store is gone for good, `reconciler epoch adopt --take-over`",
            identity.store
        ),
        None => format!(
            "the name of epoch mark {number} of {deployment:?} is taken by a secret that is not \
             Cloakroom's: rename that secret or the deployment"
        ),
    }
}

impl Verdict {
    fn of(standing: EpochStanding, saw: String) -> Self {
        Self {
            standing,
            saw,
            other_manager: None,
            firm: false,
        }
    }
}
