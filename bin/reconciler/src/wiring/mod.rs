//! From the configuration to store, keys, backends, documents and jobs.

mod backends;
mod budget;
mod connection;
mod governed;
mod keys;
mod place;
mod quota;
mod settings;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use cloakroom_backends_embedded::{EmbeddedBackend, Pool};
use cloakroom_core::{
    BackendId, BackendSet, Clock, Error, ErrorKind, KeySource, Randomness, SecretBackend,
    SystemRandomness,
};
use cloakroom_documents::Documents;
use cloakroom_reconcile::Reconciler;
use cloakroom_store_db::{DbStore, Location, MigrationReport, Options, StoreClock};
use tokio_util::sync::CancellationToken;

use crate::configuration::{Backend, Configuration, SecretReference, Store, key_of};
use crate::http::Token;
use crate::lost_database;
use crate::metrics::Metrics;
use crate::presence;
use governed::Governed;
use quota::Together;

pub use budget::RequestBudget;
pub use connection::{Connection, Refreshed};
pub use keys::open_file as open_key_file;
pub(crate) use settings::reconcile as job_settings;

/// What may be done to the database's schema when it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// Bring it to this program's.
    Migrate,
    /// Make the database where there is none and its place was chosen here: with no configuration
    /// the first command simply works. Otherwise a path with a typo would become an empty database.
    CreateWhereChosenHere,
    /// Nothing.
    Leave,
}

/// Where time and randomness come from.
#[derive(Clone)]
pub struct Surroundings {
    /// Random numbers.
    pub randomness: Arc<dyn Randomness>,
    /// The store's clock; `None` is the database's own.
    pub clock: Option<Arc<dyn Clock>>,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            randomness: Arc::new(SystemRandomness),
            clock: None,
        }
    }
}

/// Everything a command may need.
#[derive(Clone)]
pub struct Context {
    /// The configuration in force.
    pub configuration: Configuration,
    /// The store.
    pub store: Arc<DbStore>,
    /// The key-encryption keys.
    pub keys: Arc<dyn KeySource>,
    /// Every backend.
    pub backends: BackendSet,
    /// What their requests keep to.
    pub budgets: Vec<Arc<RequestBudget>>,
    /// The embedded ones among them.
    pub embedded: Vec<EmbeddedBackend>,
    /// The documents.
    pub documents: Documents,
    surroundings: Surroundings,
}

impl Context {
    /// Opens what the configuration names.
    pub async fn open(configuration: Configuration, schema: Schema) -> anyhow::Result<Self> {
        Self::open_within(configuration, schema, Surroundings::default()).await
    }

    /// Opens what the configuration names, and counts every request to a backend.
    pub async fn open_measured(
        configuration: Configuration,
        schema: Schema,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        Self::open_with(
            configuration,
            schema,
            Surroundings::default(),
            Some(metrics),
        )
        .await
    }

    /// Opens what the configuration names, with this time and randomness.
    pub async fn open_within(
        configuration: Configuration,
        schema: Schema,
        surroundings: Surroundings,
    ) -> anyhow::Result<Self> {
        Self::open_with(configuration, schema, surroundings, None).await
    }

    async fn open_with(
        configuration: Configuration,
        schema: Schema,
        surroundings: Surroundings,
        metrics: Option<Arc<Metrics>>,
    ) -> anyhow::Result<Self> {
        let options = options(&configuration, &surroundings)?;
        if schema == Schema::Migrate {
            make(&configuration, &options).await?;
        }
        let store = match DbStore::open(&options).await {
            Err(error) if schema == Schema::CreateWhereChosenHere => {
                create_where_chosen_here(&configuration, &options, error).await?
            }
            opened => opened?,
        };
        let store = Arc::new(store);
        let pool = pool_of(&store)?;
        let keys = keys::open(&configuration, &pool, &*surroundings.randomness).await?;
        keys::compare_with_digests(&*keys, &store, &configuration).await?;
        tell_of_the_clock(&store).await?;
        let withheld = configuration.secret_variables();
        let mut embedded = Vec::new();
        let mut budgets = Vec::new();
        let mut backends: Vec<Arc<dyn SecretBackend>> = Vec::new();
        for (name, section) in &configuration.backends {
            let id: BackendId = name.parse()?;
            let backend: Arc<dyn SecretBackend> = if section.is_embedded() {
                let backend = EmbeddedBackend::new(
                    id,
                    pool.clone(),
                    keys.clone(),
                    surroundings.randomness.clone(),
                    surroundings.clock.clone(),
                );
                embedded.push(backend.clone());
                Arc::new(backend)
            } else {
                let backend = Box::pin(backends::connect(id, section, &withheld)).await;
                backend.with_context(|| format!("backends.{name}"))?
            };
            let together = Together::with(name, &configuration.backends);
            let shared = budgets.iter().find(|budget: &&Arc<RequestBudget>| {
                Some(budget.backend().as_str()) == together.first()
            });
            let budget = Arc::new(match shared {
                Some(shared) => shared.beside(backend.id().clone()),
                None => RequestBudget::new(
                    backend.id().clone(),
                    &together.rates().correct(backend.capabilities().rates),
                    together.share(),
                    settings::patience(&configuration),
                ),
            });
            budgets.push(budget.clone());
            backends.push(Arc::new(Governed::new(backend, budget, metrics.clone())));
        }
        share_with_replicas(&store, &budgets).await;
        let mut backends = BackendSet::new(backends, settings::default_backend(&configuration)?)?;
        for (workspace, backend) in settings::bindings(&configuration)? {
            backends = backends.bind(workspace, backend)?;
        }
        let documents = Documents::new(
            store.clone(),
            backends.clone(),
            keys.clone(),
            surroundings.randomness.clone(),
            settings::documents(&configuration.documents)?,
        );
        Ok(Self {
            configuration,
            store,
            keys,
            backends,
            budgets,
            embedded,
            documents,
            surroundings,
        })
    }

