//! A platform in memory beside a real database of Cloakroom's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::coordinates::{Coordinate, Grammar, Scope, Version};
use cloakroom_core::platform::{
    Mention, MentionKind, NamedPage, NamedSecret, NamedSecrets, PlatformNaming, PlatformTarget,
};
use cloakroom_core::store::Journal as _;
use cloakroom_core::{
    BackendId, Capabilities, DeleteMode, Deletion, Description, Digest, Error, ErrorKind, ListPage,
    Mark, PageToken, Precondition, PutOutcome, PutRequest, Result, RetryPolicy, SecretBackend,
    SecretValue, StoreId, StoredSecret,
};
use cloakroom_reconcile::{
    AirbyteNaming, CleanOptions, CleanReport, PlatformCleaner, PlatformReader, PlatformReport,
    PlatformSettings, Settings,
};
use cloakroom_store_db::{DbStore, Location, Options, Pool, StoreClock};
use cloakroom_testkit::clock::ManualClock;
use cloakroom_testkit::memory::MemoryBackend;
use cloakroom_testkit::randomness::SeededRandomness;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::adversary::{Adversary, Event};
use crate::source::Source;

pub const HOUR: Duration = Duration::from_hours(1);

/// The workspace that the platform has.
pub const HERE: Uuid = Uuid::from_u128(0xA11CE);

pub fn named(owner: Uuid, secret: u128, version: i64) -> String {
    scoped(Scope::Workspace, owner, secret, version)
}

pub fn scoped(scope: Scope, owner: Uuid, secret: u128, version: i64) -> String {
    let version = Version::new(version).unwrap();
    let secret = Uuid::from_u128(secret);
    let grammar = Grammar::default();
    let coordinate = grammar.managed(scope, owner, secret, version);
    coordinate.as_str().to_owned()
}

pub fn here(secret: u128, version: i64) -> String {
    named(HERE, secret, version)
}

pub fn base(name: &str) -> String {
    Coordinate::from_stored(name).unwrap().base().to_owned()
}

/// A connector's mention.
pub fn mention(name: &str) -> Mention {
    Mention {
        name: name.to_owned(),
        external: false,
        kind: MentionKind::Connector,
        keeps: true,
        column: "public.actor.configuration".into(),
        row: Some(Uuid::from_u128(7)),
        title: Some("Warehouse".into()),
        workspace: Some(HERE),
        tombstone: false,
        storage: Uuid::nil(),
    }
}

pub struct Stage {
    pub clock: ManualClock,
    pub manager: Arc<Manager>,
    pub source: Arc<Source>,
    pub reader: PlatformReader,
    pub store: Arc<DbStore>,
    pub settings: PlatformSettings,
    /// How clean-ups go about it.
    pub jobs: Settings,
    folder: tempfile::TempDir,
}

impl Stage {
    pub async fn new() -> Self {
        Self::lagging(Duration::ZERO).await
    }

    pub async fn lagging(lag: Duration) -> Self {
        Self::over(Capabilities {
            listing_lag: lag,
            ..MemoryBackend::CAPABILITIES
        })
        .await
    }

    /// Over a manager that says this of itself.
    pub async fn over(capabilities: Capabilities) -> Self {
        Self::of(
            capabilities,
            Arc::new(AirbyteNaming::new(Grammar::default())),
        )
        .await
    }

    /// The same, beside a platform that names secrets so.
    pub async fn of(capabilities: Capabilities, naming: Arc<dyn PlatformNaming>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::default();
        let mut options = Options::new(Location::Sqlite(folder.path().join("store.db")), "tests");
        options.clock = StoreClock::Given(Arc::new(clock.clone()));
        DbStore::migrate(&options).await.unwrap();
        let store = Arc::new(DbStore::open(&options).await.unwrap());
        let id: BackendId = "main".parse().unwrap();
        let adversary = Arc::new(Adversary::default());
        let manager = Arc::new(Manager {
            inner: MemoryBackend::new(id.clone(), Arc::new(clock.clone())),
            address: "here".into(),
            capabilities,
            trouble: Mutex::default(),
            moves: AtomicBool::new(false),
            adversary: adversary.clone(),
        });
        let source = Arc::new(Source::new(adversary));
        source.become_database("one");
        let settings = PlatformSettings {
            target: PlatformTarget {
                platform: "production".into(),
                backend: id,
            },
            naming,
            storage: Uuid::nil(),
            reads_bare_names: true,
            ephemeral: HOUR * 2,
            grace: HOUR * 24,
            backup_horizon: HOUR * 24 * 7,
            scope: BTreeMap::new(),
            dollars_per_secret_month: 0.1,
            page: 3,
            examples: 20,
            request: RetryPolicy {
                retries: 0,
                ..RetryPolicy::default()
            },
            lease: Duration::from_mins(3),
        };
        let reader = PlatformReader::new(
            source.clone(),
            manager.clone(),
            store.clone(),
            store.clone(),
            Arc::new(SeededRandomness::new(11)),
            settings.clone(),
        );
        Self {
            reader: reader.unwrap(),
            clock,
            manager,
            source,
            store,
            settings,
            jobs: Settings {
                batch: 2,
                page: 3,
                request: RetryPolicy {
                    retries: 0,
                    ..RetryPolicy::default()
                },
                ..Settings::default()
            },
            folder,
        }
    }

