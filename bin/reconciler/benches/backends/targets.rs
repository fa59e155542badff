//! The servers there are, and how a backend is connected to each.

use std::env;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use cloakroom_backends_aws::{
    Authentication, AwsSettings, ParameterStoreBackend, SecretsManagerBackend,
};
use cloakroom_backends_gcp::{GcpBackend, GcpCredentials, GcpSettings};
use cloakroom_backends_kubernetes::{KubernetesBackend, KubernetesSettings};
use cloakroom_backends_vault::{VaultAuth, VaultBackend, VaultSettings};
use cloakroom_core::{
    BackendId, Randomness as _, SecretBackend, SecretValue, SystemClock, SystemRandomness,
};

use crate::azure;

pub(crate) type Connected = Pin<Box<dyn Future<Output = Result<Arc<dyn SecretBackend>>> + Send>>;

/// 64 pages at once keep a small machine's server busy for longer than a user would wait, and on a busy
/// machine for minutes. What is measured is how long it takes, not who gives up.
pub(crate) const PATIENCE: Duration = Duration::from_mins(10);

/// One backend and its server.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) url: String,
    /// Whether its requests are signed, so that no other name can be written into them.
    pub(crate) signs: bool,
    pub(crate) connect: Box<dyn Fn(String) -> Connected>,
}

impl Target {
    /// A backend that talks to the server through this address.
    pub(crate) fn connect(&self, url: &str) -> Connected {
        (self.connect)(url.to_owned())
    }
}

/// Every target, or the name and reason of one that is not there.
pub(crate) fn all() -> Vec<Result<Target, String>> {
    vec![
        openbao(),
        kubernetes(),
        secrets_manager(),
        parameter_store(),
        google(),
        azure::target(),
    ]
}

fn variable(name: &str, of: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("{of}: {name} is not set"))
}

pub(crate) fn id() -> Result<BackendId> {
    Ok("bench".parse()?)
}

pub(crate) fn credential(text: &str) -> Arc<SecretValue> {
    Arc::new(SecretValue::from(text.to_owned()))
}

fn openbao() -> Result<Target, String> {
    let name = "OpenBao";
    let token = variable("CLOAKROOM_TEST_OPENBAO_TOKEN", name)?;
    let prefix = format!("bench/{}/", SystemRandomness.uuid());
    Ok(Target {
        name,
        url: variable("CLOAKROOM_TEST_OPENBAO_URL", name)?,
        signs: false,
        connect: Box::new(move |url| {
            let auth = VaultAuth::Token {
                token: credential(&token),
            };
            let mut settings = VaultSettings::new(url, auth);
            settings.prefix.clone_from(&prefix);
            settings.timeout = PATIENCE;
            Box::pin(async { Ok(Arc::new(VaultBackend::new(id()?, settings)?) as _) })
        }),
    })
}

fn kubernetes() -> Result<Target, String> {
    let name = "Kubernetes";
    let ca = variable("CLOAKROOM_TEST_KUBERNETES_CA", name)?;
    Ok(Target {
        name,
        url: variable("CLOAKROOM_TEST_KUBERNETES_URL", name)?,
        signs: false,
        connect: Box::new(move |url| {
            let mut settings = KubernetesSettings::new("default");
            settings.ca_file = url.starts_with("https").then(|| ca.clone().into());
            settings.server = Some(url);
            settings.timeout = PATIENCE;
            // The server's own file of tokens has the administrator's.
            settings.token = Some(credential("admin"));
            Box::pin(async {
                Ok(Arc::new(KubernetesBackend::connect(id()?, settings).await?) as _)
            })
        }),
    })
}

fn aws(name: &'static str) -> Result<AwsSettings, String> {
    let user = variable("CLOAKROOM_TEST_AWS_ADMIN", name)?;
    let (key, secret) = user
        .split_once(':')
        .ok_or_else(|| format!("{name}: CLOAKROOM_TEST_AWS_ADMIN is not ID:SECRET"))?;
    Ok(AwsSettings {
        account: Some("123456789012".to_owned()),
        authentication: Authentication::Keys {
            access_key_id: credential(key),
            secret_access_key: credential(secret),
            session_token: None,
        },
        name_prefix: format!("/bench/{}/", SystemRandomness.uuid()),
        timeout: PATIENCE,
        ..AwsSettings::new("eu-central-1")
    })
}

fn at(settings: &AwsSettings, url: String) -> AwsSettings {
    AwsSettings {
        endpoint_url: Some(url),
        ..settings.clone()
    }
}

fn secrets_manager() -> Result<Target, String> {
    let name = "AWS Secrets Manager (moto)";
    let settings = aws(name)?;
    Ok(Target {
        name,
        url: variable("CLOAKROOM_TEST_AWS_URL", name)?,
        signs: true,
        connect: Box::new(move |url| {
            let settings = at(&settings, url);
            Box::pin(async {
                Ok(Arc::new(Box::pin(SecretsManagerBackend::connect(id()?, settings)).await?) as _)
            })
        }),
    })
}

fn parameter_store() -> Result<Target, String> {
    let name = "AWS Parameter Store (moto)";
    let settings = aws(name)?;
    Ok(Target {
        name,
        url: variable("CLOAKROOM_TEST_AWS_URL", name)?,
        signs: true,
        connect: Box::new(move |url| {
            let settings = at(&settings, url);
            Box::pin(async {
                Ok(Arc::new(
                    Box::pin(ParameterStoreBackend::connect(
                        id()?,
                        settings,
                        Arc::new(SystemClock),
                    ))
                    .await?,
                ) as _)
            })
        }),
    })
}

fn google() -> Result<Target, String> {
    let name = "Google Secret Manager (double)";
    let project = format!("p-{}", SystemRandomness.uuid());
    Ok(Target {
        name,
        url: variable("CLOAKROOM_TEST_GCP_URL", name)?,
        signs: false,
        connect: Box::new(move |url| {
            let mut settings = GcpSettings::new(project.clone());
            settings.endpoint = Some(url);
            settings.timeout = PATIENCE;
            settings.credentials = GcpCredentials::Anonymous;
            Box::pin(async { Ok(Arc::new(GcpBackend::new(id()?, settings)?) as _) })
        }),
    })
}
