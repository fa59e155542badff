//! Names of properties that OpenMetadata's schemas mark as passwords, and those that a person would:
//! the database has no schema of a connector, so clear text is told by name.

/// Letters and digits of a property's last word, in lower case, that make its text a secret.
const ENDINGS: &[&str] = &[
    "password",
    "passphrase",
    "privatekey",
    "secretkey",
    "secretaccesskey",
    "clientsecret",
    "apikey",
    "apisecret",
    "apitoken",
    "accesstoken",
    "accesstokensecret",
    "authtoken",
    "jwttoken",
    "securitytoken",
    "secrettoken",
    "sessiontoken",
    "jaasconfig",
    "passwd",
    "pwd",
    "consumersecret",
    "sharedsecret",
    "privatekeyvalue",
    "authstring",
    "accountkey",
    "jwt",
    "bottoken",
    "usertoken",
    "proxyauthentication",
    "cacertificate",
    "sslcertificate",
    "x509certificate",
    "cacertvalue",
    "clientcertvalue",
    "certificatedata",
    "nkeyseed",
    "refreshtoken",
    "signingsecret",
];

/// Names that are secret as they stand and not as an ending.
const WHOLE: &[&str] = &[
    "token",
    "secret",
    "sslkey",
    "basicauthuserinfo",
    "credential",
    "credentials",
];

/// What says of anything what it is called or what it is.
const TITLES: &[&str] = &[
    "name",
    "displayName",
    "fullyQualifiedName",
    "tagFQN",
    "description",
];

/// Whether the property at the end of this path says what something is called, which is no secret wherever it stands.
pub(crate) fn is_called_so(path: &[&str]) -> bool {
    path.last().is_some_and(|name| TITLES.contains(name))
}

/// Whether the property at the end of this path holds a secret.
pub(crate) fn is_secret_at(path: &[&str]) -> bool {
    match path {
        // A connector's own is a password; beside a secret key, below `awsConfig` and its like, it is a name.
        // A client's name is one in the credential of an Iceberg catalog alone.
        [.., "config", "awsAccessKeyId"] | [.., "credential", "clientId"] => true,
        [.., name] => is_secret(name),
        [] => false,
    }
}

/// The same of a setting. What it has of certificates are those of login providers, which anybody may know.
pub(crate) fn is_secret_setting_at(path: &[&str]) -> bool {
    let is_certificate = |name: &&str| name.to_ascii_lowercase().ends_with("certificate");
    is_secret_at(path) && !path.last().is_some_and(is_certificate)
}

/// Whether a property of this name holds a secret. Keys of maps count by all their words:
/// `sasl.password` does.
fn is_secret(name: &str) -> bool {
    let plain: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|it| it.to_ascii_lowercase())
        .collect();
    WHOLE.contains(&plain.as_str()) || ENDINGS.iter().any(|ending| plain.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Every way to a password, from an entity's beginning on.
    fn schemas_passwords() -> Vec<Vec<String>> {
        let vectors = include_str!("../tests/vectors/openmetadata-secret-fields.json");
        let vectors: Value = serde_json::from_str(vectors).unwrap();
        let releases = vectors.as_object().unwrap().values();
        let kinds = releases.filter_map(Value::as_object).flatten();
        let at = |kind: &str| match kind {
            "bot" => "authenticationMechanism",
            "serverconnection" => "openMetadataServerConnection",
            "workflow" => "",
            _ => "connection.config",
        };
        let fields = kinds.flat_map(|(kind, fields)| {
            let fields = fields.as_array().into_iter().flatten();
            fields.map(move |field| format!("{}.{}", at(kind), field.as_str().unwrap()))
        });
        let words = |path: String| path.split('.').map(str::to_owned).collect();
        fields.map(words).collect()
    }

    #[test]
    fn what_openmetadatas_schemas_call_a_password_is_secret() {
        let all = schemas_passwords();
        assert!(all.len() > 150, "{}", all.len());
        for path in all {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            assert!(is_secret_at(&path), "{path:?}");
        }
    }

    #[test]
    fn the_name_of_a_client_is_secret_where_openmetadata_says_so() {
        assert!(!is_secret_at(&["connection", "config", "clientId"]));
        assert!(!is_secret_at(&[
            "connection",
            "config",
            "authType",
            "clientId"
        ]));
    }

    #[test]
    fn secrets_are_told_by_name() {
        for name in [
            "password",
            "JWTToken",
            "awsSecretAccessKey",
            "sasl.password",
            "snowflakePrivatekeyPassphrase",
            "dbtCloudAuthToken",
            "token",
            "jwt",
            "authString",
            "consumerSecret",
            "privateKeyValue",
            "credentials",
            "passwd",
            "caCertificate",
            "proxyAuthentication",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "username",
            "tokenUrl",
            "tokens",
            "passwordPolicy",
            "privateKeyId",
            "key",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn the_name_of_an_access_key_is_secret_where_openmetadata_says_so() {
        let key = "awsAccessKeyId";
        assert!(is_secret_at(&["connection", "config", key]));
        for path in [&["connection", "config", "awsConfig", key][..], &[key], &[]] {
            assert!(!is_secret_at(path), "{path:?}");
        }
    }
}
