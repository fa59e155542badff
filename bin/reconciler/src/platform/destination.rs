//! Where a platform's secrets may move to: only where the platform itself would read them.

use anyhow::bail;

use crate::configuration::{Backend, Platform};

/// The prefix that names have in a backend; a platform has to use the same there.
pub(crate) fn prefix_of(backend: &Backend) -> &str {
    match backend {
        Backend::AwsSecretsManager(it) | Backend::AwsParameterStore(it) => &it.name_prefix,
        Backend::Azure(it) => &it.prefix,
        Backend::Gcp(it) => &it.prefix,
        Backend::Vault(it) => &it.prefix,
        Backend::Embedded(_) | Backend::Kubernetes(_) => "",
    }
}

/// Refuses a backend that the platform could not be switched to, before anything is asked of either
/// side.
pub(crate) fn demand_readable(
    name: &str,
    platform: &Platform,
    to: &str,
    backend: &Backend,
) -> anyhow::Result<()> {
    let Platform::Airbyte(_) = platform else {
        return Ok(());
    };
    let why = match backend {
        Backend::AwsSecretsManager(_) | Backend::Azure(_) | Backend::Gcp(_) | Backend::Vault(_) => {
            return Ok(());
        }
        Backend::AwsParameterStore(_) => "Parameter Store is none of them",
        Backend::Embedded(_) => "Cloakroom's own database is none of them",
        Backend::Kubernetes(_) => "no Kubernetes Secret can have a name with `_`, as its own have",
    };
    bail!(
        "{name} cannot be switched to {to}: Airbyte reads its secrets from AWS Secrets Manager, Azure Key \
         Vault, Google Secret Manager or Vault, and {why}"
    )
}
