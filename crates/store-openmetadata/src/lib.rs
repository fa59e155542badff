//! OpenMetadata: its conventions for secrets, and its live database, read and never written.
#![doc = include_str!("../README.md")]

mod catalog;
mod collide;
mod connect;
mod entity;
mod failure;
mod fernet_keys;
mod find;
mod ids;
mod mysql;
mod options;
mod postgres;
mod reader;
mod rows;
mod scan;
mod secret_names;
mod source;
mod stored;
mod tags;

pub use cloakroom_core::coordinates::openmetadata::{Manager, Naming};
pub use collide::{Collision, Place};
pub use fernet_keys::{FernetKeys, TOKEN_PREFIX};
pub use ids::{Base, BaseKind, Ids};
pub use options::{Options, Provider};
pub use source::{OpenMetadataSource, Survey};
pub use stored::{Reference, Stored};
pub use tags::tags_as_written;
