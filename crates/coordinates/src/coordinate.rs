//! An owned coordinate: what documents, ledgers and plans carry around.

use std::cmp::Ordering;
use std::fmt::{self, Write as _};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use uuid::Uuid;

use crate::bytes::{
    IDS_LENGTH, UUID_LENGTH, is_body, scope_under_any_prefix, split_version, uuid_at,
};
use crate::{Legacy, MAX_LENGTH, Managed, NoNextVersion, NotOurs, Scope, Version};

/// One version of one secret of ours, managed or legacy; at most [`MAX_LENGTH`] bytes of
/// `[A-Za-z0-9_-]`.
///
/// Displays exactly as it was read. Cloning is cheap. It sorts by base (by bytes), then by version
/// as a number, so v9 comes before v10.
///
/// Every answer follows from the text alone, so equal coordinates give equal answers wherever they
/// came from. In particular [`is_managed`](Self::is_managed) holds for the canonical form under
/// *any* prefix, also where a [`Grammar`](crate::Grammar) with a shorter prefix called it legacy.
///
/// ```
/// use cloakroom_coordinates::Coordinate;
///
/// let second = Coordinate::from_stored("airbyte_oldSecretFullCoordinate_v2")?;
/// assert_eq!(second.base(), "airbyte_oldSecretFullCoordinate");
/// let third = second.next_version()?;
/// assert_eq!(third.as_str(), "airbyte_oldSecretFullCoordinate_v3");
/// assert!(second < third);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Coordinate {
    text: Arc<str>,
    base_length: usize,
    version: Version,
    scope: Option<Scope>,
}

impl Coordinate {
    /// Reads back a coordinate that was stored as ours, under whatever prefix it was written.
    ///
    /// Accepts a non-empty body of `[A-Za-z0-9_-]`, `_v` and a canonical version, at most
    /// [`MAX_LENGTH`] bytes in all. Text from outside goes through
    /// [`Grammar::coordinate`](crate::Grammar::coordinate) instead: without the prefix this takes a
    /// stranger's `payments_v2` for ours.
    ///
    /// # Errors
    /// [`NotOurs`] for anything else.
    pub fn from_stored(text: &str) -> Result<Self, NotOurs> {
        let (base_length, version) = split_version(text.as_bytes()).ok_or(NotOurs)?;
        let base = &text.as_bytes()[..base_length];
        if base.is_empty() || !is_body(base) {
            return Err(NotOurs);
        }
        Ok(Self {
            text: text.into(),
            base_length,
            version,
            scope: scope_under_any_prefix(base),
        })
    }

    pub(crate) fn from_parts(
        prefix: &str,
        scope: Scope,
        owner: Uuid,
        secret: Uuid,
        version: Version,
    ) -> Self {
        let mut text = String::with_capacity(MAX_LENGTH);
        text.push_str(prefix);
        text.push_str(scope.as_written());
        let mut hyphenated = [0; UUID_LENGTH];
        text.push_str(owner.hyphenated().encode_lower(&mut hyphenated));
        text.push_str("_secret_");
        text.push_str(secret.hyphenated().encode_lower(&mut hyphenated));
        Self::versioned(text, version, Some(scope))
    }

    fn versioned(mut text: String, version: Version, scope: Option<Scope>) -> Self {
        let base_length = text.len();
        // Writing to a String cannot fail.
        let _ = write!(text, "_v{version}");
        Self {
            text: text.into(),
            base_length,
            version,
            scope,
        }
    }

    /// The text, exactly as it was read.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The coordinate without `_v<n>`: what all versions of one secret have in common.
    pub fn base(&self) -> &str {
        &self.text[..self.base_length]
    }

    /// The version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Whether it has the canonical form `<prefix><scope><owner>_secret_<secret>_v<n>`.
    pub fn is_managed(&self) -> bool {
        self.scope.is_some()
    }

    /// Whose kind of secret it is; `None` if legacy.
    pub fn scope(&self) -> Option<Scope> {
        self.scope
    }

    /// The workspace or organisation, nil for a check or discover; `None` if legacy.
    pub fn owner(&self) -> Option<Uuid> {
        self.scope
            .map(|_| uuid_at(&self.text, self.base_length - IDS_LENGTH))
    }

    /// The id of the secret, the same in all its versions; `None` if legacy.
    pub fn secret(&self) -> Option<Uuid> {
        self.scope
            .map(|_| uuid_at(&self.text, self.base_length - UUID_LENGTH))
    }

    /// Whether it is a secret of a check or discover: managed, with the nil owner.
    pub fn is_ephemeral(&self) -> bool {
        self.owner().is_some_and(|owner| owner.is_nil())
    }

    /// The same secret in another version.
    ///
    /// # Errors
    /// [`NoNextVersion::TooLong`] if that would have more than [`MAX_LENGTH`] bytes. It cannot
    /// happen to what [`Grammar::managed`](crate::Grammar::managed) wrote.
    pub fn with_version(&self, version: Version) -> Result<Self, NoNextVersion> {
        let mut text = String::with_capacity(MAX_LENGTH);
        text.push_str(self.base());
        let other = Self::versioned(text, version, self.scope);
        if other.text.len() > MAX_LENGTH {
            Err(NoNextVersion::TooLong)
        } else {
            Ok(other)
        }
    }

    /// The same secret, one version higher.
    ///
    /// # Errors
    /// [`NoNextVersion`] after version [`i64::MAX`], or where the text would have more than
    /// [`MAX_LENGTH`] bytes.
    pub fn next_version(&self) -> Result<Self, NoNextVersion> {
        self.with_version(self.version.next().ok_or(NoNextVersion::Exhausted)?)
    }
}

impl From<Managed<'_>> for Coordinate {
    fn from(it: Managed<'_>) -> Self {
        Self {
            text: it.text.into(),
            base_length: it.base_length,
            version: it.version,
            scope: Some(it.scope),
        }
    }
}

impl From<Legacy<'_>> for Coordinate {
    fn from(it: Legacy<'_>) -> Self {
        let scope = scope_under_any_prefix(it.base().as_bytes());
        Self {
            text: it.text.into(),
            base_length: it.base_length,
            version: it.version,
            scope,
        }
    }
}

impl PartialEq for Coordinate {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Coordinate {}

impl Hash for Coordinate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl PartialOrd for Coordinate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Coordinate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.base()
            .cmp(other.base())
            .then(self.version.cmp(&other.version))
    }
}

impl fmt::Display for Coordinate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for Coordinate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Coordinate({})", self.text)
    }
}

impl AsRef<str> for Coordinate {
    fn as_ref(&self) -> &str {
        &self.text
    }
}
