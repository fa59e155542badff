//! The keys under which paths and references to secrets stand in a configuration.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::node::{Node, Origin};
use super::secret_reference::SecretReference;
use super::sections::{Configuration, Store};

/// Relative paths are relative to the file that names them, not to whoever starts the program. A variable stands in
/// no file: what it names is relative to the working folder.
pub(super) fn resolve(configuration: &mut Configuration, tree: &Node, folder: &Path) {
    let keys = keys_of_paths(configuration);
    for (at, path) in paths(configuration).into_iter().enumerate() {
        let origin = keys.get(&at).map(|key| &tree.closest(key).origin);
        // An empty one would become the folder, and is refused as it is.
        if !path.as_os_str().is_empty() && !matches!(origin, Some(Origin::Variable(_))) {
            *path = folder.join(&*path);
        }
    }
}

/// The key below `section` under which a reference stands.
pub fn key_of(section: &impl Serialize, reference: &SecretReference) -> Option<String> {
    let section = serde_json::to_value(section).ok()?;
    let wanted = serde_json::to_value(reference).ok()?;
    let mut found = None;
    visit(&section, &mut Vec::new(), &mut |key, value| {
        if found.is_none() && *value == wanted {
            found = Some(key.join("."));
        }
    });
    found
}

/// The key of a path with nothing in it, if there is one.
pub(super) fn key_of_an_empty_path(configuration: &Configuration) -> Option<Vec<String>> {
    let mut copy = configuration.clone();
    let empty = paths(&mut copy)
        .into_iter()
        .position(|path| path.as_os_str().is_empty())?;
    keys_of_paths(configuration).remove(&empty)
}

/// Every path that the configuration names, always in the same order.
fn paths(configuration: &mut Configuration) -> Vec<&mut PathBuf> {
    let mut references: Vec<&mut SecretReference> = configuration.keys.iter_mut().collect();
    let mut paths: Vec<&mut PathBuf> = configuration.http.token_file.iter_mut().collect();
    for backend in configuration.backends.values_mut() {
        paths.extend(backend.paths());
    }
    for platform in configuration.platforms.values_mut() {
        references.extend(platform.references_mut());
    }
    match &mut configuration.store {
        Store::Sqlite(sqlite) => paths.extend(&mut sqlite.path),
        Store::Postgres(postgres) => references.push(&mut postgres.url),
    }
    paths.extend(references.into_iter().filter_map(|it| match it {
        SecretReference::File(path) => Some(path),
        SecretReference::Env(_) => None,
    }));
    paths
}

/// The key of each path by its place in [`paths`]: told by writing a copy out in which each path is its number.
fn keys_of_paths(configuration: &Configuration) -> HashMap<usize, Vec<String>> {
    let mut copy = configuration.clone();
    let mut numbers = HashMap::new();
    for (at, path) in paths(&mut copy).into_iter().enumerate() {
        let number = format!("\0{at}");
        *path = PathBuf::from(&number);
        numbers.insert(number, at);
    }
    let mut keys = HashMap::new();
    let written = serde_json::to_value(&copy).unwrap_or_default();
    visit(&written, &mut Vec::new(), &mut |key, value| {
        if let Some(at) = value.as_str().and_then(|text| numbers.get(text)) {
            keys.insert(*at, key.to_vec());
        }
    });
    keys
}

