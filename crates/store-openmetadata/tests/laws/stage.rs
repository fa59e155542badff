//! What the laws of migration stand on: a database, two managers, and a journal in memory that can let
//! something happen between a copy and its switch.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use cloakroom_core::keys::Key;
use cloakroom_core::platform::{
    CopyName, FieldPlace, KeptAt, MigratedField, NewSecretMigration, SecretMigration,
    SecretMigrations, TakenTo,
};
use cloakroom_core::store::MoveState;
use cloakroom_core::{
    DeleteMode, Digest, Error, ErrorKind, KeyRing, MoveId, Result, SecretBackend as _, SecretValue,
    SystemClock, Timestamp,
};
use cloakroom_store_openmetadata::{
    Manager, MigrationGround, MigrationObserver, MigrationReport, OtherPlatform, SecretsMigration,
    Side,
};
use cloakroom_testkit::MemoryBackend;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::rotation::asked;
use crate::support::{Bench, Server, keys, seal};

pub(crate) const PASSWORD: &str = "/connection/config/authType/password";

pub(crate) enum Between {
    /// The process dies.
    Death,
    /// Somebody executes this.
    Statements(Bench, String),
}

type FieldKey = (Uuid, String, String, String);

fn key_of(id: MoveId, it: FieldPlace<'_>) -> FieldKey {
    let [table, row, pointer] = [it.table, it.row, it.pointer].map(str::to_owned);
    (id.0, table, row, pointer)
}

/// By platform, database, place and name.
type CopyKey = (String, String, String, String);

fn copied(it: &CopyName) -> CopyKey {
    let [platform, database, to, name] = [&it.platform, &it.database, &it.to, &it.name];
    (platform.clone(), database.clone(), to.clone(), name.clone())
}

/// A journal in memory.
#[derive(Default)]
pub(crate) struct Journal {
    /// What happens between the copies of a row and its switch, once.
    pub(crate) between: Mutex<Option<Between>>,
    /// A run comes no further, once, than to a copy of this name, and has removed what was there.
    pub(crate) ends_at: Mutex<Option<String>>,
    records: Mutex<Vec<SecretMigration>>,
    copies: Mutex<BTreeMap<CopyKey, Digest>>,
    /// By migration, table, row and pointer.
    fields: Mutex<BTreeMap<FieldKey, MigratedField>>,
    /// In the order in which they were noted.
    noted: Mutex<Vec<FieldKey>>,
    /// Where each platform's database keeps its secrets, and how many fields were noted by then.
    kept: Mutex<BTreeMap<(String, String), (KeptAt, usize)>>,
    /// Written before that was written down.
    is_of_before: AtomicBool,
}

#[async_trait]
impl SecretMigrations for Journal {
    async fn begin_migration(&self, new: &NewSecretMigration) -> Result<SecretMigration> {
        let mut records = self.records.lock().unwrap();
        let of_platform = |it: &&SecretMigration| it.platform == new.platform;
        let mut records_of = records.iter().filter(of_platform);
        if let Some(known) = records_of.find(|it| it.is_under_way()) {
            let places = (&known.database, &known.from, &known.to);
            let is_the_same = places == (&new.database, &new.from, &new.to);
            return if is_the_same && known.state == MoveState::Open {
                Ok(known.clone())
            } else {
                Err(known.in_the_way("begin a migration", &new.database))
            };
        }
        records.push(SecretMigration {
            id: new.id,
            platform: new.platform.clone(),
            database: new.database.clone(),
            from: new.from.clone(),
            to: new.to.clone(),
            state: MoveState::Open,
            started: Timestamp::UNIX_EPOCH,
        });
        Ok(records[records.len() - 1].clone())
    }

    async fn migration(&self, id: MoveId) -> Result<Option<SecretMigration>> {
        let records = self.records.lock().unwrap();
        Ok(records.iter().find(|it| it.id == id).cloned())
    }

