//! The backend itself: the contract of `SecretBackend` over Kubernetes Secrets.

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::budget::RequestClass;
use cloakroom_core::capabilities::{Calls, ListOrder, NativeExpiry, Rates, Sent};
use cloakroom_core::coordinates::MAX_LENGTH;
use cloakroom_core::platform::NamedSecrets;
use cloakroom_core::{
    BackendId, Capabilities, Coordinate, DeleteMode, Deletion, Description, Error, ErrorKind,
    ListPage, Mark, Operation, PageToken, Precondition, PutOutcome, PutRequest, Result,
    SecretBackend, SecretState, StoredSecret,
};
use futures_util::StreamExt;
use futures_util::stream;

use crate::client::Client;
use crate::failure::Failure;
use crate::mark;
use crate::names::{NAMES, name_of};
use crate::precondition::State;
use crate::secret::{Created, Deleted, Listed, Metadata, NewSecret, Page};
use crate::settings::KubernetesSettings;
use crate::taken::{refuse_what_is_being_deleted, taken};

/// The largest value, in bytes: Kubernetes counts all values of a Secret, and ours has one.
pub(crate) const MOST_BYTES: usize = 1024 * 1024;
/// Requests of one batch that are under way together; Kubernetes has no batches of its own.
pub(crate) const IN_FLIGHT: usize = 8;

/// Secrets of one namespace of a Kubernetes cluster, each immutable and with the one key `value`.
///
/// Values have 0 to 1,048,576 bytes of any kind. There is no expiry, and a deletion is final: what
/// asks for more answers `Unsupported`. Roles cannot tell reading a Secret's labels from reading its
/// value, so describing and listing need the right to read values, though no value is transferred.
/// By a platform's names it is asked as OpenMetadata names Secrets; a name here has neither `_` nor upper
/// case, which Airbyte's coordinates are made of.
pub struct KubernetesBackend {
    id: BackendId,
    manager: String,
    pub(crate) client: Client,
}

impl KubernetesBackend {
    /// What it can do, whatever the settings.
    pub const CAPABILITIES: Capabilities = Capabilities {
        least_bytes: 0,
        most_bytes: MOST_BYTES,
        binary: true,
        longest_name: MAX_LENGTH,
        names: NAMES,
        name_prefix: Cow::Borrowed(""),
        put_batch: 1,
        get_batch: 1,
        describe_batch: 1,
        delete_batch: 1,
        native_expiry: NativeExpiry::Absent,
        recovery: None,
        final_deletion: true,
        listing_lag: Duration::ZERO,
        list_order: ListOrder::Unspecified,
        create_only: true,
        describe_without_reading: false,
        delete_precondition: true,
        rates: Rates::NONE,
        // Whether it stands is all that can be brought about.
        calls: Calls {
            restore: &[Sent::one(RequestClass::Describe)],
            lift_expiry: &[Sent::one(RequestClass::Describe)],
            ..Calls::ONE
        },
    };

    /// The backend called `id`. Reads the settings and what they point to; the cluster is asked
    /// nothing yet, so that it may be away while this starts.
    ///
    /// # Errors
    /// `Invalid` where the settings cannot be meant, or do not say where the cluster is;
    /// `Unavailable` where the kubeconfig cannot be read.
    pub async fn connect(id: BackendId, settings: KubernetesSettings) -> Result<Self> {
        let opened = async {
            settings.check()?;
            Client::new(settings).await
        };
        let opened = opened.await;
        let client = opened.map_err(|failure| failure.into_error("connect").with_backend(&id))?;
        let (server, namespace) = (client.server(), &client.settings().namespace);
        Ok(Self {
            manager: format!("kubernetes at {server}, namespace {namespace}"),
            id,
            client,
        })
    }

    pub(crate) fn backend_id(&self) -> &BackendId {
        &self.id
    }

    async fn try_put(&self, request: &PutRequest) -> Result<PutOutcome, Failure> {
        let PutRequest {
            mark,
            value,
            native_expiry,
        } = request;
        if native_expiry.is_some() {
            return Err(Failure::new(
                ErrorKind::Unsupported,
                "a Kubernetes Secret has no expiry",
            ));
        }
        if value.len() > MOST_BYTES {
            return Err(Failure::new(
                ErrorKind::TooLarge,
                format!("a Kubernetes Secret holds {MOST_BYTES} bytes at most"),
            ));
        }
        let settings = self.client.settings();
        let (mut labels, mut annotations) = (settings.labels.clone(), settings.annotations.clone());
        mark::write(mark, &mut labels, &mut annotations);
        let new = NewSecret {
            name: name_of(&mark.coordinate),
            labels,
            annotations,
            value,
            immutable: true,
        };
        match self.client.create(new).await? {
            Created::New => Ok(PutOutcome::Created),
            Created::Taken => self.compare(request).await,
        }
    }

