//! Google Secret Manager as a backend.
#![doc = include_str!("../README.md")]

mod backend;
mod checksum;
mod delete;
mod failure;
#[doc(hidden)]
pub mod fuzzing;
mod named;
mod naming;
mod put;
mod read;
mod sdk;
mod secret;
mod settings;

pub use backend::GcpBackend;
pub use settings::{GcpCredentials, GcpSettings};
