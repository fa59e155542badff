//! The store in SQLite: the shared queries, compiled for it.

pub(crate) mod connect;
pub(crate) mod dialect;
mod names;
#[cfg(test)]
mod plans;
#[path = "../shared/mod.rs"]
pub(crate) mod shared;
