//! Keys that do not fit the database: a clear error, and nothing is sealed under the wrong one.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::PathBuf;

use common::{CANARY, Deployment, WORKSPACE, config};

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
