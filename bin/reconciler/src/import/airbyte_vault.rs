//! Where Airbyte keeps secrets in Vault. Its `prefix` holds the mount: it asks for prefix and coordinate as
//! one path, and its client takes what stands before the first slash for the mount of a KV engine of
//! version 2. Empty parts of the path are none to it.

use super::Notes;
use crate::configuration::Vault;

/// Sets mount and prefix so that they lead to where Airbyte's `prefix` does.
pub(super) fn place(vault: &mut Vault, prefix: &str, notes: &mut Notes) {
    let asked = without_empty_parts(prefix);
    let Some((mount, within)) = asked.split_once('/') else {
        notes.remark(
            "`prefix` names no mount: Airbyte takes what stands before the first `/` of `prefix` and name \
             for the mount, so it finds nothing there; look where the secrets are, and fill in `mount` and \
             `prefix`",
        );
        return;
    };
    if !is_plain(mount) {
        notes.remark(
            "`prefix` is left out, since no mount is named so: A-Z a-z 0-9 _ - . are taken; look where the \
             secrets are, and fill in `mount` and `prefix`",
        );
        return;
    }
    if asked != prefix {
        notes.remark("`prefix` is read without the empty parts that it has between slashes");
    }
    mount.clone_into(&mut vault.mount);
    within.clone_into(&mut vault.prefix);
}

/// With neither a slash at the beginning nor two in a row.
fn without_empty_parts(prefix: &str) -> String {
    let parts: Vec<&str> = prefix.split('/').filter(|it| !it.is_empty()).collect();
    let folder = !parts.is_empty() && prefix.ends_with('/');
    parts.join("/") + if folder { "/" } else { "" }
}

fn is_plain(mount: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    mount.bytes().all(is_plain) && mount.bytes().any(|it| it != b'.')
}
