//! The backend itself: the contract of `SecretBackend` over the service.

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::budget::RequestClass::{Delete, Describe, List, Read, Write};
use cloakroom_core::capabilities::{Calls, ListOrder, NativeExpiry, Rates, Recovery, Sent};
use cloakroom_core::coordinates::MAX_LENGTH;
use cloakroom_core::platform::NamedSecrets;
use cloakroom_core::{
    BackendId, Capabilities, Coordinate, DeleteMode, Deletion, Description, Error, ErrorKind,
    ListPage, Operation, PageToken, Precondition, PutOutcome, PutRequest, Result, SecretBackend,
    StoredSecret,
};
use futures_util::StreamExt as _;
use futures_util::stream;

use crate::failure::Failure;
use crate::naming::{NAMES, id_of};
use crate::sdk::Sdk;
use crate::settings::{GcpSettings, LONGEST_DELAY, SHORTEST_DELAY};

/// The largest value, in bytes.
pub(crate) const MOST_BYTES: usize = 65_536;
/// What the documentation allows a change to take until the listing shows it: "a few hours".
const LISTING_LAG: Duration = Duration::from_hours(3);
/// Requests a second: 600 a minute and project for all that changes something, and as many for all that
/// reads metadata.
const RATE: Option<f64> = Some(10.0);
/// The same of values, 90,000 a minute.
const VALUES: Option<f64> = Some(1_500.0);

/// A secret and its version are asked for, and changed, apart. Deletions are under a precondition, for which
/// the version is looked at once more.
const CALLS: Calls = Calls {
    put: &[Sent::several(Write, 2)],
    put_named: &[Sent::several(Write, 2)],
    get: &[Sent::one(Describe), Sent::one(Read)],
    get_many: &[Sent::one(Describe), Sent::one(Read)],
    describe: &[Sent::several(Describe, 2)],
    delete: &[Sent::several(Delete, 2), Sent::several(Describe, 3)],
    delete_finally: &[Sent::one(Delete), Sent::one(Describe)],
    restore: &[Sent::several(Delete, 2), Sent::several(Describe, 2)],
    lift_expiry: &[Sent::one(Write), Sent::one(Describe)],
    ..Calls::ONE
};

/// Google Secret Manager as a backend. Clones share one session.
#[derive(Clone)]
pub struct GcpBackend {
    id: BackendId,
    manager: Arc<str>,
    capabilities: Capabilities,
    pub(crate) settings: GcpSettings,
    pub(crate) sdk: Arc<Sdk>,
}

impl GcpBackend {
    /// A backend named `id`. Nothing is asked yet: Google need not be reachable.
    ///
    /// # Errors
    /// `Invalid` where the settings cannot be right.
    pub fn new(id: BackendId, settings: GcpSettings) -> Result<Self> {
        settings
            .validate()
            .map_err(|error| error.with_backend(&id))?;
        Ok(Self {
            manager: settings.manager().into(),
            capabilities: Self::capabilities_for(&settings),
            sdk: Arc::new(Sdk::new(settings.clone())),
            settings,
            id,
        })
    }

    /// What a backend with these settings can do.
    pub fn capabilities_for(settings: &GcpSettings) -> Capabilities {
        Capabilities {
            least_bytes: 1,
            most_bytes: MOST_BYTES,
            binary: true,
            longest_name: NAMES
                .longest
                .saturating_sub(settings.prefix.len())
                .min(MAX_LENGTH),
            names: NAMES,
            name_prefix: settings.prefix.clone().into(),
            put_batch: 1,
            get_batch: 1,
            describe_batch: 1,
            delete_batch: 1,
            native_expiry: NativeExpiry::Deletes,
            recovery: Some(Recovery {
                shortest: SHORTEST_DELAY,
                longest: LONGEST_DELAY,
            }),
            final_deletion: true,
            listing_lag: LISTING_LAG,
            list_order: ListOrder::Unspecified,
            create_only: true,
            describe_without_reading: true,
            delete_precondition: true,
            rates: Rates {
                write: RATE,
                read: VALUES,
                describe: RATE,
                list: RATE,
                delete: RATE,
                together: &[&[Write, Delete], &[Describe, List]],
            },
            calls: Calls {
                list_each: if settings.look_at_versions {
                    const { &[Sent::one(Describe)] }
                } else {
                    &[]
                },
                ..CALLS
            },
        }
    }

    /// The id of what may be there.
    pub(crate) fn id_to_read(&self, coordinate: &Coordinate) -> Result<String, Failure> {
        id_of(&self.settings.prefix, coordinate).ok_or_else(Failure::missing)
    }

    pub(crate) fn id_to_write(&self, coordinate: &Coordinate) -> Result<String, Failure> {
        id_of(&self.settings.prefix, coordinate).ok_or_else(|| {
            Failure::new(
                ErrorKind::TooLarge,
                format!(
                    "prefix and coordinate have more than {} bytes",
                    NAMES.longest
                ),
            )
        })
    }

    /// The answers of futures that run together, as many at a time as the settings say.
    pub(crate) async fn together<T>(&self, futures: Vec<impl Future<Output = T>>) -> Vec<T> {
        let running = stream::iter(futures).buffered(self.settings.concurrency);
        running.collect().await
    }

