//! What a law is held against, and what a test can do to a manager besides using it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::{
    Capabilities, Coordinate, Error, ErrorKind, Result, SecretBackend, SecretValue,
};

/// What a test can do to the manager besides using it. Laws that need more are not applicable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Powers {
    /// [`Subject::advance`] moves the manager's time.
    pub time: bool,
    /// [`Subject::write_foreign`] writes a secret without a mark of Cloakroom's.
    pub foreign: bool,
    /// [`Subject::misled`] gives a backend with wrong credentials or keys.
    pub misled: bool,
    /// [`Subject::several_pages`] is a number that a test can write.
    pub pages: bool,
}

/// Which credentials besides wrong ones a test can try.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// [`Subject::expired`] gives a backend.
    pub expired: bool,
    /// [`Subject::without`] gives a backend for at least one permission.
    pub restricted: bool,
    /// [`Subject::with_only`] gives backends.
    pub exact: bool,
}

/// What credentials can be without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Storing a value.
    Put,
    /// Reading a value.
    Read,
    /// Describing a secret.
    Describe,
    /// Listing what is ours.
    List,
    /// Deleting, for good and so that it can be restored.
    Delete,
    /// Restoring what waits for its deletion.
    Restore,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Self; 6] = [
        Self::Put,
        Self::Read,
        Self::Describe,
        Self::List,
        Self::Delete,
        Self::Restore,
    ];
}

/// One kind of manager, of which each law gets an empty namespace of its own.
#[async_trait]
pub trait Manager: Send + Sync + 'static {
    /// What the names of its trials begin with.
    fn name(&self) -> &'static str;

    /// What its backends say they can do. Read before anything is set up.
    fn capabilities(&self) -> Capabilities;

    /// What a test can do to it.
    fn powers(&self) -> Powers;

    /// Which credentials besides wrong ones a test can try.
    fn credentials(&self) -> Credentials {
        Credentials::default()
    }

    /// An empty namespace: a database, a mount, a prefix.
    async fn subject(&self) -> Result<Box<dyn Subject>>;
}

/// One empty namespace of a manager. What is beyond [`Manager::powers`] need not be implemented.
#[async_trait]
pub trait Subject: Send + Sync {
    /// The backend on this namespace.
    fn backend(&self) -> Arc<dyn SecretBackend>;

    /// Another process's backend on the same namespace, where that is another thing.
    fn second(&self) -> Arc<dyn SecretBackend> {
        self.backend()
    }

    /// A backend on the same namespace that has wrong credentials or keys.
    fn misled(&self) -> Option<Arc<dyn SecretBackend>> {
        None
    }

    /// A backend on the same namespace whose credentials were right and have expired.
    async fn expired(&self) -> Result<Option<Arc<dyn SecretBackend>>> {
        Ok(None)
    }

    /// A backend on the same namespace whose credentials allow everything but this; `None` where
    /// the manager has no such permission, or does not tell it from another.
    async fn without(&self, _permission: Permission) -> Result<Option<Arc<dyn SecretBackend>>> {
        Ok(None)
    }

    /// A backend on the same namespace whose credentials allow what these permissions say, in the words
    /// of [`SecretBackend::permissions`], and nothing else.
    async fn with_only(
        &self,
        _permissions: &[&'static str],
    ) -> Result<Option<Arc<dyn SecretBackend>>> {
        Ok(None)
    }

    /// Whether the manager itself takes a repeated put for one, by a token in the request, so that
    /// a backend cannot tell the repetition from the first and both are
    /// [`Created`](cloakroom_core::PutOutcome::Created).
    fn knows_repetitions(&self) -> bool {
        false
    }

    /// How many secrets make a listing of at least two pages.
    fn several_pages(&self) -> usize {
        0
    }

    /// Moves the manager's time forward.
    async fn advance(&self, _by: Duration) -> Result<()> {
        Err(beyond("move the manager's time"))
    }

    /// Writes a secret under the very name the backend would give `coordinate`, but without a mark
    /// of Cloakroom's, as somebody else's program would; with an expiry, hours away, where the manager
    /// has one.
    async fn write_foreign(&self, _coordinate: &Coordinate, _value: &SecretValue) -> Result<()> {
        Err(beyond("write somebody else's secret"))
    }

    /// The value under that name as the manager has it, whoever's it is.
    async fn read_foreign(&self, coordinate: &Coordinate) -> Result<SecretValue> {
        Ok(self.backend().get(coordinate).await?.value)
    }

    /// Returns when the listing shows what was done before. Needed where the listing lags.
    async fn settle(&self) {}

    /// Takes the namespace away, after the law held or did not.
    async fn finish(&self) {}
}

fn beyond(operation: &'static str) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        operation,
        "this subject cannot do that, but its manager's powers say so",
    )
}
