//! What a name of Airbyte's tells: its base, its version and its owner; and which names a run touches.

use std::collections::BTreeMap;

use cloakroom_core::Coordinate;
use cloakroom_core::coordinates::{Grammar, Managed, Reading, Scope, base_of_any_version};
use cloakroom_core::platform::{Named, PlatformNaming, SecretName, Shape};
use uuid::Uuid;

/// Whether it is made as the platform makes names today, with a version or without.
pub(super) fn is_canonical(naming: &dyn PlatformNaming, name: &str) -> bool {
    matches!(naming.read(name).shape, Shape::Managed | Shape::Bare)
}

/// A name that a run may delete or bring back: whatever is made as the platform makes names, and
/// whatever has a version where it gives versions.
pub(super) fn touched(naming: &dyn PlatformNaming, name: &str) -> Option<SecretName> {
    let is_versioned = naming.has_versions() && Coordinate::from_stored(name).is_ok();
    let is_touched = is_versioned || is_canonical(naming, name);
    is_touched.then(|| name.parse().ok()).flatten()
}

/// Airbyte's names.
#[derive(Clone, Debug)]
pub struct AirbyteNaming {
    grammar: Grammar,
    /// Longer prefixes, of others that have their secrets in the same manager.
    others: Vec<String>,
}

impl AirbyteNaming {
    /// Names of this grammar.
    pub fn new(grammar: Grammar) -> Self {
        Self {
            grammar,
            others: Vec::new(),
        }
    }

    /// One that leaves alone what begins with these prefixes of others in the same manager, where they begin as its
    /// own does and are longer: the longest prefix of a name says whose it is.
    #[must_use]
    pub fn beside(mut self, prefixes: impl IntoIterator<Item = String>) -> Self {
        let own = self.grammar.prefix();
        let is_longer = |it: &String| it.len() > own.len() && it.starts_with(own);
        self.others = prefixes.into_iter().filter(is_longer).collect();
        self
    }

    fn is_anothers(&self, name: &str) -> bool {
        self.others.iter().any(|it| name.starts_with(it))
    }

    fn without_version<'a>(&self, name: &'a str) -> Named<'a> {
        let ours = name.starts_with(self.grammar.prefix());
        let (shape, owner) = match self.grammar.read(&format!("{name}_v1")) {
            Reading::Managed(it) if ours => (Shape::Bare, owner(&it)),
            _ => (Shape::Other, None),
        };
        let is_base = |it: &&str| ours && it.len() >= self.grammar.prefix().len();
        Named {
            shape,
            base: base_of_any_version(name).filter(is_base).unwrap_or(name),
            version: None,
            owner,
        }
    }
}

impl PlatformNaming for AirbyteNaming {
    fn read<'a>(&self, name: &'a str) -> Named<'a> {
        if self.is_anothers(name) {
            return Named::unknown(name);
        }
        match self.grammar.read(name) {
            Reading::Managed(it) => Named {
                shape: Shape::Managed,
                base: it.base(),
                version: Some(it.version()),
                owner: owner(&it),
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

    /// Airbyte takes the version for a number, and writes that as it writes numbers.
    fn looked_for(&self, name: &str) -> Option<String> {
        let prefix = self.grammar.prefix();
        let ours = name.starts_with(prefix) && !self.is_anothers(name);
        let (head, tail) = name.rsplit_once("_v").filter(|_| ours)?;
        // What has no more than the prefix is read as no version of anything.
        if head.len() < prefix.len() {
            return None;
        }
        let version: i64 = tail.parse().ok()?;
        Some(format!("{head}_v{version}")).filter(|it| it != name)
    }

    fn scope(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("prefix".to_owned(), self.grammar.prefix().to_owned())])
    }
}

