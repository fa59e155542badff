//! The program as a program: first start, completions, manual, configuration, closed pipes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use common::{Deployment, WORKSPACE, config};

#[test]
fn with_no_configuration_it_lives_in_the_data_folder() {
    let home = tempfile::tempdir().unwrap();
    let deployment = Deployment::without_database("");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reconciler"));
        command
            .env_clear()
            .env("HOME", home.path())
            .current_dir(deployment.folder.path())
            .args(arguments);
        command.stdin(Stdio::null()).output().unwrap()
    };
    deployment.write("config.json", &config("one"));
    let put = run(&[
        "document",
        "put",
        "--spec",
        "spec.json",
        "--workspace",
        WORKSPACE,
        "config.json",
    ]);
    assert!(put.status.success(), "{put:?}");
    let listed = run(&["document", "list", "--output", "json"]);
    assert_eq!(String::from_utf8(listed.stdout).unwrap().lines().count(), 1);
    let mut keys = Vec::new();
    find(home.path(), "cloakroom.key", &mut keys);
    assert_eq!(keys.len(), 1);
    let mode = std::fs::metadata(&keys[0]).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

fn find(folder: &std::path::Path, name: &str, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() {
            find(&entry.path(), name, found);
        } else if entry.file_name() == name {
            found.push(entry.path());
        }
    }
}

#[test]
fn help_tells_the_exit_statuses() {
    let deployment = Deployment::without_database("");
    let help = deployment.run(&["--help"]).done();
    assert!(help.contains("4  a guard refused deletions"), "{help}");
}

#[test]
fn completions_and_manual_render() {
    let deployment = Deployment::without_database("");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = deployment.run(&["completions", shell]).done();
        assert!(script.contains("migrate-schema"), "{shell}");
    }
    let page = deployment.run(&["man"]).done();
    assert!(
        page.contains(".TH") && page.contains("RECONCILER DOCUMENT PUT"),
        "{page}"
    );
}

#[test]
fn the_configuration_prints_and_its_schema_is_json() {
    let deployment = Deployment::without_database("http: {connections: 7}");
    let printed = deployment.run(&["config", "print"]).done();
    assert!(
        printed.contains("connections: 7  # reconciler.yaml"),
        "{printed}"
    );
    let schema = deployment.run(&["config", "schema"]).json();
    assert!(schema["properties"]["reconcile"].is_object(), "{schema:#}");
    assert!(
        deployment
            .run(&["config", "check"])
            .done()
            .contains("holds")
    );
    deployment.configure("keys: {env: CLOAKROOM_NO_SUCH_KEYS}");
    assert!(
        deployment
            .run(&["config", "check"])
            .refused(1)
            .contains("CLOAKROOM_NO_SUCH_KEYS is not set")
    );
}

#[test]
fn keys_may_come_from_the_environment() {
    let mut deployment = Deployment::without_database("keys: {env: CLOAKROOM_KEYS_HERE}");
    deployment
        .run(&["--config", "nowhere.yaml", "key", "generate", "made.key"])
        .done();
    let keys = std::fs::read_to_string(deployment.path("made.key")).unwrap();
    assert!(deployment.run(&["migrate-schema"]).code == Some(0));
    let refused = deployment.run(&["document", "list"]).refused(1);
    assert!(
        refused.contains("CLOAKROOM_KEYS_HERE is not set"),
        "{refused}"
    );
    deployment.set("CLOAKROOM_KEYS_HERE", &keys);
    let id = deployment.put(&config("one"));
    assert!(deployment.hydrated(&id)["password"].is_string());
    assert!(!deployment.path("cloakroom.key").exists());
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let deployment = Deployment::without_database("");
    let mut child = deployment.command(&["config", "schema"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}
