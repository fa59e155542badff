//! Kubernetes Secrets.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::duration::Span;
use super::super::secret_reference::SecretReference;
use super::limits::NAMESPACE;
use super::{PublishedRates, half, ten_seconds};

/// Kubernetes Secrets. With `server` that address and `token`; with `kubeconfig` or `context` what
/// the kubeconfig says; with none of them the service account of the pod this runs in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kubernetes {
    /// The namespace; nothing outside it is read or written.
    #[schemars(regex(pattern = NAMESPACE))]
    pub namespace: String,
    /// The API server's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The bearer token for `server`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretReference>,
    /// The certificates that `server`'s is checked against (PEM).
    #[schemars(extend("pattern" = "."))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// The kubeconfig file.
    #[schemars(extend("pattern" = "."))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// Labels beside the mark's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations beside the mark's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Secrets on a page of a listing, 1 to 10,000.
    #[serde(default = "five_hundred")]
    #[schemars(range(min = 1, max = 10_000))]
    pub page_size: u32,
    /// How long one request may take.
    #[serde(default = "ten_seconds")]
    pub timeout: Span,
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

fn five_hundred() -> u32 {
    500
}
