//! AWS Secrets Manager and SSM Parameter Store as backends.
#![doc = include_str!("../README.md")]

mod address;
mod failure;
#[doc(hidden)]
pub mod fuzzing;
mod manager;
mod mark_text;
mod parameter_store;
mod policy;
mod request_token;
mod sdk;
mod secrets_manager;
mod settings;

pub use address::address_of_manager;
pub use parameter_store::ParameterStoreBackend;
pub use secrets_manager::SecretsManagerBackend;
pub use settings::{Authentication, AwsSettings};
