//! Two Airbytes whose names begin alike in one manager, though each has a backend with a prefix of its own there.

use serde_json::Value;

use super::backends::Backend;
use super::one_manager::server;
use super::platforms::Platform;
use super::sections::Configuration;
use crate::platform::prefix_of;

/// A platform, another one, and what the names of the first begin with in the manager.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entangled<'a> {
    pub(super) platform: &'a str,
    pub(super) other: &'a str,
    pub(super) begins: String,
}

/// Two that could take each other's secrets for their own: through backends that are told apart neither is asked
/// what it uses before the other one's clean-up deletes.
pub(super) fn entangled(configuration: &Configuration) -> Option<Entangled<'_>> {
    let mut before = Vec::<Named<'_>>::new();
    for (platform, section) in &configuration.platforms {
        let Some(named) = named(configuration, platform, section) else {
            continue;
        };
        if let Some(other) = before.iter().find(|it| it.may_meet(&named)) {
            let (platform, other) = (named.platform, other.platform);
            let begins = named.begins;
            return Some(Entangled {
                platform,
                other,
                begins,
            });
        }
        before.push(named);
    }
    None
}

/// Where a platform's secrets are and what their names begin with there.
struct Named<'a> {
    platform: &'a str,
    backend: &'a str,
    server: Value,
    begins: String,
}

fn named<'a>(
    configuration: &'a Configuration,
    platform: &'a str,
    section: &'a Platform,
) -> Option<Named<'a>> {
    let Platform::Airbyte(section) = section else {
        return None;
    };
    let backend = configuration.backends.get(&section.backend)?;
    let begins = format!("{}{}", prefix_of(backend), section.prefix);
    Some(Named {
        platform,
        backend: &section.backend,
        server: server(backend)?,
        begins: match backend {
            // Its names have no `_`, and `-` takes its place.
            Backend::Azure(_) => begins.replace('_', "-"),
            _ => begins,
        },
    })
}

impl Named<'_> {
    fn may_meet(&self, other: &Self) -> bool {
        let is_apart = self.backend == other.backend || self.server != other.server;
        !is_apart && (goes_on(&self.begins, &other.begins) || goes_on(&other.begins, &self.begins))
    }
}

/// Whether the longer one goes on from the shorter one as names do: what stands behind a `/` is none of its.
fn goes_on(shorter: &str, longer: &str) -> bool {
    let is_of_names = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let rest = longer.strip_prefix(shorter);
    rest.is_some_and(|it| it.bytes().all(is_of_names))
}

#[cfg(test)]
mod tests {
    use super::super::{reader, yaml};
    use super::*;

    const VAULT: &str = "type: vault, address: 'https://v.example', auth: {token: {env: T}}";

    fn told(one: &str, its_prefix: &str, other: &str, others_prefix: &str) -> Option<String> {
        let airbyte = |backend: &str, prefix: &str| {
            format!("{{type: airbyte, database: {{env: D}}, backend: {backend}, prefix: {prefix}}}")
        };
        let text = format!(
            "backends: {{a: {{{one}}}, b: {{{other}}}}}\nplatforms:\n  x: {}\n  y: {}\n",
            airbyte("a", its_prefix),
            airbyte("b", others_prefix)
        );
        let tree = yaml::parse(&text).unwrap();
        let configuration: Configuration = reader::read(&tree).unwrap();
        entangled(&configuration).map(|it| format!("{} {} {}", it.platform, it.other, it.begins))
    }

    #[test]
    fn prefixes_that_meet_in_one_manager_are_told() {
        let vault = |prefix: &str| format!("{VAULT}, prefix: '{prefix}'");
        for (one, its, other, others, begins) in [
            // The same names, made of two parts in two ways.
            (
                vault(""),
                "airbyte_eu_",
                vault("airbyte_"),
                "eu_",
                "airbyte_eu_",
            ),
            (
                vault(""),
                "airbyte_",
                vault("airbyte_"),
                "airbyte_",
                "airbyte_airbyte_",
            ),
            (
                vault("team-"),
                "airbyte_",
                vault(""),
                "team-airbyte_eu_",
                "team-airbyte_eu_",
            ),
        ] {
            let told = told(&one, its, &other, others);
            assert_eq!(told, Some(format!("y x {begins}")));
        }
        let azure = |prefix: &str| {
            format!("type: azure, vault_url: 'https://x.vault.azure.net', prefix: '{prefix}'")
        };
        let by_azure = told(&azure("airbyte-"), "eu_", &azure(""), "airbyte_");
        assert_eq!(by_azure, Some("y x airbyte-".to_owned()));
    }

    #[test]
    fn prefixes_that_cannot_meet_are_left_alone() {
        let vault = |prefix: &str| format!("{VAULT}, prefix: '{prefix}'");
        let elsewhere = VAULT.replace("v.example", "w.example");
        for (one, its, other, others) in [
            (vault(""), "airbyte_", vault("staging/"), "airbyte_"),
            (vault("one/"), "airbyte_", vault("other/"), "airbyte_"),
            (vault(""), "airbyte_", vault("airbyte/"), "airbyte_"),
            (vault(""), "airbyte_", elsewhere, "airbyte_"),
        ] {
            assert_eq!(told(&one, its, &other, others), None, "{one}: {other}");
        }
    }
}