    /// Another manager, which the platform's secrets may move to.
    pub fn another(&self, id: &str) -> Arc<Manager> {
        self.another_that(id, MemoryBackend::CAPABILITIES)
    }

    /// The same, where it says this of itself.
    pub fn another_that(&self, id: &str, capabilities: Capabilities) -> Arc<Manager> {
        self.another_at(id, "here", capabilities)
    }

    /// The same, at another address.
    pub fn another_at(&self, id: &str, address: &str, capabilities: Capabilities) -> Arc<Manager> {
        let clock = Arc::new(self.clock.clone());
        Arc::new(Manager {
            inner: MemoryBackend::new(id.parse().unwrap(), clock),
            address: address.into(),
            capabilities,
            trouble: Mutex::default(),
            moves: AtomicBool::new(true),
            adversary: self.manager.adversary.clone(),
        })
    }

    /// Goes on with a copy of our own database, as whoever restores a backup or makes a clone does.
    pub async fn become_a_copy(&mut self) {
        let copy = self.folder.path().join("copy.db");
        let Pool::Sqlite { write, .. } = self.store.pool() else {
            unreachable!("a stage has SQLite");
        };
        let copied = format!("VACUUM INTO '{}'", copy.display());
        let copied = sqlx::query(sqlx::AssertSqlSafe(copied)).execute(&write);
        copied.await.unwrap();
        let mut options = Options::new(Location::Sqlite(copy), "tests");
        options.clock = StoreClock::Given(Arc::new(self.clock.clone()));
        self.store = Arc::new(DbStore::open(&options).await.unwrap());
    }

    /// How another process opens our own database.
    pub fn store_options(&self) -> Options {
        let path = self.folder.path().join("store.db");
        let mut options = Options::new(Location::Sqlite(path), "tests");
        options.clock = StoreClock::Given(Arc::new(self.clock.clone()));
        options
    }

    /// What cleans the platform, as it is configured now.
    pub fn cleaner(&self) -> PlatformCleaner {
        let (store, stop) = (self.store.clone(), CancellationToken::new());
        PlatformCleaner::new(self.fresh_reader(), store, self.jobs.clone(), stop)
    }

    /// What reads the platform, in another process.
    pub fn fresh_reader(&self) -> PlatformReader {
        let reader = PlatformReader::new(
            self.source.clone(),
            self.manager.clone(),
            self.store.clone(),
            self.store.clone(),
            // Every process draws names of its own.
            Arc::new(cloakroom_core::SystemRandomness),
            self.settings.clone(),
        );
        reader.unwrap()
    }

    /// An operator reads a plan and confirms it.
    pub async fn adopt(&self) {
        let cleaner = self.cleaner();
        let plan = cleaner.plan(100, &|_, _| {}).await.unwrap();
        cleaner.show(&plan).await.unwrap();
        cleaner.confirm(&plan.id, "ada").await.unwrap();
    }

    pub async fn clean_with(&self, options: CleanOptions) -> Result<CleanReport> {
        self.cleaner().clean(&options, &|_, _| {}).await
    }

    pub async fn clean(&self) -> CleanReport {
        self.clean_with(CleanOptions::default()).await.unwrap()
    }

    /// Cleans, and says whether that died at this request.
    pub async fn clean_killed_at(&self, at: u32) -> bool {
        let clean = Box::pin(async {
            self.clean().await;
        });
        self.manager.adversary.cut(at, clean).await
    }

