//! What was done is told by the exit status, and where results cannot be written, beside them.

use std::fs::File;

use crate::common::{Deployment, WORKSPACE, behind_its_back, config, finish};
use crate::says;

/// What a run exits with, its plan does.
#[test]
fn a_plan_that_prints_findings_exits_as_the_run_does() {
    let deployment = Deployment::new();
    deployment.put(&config("one"));
    let exits = || {
        [
            &["plan", "verify-blobs"][..],
            &["run", "verify-blobs", "--dry-run"],
            &["run", "verify-blobs"],
        ]
        .map(|arguments| deployment.run(arguments).code)
    };
    assert_eq!(exits(), [Some(0); 3]);
    behind_its_back(&deployment, "UPDATE documents SET blob = '{'");
    assert_eq!(exits(), [Some(3); 3]);
}

/// Whoever takes the command for failed puts a second document.
#[test]
fn a_document_that_was_written_though_nobody_could_be_told() {
    let deployment = Deployment::new();
    deployment.write("config.json", &config("one"));
    let put = [
        "document",
        "put",
        "--spec",
        "spec.json",
        "--workspace",
        WORKSPACE,
        "config.json",
    ];
    for (at, output) in [&[][..], &["--output", "json"]].into_iter().enumerate() {
        let mut command = deployment.command(&[&put[..], output].concat());
        let full = File::options().write(true).open("/dev/full").unwrap();
        let refused = finish(command.stdout(full).spawn().unwrap()).refused(1);
        let listed = deployment.run(&["document", "list", "--output", "json"]);
        let listed = listed.json_lines();
        assert_eq!(listed.len(), at + 1, "{listed:?}");
        let told = |document: &serde_json::Value| {
            refused.contains(document["id"].as_str().unwrap_or("none"))
        };
        assert!(listed.iter().any(told), "{refused} {listed:?}");
        says(&refused, "revision 1");
    }
}
