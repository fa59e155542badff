//! Platforms whose secrets somebody else wrote: where their database is, and which backend is their
//! secrets manager.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::secret_reference::SecretReference;

/// A platform whose database is read and never written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Platform {
    /// Which platform it is.
    #[serde(rename = "type")]
    pub kind: PlatformKind,
    /// Where the URL of its database is (`postgres://reader:password@host/database`). A role that may
    /// do nothing but SELECT is enough.
    pub database: SecretReference,
    /// The backend that is its secrets manager, with the prefix that the platform uses there.
    pub backend: String,
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

/// A platform that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PlatformKind {
    /// Airbyte's configs database (PostgreSQL).
    Airbyte,
}

fn airbyte_prefix() -> String {
    cloakroom_core::coordinates::DEFAULT_PREFIX.to_owned()
}

fn public() -> String {
    "public".to_owned()
}
