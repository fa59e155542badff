//! Azure Key Vault.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::duration::Span;
use super::super::secret_reference::SecretReference;
use super::{ADDRESS, PublishedRates, half, ten_seconds};

/// Azure Key Vault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Azure {
    /// The vault's address, `https://NAME.vault.azure.net`.
    #[schemars(regex(pattern = ADDRESS))]
    pub vault_url: String,
    /// What each name in the vault begins with: at most 20 of a-z, 0-9 and -.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// How to log in.
    #[serde(default)]
    pub authentication: AzureLogin,
    /// The directory (tenant) id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// The application (client) id, or the managed identity's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The service principal's secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<SecretReference>,
    /// The token to exchange for workload identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub federated_token: Option<SecretReference>,
    /// Where to log in, for clouds other than Azure's public one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// The vault's retention of deleted secrets in days, 7 to 90.
    #[serde(default = "ninety")]
    #[schemars(range(min = 7, max = 90))]
    pub retention_days: u16,
    /// Whether the vault has purge protection.
    #[serde(default)]
    pub purge_protection: bool,
    /// Tags beside the mark's; at most 9.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Certificates to trust beside the system's (PEM).
    #[schemars(extend("pattern" = "."))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Whether the vault must ask for tokens of its own domain.
    #[serde(default = "yes")]
    pub verify_challenge: bool,
    /// How long one request may take, login included.
    #[serde(default = "ten_seconds")]
    pub timeout: Span,
    /// How long a deletion or a restoration may take to show in the vault.
    #[serde(default = "half_a_minute")]
    pub settle_timeout: Span,
    /// Secrets on a page of a listing, 1 to 25.
    #[serde(default = "twenty_five")]
    #[schemars(range(min = 1, max = 25))]
    pub page_size: u32,
    /// The share of the manager's published request rate that is used, 0.0 to 1.0; all replicas
    /// divide it.
    #[serde(default = "half")]
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    pub request_share: f64,
    /// Requests a second that the manager allows you, where it is not what it publishes.
    #[serde(default, skip_serializing_if = "PublishedRates::is_empty")]
    pub published_rates: PublishedRates,
    /// What one secret costs a month, in dollars, where the list price is not yours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub dollars_per_secret_month: Option<f64>,
}

/// How to log in to Microsoft Entra ID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AzureLogin {
    /// Whatever the environment offers: workload identity, a client secret, a managed identity.
    #[default]
    Automatic,
    /// A token of Kubernetes', exchanged for one of Entra's.
    WorkloadIdentity,
    /// The identity of the machine.
    ManagedIdentity,
    /// A service principal's secret.
    ClientSecret,
    /// The developer's own login with the Azure command lines.
    DeveloperTools,
}

fn ninety() -> u16 {
    90
}

fn yes() -> bool {
    true
}

fn half_a_minute() -> Span {
    Span(Duration::from_secs(30))
}

fn twenty_five() -> u32 {
    25
}
