//! Limits of single settings, as a schema tells them and as they are checked. What settings of a backend
//! have to be together, and how its manager wants its names, its own crate checks.

use std::ops::RangeInclusive;

use super::Backend;

/// An account of AWS's.
pub(super) const ACCOUNT: &str = "^[0-9]{12}$";

/// An address to which nothing goes in clear, unless it is this machine's.
pub(super) const ENCRYPTED: &str =
    "^(https://[^\\s/?#@]+|http://(127\\.0\\.0\\.1|localhost|\\[::1\\])(:[0-9]+)?)(/[^\\s?#]*)?$";

/// A namespace of Kubernetes'.
pub(super) const NAMESPACE: &str = "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$";

impl Backend {
    /// The first key whose value is beyond its limits, and what it may be.
    pub(in super::super) fn beyond_its_limits(&self) -> Option<(&'static str, &'static str)> {
        let rules: &[(&str, bool, &str)] = match self {
            Self::AwsSecretsManager(it) | Self::AwsParameterStore(it) => &[(
                "account",
                it.account.as_deref().is_none_or(is_account),
                "an account is 12 digits",
            )],
            Self::Azure(it) => &[
                (
                    "retention_days",
                    (7..=90).contains(&it.retention_days),
                    "7 to 90 days",
                ),
                ("page_size", is_within(it.page_size, 1..=25), "1 to 25"),
            ],
            Self::Gcp(it) => &[
                (
                    "endpoint",
                    it.endpoint.as_deref().is_none_or(is_encrypted),
                    "an address is https://..., or http:// on loopback",
                ),
                (
                    "page_size",
                    is_within(it.page_size, 1..=25_000),
                    "1 to 25000",
                ),
                ("concurrency", it.concurrency > 0, "at least 1"),
            ],
            Self::Kubernetes(it) => &[
                (
                    "namespace",
                    is_namespace(&it.namespace),
                    "a namespace is 1 to 63 of a-z, 0-9 and -, and neither begins nor ends with -",
                ),
                (
                    "page_size",
                    is_within(it.page_size, 1..=10_000),
                    "1 to 10000",
                ),
            ],
            Self::Embedded(_) | Self::Vault(_) => &[],
        };
        let broken = rules.iter().find(|(_, holds, _)| !holds);
        broken.map(|(key, _, rule)| (*key, *rule))
    }
}

fn is_within(number: u32, range: RangeInclusive<u32>) -> bool {
    range.contains(&number)
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_encrypted(address: &str) -> bool {
    let host = || {
        let rest = address.strip_prefix("http://")?;
        let host = rest.split(['/', '?', '#']).next()?;
        Some(host.rsplit_once(':').map_or(host, |(name, port)| {
            if port.bytes().all(|it| it.is_ascii_digit()) {
                name
            } else {
                host
            }
        }))
    };
    let here = ["127.0.0.1", "localhost", "[::1]"];
    address.starts_with("https://") || host().is_some_and(|host| here.contains(&host))
}

fn is_namespace(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len())
        && name.bytes().all(allowed)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::super::super::load;

    fn refused(backend: &str) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("reconciler.yaml");
        let text = format!("default_backend: a\nbackends: {{a: {{{backend}}}}}\n");
        std::fs::write(&file, text).unwrap();
        load(Some(&file), &[]).err().map(|it| format!("{it:#}"))
    }

    #[test]
    fn what_is_beyond_a_limit_is_refused_at_its_key() {
        for (backend, key, wrong, right) in [
            (
                "type: azure, vault_url: 'https://v.vault.azure.net'",
                "retention_days",
                "3",
                "7",
            ),
            (
                "type: azure, vault_url: 'https://v.vault.azure.net'",
                "retention_days",
                "91",
                "90",
            ),
            (
                "type: azure, vault_url: 'https://v.vault.azure.net'",
                "page_size",
                "26",
                "25",
            ),
            ("type: gcp, project: p", "page_size", "99999", "25000"),
            ("type: gcp, project: p", "concurrency", "0", "1"),
            (
                "type: gcp, project: p",
                "endpoint",
                "'http://example.com'",
                "'http://localhost:80/a'",
            ),
            (
                "type: gcp, project: p",
                "endpoint",
                "'http://127.0.0.1.example.com'",
                "'https://example.com'",
            ),
            (
                "type: aws-secrets-manager, region: r",
                "account",
                "'12'",
                "'123456789012'",
            ),
            (
                "type: aws-parameter-store, region: r",
                "account",
                "'12345678901x'",
                "'123456789012'",
            ),
            ("type: kubernetes", "namespace", "UP", "up"),
            ("type: kubernetes, namespace: n", "page_size", "0", "10000"),
        ] {
            let told = refused(&format!("{backend}, {key}: {wrong}")).unwrap();
            assert!(told.contains(&format!("backends.a.{key}")), "{told}");
            assert_eq!(refused(&format!("{backend}, {key}: {right}")), None);
        }
    }
}