    async fn migrations(&self, platform: &str, limit: u32) -> Result<Vec<SecretMigration>> {
        let records = self.records.lock().unwrap();
        let of_platform = records.iter().rev().filter(|it| it.platform == platform);
        Ok(of_platform.take(limit as usize).cloned().collect())
    }

    async fn set_migration(&self, id: MoveId, from: &[MoveState], to: MoveState) -> Result<()> {
        let mut records = self.records.lock().unwrap();
        let known = records.iter().find(|it| it.id == id).unwrap().clone();
        let others = records
            .iter()
            .find(|it| it.platform == known.platform && it.id != id && it.is_under_way());
        let begins = matches!(to, MoveState::Open | MoveState::Reversing);
        if let Some(other) = others.filter(|_| begins) {
            return Err(other.in_the_way("say where a migration stands", &known.database));
        }
        let record = records.iter_mut().find(|it| it.id == id).unwrap();
        if !from.contains(&record.state) {
            return Err(Error::new(ErrorKind::Conflict, "test", "elsewhere"));
        }
        record.state = to;
        Ok(())
    }

    async fn write_fields(&self, id: MoveId, fields: &[MigratedField]) -> Result<()> {
        let between = self.between.lock().unwrap().take();
        match between {
            Some(Between::Death) => return Err(Error::new(ErrorKind::Unavailable, "test", "dead")),
            Some(Between::Statements(bench, statements)) => bench.sql(&statements).await,
            None => {}
        }
        let mut all = self.fields.lock().unwrap();
        for it in fields {
            all.insert(key_of(id, it.place()), it.clone());
            self.noted.lock().unwrap().push(key_of(id, it.place()));
        }
        Ok(())
    }

    async fn migrated_fields(
        &self,
        id: MoveId,
        after: Option<&MigratedField>,
        limit: u32,
    ) -> Result<Vec<MigratedField>> {
        let after = after.map(|it| key_of(id, it.place()));
        let all = self.fields.lock().unwrap();
        let behind = all.iter().filter(|(key, _)| key.0 == id.0);
        let behind = behind.filter(|(key, _)| Some(*key) > after.as_ref());
        Ok(behind
            .map(|(_, it)| it.clone())
            .take(limit as usize)
            .collect())
    }

    async fn count_fields(&self, id: MoveId) -> Result<u64> {
        let all = self.fields.lock().unwrap();
        Ok(all.keys().filter(|key| key.0 == id.0).count() as u64)
    }

    async fn note_back(&self, id: MoveId, fields: &[MigratedField]) -> Result<()> {
        let mut records = self.records.lock().unwrap();
        let at = records.iter().position(|it| it.id == id).unwrap();
        let earlier = records[..at].iter().filter(|it| {
            let this = &records[at];
            (&it.platform, &it.database, &it.to) == (&this.platform, &this.database, &this.from)
        });
        let earlier: Vec<_> = earlier.map(|it| it.id).collect();
        let mut all = self.fields.lock().unwrap();
        for it in fields {
            all.get_mut(&key_of(id, it.place())).unwrap().taken_back = true;
            self.noted.lock().unwrap().push(key_of(id, it.place()));
            for earlier in &earlier {
                let left = all.get_mut(&key_of(*earlier, it.place()));
                if let Some(left) = left.filter(|left| left.to.is_some() && left.to == it.from) {
                    left.taken_back = false;
                    let record = records.iter_mut().find(|it| it.id == *earlier).unwrap();
                    if record.state == MoveState::Reversed {
                        record.state = MoveState::Finished;
                    }
                }
            }
        }
        Ok(())
    }

