//! One place in one Vault or OpenBao as a backend.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::budget::RequestClass::{Delete, Describe, Write};
use cloakroom_core::capabilities::{Calls, ListOrder, NativeExpiry, Rates, Recovery, Sent};
use cloakroom_core::coordinates::MAX_LENGTH;
use cloakroom_core::platform::NamedSecrets;
use cloakroom_core::{
    BackendId, Capabilities, Coordinate, DeleteMode, Deletion, Description, Error, ErrorKind,
    ListPage, Mark, Operation, PageToken, Precondition, Purge, PutOutcome, PutRequest, Result,
    SecretBackend, SecretValue, StoredSecret, Timestamp,
};
use futures_util::StreamExt as _;

use crate::client::Client;
use crate::entry::{self, MOST_BYTES};
use crate::failure::Failure;
use crate::kv::{Data, Kv, Notes, Version, Written};
use crate::list::{self, Plain};
use crate::names::{self, NAMES, Names};
use crate::record::{self, Record};
use crate::session::Sessions;
use crate::settings::VaultSettings;
use crate::{delete, purge, put};

/// The engine keeps what it deleted until it is told otherwise; this is as long as anybody means.
pub(crate) const LONGEST_WINDOW: Duration = Duration::from_hours(10 * 365 * 24);

/// One place in one Vault or OpenBao as a backend.
pub struct VaultBackend {
    id: BackendId,
    manager: String,
    capabilities: Capabilities,
    kv: Kv,
    plain: Plain,
    settings: VaultSettings,
}

impl VaultBackend {
    /// What it can do, without a prefix.
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
        native_expiry: NativeExpiry::Hides,
        recovery: Some(Recovery {
            shortest: Duration::from_secs(1),
            longest: LONGEST_WINDOW,
        }),
        final_deletion: true,
        listing_lag: Duration::ZERO,
        list_order: ListOrder::Coordinate,
        create_only: true,
        describe_without_reading: true,
        delete_precondition: false,
        rates: Rates::NONE,
        // Whether the name is free, or what has it, is read from the metadata first. OpenBao tells the
        // metadata with a page; Vault is asked for each, and no rate of either is known.
        calls: Calls {
            put: &[Sent::several(Write, 2), Sent::one(Describe)],
            put_named: &[Sent::one(Write), Sent::one(Describe)],
            delete: &[Sent::one(Delete), Sent::one(Write), Sent::one(Describe)],
            delete_finally: &[Sent::one(Delete), Sent::one(Describe)],
            restore: &[
                Sent::one(Delete),
                Sent::several(Write, 2),
                Sent::several(Describe, 2),
            ],
            lift_expiry: &[Sent::several(Write, 2), Sent::several(Describe, 2)],
            ..Calls::ONE
        },
    };

    /// A backend under `settings`. Asks nothing of the server: it logs in when it is first used.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) for settings that cannot be right.
    pub fn new(id: BackendId, settings: VaultSettings) -> Result<Self> {
        settings.validate()?;
        let names = Names::new(&settings.mount, &settings.prefix)?;
        let client = Client::new(&settings)?;
        let mount = names::path(&settings.mount).unwrap_or_default();
        let manager = format!(
            "vault {} mount {mount} prefix {}",
            client.place(),
            settings.prefix
        );
        let sessions = Sessions::new(client, settings.auth.clone());
        Ok(Self {
            id,
            manager,
            capabilities: Capabilities {
                name_prefix: settings.prefix.clone().into(),
                ..Self::CAPABILITIES
            },
            kv: Kv::new(sessions, names),
            plain: Plain::default(),
            settings,
        })
    }

    pub(crate) fn kv(&self) -> &Kv {
        &self.kv
    }

    pub(crate) fn plain(&self) -> &Plain {
        &self.plain
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.settings.in_flight.max(1)
    }

    pub(crate) fn purge_delay(&self) -> Duration {
        self.settings.purge_delay
    }

    pub(crate) fn openbao_extensions(&self) -> bool {
        self.settings.openbao_extensions
    }

    /// Writes about a secret, where a refusal is a failure.
    pub(crate) async fn note(
        &self,
        name: &(impl fmt::Display + Sync),
        notes: &Notes<'_>,
    ) -> Result<(), Failure> {
        match self.kv.note(name, notes).await? {
            Written::Done(()) => Ok(()),
            Written::Refused(failure) => Err(failure),
        }
    }

    pub(crate) async fn lift(&self, coordinate: &Coordinate) -> Result<(), Failure> {
        delete::lift(self, coordinate).await
    }

    async fn read(&self, coordinate: &Coordinate) -> Result<StoredSecret, Failure> {
        let (content, version) = self.content(coordinate).await?;
        Ok(StoredSecret {
            value: entry::parse(&content)?.value,
            mark: record::mark(coordinate, version.custom_metadata.as_ref())?,
        })
    }

    /// What the latest version holds, or why it cannot be read.
    pub(crate) async fn content(
        &self,
        name: &(impl fmt::Display + Sync),
    ) -> Result<(SecretValue, Version), Failure> {
        let seen = self.kv.data(name).await?;
        let version = match seen.it {
            Data::There(content, version) => return Ok((content, version)),
            Data::Nothing => return Err(missing()),
            Data::Gone(version) => version,
        };
        let custom = version.custom_metadata.as_ref();
        let standing = record::standing(&version, custom, seen.now);
        if let record::Standing::Waiting { .. } = standing {
            return Err(Failure::new(
                ErrorKind::ScheduledForDeletion,
                "it was deleted and can still be restored",
            ));
        }
        Err(missing())
    }

    async fn look(&self, coordinate: &Coordinate) -> Result<Description, Failure> {
        let seen = self.kv.metadata(coordinate).await?.ok_or_else(missing)?;
        Ok(Record::read(coordinate, seen)?.describe(coordinate))
    }

    pub(crate) fn error<'a>(
        &'a self,
        operation: &'static str,
        name: &'a impl fmt::Display,
    ) -> impl FnOnce(Failure) -> Error + 'a {
        move |failure| {
            failure
                .to_error(operation)
                .with_backend(&self.id)
                .with_coordinate(name)
        }
    }
}

