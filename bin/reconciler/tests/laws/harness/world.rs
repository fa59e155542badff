//! A small world: a real store and the real embedded backend in one database, a clock that moves
//! when a law moves it, and everything decorated so that it can fail.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cloakroom_backends_embedded::EmbeddedBackend;
use cloakroom_core::config::node;
use cloakroom_core::keys::Key;
use cloakroom_core::ledger::{Ledger as _, LedgerRow};
use cloakroom_core::retry::RetryPolicy;
use cloakroom_core::store::{
    DocumentStore as _, Finding, FindingKind, Job, Journal as _, ReferenceSource as _, Store,
};
use cloakroom_core::{
    BackendId, BackendSet, Capabilities, Coordinate, Description, DocumentId, Error, KeyRing,
    KeySource, Mark, PutRequest, Result, SecretBackend, SecretJson, SecretState, WorkspaceId,
};
use cloakroom_documents::{DocumentSpec, Documents, Put, PutDone, Settings as DocumentSettings};
use cloakroom_reconcile::{Guard, Reconciler, Report, RunOptions, Settings, Silent, is_epoch_mark};
use cloakroom_store_db::{DbStore, Options, StoreClock};
use cloakroom_testkit::canary::{self, assert_clean};
use cloakroom_testkit::{ManualClock, MemoryBackend, SeededRandomness};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::backend::Decorated;
use super::canaries::{marked, unmarked};
use super::database::{self, Database, Kind};
use super::store::Crashing;

/// Everything a law needs.
pub(crate) struct World {
    pub(crate) clock: ManualClock,
    pub(crate) random: SeededRandomness,
    pub(crate) ring: KeyRing,
    pub(crate) db: DbStore,
    pub(crate) store: Arc<Crashing>,
    pub(crate) embedded: EmbeddedBackend,
    pub(crate) backend: Arc<Decorated>,
    pub(crate) documents: Documents,
    pub(crate) settings: Settings,
    pub(crate) stop: CancellationToken,
    database: Database,
}

/// Requests are tried twice, so that one fault is survived and two in a row are not; nobody waits.
pub(crate) const QUICK: RetryPolicy = RetryPolicy {
    retries: 1,
    first_pause: Duration::from_millis(1),
    longest_pause: Duration::from_millis(1),
    deadline: Duration::from_secs(30),
};

/// Requests are tried once.
pub(crate) const ONCE: RetryPolicy = RetryPolicy {
    retries: 0,
    ..QUICK
};

/// The deployment's name.
const DEPLOYMENT: &str = "laws";

pub(crate) const MASK: &str = "**********";

pub(crate) fn hours(hours: u64) -> Duration {
    Duration::from_hours(hours)
}

/// The last moment before `time` is over.
pub(crate) fn a_millisecond_less(time: Duration) -> Duration {
    time.saturating_sub(MILLISECOND)
}

pub(crate) const MILLISECOND: Duration = Duration::from_millis(1);

impl World {
    pub(crate) async fn new(kind: Kind, seed: u64) -> Self {
        Self::with_capabilities(kind, seed, |_| {}).await
    }

    /// A world whose backend says other things of itself than the embedded one does.
    pub(crate) async fn with_capabilities(
        kind: Kind,
        seed: u64,
        change: impl FnOnce(&mut Capabilities),
    ) -> Self {
        let clock = ManualClock::default();
        let random = SeededRandomness::new(seed);
        let database = Database::create(kind).await;
        let db = opened(&database, &clock, &random).await;
        let ring = KeyRing::new(vec![Key::derive([7; 32])]).unwrap();
        let embedded = EmbeddedBackend::new(
            "embedded".parse().unwrap(),
            database::pool_of(&db),
            Arc::new(ring.clone()),
            Arc::new(random.stream("nonces")),
            Some(Arc::new(clock.clone())),
        );
        let mut capabilities = embedded.capabilities().clone();
        change(&mut capabilities);
        let backend = Arc::new(Decorated::new(Arc::new(embedded.clone()), capabilities));
        Self::over(database, db, clock, random, ring, embedded, backend)
    }

