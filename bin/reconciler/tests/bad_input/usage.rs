//! Command lines that cannot be meant: exit status 2, whatever is wrong with them, and nothing done.

use crate::common::{CANARY, Deployment, WORKSPACE};
use crate::says;

const ID: &str = "11111111-2222-4333-8444-555555555555";
const COORDINATE: &str = "airbyte_workspace_11111111-2222-4333-8444-555555555555_secret_\
                          11111111-2222-4333-8444-555555555555_v1";

/// What is wrong usage, and what the program says of it.
fn misuses() -> Vec<(Vec<&'static str>, &'static str)> {
    let hash = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let several = "say which with --backend: one, two";
    vec![
        // Names that the configuration has not.
        (vec!["run", "all", "--backend", "on"], "did you mean `one`?"),
        (
            vec!["plan", "expire-orphans", "--backend", "nope"],
            "no backend nope",
        ),
        (
            vec!["secret", "show", COORDINATE, "--backend", "nope"],
            "no backend nope",
        ),
        (
            vec!["secret", "let-go", "--backend", "nope"],
            "no backend nope",
        ),
        (
            vec!["quarantine", "release", "--all", "--backend", "nope"],
            "no backend nope",
        ),
        (
            vec!["epoch", "show", "--backend", "nope"],
            "no backend nope",
        ),
        (
            vec!["epoch", "adopt", "--backend", "nope", "--yes"],
            "no backend nope",
        ),
        (vec!["sweep", "--backend", "nope"], "no backend nope"),
        (vec!["backend", "check", "nope"], "no backend nope"),
        (
            vec!["key", "rotate", "--backend", "nope"],
            "no such embedded backend",
        ),
        (
            vec!["move", "--from", "one", "--to", "nope"],
            "no backend nope",
        ),
        (
            vec!["move", "--from", "nope", "--to", "one"],
            "no backend nope",
        ),
        (
            vec!["move", "--platform", "nope", "--from", "one", "--to", "two"],
            "no platform nope",
        ),
        (vec!["report", "nope"], "no platform nope"),
        (vec!["adopt", "nope"], "no platform nope"),
        (vec!["clean", "nope", "--dry-run"], "no platform nope"),
        (
            vec!["fernet", "rotate", "--platform", "nope"],
            "no platform nope",
        ),
        (
            vec![
                "migrate-secrets",
                "--platform",
                "nope",
                "--from",
                "db",
                "--to",
                "one",
            ],
            "no platform",
        ),
        (
            vec!["migrate-secrets", "--from", "db", "--to", "nope"],
            "no backend nope",
        ),
        // One of several has to be named.
        (vec!["plan", "expire-orphans"], several),
        (vec!["sweep"], several),
        (vec!["secret", "let-go"], several),
        (vec!["quarantine", "release", "--all"], several),
        (vec!["epoch", "adopt"], several),
        // Words that contradict each other.
        (
            vec![
                "document",
                "put",
                "--spec",
                "-",
                "-",
                "--workspace",
                WORKSPACE,
            ],
            "one thing only",
        ),
        (
            vec!["ephemeral", "put", "--spec", "-", "-"],
            "one thing only",
        ),
        (
            vec![
                "config",
                "import",
                "--openmetadata",
                "-",
                "--airflow-cfg",
                "-",
            ],
            "one thing only",
        ),
        (
            vec!["secret", "show", COORDINATE, "--reveal", "--output", "json"],
            "--output json",
        ),
        (
            vec!["run", "expire-orphans", "--read-values"],
            "--read-values is for verify-blobs",
        ),
        (vec!["move", "--from", "one", "--to", "one"], "one backend"),
        (
            vec!["migrate-secrets", "--from", "db", "--to", "db"],
            "one place",
        ),
        (
            vec!["move", "--reverse", ID, "--finish", ID],
            "cannot be used with",
        ),
        (
            vec!["move", "--finish", ID, "--from", "one", "--to", "two"],
            "cannot be used with",
        ),
        (
            vec!["quarantine", "release", COORDINATE, "--all"],
            "cannot be used with",
        ),
        (
            vec!["adopt", "x", "--confirm", hash, "--dry-run"],
            "cannot be used with",
        ),
        (
            vec![
                "config",
                "import",
                "--airbyte-values",
                "x",
                "--openmetadata",
                "y",
            ],
            "cannot be used with",
        ),
        (
            vec![
                "config",
                "import",
                "--airbyte-values",
                "x",
                "--airflow-cfg",
                "y",
            ],
            "cannot be used with",
        ),
        // Something is missing.
        (vec![], "subcommand"),
        (vec!["config", "import"], "required"),
        (vec!["demo", "--replace"], "--folder"),
        (vec!["document", "hydrate", ID], "--reveal"),
        (
            vec!["document", "put", "--spec", "spec.json", "c.json"],
            "--workspace",
        ),
        (
            vec!["document", "put", "--workspace", WORKSPACE, "c.json"],
            "--spec",
        ),
        (
            vec![
                "document",
                "put",
                "--spec",
                "s",
                "--workspace",
                WORKSPACE,
                "--if-revision",
                "1",
                "c",
            ],
            "--id",
        ),
        (vec!["ephemeral", "put", "c.json"], "--spec"),
        (vec!["key", "generate"], "<FILE>"),
        (vec!["migrate-secrets", "--from", "one"], "--to"),
        (vec!["move", "--from", "one"], "--to"),
        (vec!["quarantine", "release"], "<COORDINATE>"),
        // Values that are none.
        (vec!["nonsense"], "unrecognized subcommand"),
        (vec!["status", "--colour"], "--colour"),
        (
            vec!["status", "--output", "yaml"],
            "possible values: table, json",
        ),
        (vec!["status", "--log-level", "lou=d=er"], "no log level"),
        (vec!["status", "--runs", "0"], "0"),
        (vec!["run", "all", "--backend", "NOPE_X"], "1 to 63 of a-z"),
        (
            vec!["run", "all", "--override", "identity"],
            "cannot be passed",
        ),
        (vec!["plan", "all"], "a plan is of one job"),
        (vec!["secret", "show", CANARY], "this is no coordinate"),
        (
            vec!["secret", "list", "--after", "nonsense"],
            "backend/coordinate",
        ),
        (vec!["secret", "list", "--limit", "0"], "0"),
        (vec!["secret", "list", "--workspace", "x"], "x"),
        (
            vec!["quarantine", "release", CANARY, "--backend", "one"],
            "this is no coordinate",
        ),
        (vec!["document", "list", "--after", "x"], "x"),
        (
            vec![
                "document",
                "put",
                "--id",
                ID,
                "--if-revision",
                "x",
                "c.json",
            ],
            "x",
        ),
        (vec!["findings", "nonsense"], "for '[RUN]'"),
        (vec!["undo", ID, "--hold-for", "x"], "x"),
        (
            vec!["audit", "verify", "--expect", "x"],
            "64 hexadecimal digits",
        ),
        (
            vec!["audit", "export", "--since", "yesterday"],
            "for '--since <TIME>'",
        ),
        (vec!["serve", "--listen", "x"], "x"),
        (vec!["demo", "--documents", "0"], "0"),
        (vec!["completions", "klingon"], "possible values: bash"),
    ]
}

