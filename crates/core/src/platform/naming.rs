//! What the names that a platform gave to its secrets tell.

use std::collections::BTreeMap;
use std::fmt;

use uuid::Uuid;

use super::{NamedSecret, Owner};
use crate::coordinates::Version;

/// How a name is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// As the platform makes names today, with a version.
    Managed,
    /// With prefix and version, and something else between them.
    Legacy,
    /// As the platform makes names, and without a version.
    Bare,
    /// Any other.
    Other,
}

/// A name, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named<'a> {
    /// How it is made.
    pub shape: Shape,
    /// What all versions of a secret have in common; the whole name where it has no version.
    pub base: &'a str,
    /// The version; `None` where it has none, or one that is no canonical number. Such a name may
    /// stand for any version of its base.
    pub version: Option<Version>,
    /// Who the secret is of, as far as the name tells.
    pub owner: Option<Uuid>,
}

impl<'a> Named<'a> {
    /// A name of which nothing is known.
    pub fn unknown(name: &'a str) -> Self {
        Self {
            shape: Shape::Other,
            base: name,
            version: None,
            owner: None,
        }
    }
}

/// How a platform names its secrets.
pub trait PlatformNaming: fmt::Debug + Send + Sync {
    /// Takes a name apart.
    fn read<'a>(&self, name: &'a str) -> Named<'a>;

    /// The name under which the platform looks for a secret that it mentions so, where that is another one;
    /// beside the name without its version.
    fn looked_for(&self, _name: &str) -> Option<String> {
        None
    }

    /// What of the configuration decides which names are the platform's, by its name; no credential.
    fn scope(&self) -> BTreeMap<String, String>;

    /// Whether each value that is written gets a name of its own. Where it does not, the platform may
    /// write under any name again, however long nothing mentioned it.
    fn has_versions(&self) -> bool {
        true
    }

    /// The owner of every name that the platform could have made, where that is one deployment and
    /// its database does not tell.
    fn deployment(&self) -> Option<Owner> {
        None
    }

    /// Whether what the manager says of a secret shows that it is another deployment's, whatever its
    /// name tells.
    fn is_foreign(&self, _secret: &NamedSecret) -> bool {
        false
    }

    /// Whether a name is of what the platform keeps out of its database and lets only its deployed jobs refer to, so
    /// that no scan tells whether it is in use.
    fn is_of_deployed_jobs(&self, _name: &str) -> bool {
        false
    }

    /// Whether the platform's users can bring back what they removed, so that it goes on needing its
    /// secrets.
    fn brings_back(&self) -> bool {
        false
    }
}
