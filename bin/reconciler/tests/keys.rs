//! Keys that do not fit the database: a clear error, and nothing is sealed under the wrong one.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::PathBuf;
use std::process::Command;

use common::{CANARY, Deployment, WORKSPACE, config, without_privileges};

/// A valid key that nothing is sealed under.
const OTHER: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";

/// A deployment with one document, its key file and what is in it.
struct Full {
    deployment: Deployment,
    id: String,
    file: PathBuf,
    good: String,
    key: String,
}

impl Full {
    fn new(configuration: &str) -> Self {
        let deployment = Deployment::with(configuration);
        let id = deployment.put(&config("before"));
        let file = deployment.path("cloakroom.key");
        let good = std::fs::read_to_string(&file).unwrap();
        let listed = deployment.run(&["key", "list", "--output", "json"]).json();
        let key = listed[0]["key"].as_str().unwrap().to_owned();
        Self {
            deployment,
            id,
            file,
            good,
            key,
        }
    }

    fn put_again(&self) -> common::Ended {
        let arguments = [
            "document",
            "put",
            "--id",
            &self.id,
            "--spec",
            "spec.json",
            "--workspace",
            WORKSPACE,
            "-",
        ];
        self.deployment
            .run_with_input(&arguments, &config("before"))
    }

    fn is_readable(&self) {
        let hydrated = self.deployment.hydrated(&self.id);
        assert_eq!(hydrated["password"], format!("{CANARY}-before"));
    }
}

#[test]
fn a_ring_without_any_needed_key_writes_nothing() {
    let full = Full::new("");
    std::fs::write(&full.file, OTHER).unwrap();
    let refused = full.put_again().refused(1);
    for part in [full.key.as_str(), "nothing was changed"] {
        assert!(refused.contains(part), "`{part}` is not in: {refused}");
    }
    for arguments in [
        &["document", "hydrate", &full.id, "--reveal"][..],
        &["run", "all"],
        &["key", "list"],
        &["key", "rotate"],
    ] {
        let refused = full.deployment.run(arguments).refused(1);
        assert!(refused.contains(&full.key), "{refused}");
    }
    std::fs::write(&full.file, &full.good).unwrap();
    full.is_readable();
}

#[test]
fn keys_from_the_environment_are_looked_at_too() {
    let mut full = Full::new("");
    full.deployment
        .configure("keys: {env: CLOAKROOM_KEYS_HERE}");
    full.deployment.set("CLOAKROOM_KEYS_HERE", OTHER);
    let refused = full.put_again().refused(1);
    assert!(refused.contains(&full.key), "{refused}");
    let good = full.good.clone();
    full.deployment.set("CLOAKROOM_KEYS_HERE", &good);
    full.is_readable();
}

#[test]
fn every_backend_in_the_table_counts() {
    let full = Full::new("");
    // Its rows are another backend's from now on, which this configuration does not name.
    full.deployment
        .configure("backends: {another: {type: embedded}}");
    std::fs::write(&full.file, OTHER).unwrap();
    let refused = full.deployment.run(&["status"]).refused(1);
    assert!(refused.contains(&full.key), "{refused}");
}

#[test]
fn a_ring_without_some_needed_key_is_a_warning() {
    let full = Full::new("");
    std::fs::write(&full.file, format!("{OTHER}{}", full.good)).unwrap();
    let id = full.deployment.put(&config("under the other key"));
    std::fs::write(&full.file, OTHER).unwrap();
    let ended = full
        .deployment
        .run(&["document", "hydrate", &id, "--reveal"]);
    assert!(ended.stderr.contains(&full.key), "{}", ended.stderr);
    ended.done();
}

/// The whole way of a rotation, and what is said of a key that goes before its time.
#[test]
fn a_key_may_go_once_it_has_neither_secrets_nor_digests() {
    let full = Full::new("");
    let with_both = format!("{OTHER}{}", full.good);
    let verify = ["run", "verify-blobs", "--read-values"];
    let old = || {
        let ended = full.deployment.run(&["key", "list", "--output", "json"]);
        let lines: Vec<serde_json::Value> = serde_json::from_str(&ended.stdout).unwrap();
        let line = lines.into_iter().find(|line| line["key"] == full.key);
        (ended.code, line.unwrap_or_default())
    };
    std::fs::write(&full.file, &with_both).unwrap();
    full.deployment.run(&["key", "rotate"]).done();
    let (code, line) = old();
    assert_eq!(code, Some(0));
    assert_eq!((&line["secrets"], &line["digests"]), (&0.into(), &1.into()));

    std::fs::write(&full.file, OTHER).unwrap();
    let (code, line) = old();
    assert_eq!((code, &line["role"]), (Some(1), &"missing".into()));
    // Nothing is sealed under it, so nothing else would tell who serves with other keys.
    let warned = full.deployment.run(&["document", "list"]).stderr;
    let told = warned.contains(&full.key) && warned.contains("every process");
    assert!(told, "{warned}");
    let ended = full.deployment.run(&verify);
    assert_eq!(ended.code, Some(3), "{}", ended.stdout);
    let found = full.deployment.run(&["findings"]).stdout;
    assert!(
        found.contains("incomparable") && found.contains(&full.key),
        "{found}"
    );
    let refused = full.deployment.run(&["key", "renew"]).refused(5);
    assert!(refused.contains(&full.key), "{refused}");

    std::fs::write(&full.file, &with_both).unwrap();
    let renewed = full
        .deployment
        .run(&["key", "renew", "--output", "json"])
        .json();
    assert_eq!(
        (&renewed["secrets"], &renewed["documents"]),
        (&1.into(), &1.into())
    );
    std::fs::write(&full.file, OTHER).unwrap();
    full.deployment.run(&verify).done();
    assert_eq!(old(), (Some(0), serde_json::Value::Null));
    full.is_readable();
}

