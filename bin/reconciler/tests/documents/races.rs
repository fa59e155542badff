//! A document that somebody else writes between the reading of its spec and that of the new configuration.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::common::{CANARY, Deployment, config, finish, other_end};

/// The spec that marks less is the one that was read: what the new one marks would stay in clear under it.
#[test]
fn a_spec_that_was_replaced_meanwhile_is_not_brought_back() {
    let deployment = Deployment::new();
    let id = deployment.put(&config("one"));
    let marked = json!({"type": "string", "airbyte_secret": true});
    let more = json!({"properties": {"host": {}, "password": marked, "token": marked}});
    deployment.write("more.json", &more.to_string());
    let pipe = deployment.path("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());

    let slow = ["document", "put", "--id", &id, pipe.to_str().unwrap()];
    let mut slow = deployment
        .command(&slow)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Opened once the other end is: the spec has been read by then.
    let mut end = other_end(&pipe, &mut slow);
    let meanwhile = [
        "document",
        "put",
        "--id",
        &id,
        "--spec",
        "more.json",
        "--output",
        "json",
        "-",
    ];
    let done = deployment.run_with_input(&meanwhile, &config("two")).json();
    assert_eq!(done["revision"], 2);
    let token = format!("{CANARY}-token");
    let edit = json!({"host": "h", "password": format!("{CANARY}-three"), "token": token});
    end.write_all(edit.to_string().as_bytes()).unwrap();
    drop(end);

    let told = finish(slow).refused(1);
    for part in [&*id, "revision 2", "nothing was changed"] {
        assert!(told.contains(part), "{told}");
    }
    let stored = deployment.run(&["document", "get", &id, "--stored"]).done();
    assert!(!stored.contains(CANARY), "{stored}");
    deployment.run_with_input(&["document", "put", "--id", &id, "-"], &edit.to_string());
    let stored = deployment.run(&["document", "get", &id, "--stored"]).json();
    assert!(stored["token"]["_secret"].is_string(), "{stored}");
}
