//! What a law is held against.

use async_trait::async_trait;
use cloakroom_core::{Result, SecretValue};

use crate::conformance::{Manager, Subject};

/// A kind of manager that can be asked by a platform's names.
#[async_trait]
pub trait NamedManager: Manager {
    /// An empty namespace, whose backend may do everything there.
    async fn named_subject(&self) -> Result<Box<dyn NamedSubject>>;
}

/// One empty namespace, with the platform beside the backend.
#[async_trait]
pub trait NamedSubject: Subject {
    /// Writes a value as the platform does, on a free name or on one it wrote before.
    async fn write_as_platform(&self, name: &str, value: &SecretValue) -> Result<()>;

    /// Reads a value as the platform does.
    async fn read_as_platform(&self, name: &str) -> Result<SecretValue>;

    /// Writes something of somebody's that is none of this namespace: beyond its prefix, or under a
    /// name that no platform gives.
    async fn write_beyond(&self, value: &SecretValue) -> Result<()>;

    /// What the manager's own rules make of a name.
    fn spelling(&self, name: &str) -> Spelling;

    /// How the listing gives a name that is [`Spelling::Rewritten`].
    fn rewritten(&self, name: &str) -> String {
        name.to_owned()
    }
}

/// What a manager's rules make of a platform's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// It can be asked for, and the listing gives it back.
    Listed,
    /// It can be asked for; the listing gives it as the manager has it, since more than one name is
    /// written so.
    Rewritten,
    /// No secret can have it.
    Forbidden,
}
