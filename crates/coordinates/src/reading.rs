//! What a text turned out to be: borrowed views that cost no allocation.

use std::fmt;

use uuid::Uuid;

use crate::bytes::{IDS_LENGTH, UUID_LENGTH, uuid_at};
use crate::{Scope, Version};

/// What [`Grammar::read`](crate::Grammar::read) made of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading<'a> {
    /// Canonical: `<prefix><scope><owner>_secret_<secret>_v<n>`.
    Managed(Managed<'a>),
    /// Ours to age and to supersede, of an older or foreign shape: `<prefix><body>_v<n>`.
    Legacy(Legacy<'a>),
    /// Anything else: a secret that somebody else made, never ours to delete.
    External(&'a str),
}

impl<'a> Reading<'a> {
    /// What was read, unchanged.
    pub const fn text(&self) -> &'a str {
        match self {
            Self::Managed(it) => it.text,
            Self::Legacy(it) => it.text,
            Self::External(text) => text,
        }
    }

    /// The coordinate without its version; `None` if external.
    pub fn base(&self) -> Option<&'a str> {
        match self {
            Self::Managed(it) => Some(it.base()),
            Self::Legacy(it) => Some(it.base()),
            Self::External(_) => None,
        }
    }

    /// The version; `None` if external.
    pub const fn version(&self) -> Option<Version> {
        match self {
            Self::Managed(it) => Some(it.version),
            Self::Legacy(it) => Some(it.version),
            Self::External(_) => None,
        }
    }

    /// Whether it is managed or legacy.
    pub const fn is_ours(&self) -> bool {
        !matches!(self, Self::External(_))
    }
}

impl fmt::Display for Reading<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text())
    }
}

/// A canonical coordinate, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Managed<'a> {
    pub(crate) text: &'a str,
    pub(crate) base_length: usize,
    pub(crate) scope: Scope,
    pub(crate) version: Version,
}

impl<'a> Managed<'a> {
    /// What was read, unchanged.
    pub const fn text(&self) -> &'a str {
        self.text
    }

    /// The coordinate without `_v<n>`.
    pub fn base(&self) -> &'a str {
        &self.text[..self.base_length]
    }

    /// The version.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Whose kind of secret it is.
    pub const fn scope(&self) -> Scope {
        self.scope
    }

    /// The workspace or organisation; nil for a check or discover. Decoded at each call.
    pub fn owner(&self) -> Uuid {
        uuid_at(self.text, self.base_length - IDS_LENGTH)
    }

    /// The id of the secret, the same in all its versions. Decoded at each call.
    pub fn secret(&self) -> Uuid {
        uuid_at(self.text, self.base_length - UUID_LENGTH)
    }
}

impl fmt::Display for Managed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text)
    }
}

/// A coordinate of ours that is not canonical, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Legacy<'a> {
    pub(crate) text: &'a str,
    pub(crate) base_length: usize,
    pub(crate) version: Version,
}

impl<'a> Legacy<'a> {
    /// What was read, unchanged.
    pub const fn text(&self) -> &'a str {
        self.text
    }

    /// The coordinate without `_v<n>`.
    pub fn base(&self) -> &'a str {
        &self.text[..self.base_length]
    }

    /// The version.
    pub const fn version(&self) -> Version {
        self.version
    }
}

impl fmt::Display for Legacy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text)
    }
}
