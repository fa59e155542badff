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
    let (database, schema) = database(file, surroundings, notes)?;
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
    if let Some(schema) = schema {
        section.schema = schema;
    }
    if let Some(cluster) = named.cluster {
        section.cluster = cluster;
    }
    // Where the manager does not list them they cannot tell whose a secret is; out of the database a migration takes
    // them along.
    if platform::manager(backend).is_none_or(platform::lists_tags) {
        section.tags = named.tags;
    }
    Ok(Platform::OpenMetadata(section))
}

/// Where it is, and the schema that its tables are in where that is said.
fn database(
    file: &mut Source,
    surroundings: &Surroundings<'_>,
    notes: &mut Notes,
) -> anyhow::Result<(SecretReference, Option<String>)> {
    let mut section = file.section("database")?;
    section.has_secret("password");
    let url = section.text("url")?.map(|it| surroundings.expand(&it));
    let reference = notes.secret(
        None,
        "OPENMETADATA_DATABASE_URL",
        "the URL of OpenMetadata's database, with a role that may read it and its password",
    );
    let Some(address) = url.as_deref().and_then(read) else {
        notes.remark(
            "where its database is was not understood: the URL in OPENMETADATA_DATABASE_URL is \
             mysql://ROLE:PASSWORD@HOST:3306/DATABASE, or postgres://… likewise",
        );
        return Ok((reference, None));
    };
    let Address { scheme, place, .. } = &address;
    notes.remark(format!(
        "its database is {scheme}://{place}; the URL in OPENMETADATA_DATABASE_URL is \
         {scheme}://ROLE:PASSWORD@{place}"
    ));
    for name in &address.untold {
        notes.remark(format!(
            "`{name}` of its database's URL is not carried over as it stands: look at `schema` of the platform, \
             and at what encrypts the connection"
        ));
    }
    Ok((reference, address.schema))
}

/// What JDBC calls a URL, as far as it is carried over.
#[derive(Debug, PartialEq, Eq)]
struct Address<'u> {
    scheme: &'static str,
    /// What stands behind a login in a URL of ours.
    place: String,
    /// The schema that its tables are in.
    schema: Option<String>,
    /// Parameters that decide where the tables are or how the connection is encrypted, and are not carried over.
    untold: Vec<&'u str>,
}

/// What PostgreSQL calls the ways to encrypt, there and here.
const POSTGRES_WAYS: &[&str] = &[
    "disable",
    "allow",
    "prefer",
    "require",
    "verify-ca",
    "verify-full",
];

/// What the drivers of MySQL and MariaDB call them, and what they are called here.
const MYSQL_WAYS: &[(&str, &str)] = &[
    ("disabled", "DISABLED"),
    ("disable", "DISABLED"),
    ("preferred", "PREFERRED"),
    ("required", "REQUIRED"),
    ("trust", "REQUIRED"),
    ("verify_ca", "VERIFY_CA"),
    ("verify-ca", "VERIFY_CA"),
    ("verify_identity", "VERIFY_IDENTITY"),
    ("verify-full", "VERIFY_IDENTITY"),
];

/// Takes a URL of JDBC's apart; `None` where it is another one, or holds a login.
fn read(url: &str) -> Option<Address<'_>> {
    let url = url.trim().strip_prefix("jdbc:")?;
    let (scheme, rest) = url.split_once("://")?;
    let scheme = match scheme {
        "mysql" | "mariadb" => "mysql",
        "postgresql" => "postgres",
        _ => return None,
    };
    let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    if place.is_empty() || place.contains('@') {
        return None;
    }
    let mut address = Address {
        scheme,
        place: place.to_owned(),
        schema: None,
        untold: Vec::new(),
    };
    let mut way = None;
    for parameter in parameters.split('&') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match (scheme, name) {
            ("postgres", "currentSchema") => address.take_schema(name, value),
            ("postgres", "ssl") if value != "false" => way = way.or(Some("verify-full")),
            ("postgres", "sslmode") | ("mysql", "sslMode") => match way_of(scheme, value) {
                Some(known) => way = Some(known),
                None => address.untold.push(name),
            },
            _ if value != "false" && is_of_encryption(name) => address.untold.push(name),
            _ => {}
        }
    }
    if let Some(way) = way {
        // Beside the way itself it says nothing.
        address.untold.retain(|it| *it != "useSSL");
        let name = if scheme == "mysql" {
            "ssl-mode"
        } else {
            "sslmode"
        };
        address.place = format!("{place}?{name}={way}");
    }
    Some(address)
}