    /// Lets that time go by with a pass every day.
    pub async fn watch(&self, time: Duration) {
        let mut left = time;
        while left > HOUR * 24 {
            self.clock.advance(HOUR * 24);
            self.fresh_reader().pass(&|_, _| {}).await.unwrap();
            left -= HOUR * 24;
        }
        self.clock.advance(left);
    }

    /// Whether the manager has it, and it does not wait for its deletion.
    pub async fn is_there(&self, name: &str) -> bool {
        let names = [name.to_owned()];
        let mut told = self.manager.inner.describe_named(&names).await;
        let told = told.pop().unwrap();
        told.is_ok_and(|it| it.state == cloakroom_core::SecretState::Enabled)
    }

    /// Writes secrets as the platform does.
    pub fn write(&self, names: impl IntoIterator<Item = String>) {
        for name in names {
            let value = SecretValue::from("value".to_owned());
            self.manager.inner.write_as_platform(&name, value).unwrap();
        }
    }

    /// Writes a secret of Cloakroom's own.
    pub fn mark(&self, name: &str) {
        let coordinate = Coordinate::from_stored(name).unwrap();
        let digest: Digest = format!("0123456789abcdef:{}", "ab".repeat(32))
            .parse()
            .unwrap();
        let mark = Mark {
            store: StoreId(Uuid::from_u128(1)),
            deployment: "tests".into(),
            coordinate: coordinate.clone(),
            digest,
            intent: None,
        };
        let value = SecretValue::from("value".to_owned());
        self.manager
            .inner
            .write_past(&coordinate, value, Some(mark));
    }

    pub fn mention(&self, mention: Mention) {
        self.source.mention(mention);
    }

    /// All that is in Cloakroom's own database, as it is on the disk.
    pub fn stored_bytes(&self) -> Vec<u8> {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        let bytes = files.map(|it| std::fs::read(it.unwrap().path()).unwrap());
        bytes.collect::<Vec<_>>().concat()
    }

    pub async fn pass(&self) -> Result<PlatformReport> {
        self.reader.pass(&|_, _| {}).await
    }

    /// Another process is at the platform.
    pub async fn hold_lease(&self) {
        let lease = self
            .store
            .acquire_lease("platform/production", "another", self.settings.lease);
        lease.await.unwrap().unwrap();
    }

    pub fn reader_over_nameless(&self) -> Result<PlatformReader> {
        PlatformReader::new(
            self.source.clone(),
            Arc::new(Nameless(self.manager.inner.clone())),
            self.store.clone(),
            self.store.clone(),
            Arc::new(SeededRandomness::new(11)),
            self.settings.clone(),
        )
    }
}

/// A manager that can be told to refuse.
pub struct Manager {
    pub inner: MemoryBackend,
    /// What it tells of where it is.
    address: String,
    capabilities: Capabilities,
    trouble: Mutex<Trouble>,
    /// Whether values may be read and written.
    moves: AtomicBool,
    pub adversary: Arc<Adversary>,
}

#[derive(Default)]
struct Trouble {
    lists: Option<ErrorKind>,
    later_pages: Option<ErrorKind>,
    describes: Option<ErrorKind>,
    left_out: BTreeSet<String>,
    /// Deletions of these fail, and so does taking an expiry off.
    stuck: BTreeMap<String, ErrorKind>,
    tags: BTreeMap<String, BTreeMap<String, String>>,
    destroyed: BTreeSet<String>,
    /// So many parts are beside the values of these.
    parts: BTreeMap<String, usize>,
    /// Nothing that is put would stay.
    keeps_nothing: bool,
    /// Descriptions tell neither times nor versions.
    is_vague: bool,
    tags_asked_for: usize,
}

impl Manager {
    /// How many secrets were asked for together with their tags.
    pub fn tags_asked_for(&self) -> usize {
        self.trouble.lock().unwrap().tags_asked_for
    }

    async fn describe(&self, names: &[String]) -> Vec<Result<NamedSecret>> {
        for name in names {
            self.adversary.meet(Event::Describing(name.clone())).await;
        }
        let refused = self.trouble.lock().unwrap().describes;
        if let Some(kind) = refused {
            let refuse = |_| Err(Error::new(kind, "describe", "refused"));
            return names.iter().map(refuse).collect();
        }
        let described = self.inner.describe_named(names).await;
        let tagged = described.into_iter().map(|it| it.map(|it| self.tagged(it)));
        tagged.collect()
    }

