//! The secrets managers in a configuration, each kind with settings of its own under its `type`.

mod aws;
mod azure;
mod gcp;
mod kubernetes;
mod limits;
mod price;
mod rates;
mod vault;

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use aws::{Aws, AwsKeys, AwsLogin};
pub use azure::{Azure, AzureLogin};
pub use gcp::{Gcp, GcpLogin};
pub use kubernetes::Kubernetes;
pub use rates::PublishedRates;
pub use vault::{AppRole, KubernetesLogin, Vault, VaultLogin};

use super::duration::Span;
use super::secret_reference::SecretReference;

/// An address as managers have them, as a schema tells it: with nothing in it that could be a secret.
const ADDRESS: &str = "^[Hh][Tt][Tt][Pp][Ss]?://[^\\s/?#@]+(/[^\\s?#]*)?$";

/// A secrets manager.
// The reader knows this enumeration by its name: its `type` stands beside its settings.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Backend {
    /// AWS Secrets Manager.
    AwsSecretsManager(Aws),
    /// AWS Systems Manager Parameter Store.
    AwsParameterStore(Aws),
    /// Azure Key Vault.
    Azure(Azure),
    /// Encrypted, in Cloakroom's own database.
    Embedded(Embedded),
    /// Google Secret Manager.
    Gcp(Gcp),
    /// Kubernetes Secrets.
    Kubernetes(Kubernetes),
    /// HashiCorp Vault or OpenBao, KV version 2.
    Vault(Vault),
}

/// The embedded backend has no settings: it is where the store is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Embedded {}

/// The same kinds as the reader takes them: a name, then its settings.
#[derive(Deserialize)]
#[serde(rename = "Backend", rename_all = "kebab-case")]
enum Written {
    AwsSecretsManager(Aws),
    AwsParameterStore(Aws),
    Azure(Azure),
    Embedded(Embedded),
    Gcp(Gcp),
    Kubernetes(Kubernetes),
    Vault(Vault),
}

impl<'de> Deserialize<'de> for Backend {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Written::deserialize(deserializer)? {
            Written::AwsSecretsManager(it) => Self::AwsSecretsManager(it),
            Written::AwsParameterStore(it) => Self::AwsParameterStore(it),
            Written::Azure(it) => Self::Azure(it),
            Written::Embedded(it) => Self::Embedded(it),
            Written::Gcp(it) => Self::Gcp(it),
            Written::Kubernetes(it) => Self::Kubernetes(it),
            Written::Vault(it) => Self::Vault(it),
        })
    }
}

impl Backend {
    /// Whether it seals its secrets under the key-encryption keys.
    pub fn is_embedded(&self) -> bool {
        matches!(self, Self::Embedded(_))
    }

    /// The share of the manager's published request rate that is used, 0.0 to 1.0.
    pub fn request_share(&self) -> f64 {
        match self {
            Self::AwsSecretsManager(it) | Self::AwsParameterStore(it) => it.request_share,
            Self::Azure(it) => it.request_share,
            Self::Embedded(_) => 1.0,
            Self::Gcp(it) => it.request_share,
            Self::Kubernetes(it) => it.request_share,
            Self::Vault(it) => it.request_share,
        }
    }

    /// What the operator says the manager allows, instead of what it publishes.
    pub fn published_rates(&self) -> PublishedRates {
        match self {
            Self::AwsSecretsManager(it) | Self::AwsParameterStore(it) => it.published_rates,
            Self::Azure(it) => it.published_rates,
            Self::Embedded(_) => PublishedRates::default(),
            Self::Gcp(it) => it.published_rates,
            Self::Kubernetes(it) => it.published_rates,
            Self::Vault(it) => it.published_rates,
        }
    }

    /// The tags that it puts on what it writes, where the manager has such.
    pub fn tags(&self) -> Option<&BTreeMap<String, String>> {
        match self {
            Self::AwsSecretsManager(it) | Self::AwsParameterStore(it) => Some(&it.tags),
            Self::Azure(it) => Some(&it.tags),
            Self::Gcp(it) => Some(&it.labels),
            Self::Kubernetes(it) => Some(&it.labels),
            Self::Embedded(_) | Self::Vault(_) => None,
        }
    }

    /// The addresses in its settings, each with its key.
    pub(super) fn addresses(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::AwsSecretsManager(it) | Self::AwsParameterStore(it) => {
                let given = [
                    ("endpoint_url", it.endpoint_url.as_deref()),
                    ("sts_endpoint_url", it.sts_endpoint_url.as_deref()),
                ];
                let given = given.into_iter();
                given.filter_map(|(key, it)| Some((key, it?))).collect()
            }
            Self::Azure(it) => vec![("vault_url", &it.vault_url)],
            Self::Gcp(it) => {
                let endpoint = it.endpoint.as_deref().into_iter();
                endpoint.map(|it| ("endpoint", it)).collect()
            }
            Self::Vault(it) => vec![("address", &it.address)],
            Self::Embedded(_) | Self::Kubernetes(_) => Vec::new(),
        }
    }

    /// Every path that stands in its settings.
    pub(super) fn paths(&mut self) -> Vec<&mut PathBuf> {
        let (references, mut paths) = self.places();
        for reference in references {
            if let SecretReference::File(path) = reference {
                paths.push(path);
            }
        }
        paths
    }

    /// Every secret that it refers to.
    pub fn references(&self) -> Vec<SecretReference> {
        let mut copy = self.clone();
        let (references, _) = copy.places();
        references.into_iter().map(|it| it.clone()).collect()
    }

    /// The references and the files in its settings.
    fn places(&mut self) -> (Vec<&mut SecretReference>, Vec<&mut PathBuf>) {
        match self {
            Self::AwsSecretsManager(it) | Self::AwsParameterStore(it) => {
                (it.authentication.references(), Vec::new())
            }
            Self::Azure(it) => (
                it.client_secret
                    .iter_mut()
                    .chain(&mut it.federated_token)
                    .collect(),
                it.ca_file.iter_mut().collect(),
            ),
            Self::Embedded(_) => (Vec::new(), Vec::new()),
            Self::Gcp(it) => (it.credentials.reference().into_iter().collect(), Vec::new()),
            Self::Kubernetes(it) => (
                it.token.iter_mut().collect(),
                it.ca_file.iter_mut().chain(&mut it.kubeconfig).collect(),
            ),
            Self::Vault(it) => (
                it.auth.reference().into_iter().collect(),
                it.ca_file.iter_mut().collect(),
            ),
        }
    }
}

/// The share of a manager's quota that is used where nothing is said.
fn half() -> f64 {
    0.5
}

/// How long one request may take where nothing is said.
fn ten_seconds() -> Span {
    Span(std::time::Duration::from_secs(10))
}

/// Requests of one batch at once where nothing is said.
fn sixteen() -> usize {
    16
}
