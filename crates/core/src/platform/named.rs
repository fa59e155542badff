//! Secrets in a manager under the names that a platform gave them. They bear no mark.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::backend::{DeleteMode, Deletion, PageToken, Precondition, SecretState};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::SecretValue;

/// A secret as its manager describes it, under its platform's name for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedSecret {
    /// The name as the platform writes it in its database: without the prefix of the backend's
    /// settings, and with what the manager's own naming changed (`_` for `-`) turned back.
    pub name: String,
    /// Whether it bears a mark of Cloakroom's, whichever store's: then no platform wrote it.
    pub marked: bool,
    /// Whether it can be read.
    pub state: SecretState,
    /// Its tags or labels; `None` where the manager does not tell them here.
    pub tags: Option<BTreeMap<String, String>>,
    /// The manager's own expiry.
    pub native_expiry: Option<Timestamp>,
    /// When it was made, by the manager's clock.
    pub created: Option<Timestamp>,
    /// When it was last changed, by the manager's clock.
    pub changed: Option<Timestamp>,
    /// When it was last read, where the manager knows.
    pub accessed: Option<Timestamp>,
    /// The state described, for a deletion's precondition.
    pub precondition: Option<Precondition>,
}

/// One page of a listing by name.
#[derive(Clone, Debug, Default)]
pub struct NamedPage {
    /// What is on it, whoever wrote it, and what is scheduled for deletion too.
    pub secrets: Vec<NamedSecret>,
    /// The next page, if this was not the last.
    pub next: Option<PageToken>,
}

/// A manager asked by the names of a platform. Errors are those of
/// [`SecretBackend`](crate::SecretBackend): `Missing` means that the manager is sure.
#[async_trait]
pub trait NamedSecrets: Send + Sync {
    /// Lists everything under the backend's prefix, page by page; `None` asks for the first page.
    async fn list_named(&self, page: Option<&PageToken>) -> Result<NamedPage>;

    /// Describes secrets without reading their values; the answers are in the order of the names.
    async fn describe_named(&self, names: &[String]) -> Vec<Result<NamedSecret>>;

    /// The same, without the tags where those take a request for each: for whoever does not go by them.
    async fn describe_named_without_tags(&self, names: &[String]) -> Vec<Result<NamedSecret>> {
        self.describe_named(names).await
    }

    /// Reads values as the platform reads them; the answers are in the order of the names.
    async fn read_named(&self, names: &[String]) -> Vec<Result<SecretValue>>;

    /// How many parts of its own a secret has beside the value that the platform reads: a copy of the value
    /// would lose them.
    async fn parts_beside_named(&self, _name: &str) -> Result<usize> {
        Ok(0)
    }

    /// An error where the manager would not keep what is put by a name, as far as it tells without a write.
    async fn keeps_named(&self) -> Result<()> {
        Ok(())
    }

    /// Writes a value as the platform writes it. Create-only: the same bytes again succeed, other
    /// bytes are `Conflict`.
    async fn put_named(&self, name: &str, value: &SecretValue) -> Result<()>;

    /// Puts these tags on a secret that is there, beside those that it bears; a key that it has gets this value.
    /// `Unsupported` where tags go with a write alone.
    async fn tag_named(&self, name: &str, _tags: &BTreeMap<String, String>) -> Result<()> {
        let message = "tags are put on a secret of this manager's when it is written: do it there";
        let error = Error::new(ErrorKind::Unsupported, "tag", message);
        Err(error.with_coordinate(name))
    }

    /// Deletes one secret. One that is not there is [`Deletion::AlreadyGone`]; a precondition that
    /// does not hold is `Conflict`.
    async fn delete_named(
        &self,
        name: &str,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion>;

    /// Brings back a secret that waits for its deletion; one that is enabled already succeeds.
    async fn restore_named(&self, name: &str) -> Result<()>;

    /// Takes the manager's own expiry off; one without expiry succeeds. The value is neither read nor
    /// written. `Unsupported` where there are no expiries, or where one goes only with the value
    /// written again, which the platform may be doing at the same time.
    async fn lift_expiry_named(&self, name: &str) -> Result<()> {
        let message =
            "this manager takes no expiry off without the value being written again: do it there";
        let error = Error::new(ErrorKind::Unsupported, "lift the expiry of", message);
        Err(error.with_coordinate(name))
    }
}
