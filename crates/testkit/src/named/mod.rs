//! The contract of `NamedSecrets` as laws: a manager asked by the names that a platform gave.
//!
//! A law is a function over a [`NamedSubject`]: one empty namespace of one manager, to which the
//! platform itself can write past the backend. A backend's test file implements [`NamedManager`]
//! beside its [`Manager`](crate::conformance::Manager) and adds [`trials`] to its own.

mod as_backend;
mod law;
mod listing;
mod names;
mod race;
mod reading;
mod removal;
mod rules;
mod subject;
mod writing;

pub(crate) use as_backend::{AsBackend, Marks, capabilities_of};
pub use law::{absent, absent_rules, broken, rules_trials, trials};
pub use names::{FORBIDDEN, HARD, SHAPES};
pub use subject::{NamedManager, NamedSubject, Spelling};