/// Who a secret is of, where that tells one deployment from another: the organisation that every
/// installation begins with has the nil id. A workspace of that id is no workspace but a check.
fn owner(name: &Managed<'_>) -> Option<Uuid> {
    let tells = !name.owner().is_nil() || name.scope() == Scope::Workspace;
    tells.then(|| name.owner())
}

#[cfg(test)]
mod tests {
    use cloakroom_core::coordinates::Version;

    use super::*;

    const OWNER: &str = "024eaa40-75ae-4014-941d-b9e938c3a363";

    fn base() -> String {
        format!("airbyte_workspace_{OWNER}_secret_5675437d-ea6b-4f9a-9a0c-d76066004841")
    }

    #[test]
    fn names_of_every_shape() {
        let naming = AirbyteNaming::new(Grammar::default());
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
    fn the_nil_id_tells_an_owner_of_checks_alone() {
        let naming = AirbyteNaming::new(Grammar::default());
        for scope in Scope::ALL {
            let version = Version::new(1).unwrap();
            let name = Grammar::default().managed(scope, Uuid::nil(), Uuid::from_u128(9), version);
            let owner = (scope == Scope::Workspace).then(Uuid::nil);
            for (name, shape) in [(name.as_str(), Shape::Managed), (name.base(), Shape::Bare)] {
                let named = naming.read(name);
                assert_eq!((named.shape, named.owner), (shape, owner), "{name}");
            }
        }
    }

    #[test]
    fn the_longest_prefix_says_whose_a_name_is() {
        let prefixes = ["airbyte_eu_", "airbyte_", "other_", "air_"].map(str::to_owned);
        let naming = AirbyteNaming::new(Grammar::default()).beside(prefixes);
        let eu = Grammar::new("airbyte_eu_").unwrap();
        let (owner, secret) = (OWNER.parse().unwrap(), Uuid::from_u128(9));
        let theirs = eu.managed(Scope::Workspace, owner, secret, Version::new(1).unwrap());
        for name in [theirs.as_str(), theirs.base(), "airbyte_eu_db_v3"] {
            assert_eq!(naming.read(name), Named::unknown(name));
        }
        assert_eq!(naming.read(&format!("{}_v1", base())).shape, Shape::Managed);
        assert_eq!(naming.read("airbyte_euro_v3").shape, Shape::Legacy);
        // The other one takes its own.
        let naming = AirbyteNaming::new(eu).beside(["airbyte_".to_owned()]);
        assert_eq!(naming.read(theirs.as_str()).shape, Shape::Managed);
    }

    #[test]
    fn a_version_is_looked_for_as_the_number_that_it_is() {
        let naming = AirbyteNaming::new(Grammar::default());
        let looked_for = |version: &str| naming.looked_for(&format!("airbyte_db_v{version}"));
        for (version, expected) in [("007", "7"), ("+4", "4"), ("-03", "-3"), ("00", "0")] {
            let expected = format!("airbyte_db_v{expected}");
            assert_eq!(looked_for(version), Some(expected), "{version}");
        }
        // Written as it is, no number of Airbyte's, and no name of its own.
        for version in ["7", "0", "-3", "99999999999999999999", "", "x"] {
            assert_eq!(looked_for(version), None, "{version}");
        }
        for name in ["team_db_v007", "airbyte_v007"] {
            assert_eq!(naming.looked_for(name), None, "{name}");
        }
        let beside = AirbyteNaming::new(Grammar::default()).beside(["airbyte_eu_".to_owned()]);
        assert_eq!(beside.looked_for("airbyte_eu_db_v007"), None);
    }

    #[test]
    fn what_is_no_canonical_version_stands_for_any() {
        let naming = AirbyteNaming::new(Grammar::default());
        for version in ["0", "-3", "007", "+4", "99999999999999999999"] {
            let name = format!("{}_v{version}", base());
            let named = naming.read(&name);
            assert_eq!((named.base, named.version), (base().as_str(), None));
            assert_ne!(named.shape, Shape::Managed);
        }
    }
}
