//! The laws of Secret Manager asked by a platform's names, beside a platform that writes as Airbyte
//! does: a secret of that id, and a version each time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_backends_gcp::GcpSettings;
use cloakroom_core::platform::NamedSecret;
use cloakroom_core::{
    DeleteMode, Error, ErrorKind, Result, SecretBackend, SecretState, SecretValue,
};
use cloakroom_testkit::canary::marked;
use cloakroom_testkit::conformance::{Permission, Subject};
use cloakroom_testkit::named::{NamedManager, NamedSubject, Spelling};

use google_cloud_wkt as wkt;

use crate::double::{Double, Namespace, backend, payload, permissions, plain};
use crate::laws;

laws![
    an_expiry_is_taken_off_with_the_rights_of_a_clean_up,
    labels_are_listed_and_described,
];

const CLEAN: &str = include_str!("../../../../deploy/policies/airbyte/gcp-clean.yaml");

const PREFIX: &str = "team-";

/// A project, and the backend of one team in it.
struct Platform {
    here: Namespace,
    backend: Arc<dyn SecretBackend>,
}

#[async_trait]
impl NamedManager for Double {
    async fn named_subject(&self) -> Result<Box<dyn NamedSubject>> {
        let here = Namespace::new(self.project());
        let mut settings = here.project.settings();
        PREFIX.clone_into(&mut settings.prefix);
        let backend = Arc::new(backend(settings));
        Ok(Box::new(Platform { here, backend }))
    }
}

impl Platform {
    async fn write(&self, id: &str, value: &SecretValue) -> Result<()> {
        let (others, parent) = (
            self.here.project.others().await,
            format!("projects/{}", self.here.project.name),
        );
        let create = others.create_secret().set_parent(&parent);
        // One that is there gets another version.
        let _ = create.set_secret_id(id).set_secret(plain()).send().await;
        let add = others.add_secret_version();
        let add = add.set_parent(format!("{parent}/secrets/{id}"));
        let added = add.set_payload(payload(value)).send().await;
        added.map(drop).map_err(|_| refused("add a version"))
    }
}

#[async_trait]
impl Subject for Platform {
    fn backend(&self) -> Arc<dyn SecretBackend> {
        Arc::clone(&self.backend)
    }

    fn misled(&self) -> Option<Arc<dyn SecretBackend>> {
        self.here.misled()
    }

    async fn without(&self, permission: Permission) -> Result<Option<Arc<dyn SecretBackend>>> {
        let token = match permission {
            Permission::Read => "not:secretmanager.versions.access",
            _ => return Ok(None),
        };
        let project = &self.here.project;
        let backend = backend(GcpSettings {
            credentials: project.double.credentials(token),
            prefix: PREFIX.to_owned(),
            ..project.settings()
        });
        Ok(Some(Arc::new(backend)))
    }

    fn several_pages(&self) -> usize {
        self.here.several_pages()
    }
}

#[async_trait]
impl NamedSubject for Platform {
    async fn write_as_platform(&self, name: &str, value: &SecretValue) -> Result<()> {
        self.write(&format!("{PREFIX}{name}"), value).await
    }

    async fn read_as_platform(&self, name: &str) -> Result<SecretValue> {
        let name = format!(
            "projects/{}/secrets/{PREFIX}{name}/versions/latest",
            self.here.project.name
        );
        let access = self.here.project.others().await.access_secret_version();
        let read = access.set_name(name).send().await;
        let payload = read.map_err(|_| refused("read"))?.payload;
        Ok(SecretValue::new(payload.unwrap_or_default().data.into()))
    }

    async fn write_beyond(&self, value: &SecretValue) -> Result<()> {
        self.write("airbyte_x_v1", value).await
    }

    fn spelling(&self, name: &str) -> Spelling {
        if name.contains('/') {
            Spelling::Forbidden
        } else {
            Spelling::Listed
        }
    }
}

async fn described(backend: &dyn SecretBackend, name: &str) -> Result<NamedSecret> {
    let named = backend.named().unwrap();
    named.describe_named(&[name.to_owned()]).await.remove(0)
}

/// What somebody lets expire stays, once that is taken off, and nothing of its value is read or written.
async fn an_expiry_is_taken_off_with_the_rights_of_a_clean_up(double: Double) -> Result<()> {
    let project = double.project();
    let others = project.others().await;
    let (name, value) = ("airbyte_x_v1", marked("value"));
    let cleaner = project.with_token(&format!("only:{}", permissions(CLEAN)));
    let named = cleaner.named().unwrap();
    let missing = named.lift_expiry_named(name).await.unwrap_err();
    assert!(missing.is_missing(), "{missing}");
    let expiring = plain()
        .set_labels([("team", "data")])
        .set_ttl(wkt::Duration::clamp(3_600, 0));
    let parent = format!("projects/{}", project.name);
    let create = others.create_secret().set_parent(&parent);
    let create = create.set_secret_id(name).set_secret(expiring);
    create.send().await.unwrap();
    let path = format!("{parent}/secrets/{name}");
    let add = others.add_secret_version().set_parent(&path);
    add.set_payload(payload(&value)).send().await.unwrap();
    let before = described(&cleaner, name).await?;
    assert!(before.native_expiry.is_some(), "{before:?}");
    let listed = named.list_named(None).await?.secrets;
    assert_eq!(listed[0].native_expiry, before.native_expiry);
    for _ in 0..2 {
        named.lift_expiry_named(name).await?;
        let lifted = described(&cleaner, name).await?;
        assert_eq!(
            (lifted.native_expiry, lifted.state),
            (None, SecretState::Enabled)
        );
        assert_eq!(lifted.changed, before.changed, "nothing was written");
    }
    let secret = others.get_secret().set_name(&path).send().await.unwrap();
    assert_eq!(secret.labels["team"], "data");
    let read = project.backend();
    let read = read.named().unwrap().read_named(&[name.to_owned()]).await;
    assert!(read.into_iter().all(|it| it.is_ok_and(|it| it == value)));

    // What was deleted is brought back first: its expiry is the end of the window.
    let window = DeleteMode::Recoverable(Duration::from_hours(24));
    named.delete_named(name, window, None).await?;
    let waits = named.lift_expiry_named(name).await.unwrap_err();
    assert_eq!(waits.kind(), ErrorKind::ScheduledForDeletion);
    Ok(())
}

/// By them a platform's secret is told from another's.
async fn labels_are_listed_and_described(double: Double) -> Result<()> {
    let project = double.project();
    let others = project.others().await;
    let create = others
        .create_secret()
        .set_parent(format!("projects/{}", project.name));
    let labelled = plain().set_labels([("owner", "payroll")]);
    let create = create.set_secret_id("x").set_secret(labelled);
    create.send().await.unwrap();
    let backend = project.backend();
    let listed = backend.named().unwrap().list_named(None).await?.secrets;
    let expected = BTreeMap::from([("owner".to_owned(), "payroll".to_owned())]);
    assert_eq!(listed[0].tags.as_ref(), Some(&expected));
    assert_eq!(described(&backend, "x").await?.tags, Some(expected));
    Ok(())
}

fn refused(operation: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, operation, "the double refused it")
}
