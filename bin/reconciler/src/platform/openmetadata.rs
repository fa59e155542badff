//! From an OpenMetadata section of the configuration to what reads its database.

use anyhow::{Context as _, bail};
use cloakroom_store_openmetadata::{FernetKeys, Manager, Options, Provider};

use super::source::chosen;
use crate::configuration::{Backend, Configuration, OpenMetadata, Platform};

/// The OpenMetadata that was asked for, or the only platform there is, by its name.
pub fn openmetadata<'a>(
    configuration: &'a Configuration,
    asked: Option<&'a str>,
) -> anyhow::Result<(&'a str, &'a OpenMetadata)> {
    match chosen(configuration, asked)? {
        (name, Platform::OpenMetadata(section)) => Ok((name, section)),
        (name, Platform::Airbyte(_)) => bail!("platforms.{name} is no OpenMetadata"),
    }
}

/// How to read its database. Reads the secrets that the section refers to. The Fernet key that everybody
/// knows is warned about, or refused where the section is strict.
pub fn openmetadata_options(name: &str, section: &OpenMetadata) -> anyhow::Result<Options> {
    let keys = section.fernet_key.read().context("fernet_key")?;
    let keys = FernetKeys::parse(&keys)?;
    if keys.has_public_key() {
        if section.strict {
            bail!(
                "the Fernet key that OpenMetadata ships is among its keys, and everybody has that: {}, or take `strict` out",
                away_from_the_public_key(&keys)
            );
        }
        tracing::warn!(
            platform.name = name,
            "the Fernet key that OpenMetadata ships is among its keys: whatever it seals is as good as in \
             clear; {}",
            away_from_the_public_key(&keys)
        );
    }
    let database = section.database.read().context("database")?;
    let mut options = Options::new(database, keys, provider(section)?);
    options.prefix.clone_from(&section.prefix);
    options.cluster.clone_from(&section.cluster);
    options.schema.clone_from(&section.schema);
    options.leave_out.clone_from(&section.leave_out);
    Ok(options)
}

/// How to get away from the key that everybody has: what it sealed is opened with it until all is under another.
fn away_from_the_public_key(keys: &FernetKeys) -> &'static str {
    if keys.first_is_public() {
        "put a new one before it, here and in OpenMetadata's configuration, and run `reconciler fernet rotate`"
    } else {
        "run `reconciler fernet rotate` to its end, then take it out, here and in OpenMetadata's configuration"
    }
}

/// Who writes its secrets, and where.
pub(crate) fn provider(section: &OpenMetadata) -> cloakroom_core::Result<Provider> {
    Provider::from_name(section.provider.as_str())
}

/// What a backend is to OpenMetadata; `None` for one that it does not know.
pub(crate) fn manager(backend: &Backend) -> Option<Manager> {
    match backend {
        Backend::AwsSecretsManager(_) => Some(Manager::Aws),
        Backend::AwsParameterStore(_) => Some(Manager::AwsSsm),
        Backend::Azure(_) => Some(Manager::AzureKeyVault),
        Backend::Gcp(_) => Some(Manager::Google),
        Backend::Kubernetes(_) => Some(Manager::Kubernetes),
        Backend::Vault(_) => Some(Manager::OpenBao),
        Backend::Embedded(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The name of a file may be the secret itself and is not repeated: the key alone tells which one is missing.
    #[test]
    fn a_secret_that_is_not_there_is_told_by_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "no_encryption_at_rest").unwrap();
        let there = format!("{{file: '{}'}}", file.display());
        for missing in ["{file: /nowhere/at/all}", "{env: CLOAKROOM_IS_NOWHERE}"] {
            for (database, fernet_key, key) in [
                (&*there, missing, "fernet_key"),
                (missing, &*there, "database"),
            ] {
                let section = format!(
                    "{{backend: om, provider: db, database: {database}, fernet_key: {fernet_key}}}"
                );
                let section: OpenMetadata = serde_yaml_ng::from_str(&section).unwrap();
                let error = openmetadata_options("om", &section).unwrap_err();
                let told = format!("{error:#}");
                assert!(told.starts_with(&format!("{key}: ")), "{told}");
            }
        }
    }
}