    async fn taken_on(&self, id: MoveId, place: FieldPlace<'_>) -> Result<Option<TakenTo>> {
        let records = self.records.lock().unwrap();
        let at = records.iter().position(|it| it.id == id).unwrap();
        let this = &records[at];
        let fields = self.fields.lock().unwrap();
        let later = records[at + 1..].iter().rev().filter(|it| {
            (&it.platform, &it.database) == (&this.platform, &this.database)
                && it.state != MoveState::Reversed
        });
        let mut switched = later.filter_map(|it| {
            let switched = fields.get(&key_of(it.id, place))?;
            (!switched.taken_back).then(|| taken(it, switched))
        });
        Ok(switched.next())
    }

    async fn passed_by(&self, id: MoveId, place: FieldPlace<'_>) -> Result<Option<MoveId>> {
        let records = self.records.lock().unwrap();
        let fields = self.fields.lock().unwrap();
        let at = records.iter().position(|it| it.id == id).unwrap();
        let this = &records[at];
        let passed = records[at + 1..].iter().rfind(|it| {
            (&it.platform, &it.database) == (&this.platform, &this.database)
                && it.to != this.to
                && it.state != MoveState::Reversed
                && !fields.contains_key(&key_of(it.id, place))
        });
        Ok(passed.map(|it| it.id))
    }

    async fn led_on(&self, id: MoveId, place: &str) -> Result<Option<MoveId>> {
        let (records, fields) = (self.records.lock().unwrap(), self.fields.lock().unwrap());
        let at = records.iter().position(|it| it.id == id).unwrap();
        let stands = |it: &&SecretMigration| {
            let mut fields = fields.iter().filter(|(key, _)| key.0 == it.id.0);
            it.to == place
                && it.state != MoveState::Reversed
                && fields.any(|(_, it)| !it.taken_back)
        };
        Ok(records[at + 1..].iter().rfind(stands).map(|it| it.id))
    }

    async fn keep_at(&self, platform: &str, database: &str, kept: &KeptAt) -> Result<()> {
        if self.is_of_before.load(Ordering::Relaxed) {
            return Ok(());
        }
        let of_platform = (platform.to_owned(), database.to_owned());
        let mut all = self.kept.lock().unwrap();
        let known = all.get(&of_platform).map(|(known, _)| &known.place);
        if kept.by.is_some() && known == Some(&kept.place) {
            return Ok(());
        }
        let records = self.records.lock().unwrap();
        let led_there = records
            .iter()
            .find(|it| Some(it.id) == kept.by && it.to == kept.place);
        let noted = self.noted.lock().unwrap();
        let others = noted
            .iter()
            .rposition(|key| led_there.is_none_or(|it| it.id.0 != key.0));
        let since = others.map_or(0, |last| last + 1);
        all.insert(of_platform, (kept.clone(), since));
        Ok(())
    }

    async fn kept_at(&self, platform: &str, database: &str) -> Result<Option<KeptAt>> {
        let all = self.kept.lock().unwrap();
        let kept = all.get(&(platform.to_owned(), database.to_owned()));
        Ok(kept.map(|(kept, _)| kept.clone()))
    }

    async fn taken_since(
        &self,
        platform: &str,
        database: &str,
        place: FieldPlace<'_>,
    ) -> Result<Option<TakenTo>> {
        let of_platform = (platform.to_owned(), database.to_owned());
        let kept = self.kept.lock().unwrap();
        let since = kept.get(&of_platform).map_or(0, |(_, since)| *since);
        Ok(self.taken_behind(since, (platform, database), place))
    }

    async fn taken_last(
        &self,
        platform: &str,
        database: &str,
        place: FieldPlace<'_>,
    ) -> Result<Option<TakenTo>> {
        Ok(self.taken_behind(0, (platform, database), place))
    }

