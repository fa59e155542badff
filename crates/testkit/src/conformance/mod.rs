//! The contract of `SecretBackend` as laws that every backend is held to.
//!
//! A law is a function over a [`Subject`]: one empty namespace of one manager. [`laws`] lists them
//! all; which of them apply follows from what the backend says it can do and from what a test can
//! do to the manager ([`Powers`]). A backend's test file is a [`Manager`] and a `main` over
//! [`trials`] and [`run`], with `harness = false` in its manifest.

pub mod credentials;
pub mod delete;
pub mod describe;
pub mod epoch;
pub mod expiry;
pub mod foreign;
pub(crate) mod hand;
pub(crate) mod law;
pub mod list;
pub mod missing;
pub mod names;
pub mod permissions;
pub mod precondition;
pub mod put;
pub mod race;
pub mod recovery;
pub(crate) mod run;
mod subject;
pub mod values;
pub(crate) mod verdict;

pub use law::{Law, laws};
pub use run::{absent, run, skipped, trials};
pub use subject::{Credentials, Manager, Permission, Powers, Subject};
pub use verdict::{Broken, Verdict};
