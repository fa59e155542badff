//! Kubernetes Secrets as a backend.
#![doc = include_str!("../README.md")]

mod answers;
mod backend;
mod client;
mod failure;
#[doc(hidden)]
pub mod fuzzing;
mod mark;
mod named;
mod names;
mod precondition;
mod secret;
mod settings;
mod taken;

pub use backend::KubernetesBackend;
pub use names::name_of;
pub use settings::KubernetesSettings;
