//! What can be wrong with a grammar, a text or a version. None of them repeats what was read.

use std::error::Error;
use std::fmt;

/// The text is not a coordinate of the grammar it was read with.
///
/// It says nothing about the text, which may be a secret pasted in the wrong place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOurs;

impl fmt::Display for NotOurs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a coordinate of this grammar: the secret belongs to somebody else")
    }
}

impl Error for NotOurs {}

/// Why a coordinate cannot take a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoNextVersion {
    /// The version is `i64::MAX`.
    Exhausted,
    /// The base is so long that the new version would exceed [`MAX_LENGTH`](crate::MAX_LENGTH)
    /// bytes. Only legacy coordinates are ever that long.
    TooLong,
}

impl fmt::Display for NoNextVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exhausted => "the coordinate has the highest version there is",
            Self::TooLong => "the coordinate has no room for a longer version",
        })
    }
}

impl Error for NoNextVersion {}

/// Why a prefix does not make a grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrammarError {
    /// It is empty.
    Empty,
    /// It has more than [`MAX_PREFIX_LENGTH`](crate::MAX_PREFIX_LENGTH) bytes.
    TooLong,
    /// It has a character other than `A-Z`, `a-z`, `0-9`, `_` and `-`.
    Character,
    /// It does not end in `_`.
    Ending,
    /// It ends in `_oauth_`: its workspace coordinates would read as OAuth ones of another prefix.
    Ambiguous,
}

impl fmt::Display for GrammarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a prefix of coordinates must not be empty",
            Self::TooLong => "a prefix of coordinates has at most 64 characters",
            Self::Character => "a prefix of coordinates has only A-Z, a-z, 0-9, _ and -",
            Self::Ending => "a prefix of coordinates ends in _",
            Self::Ambiguous => {
                "a prefix of coordinates must not end in _oauth_, which is part of a scope"
            }
        })
    }
}

impl Error for GrammarError {}
