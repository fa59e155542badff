//! A secrets manager in the store's own database: envelope encryption, no server needed.
#![doc = include_str!("../README.md")]
#![allow(
    clippy::duplicate_mod,
    reason = "the shared queries are compiled once for each database"
)]

mod backend;
mod delete;
mod envelope;
mod failure;
mod key_file;
mod key_text;
mod opening;
mod pool;
mod postgres;
mod put;
mod read;
mod rotation;
mod row;
mod silence;
mod sqlite;
mod table;

pub use backend::EmbeddedBackend;
pub use key_file::{KeyFile, Readers};
pub use key_text::parse_keys;
pub use pool::{Pool, has_ciphertexts, needed_keys, sealed_by_key};
pub use rotation::RewrapPage;