/// Runs requests, so many at once; the answers are in the order of the requests.
pub(crate) async fn together<T>(
    in_flight: usize,
    requests: impl IntoIterator<Item = impl Future<Output = T>>,
) -> Vec<T> {
    futures_util::stream::iter(requests)
        .buffered(in_flight)
        .collect()
        .await
}

#[async_trait]
impl SecretBackend for VaultBackend {
    fn id(&self) -> &BackendId {
        &self.id
    }

    fn manager(&self) -> &str {
        &self.manager
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn purges(&self) -> Option<&dyn Purge> {
        Some(self)
    }

    fn named(&self) -> Option<&dyn NamedSecrets> {
        Some(self)
    }

    fn permissions(&self, operation: Operation) -> &'static [&'static str] {
        match operation {
            Operation::Put => &[
                "create, read, update on MOUNT/metadata/PREFIX*",
                "create, update, read on MOUNT/data/PREFIX*",
            ],
            Operation::Get => &["read on MOUNT/data/PREFIX*"],
            Operation::Describe => &["read on MOUNT/metadata/PREFIX*"],
            Operation::List => &[
                "list on MOUNT/detailed-metadata/FOLDER (OpenBao)",
                "list on MOUNT/metadata/FOLDER",
                "read on MOUNT/metadata/PREFIX*",
            ],
            Operation::Delete => &[
                "read, update on MOUNT/metadata/PREFIX*",
                "update on MOUNT/delete/PREFIX*",
            ],
            Operation::DeleteFinally => &["read, delete on MOUNT/metadata/PREFIX*"],
            Operation::Restore | Operation::LiftExpiry => &[
                "read, update on MOUNT/metadata/PREFIX*",
                "update on MOUNT/undelete/PREFIX*",
            ],
        }
    }

