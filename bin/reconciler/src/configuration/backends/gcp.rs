//! Google Secret Manager.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::duration::Span;
use super::super::secret_reference::SecretReference;
use super::limits::ENCRYPTED;
use super::{PublishedRates, half, sixteen, ten_seconds};

/// Google Secret Manager.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gcp {
    /// The project's id or number.
    pub project: String,
    /// Makes the secrets regional, in this location only; global where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Put before each coordinate; two deployments in one project need different ones.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// Another address of the service, such as a private endpoint's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = ENCRYPTED))]
    pub endpoint: Option<String>,
    /// Who the backend is to Google.
    #[serde(default)]
    pub credentials: GcpLogin,
    /// A service account to act as, by its e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impersonate: Option<String>,
    /// Where global secrets are kept; Google chooses where it is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replica_locations: Vec<String>,
    /// The customer's own keys, one for each place where secrets are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kms_keys: Vec<String>,
    /// Labels beside the mark's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// How long a version that anybody destroys can be brought back: 1 to 1,000 days; `0s` destroys
    /// at once.
    #[serde(default = "a_week")]
    pub destroy_delay: Span,
    /// How long one request may take.
    #[serde(default = "ten_seconds")]
    pub timeout: Span,
    /// Secrets on a page of a listing, 1 to 25,000.
    #[serde(default = "a_thousand")]
    #[schemars(range(min = 1, max = 25_000))]
    pub page_size: u32,
    /// Requests of one batch at once.
    #[serde(default = "sixteen")]
    #[schemars(range(min = 1))]
    pub concurrency: usize,
    /// Whether a listing also asks for the version of each secret.
    #[serde(default)]
    pub look_at_versions: bool,
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

/// Who the backend is to Google.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GcpLogin {
    /// Application default credentials.
    #[default]
    Default,
    /// The metadata server alone.
    Metadata,
    /// A credential file's JSON: a service account, workload identity federation, …
    Json(SecretReference),
    /// None, for a server that asks for none.
    Anonymous,
}

impl GcpLogin {
    pub(super) fn reference(&mut self) -> Option<&mut SecretReference> {
        match self {
            Self::Json(it) => Some(it),
            Self::Default | Self::Metadata | Self::Anonymous => None,
        }
    }
}

fn a_week() -> Span {
    Span(Duration::from_hours(7 * 24))
}

fn a_thousand() -> u32 {
    1_000
}
