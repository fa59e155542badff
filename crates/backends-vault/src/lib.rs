//! HashiCorp Vault and OpenBao (KV version 2) as backends.
#![doc = include_str!("../README.md")]

mod backend;
mod client;
mod delete;
mod entry;
mod failure;
#[doc(hidden)]
pub mod fuzzing;
mod kv;
mod list;
mod login;
mod named;
mod names;
mod purge;
mod put;
mod record;
mod session;
mod settings;

pub use backend::VaultBackend;
pub use settings::{VaultAuth, VaultSettings};
