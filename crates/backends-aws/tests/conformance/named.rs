//! The laws of a manager asked by a platform's names, beside a platform that writes as Airbyte does:
//! text, under a tag of its own. The backend works as somebody who may do everything: the published
//! policies let Cloakroom touch only what bears its mark.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_secretsmanager::types::Tag;
use aws_sdk_ssm::types::ParameterType;
use cloakroom_core::{Coordinate, Error, ErrorKind, Result, SecretBackend, SecretValue};
use cloakroom_testkit::conformance::{Permission, Subject};
use cloakroom_testkit::named::{NamedManager, NamedSubject, Spelling};

use crate::server::{Aws, Kind, Namespace};

/// A namespace, and the backend that may do everything in it.
struct Platform {
    here: Namespace,
    backend: Arc<dyn SecretBackend>,
}

#[async_trait]
impl NamedManager for Kind {
    async fn named_subject(&self) -> Result<Box<dyn NamedSubject>> {
        let here = self.namespace().await?;
        let settings = self.server.settings(&self.server.admin, &here.prefix);
        let backend = self.service.connect(settings).await?;
        Ok(Box::new(Platform { here, backend }))
    }
}

impl Platform {
    fn service(&self) -> Aws {
        self.here.kind.service
    }

    async fn write(&self, full: &str, value: &SecretValue) -> Result<()> {
        let (server, text) = (&self.here.kind.server, value.expose_text().unwrap());
        let written = match self.service() {
            Aws::SecretsManager => {
                let tag = Tag::builder().key("AirbyteManaged").value("true").build();
                let create = server.secrets().create_secret().name(full);
                if create.secret_string(text).tags(tag).send().await.is_ok() {
                    return Ok(());
                }
                let again = server.secrets().put_secret_value().secret_id(full);
                again.secret_string(text).send().await.is_ok()
            }
            Aws::ParameterStore => {
                let put = server.parameters().put_parameter().name(full).value(text);
                let put = put.r#type(ParameterType::SecureString).overwrite(true);
                put.send().await.is_ok()
            }
        };
        written.then_some(()).ok_or_else(|| refused("write"))
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
        self.here.without(permission).await
    }

    fn several_pages(&self) -> usize {
        self.here.several_pages()
    }

    async fn write_foreign(&self, coordinate: &Coordinate, value: &SecretValue) -> Result<()> {
        self.here.write_foreign(coordinate, value).await
    }

    async fn finish(&self) {
        self.here.finish().await;
    }
}

#[async_trait]
impl NamedSubject for Platform {
    async fn write_as_platform(&self, name: &str, value: &SecretValue) -> Result<()> {
        self.write(&format!("{}{name}", self.here.prefix), value)
            .await
    }

    async fn read_as_platform(&self, name: &str) -> Result<SecretValue> {
        let (server, full) = (
            &self.here.kind.server,
            format!("{}{name}", self.here.prefix),
        );
        let text = match self.service() {
            Aws::SecretsManager => {
                let read = server.secrets().get_secret_value().secret_id(full);
                read.send().await.ok().and_then(|it| it.secret_string)
            }
            Aws::ParameterStore => {
                let read = server.parameters().get_parameter().name(full);
                let read = read.with_decryption(true).send().await.ok();
                read.and_then(|it| it.parameter?.value)
            }
        };
        text.map(SecretValue::from).ok_or_else(|| refused("read"))
    }

    async fn write_beyond(&self, value: &SecretValue) -> Result<()> {
        let beyond = self.here.prefix.replacen("t/", "u/", 1);
        self.write(&format!("{beyond}airbyte_x_v1"), value).await
    }

    fn spelling(&self, name: &str) -> Spelling {
        match self.service() {
            // After the prefix that would be an empty level.
            Aws::ParameterStore if name.starts_with('/') => Spelling::Forbidden,
            Aws::ParameterStore | Aws::SecretsManager => Spelling::Listed,
        }
    }
}

fn refused(operation: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, operation, "the server refused it")
}
