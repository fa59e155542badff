//! Secrets go to a manager, to another one, and back: every value is what it was, whoever edits a field
//! meanwhile keeps what he wrote, and a name that is taken destroys nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use cloakroom_core::coordinates::openmetadata::Naming;
use cloakroom_core::keys::Key;
use cloakroom_core::platform::{
    CopyName, MigratedField, NewSecretMigration, SecretMigration, SecretMigrations,
};
use cloakroom_core::store::MoveState;
use cloakroom_core::{
    Digest, Error, ErrorKind, KeyRing, MoveId, Result, SecretBackend as _, SecretValue,
    SystemClock, Timestamp,
};
use cloakroom_store_openmetadata::{
    Manager, MigrationGround, MigrationObserver, MigrationReport, SecretsMigration, Side,
};
use cloakroom_testkit::MemoryBackend;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::task::block_in_place;
use uuid::Uuid;

use crate::support::{Bench, keys, seal};

pub(crate) const PASSWORD: &str = "/connection/config/authType/password";

pub(crate) enum Between {
    /// The process dies.
    Death,
    /// Somebody executes this.
    Statements(Bench, String),
}

/// A journal in memory.
#[derive(Default)]
pub(crate) struct Journal {
    /// What happens between the copies of a row and its switch, once.
    pub(crate) between: Mutex<Option<Between>>,
    records: Mutex<Vec<SecretMigration>>,
    copies: Mutex<BTreeMap<String, Digest>>,
    fields: Mutex<BTreeMap<(String, String, String), MigratedField>>,
}

#[async_trait]
impl SecretMigrations for Journal {
    async fn begin_migration(&self, new: &NewSecretMigration) -> Result<SecretMigration> {
        let mut records = self.records.lock().unwrap();
        if let Some(open) = records.iter().find(|it| it.state == MoveState::Open) {
            return Ok(open.clone());
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
        self.fields.lock().unwrap().clear();
        Ok(records[records.len() - 1].clone())
    }

    async fn migration(&self, id: MoveId) -> Result<Option<SecretMigration>> {
        let records = self.records.lock().unwrap();
        Ok(records.iter().find(|it| it.id == id).cloned())
    }

    async fn set_migration(&self, id: MoveId, from: &[MoveState], to: MoveState) -> Result<()> {
        let mut records = self.records.lock().unwrap();
        let record = records.iter_mut().find(|it| it.id == id).unwrap();
        if !from.contains(&record.state) {
            return Err(Error::new(ErrorKind::Conflict, "test", "elsewhere"));
        }
        record.state = to;
        Ok(())
    }

    async fn write_fields(&self, _: MoveId, fields: &[MigratedField]) -> Result<()> {
        let between = self.between.lock().unwrap().take();
        match between {
            Some(Between::Death) => return Err(Error::new(ErrorKind::Unavailable, "test", "dead")),
            Some(Between::Statements(bench, statements)) => bench.sql(&statements).await,
            None => {}
        }
        let mut all = self.fields.lock().unwrap();
        for it in fields {
            let key = (it.table.clone(), it.row.clone(), it.pointer.clone());
            all.insert(key, it.clone());
        }
        Ok(())
    }

    async fn migrated_fields(
        &self,
        _: MoveId,
        after: Option<&MigratedField>,
        limit: u32,
    ) -> Result<Vec<MigratedField>> {
        let after = after.map(|it| (it.table.clone(), it.row.clone(), it.pointer.clone()));
        let all = self.fields.lock().unwrap();
        let behind = all.iter().filter(|(key, _)| Some(*key) > after.as_ref());
        Ok(behind
            .map(|(_, it)| it.clone())
            .take(limit as usize)
            .collect())
    }

    async fn note_copy(&self, _: MoveId, copy: &CopyName, digest: &Digest) -> Result<()> {
        let key = format!("{} {} {}", copy.database, copy.to, copy.name);
        self.copies.lock().unwrap().insert(key, digest.clone());
        Ok(())
    }

    async fn noted_copy(&self, copy: &CopyName) -> Result<Option<Digest>> {
        let key = format!("{} {} {}", copy.database, copy.to, copy.name);
        Ok(self.copies.lock().unwrap().get(&key).cloned())
    }
}

/// A database, two managers, and a journal.
pub(crate) struct Stage {
    pub(crate) bench: Bench,
    pub(crate) aws: MemoryBackend,
    pub(crate) google: MemoryBackend,
    pub(crate) journal: Arc<Journal>,
}

impl Stage {
    pub(crate) async fn new(bench: &Bench) -> Self {
        let backend = |name: &str| MemoryBackend::new(name.parse().unwrap(), Arc::new(SystemClock));
        bench.with_a_table().await;
        Self {
            bench: bench.clone(),
            aws: backend("aws"),
            google: backend("google"),
            journal: Arc::default(),
        }
    }

