//! Two names of one manager, as far as it can be told without asking any: each would take the other's secrets for
//! unknown.

use serde_json::{Value, json};

use super::backends::{Aws, Backend};
use super::sections::Configuration;

/// Two backends that surely are one manager.
pub(super) fn doubled(configuration: &Configuration) -> Option<[&str; 2]> {
    let mut places = Vec::<(Value, &str)>::new();
    for (name, backend) in &configuration.backends {
        let Some(place) = place(backend) else {
            continue;
        };
        if let Some((_, other)) = places.iter().find(|(it, _)| *it == place) {
            return Some([other, name]);
        }
        places.push((place, name));
    }
    None
}

/// What tells a manager from others.
fn place(backend: &Backend) -> Option<Value> {
    Some(match backend {
        Backend::AwsSecretsManager(it) => aws("secrets manager", it),
        Backend::AwsParameterStore(it) => aws("parameter store", it),
        Backend::Azure(it) => json!(["azure", plain(&it.vault_url), it.prefix]),
        Backend::Gcp(it) => {
            json!([
                "gcp",
                it.project,
                it.location,
                it.prefix,
                it.endpoint.as_deref().map(plain)
            ])
        }
        Backend::Kubernetes(it) => {
            let server = it.server.as_deref().map(plain);
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
                it.mount.trim_matches('/'),
                it.prefix
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
    let endpoint = it.endpoint_url.as_deref().map(plain);
    json!([service, it.region, account, endpoint, it.name_prefix])
}

/// An address as it is however it ends.
fn plain(address: &str) -> &str {
    address.trim_end_matches('/')
}