    async fn take_over(&self, platform: &str, database: &str) -> Result<u64> {
        let mut records = self.records.lock().unwrap();
        let of_others = records
            .iter_mut()
            .filter(|it| it.platform == platform && it.database != database);
        let mut count = 0;
        for it in of_others {
            database.clone_into(&mut it.database);
            count += 1;
        }
        let mut copies = self.copies.lock().unwrap();
        let of_others =
            copies.extract_if(.., |(of, there, ..), _| of == platform && there != database);
        let of_others: Vec<_> = of_others.collect();
        for ((of, _, to, name), digest) in of_others {
            let key = (of, database.to_owned(), to, name);
            copies.entry(key).or_insert(digest);
        }
        let mut kept = self.kept.lock().unwrap();
        let of_platform = kept.extract_if(.., |(of, _), _| of == platform);
        let mut of_platform: Vec<_> = of_platform.collect();
        of_platform.sort_by_key(|((_, of), (_, since))| (of == database, *since));
        let last = of_platform.pop();
        kept.extend(last.map(|(_, it)| ((platform.to_owned(), database.to_owned()), it)));
        Ok(count)
    }

    async fn note_copy(&self, _: MoveId, copy: &CopyName, digest: &Digest) -> Result<()> {
        if self
            .ends_at
            .lock()
            .unwrap()
            .take_if(|it| *it == copy.name)
            .is_some()
        {
            return Err(Error::new(ErrorKind::Unavailable, "test", "dead"));
        }
        let key = copied(copy);
        self.copies.lock().unwrap().insert(key, digest.clone());
        Ok(())
    }

    async fn noted_copy(&self, copy: &CopyName) -> Result<Option<Digest>> {
        let key = copied(copy);
        Ok(self.copies.lock().unwrap().get(&key).cloned())
    }
}

impl Journal {
    fn taken_behind(
        &self,
        since: usize,
        (platform, database): (&str, &str),
        place: FieldPlace<'_>,
    ) -> Option<TakenTo> {
        let (records, fields) = (self.records.lock().unwrap(), self.fields.lock().unwrap());
        let noted = self.noted.lock().unwrap();
        noted[since..].iter().rev().find_map(|key| {
            let record = records.iter().find(|it| it.id.0 == key.0)?;
            let is_it = *key == key_of(record.id, place)
                && (&*record.platform, &*record.database) == (platform, database);
            is_it.then(|| taken(record, &fields[key]))
        })
    }
}

/// Where a migration took a field, or its way back did.
fn taken(it: &SecretMigration, field: &MigratedField) -> TakenTo {
    let (from, to) = ((&it.from, &field.from), (&it.to, &field.to));
    let (before, there) = if field.taken_back {
        (to, from)
    } else {
        (from, to)
    };
    TakenTo {
        migration: it.id,
        is_back: field.taken_back,
        from: before.0.clone(),
        place: there.0.clone(),
        from_name: before.1.clone(),
        to_name: there.1.clone(),
    }
}

/// A database, two managers, and a journal.
pub(crate) struct Stage {
    pub(crate) bench: Bench,
    pub(crate) aws: MemoryBackend,
    pub(crate) google: MemoryBackend,
    /// Parameter Store; the same one, unless a law says otherwise.
    pub(crate) ssm: MemoryBackend,
    /// The platform's.
    pub(crate) tags: &'static str,
    /// What each backend puts on what it writes.
    pub(crate) tags_of_backends: [(&'static str, &'static str); 1],
    pub(crate) platform: &'static str,
    /// The other platforms of the configuration.
    pub(crate) others: Vec<OtherPlatform>,
    pub(crate) journal: Arc<Journal>,
    /// Where an operator says that OpenMetadata keeps its secrets.
    pub(crate) set_to: Option<&'static str>,
    /// Where the configuration says so.
    pub(crate) configured: Option<&'static str>,
}

impl Stage {
    pub(crate) async fn new(bench: &Bench) -> Self {
        bench.with_a_table().await;
        Self::on(bench)
    }

    /// On a database that has its tables.
    pub(crate) fn on(bench: &Bench) -> Self {
        let google = backend("google");
        Self {
            bench: bench.clone(),
            aws: backend("aws"),
            ssm: google.clone(),
            google,
            tags: "",
            tags_of_backends: [("cost", "1")],
            platform: "om",
            others: Vec::new(),
            journal: Arc::default(),
            set_to: None,
            configured: None,
        }
    }