    /// What has the name already: the same put, whose answer was lost, or something else.
    async fn compare(&self, request: &PutRequest) -> Result<PutOutcome, Failure> {
        let name = name_of(&request.mark.coordinate);
        let (found, value) = self.what_has(&name).await?;
        let Ok(Some(theirs)) = found.mark() else {
            return Err(taken("a Secret without a mark of Cloakroom's"));
        };
        if theirs.store != request.mark.store || theirs.coordinate != request.mark.coordinate {
            return Err(taken("another store's secret"));
        }
        refuse_what_is_being_deleted(&found)?;
        if !theirs.is_of_intent(&request.mark) {
            return Err(taken("what was put for another intent"));
        }
        if value != request.value {
            return Err(taken("other bytes"));
        }
        Ok(PutOutcome::AlreadyThere)
    }

    async fn try_get(&self, coordinate: &Coordinate) -> Result<StoredSecret, Failure> {
        let (found, value) = self.client.read(&name_of(coordinate)).await?;
        let mark = mark::of(coordinate, found.mark()?);
        Ok(StoredSecret { value, mark })
    }

    async fn try_describe(&self, coordinate: &Coordinate) -> Result<Description, Failure> {
        let found = self.client.describe(&name_of(coordinate)).await?;
        let mark = mark::of(coordinate, found.mark()?);
        Ok(found.into_description(coordinate.clone(), mark))
    }

    async fn try_list(&self, page: Option<&PageToken>) -> Result<ListPage, Failure> {
        let page = page.map(|token| &*token.0);
        listed(self.client.list(Listed::Marked, page).await?)
    }

    pub(crate) async fn try_delete(
        &self,
        name: &str,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion, Failure> {
        if matches!(mode, DeleteMode::Recoverable(_)) {
            return Err(Failure::new(
                ErrorKind::Unsupported,
                "Kubernetes deletes Secrets for good",
            ));
        }
        let state = precondition.map(State::from_precondition).transpose()?;
        match self.client.delete(name, state).await? {
            Deleted::Gone => Ok(Deletion::Deleted),
            Deleted::Missing => Ok(Deletion::AlreadyGone),
            Deleted::WaitsFor(finalizers) => Err(Failure::new(
                ErrorKind::Unavailable,
                format!(
                    "its deletion has begun and waits for whoever holds its finalizers: {}",
                    finalizers.join(", ")
                ),
            )),
        }
    }

    /// Succeeds on a secret that is there and stays, which is all that can be brought about here.
    pub(crate) async fn stands(&self, name: &str) -> Result<(), Failure> {
        if self.client.describe(name).await?.deleting {
            return Err(Failure::new(
                ErrorKind::Unsupported,
                "Kubernetes cannot take back a deletion that has begun",
            ));
        }
        Ok(())
    }

    pub(crate) fn told<'a>(
        &'a self,
        operation: &'static str,
        coordinate: &'a (impl std::fmt::Display + ?Sized),
    ) -> impl FnOnce(Failure) -> Error + 'a {
        move |failure| {
            let error = failure.into_error(operation);
            error.with_backend(&self.id).with_coordinate(coordinate)
        }
    }
}

impl Metadata {
    /// Its coordinate, where its mark is damaged and still names that.
    fn coordinate(&self) -> Option<Coordinate> {
        mark::coordinate(&self.name, &self.labels, &self.annotations)
    }

    /// Our mark, where it bears one.
    pub(crate) fn mark(&self) -> Result<Option<Mark>, Failure> {
        Ok(mark::read(&self.name, &self.labels, &self.annotations)?)
    }

    pub(crate) fn secret_state(&self) -> SecretState {
        if self.deleting {
            SecretState::ScheduledForDeletion { due: None }
        } else {
            SecretState::Enabled
        }
    }

    fn into_description(self, coordinate: Coordinate, mark: Option<Mark>) -> Description {
        Description {
            coordinate,
            mark,
            state: self.secret_state(),
            native_expiry: None,
            created: self.created,
            changed: self.changed,
            accessed: None,
            precondition: self.state.as_ref().map(State::to_precondition),
        }
    }
}

