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

/// Whether a property of this name holds a secret. Keys of maps count by all their words:
/// `sasl.password` does.
pub(crate) fn is_secret(name: &str) -> bool {
    let plain: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|it| it.to_ascii_lowercase())
        .collect();
    WHOLE.contains(&plain.as_str()) || ENDINGS.iter().any(|ending| plain.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