    /// A world whose manager ends no recovery window itself.
    pub(crate) async fn keeping(kind: Kind, seed: u64) -> (Self, MemoryBackend) {
        let world = Self::new(kind, seed).await;
        let manager = MemoryBackend::new(world.id(), Arc::new(world.clock.clone())).keeping();
        let inner = Arc::new(manager.clone());
        let backend = Arc::new(Decorated::new(inner, MemoryBackend::CAPABILITIES));
        let Self {
            clock,
            random,
            ring,
            db,
            embedded,
            database,
            ..
        } = world;
        let world = Self::over(database, db, clock, random, ring, embedded, backend);
        (world, manager)
    }

    /// A copy of this world's database, and whoever works with that on the same manager.
    pub(crate) async fn copied(&self) -> Self {
        let database = self.database.copy(&self.db).await;
        let random = self.random.stream("copy");
        let db = opened(&database, &self.clock, &random).await;
        Self::over(
            database,
            db,
            self.clock.clone(),
            random,
            self.ring.clone(),
            self.embedded.clone(),
            self.backend.clone(),
        )
    }

    fn over(
        database: Database,
        db: DbStore,
        clock: ManualClock,
        random: SeededRandomness,
        ring: KeyRing,
        embedded: EmbeddedBackend,
        backend: Arc<Decorated>,
    ) -> Self {
        let store = Arc::new(Crashing::new(db.clone()));
        let documents = Documents::new(
            store.clone(),
            backends(&backend),
            Arc::new(ring.clone()),
            Arc::new(random.stream("documents")),
            DocumentSettings {
                put: QUICK,
                ..DocumentSettings::default()
            },
        );
        let settings = Settings {
            request: QUICK,
            ..Settings::default()
        };
        Self {
            clock,
            random,
            ring,
            db,
            store,
            embedded,
            backend,
            documents,
            settings,
            stop: CancellationToken::new(),
            database,
        }
    }

    /// Whatever the database holds in the end, no value is there in clear.
    pub(crate) async fn close(self) {
        for row in self.dump().await {
            assert_clean("the database", row.as_bytes());
        }
        self.db.close().await;
        self.database.drop().await;
    }

    pub(crate) fn id(&self) -> BackendId {
        self.backend.id().clone()
    }

    pub(crate) fn backends(&self) -> BackendSet {
        backends(&self.backend)
    }

    /// Documents under other settings.
    pub(crate) fn documents_with(&self, settings: DocumentSettings) -> Documents {
        self.documents_under(Arc::new(self.ring.clone()), settings)
    }

    /// Documents under other keys.
    pub(crate) fn documents_under(
        &self,
        keys: Arc<dyn KeySource>,
        settings: DocumentSettings,
    ) -> Documents {
        let random = Arc::new(self.random.stream("other documents"));
        Documents::new(self.store.clone(), self.backends(), keys, random, settings)
    }

    pub(crate) fn reconciler(&self) -> Reconciler {
        Reconciler::new(
            self.store.clone() as Arc<dyn Store>,
            self.backends(),
            Arc::new(self.ring.clone()),
            // Ids of runs must differ between reconcilers made of one world.
            Arc::new(
                self.random
                    .stream("jobs")
                    .stream(&self.random.below(u64::MAX).to_string()),
            ),
            self.settings.clone(),
            self.stop.clone(),
        )
    }

    /// One run of a job, as the schedule makes it.
    pub(crate) async fn run(&self, job: Job) -> Report {
        self.run_with(job, &RunOptions::default()).await.unwrap()
    }

    pub(crate) async fn dry_run(&self, job: Job) -> Report {
        let options = RunOptions {
            dry_run: true,
            ..RunOptions::default()
        };
        self.run_with(job, &options).await.unwrap()
    }

    pub(crate) async fn run_with(&self, job: Job, options: &RunOptions) -> Result<Report> {
        self.reconciler()
            .run(job, &self.id(), options, &Silent)
            .await
    }

