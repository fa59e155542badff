//! The managers that Airbyte's secrets are planted in.

use std::sync::Arc;

use cloakroom_backends_aws::{Authentication, AwsSettings, SecretsManagerBackend};
use cloakroom_backends_vault::{VaultAuth, VaultBackend, VaultSettings};
use cloakroom_core::{Randomness as _, SecretBackend, SecretValue, SystemRandomness};
use futures_util::{StreamExt as _, stream};

use crate::common::{CANARY, Deployment};

const AWS_URL: &str = "CLOAKROOM_TEST_AWS_URL";
const AWS_USER: &str = "CLOAKROOM_TEST_AWS_ADMIN";
/// A user of AWS with the policy for cleaning, and no more.
pub const CLEANER: &str = "CLOAKROOM_TEST_AWS_CLEAN";
const BAO_URL: &str = "CLOAKROOM_TEST_OPENBAO_URL";
const BAO_TOKEN: &str = "CLOAKROOM_TEST_OPENBAO_TOKEN";

/// Writes at once while planting.
const TOGETHER: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Aws,
    OpenBao,
}

impl Kind {
    pub fn variables(self) -> [&'static str; 2] {
        match self {
            Self::Aws => [AWS_URL, AWS_USER],
            Self::OpenBao => [BAO_URL, BAO_TOKEN],
        }
    }
}

/// A part of a manager that is Airbyte's alone.
pub struct Manager {
    kind: Kind,
    prefix: String,
    backend: Arc<dyn SecretBackend>,
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap()
}

/// From now on the program asks AWS as this user.
pub fn log_in(name: &str, deployment: &Deployment) {
    let (id, key) = user(name);
    deployment.write("id", &id);
    deployment.write("key", &key);
}

fn user(name: &str) -> (String, String) {
    let user = variable(name);
    let (id, key) = user.split_once(':').unwrap();
    (id.to_owned(), key.to_owned())
}

fn credential(text: String) -> Arc<SecretValue> {
    Arc::new(SecretValue::from(text))
}

impl Manager {
    pub async fn new(kind: Kind) -> Self {
        let prefix = format!("report-{}/", SystemRandomness.uuid());
        let url = variable(kind.variables()[0]);
        let backend = connect(kind, url, &prefix, AWS_USER).await;
        Self {
            kind,
            prefix,
            backend,
        }
    }

    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The same part of it, reached at another address.
    #[allow(dead_code, reason = "only the benchmark compares")]
    pub async fn at(&self, url: String) -> Arc<dyn SecretBackend> {
        connect(self.kind, url, &self.prefix, AWS_USER).await
    }

    /// The same part of AWS as this user sees it.
    #[allow(dead_code, reason = "the benchmark has one user")]
    pub async fn of_user(&self, user: &str) -> Arc<dyn SecretBackend> {
        connect(self.kind, self.url(), &self.prefix, user).await
    }

    pub fn url(&self) -> String {
        variable(self.kind.variables()[0])
    }

    /// Its section of the configuration, reached at `url`.
    pub fn section(&self, url: &str, deployment: &Deployment) -> String {
        let prefix = &self.prefix;
        match self.kind {
            Kind::Aws => {
                log_in(AWS_USER, deployment);
                format!(
                    "{{type: aws-secrets-manager, region: eu-central-1, account: '123456789012', \
                     endpoint_url: '{url}', name_prefix: '{prefix}', request_share: 1.0, \
                     authentication: {{keys: {{access_key_id: {{file: id}}, \
                     secret_access_key: {{file: key}}}}}}}}"
                )
            }
            Kind::OpenBao => {
                deployment.write("token", &variable(BAO_TOKEN));
                format!(
                    "{{type: vault, address: '{url}', prefix: '{prefix}', \
                     auth: {{token: {{file: token}}}}}}"
                )
            }
        }
    }

    /// Writes secrets as Airbyte does.
    pub async fn write(&self, names: Vec<String>) {
        let written = stream::iter(names).map(|name| async move {
            let value = SecretValue::from(format!("{CANARY}-{name}"));
            let named = self.backend.named().unwrap();
            named.put_named(&name, &value).await.unwrap();
        });
        written.buffer_unordered(TOGETHER).collect::<()>().await;
    }

    /// Takes everything away again.
    pub async fn clear(&self, names: Vec<String>) {
        let gone = stream::iter(names).map(|name| async move {
            let named = self.backend.named().unwrap();
            let mode = cloakroom_core::DeleteMode::Final;
            named.delete_named(&name, mode, None).await.unwrap();
        });
        gone.buffer_unordered(TOGETHER).collect::<()>().await;
    }
}

async fn connect(kind: Kind, url: String, prefix: &str, name: &str) -> Arc<dyn SecretBackend> {
    let id = "planting".parse().unwrap();
    match kind {
        Kind::Aws => {
            let (access_key_id, secret_access_key) = user(name);
            let settings = AwsSettings {
                account: Some("123456789012".into()),
                endpoint_url: Some(url),
                authentication: Authentication::Keys {
                    access_key_id: credential(access_key_id),
                    secret_access_key: credential(secret_access_key),
                    session_token: None,
                },
                name_prefix: prefix.to_owned(),
                ..AwsSettings::new("eu-central-1")
            };
            Arc::new(SecretsManagerBackend::connect(id, settings).await.unwrap())
        }
        Kind::OpenBao => {
            let token = credential(variable(BAO_TOKEN));
            let mut settings = VaultSettings::new(url, VaultAuth::Token { token });
            prefix.clone_into(&mut settings.prefix);
            Arc::new(VaultBackend::new(id, settings).unwrap())
        }
    }
}
