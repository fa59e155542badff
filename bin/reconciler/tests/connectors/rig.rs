//! A deployment for one connector: SQLite and the embedded backend in a folder of their own, on a
//! clock set by hand.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloakroom_backends_embedded::{EmbeddedBackend, KeyFile, Pool as EmbeddedPool};
use cloakroom_core::store::{Job, Store};
use cloakroom_core::{
    BackendId, BackendSet, Clock, Coordinate, KeySource, Randomness, SecretBackend, SecretState,
    SystemRandomness, Timestamp,
};
use cloakroom_documents::Documents;
use cloakroom_reconcile::{Reconciler, Report, RunOptions, Silent, is_epoch_mark};
use cloakroom_reconciler::demo::seeded::Seeded;
use cloakroom_store_db::{DbStore, Location, Options, Pool, StoreClock};
use cloakroom_testkit::canary::Folder;
use tokio_util::sync::CancellationToken;

/// Everything one connector's life needs.
pub(crate) struct Rig {
    pub(crate) documents: Documents,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) backend: Arc<dyn SecretBackend>,
    reconciler: Reconciler,
    clock: Arc<ManualClock>,
    database: DbStore,
    path: PathBuf,
    _folder: Folder,
}

struct ManualClock(Mutex<Timestamp>);

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

impl Rig {
    pub(crate) async fn new() -> Self {
        let folder = Folder::new().unwrap();
        let path = folder.path().join("cloakroom.db");
        let start: Timestamp = "2026-01-05T08:00:00Z".parse().unwrap();
        let clock = Arc::new(ManualClock(Mutex::new(start)));
        let shared: Arc<dyn Clock> = clock.clone();
        let randomness: Arc<dyn Randomness> = Arc::new(Seeded::new(1));

        let mut options = Options::new(Location::Sqlite(path.clone()), "connectors");
        options.clock = StoreClock::Given(shared.clone());
        options.randomness = randomness.clone();
        DbStore::migrate(&options).await.unwrap();
        let database = DbStore::open(&options).await.unwrap();
        let store: Arc<dyn Store> = Arc::new(database.clone());

        let key = folder.path().join("cloakroom.key");
        KeyFile::create(&key, &SystemRandomness).unwrap();
        let keys: Arc<dyn KeySource> = Arc::new(KeyFile::open(&key).unwrap());
        let Pool::Sqlite { write, read } = database.pool() else {
            panic!("not SQLite")
        };
        let id: BackendId = "embedded".parse().unwrap();
        let pool = EmbeddedPool::Sqlite { write, read };
        let system: Arc<dyn Randomness> = Arc::new(SystemRandomness);
        let backend = EmbeddedBackend::new(id.clone(), pool, keys.clone(), system, Some(shared));
        let backend: Arc<dyn SecretBackend> = Arc::new(backend);

        let backends = BackendSet::new(vec![backend.clone()], id).unwrap();
        let settings = cloakroom_documents::Settings::default();
        let documents = Documents::new(
            store.clone(),
            backends.clone(),
            keys.clone(),
            randomness.clone(),
            settings,
        );
        let reconciler = Reconciler::new(
            store.clone(),
            backends,
            keys,
            randomness,
            cloakroom_reconcile::Settings {
                share_from: u64::MAX,
                ..Default::default()
            },
            CancellationToken::new(),
        );
        Self {
            documents,
            store,
            backend,
            reconciler,
            clock,
            database,
            path,
            _folder: folder,
        }
    }

    pub(crate) fn advance(&self, by: Duration) {
        let mut now = self.clock.0.lock().unwrap();
        *now += by;
    }

    /// Runs the three jobs, verify-blobs with values.
    pub(crate) async fn reconcile(&self) -> Vec<Report> {
        let mut reports = Vec::new();
        for job in Job::ALL {
            let options = RunOptions {
                read_values: job == Job::VerifyBlobs,
                ..RunOptions::default()
            };
            let backend = self.backend.id();
            reports.push(
                self.reconciler
                    .run(job, backend, &options, &Silent)
                    .await
                    .unwrap(),
            );
        }
        reports
    }

    /// What documents refer to.
    pub(crate) async fn referenced(&self) -> BTreeSet<Coordinate> {
        let rows = self
            .store
            .references(self.backend.id(), None, u32::MAX)
            .await
            .unwrap();
        rows.into_iter().map(|row| row.coordinate).collect()
    }

    /// What the backend gives out, and what of it waits for its deletion.
    pub(crate) async fn listed(&self) -> (BTreeSet<Coordinate>, BTreeSet<Coordinate>) {
        let (mut enabled, mut waiting) = (BTreeSet::new(), BTreeSet::new());
        let mut page = self.backend.list(None).await.unwrap();
        loop {
            let secrets = page.secrets.into_iter();
            for listed in secrets.filter(|it| !is_epoch_mark(&it.coordinate)) {
                match listed.state {
                    SecretState::Enabled => enabled.insert(listed.coordinate),
                    _ => waiting.insert(listed.coordinate),
                };
            }
            let Some(next) = page.next else {
                return (enabled, waiting);
            };
            page = self.backend.list(Some(&next)).await.unwrap();
        }
    }

    /// Whether the database's files hold `text` anywhere, what was deleted included.
    pub(crate) fn files_hold(&self, text: &str) -> Option<PathBuf> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| {
                let bytes = std::fs::read(path).unwrap();
                bytes
                    .windows(text.len())
                    .any(|window| window == text.as_bytes())
            })
    }

    pub(crate) async fn close(self) {
        self.database.close().await;
    }
}
