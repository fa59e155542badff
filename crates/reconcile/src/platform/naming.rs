//! What a name of a platform's tells: its base, its version and its owner.

use cloakroom_core::coordinates::{Grammar, Reading, Version};
use uuid::Uuid;

/// How a name is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// As the platform makes names today.
    Managed,
    /// With prefix and version, and something else between them.
    Legacy,
    /// As the platform makes names today, but without a version: older releases wrote so.
    Bare,
    /// Any other.
    Other,
}

/// A name, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Named<'a> {
    pub(super) shape: Shape,
    /// What all versions of a secret have in common; the whole name where it has no version.
    pub(super) base: &'a str,
    /// The version; `None` where it has none, or one that is no canonical number. Such a name may
    /// stand for any version of its base.
    pub(super) version: Option<Version>,
    pub(super) owner: Option<Uuid>,
}

/// Takes names apart.
#[derive(Clone, Debug)]
pub(super) struct Naming {
    grammar: Grammar,
}

impl Naming {
    pub(super) fn new(grammar: Grammar) -> Self {
        Self { grammar }
    }

    pub(super) fn read<'a>(&self, name: &'a str) -> Named<'a> {
        match self.grammar.read(name) {
            Reading::Managed(it) => Named {
                shape: Shape::Managed,
                base: it.base(),
                version: Some(it.version()),
                owner: Some(it.owner()),
            },
            Reading::Legacy(it) => Named {
                shape: Shape::Legacy,
                base: it.base(),
                version: Some(it.version()),
                owner: None,
            },
            Reading::External(_) => self.without_version(name),
        }
    }

    fn without_version<'a>(&self, name: &'a str) -> Named<'a> {
        let ours = name.starts_with(self.grammar.prefix());
        let owner = || match self.grammar.read(&format!("{name}_v1")) {
            Reading::Managed(it) => Some(it.owner()),
            Reading::Legacy(_) | Reading::External(_) => None,
        };
        let owner = ours.then(owner).flatten();
        let shape = if owner.is_some() {
            Shape::Bare
        } else {
            Shape::Other
        };
        // The platform takes any number for a version, a negative one or one with zeros in front too.
        let head = name.rsplit_once("_v").filter(|(head, tail)| {
            ours && head.len() >= self.grammar.prefix().len() && is_a_number(tail)
        });
        Named {
            shape,
            base: head.map_or(name, |(head, _)| head),
            version: None,
            owner,
        }
    }
}

fn is_a_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: &str = "024eaa40-75ae-4014-941d-b9e938c3a363";

    fn base() -> String {
        format!("airbyte_workspace_{OWNER}_secret_5675437d-ea6b-4f9a-9a0c-d76066004841")
    }

    #[test]
    fn names_of_every_shape() {
        let naming = Naming::new(Grammar::default());
        let (base, owner) = (base(), OWNER.parse().ok());
        let managed = format!("{base}_v3");
        let named = naming.read(&managed);
        assert_eq!((named.shape, named.base), (Shape::Managed, base.as_str()));
        assert_eq!((named.version, named.owner), (Version::new(3), owner));

        let named = naming.read(&base);
        assert_eq!((named.shape, named.base), (Shape::Bare, base.as_str()));
        assert_eq!((named.version, named.owner), (None, owner));

        let named = naming.read("airbyte_oldSecretFullCoordinate_v2");
        assert_eq!(named.shape, Shape::Legacy);
        assert_eq!(named.base, "airbyte_oldSecretFullCoordinate");
        assert_eq!((named.version, named.owner), (Version::new(2), None));

        for name in ["my-own-secret", "other_x_v2", "", "airbyte_"] {
            let named = naming.read(name);
            assert_eq!((named.shape, named.base), (Shape::Other, name));
            assert_eq!((named.version, named.owner), (None, None));
        }
    }

    #[test]
    fn what_is_no_canonical_version_stands_for_any() {
        let naming = Naming::new(Grammar::default());
        for version in ["0", "-3", "007", "+4", "99999999999999999999"] {
            let name = format!("{}_v{version}", base());
            let named = naming.read(&name);
            assert_eq!((named.base, named.version), (base().as_str(), None));
            assert_ne!(named.shape, Shape::Managed);
        }
    }
}