    fn side(&self, place: &str) -> Side {
        let (manager, backend) = match place {
            "aws" => (Manager::Aws, &self.aws),
            "google" => (Manager::Google, &self.google),
            _ => return Side::Database,
        };
        Side::Manager {
            manager,
            backend: Arc::new(backend.clone()),
        }
    }

    pub(crate) fn migration(&self, from: &str, to: &str) -> SecretsMigration {
        let ground = MigrationGround {
            options: self.bench.options(),
            platform: "om".to_owned(),
            journal: self.journal.clone(),
            keys: Arc::new(KeyRing::new(vec![Key::derive([7; 32])]).unwrap()),
            clock: Arc::new(SystemClock),
        };
        SecretsMigration::new(ground, self.side(from), self.side(to)).unwrap()
    }

    pub(crate) async fn copy(&self, from: &str, to: &str) -> MigrationReport {
        self.copy_beside(from, to, &Unobserved).await
    }

    async fn copy_beside(
        &self,
        from: &str,
        to: &str,
        observer: &dyn MigrationObserver,
    ) -> MigrationReport {
        static RUNS: AtomicU64 = AtomicU64::new(1);
        let id = MoveId(Uuid::from_u128(RUNS.fetch_add(1, Ordering::Relaxed).into()));
        self.migration(from, to).copy(id, observer).await.unwrap()
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
        back
    }

    /// Adds a service whose fields hold these texts.
    pub(crate) async fn service(&self, number: u32, name: &str, config: Value) {
        let entity = json!({
            "id": id(number), "name": name, "deleted": number == 4, "n": 1.0,
            "connection": {"config": config}
        });
        let text = self.bench.literal(&entity.to_string());
        let insert =
            format!("INSERT INTO dbservice_entity (json, nameHash) VALUES ('{text}', '{number}')");
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
                crate::support::Server::Postgres => "json::text",
                crate::support::Server::MariaDb => "json",
            },
            id(number)
        );
        let found = crate::rotation::asked(&self.bench, &question).await;
        serde_json::from_str(&found[0]).unwrap()
    }

    pub(crate) async fn edit(&self, number: u32, text: &str) {
        self.bench.sql(&edit(number, text)).await;
    }

    pub(crate) async fn look(&self, from: &str, to: &str) -> MigrationReport {
        self.migration(from, to).look(&Unobserved).await.unwrap()
    }
}