#[test]
fn is_told_as_such() {
    let deployment = Deployment::without_database(
        "backends: {one: {type: embedded}, two: {type: embedded}}\ndefault_backend: one",
    );
    deployment.run(&["migrate-schema"]).done();
    for (arguments, told) in misuses() {
        let ended = deployment.run(&arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}: {ended:?}");
        says(&ended.refused(2), told);
    }
}

#[test]
fn one_of_several_platforms_has_to_be_named() {
    let airbyte = "{type: airbyte, database: {env: PATH}, backend: main}";
    let deployment = Deployment::without_database(&format!(
        "backends: {{main: {{type: embedded}}}}\nplatforms: {{a: {airbyte}, b: {airbyte}}}"
    ));
    for arguments in [
        &["report"][..],
        &["adopt"],
        &["clean"],
        &["migrate-secrets", "--from", "db", "--to", "main"],
        &["fernet", "rotate"],
    ] {
        let told = deployment.run(arguments).refused(2);
        says(&told, "there are several platforms; say which: a, b");
    }
}

#[test]
fn two_results_need_two_files() {
    let airbyte = "{type: airbyte, database: {env: PATH}, backend: main}";
    let deployment = Deployment::without_database(&format!(
        "backends: {{main: {{type: embedded}}}}\nplatforms: {{a: {airbyte}}}"
    ));
    let there = deployment.write("there.html", "");
    let beside = deployment.path("beside").display().to_string();
    let around = deployment.path(".").join("beside").display().to_string();
    let linked = deployment.path("linked").display().to_string();
    std::os::unix::fs::symlink(&there, &linked).unwrap();
    for (html, json) in [(&beside, &beside), (&beside, &around), (&there, &linked)] {
        let told = deployment.run(&["report", "--html", html, "--json", json]);
        says(&told.refused(2), "--html and --json are one file");
    }
    // What the report itself fails of is another matter.
    let told = deployment.run(&["report", "--html", &there, "--json", &beside]);
    assert_ne!(told.code, Some(2), "{told:?}");
}

#[test]
fn is_told_as_json_where_results_are() {
    let deployment = Deployment::new();
    for arguments in [
        &["run", "all", "--backend", "nope", "--output", "json"][..],
        &["status", "--runs", "0", "--output", "json"],
    ] {
        let told = deployment.run(arguments).refused(2);
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["error"]["kind"], "usage", "{told}");
    }
}

/// What may be there at another time is no wrong call: a file, a document, a run.
#[test]
fn is_not_what_is_only_missing() {
    let deployment = Deployment::new();
    for arguments in [
        &["document", "get", ID][..],
        &[
            "document",
            "put",
            "--spec",
            "nowhere.json",
            "--workspace",
            WORKSPACE,
            "c.json",
        ],
        &["secret", "show", COORDINATE],
        &["findings", ID],
        &["undo", ID],
        &["move", "--finish", ID],
        &["apply", "nowhere.json"],
        &["--config", "nowhere.yaml", "status"],
        &["report"],
    ] {
        deployment.run(arguments).refused(1);
    }
}