/// Calls `seen` for every value below `value`, with its key.
fn visit(value: &Value, key: &mut Vec<String>, seen: &mut impl FnMut(&[String], &Value)) {
    seen(key, value);
    let members: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(key, it)| (key.clone(), it)).collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(at, it)| (at.to_string(), it))
            .collect(),
        _ => return,
    };
    for (name, member) in members {
        key.push(name);
        visit(member, key, seen);
        key.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::check;
    use super::super::load;
    use super::*;

    /// Every path of a configuration that names one wherever it can.
    const EVERYWHERE: &str = "
keys: {file: p0}
store: {postgres: {url: {file: p1}}}
http: {token_file: p2}
backends:
  vault: {type: vault, address: 'https://v', ca_file: p3, auth: {kubernetes: {role: r, jwt: {file: p4}}}}
  azure: {type: azure, vault_url: 'https://v.vault.azure.net', tenant_id: t, client_id: c, client_secret: {file: p5}, \
ca_file: p6}
  aws: {type: aws-parameter-store, region: r, authentication: {keys: {access_key_id: {file: p7}, \
secret_access_key: {file: p8}}}}
  gcp: {type: gcp, project: p, credentials: {json: {file: p9}}}
  kubernetes: {type: kubernetes, namespace: n, kubeconfig: p10}
platforms:
  a: {type: airbyte, backend: gcp, database: {file: p11}}
default_backend: vault
";

    fn paths_of(configuration: &Configuration) -> Vec<PathBuf> {
        let mut copy = configuration.clone();
        paths(&mut copy).into_iter().map(|it| it.clone()).collect()
    }

    #[test]
    fn each_path_is_relative_to_what_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("reconciler.yaml");
        std::fs::write(&file, EVERYWHERE).unwrap();
        let loaded = |variables: &[(String, String)]| load(Some(&file), variables).unwrap();
        let whole = loaded(&[]).configuration;
        let all = paths_of(&whole);
        assert_eq!(all.len(), 12, "{all:?}");
        assert!(all.iter().all(|path| path.starts_with(folder.path())));

        let keys = keys_of_paths(&whole);
        assert_eq!(keys.len(), all.len());
        for (at, key) in keys {
            let spelled = key.join("__").to_uppercase().replace('-', "_");
            let variable = (format!("CLOAKROOM_{spelled}"), "mine/too".to_owned());
            let told = paths_of(&loaded(&[variable]).configuration);
            for (other, path) in told.iter().enumerate() {
                let right = if other == at {
                    Path::new("mine/too")
                } else {
                    &*all[other]
                };
                assert_eq!(path, right, "{key:?}");
            }
        }
    }

    #[test]
    fn an_empty_path_is_refused_wherever_it_stands() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("reconciler.yaml");
        for text in [
            EVERYWHERE,
            "store: {sqlite: {path: p0}}\nkeys: {file: p1}\n",
        ] {
            std::fs::write(&file, text).unwrap();
            let whole = load(Some(&file), &[]).unwrap().configuration;
            for (at, key) in keys_of_paths(&whole) {
                let mut emptied = whole.clone();
                *paths(&mut emptied)[at] = PathBuf::new();
                let wrong = check(&emptied).unwrap_err();
                assert_eq!(wrong.path, key);
            }
        }
        std::fs::write(&file, "keys: {file: ''}\n").unwrap();
        let error = load(Some(&file), &[]).unwrap_err().to_string();
        assert!(error.contains("line 1: `keys.file`: "), "{error}");
    }

    #[test]
    fn a_section_told_by_a_variable_is_relative_to_the_working_folder_with_all_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("reconciler.yaml");
        std::fs::write(&file, "keys: {file: here}\n").unwrap();
        let variable = (
            "CLOAKROOM_STORE".to_owned(),
            "{sqlite: {path: here}}".to_owned(),
        );
        let told = load(Some(&file), &[variable]).unwrap().configuration;
        assert_eq!(
            paths_of(&told),
            [Path::new("here"), &folder.path().join("here")]
        );
    }

    #[test]
    fn a_reference_is_found_by_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("reconciler.yaml");
        std::fs::write(&file, EVERYWHERE).unwrap();
        let configuration = load(Some(&file), &[]).unwrap().configuration;
        for (name, key) in [
            (
                "aws",
                vec![
                    "authentication.keys.access_key_id",
                    "authentication.keys.secret_access_key",
                ],
            ),
            ("vault", vec!["auth.kubernetes.jwt"]),
            ("azure", vec!["client_secret"]),
        ] {
            let backend = &configuration.backends[name];
            let found = backend.references().into_iter();
            let found: Vec<_> = found.filter_map(|it| key_of(backend, &it)).collect();
            assert_eq!(found, key, "{name}");
        }
    }
}
