//! Laws about manifests: lints inherited, versions in one place, a README for every library.

use std::fs;

use anyhow::{Context, Result};
use toml::{Table, Value};

use super::Finding;
use crate::workspace::Workspace;

const DEPENDENCIES: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

pub(super) fn check(workspace: &Workspace) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for package in workspace.metadata().workspace_packages() {
        let path = package.manifest_path.as_std_path();
        let place = path
            .strip_prefix(workspace.root())
            .unwrap_or(path)
            .display()
            .to_string();
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let manifest: Table = text
            .parse()
            .with_context(|| format!("{} is not TOML", path.display()))?;
        findings.extend(
            of_manifest(&manifest)
                .into_iter()
                .map(|what| Finding::new(place.as_str(), what)),
        );
        let library = package
            .targets
            .iter()
            .any(|it| it.is_lib() || it.is_proc_macro());
        if library && !path.with_file_name("README.md").is_file() {
            findings.push(Finding::new(
                place,
                "a library has a README.md beside it; write one",
            ));
        }
    }
    Ok(findings)
}

fn of_manifest(manifest: &Table) -> Vec<String> {
    let mut findings = Vec::new();
    if !inherits(manifest.get("lints")) {
        findings.push("does not inherit the lints; add `[lints] workspace = true`".to_owned());
    }
    let targets = manifest
        .get("target")
        .and_then(Value::as_table)
        .into_iter()
        .flat_map(Table::values)
        .filter_map(Value::as_table);
    for table in std::iter::once(manifest).chain(targets) {
        for kind in DEPENDENCIES {
            let entries = table.get(kind).and_then(Value::as_table);
            for (name, entry) in entries.into_iter().flatten() {
                if !inherits(Some(entry)) {
                    findings.push(format!(
                        "gives `{name}` a source of its own; put it into [workspace.dependencies] \
                         and write `{name}.workspace = true`"
                    ));
                }
            }
        }
    }
    findings
}

fn inherits(value: Option<&Value>) -> bool {
    value
        .and_then(|it| it.get("workspace"))
        .and_then(Value::as_bool)
        == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> Vec<String> {
        of_manifest(&text.parse().unwrap())
    }

    #[test]
    fn inherited_is_fine() {
        let text = "
            lints.workspace = true
            [dependencies]
            serde.workspace = true
            tokio = { workspace = true, features = ['time'] }
        ";
        assert_eq!(findings(text), Vec::<String>::new());
    }

    #[test]
    fn own_versions_are_found_wherever_they_are() {
        let text = "
            lints.workspace = true
            dependencies.serde = '1'
            [build-dependencies]
            cc = { version = '1' }
            [target.'cfg(unix)'.dev-dependencies]
            nix = '0.31'
        ";
        assert_eq!(findings(text).len(), 3);
    }

    #[test]
    fn lints_have_to_be_inherited() {
        assert_eq!(findings("[dependencies]").len(), 1);
    }
}