    /// The answers to questions about these names, in their order. What is asked twice is asked for
    /// the second time when everything else has been answered.
    async fn each<T>(
        &self,
        names: Vec<&Coordinate>,
        futures: Vec<impl Future<Output = T>>,
    ) -> Vec<T> {
        let mut seen = HashSet::new();
        let (mut first, mut again) = (Vec::new(), Vec::new());
        for (at, (name, future)) in names.into_iter().zip(futures).enumerate() {
            let group = if seen.insert(name) {
                &mut first
            } else {
                &mut again
            };
            group.push(async move { (at, future.await) });
        }
        let mut answers = self.together(first).await;
        for future in again {
            answers.push(future.await);
        }
        answers.sort_by_key(|(at, _)| *at);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    pub(crate) fn error(
        &self,
        operation: &'static str,
        name: impl fmt::Display,
        failure: &Failure,
    ) -> Error {
        failure
            .to_error(operation)
            .with_backend(&self.id)
            .with_coordinate(name)
    }
}

#[async_trait]
impl SecretBackend for GcpBackend {
    fn id(&self) -> &BackendId {
        &self.id
    }

    fn manager(&self) -> &str {
        &self.manager
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn named(&self) -> Option<&dyn NamedSecrets> {
        Some(self)
    }

    fn permissions(&self, operation: Operation) -> &'static [&'static str] {
        match operation {
            Operation::Put => &[
                "secretmanager.secrets.create",
                "secretmanager.versions.add",
                // A name that is taken is compared with.
                "secretmanager.secrets.get",
                "secretmanager.versions.access",
            ],
            Operation::Get => &["secretmanager.secrets.get", "secretmanager.versions.access"],
            Operation::Describe => &["secretmanager.secrets.get", "secretmanager.versions.get"],
            Operation::List => &["secretmanager.secrets.list"],
            Operation::Delete => &[
                "secretmanager.secrets.get",
                "secretmanager.secrets.update",
                "secretmanager.versions.destroy",
                "secretmanager.versions.get",
            ],
            Operation::DeleteFinally => &["secretmanager.secrets.delete"],
            Operation::Restore => &[
                "secretmanager.secrets.get",
                "secretmanager.secrets.update",
                "secretmanager.versions.enable",
                "secretmanager.versions.get",
            ],
            Operation::LiftExpiry => &["secretmanager.secrets.get", "secretmanager.secrets.update"],
        }
    }

    async fn put(&self, request: &PutRequest) -> Result<PutOutcome> {
        let put = self.try_put(request).await;
        put.map_err(|failure| self.error("put", &request.mark.coordinate, &failure))
    }

    async fn put_many(&self, requests: &[PutRequest]) -> Vec<Result<PutOutcome>> {
        let names = requests.iter().map(|it| &it.mark.coordinate).collect();
        let puts = requests.iter().map(|it| self.put(it)).collect();
        self.each(names, puts).await
    }

    async fn get(&self, coordinate: &Coordinate) -> Result<StoredSecret> {
        let got = self.try_get(coordinate).await;
        got.map_err(|failure| self.error("get", coordinate, &failure))
    }

    async fn get_many(&self, coordinates: &[Coordinate]) -> Vec<Result<StoredSecret>> {
        let gets = coordinates.iter().map(|it| self.get(it)).collect();
        self.together(gets).await
    }

    async fn describe(&self, coordinate: &Coordinate) -> Result<Description> {
        let described = self.try_describe(coordinate).await;
        described.map_err(|failure| self.error("describe", coordinate, &failure))
    }

    async fn describe_many(&self, coordinates: &[Coordinate]) -> Vec<Result<Description>> {
        let descriptions = coordinates.iter().map(|it| self.describe(it)).collect();
        self.together(descriptions).await
    }

    async fn list(&self, page: Option<&PageToken>) -> Result<ListPage> {
        let listed = self.try_list(page).await;
        listed.map_err(|failure| failure.to_error("list").with_backend(&self.id))
    }

    async fn delete(
        &self,
        coordinate: &Coordinate,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion> {
        let deleted = self.try_delete(coordinate, mode, precondition).await;
        deleted.map_err(|failure| self.error("delete", coordinate, &failure))
    }

    async fn delete_many(
        &self,
        coordinates: &[Coordinate],
        mode: DeleteMode,
    ) -> Vec<Result<Deletion>> {
        let names = coordinates.iter().collect();
        let deletions = coordinates
            .iter()
            .map(|it| self.delete(it, mode, None))
            .collect();
        self.each(names, deletions).await
    }

    async fn restore(&self, coordinate: &Coordinate) -> Result<()> {
        let restored = self.try_restore(coordinate).await;
        restored.map_err(|failure| self.error("restore", coordinate, &failure))
    }

    async fn lift_expiry(&self, coordinate: &Coordinate) -> Result<()> {
        let lifted = self.try_lift_expiry(coordinate).await;
        lifted.map_err(|failure| self.error("lift the expiry of", coordinate, &failure))
    }
}