    /// With a journal in which nothing says where OpenMetadata keeps its secrets, as before the first run that is through:
    /// runs come in any order.
    pub(crate) fn in_any_order(self) -> Self {
        self.journal.is_of_before.store(true, Ordering::Relaxed);
        self
    }

    /// From now on Parameter Store is a manager of its own.
    pub(crate) fn ssm_is_another(&mut self) {
        self.ssm = backend("ssm");
    }

    pub(crate) fn manager(&self, place: &str) -> &MemoryBackend {
        match place {
            "aws" => &self.aws,
            "ssm" => &self.ssm,
            _ => &self.google,
        }
    }

    fn side(&self, place: &str) -> Side {
        let (manager, backend) = match place {
            "aws" => (Manager::Aws, &self.aws),
            "google" => (Manager::Google, &self.google),
            // Of the same ids as the first.
            "ssm" => (Manager::AwsSsm, &self.ssm),
            // Each could have made ids of the other's.
            "azure" => (Manager::AzureKeyVault, &self.aws),
            "kubernetes" => (Manager::Kubernetes, &self.google),
            _ => return Side::Database,
        };
        Side::Manager {
            manager,
            backend: Arc::new(backend.clone()),
            tags: BTreeMap::from(
                self.tags_of_backends
                    .map(|(key, it)| (key.into(), it.into())),
            ),
        }
    }

    pub(crate) fn migration(&self, from: &str, to: &str) -> SecretsMigration {
        self.migration_that(true, from, to)
    }

    /// One that may replace what an earlier one left, or may not.
    pub(crate) fn migration_that(
        &self,
        replaces_copies: bool,
        from: &str,
        to: &str,
    ) -> SecretsMigration {
        let ground = MigrationGround {
            replaces_copies,
            set_to: self.set_to.map(str::to_owned),
            configured: self.configured.map(str::to_owned),
            options: self.bench.options(),
            platform: self.platform.to_owned(),
            tags: self.tags.to_owned(),
            others: self.others.clone(),
            journal: self.journal.clone(),
            keys: Arc::new(KeyRing::new(vec![Key::derive([7; 32])]).unwrap()),
            clock: Arc::new(SystemClock),
        };
        SecretsMigration::new(ground, self.side(from), self.side(to)).unwrap()
    }

    pub(crate) async fn copy(&self, from: &str, to: &str) -> MigrationReport {
        self.copy_beside(from, to, &Unobserved).await
    }

    pub(crate) async fn copy_beside(
        &self,
        from: &str,
        to: &str,
        observer: &dyn MigrationObserver,
    ) -> MigrationReport {
        self.try_to_copy(from, to, observer).await.unwrap()
    }

    pub(crate) async fn try_to_copy(
        &self,
        from: &str,
        to: &str,
        observer: &dyn MigrationObserver,
    ) -> Result<MigrationReport> {
        // Above the ids that laws give themselves: one journal must never see an id twice.
        static RUNS: AtomicU64 = AtomicU64::new(1_000_000);
        let id = MoveId(Uuid::from_u128(RUNS.fetch_add(1, Ordering::Relaxed).into()));
        self.migration(from, to).copy(id, observer).await
    }

    pub(crate) async fn reverse(
        &self,
        from: &str,
        to: &str,
        done: &MigrationReport,
    ) -> MigrationReport {
        let migration = self.migration(from, to);
        let id = done.id.unwrap();
        let looked = migration.reverse(id, true, &Unobserved).await.unwrap();
        let back = migration.reverse(id, false, &Unobserved).await.unwrap();
        assert_eq!(looked, back, "a dry run tells what would be done");
        let mut beside = back.clone();
        let looked = migration.look_beside(&mut beside, false, &Unobserved);
        looked.await.unwrap();
        back
    }

