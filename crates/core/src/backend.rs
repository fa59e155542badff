//! What every secrets manager is to Cloakroom.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::capabilities::Capabilities;
use crate::coordinates::Coordinate;
use crate::error::Result;
use crate::ids::BackendId;
use crate::mark::Mark;
use crate::platform::NamedSecrets;
use crate::secret::SecretValue;

/// A value to be stored under `mark.coordinate`.
#[derive(Clone, Debug)]
pub struct PutRequest {
    /// The mark it will bear; names the coordinate.
    pub mark: Mark,
    /// The value.
    pub value: SecretValue,
    /// The manager's own expiry, from now. Only for what can never come to be referenced.
    pub native_expiry: Option<Duration>,
}

/// What a put found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// The name was free; or the manager itself took this for a repetition of the request that made
    /// it (AWS's request tokens).
    Created,
    /// The name already held these very bytes.
    AlreadyThere,
}

/// A value with the mark it bears; `mark` is `None` on what somebody else wrote.
#[derive(Clone, Debug)]
pub struct StoredSecret {
    /// The value.
    pub value: SecretValue,
    /// Our mark, where it bears one.
    pub mark: Option<Mark>,
}

/// Whether a secret can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretState {
    /// It can.
    Enabled,
    /// Somebody switched it off in the manager, or its value was never written to the end.
    Disabled,
    /// Its value was destroyed and cannot come back. What is left of it holds the name and is listed, so
    /// that it is cleared up.
    Destroyed,
    /// It waits for its deletion at `due` and can be restored until then; where the manager ends no
    /// window itself ([`Purge`]), until it is purged.
    ScheduledForDeletion {
        /// When the manager deletes it, where it says so.
        due: Option<Timestamp>,
    },
}

impl SecretState {
    /// Whether it waits for its deletion.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        matches!(self, Self::ScheduledForDeletion { .. })
    }
}

/// An opaque token of the manager's for one state of one secret (an etag, a uid with a version).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Precondition(pub Arc<str>);

/// All there is to know about a secret without reading its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its coordinate.
    pub coordinate: Coordinate,
    /// Our mark, where it bears one.
    pub mark: Option<Mark>,
    /// Whether it can be read.
    pub state: SecretState,
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

/// Where a listing goes on. Opaque, the manager's own, possibly short-lived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageToken(pub Arc<str>);

/// One page of a listing.
#[derive(Clone, Debug, Default)]
pub struct ListPage {
    /// What is on it: only what bears a mark of Cloakroom's, whichever store's, and what is
    /// scheduled for deletion too. A mark that cannot be read is told as `None`: nothing is known of such
    /// a secret but that it has a name of ours.
    pub secrets: Vec<Description>,
    /// The next page, if this was not the last.
    pub next: Option<PageToken>,
}

/// How a secret is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteMode {
    /// It can be restored for at least this long.
    Recoverable(Duration),
    /// It is gone at once.
    Final,
}

/// What a deletion found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// Gone for good.
    Deleted,
    /// Waiting; can be restored until `due`.
    Scheduled {
        /// When the manager deletes it, where it says so.
        due: Option<Timestamp>,
    },
    /// It was not there, or was already waiting.
    AlreadyGone,
}

/// What can be asked of a manager, for whoever says which right is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// [`SecretBackend::put`].
    Put,
    /// [`SecretBackend::get`].
    Get,
    /// [`SecretBackend::describe`].
    Describe,
    /// [`SecretBackend::list`].
    List,
    /// [`SecretBackend::delete`], recoverably.
    Delete,
    /// [`SecretBackend::delete`], finally.
    DeleteFinally,
    /// [`SecretBackend::restore`].
    Restore,
    /// [`SecretBackend::lift_expiry`].
    LiftExpiry,
}

impl Operation {
    /// The operation in a few words: `read the value`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Put => "write a secret",
            Self::Get => "read its value",
            Self::Describe => "describe it",
            Self::List => "list secrets",
            Self::Delete => "delete it recoverably",
            Self::DeleteFinally => "delete it for good",
            Self::Restore => "restore it",
            Self::LiftExpiry => "lift its expiry",
        }
    }
}

/// A manager that ends no recovery window itself: what was deleted is kept until it is purged.
#[async_trait]
pub trait Purge: Send + Sync {
    /// Removes for good what bears exactly this mark and waits for its deletion, once its window is
    /// over by the manager's clock and by `now`: either may be wrong. Nothing goes sooner than `window`
    /// after it was deleted, whatever end it bears; what waits without an end is given that one. Gives
    /// back whether it went.
    async fn purge(&self, mark: &Mark, window: Duration, now: Timestamp) -> Result<bool>;

