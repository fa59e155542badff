//! The secret ids of OpenMetadata: how it names a field's secret in each secrets manager.
//!
//! Ids carry no version and are not injective: see [`collisions`].

mod collisions;
mod manager;
mod naming;
mod tags;

pub use collisions::collisions;
pub use manager::{KUBERNETES_LABELS, Manager};
pub use naming::Naming;
pub use tags::{parse_tags, tag_entries};