    async fn put(&self, request: &PutRequest) -> Result<PutOutcome> {
        put::put(self, request)
            .await
            .map_err(self.error("put", &request.mark.coordinate))
    }

    /// Many at once, except where one name is among them twice: then one after the other.
    async fn put_many(&self, requests: &[PutRequest]) -> Vec<Result<PutOutcome>> {
        let names = requests.iter().map(|request| &request.mark.coordinate);
        let in_flight = self.in_flight_for(names);
        let answers: Vec<_> = requests.iter().map(|request| self.put(request)).collect();
        together(in_flight, answers).await
    }

    async fn get(&self, coordinate: &Coordinate) -> Result<StoredSecret> {
        self.read(coordinate)
            .await
            .map_err(self.error("get", coordinate))
    }

    async fn get_many(&self, coordinates: &[Coordinate]) -> Vec<Result<StoredSecret>> {
        let answers: Vec<_> = coordinates.iter().map(|it| self.get(it)).collect();
        together(self.in_flight(), answers).await
    }

    async fn describe(&self, coordinate: &Coordinate) -> Result<Description> {
        self.look(coordinate)
            .await
            .map_err(self.error("describe", coordinate))
    }

    async fn describe_many(&self, coordinates: &[Coordinate]) -> Vec<Result<Description>> {
        let answers: Vec<_> = coordinates.iter().map(|it| self.describe(it)).collect();
        together(self.in_flight(), answers).await
    }

    async fn list(&self, page: Option<&PageToken>) -> Result<ListPage> {
        list::list(self, page)
            .await
            .map_err(|failure| failure.to_error("list").with_backend(&self.id))
    }

    async fn delete(
        &self,
        coordinate: &Coordinate,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion> {
        let deletion = match precondition {
            None => delete::delete(self, coordinate, mode).await,
            Some(_) => Err(Failure::new(
                ErrorKind::Unsupported,
                "this manager has no preconditions",
            )),
        };
        deletion.map_err(self.error("delete", coordinate))
    }

    /// Many at once, except where one name is among them twice: then one after the other.
    async fn delete_many(
        &self,
        coordinates: &[Coordinate],
        mode: DeleteMode,
    ) -> Vec<Result<Deletion>> {
        let in_flight = self.in_flight_for(coordinates);
        let answers: Vec<_> = coordinates
            .iter()
            .map(|it| self.delete(it, mode, None))
            .collect();
        together(in_flight, answers).await
    }

    async fn restore(&self, coordinate: &Coordinate) -> Result<()> {
        delete::restore(self, coordinate)
            .await
            .map_err(self.error("restore", coordinate))
    }

    async fn lift_expiry(&self, coordinate: &Coordinate) -> Result<()> {
        self.lift(coordinate)
            .await
            .map_err(self.error("lift the expiry of", coordinate))
    }
}

#[async_trait]
impl Purge for VaultBackend {
    async fn purge(&self, mark: &Mark, window: Duration, now: Timestamp) -> Result<bool> {
        let purged = purge::purge(self, mark, window, now).await;
        purged.map_err(self.error("purge", &mark.coordinate))
    }

    async fn outlast_put(&self, mark: &Mark, window: Duration) -> Result<Option<Timestamp>> {
        let left = purge::outlast_put(self, mark, window).await;
        left.map_err(self.error("leave the mark of", &mark.coordinate))
    }
}

impl VaultBackend {
    fn in_flight_for<'a>(&self, names: impl IntoIterator<Item = &'a Coordinate>) -> usize {
        let mut seen = std::collections::HashSet::new();
        let distinct = names.into_iter().all(|name| seen.insert(name));
        if distinct { self.in_flight() } else { 1 }
    }
}

impl fmt::Debug for VaultBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultBackend")
            .field("id", &self.id)
            .field("manager", &self.manager)
            .finish_non_exhaustive()
    }
}

pub(crate) fn missing() -> Failure {
    Failure::new(ErrorKind::Missing, "there is no such secret")
}
