//! What a manager does not take is left out of what is printed, and told.

use std::collections::BTreeMap;
use std::sync::Arc;

use cloakroom_backends_vault::{VaultAuth, VaultSettings};
use cloakroom_core::SecretValue;

use super::Notes;
use crate::configuration::Backend;

type Labels = BTreeMap<String, String>;

/// What a kind of backend takes as a tag, or as a label where it has those.
struct Takes {
    what: &'static str,
    told: &'static str,
    fits: fn(&str, &str) -> bool,
}

impl Takes {
    fn of(backend: &Backend) -> Option<Self> {
        let (what, told, fits): (_, _, fn(&str, &str) -> bool) = match backend {
            Backend::AwsSecretsManager(_) | Backend::AwsParameterStore(_) => (
                "tag",
                "AWS takes letters, digits, spaces and _ . : / = + - @, and neither aws: nor cloakroom: at \
                 the beginning",
                is_tag_of_aws,
            ),
            Backend::Azure(_) => (
                "tag",
                "Azure takes 256 characters, and not cloakroom- at the beginning",
                is_tag_of_azure,
            ),
            Backend::Kubernetes(_) => (
                "label",
                "Kubernetes takes 63 of letters, digits, _ . and -, with a letter or digit at both ends",
                is_label_of_kubernetes,
            ),
            // Nothing that is read gives Google's secrets labels.
            Backend::Embedded(_) | Backend::Gcp(_) | Backend::Vault(_) => return None,
        };
        Some(Self { what, told, fits })
    }
}

/// The first of these tags that a backend does not take, as `key:value`, and what it takes.
pub(crate) fn misfit(backend: &Backend, tags: &Labels) -> Option<(String, &'static str)> {
    let takes = Takes::of(backend)?;
    let (key, value) = tags.iter().find(|(key, value)| !(takes.fits)(key, value))?;
    Some((format!("{key}:{value}"), takes.told))
}

/// Leaves out what the backend would refuse.
pub(super) fn fit(backend: &mut Backend, notes: &mut Notes) {
    let takes = Takes::of(backend);
    let labels = match backend {
        Backend::AwsSecretsManager(it) | Backend::AwsParameterStore(it) => &mut it.tags,
        Backend::Azure(it) => &mut it.tags,
        Backend::Kubernetes(it) => &mut it.labels,
        Backend::Vault(it) => {
            it.prefix = path_of_vault(&it.prefix, notes);
            if sends_in_clear(&it.address) {
                it.allow_http = true;
                notes.remark(
                    "the address is plain http, over which anybody on the way reads token and values: use \
                     https and take `allow_http` out, unless something else encrypts the way there",
                );
            }
            return;
        }
        Backend::Embedded(_) | Backend::Gcp(_) => return,
    };
    let Some(Takes { what, told, fits }) = takes else {
        return;
    };
    labels.retain(|key, value| {
        let kept = fits(key, value);
        if !kept {
            notes.remark(format!("the {what} `{key}` is left out: {told}"));
        }
        kept
    });
}

fn is_tag_of_aws(key: &str, value: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b" _.:/=+-@".contains(&byte);
    let fits = |text: &str, most| (1..=most).contains(&text.len()) && text.bytes().all(is_plain);
    let taken = ["aws:", "cloakroom:"];
    let lower = key.to_ascii_lowercase();
    fits(key, 128) && fits(value, 256) && !taken.iter().any(|it| lower.starts_with(it))
}

fn is_tag_of_azure(key: &str, value: &str) -> bool {
    let length = |text: &str| text.chars().count();
    let taken = key.to_ascii_lowercase().starts_with("cloakroom-");
    (1..=256).contains(&length(key)) && length(value) <= 256 && !taken
}

/// A key may have a prefix that is a host's name, and a slash behind it.
fn is_label_of_kubernetes(key: &str, value: &str) -> bool {
    let fits = |text: &str| {
        let at_ends = [text.chars().next(), text.chars().next_back()];
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        let ends = at_ends.iter().flatten().all(char::is_ascii_alphanumeric);
        text.len() <= 63 && text.bytes().all(is_plain) && ends
    };
    let is_host =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
    let (host, name) = key.split_once('/').unwrap_or(("k8s.io", key));
    let host_fits = (1..=253).contains(&host.len()) && host.bytes().all(is_host);
    let taken = host == "cloakroom" || key == "app.kubernetes.io/managed-by";
    host_fits && !name.is_empty() && fits(name) && fits(value) && !taken
}

/// Whether the way to an address of Vault's is open to others: the machine itself is no way.
fn sends_in_clear(address: &str) -> bool {
    let token = Arc::new(SecretValue::from(String::new()));
    let settings = VaultSettings::new(address, VaultAuth::Token { token });
    address.starts_with("http://") && settings.validate().is_err()
}

/// A path in Vault has no slash at its beginning and no empty part.
fn path_of_vault(prefix: &str, notes: &mut Notes) -> String {
    let path = prefix.trim_start_matches('/');
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let (folder, stem) = path.rsplit_once('/').unwrap_or(("", path));
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(is_plain) && part.bytes().any(|it| it != b'.')
    };
    let fits = (folder.is_empty() && !path.contains('/')) || folder.split('/').all(is_part);
    if !fits || !stem.bytes().all(is_plain) {
        notes.remark(
            "`prefix` is left out, since no path in Vault is so: names of A-Z a-z 0-9 _ - . with / between; \
             look where the secrets are and fill it in",
        );
        return String::new();
    }
    if path != prefix {
        notes.remark(
            "`prefix` is written without the slash at its beginning, which no path in Vault has",
        );
    }
    path.to_owned()
}
