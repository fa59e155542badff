//! The table in PostgreSQL: the shared queries, compiled for it.

mod dialect;
#[path = "../shared/mod.rs"]
mod shared;

pub(crate) use shared::{Secrets, create, is_empty, needed_keys, sealed_by_key};
