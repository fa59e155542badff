//! Where a platform's secrets may move to: only where the platform itself would read them.

use std::borrow::Cow;

use anyhow::bail;

use crate::configuration::{Backend, Platform};

/// What Airbyte calls the prefix that names have in a backend. On Vault the mount is a part of it.
pub(crate) fn airbytes_prefix_of(backend: &Backend) -> Cow<'_, str> {
    match backend {
        Backend::Vault(it) => format!("{}/{}", it.mount.trim_end_matches('/'), it.prefix).into(),
        other => prefix_of(other).into(),
    }
}

/// The prefix that names have in a backend.
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
        Backend::Vault(it) if it.mount.trim_end_matches('/').contains('/') => {
            "of a path in Vault it takes the first part alone for the mount"
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Read back as Airbyte reads it, it leads to where the backend is.
    #[test]
    fn airbytes_prefix_on_vault_begins_with_the_mount() {
        for (mount, prefix, expected) in [
            ("secret", "", "secret/"),
            ("secret/", "airbyte/", "secret/airbyte/"),
            ("kv", "team/prod-", "kv/team/prod-"),
        ] {
            let section = serde_json::json!({"address": "https://v", "mount": mount,
                "prefix": prefix, "auth": {"token": {"env": "T"}}});
            let backend = Backend::Vault(serde_json::from_value(section).unwrap());
            assert_eq!(airbytes_prefix_of(&backend), expected);
        }
        let section = serde_json::json!({"region": "eu-west-1"});
        let backend = Backend::AwsSecretsManager(serde_json::from_value(section).unwrap());
        assert_eq!(airbytes_prefix_of(&backend), "");
    }
}
