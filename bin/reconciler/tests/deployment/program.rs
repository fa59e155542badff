//! The program as deployments call it, and the files they call it with.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::Parser;
use cloakroom_reconciler::cli::Cli;
use serde::Deserialize;
use serde_json::Value;

/// Where the program is in an image and on a machine.
pub(crate) const PROGRAM: &str = "/usr/local/bin/reconciler";

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub(crate) fn text(path: &str) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A YAML file that holds one thing.
pub(crate) fn yaml(path: &str) -> Value {
    serde_yaml_ng::from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A YAML file that holds several.
pub(crate) fn yamls(path: &str) -> Vec<Value> {
    let text = text(path);
    serde_yaml_ng::Deserializer::from_str(&text)
        .map(|part| Value::deserialize(part).unwrap_or_else(|error| panic!("{path}: {error}")))
        .collect()
}

/// The texts of a list.
pub(crate) fn texts(list: &Value) -> Vec<String> {
    let list = list
        .as_array()
        .unwrap_or_else(|| panic!("{list} is no list"));
    list.iter()
        .map(|it| it.as_str().unwrap().to_owned())
        .collect()
}

/// Fails unless the program knows this command and every flag of it.
pub(crate) fn understands(arguments: &[String]) {
    let line = std::iter::once("reconciler").chain(arguments.iter().map(String::as_str));
    if let Err(error) = Cli::try_parse_from(line) {
        panic!("{arguments:?}: {error}");
    }
}

/// Fails unless the program takes this configuration under these variables; unknown keys and
/// variables are refused by itself.
pub(crate) fn takes(configuration: &str, variables: &[(&str, &str)]) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("reconciler.yaml");
    std::fs::write(&file, configuration).unwrap();
    let checked = command(&["config".to_owned(), "check".to_owned()])
        .arg("--config")
        .arg(&file)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    assert!(
        checked.status.success(),
        "{}\n{configuration}",
        String::from_utf8_lossy(&checked.stderr)
    );
}

/// The program with nothing of the caller's environment.
pub(crate) fn command(arguments: &[String]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reconciler"));
    command
        .env_clear()
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// How long a configuration lets the running item finish after SIGTERM.
pub(crate) fn shutdown_deadline(configuration: &str) -> Duration {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("reconciler.yaml");
    std::fs::write(&file, configuration).unwrap();
    let read = cloakroom_reconciler::configuration::load(Some(&file), &[]).unwrap();
    read.configuration.shutdown.deadline.0
}

/// Every secret's file that a configuration names.
pub(crate) fn named_files(configuration: &str) -> Vec<String> {
    let mut found = Vec::new();
    collect(&serde_yaml_ng::from_str(configuration).unwrap(), &mut found);
    found
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                match member.as_str() {
                    Some(path) if key == "file" || key == "token_file" => {
                        found.push(path.to_owned());
                    }
                    _ => collect(member, found),
                }
            }
        }
        Value::Array(members) => members.iter().for_each(|member| collect(member, found)),
        _ => {}
    }
}