    /// The jobs; cancelling `stop` ends a run after the batch under way.
    pub fn reconciler(&self, stop: CancellationToken) -> Reconciler {
        Reconciler::new(
            self.store.clone(),
            self.backends.clone(),
            self.keys.clone(),
            self.surroundings.randomness.clone(),
            settings::reconcile(&self.configuration.reconcile),
            stop,
        )
    }

    /// The backend that was asked for, or the only one there is.
    pub fn one_backend(&self, asked: Option<&BackendId>) -> anyhow::Result<BackendId> {
        if let Some(asked) = asked {
            return Ok(self.backends.get(asked)?.id().clone());
        }
        let names: Vec<&BackendId> = self.backends.iter().map(|backend| backend.id()).collect();
        match names.as_slice() {
            [only] => Ok((*only).clone()),
            several => {
                let names: Vec<&str> = several.iter().map(|name| name.as_str()).collect();
                anyhow::bail!(
                    "there are several backends; say which with --backend: {}",
                    names.join(", ")
                )
            }
        }
    }

    /// What keeps the database URL up to date while a service runs; `None` where there is none.
    pub fn connection(&self) -> Option<Connection> {
        Connection::new(&self.configuration, self.store.clone())
    }

    /// What there is to say of an empty database that may stand in the place of a lost one.
    pub async fn doubt(&self) -> cloakroom_core::Result<Option<String>> {
        let platforms = self.configuration.platforms.keys().map(String::as_str);
        lost_database::doubt(&self.store, self.key_file().as_deref(), platforms).await
    }

    /// Says it in the log, for whatever acts on the database.
    pub async fn log_doubt(&self) -> cloakroom_core::Result<()> {
        if let Some(doubt) = self.doubt().await? {
            tracing::warn!("{doubt}");
        }
        Ok(())
    }

    /// The file of the key-encryption keys; `None` where they are in no file.
    pub fn key_file(&self) -> Option<PathBuf> {
        match place::keys(&self.configuration) {
            Ok(SecretReference::File(path)) => Some(path),
            _ => None,
        }
    }

    /// Where random ids come from.
    pub fn randomness(&self) -> Arc<dyn Randomness> {
        self.surroundings.randomness.clone()
    }

    /// Gives the connections back.
    pub async fn close(&self) {
        self.store.close().await;
    }
}

/// Warns where the machine's clock was set back, or was ahead before.
async fn tell_of_the_clock(store: &DbStore) -> anyhow::Result<()> {
    let behind = store.clock_is_behind().await?;
    if behind > CLOCK_MAY_BE_BEHIND {
        tracing::warn!(
            "this machine's clock is {} behind what was last written in the database: it was set back, or \
             was ahead before. Up to 31 days nothing goes early by that: what is written until it has caught \
             up stays for so much longer. Beyond, the next write believes the clock, and a grace that is \
             counted from then can end early. Set a wrong clock right before you go on",
            humantime::format_duration(Duration::from_secs(behind.as_secs()))
        );
    }
    Ok(())
}

/// Clocks are corrected by seconds all the time.
const CLOCK_MAY_BE_BEHIND: Duration = Duration::from_mins(1);

/// Leaves the replicas that serve their part of each quota, and takes one as another of them. Who
/// cannot count them takes the whole share: requests are throttled then, and slow down.
async fn share_with_replicas(store: &DbStore, budgets: &[Arc<RequestBudget>]) {
    let limited = |budget: &Arc<RequestBudget>| {
        let mut figures = budget.figures();
        figures.any(|figures| figures.allowance.is_some())
    };
    if !budgets.iter().any(limited) {
        return;
    }
    match presence::count(store).await {
        Ok(serving) => {
            for budget in budgets {
                budget.set_replicas(serving.saturating_add(1));
            }
        }
        Err(error) => tracing::warn!(error = %error, "could not count the replicas"),
    }
}

