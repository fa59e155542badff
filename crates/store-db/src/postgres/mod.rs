//! The store in PostgreSQL: the shared queries, compiled for it.

pub(crate) mod connect;
mod dialect;
#[path = "../shared/mod.rs"]
pub(crate) mod shared;
pub(crate) mod silence;
