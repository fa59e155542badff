//! What `openmetadata.yaml` tells of its own database: the section of the platform.

use cloakroom_core::SecretValue;
use cloakroom_store_openmetadata::FernetKeys;
use serde_json::json;
use zeroize::Zeroizing;

use super::loader::Surroundings;
use super::source::Source;
use super::template::only_variable;
use super::{NAME, Notes};
use crate::configuration::{Backend, OpenMetadata, Platform, ProviderName, SecretReference};
use crate::platform;

/// How OpenMetadata names its secrets.
pub(super) struct Named {
    pub(super) provider: ProviderName,
    pub(super) prefix: Option<String>,
    pub(super) cluster: Option<String>,
    pub(super) tags: String,
}

/// The platform of a server's file, whose secrets are in `backend`.
pub(super) fn platform(
    file: &mut Source,
    named: Named,
    backend: &Backend,
    surroundings: &Surroundings<'_>,
    notes: &mut Notes,
) -> anyhow::Result<Platform> {
    let database = database(file, surroundings, notes)?;
    let fernet_key = fernet_key(file, surroundings, notes)?;
    let mut section: OpenMetadata = super::airbyte_values::typed(json!({
        "database": {"env": "OPENMETADATA_DATABASE_URL"},
        "backend": NAME,
        "fernet_key": {"env": "FERNET_KEY"},
        "provider": named.provider,
    }))?;
    section.database = database;
    section.fernet_key = fernet_key;
    section.prefix = named.prefix.unwrap_or_default();
    if let Some(cluster) = named.cluster {
        section.cluster = cluster;
    }
    // Where the manager does not list them they cannot tell whose a secret is.
    if platform::manager(backend).is_some_and(platform::lists_tags) {
        section.tags = named.tags;
    }
    Ok(Platform::OpenMetadata(section))
}

fn database(
    file: &mut Source,
    surroundings: &Surroundings<'_>,
    notes: &mut Notes,
) -> anyhow::Result<SecretReference> {
    let mut section = file.section("database")?;
    section.has_secret("password");
    let url = section.text("url")?.map(|it| surroundings.expand(&it));
    let reference = notes.secret(
        None,
        "OPENMETADATA_DATABASE_URL",
        "the URL of OpenMetadata's database, with a role that may read it and its password",
    );
    match url.as_deref().and_then(without_credentials) {
        Some((scheme, rest)) => notes.remark(format!(
            "its database is {scheme}://{rest}; the URL in OPENMETADATA_DATABASE_URL is \
             {scheme}://ROLE:PASSWORD@{rest}"
        )),
        None => notes.remark(
            "where its database is was not understood: the URL in OPENMETADATA_DATABASE_URL is \
             mysql://ROLE:PASSWORD@HOST:3306/DATABASE, or postgres://… likewise",
        ),
    }
    Ok(reference)
}

/// Scheme and place of what JDBC calls a URL; `None` where it is another one, or holds a login.
fn without_credentials(url: &str) -> Option<(&'static str, &str)> {
    let url = url.trim().strip_prefix("jdbc:")?;
    let (scheme, rest) = url.split_once("://")?;
    let scheme = match scheme {
        "mysql" | "mariadb" => "mysql",
        "postgresql" => "postgres",
        _ => return None,
    };
    let (rest, _) = rest.split_once('?').unwrap_or((rest, ""));
    (!rest.is_empty() && !rest.contains('@')).then_some((scheme, rest))
}

fn fernet_key(
    file: &mut Source,
    surroundings: &Surroundings<'_>,
    notes: &mut Notes,
) -> anyhow::Result<SecretReference> {
    let mut section = file.section("fernetConfiguration")?;
    let written = section.text("fernetKey")?.map(Zeroizing::new);
    if let Some(text) = &written {
        let text = SecretValue::from(surroundings.expand(text));
        match FernetKeys::parse(&text) {
            Ok(keys) if keys.has_public_key() => notes.remark(
                "the Fernet key that OpenMetadata ships is in use, and everybody has that: change it with \
                 `reconciler fernet rotate`",
            ),
            Ok(_) => {}
            Err(_) => notes.remark("`fernetConfiguration.fernetKey` is no list of Fernet keys"),
        }
    }
    let variable = written.as_deref().and_then(|it| only_variable(it));
    Ok(notes.secret(
        variable,
        "FERNET_KEY",
        "OpenMetadata's Fernet key, or several with commas between them",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_without_a_login() {
        for (url, told) in [
            ("jdbc:mysql://db:3306/om?a=b", Some(("mysql", "db:3306/om"))),
            ("jdbc:postgresql://db/om", Some(("postgres", "db/om"))),
            ("jdbc:mysql://user:password@db/om", None),
            ("mysql://db/om", None),
            ("jdbc:oracle://db/om", None),
        ] {
            assert_eq!(without_credentials(url), told, "{url}");
        }
    }
}
