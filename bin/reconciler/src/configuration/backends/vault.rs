//! Vault and OpenBao.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::duration::Span;
use super::super::secret_reference::SecretReference;
use super::{ADDRESS, PublishedRates, half, sixteen, ten_seconds};

/// HashiCorp Vault or OpenBao, KV version 2.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vault {
    /// Where the server is, `https://vault.example.com:8200`.
    #[schemars(regex(pattern = ADDRESS))]
    pub address: String,
    /// Whether token and values may be sent over plain `http` to another machine, since something else
    /// encrypts the way there, such as a mesh.
    #[serde(default, skip_serializing_if = "is_no")]
    pub allow_http: bool,
    /// The namespace (OpenBao, Vault Enterprise).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Where the KV version 2 engine is mounted.
    #[serde(default = "secret")]
    pub mount: String,
    /// What the name of every secret begins with; a folder ends in `/`.
    #[serde(default = "cloakroom")]
    pub prefix: String,
    /// How to log in.
    pub auth: VaultLogin,
    /// The only certificate authorities that are trusted (PEM); the system's where it is left out.
    #[schemars(extend("pattern" = "."))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// How long one request may take.
    #[serde(default = "ten_seconds")]
    pub timeout: Span,
    /// Requests of one batch at once.
    #[serde(default = "sixteen")]
    pub in_flight: usize,
    /// How long after its recovery window a deleted secret is kept.
    #[serde(default = "five_minutes")]
    pub purge_delay: Span,
    /// Whether to use what OpenBao has and Vault has not; recognised where it is missing.
    #[serde(default = "yes")]
    pub openbao_extensions: bool,
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

/// How to log in to Vault or OpenBao. Every secret is read again when it is needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VaultLogin {
    /// A role for machines.
    AppRole(AppRole),
    /// The service account of the pod this runs in.
    Kubernetes(KubernetesLogin),
    /// A token made by somebody else; renewed while it is used where it can be.
    Token(SecretReference),
}

/// A role for machines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AppRole {
    /// Where the method is mounted.
    #[serde(default = "approle")]
    pub mount: String,
    /// The role's id.
    pub role_id: String,
    /// The secret id; left out where the role asks for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_id: Option<SecretReference>,
}

/// The service account of the pod this runs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubernetesLogin {
    /// Where the method is mounted.
    #[serde(default = "kubernetes")]
    pub mount: String,
    /// The role.
    pub role: String,
    /// The service account's token.
    #[serde(default = "service_account")]
    pub jwt: SecretReference,
}

impl VaultLogin {
    pub(super) fn reference(&mut self) -> Option<&mut SecretReference> {
        match self {
            Self::AppRole(it) => it.secret_id.as_mut(),
            Self::Kubernetes(it) => Some(&mut it.jwt),
            Self::Token(it) => Some(it),
        }
    }
}

fn secret() -> String {
    "secret".to_owned()
}

fn cloakroom() -> String {
    "cloakroom/".to_owned()
}

fn approle() -> String {
    "approle".to_owned()
}

fn kubernetes() -> String {
    "kubernetes".to_owned()
}

fn service_account() -> SecretReference {
    SecretReference::File("/var/run/secrets/kubernetes.io/serviceaccount/token".into())
}

fn five_minutes() -> Span {
    Span(Duration::from_mins(5))
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it so")]
fn is_no(it: &bool) -> bool {
    !it
}