    /// Adds a service whose fields hold these texts.
    pub(crate) async fn service(&self, number: u32, name: &str, config: Value) {
        self.service_in("dbservice_entity", number, name, config)
            .await;
    }

    pub(crate) async fn service_in(&self, table: &str, number: u32, name: &str, config: Value) {
        let entity = json!({
            "id": id(number), "name": name, "deleted": number == 4, "n": 1.0,
            "connection": {"config": config}
        });
        let text = self.bench.literal(&entity.to_string());
        let insert = format!("INSERT INTO {table} (json, nameHash) VALUES ('{text}', '{number}')");
        self.bench.sql(&insert).await;
    }

    pub(crate) async fn with_password(&self, number: u32, name: &str, text: &str) {
        let sealed = seal(&keys(), text);
        let config = json!({"authType": {"password": sealed}});
        self.service(number, name, config).await;
    }

    /// What a service's field holds, opened.
    pub(crate) async fn field(&self, number: u32, pointer: &str) -> Option<String> {
        let value = self.entity(number).await.pointer(pointer)?.clone();
        let text = value.as_str()?;
        let opened = keys().open(text).expect("it is sealed");
        Some(opened.expose_text().unwrap().to_owned())
    }

    pub(crate) async fn entity(&self, number: u32) -> Value {
        let question = format!(
            "SELECT {} FROM dbservice_entity WHERE id = '{}'",
            match self.bench.server {
                Server::Postgres => "json::text",
                Server::MariaDb | Server::MySql => "json",
            },
            id(number)
        );
        let found = asked(&self.bench, &question).await;
        serde_json::from_str(&found[0]).unwrap()
    }

    pub(crate) async fn edit(&self, number: u32, text: &str) {
        self.bench.sql(&edit(number, text)).await;
    }

    pub(crate) async fn look(&self, from: &str, to: &str) -> MigrationReport {
        self.migration(from, to).look(&Unobserved).await.unwrap()
    }
}

fn backend(name: &str) -> MemoryBackend {
    MemoryBackend::new(name.parse().unwrap(), Arc::new(SystemClock))
}

pub(crate) fn edit(number: u32, text: &str) -> String {
    edit_of(number, "edited", text)
}

pub(crate) fn edit_of(number: u32, name: &str, text: &str) -> String {
    let sealed = seal(&keys(), text);
    let entity = json!({
        "id": id(number), "name": name, "connection": {"config": {"authType": {"password": sealed}}}
    });
    format!(
        "UPDATE dbservice_entity SET json = '{entity}' WHERE id = '{}'",
        id(number)
    )
}

pub(crate) fn id(number: u32) -> Uuid {
    Uuid::from_u128((4 << 76) | (8 << 60) | u128::from(number))
}

pub(crate) async fn there(backend: &MemoryBackend, name: &str) -> Option<String> {
    let read = backend
        .named()
        .unwrap()
        .read_named(&[name.to_owned()])
        .await
        .remove(0);
    Some(read.ok()?.expose_text()?.to_owned())
}

pub(crate) async fn delete(backend: &MemoryBackend, name: &str) {
    let named = backend.named().unwrap();
    let deleted = named.delete_named(name, DeleteMode::Final, None).await;
    deleted.unwrap();
}

pub(crate) async fn put(backend: &MemoryBackend, name: &str, value: &str) {
    let value = SecretValue::from(value.to_owned());
    backend
        .named()
        .unwrap()
        .put_named(name, &value)
        .await
        .unwrap();
}

pub(crate) struct Unobserved;

impl MigrationObserver for Unobserved {}

pub(crate) fn on_aws(name: &str) -> String {
    format!("/openmetadata/database/{name}/authtype/password")
}

pub(crate) fn on_google(name: &str) -> String {
    format!("openmetadata_database_{name}_authtype_password")
}
