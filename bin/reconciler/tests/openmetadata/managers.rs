//! The managers that OpenMetadata's secrets are planted in: each has a region to itself, since its ids
//! begin with nothing of a test's own.

use std::sync::Arc;

use cloakroom_backends_aws::{
    Authentication, AwsSettings, ParameterStoreBackend, SecretsManagerBackend,
};
use cloakroom_core::coordinates::openmetadata::Manager as Naming;
use cloakroom_core::{DeleteMode, SecretBackend, SecretState, SecretValue, SystemClock};

use crate::common::{CANARY, Deployment};

pub const AWS_URL: &str = "CLOAKROOM_TEST_AWS_URL";
pub const AWS_USER: &str = "CLOAKROOM_TEST_AWS_ADMIN";

const ACCOUNT: &str = "123456789012";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Aws,
    Ssm,
}

impl Kind {
    pub fn naming(self) -> Naming {
        match self {
            Self::Aws => Naming::Aws,
            Self::Ssm => Naming::AwsSsm,
        }
    }

    /// As OpenMetadata calls it where it writes the secrets.
    pub fn provider(self) -> &'static str {
        match self {
            Self::Aws => "managed-aws",
            Self::Ssm => "managed-aws-ssm",
        }
    }

    fn section(self) -> &'static str {
        match self {
            Self::Aws => "aws-secrets-manager",
            Self::Ssm => "aws-parameter-store",
        }
    }
}

pub struct Manager {
    kind: Kind,
    region: &'static str,
}

impl Manager {
    /// An empty one.
    pub async fn new(kind: Kind, region: &'static str) -> Self {
        let manager = Self { kind, region };
        manager.clear().await;
        manager
    }

    /// Its section of the configuration.
    pub fn section(&self, deployment: &Deployment) -> String {
        let (id, key) = user();
        deployment.write("id", &id);
        deployment.write("key", &key);
        format!(
            "{{type: {}, region: {}, account: '{ACCOUNT}', endpoint_url: '{}', request_share: 1.0, \
             authentication: {{keys: {{access_key_id: {{file: id}}, secret_access_key: {{file: key}}}}}}}}",
            self.kind.section(),
            self.region,
            variable(AWS_URL)
        )
    }

    async fn connect(&self, tags: &[(&str, &str)]) -> Arc<dyn SecretBackend> {
        let credential = |text: String| Arc::new(SecretValue::from(text));
        let (access_key_id, secret_access_key) = user();
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let settings = AwsSettings {
            account: Some(ACCOUNT.into()),
            endpoint_url: Some(variable(AWS_URL)),
            authentication: Authentication::Keys {
                access_key_id: credential(access_key_id),
                secret_access_key: credential(secret_access_key),
                session_token: None,
            },
            tags: tags.iter().map(owned).collect(),
            ..AwsSettings::new(self.region)
        };
        let id = "planting".parse().unwrap();
        match self.kind {
            Kind::Aws => Arc::new(SecretsManagerBackend::connect(id, settings).await.unwrap()),
            Kind::Ssm => {
                let clock = Arc::new(SystemClock);
                let backend = ParameterStoreBackend::connect(id, settings, clock).await;
                Arc::new(backend.unwrap())
            }
        }
    }

    /// Writes secrets as OpenMetadata does, with these tags.
    pub async fn write(&self, names: impl IntoIterator<Item = &String>, tags: &[(&str, &str)]) {
        let backend = self.connect(tags).await;
        for name in names {
            let value = SecretValue::from(format!("{CANARY}-{name}"));
            let named = backend.named().unwrap();
            named.put_named(name, &value).await.unwrap();
        }
    }

    /// Which of these can be read.
    pub async fn there(&self, names: impl IntoIterator<Item = &String>) -> Vec<bool> {
        let backend = self.connect(&[]).await;
        let names: Vec<String> = names.into_iter().cloned().collect();
        let described = backend.named().unwrap().describe_named(&names).await;
        let enabled = described.into_iter().map(|it| {
            let state = it.map(|it| it.state);
            state.is_ok_and(|it| it == SecretState::Enabled)
        });
        enabled.collect()
    }

    /// Somebody deletes it so that it can be brought back.
    pub async fn schedule(&self, name: &str) {
        let backend = self.connect(&[]).await;
        let window = DeleteMode::Recoverable(std::time::Duration::from_hours(7 * 24));
        let named = backend.named().unwrap();
        named.delete_named(name, window, None).await.unwrap();
    }

    /// Takes everything away.
    pub async fn clear(&self) {
        let backend = self.connect(&[]).await;
        let named = backend.named().unwrap();
        loop {
            let page = named.list_named(None).await.unwrap();
            if page.secrets.is_empty() {
                return;
            }
            for secret in page.secrets {
                let gone = named.delete_named(&secret.name, DeleteMode::Final, None);
                gone.await.unwrap();
            }
        }
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap()
}

fn user() -> (String, String) {
    let user = variable(AWS_USER);
    let (id, key) = user.split_once(':').unwrap();
    (id.to_owned(), key.to_owned())
}
