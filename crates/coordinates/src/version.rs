//! The version at the end of a coordinate.

use std::fmt;
use std::num::NonZeroI64;

/// The version of a secret: a number from 1 to [`i64::MAX`].
///
/// ```
/// use cloakroom_coordinates::Version;
///
/// let ninth = Version::new(9).unwrap();
/// assert!(ninth < ninth.next().unwrap());
/// assert_eq!(ninth.next().unwrap().to_string(), "10");
/// assert_eq!(Version::new(0), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(NonZeroI64);

impl Version {
    /// Version 1.
    pub const FIRST: Self = match Self::new(1) {
        Some(first) => first,
        None => unreachable!(),
    };
    /// Version [`i64::MAX`], which has no next one.
    pub const LAST: Self = Self(NonZeroI64::MAX);

    /// The version with this number; `None` below 1.
    pub const fn new(number: i64) -> Option<Self> {
        match NonZeroI64::new(number) {
            Some(positive) if number > 0 => Some(Self(positive)),
            _ => None,
        }
    }

    /// Its number, from 1.
    pub const fn get(self) -> i64 {
        self.0.get()
    }

    /// One higher; `None` after [`Version::LAST`].
    pub const fn next(self) -> Option<Self> {
        match self.get().checked_add(1) {
            Some(number) => Self::new(number),
            None => None,
        }
    }
}

/// What stands before the number that Airbyte takes for the version of this text: that behind the last `_v`, of
/// whatever length, with a sign or with zeros in front too. `None` where there is no number.
///
/// ```
/// use cloakroom_coordinates::base_of_any_version;
///
/// assert_eq!(base_of_any_version("airbyte_db_v-007"), Some("airbyte_db"));
/// assert_eq!(base_of_any_version("airbyte_db_v2b"), None);
/// ```
pub fn base_of_any_version(text: &str) -> Option<&str> {
    let (base, number) = text.rsplit_once("_v")?;
    let digits = number.strip_prefix(['-', '+']).unwrap_or(number);
    let is_number = !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit());
    is_number.then_some(base)
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Version> for i64 {
    fn from(version: Version) -> Self {
        version.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Grammar;

    #[test]
    fn any_number_behind_the_last_v_is_a_version() {
        for number in ["1", "0", "007", "-3", "+4", "-00", "99999999999999999999"] {
            for base in ["airbyte_db", "airbyte_db_v2", "", "_v"] {
                let text = format!("{base}_v{number}");
                assert_eq!(base_of_any_version(&text), Some(base), "{text}");
            }
        }
        for none in [
            "",
            "7",
            "v7",
            "db_v",
            "db_v-",
            "db_v+",
            "db_v--3",
            "db_v+-3",
            "db_v3-",
            "db_v 3",
            "db_v3 ",
            "db_v1.0",
            "db_v\u{663}",
            "db_V3",
            "db-v3",
            "db_v3_vx",
        ] {
            assert_eq!(base_of_any_version(none), None, "{none:?}");
        }
    }

    #[test]
    fn a_canonical_version_is_one_of_them() {
        let grammar = Grammar::default();
        for version in [Version::FIRST, Version::LAST] {
            for base in ["airbyte_db", "airbyte_db_v3", "airbyte_workspace"] {
                let text = format!("{base}_v{version}");
                let read = grammar.read(&text).base();
                assert_eq!((base_of_any_version(&text), read), (Some(base), Some(base)));
            }
        }
    }
}