    /// Every page of a listing fails.
    pub fn refuse_lists(&self, kind: Option<ErrorKind>) {
        self.trouble.lock().unwrap().lists = kind;
    }

    /// Every page of a listing but the first fails.
    pub fn refuse_later_pages(&self, kind: Option<ErrorKind>) {
        self.trouble.lock().unwrap().later_pages = kind;
    }

    pub fn refuse_describes(&self, kind: Option<ErrorKind>) {
        self.trouble.lock().unwrap().describes = kind;
    }

    /// Deletions of it fail, and so does taking its expiry off, until `None`.
    pub fn refuse_deletion(&self, name: &str, kind: Option<ErrorKind>) {
        let mut trouble = self.trouble.lock().unwrap();
        match kind {
            Some(kind) => trouble.stuck.insert(name.to_owned(), kind),
            None => trouble.stuck.remove(name),
        };
    }

    /// Says from now on that it has this tag.
    pub fn tag(&self, name: &str, key: &str, value: &str) {
        let mut trouble = self.trouble.lock().unwrap();
        let tags = trouble.tags.entry(name.to_owned()).or_default();
        tags.insert(key.to_owned(), value.to_owned());
    }

    /// Says from now on that its value was destroyed.
    pub fn destroy(&self, name: &str) {
        let mut trouble = self.trouble.lock().unwrap();
        trouble.destroyed.insert(name.to_owned());
    }

    /// Says from now on that so much is beside its value.
    pub fn put_beside(&self, name: &str, parts: usize) {
        let mut trouble = self.trouble.lock().unwrap();
        trouble.parts.insert(name.to_owned(), parts);
    }

    /// Says from now on whether what is put would stay.
    pub fn keep_nothing(&self, is_so: bool) {
        self.trouble.lock().unwrap().keeps_nothing = is_so;
    }

    /// Says from now on neither when anything was changed nor which version it is.
    pub fn become_vague(&self) {
        self.trouble.lock().unwrap().is_vague = true;
    }

    fn tagged(&self, mut secret: NamedSecret) -> NamedSecret {
        let trouble = self.trouble.lock().unwrap();
        secret.tags = trouble.tags.get(&secret.name).cloned();
        if trouble.destroyed.contains(&secret.name) {
            secret.state = cloakroom_core::SecretState::Destroyed;
        }
        if trouble.is_vague {
            (secret.created, secret.changed) = (None, None);
            secret.precondition = None;
        }
        secret
    }

    /// A listing that has not heard of it yet.
    pub fn leave_out(&self, name: &str) {
        let mut trouble = self.trouble.lock().unwrap();
        trouble.left_out.insert(name.to_owned());
    }

    /// A listing that has heard of everything.
    pub fn list_all(&self) {
        self.trouble.lock().unwrap().left_out.clear();
    }

    /// From now on values may be read and written.
    pub fn let_move(&self) {
        self.moves.store(true, Ordering::Relaxed);
    }

    fn assert_moves(&self) {
        let moves = self.moves.load(Ordering::Relaxed);
        assert!(moves, "a report or a clean-up reads and writes no value");
    }

    pub fn disable(&self, name: &str) {
        let coordinate = Coordinate::from_stored(name).unwrap();
        self.inner.disable_past(&coordinate, true);
    }
}

#[async_trait]
impl NamedSecrets for Manager {
    async fn list_named(&self, page: Option<&PageToken>) -> Result<NamedPage> {
        let refused = {
            let trouble = self.trouble.lock().unwrap();
            let later = trouble.later_pages.filter(|_| page.is_some());
            trouble.lists.or(later)
        };
        if let Some(kind) = refused {
            return Err(Error::new(kind, "list", "refused"));
        }
        let mut listed = self.inner.list_named(page).await?;
        listed.secrets = listed
            .secrets
            .into_iter()
            .map(|it| self.tagged(it))
            .collect();
        let trouble = self.trouble.lock().unwrap();
        let there = |it: &NamedSecret| !trouble.left_out.contains(&it.name);
        listed.secrets.retain(there);
        Ok(listed)
    }

    async fn describe_named(&self, names: &[String]) -> Vec<Result<NamedSecret>> {
        self.trouble.lock().unwrap().tags_asked_for += names.len();
        self.describe(names).await
    }