/// A manager that nobody asks here.
const VAULT: &str = "backends: {other: {type: vault, address: 'http://127.0.0.1:9', \
                     auth: {token: {env: PATH}}}}";

/// Whoever believed that such a key seals nothing would lose what it seals.
#[test]
fn a_key_is_needed_for_a_backend_that_left_the_configuration_too() {
    let full = Full::new("backends: {apart: {type: embedded}}");
    std::fs::write(&full.file, format!("{OTHER}{}", full.good)).unwrap();
    for configuration in [
        "backends: {another: {type: embedded}}",
        VAULT,
        // The name is still there, and is another kind of backend.
        &VAULT.replace("other:", "apart:"),
    ] {
        full.deployment.configure(configuration);
        let listed = full.deployment.run(&["key", "list", "--output", "json"]);
        assert!(listed.stderr.contains("apart"), "{listed:?}");
        let lines: Vec<serde_json::Value> = serde_json::from_str(&listed.stdout).unwrap();
        let line =
            |line: &&serde_json::Value| line["key"] == full.key && line["backend"] == "apart";
        let line = lines.iter().find(line).unwrap();
        assert_eq!(
            (&line["secrets"], &line["configured"]),
            (&1.into(), &false.into())
        );
        let shown = full.deployment.run(&["key", "list"]).done();
        assert!(shown.contains("apart (not configured)"), "{shown}");

        let told = full.deployment.run(&["key", "rotate"]).refused(5);
        assert!(
            told.contains("1 data key is on apart under another key"),
            "{told}"
        );
        let ended = full.deployment.run(&["key", "rotate", "--output", "json"]);
        let rotated: Vec<serde_json::Value> = serde_json::from_str(&ended.stdout).unwrap();
        let left = rotated.iter().find(|line| line["backend"] == "apart");
        assert_eq!(left.unwrap()["unconfigured"], 1);
    }
    // Whoever asks for one backend has asked for no other.
    full.deployment
        .configure("backends: {another: {type: embedded}}");
    let one = ["key", "rotate", "--backend", "another"];
    full.deployment.run(&one).done();

    full.deployment
        .configure("backends: {apart: {type: embedded}}");
    full.deployment.run(&["key", "rotate"]).done();
    full.deployment
        .configure("backends: {another: {type: embedded}}");
    // Nothing is left under another key, so nothing is left undone.
    full.deployment.run(&["key", "rotate"]).done();
}

/// The service that reads the file must still be able to.
#[test]
fn a_key_is_added_as_the_files_owner_or_not_at_all() {
    use std::os::unix::fs::{MetadataExt as _, chown};
    let full = Full::new("");
    let add = ["key", "generate", "--add", "cloakroom.key"];
    let is_root = full.file.metadata().unwrap().uid() == 0;
    if is_root {
        // The group is none of this user's, who cannot give a file to it.
        chown(&full.file, Some(65_534), Some(0)).unwrap();
        let folder = full.file.parent().unwrap();
        chown(folder, Some(65_534), None).unwrap();
        // A program that this user can reach.
        let program = folder.join("reconciler");
        std::fs::copy(env!("CARGO_BIN_EXE_reconciler"), &program).unwrap();
        let mut command = Command::new(&program);
        command.env_clear().args(add).current_dir(folder);
        without_privileges(&mut command, folder);
        let before = std::fs::read_dir(folder).unwrap().count();
        let ended = command.output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{said}");
        assert!(said.contains("nothing was changed"), "{said}");
        assert_eq!(std::fs::read_to_string(&full.file).unwrap(), full.good);
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), before);
    }
    let before = full.file.metadata().unwrap();
    full.deployment.run(&add).done();
    let after = full.file.metadata().unwrap();
    assert_eq!(
        (after.uid(), after.gid(), after.mode()),
        (before.uid(), before.gid(), before.mode())
    );
    let text = std::fs::read_to_string(&full.file).unwrap();
    assert!(text.ends_with(&full.good) && text.len() > full.good.len());
}

/// What cannot be read for want of a key is whole again once the key is back.
#[test]
fn a_missing_key_is_no_damage() {
    let full = Full::new("");
    let verify = ["run", "verify-blobs"];
    std::fs::write(&full.file, format!("{OTHER}{}", full.good)).unwrap();
    // So that not all of the needed keys are gone, which stops everything.
    full.deployment.put(&config("under the other key"));
    std::fs::write(&full.file, OTHER).unwrap();
    let ended = full
        .deployment
        .run(&["run", "verify-blobs", "--read-values"]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let found = full.deployment.run(&["findings"]).stdout;
    assert!(
        found.contains("unreadable") && found.contains(&full.key),
        "{found}"
    );
    // Without reading values nothing is known of it.
    full.deployment.run(&verify).done();
    std::fs::write(&full.file, format!("{OTHER}{}", full.good)).unwrap();
    full.deployment.run(&verify).done();
    full.is_readable();
}