fn edit(number: u32, text: &str) -> String {
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

pub(crate) async fn from_the_database_to_managers_and_back(bench: Bench) {
    let stage = Stage::new(&bench).await;
    for number in 1..=30 {
        stage
            .with_password(number, &format!("s{number}"), &format!("value {number}"))
            .await;
    }
    let before = stage.entity(4).await;
    let looked = stage
        .migration("db", "aws")
        .look(&Unobserved)
        .await
        .unwrap();
    assert_eq!(
        (looked.moved, looked.id, looked.issues.len()),
        (30, None, 0)
    );
    assert_eq!(stage.entity(4).await, before);
    assert_eq!(there(&stage.aws, &on_aws("s1")).await, None);

    let forth = stage.copy("db", "aws").await;
    assert!(forth.is_complete(), "{forth:?}");
    assert_eq!((forth.moved, forth.verified), (30, 30));
    for number in 1..=30 {
        let name = on_aws(&format!("s{number}"));
        let value = format!("value {number}");
        assert_eq!(there(&stage.aws, &name).await, Some(value));
        assert_eq!(
            stage.field(number, PASSWORD).await,
            Some(format!("secret:{name}"))
        );
    }
    assert_eq!(
        stage.copy("db", "aws").await.moved,
        0,
        "nothing is left to be done"
    );

    let on = stage.copy("aws", "google").await;
    assert!(on.is_complete() && on.moved == 30, "{on:?}");
    let reference = Some(format!("secret:{}", on_google("s4")));
    assert_eq!(stage.field(4, PASSWORD).await, reference);
    assert_eq!(
        there(&stage.aws, &on_aws("s4")).await.as_deref(),
        Some("value 4")
    );
    let back = stage.reverse("aws", "google", &on).await;
    assert!(back.is_complete() && back.moved == 30, "{back:?}");
    assert_eq!(
        stage.field(4, PASSWORD).await,
        Some(format!("secret:{}", on_aws("s4")))
    );
    assert_eq!(
        stage.reverse("aws", "google", &on).await.moved,
        0,
        "it is over"
    );

    // An edit on the new side goes under the id that the field has: the way back must not lose it.
    let on = stage.copy("aws", "google").await;
    assert!(on.is_complete() && on.moved == 30, "{on:?}");
    let edited = on_google("s4");
    let delete = cloakroom_core::DeleteMode::Final;
    let google = stage.google.named().unwrap();
    google.delete_named(&edited, delete, None).await.unwrap();
    put(&stage.google, &edited, "edited there").await;
    let back = stage.reverse("aws", "google", &on).await;
    assert_eq!((back.moved, back.issue_count), (29, 1), "{back:?}");
    assert!(back.issues[0].message.contains("edited since"), "{back:?}");
    let reference = Some(format!("secret:{edited}"));
    assert_eq!(stage.field(4, PASSWORD).await, reference);
    google.delete_named(&edited, delete, None).await.unwrap();
    let back = stage.reverse("aws", "google", &on).await;
    assert!(back.is_complete(), "{back:?}");

    let home = stage.copy("aws", "db").await;
    assert!(home.is_complete() && home.moved == 30, "{home:?}");
    assert_eq!(stage.field(4, PASSWORD).await.as_deref(), Some("value 4"));
    let mut after = stage.entity(4).await;
    *after.pointer_mut(PASSWORD).unwrap() = before.pointer(PASSWORD).unwrap().clone();
    assert_eq!(after, before, "nothing else of the row has changed");
    let away = stage.reverse("aws", "db", &home).await;
    assert!(away.is_complete() && away.moved == 30, "{away:?}");
    assert_eq!(
        stage.field(4, PASSWORD).await,
        Some(format!("secret:{}", on_aws("s4")))
    );
}

pub(crate) async fn out_of_the_database_and_back_into_it(bench: Bench) {
    let stage = Stage::new(&bench).await;
    for number in 1..=4 {
        stage
            .with_password(number, &format!("s{number}"), &format!("value {number}"))
            .await;
    }
    let forth = stage.copy("db", "aws").await;
    // One is edited since, and of one the copy is gone: what it was is not known any more.
    stage.edit(2, "edited").await;
    let gone = on_aws("s3");
    let delete = cloakroom_core::DeleteMode::Final;
    stage
        .aws
        .named()
        .unwrap()
        .delete_named(&gone, delete, None)
        .await
        .unwrap();
    let back = stage.reverse("db", "aws", &forth).await;
    assert_eq!((back.moved, back.issue_count), (2, 2), "{back:?}");
    let kinds: Vec<_> = back.issues.iter().map(|it| it.kind).collect();
    assert_eq!(kinds, ["conflict", "missing"], "{back:?}");
    assert_eq!(stage.field(1, PASSWORD).await.as_deref(), Some("value 1"));
    assert_eq!(stage.field(2, PASSWORD).await.as_deref(), Some("edited"));
    assert_eq!(
        stage.field(3, PASSWORD).await,
        Some(format!("secret:{gone}"))
    );
    put(&stage.aws, &gone, "another value").await;
    let again = stage.reverse("db", "aws", &forth).await;
    assert_eq!((again.moved, again.issue_count), (2, 2), "{again:?}");
    assert!(
        again.issues[1].message.contains("not what it was"),
        "{again:?}"
    );
}

pub(crate) async fn a_name_that_is_taken_destroys_nothing(bench: Bench) {
    let stage = Stage::new(&bench).await;
    stage.with_password(1, "Sales EU", "value 1").await;
    stage.with_password(2, "sales_eu", "value 2").await;
    stage.with_password(3, "other", "value 3").await;
    stage.with_password(4, "same", "value 4").await;
    put(&stage.aws, &on_aws("other"), "somebody's").await;
    put(&stage.aws, &on_aws("same"), "value 4").await;
    let looked = stage
        .migration("db", "aws")
        .look(&Unobserved)
        .await
        .unwrap();
    let done = stage.copy("db", "aws").await;
    for report in [&looked, &done] {
        assert_eq!((report.moved, report.issue_count), (2, 2), "{report:?}");
        assert!(
            report.issues.iter().all(|it| it.kind == "conflict"),
            "{report:?}"
        );
    }
    assert_eq!(
        there(&stage.aws, &on_aws("other")).await.as_deref(),
        Some("somebody's")
    );
    assert_eq!(stage.field(3, PASSWORD).await.as_deref(), Some("value 3"));
    let shared = there(&stage.aws, &on_aws("sales_eu")).await.unwrap();
    let first = stage.field(1, PASSWORD).await.unwrap();
    let second = stage.field(2, PASSWORD).await.unwrap();
    let reference = format!("secret:{}", on_aws("sales_eu"));
    let expected = match shared.as_str() {
        "value 1" => [reference.as_str(), "value 2"],
        _ => ["value 1", reference.as_str()],
    };
    assert_eq!([first.as_str(), second.as_str()], expected);
}

/// Edits a row when the first ones are about to be seen to.
struct Meddling<'s> {
    stage: &'s Stage,
    edit: String,
    done: AtomicBool,
}