/// A page as the rest of the program sees it.
pub(crate) fn listed(page: Page) -> Result<ListPage, Failure> {
    let mut secrets = Vec::with_capacity(page.secrets.len());
    for found in page.secrets {
        // One damaged mark must not hide all the others: shown, and nobody's to touch. Where it names no
        // secret any more, the page fails: a listing that leaves it out would pass for whole.
        let (coordinate, mark) = match found.mark() {
            Ok(None) => continue,
            Ok(Some(mark)) => (mark.coordinate.clone(), Some(mark)),
            Err(failure) => match found.coordinate() {
                Some(coordinate) => (coordinate, None),
                None => return Err(failure.about(&found.name)),
            },
        };
        secrets.push(found.into_description(coordinate, mark));
    }
    let next = page.next.map(|token| PageToken(token.into()));
    Ok(ListPage { secrets, next })
}

/// The answers in the order of the requests, so many of which are under way at once.
pub(crate) async fn together<T>(requests: Vec<impl Future<Output = T>>, at_once: usize) -> Vec<T> {
    stream::iter(requests).buffered(at_once).collect().await
}

#[async_trait]
impl SecretBackend for KubernetesBackend {
    fn id(&self) -> &BackendId {
        &self.id
    }

    fn manager(&self) -> &str {
        &self.manager
    }

    fn capabilities(&self) -> &Capabilities {
        &Self::CAPABILITIES
    }

    fn named(&self) -> Option<&dyn NamedSecrets> {
        Some(self)
    }

    fn permissions(&self, operation: Operation) -> &'static [&'static str] {
        match operation {
            // A name that is taken is compared with.
            Operation::Put => &["create secrets", "get secrets"],
            Operation::List => &["list secrets"],
            Operation::DeleteFinally => &["delete secrets"],
            Operation::Get | Operation::Describe | Operation::Restore | Operation::LiftExpiry => {
                &["get secrets"]
            }
            Operation::Delete => &[],
        }
    }

    async fn put(&self, request: &PutRequest) -> Result<PutOutcome> {
        let put = self.try_put(request).await;
        put.map_err(self.told("put", &request.mark.coordinate))
    }

    async fn put_many(&self, requests: &[PutRequest]) -> Vec<Result<PutOutcome>> {
        // Two puts of one name keep their order.
        let names: HashSet<_> = requests.iter().map(|it| &it.mark.coordinate).collect();
        let at_once = if names.len() == requests.len() {
            IN_FLIGHT
        } else {
            1
        };
        let puts = requests.iter().map(|request| self.put(request));
        together(puts.collect(), at_once).await
    }

    async fn get(&self, coordinate: &Coordinate) -> Result<StoredSecret> {
        let stored = self.try_get(coordinate).await;
        stored.map_err(self.told("get", coordinate))
    }

    async fn get_many(&self, coordinates: &[Coordinate]) -> Vec<Result<StoredSecret>> {
        let gets = coordinates.iter().map(|coordinate| self.get(coordinate));
        together(gets.collect(), IN_FLIGHT).await
    }

    async fn describe(&self, coordinate: &Coordinate) -> Result<Description> {
        let described = self.try_describe(coordinate).await;
        described.map_err(self.told("describe", coordinate))
    }

    async fn describe_many(&self, coordinates: &[Coordinate]) -> Vec<Result<Description>> {
        let asked = coordinates
            .iter()
            .map(|coordinate| self.describe(coordinate));
        together(asked.collect(), IN_FLIGHT).await
    }

    async fn list(&self, page: Option<&PageToken>) -> Result<ListPage> {
        let listed = self.try_list(page).await;
        listed.map_err(|failure| failure.into_error("list").with_backend(&self.id))
    }

    async fn delete(
        &self,
        coordinate: &Coordinate,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion> {
        let name = name_of(coordinate);
        let deleted = self.try_delete(&name, mode, precondition).await;
        deleted.map_err(self.told("delete", coordinate))
    }

    async fn delete_many(
        &self,
        coordinates: &[Coordinate],
        mode: DeleteMode,
    ) -> Vec<Result<Deletion>> {
        let deletions = coordinates.iter().map(|it| self.delete(it, mode, None));
        together(deletions.collect(), IN_FLIGHT).await
    }

    async fn restore(&self, coordinate: &Coordinate) -> Result<()> {
        let stands = self.stands(&name_of(coordinate)).await;
        stands.map_err(self.told("restore", coordinate))
    }

    async fn lift_expiry(&self, coordinate: &Coordinate) -> Result<()> {
        let stands = self.try_describe(coordinate).await;
        let stands = stands.map_err(self.told("lift the expiry of", coordinate));
        stands.map(|_| ())
    }
}