    pub(crate) async fn try_run(&self, job: Job) -> Result<Report> {
        self.run_with(job, &RunOptions::default()).await
    }

    /// Long enough after the last write, each deletion job has run.
    pub(crate) async fn quiet_time_and_passes(&self) {
        // Laws litter more than any deployment does.
        let options = RunOptions {
            overrides: [Guard::Share].into(),
            ..RunOptions::default()
        };
        let passes = [
            (3, Job::ExpireOrphans),
            (48, Job::DeleteSuperseded),
            (0, Job::ExpireOrphans),
        ];
        for (wait, job) in passes {
            self.clock.advance(hours(wait));
            self.run_with(job, &options).await.unwrap();
        }
    }

    /// What the backend can give out, whosever it is.
    pub(crate) async fn living(&self) -> BTreeMap<Coordinate, Description> {
        let all = self.listed().await;
        all.into_iter()
            .filter(|(_, it)| it.state == SecretState::Enabled)
            .collect()
    }

    /// What the backend has, what waits for its deletion included. Epoch marks are no secrets.
    pub(crate) async fn listed(&self) -> BTreeMap<Coordinate, Description> {
        let mut listed = BTreeMap::new();
        let mut next = None;
        loop {
            let page = self.embedded.list(next.as_ref()).await.unwrap();
            listed.extend(
                page.secrets
                    .into_iter()
                    .filter(|it| !is_epoch_mark(&it.coordinate))
                    .map(|it| (it.coordinate.clone(), it)),
            );
            next = page.next;
            if next.is_none() {
                return listed;
            }
        }
    }

    pub(crate) async fn is_living(&self, coordinate: &Coordinate) -> bool {
        self.living().await.contains_key(coordinate)
    }

    /// Every coordinate that a document refers to.
    pub(crate) async fn referenced(&self) -> BTreeSet<Coordinate> {
        let rows = self.db.references(&self.id(), None, 100_000).await.unwrap();
        rows.into_iter().map(|row| row.coordinate).collect()
    }

    /// The backend holds what is referenced and nothing else.
    pub(crate) async fn assert_nothing_unused(&self, when: &str) {
        let living: BTreeSet<Coordinate> = self.living().await.into_keys().collect();
        assert_eq!(
            living,
            self.referenced().await,
            "the backend against the references, {when}"
        );
        assert_eq!(
            self.backend.lent_twice(),
            [],
            "coordinates given to two values, {when}"
        );
    }

    /// Whatever is referenced can be read.
    pub(crate) async fn assert_nothing_in_use_is_gone(&self, when: &str) {
        let living: BTreeSet<Coordinate> = self.living().await.into_keys().collect();
        let referenced = self.referenced().await;
        let lost: Vec<_> = referenced.difference(&living).collect();
        assert!(lost.is_empty(), "referenced and gone, {when}: {lost:?}");
    }

    pub(crate) async fn row(&self, coordinate: &Coordinate) -> Option<LedgerRow> {
        let rows = self
            .db
            .rows(&self.id(), std::slice::from_ref(coordinate))
            .await
            .unwrap();
        rows.into_iter().next().flatten()
    }

    /// Every row of the ledger.
    pub(crate) async fn rows(&self) -> Vec<LedgerRow> {
        let filter = cloakroom_core::store::SecretFilter::default();
        let page = self.db.list_secrets(&filter, None, 100_000).await;
        page.unwrap().rows
    }

    /// The findings of a run as the journal has them.
    pub(crate) async fn findings(&self, report: &Report) -> Vec<Finding> {
        self.db.findings(report.run, 0, 100_000).await.unwrap()
    }

    /// The findings of a run by kind, from the journal, held against its report.
    pub(crate) async fn found(&self, report: &Report) -> BTreeMap<FindingKind, u64> {
        let mut found = BTreeMap::new();
        for finding in self.findings(report).await {
            *found.entry(finding.kind).or_default() += 1;
        }
        assert_eq!(found, report.findings, "the journal against the report");
        found
    }

