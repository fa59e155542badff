//! Cloakroom's domain types and traits. No I/O happens here: clocks, randomness, managers and
//! databases come in through traits.
#![doc = include_str!("../README.md")]

pub mod backend;
pub mod backend_set;
pub mod budget;
pub mod capabilities;
pub mod clock;
pub mod config;
pub mod credential;
pub mod digest;
pub mod error;
pub mod ids;
pub mod keys;
pub mod ledger;
pub mod mark;
pub mod mutant;
pub mod platform;
pub mod randomness;
pub mod redirect;
pub mod retry;
pub mod secret;
pub mod silence;
pub mod store;
pub mod written;

pub use backend::{
    DeleteMode, Deletion, Description, ListPage, Operation, PageToken, Precondition, Purge,
    PutOutcome, PutRequest, SecretBackend, SecretState, StoredSecret,
};
pub use backend_set::BackendSet;
pub use capabilities::Capabilities;
pub use cloakroom_coordinates as coordinates;
pub use cloakroom_coordinates::{Coordinate, Grammar, Scope, Version};
pub use clock::{Clock, SystemClock};
pub use credential::CredentialSource;
pub use digest::Digest;
pub use error::{Error, ErrorKind, Result};
pub use ids::{
    BackendId, DocumentId, IntentId, KeyId, MoveId, Revision, RunId, StoreId, WorkspaceId,
};
pub use jiff::Timestamp;
pub use keys::{KeyRing, KeySource};
pub use mark::Mark;
pub use randomness::{Randomness, SystemRandomness};
pub use redirect::Redirect;
pub use retry::RetryPolicy;
pub use secret::{SecretJson, SecretValue, ValueKind};
