//! The table in PostgreSQL: the shared queries, compiled for it.

mod dialect;
mod guarded;
#[path = "../shared/mod.rs"]
mod shared;

pub(crate) use guarded::Guarded;
pub(crate) use shared::{Secrets, create, is_empty, needed_keys, sealed_by_key};