    /// A secret put past the ledger, under a mark of this store's.
    pub(crate) async fn plant(&self, coordinate: &Coordinate, mark: Mark, value: &str) {
        let mark = Mark {
            coordinate: coordinate.clone(),
            ..mark
        };
        let value = canary::marked(value);
        let request = PutRequest {
            mark,
            value,
            native_expiry: None,
        };
        self.embedded.put(&request).await.unwrap();
    }

    /// A mark of this store's; its digest is of nothing in particular.
    pub(crate) async fn mark(&self, coordinate: &Coordinate) -> Mark {
        let identity = self.db.identity().await.unwrap();
        Mark {
            store: identity.store,
            deployment: identity.deployment,
            coordinate: coordinate.clone(),
            digest: format!("{}:{}", self.ring.current().id(), "0".repeat(64))
                .parse()
                .unwrap(),
            intent: None,
        }
    }

    /// As [`cut`](super::cut), and then waits for what was already on its way to the database.
    pub(crate) async fn cut<F: Future>(&self, future: F, times: usize) -> Option<F::Output> {
        let done = super::cut(future, times).await;
        database::settle(&self.db).await;
        done
    }

    pub(crate) async fn dump(&self) -> Vec<String> {
        database::dump(&self.db).await
    }

    /// The same as [`World::behind_the_back`], where the schema would refuse it.
    pub(crate) async fn without_rules(&self, statement: &str) {
        let [off, on] = match self.file() {
            Some(_) => ["PRAGMA foreign_keys = OFF", "PRAGMA foreign_keys = ON"],
            None => [
                "SET session_replication_role = replica",
                "SET session_replication_role = DEFAULT",
            ],
        };
        self.behind_the_back(&format!("{off}; {statement}; {on}"))
            .await;
    }

    pub(crate) async fn behind_the_back(&self, statements: &str) {
        database::behind_the_back(&self.db, statements).await;
    }

    /// Takes a backup of the store; the manager is not part of it.
    pub(crate) async fn save(&self, name: &str) {
        database::save(&self.db, name).await;
    }

    /// Restores a backup of the store; the manager keeps what it has.
    pub(crate) async fn bring_back(&self, name: &str) {
        database::bring_back(&self.db, name).await;
    }

    /// The coordinate of this deployment's mark of an epoch.
    pub(crate) fn epoch_coordinate(number: i64) -> Coordinate {
        cloakroom_reconcile::epoch_mark(DEPLOYMENT, number).unwrap()
    }

    /// The ledger never heard of a secret under this backend's name.
    pub(crate) async fn forget_row(&self, coordinate: &Coordinate) {
        self.forget_row_of(coordinate, &self.id()).await;
    }

    pub(crate) async fn forget_row_of(&self, coordinate: &Coordinate, backend: &BackendId) {
        database::allow_deleting_rows(&self.db).await;
        self.behind_the_back(&format!(
            "DELETE FROM secrets WHERE coordinate = '{coordinate}' AND backend_id = '{backend}'"
        ))
        .await;
    }

    pub(crate) async fn delete_row(&self, coordinate: &Coordinate) {
        database::allow_deleting_rows(&self.db).await;
        self.behind_the_back(&format!(
            "DELETE FROM secrets WHERE coordinate = '{coordinate}'"
        ))
        .await;
    }

    pub(crate) fn file(&self) -> Option<PathBuf> {
        self.database.file()
    }

    pub(crate) fn files(&self) -> Vec<Vec<u8>> {
        self.database.files()
    }
}

async fn opened(database: &Database, clock: &ManualClock, random: &SeededRandomness) -> DbStore {
    let mut options = Options::new(database.location(), DEPLOYMENT);
    options.clock = StoreClock::Given(Arc::new(clock.clone()));
    options.randomness = Arc::new(random.stream("store"));
    options.max_connections = 4;
    DbStore::migrate(&options).await.unwrap();
    DbStore::open(&options).await.unwrap()
}