/// Brings the database to this program's schema.
pub async fn migrate(configuration: &Configuration) -> anyhow::Result<MigrationReport> {
    let options = options(configuration, &Surroundings::default())?;
    make(configuration, &options).await
}

/// The configuration in force, the places of database and keys written out where they were chosen
/// here.
pub fn in_force(configuration: &Configuration) -> Configuration {
    place::written_out(configuration)
}

/// Looks whether a manager's own crate takes its settings. No secret is read.
pub fn validate_backend(section: &Backend) -> anyhow::Result<()> {
    backends::validate(section)
}

/// Looks whether each manager's own crate takes its settings, and reads every secret the configuration
/// refers to, without using any.
pub fn check_references(configuration: &Configuration) -> anyhow::Result<()> {
    if let Store::Postgres(postgres) = &configuration.store {
        postgres.url.read().context("store.postgres.url")?;
    }
    for (name, section) in &configuration.backends {
        backends::validate(section).with_context(|| format!("backends.{name}"))?;
        for reference in section.references() {
            reference.read().with_context(|| {
                let key = key_of(section, &reference).map(|key| format!(".{key}"));
                format!("backends.{name}{}", key.unwrap_or_default())
            })?;
        }
    }
    for (name, platform) in &configuration.platforms {
        for (key, reference) in platform.references() {
            let read = reference.read();
            read.with_context(|| format!("platforms.{name}.{key}"))?;
        }
    }
    Token::open(configuration.http.token_file.as_deref())?;
    keys::check(configuration)
}

fn options(configuration: &Configuration, surroundings: &Surroundings) -> anyhow::Result<Options> {
    let name = &configuration.deployment.name;
    let mut options = match &configuration.store {
        Store::Sqlite(_) => {
            let place = place::sqlite(configuration)?.context("SQLite has no place")?;
            Options::new(Location::Sqlite(place.path), name)
        }
        Store::Postgres(postgres) => {
            let url = postgres.url.read().context("store.postgres.url")?;
            let mut options = Options::new(Location::Postgres(url), name);
            options.max_connections = postgres.connections;
            options.acquire_timeout = postgres.acquire_timeout.0;
            options.statement_timeout = postgres.statement_timeout.0;
            options
        }
    };
    options.randomness = surroundings.randomness.clone();
    options.clock = surroundings
        .clock
        .clone()
        .map_or(StoreClock::Database, StoreClock::Given);
    Ok(options)
}

/// A first start, or one beside another's first start: a database without a schema is made, whoever
/// left it so. Any other stays as it is, and `error` with it.
async fn create_where_chosen_here(
    configuration: &Configuration,
    options: &Options,
    error: Error,
) -> anyhow::Result<DbStore> {
    let chosen_here = place::sqlite(configuration)?.is_some_and(|place| place.chosen_here);
    if !chosen_here || error.kind() != ErrorKind::Invalid {
        return Err(error.into());
    }
    if DbStore::is_blank(options).await? {
        make(configuration, options).await?;
    }
    // Where it was not blank, somebody may have made it since it could not be opened.
    Ok(DbStore::open(options).await?)
}

/// Makes what is missing of the database and brings its schema to this program's.
async fn make(configuration: &Configuration, options: &Options) -> anyhow::Result<MigrationReport> {
    make_chosen_folder(configuration)?;
    Ok(DbStore::migrate(options).await?)
}

fn make_chosen_folder(configuration: &Configuration) -> anyhow::Result<()> {
    match place::sqlite(configuration)? {
        Some(place) if place.chosen_here => place::make_folder(&place.path),
        _ => Ok(()),
    }
}

/// A backend as every command uses it, with all that its manager lets through; requests to it are
/// counted in `metrics`.
pub(crate) fn governed(
    backend: Arc<dyn SecretBackend>,
    metrics: Arc<Metrics>,
) -> Arc<dyn SecretBackend> {
    let id = backend.id().clone();
    let budget = RequestBudget::new(id, &backend.capabilities().rates, 1.0, Duration::MAX);
    Arc::new(Governed::new(backend, Arc::new(budget), Some(metrics)))
}

/// The store's database, as the embedded backend knows it.
pub fn pool_of(store: &DbStore) -> anyhow::Result<Pool> {
    match store.pool() {
        cloakroom_store_db::Pool::Sqlite { write, read } => Ok(Pool::Sqlite { write, read }),
        cloakroom_store_db::Pool::Postgres(pool) => Ok(Pool::Postgres {
            pool,
            longest_silence: store.longest_silence(),
        }),
        _ => anyhow::bail!("the embedded backend does not know this kind of database"),
    }
}
