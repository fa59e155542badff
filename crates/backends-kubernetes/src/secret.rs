//! A Secret in plain terms: what goes to the SDK's file and comes from it.

use cloakroom_core::{SecretValue, Timestamp};

use crate::mark::Pairs;
use crate::precondition::State;

/// A Secret to be made.
pub(crate) struct NewSecret<'a> {
    pub(crate) name: String,
    pub(crate) labels: Pairs,
    pub(crate) annotations: Pairs,
    pub(crate) value: &'a SecretValue,
    /// Whether nobody may change it.
    pub(crate) immutable: bool,
}

/// Which Secrets are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    /// Those that bear a mark.
    Marked,
    /// All of the namespace.
    Everything,
}

/// What a creation found.
pub(crate) enum Created {
    New,
    Taken,
}

/// What a deletion found.
pub(crate) enum Deleted {
    Gone,
    Missing,
    /// Something else has a say in it first.
    WaitsFor(Vec<String>),
}

/// A Secret without its value.
pub(crate) struct Metadata {
    pub(crate) name: String,
    pub(crate) labels: Pairs,
    pub(crate) annotations: Pairs,
    pub(crate) created: Option<Timestamp>,
    pub(crate) changed: Option<Timestamp>,
    /// Since when it waits for its finalizers.
    pub(crate) deleting: bool,
    pub(crate) state: Option<State>,
}

/// One page of a listing.
pub(crate) struct Page {
    pub(crate) secrets: Vec<Metadata>,
    pub(crate) next: Option<String>,
}
