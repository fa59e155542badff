//! The laws of Secret Manager asked by a platform's names, beside a platform that writes as Airbyte
//! does: a secret of that id, and a version each time.

use std::sync::Arc;

use async_trait::async_trait;
use cloakroom_backends_gcp::GcpSettings;
use cloakroom_core::{Error, ErrorKind, Result, SecretBackend, SecretValue};
use cloakroom_testkit::conformance::{Permission, Subject};
use cloakroom_testkit::named::{NamedManager, NamedSubject, Spelling};

use crate::double::{Double, Namespace, backend, payload, plain};

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

fn refused(operation: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, operation, "the double refused it")
}
