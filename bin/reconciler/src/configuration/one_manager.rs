//! Two names of one manager, as far as it can be told without asking any: each would take the other's secrets for
//! unknown.

use cloakroom_backends_aws::address_of_manager;
use reqwest::Url;
use serde_json::{Value, json};

use super::backends::{Aws, Backend};
use super::sections::Configuration;
use crate::platform::prefix_of;

/// Two backends that surely are one manager.
pub(super) fn doubled(configuration: &Configuration) -> Option<[&str; 2]> {
    let mut places = Vec::<((Value, &str), &str)>::new();
    for (name, backend) in &configuration.backends {
        let Some(server) = server(backend) else {
            continue;
        };
        let place = (server, prefix_of(backend));
        if let Some((_, other)) = places.iter().find(|(it, _)| *it == place) {
            return Some([other, name]);
        }
        places.push((place, name));
    }
    None
}

/// What tells a manager from others but for the prefix that names have in it; `None` where a backend has one of its
/// own.
pub(super) fn server(backend: &Backend) -> Option<Value> {
    Some(match backend {
        Backend::AwsSecretsManager(it) => aws("secrets manager", it),
        Backend::AwsParameterStore(it) => aws("parameter store", it),
        Backend::Azure(it) => json!(["azure", plain(&it.vault_url)]),
        Backend::Gcp(it) => {
            json!([
                "gcp",
                it.project,
                it.location,
                it.endpoint.as_deref().and_then(googles)
            ])
        }
        Backend::Kubernetes(it) => {
            let server = it.server.as_deref().and_then(plain);
            json!([
                "kubernetes",
                server,
                it.kubeconfig,
                it.context,
                it.namespace
            ])
        }
        Backend::Vault(it) => {
            json!([
                "vault",
                plain(&it.address),
                it.namespace,
                it.mount.trim_matches('/')
            ])
        }
        // Each name has secrets of its own.
        Backend::Embedded(_) => return None,
    })
}

fn aws(service: &str, it: &Aws) -> Value {
    // Where the account is not said, whoever logs in has it.
    let account = match &it.account {
        Some(account) => json!(account),
        // As it is printed a reference may be another's.
        None => json!(format!("{:?} {:?}", it.authentication, it.role_arn)),
    };
    let endpoint = it.endpoint_url.as_deref().and_then(plain);
    json!([service, it.region, account, endpoint])
}

/// An address as it is however it is written; nothing where it is one of AWS's own.
fn plain(address: &str) -> Option<String> {
    address_of_manager(address)
}

/// An address of another server than Google's own, whose names lead to what project and location name.
fn googles(address: &str) -> Option<String> {
    let of_google = |url: Url| url.host_str()?.strip_suffix(".googleapis.com").map(drop);
    plain(address).filter(|it| Url::parse(it).ok().and_then(of_google).is_none())
}

#[cfg(test)]
mod tests {
    use super::super::{reader, yaml};
    use super::*;

    fn is_one(one: &str, other: &str) -> bool {
        let text = format!("backends: {{a: {{{one}}}, b: {{{other}}}}}");
        let tree = yaml::parse(&text).unwrap();
        let configuration: Configuration = reader::read(&tree).unwrap();
        doubled(&configuration).is_some()
    }

    /// A manager behind two addresses: what one platform uses there looks left behind to the other.
    #[test]
    fn one_manager_behind_two_addresses_is_one() {
        for kind in ["aws-secrets-manager", "aws-parameter-store"] {
            let aws = |endpoint: &str| {
                format!("type: {kind}, region: eu-central-1, account: '123456789012'{endpoint}")
            };
            let service = if kind == "aws-parameter-store" {
                "ssm"
            } else {
                "secretsmanager"
            };
            for host in [
                format!("vpce-0a1-b2c.{service}.eu-central-1.vpce.amazonaws.com"),
                format!("{service}-fips.eu-central-1.amazonaws.com"),
                format!("{service}.eu-central-1.api.aws"),
            ] {
                let endpoint = format!(", endpoint_url: 'https://{host}'");
                assert!(is_one(&aws(""), &aws(&endpoint)), "{host}");
            }
            let at = |url: &str| aws(&format!(", endpoint_url: '{url}'"));
            assert!(is_one(
                &at("http://127.0.0.1:4566"),
                &at("http://localhost:4566")
            ));
            assert!(is_one(
                &at("http://[::1]:4566"),
                &at("http://LocalHost.:4566/")
            ));
            assert!(!is_one(
                &at("http://127.0.0.1:4566"),
                &at("http://127.0.0.1:4567")
            ));
            assert!(!is_one(
                &aws(""),
                &at("http://emulator.elb.eu-central-1.amazonaws.com")
            ));
        }
    }

    #[test]
    fn an_address_is_one_however_it_is_written() {
        let vault = |address: &str| {
            format!("type: vault, address: '{address}', auth: {{token: {{env: T}}}}")
        };
        let azure = |url: &str| format!("type: azure, vault_url: '{url}'");
        let google = |endpoint: &str| format!("type: gcp, project: p, endpoint: '{endpoint}'");
        for backend in [vault, azure, google] {
            for (one, other, is) in [
                ("https://v.example", "https://V.Example", true),
                ("https://v.example", "https://v.example./", true),
                ("https://v.example", "https://v.example:443//", true),
                ("https://127.0.0.1:8200", "https://localhost:8200", true),
                ("https://v.example", "https://v.example:8200", false),
                ("https://v.example", "https://w.example", false),
                ("https://v.example/a", "https://v.example/b", false),
            ] {
                assert_eq!(is_one(&backend(one), &backend(other)), is, "{one}, {other}");
            }
        }
    }

    #[test]
    fn googles_own_addresses_are_one() {
        let google = |more: &str| format!("type: gcp, project: p{more}");
        for host in [
            "secretmanager.googleapis.com",
            "secretmanager.mtls.googleapis.com",
            "secretmanager-vpc.p.googleapis.com",
        ] {
            let by_name = google(&format!(", endpoint: 'https://{host}'"));
            assert!(is_one(&google(""), &by_name), "{host}");
        }
        let elsewhere = google(", endpoint: 'https://notgoogleapis.com'");
        assert!(!is_one(&google(""), &elsewhere));
        let regional = google(", location: europe-west3");
        assert!(!is_one(&google(""), &regional), "other secrets");
    }
}