impl MigrationObserver for Meddling<'_> {
    fn about_to_write(&self, _: &str) {
        if !self.done.swap(true, Ordering::Relaxed) {
            let editing = self.stage.bench.sql(&self.edit);
            block_in_place(|| Handle::current().block_on(editing));
        }
    }
}

pub(crate) async fn an_edit_meanwhile_is_kept(bench: Bench) {
    let stage = Stage::new(&bench).await;
    for number in 1..=3 {
        stage
            .with_password(number, &format!("s{number}"), &format!("value {number}"))
            .await;
    }
    let meddling = Meddling {
        stage: &stage,
        edit: format!(
            "{}; DELETE FROM dbservice_entity WHERE id = '{}'",
            edit(2, "edited"),
            id(3)
        ),
        done: AtomicBool::new(false),
    };
    let done = stage.copy_beside("db", "aws", &meddling).await;
    assert!(done.is_complete() && done.moved == 2, "{done:?}");
    let name = on_aws("edited");
    assert_eq!(
        stage.field(2, PASSWORD).await,
        Some(format!("secret:{name}"))
    );
    assert_eq!(there(&stage.aws, &name).await.as_deref(), Some("edited"));
    // The same on the way back: what was edited stays.
    let back = stage.reverse("db", "aws", &done).await;
    assert!(back.moved == 2 && back.gone <= 1, "{back:?}");
}

