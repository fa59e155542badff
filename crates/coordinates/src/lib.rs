//! The grammars of secret coordinates: reading, printing and raising them.
#![doc = include_str!("../README.md")]

mod bytes;
mod coordinate;
mod error;
mod grammar;
pub mod openmetadata;
mod reading;
mod scope;
mod serde_text;
mod version;

pub use coordinate::Coordinate;
pub use error::{GrammarError, NoNextVersion, NotOurs};
pub use grammar::{DEFAULT_PREFIX, Grammar, MAX_PREFIX_LENGTH};
pub use reading::{Legacy, Managed, Reading};
pub use scope::Scope;
pub use version::{Version, base_of_any_version};

/// The most bytes a coordinate may have: the width of the columns that hold one.
pub const MAX_LENGTH: usize = 256;
