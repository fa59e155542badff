//! The sample deployment: SQLite and the embedded backend in one folder, on a clock set by hand.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use cloakroom_backends_embedded::{EmbeddedBackend, KeyFile};
use cloakroom_core::store::Store;
use cloakroom_core::{
    BackendId, BackendSet, Clock, DocumentId, KeySource, Randomness, SecretBackend,
    SystemRandomness, Timestamp,
};
use cloakroom_documents::Documents;
use cloakroom_reconcile::Reconciler;
use cloakroom_store_db::{DbStore, Location, Options, Pool, StoreClock};
use sqlx::SqlitePool;
use tokio_util::sync::CancellationToken;

use super::clock::DemoClock;
use super::folder::{CONFIG, DATABASE, KEY};
use super::tally::{Deadline, Tally};
use crate::metrics::Metrics;
use crate::wiring;

/// What a configuration that names none calls its backend.
const BACKEND: &str = "embedded";

/// The deployment's name, in the mark of every secret.
const NAME: &str = "demo";

/// Metrics of the deployment's backend, all at 0.
pub(crate) fn metrics() -> Result<Arc<Metrics>> {
    let backend: BackendId = BACKEND.parse()?;
    Ok(Arc::new(Metrics::new(std::iter::once(&backend))?))
}

/// A deployment with everything it is made of.
pub(crate) struct Deployment {
    /// The configuration file for the command line.
    pub(crate) config: PathBuf,
    /// The clock of store and backend.
    pub(crate) clock: Arc<DemoClock>,
    /// The store.
    pub(crate) store: Arc<dyn Store>,
    /// The backend.
    pub(crate) backend: Arc<dyn SecretBackend>,
    /// The keys.
    pub(crate) keys: Arc<dyn KeySource>,
    /// The database itself, for a hand that damages it.
    pub(crate) pool: SqlitePool,
    /// How long a secret lives that nothing refers to yet.
    pub(crate) expires_in: Duration,
    /// A document that nobody damaged, for the reader to try things on.
    pub(crate) healthy: Option<DocumentId>,
    now: Timestamp,
    database: DbStore,
    randomness: Arc<dyn Randomness>,
    stop: CancellationToken,
}

impl Deployment {
    /// Makes an empty deployment in `folder`, whose clock shows `now`. Ids come from `randomness`,
    /// keys and ciphers from the system's whatever it is: a seed can be guessed. Requests to the backend
    /// are counted in `metrics`, as those of a service are.
    pub(crate) async fn make(
        folder: &std::path::Path,
        now: Timestamp,
        randomness: Arc<dyn Randomness>,
        metrics: Arc<Metrics>,
        stop: CancellationToken,
    ) -> Result<Self> {
        let clock = Arc::new(DemoClock::new(now));
        let shared: Arc<dyn Clock> = clock.clone();
        let path = folder.join(DATABASE);
        let mut options = Options::new(Location::Sqlite(path.clone()), NAME);
        options.clock = StoreClock::Given(shared.clone());
        options.randomness = randomness.clone();
        DbStore::migrate(&options).await?;
        let database = DbStore::open(&options).await?;
        let Pool::Sqlite { write, read } = database.pool() else {
            bail!("the demo's store is not SQLite")
        };
        let key = folder.join(KEY);
        KeyFile::create(&key, &SystemRandomness)?;
        let keys: Arc<dyn KeySource> = Arc::new(KeyFile::open(key)?);
        let id: BackendId = BACKEND.parse()?;
        let pool = cloakroom_backends_embedded::Pool::Sqlite {
            write: write.clone(),
            read,
        };
        let system: Arc<dyn Randomness> = Arc::new(SystemRandomness);
        let backend = EmbeddedBackend::new(id, pool, keys.clone(), system, Some(shared));
        let config = folder.join(CONFIG);
        fs::write(&config, configuration(&path)?)
            .with_context(|| format!("write {}", config.display()))?;
        Ok(Self {
            config,
            clock,
            store: Arc::new(database.clone()),
            backend: wiring::governed(Arc::new(backend), metrics),
            keys,
            pool: write,
            expires_in: cloakroom_documents::Settings::default().expires_in,
            healthy: None,
            now,
            database,
            randomness,
            stop,
        })
    }

    /// Documents whose secrets go to `backend`, which stands before the deployment's own.
    pub(crate) fn documents(&self, backend: Arc<dyn SecretBackend>) -> Result<Documents> {
        let id = backend.id().clone();
        let settings = cloakroom_documents::Settings {
            // One after the other, so that a seed always gives the same.
            puts_in_flight: 1,
            expires_in: self.expires_in,
            ..cloakroom_documents::Settings::default()
        };
        let backends = BackendSet::new(vec![backend], id)?;
        Ok(Documents::new(
            self.store.clone(),
            backends,
            self.keys.clone(),
            self.randomness.clone(),
            settings,
        ))
    }

    /// The jobs over it.
    pub(crate) fn reconciler(&self) -> Result<Reconciler> {
        let backends = BackendSet::new(vec![self.backend.clone()], self.backend.id().clone())?;
        Ok(Reconciler::new(
            self.store.clone(),
            backends,
            self.keys.clone(),
            self.randomness.clone(),
            cloakroom_reconcile::Settings::default(),
            self.stop.clone(),
        ))
    }

    /// When what is planted in it falls due.
    pub(crate) fn deadline(&self) -> Deadline {
        let settings = cloakroom_reconcile::Settings::default();
        Deadline::new(
            self.now,
            settings.windows,
            settings.backup_horizon,
            self.backend.capabilities(),
            self.expires_in,
        )
    }

    /// Finds a document that has secrets and that nobody damaged.
    pub(crate) async fn find_healthy(&mut self, tally: &Tally) -> Result<()> {
        let page = self.store.documents(None, 50).await?;
        let damaged = |id: DocumentId| tally.damage.iter().any(|damaged| damaged.document == id);
        let healthy = page
            .iter()
            .find(|document| !document.references.is_empty() && !damaged(document.id));
        self.healthy = healthy.map(|document| document.id);
        Ok(())
    }

    /// Stops waiting for the disk after each transaction, or waits again. Made-up data that a
    /// power cut takes is made again; what the jobs do is as safe as ever.
    pub(crate) async fn forget_the_disk(&self, forget: bool) -> Result<()> {
        let pragma = if forget {
            "PRAGMA synchronous = OFF"
        } else {
            "PRAGMA synchronous = FULL"
        };
        sqlx::query(pragma).execute(&self.pool).await?;
        Ok(())
    }

    /// Closes the database.
    pub(crate) async fn close(self) {
        self.database.close().await;
    }
}

/// The configuration that the other commands take.
fn configuration(database: &std::path::Path) -> Result<String> {
    let path = database
        .to_str()
        .context("the folder's name is not Unicode; choose another one")?;
    // A JSON text is a YAML text too, whatever is in it.
    let path = serde_json::to_string(path)?;
    Ok(format!(
        "# A sample deployment, made by `reconciler demo`.\n\
         deployment:\n  name: {NAME}\n\
         store:\n  sqlite:\n    path: {path}\n"
    ))
}