pub(crate) async fn what_cannot_be_taken_along_is_told(bench: Bench) {
    let stage = Stage::new(&bench).await;
    let sealed = |text: &str| seal(&keys(), text);
    let config = json!({
        "authType": {"password": sealed("secret:/openmetadata/database/one/authtype/password")},
        "token": sealed("secret:/openmetadata/database/one/token"),
        "none": sealed("secret:/openmetadata/database/one/none"),
        "own": sealed("secret:/teams/own"),
        "clear": "in clear",
        "hosts": [{"password": sealed("secret:/openmetadata/database/one/hosts")}],
        "mask": sealed("*********"),
        "odd": sealed("secret:/openmetadata/database/one/odd"),
    });
    stage.service(1, "one", config).await;
    put(&stage.aws, &on_aws("one"), "value").await;
    put(&stage.aws, "/openmetadata/database/one/none", "null").await;
    put(
        &stage.aws,
        "/openmetadata/database/one/odd",
        "secret:/elsewhere",
    )
    .await;
    let done = stage.copy("aws", "google").await;
    assert_eq!((done.moved, done.nothing, done.own), (1, 1, 1), "{done:?}");
    let told: Vec<_> = done
        .issues
        .iter()
        .map(|it| (it.pointer.rsplit('/').next().unwrap_or_default(), it.kind))
        .collect();
    let expected = [
        ("password", "unsupported"),
        ("token", "missing"),
        ("odd", "invalid"),
    ];
    assert_eq!(told.len(), expected.len(), "{told:?}");
    assert!(expected.iter().all(|it| told.contains(it)), "{told:?}");
    assert!(done.issues.iter().all(|it| it.row == id(1).to_string()));
    let entity = stage.entity(1).await;
    assert_eq!(
        entity["connection"]["config"]["none"],
        Value::Null,
        "nothing is a null field"
    );
    assert_eq!(entity["connection"]["config"]["clear"], "in clear");
    let token = stage.field(1, "/connection/config/token").await;
    assert_eq!(
        token.as_deref(),
        Some("secret:/openmetadata/database/one/token")
    );
    let back = stage.reverse("aws", "google", &done).await;
    assert!(back.is_complete() && back.moved == 2, "{back:?}");
    let none = stage.field(1, "/connection/config/none").await;
    assert_eq!(
        none.as_deref(),
        Some("secret:/openmetadata/database/one/none")
    );

    let masked = stage
        .migration("db", "google")
        .look(&Unobserved)
        .await
        .unwrap();
    assert_eq!(
        (masked.moved, masked.issues[0].kind),
        (0, "invalid"),
        "{masked:?}"
    );
    let home = stage
        .migration("aws", "db")
        .look(&Unobserved)
        .await
        .unwrap();
    let own = home.issues.iter().filter(|it| it.pointer.ends_with("/own"));
    assert_eq!(
        (home.moved, home.nothing, own.count()),
        (1, 1, 1),
        "{home:?}"
    );
}

pub(crate) async fn every_kind_of_entity(bench: Bench) {
    let deployment = cloakroom_testkit::openmetadata::Deployment::new(
        20,
        Naming {
            prefix: String::new(),
            cluster: "openmetadata".to_owned(),
            manager: Manager::Aws,
        },
    );
    bench.fill(&deployment).await;
    let stage = Stage {
        journal: Arc::default(),
        aws: MemoryBackend::new("aws".parse().unwrap(), Arc::new(SystemClock)),
        google: MemoryBackend::new("google".parse().unwrap(), Arc::new(SystemClock)),
        bench: bench.clone(),
    };
    let managed: std::collections::BTreeSet<_> = deployment
        .planted()
        .filter(|it| !it.own)
        .map(|it| it.id)
        .collect();
    for name in &managed {
        put(&stage.aws, name, &format!("value of {name}")).await;
    }
    let done = stage.copy("aws", "google").await;
    assert!(done.is_complete(), "{done:?}");
    let fields = deployment.planted().filter(|it| !it.own).count() as u64;
    assert_eq!(done.moved, fields);
    let mut options = bench.options();
    options.provider = cloakroom_store_openmetadata::Provider::Managed(Manager::Google);
    let source = cloakroom_store_openmetadata::OpenMetadataSource::new(options).unwrap();
    let (found, _) = crate::support::scan(&source).await;
    let moved = found
        .mentions
        .iter()
        .filter(|it| it.name.starts_with("openmetadata_"));
    let names: std::collections::BTreeSet<_> = moved.map(|it| it.name.clone()).collect();
    assert_eq!(names.len(), managed.len());
    for name in names {
        assert!(there(&stage.google, &name).await.is_some(), "{name}");
    }
    let back = stage.reverse("aws", "google", &done).await;
    assert!(back.is_complete() && back.moved == fields, "{back:?}");
}
