//! Azure Key Vault as a backend.
#![doc = include_str!("../README.md")]

mod backend;
mod claim;
mod failure;
#[doc(hidden)]
pub mod fuzzing;
mod mark;
mod name;
mod named;
mod platform_name;
mod put;
mod read;
mod remove;
mod sdk;
mod settings;
mod standing;
mod wait;

pub use backend::AzureBackend;
pub use name::name_of;
pub use settings::{Authentication, AzureSettings, LONGEST_PREFIX};
