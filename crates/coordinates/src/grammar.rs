//! A prefix, and what is ours under it.

use std::borrow::Cow;

use uuid::Uuid;

use crate::bytes::{IDS_LENGTH, is_body, is_ids, split_version, version_tail};
use crate::{Coordinate, GrammarError, Legacy, Managed, NotOurs, Reading, Scope, Version};

/// The prefix of Airbyte's coordinates.
pub const DEFAULT_PREFIX: &str = "airbyte_";

/// The most bytes a prefix may have; leaves every managed coordinate well below
/// [`MAX_LENGTH`](crate::MAX_LENGTH).
pub const MAX_PREFIX_LENGTH: usize = 64;

/// The coordinates under one prefix. The default one is [`DEFAULT_PREFIX`].
///
/// ```
/// use cloakroom_coordinates::{Grammar, Reading};
///
/// let grammar = Grammar::new("acme_")?;
/// assert!(matches!(grammar.read("acme_warehouse_v3"), Reading::Legacy(_)));
/// assert!(matches!(grammar.read("airbyte_warehouse_v3"), Reading::External(_)));
/// # Ok::<(), cloakroom_coordinates::GrammarError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grammar {
    prefix: Cow<'static, str>,
}

impl Default for Grammar {
    fn default() -> Self {
        Self {
            prefix: Cow::Borrowed(DEFAULT_PREFIX),
        }
    }
}

impl Grammar {
    /// The grammar of a prefix: 1 to [`MAX_PREFIX_LENGTH`] characters of `[A-Za-z0-9_-]`, the last
    /// one `_`, and not `_oauth_` at the end.
    ///
    /// # Errors
    /// [`GrammarError`] says which of these was not met.
    pub fn new(prefix: &str) -> Result<Self, GrammarError> {
        if prefix.is_empty() {
            return Err(GrammarError::Empty);
        }
        if prefix.len() > MAX_PREFIX_LENGTH {
            return Err(GrammarError::TooLong);
        }
        if !is_body(prefix.as_bytes()) {
            return Err(GrammarError::Character);
        }
        if !prefix.ends_with('_') {
            return Err(GrammarError::Ending);
        }
        if prefix.ends_with("_oauth_") {
            return Err(GrammarError::Ambiguous);
        }
        Ok(Self {
            prefix: Cow::Owned(prefix.to_owned()),
        })
    }

    /// The prefix, with the `_` it ends in.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Says what a text is. Never fails, never panics, allocates nothing.
    ///
    /// The version is split off at the last `_v` and must be canonical: no sign, no leading zero,
    /// from 1 to [`i64::MAX`]. Before it stands the prefix and at least one character of
    /// `[A-Za-z0-9_-]`, in all at most [`MAX_LENGTH`](crate::MAX_LENGTH) bytes. A text that differs
    /// in anything is external.
    ///
    /// ```
    /// use cloakroom_coordinates::{Grammar, Reading, Scope};
    ///
    /// let text = "airbyte_workspace_024eaa40-75ae-4014-941d-b9e938c3a363\
    ///             _secret_5675437d-ea6b-4f9a-9a0c-d76066004841_v2";
    /// let Reading::Managed(managed) = Grammar::default().read(text) else { panic!() };
    /// assert_eq!(managed.scope(), Scope::Workspace);
    /// assert_eq!(managed.version().get(), 2);
    /// assert_eq!(managed.text(), text);
    /// ```
    #[inline]
    pub fn read<'a>(&self, text: &'a str) -> Reading<'a> {
        let Some(body) = text.as_bytes().strip_prefix(self.prefix.as_bytes()) else {
            return Reading::External(text);
        };
        match self.read_managed(text, body) {
            Some(managed) => Reading::Managed(managed),
            None => self.read_legacy(text),
        }
    }

    #[inline]
    fn read_managed<'a>(&self, text: &'a str, body: &[u8]) -> Option<Managed<'a>> {
        let scope = Scope::starting(body)?;
        let head = scope.as_written().len();
        let (ids, tail) = body.get(head..)?.split_first_chunk::<IDS_LENGTH>()?;
        if !is_ids(ids) {
            return None;
        }
        let version = version_tail(tail)?;
        Some(Managed {
            text,
            base_length: self.prefix.len() + head + IDS_LENGTH,
            scope,
            version,
        })
    }

    fn read_legacy<'a>(&self, text: &'a str) -> Reading<'a> {
        let bytes = text.as_bytes();
        match split_version(bytes) {
            Some((base_length, version))
                if base_length > self.prefix.len()
                    && is_body(&bytes[self.prefix.len()..base_length]) =>
            {
                Reading::Legacy(Legacy {
                    text,
                    base_length,
                    version,
                })
            }
            _ => Reading::External(text),
        }
    }

    /// Reads a text that must be ours, and owns it.
    ///
    /// # Errors
    /// [`NotOurs`] if it is external.
    pub fn coordinate(&self, text: &str) -> Result<Coordinate, NotOurs> {
        match self.read(text) {
            Reading::Managed(it) => Ok(it.into()),
            Reading::Legacy(it) => Ok(it.into()),
            Reading::External(_) => Err(NotOurs),
        }
    }

    /// Writes the canonical coordinate of one version of one secret.
    ///
    /// ```
    /// use cloakroom_coordinates::{Grammar, Scope, Version};
    /// use uuid::Uuid;
    ///
    /// let coordinate =
    ///     Grammar::default().managed(Scope::Workspace, Uuid::nil(), Uuid::max(), Version::FIRST);
    /// assert!(coordinate.is_ephemeral());
    /// assert!(coordinate.as_str().ends_with("_v1"));
    /// ```
    pub fn managed(&self, scope: Scope, owner: Uuid, secret: Uuid, version: Version) -> Coordinate {
        Coordinate::from_parts(&self.prefix, scope, owner, secret, version)
    }
}