fn backends(backend: &Arc<Decorated>) -> BackendSet {
    let id = backend.id().clone();
    BackendSet::new(vec![backend.clone() as Arc<dyn SecretBackend>], id).unwrap()
}

/// Documents as most laws write them: three secrets, a list of them, and a host.
impl World {
    pub(crate) async fn create(&self, config: Value) -> PutDone {
        self.try_create(config).await.unwrap()
    }

    pub(crate) async fn try_create(&self, config: Value) -> Result<PutDone> {
        self.create_in(workspace(1), config).await
    }

    pub(crate) async fn create_in(&self, workspace: WorkspaceId, config: Value) -> Result<PutDone> {
        let spec = spec();
        let put = Put {
            id: None,
            workspace,
            spec: &spec,
            config: SecretJson::new(marked(config)),
            if_revision: None,
        };
        self.documents.put(put).await
    }

    pub(crate) async fn update(&self, id: DocumentId, config: Value) -> PutDone {
        self.try_update(id, config).await.unwrap()
    }

    pub(crate) async fn try_update(&self, id: DocumentId, config: Value) -> Result<PutDone> {
        self.update_through(&self.documents, id, config).await
    }

    pub(crate) async fn update_through(
        &self,
        documents: &Documents,
        id: DocumentId,
        config: Value,
    ) -> Result<PutDone> {
        let document = self.db.document(id).await?;
        let spec = spec();
        let put = Put {
            id: Some(id),
            workspace: document.map_or(workspace(1), |document| document.workspace),
            spec: &spec,
            config: SecretJson::new(marked(config)),
            if_revision: None,
        };
        documents.put(put).await
    }

    pub(crate) async fn hydrated(&self, id: DocumentId) -> Value {
        self.try_hydrated(id).await.unwrap()
    }

    pub(crate) async fn try_hydrated(&self, id: DocumentId) -> Result<Value, Error> {
        self.documents
            .hydrate(id)
            .await
            .map(|config| unmarked(config.into_exposed()))
    }

    /// The coordinate recorded for one place of a document.
    pub(crate) async fn coordinate(&self, id: DocumentId, pointer: &str) -> Coordinate {
        let document = self.db.document(id).await.unwrap().unwrap();
        let held = document
            .references
            .into_iter()
            .find(|held| held.pointer == pointer);
        held.unwrap_or_else(|| panic!("nothing is recorded at {pointer}"))
            .coordinate
    }

    /// Overwrites a document's blob behind the store's back.
    pub(crate) async fn replace_blob(&self, id: DocumentId, blob: &str) {
        let blob = blob.replace('\'', "''");
        let statement = format!("UPDATE documents SET blob = '{blob}' WHERE document_id = '{id}'");
        self.behind_the_back(&statement).await;
    }

    /// The node that stands for a secret.
    pub(crate) fn node(coordinate: &Coordinate) -> Value {
        node(coordinate, cloakroom_core::ValueKind::Text)
    }
}

pub(crate) fn spec() -> DocumentSpec {
    DocumentSpec::compile(&spec_json()).unwrap()
}

pub(crate) fn spec_json() -> Value {
    let secret = json!({"type": "string", "airbyte_secret": true});
    json!({"type": "object", "properties": {
        "a": secret, "b": secret, "c": secret,
        "t": {"type": "array", "items": secret},
        "host": {"type": "string"}
    }})
}

pub(crate) fn workspace(number: u128) -> WorkspaceId {
    WorkspaceId(Uuid::from_u128(
        0x4444_0000_0000_4000_8000_0000_0000_0000 + number,
    ))
}

/// A base of this store's that no document has ever used.
pub(crate) fn loose(number: u128) -> Coordinate {
    let secret = Uuid::from_u128(0x5555_0000_0000_4000_8000_0000_0000_0000 + number);
    cloakroom_core::Grammar::default().managed(
        cloakroom_core::Scope::Workspace,
        workspace(1).0,
        secret,
        cloakroom_core::Version::FIRST,
    )
}