    /// Where a put wrote exactly this mark and never its value: leaves the mark to wait for `window`, since
    /// the value may still be under way and would be nobody's without it. Gives back until when; `None`
    /// where there is no such mark, or a value with it, and nothing was changed.
    async fn outlast_put(&self, mark: &Mark, window: Duration) -> Result<Option<Timestamp>>;
}

/// A secrets manager.
///
/// Asking changes nothing: [`get`](Self::get), [`describe`](Self::describe) and
/// [`list`](Self::list) leave all that could be brought back before.
///
/// Every method gives one of the kinds of [`ErrorKind`](crate::ErrorKind) on failure, told apart by
/// the manager's codes. `Missing` means that the manager is sure; anything unsure is `Unavailable`.
#[async_trait]
pub trait SecretBackend: Send + Sync {
    /// The name it has in the configuration.
    fn id(&self) -> &BackendId;

    /// Which manager this is (an account and region, an address and mount, a database), so that
    /// two configured names for one manager can be refused. Holds no credential.
    fn manager(&self) -> &str;

    /// What it can do.
    fn capabilities(&self) -> &Capabilities;

    /// The manager's own names of the rights an operation needs, for whoever is
    /// [`Denied`](crate::ErrorKind::Denied); empty where it knows none.
    fn permissions(&self, _operation: Operation) -> &'static [&'static str] {
        &[]
    }

    /// Ends recovery windows, where the manager itself ends none.
    fn purges(&self) -> Option<&dyn Purge> {
        None
    }

    /// The manager asked by the names that a platform gave to secrets, where it can be.
    fn named(&self) -> Option<&dyn NamedSecrets> {
        None
    }

    /// Stores a value under a free name. The same bytes again succeed; other bytes are `Conflict`,
    /// and so is a name taken by somebody else's secret.
    async fn put(&self, request: &PutRequest) -> Result<PutOutcome>;

    /// Stores many values, each as [`SecretBackend::put`] would; the answers are in the order of the
    /// requests. Where one fails the others may have been stored.
    async fn put_many(&self, requests: &[PutRequest]) -> Vec<Result<PutOutcome>> {
        let mut answers = Vec::with_capacity(requests.len());
        for request in requests {
            answers.push(self.put(request).await);
        }
        answers
    }

    /// Reads one value.
    async fn get(&self, coordinate: &Coordinate) -> Result<StoredSecret>;

    /// Reads many values; the answers are in the order of the questions. An error of the whole
    /// call is every answer's error.
    async fn get_many(&self, coordinates: &[Coordinate]) -> Vec<Result<StoredSecret>> {
        let mut answers = Vec::with_capacity(coordinates.len());
        for coordinate in coordinates {
            answers.push(self.get(coordinate).await);
        }
        answers
    }

    /// Describes one secret without reading its value.
    async fn describe(&self, coordinate: &Coordinate) -> Result<Description>;

    /// Describes many; the answers are in the order of the questions.
    async fn describe_many(&self, coordinates: &[Coordinate]) -> Vec<Result<Description>> {
        let mut answers = Vec::with_capacity(coordinates.len());
        for coordinate in coordinates {
            answers.push(self.describe(coordinate).await);
        }
        answers
    }

    /// Lists what bears a mark of Cloakroom's, page by page; `None` asks for the first page. A page
    /// that the manager no longer knows, since its token or snapshot is too old, is `Unavailable`:
    /// nothing is known of the rest, and the listing has to begin anew.
    async fn list(&self, page: Option<&PageToken>) -> Result<ListPage>;

    /// Deletes one secret. One that is not there is [`Deletion::AlreadyGone`], not an error; a
    /// precondition that does not hold is `Conflict`.
    async fn delete(
        &self,
        coordinate: &Coordinate,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion>;

    /// Deletes many, each as [`SecretBackend::delete`] without precondition would; the answers are
    /// in the order of the questions.
    async fn delete_many(
        &self,
        coordinates: &[Coordinate],
        mode: DeleteMode,
    ) -> Vec<Result<Deletion>> {
        let mut answers = Vec::with_capacity(coordinates.len());
        for coordinate in coordinates {
            answers.push(self.delete(coordinate, mode, None).await);
        }
        answers
    }

    /// Brings back a secret that waits for its deletion; one that is enabled already succeeds.
    async fn restore(&self, coordinate: &Coordinate) -> Result<()>;

    /// Takes the manager's own expiry off; one without expiry succeeds. As in restoring, a mark that is damaged is
    /// no reason to refuse: it harms nobody, and what is in use may bear it.
    async fn lift_expiry(&self, coordinate: &Coordinate) -> Result<()>;
}