    async fn describe_named_without_tags(&self, names: &[String]) -> Vec<Result<NamedSecret>> {
        let untagged = |it| NamedSecret { tags: None, ..it };
        let described = self.describe(names).await.into_iter();
        described.map(|it| it.map(untagged)).collect()
    }

    async fn read_named(&self, names: &[String]) -> Vec<Result<SecretValue>> {
        self.assert_moves();
        for name in names {
            self.adversary.meet(Event::Reading(name.clone())).await;
        }
        self.inner.read_named(names).await
    }

    async fn parts_beside_named(&self, name: &str) -> Result<usize> {
        self.assert_moves();
        let parts = self.trouble.lock().unwrap().parts.get(name).copied();
        Ok(parts.unwrap_or_default())
    }

    async fn keeps_named(&self) -> Result<()> {
        if self.trouble.lock().unwrap().keeps_nothing {
            return Err(Error::new(ErrorKind::Invalid, "put", "all expires"));
        }
        Ok(())
    }

    async fn put_named(&self, name: &str, value: &SecretValue) -> Result<()> {
        self.assert_moves();
        self.adversary.meet(Event::Putting(name.to_owned())).await;
        self.inner.put_named(name, value).await
    }

    async fn delete_named(
        &self,
        name: &str,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion> {
        let takes = self.capabilities.delete_precondition;
        assert!(
            takes || precondition.is_none(),
            "a precondition nobody takes"
        );
        let recovers = self.capabilities.recovery.is_some();
        assert!(recovers || mode == DeleteMode::Final, "{mode:?}");
        self.adversary.meet(Event::Deleting(name.to_owned())).await;
        let stuck = self.trouble.lock().unwrap().stuck.get(name).copied();
        if let Some(kind) = stuck {
            return Err(Error::new(kind, "delete", "refused"));
        }
        let deleted = self.inner.delete_named(name, mode, precondition).await;
        self.adversary.meet(Event::Deleted(name.to_owned())).await;
        deleted
    }

    async fn restore_named(&self, name: &str) -> Result<()> {
        self.adversary.meet(Event::Restoring(name.to_owned())).await;
        self.inner.restore_named(name).await
    }

    async fn lift_expiry_named(&self, name: &str) -> Result<()> {
        self.adversary.meet(Event::Lifting(name.to_owned())).await;
        let stuck = self.trouble.lock().unwrap().stuck.get(name).copied();
        if let Some(kind) = stuck {
            return Err(Error::new(kind, "lift the expiry", "refused"));
        }
        self.inner.lift_expiry_named(name).await
    }
}

macro_rules! as_a_backend {
    ($type:ty, |$it:ident| $inner:expr, $manager:expr, $capabilities:expr, $named:expr) => {
        #[async_trait]
        impl SecretBackend for $type {
            fn id(&self) -> &BackendId {
                let $it = self;
                $inner.id()
            }
            fn manager(&self) -> &str {
                let $it = self;
                $manager
            }
            fn capabilities(&self) -> &Capabilities {
                let $it = self;
                $capabilities
            }
            fn named(&self) -> Option<&dyn NamedSecrets> {
                let $it = self;
                $named
            }
            async fn put(&self, _: &PutRequest) -> Result<PutOutcome> {
                panic!("a report writes nothing")
            }
            async fn get(&self, _: &Coordinate) -> Result<StoredSecret> {
                panic!("a report reads no value")
            }
            async fn describe(&self, _: &Coordinate) -> Result<Description> {
                panic!("a platform's secrets are asked for by name")
            }
            async fn list(&self, _: Option<&PageToken>) -> Result<ListPage> {
                panic!("a platform's secrets are listed by name")
            }
            async fn delete(
                &self,
                _: &Coordinate,
                _: DeleteMode,
                _: Option<&Precondition>,
            ) -> Result<Deletion> {
                panic!("a report deletes nothing")
            }
            async fn restore(&self, _: &Coordinate) -> Result<()> {
                panic!("a report restores nothing")
            }
            async fn lift_expiry(&self, _: &Coordinate) -> Result<()> {
                panic!("a report changes nothing")
            }
        }
    };
}

as_a_backend!(
    Manager,
    |it| it.inner,
    &it.address,
    &it.capabilities,
    Some(it)
);

/// A manager that cannot be asked by a platform's names.
struct Nameless(MemoryBackend);

as_a_backend!(Nameless, |it| it.0, it.0.manager(), it.0.capabilities(), {
    let _ = it;
    None
});
