//! Paths that lead to what has no end: told at once, whatever is read there.

use std::process::Command;

use super::{Before, says};

#[test]
fn a_configuration_without_an_end() {
    let before = Before::new();
    let said = before
        .deployment
        .run(&["status", "--config", "/dev/zero"])
        .refused(1);
    says(&said, "larger than");
    before.nothing_is_lost();
}

#[test]
fn a_secret_that_is_no_file() {
    let before = Before::new();
    let pipe = before.deployment.path("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    for path in ["/dev/zero", "pipe"] {
        let elsewhere =
            format!("store: {{postgres: {{url: {{file: {path}}}}}}}\nkeys: {{file: k}}");
        let elsewhere = before.deployment.write("elsewhere.yaml", &elsewhere);
        let said = before
            .deployment
            .run(&["status", "--config", &elsewhere])
            .refused(1);
        says(&said, "no regular file");
        says(&said, path);
    }
    before.nothing_is_lost();
}