impl<'u> Address<'u> {
    /// The first schema of a path is where tables are made.
    fn take_schema(&mut self, name: &'u str, path: &str) {
        let (first, others) = path.split_once(',').unwrap_or((path, ""));
        let is_plain = |it: char| it.is_ascii_alphanumeric() || it == '_';
        if !first.is_empty() && first.chars().all(is_plain) {
            self.schema = Some(first.to_owned());
        }
        if self.schema.is_none() || !others.is_empty() {
            self.untold.push(name);
        }
    }
}

fn way_of(scheme: &str, value: &str) -> Option<&'static str> {
    if scheme == "postgres" {
        return POSTGRES_WAYS.iter().copied().find(|way| *way == value);
    }
    let mut ways = MYSQL_WAYS.iter();
    let way = ways.find(|(way, _)| way.eq_ignore_ascii_case(value));
    way.map(|(_, here)| *here)
}

fn is_of_encryption(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.contains("ssl") || name.contains("cert")
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
            let told = told.map(|(scheme, place)| Address {
                scheme,
                place: place.to_owned(),
                schema: None,
                untold: Vec::new(),
            });
            assert_eq!(read(url), told, "{url}");
        }
    }

    #[test]
    fn what_the_address_says_of_schema_and_encryption_is_carried_over() {
        for (url, place, schema) in [
            (
                "jdbc:postgresql://db/om?currentSchema=meta&sslmode=verify-full",
                "db/om?sslmode=verify-full",
                Some("meta"),
            ),
            (
                "jdbc:postgresql://db/om?ssl=true&currentSchema=%22meta%22,public",
                "db/om?sslmode=verify-full",
                None,
            ),
            (
                "jdbc:postgresql://db/om?currentSchema=meta,public",
                "db/om",
                Some("meta"),
            ),
            (
                "jdbc:mysql://db/om?useSSL=true&sslMode=VERIFY_CA",
                "db/om?ssl-mode=VERIFY_CA",
                None,
            ),
            (
                "jdbc:mariadb://db/om?sslMode=verify-full",
                "db/om?ssl-mode=VERIFY_IDENTITY",
                None,
            ),
            (
                "jdbc:mysql://db/om?useSSL=false&serverTimezone=UTC",
                "db/om",
                None,
            ),
            ("jdbc:mysql://db/om?currentSchema=meta", "db/om", None),
        ] {
            let address = read(url).unwrap();
            assert_eq!(
                (address.place.as_str(), address.schema.as_deref()),
                (place, schema),
                "{url}"
            );
            assert!(!address.untold.contains(&"useSSL"), "{url}");
        }
    }

    #[test]
    fn what_is_not_carried_over_is_told_by_its_name_alone() {
        for (url, name) in [
            ("jdbc:postgresql://db/om?sslrootcert=hunter2", "sslrootcert"),
            ("jdbc:postgresql://db/om?sslmode=hunter2", "sslmode"),
            (
                "jdbc:postgresql://db/om?currentSchema=%22hunter2%22",
                "currentSchema",
            ),
            ("jdbc:postgresql://db/om?currentSchema=a,b", "currentSchema"),
            (
                "jdbc:mysql://db/om?verifyServerCertificate=true&password=hunter2",
                "verifyServerCertificate",
            ),
            ("jdbc:mysql://db/om?requireSSL=true", "requireSSL"),
            ("jdbc:mysql://db/om?useSSL=true", "useSSL"),
        ] {
            let address = read(url).unwrap();
            assert_eq!(address.untold, [name], "{url}");
            assert!(!format!("{} {:?}", address.place, address.schema).contains("hunter2"));
        }
    }
}
