//! AWS Secrets Manager and SSM Parameter Store.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::duration::Span;
use super::super::secret_reference::SecretReference;
use super::limits::ACCOUNT;
use super::{ADDRESS, PublishedRates, half, ten_seconds};

/// AWS Secrets Manager or SSM Parameter Store: an account, a region, and how to use them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Aws {
    /// The region, such as `eu-central-1`.
    pub region: String,
    /// The account's 12 digits; asked of STS once where neither this nor `role_arn` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = ACCOUNT))]
    pub account: Option<String>,
    /// Another address of the service: a VPC endpoint, an emulator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = ADDRESS))]
    pub endpoint_url: Option<String>,
    /// Another address of STS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = ADDRESS))]
    pub sts_endpoint_url: Option<String>,
    /// Where the credentials come from.
    #[serde(default)]
    pub authentication: AwsLogin,
    /// A role to assume with those credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// The external id the role demands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// What the role's sessions are called in CloudTrail.
    #[serde(default = "cloakroom")]
    pub role_session_name: String,
    /// The KMS key that values are sealed under: its id, alias or ARN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
    /// What the names of all secrets begin with, at most 200 bytes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name_prefix: String,
    /// Tags beside the mark's; at most 44.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Parameter Store only: whether advanced parameters may be used, which cost money.
    #[serde(default = "yes")]
    pub advanced_parameters: bool,
    /// How long one request may take, the login before it included.
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

/// Where the credentials for AWS come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AwsLogin {
    /// The SDK's own search: environment, shared files, web identity, container, instance profile.
    #[default]
    DefaultChain,
    /// The role of the EC2 instance and nothing else.
    InstanceProfile,
    /// An access key.
    Keys(AwsKeys),
    /// A named profile of the shared files and nothing else.
    Profile(String),
}

/// An access key; read again when it was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AwsKeys {
    /// The access key's id.
    pub access_key_id: SecretReference,
    /// The secret access key.
    pub secret_access_key: SecretReference,
    /// The token of temporary credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token: Option<SecretReference>,
}

impl AwsLogin {
    pub(super) fn references(&mut self) -> Vec<&mut SecretReference> {
        match self {
            Self::Keys(keys) => [&mut keys.access_key_id, &mut keys.secret_access_key]
                .into_iter()
                .chain(&mut keys.session_token)
                .collect(),
            Self::DefaultChain | Self::InstanceProfile | Self::Profile(_) => Vec::new(),
        }
    }
}

fn cloakroom() -> String {
    "cloakroom".to_owned()
}

fn yes() -> bool {
    true
}
