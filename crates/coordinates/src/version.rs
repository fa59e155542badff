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
