//! OpenMetadata: its conventions for secrets, and its live database: read, and written only to change
//! the Fernet key or to move secrets.
#![doc = include_str!("../README.md")]

mod catalog;
mod collide;
mod connect;
mod deployment_names;
mod entity;
mod failure;
mod fernet_keys;
mod find;
mod ids;
mod migrate;
mod mysql;
mod options;
mod postgres;
mod reader;
mod readings;
mod rotate;
mod rows;
mod scan;
mod secret_names;
mod source;
mod standing_ids;
mod stored;
mod tags;
mod writer;

pub use cloakroom_core::coordinates::openmetadata::{Manager, Naming};
pub use collide::{Collision, Place, Sharing};
pub use deployment_names::DeploymentNames;
pub use fernet_keys::{FernetKeys, TOKEN_PREFIX};
pub use ids::{Base, BaseKind, Ids};
pub use migrate::{
    EditedField, Holds, MigrationGround, MigrationIssue, MigrationItem, MigrationObserver,
    MigrationReport, OtherPlatform, OutsideReferences, ReferencePlace, SecretsMigration, Side,
};
pub use options::{Options, Provider};
pub use rotate::{FernetRotation, RotationObserver, RotationReport, TableRotation, UnopenedValue};
pub use source::{OpenMetadataSource, Survey};
pub use stored::{Reference, Stored};
pub use tags::{lists_tags, tags_as_written};
