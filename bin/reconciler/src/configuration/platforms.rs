//! Platforms whose secrets somebody else wrote: where their database is, and which backend is their
//! secrets manager.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::cron::CronLine;
use super::secret_reference::SecretReference;

/// A platform whose database is read.
// The reader knows this enumeration by its name: its `type` stands beside its settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Platform {
    /// Airbyte's configs database (PostgreSQL).
    Airbyte(Airbyte),
    /// OpenMetadata's database (MySQL, MariaDB or PostgreSQL).
    OpenMetadata(OpenMetadata),
}

/// The same kinds as the reader takes them: a name, then its settings.
#[derive(Deserialize)]
#[serde(rename = "Platform", rename_all = "lowercase")]
enum Written {
    Airbyte(Airbyte),
    OpenMetadata(OpenMetadata),
}

/// Airbyte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Airbyte {
    /// Where the URL of its database is (`postgres://reader:password@host/database`). A role that may
    /// do nothing but SELECT is enough.
    pub database: SecretReference,
    /// The backend that is its secrets manager, with the prefix that the platform uses there.
    pub backend: String,
    /// When `serve` cleans it, as a cron line in UTC: once an operator has confirmed a plan. Left out,
    /// `serve` does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<CronLine>,
    /// The platform's id of the secret storage that this backend is; the default storage has the nil id.
    #[serde(default)]
    pub storage: Uuid,
    /// What the names of its secrets begin with.
    #[serde(default = "airbyte_prefix")]
    pub prefix: String,
    /// The schema that the platform's own tables are in; all others are read too.
    #[serde(default = "public")]
    pub schema: String,
    /// Tables that are not read, as `schema.table`: history, which would keep secrets for ever.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leave_out: Vec<String>,
}

/// OpenMetadata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenMetadata {
    /// Where the URL of its database is (`postgres://reader:password@host/database`, or `mysql://…` for
    /// MySQL and MariaDB). A role that may do nothing but SELECT is enough.
    pub database: SecretReference,
    /// Where the URL of the same database is as a role that may also UPDATE its tables, for the commands
    /// that change them. Left out, these refuse, and nothing else needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writer: Option<SecretReference>,
    /// The backend that is its secrets manager, without a prefix of its own.
    pub backend: String,
    /// When `serve` cleans it, as a cron line in UTC: once an operator has confirmed a plan. Left out,
    /// `serve` does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<CronLine>,
    /// Where its Fernet keys are: `fernetConfiguration.fernetKey`, with commas between several.
    pub fernet_key: SecretReference,
    /// `secretsManagerConfiguration.secretsManager`: who writes its secrets, and where.
    pub provider: ProviderName,
    /// `secretsManagerConfiguration.prefix`.
    #[serde(default)]
    pub prefix: String,
    /// `clusterName`.
    #[serde(default = "openmetadata_cluster")]
    pub cluster: String,
    /// `secretsManagerConfiguration.tags`, as it is written there (`[key:value,…]`). A secret without one
    /// of them is another deployment's. Not on managers that do not list tags.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tags: String,
    /// The schema that its own tables are in, on PostgreSQL; all others are read too.
    #[serde(default = "public")]
    pub schema: String,
    /// Tables that are not read, as `schema.table`, or `table` for one of its own: history, which would
    /// keep secrets for ever. Tables of entities cannot be left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leave_out: Vec<String>,
    /// Whether to refuse the Fernet key that OpenMetadata ships and everybody knows. Otherwise its use
    /// is warned about.
    #[serde(default)]
    pub strict: bool,
}

/// What `secretsManager` may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProviderName {
    /// Values stay in the database.
    Db,
    /// AWS Secrets Manager, written by OpenMetadata.
    ManagedAws,
    /// AWS Secrets Manager, written by its users.
    Aws,
    /// Parameter Store, written by OpenMetadata.
    ManagedAwsSsm,
    /// Parameter Store, written by its users.
    AwsSsm,
    /// Azure Key Vault, written by OpenMetadata.
    ManagedAzureKv,
    /// Azure Key Vault, written by its users.
    AzureKv,
    /// Google Secret Manager, written by OpenMetadata.
    Gcp,
    /// Kubernetes Secrets, written by OpenMetadata.
    Kubernetes,
}

impl<'de> Deserialize<'de> for Platform {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Written::deserialize(deserializer)? {
            Written::Airbyte(it) => Self::Airbyte(it),
            Written::OpenMetadata(it) => Self::OpenMetadata(it),
        })
    }
}

impl Platform {
    /// The backend that is its secrets manager.
    pub fn backend(&self) -> &str {
        match self {
            Self::Airbyte(it) => &it.backend,
            Self::OpenMetadata(it) => &it.backend,
        }
    }

    /// When `serve` cleans it; `None` where it does not.
    pub fn schedule(&self) -> Option<&CronLine> {
        match self {
            Self::Airbyte(it) => it.schedule.as_ref(),
            Self::OpenMetadata(it) => it.schedule.as_ref(),
        }
    }

    /// Every secret that its settings refer to, by its key.
    pub fn references(&self) -> Vec<(&'static str, &SecretReference)> {
        match self {
            Self::Airbyte(it) => vec![("database", &it.database)],
            Self::OpenMetadata(it) => {
                let fixed = [("database", &it.database), ("fernet_key", &it.fernet_key)];
                let writer = it.writer.as_ref().map(|writer| ("writer", writer));
                fixed.into_iter().chain(writer).collect()
            }
        }
    }

    /// The same, to be changed.
    pub(super) fn references_mut(&mut self) -> Vec<&mut SecretReference> {
        match self {
            Self::Airbyte(it) => vec![&mut it.database],
            Self::OpenMetadata(it) => {
                let fixed = [&mut it.database, &mut it.fernet_key];
                fixed.into_iter().chain(it.writer.as_mut()).collect()
            }
        }
    }
}

impl ProviderName {
    /// As OpenMetadata's configuration writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Db => "db",
            Self::ManagedAws => "managed-aws",
            Self::Aws => "aws",
            Self::ManagedAwsSsm => "managed-aws-ssm",
            Self::AwsSsm => "aws-ssm",
            Self::ManagedAzureKv => "managed-azure-kv",
            Self::AzureKv => "azure-kv",
            Self::Gcp => "gcp",
            Self::Kubernetes => "kubernetes",
        }
    }
}

fn airbyte_prefix() -> String {
    cloakroom_core::coordinates::DEFAULT_PREFIX.to_owned()
}

fn openmetadata_cluster() -> String {
    "openmetadata".to_owned()
}

fn public() -> String {
    "public".to_owned()
}
