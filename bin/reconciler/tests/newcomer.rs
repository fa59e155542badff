//! What somebody meets who uses the command line for the first time: errors that say what to do, lists
//! that fit the terminal, and JSON all the way for programs.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::os::unix::fs::PermissionsExt;

use common::{CANARY, Deployment, WORKSPACE, config, config_of_many, connection};
use serde_json::Value;
use sqlx::Connection;

const UNKNOWN: &str = "11111111-2222-4333-8444-555555555555";

fn says(text: &str, part: &str) {
    assert!(text.contains(part), "`{part}` is not in: {text}");
}

/// The coordinate of a document's password.
fn coordinate(deployment: &Deployment, id: &str) -> String {
    let stored = deployment.run(&["document", "get", id, "--stored"]).json();
    stored["password"]["_secret"].as_str().unwrap().to_owned()
}

/// The error of a command whose results are JSON.
fn error_of(stderr: &str) -> Value {
    let last = stderr.lines().last().unwrap();
    let told: Value = serde_json::from_str(last).unwrap_or_else(|_| panic!("{stderr}"));
    told["error"].clone()
}

#[test]
fn a_place_to_go_on_from_that_is_none_is_a_wrong_call() {
    let deployment = Deployment::new();
    for command in [["secret", "list"], ["quarantine", "list"]] {
        for (after, hint) in [
            ("garbage", "`backend/coordinate`"),
            ("default/garbage", "is no secret's place"),
        ] {
            let arguments = [&command[..], &["--after", after]].concat();
            says(&deployment.run(&arguments).refused(2), hint);
        }
    }
}

#[test]
fn errors_are_json_where_results_are() {
    let deployment = Deployment::new();
    let id = deployment.put(&config("one"));
    let error = |arguments: &[&str], status| {
        let arguments = [arguments, &["--output", "json"]].concat();
        let ended = deployment.run(&arguments);
        assert!(ended.stdout.is_empty(), "{ended:?}");
        error_of(&ended.refused(status))
    };
    let missing = error(&["document", "get", UNKNOWN], 1);
    assert_eq!(missing["kind"], "missing");
    says(missing["message"].as_str().unwrap(), UNKNOWN);
    let race = ["document", "remove", &id, "--if-revision", "9"];
    assert_eq!(error(&race, 1)["kind"], "conflict");
    let usage = error(&["run", "expire-orphan"], 2);
    assert_eq!(usage["kind"], "usage");
    says(usage["message"].as_str().unwrap(), "did you mean");
    assert!(!usage["message"].as_str().unwrap().contains("--help"));
    assert_eq!(
        error(&["--config", "nowhere", "status"], 1)["kind"],
        "failed"
    );
    let ended = deployment.run(&["--output=json", "document", "fetch"]);
    assert_eq!(error_of(&ended.refused(2))["kind"], "usage");
    // Help is no error.
    let help = deployment.run(&["--output", "json", "--help"]).done();
    says(&help, "Exit status");
}

#[test]
fn an_error_about_a_document_names_it() {
    let deployment = Deployment::new();
    let id = deployment.put(&config_of_many(2));
    let update = ["document", "put", "--id", &id, "-"];
    for (config, pointer) in [
        (r#"{"password": "**********"}"#, "/password"),
        (r#"{"password": {"_secret": "airbyte_x_v1"}}"#, "/password"),
        ("[1]", "(root)"),
    ] {
        let refused = deployment.run_with_input(&update, config).refused(1);
        says(&refused, &id);
        says(&refused, pointer);
    }
    let again = ["document", "put", "--id", &id, "--if-revision", "99", "-"];
    let refused = deployment.run_with_input(&again, &config("one")).refused(1);
    says(&refused, "it stands at revision 1 and was to stand at 99");
    assert!(!refused.contains("another writer"), "{refused}");
}

#[tokio::test]
async fn an_error_of_a_run_names_job_and_backend() {
    let deployment = Deployment::new();
    deployment.put(&config("one"));
    let mut beside = connection(&deployment).await;
    let lease = "INSERT INTO leases (name, holder, token, acquired_at, expires_at) \
                 SELECT 'reconcile/embedded', 'another', 1, MAX(created_at), \
                 MAX(created_at) + 600000 FROM secrets";
    sqlx::query(lease).execute(&mut beside).await.unwrap();
    beside.close().await.unwrap();
    let refused = deployment.run(&["run", "all"]).refused(1);
    for job in ["verify-blobs", "expire-orphans", "delete-superseded"] {
        says(&refused, &format!("error: {job} on embedded"));
    }
    let ended = deployment.run(&["run", "verify-blobs", "--output", "json"]);
    let told: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(told["errors"][0]["kind"], "unavailable", "{told:#}");
    assert_eq!(error_of(&ended.refused(1))["kind"], "unavailable");
}

#[test]
fn numbers_have_their_nouns() {
    let deployment = Deployment::new();
    let id = deployment.put(&config("one"));
    let done = deployment.run(&["run", "verify-blobs"]).done();
    says(&done, "1 reference checked, 1 document checked");
    let removed = deployment.run(&["document", "remove", &id]).done();
    says(&removed, "1 secret lost its last reference");
}

#[test]
fn a_secret_is_shown_once_with_its_other_versions() {
    let deployment = Deployment::new();
    let id = deployment.put(&config("one"));
    let first = coordinate(&deployment, &id);
    let shown = deployment.run(&["secret", "show", &first]).done();
    assert_eq!(shown.matches(&first).count(), 1, "{shown}");
    says(&shown, "its only version");
    let update = ["document", "put", "--id", &id, "-"];
    deployment.run_with_input(&update, &config("two")).done();
    let shown = deployment.run(&["secret", "show", &first]).done();
    says(&shown, "1 other version:");
    assert_eq!(shown.matches(&first).count(), 1, "{shown}");
    says(&shown, &coordinate(&deployment, &id));

    for nowhere in ["nope", "airbyte_nope_v1"] {
        let status = if nowhere == "nope" { 2 } else { 1 };
        let refused = deployment.run(&["secret", "show", nowhere]).refused(status);
        // What is no coordinate may be the secret itself, and is not repeated.
        assert_eq!(refused.contains(nowhere), nowhere != "nope", "{refused}");
        says(&refused, "`reconciler secret list`");
    }
    let listed = |base: &str| deployment.run(&["secret", "list", "--base", base]).done();
    let all = deployment.run(&["secret", "list"]).done();
    let (base, _) = first.rsplit_once("_v").unwrap();
    for it in [base, &first] {
        assert_eq!(
            listed(it),
            all,
            "a base means all its versions, and so does any of them"
        );
    }
    assert!(!listed("airbyte_other").contains(base));
    let elsewhere = ["secret", "show", &first, "--backend", "other"];
    says(&deployment.run(&elsewhere).refused(2), "no backend other");
}

/// The ledger knows a secret whether its backend is configured or not.
#[test]
fn a_secret_of_a_backend_that_left_the_configuration_is_shown() {
    let deployment = Deployment::with("backends: {old: {type: embedded}}");
    let id = deployment.put(&config("one"));
    let secret = coordinate(&deployment, &id);
    deployment.configure("backends: {new: {type: embedded}}");
    for more in [&[][..], &["--backend", "old"]] {
        let shown = deployment.run(&[&["secret", "show", &secret], more].concat());
        says(&shown.stderr, "backend old is not configured");
        let shown = shown.done();
        says(&shown, &secret);
        says(&shown, &id);
        let json = ["secret", "show", &secret, "--output", "json"];
        let shown = deployment.run(&[&json, more].concat()).json();
        assert_eq!(shown["secret"]["backend"], "old", "{shown:#}");
    }
    let listed = deployment.run(&["secret", "list"]);
    says(&listed.stderr, "backend old is not configured");
    says(&listed.done(), &secret);
    let revealed = deployment.run(&["secret", "show", &secret, "--reveal"]);
    says(&revealed.refused(1), "configure it again");
    // Configured, and without this secret.
    let elsewhere = ["secret", "show", &secret, "--backend", "new"];
    says(
        &deployment.run(&elsewhere).refused(1),
        "the ledger has none",
    );
    let nowhere = ["secret", "show", &secret, "--backend", "nope"];
    says(&deployment.run(&nowhere).refused(2), "no backend nope");
}

/// Whatever a terminal's width, no table is wrapped by it, and every id that the next command needs is
/// whole.
#[test]
fn lists_fit_the_terminal() {
    let mut deployment = Deployment::new();
    let id = deployment.put(&config("one"));
    let coordinate = coordinate(&deployment, &id);
    deployment.run(&["run", "all"]).done();
    let as_json = |deployment: &Deployment, what: &str| {
        deployment.run(&[what, "list", "--output", "json"]).done()
    };
    // The put below changes revision and time.
    let names = |listed: &str| -> Vec<String> {
        let listed: Value = serde_json::from_str(listed).unwrap();
        listed.as_object().unwrap().keys().cloned().collect()
    };
    let before = [
        as_json(&deployment, "document"),
        as_json(&deployment, "secret"),
    ];
    for width in ["80", "120"] {
        deployment.set("COLUMNS", width);
        let width: usize = width.parse().unwrap();
        let fits = |text: &str, but: &str| {
            for line in text.lines().filter(|line| *line != but) {
                let length = line.trim_end().chars().count();
                assert!(length <= width, "{length} columns of {width}: {line}");
            }
        };
        let documents = deployment.run(&["document", "list"]).done();
        fits(&documents, "");
        says(&documents, &id);
        // A coordinate alone is longer than a narrow terminal, and stands alone.
        let secrets = deployment.run(&["secret", "list"]).done();
        fits(&secrets, &coordinate);
        says(&secrets, &coordinate);
        says(&secrets, "stored");
        fits(&deployment.run(&["status"]).done(), "");
        fits(&deployment.run(&["run", "all"]).done(), "");
        let update = ["document", "put", "--id", &id, "-"];
        let put = deployment.run_with_input(&update, &config("one")).done();
        says(&put, &coordinate);
        assert_eq!(names(&as_json(&deployment, "document")), names(&before[0]));
        assert_eq!(as_json(&deployment, "secret"), before[1]);
    }
}

/// In a narrow terminal too: words are whole, and a row is a line.
#[test]
fn tables_of_runs_and_the_demo_are_not_wrapped() {
    let mut deployment = Deployment::new();
    let id = deployment.put(&config("one"));
    let update = ["document", "put", "--id", &id, "-"];
    deployment.run_with_input(&update, &config("two")).done();
    for width in ["70", "80", "120"] {
        deployment.set("COLUMNS", width);
        let width: usize = width.parse().unwrap();
        let run = deployment.run(&["run", "all"]).done();
        let status = deployment.run(&["status"]).done();
        for job in ["verify-blobs", "expire-orphans", "delete-superseded"] {
            let told = |line: &str| line.split_whitespace().next() == Some(job);
            assert!(run.lines().any(told), "{run}");
            assert!(status.lines().any(told), "{status}");
        }
        let folder = format!("demo-{width}");
        let demo = ["demo", "--once", "--documents", "41", "--folder", &folder];
        let demo = deployment.run(&demo).done();
        let table = |line: &&str| line.starts_with(['┌', '│', '╞', '└']);
        let lines = demo.lines().filter(table);
        for line in lines.chain(run.lines()).chain(status.lines()) {
            let length = line.trim_end().chars().count();
            assert!(length <= width, "{length} columns of {width}: {line}");
        }
        for line in demo.lines().filter(|line| line.starts_with('│')) {
            // Below a document stands the place in it.
            let whole = !line.starts_with("│   ") || line.contains(" /");
            assert!(whole, "a row is wrapped: {line}\n{demo}");
        }
        for told in [
            "superseded",
            "a newer version took its place",
            "recoverable",
        ] {
            says(&demo, told);
        }
    }
}

/// As many as were asked for, whatever their writers met, and all that were not removed are there.
#[test]
fn a_demo_makes_as_many_documents_as_were_asked_for() {
    let deployment = Deployment::without_database("");
    let demo = [
        "demo",
        "--once",
        "--documents",
        "41",
        "--seed",
        "10",
        "--folder",
        "demo",
        "--output",
        "json",
    ];
    let planted = &deployment.run(&demo).json()["planted"];
    assert_eq!(planted["documents"], 41);
    let config = deployment.path("demo/cloakroom.yaml");
    let list = [
        "--config",
        config.to_str().unwrap(),
        "document",
        "list",
        "--output",
        "json",
    ];
    let left = deployment.run(&list).json_lines().len() as u64;
    assert_eq!(left, 41 - planted["removed"].as_u64().unwrap());
}

#[test]
fn a_demo_of_a_spec_with_secrets_in_lists_alone_damages_some() {
    let deployment = Deployment::without_database("");
    std::fs::create_dir(deployment.path("specs")).unwrap();
    deployment.write(
        "specs/spec.json",
        r#"{"properties": {"t": {"type": "array", "items": {"type": "string", "airbyte_secret": true}}}}"#,
    );
    let demo = [
        "demo",
        "--once",
        "--documents",
        "100",
        "--seed",
        "3",
        "--specs",
        "specs",
        "--folder",
        "demo",
        "--output",
        "json",
    ];
    let demo = deployment.run(&demo).json();
    assert_eq!(
        demo["planted"]["damage"].as_array().unwrap().len(),
        8,
        "{demo}"
    );
}

#[test]
fn a_demo_names_the_links_to_folders_that_it_does_not_follow() {
    let deployment = Deployment::without_database("");
    std::fs::create_dir_all(deployment.path("specs/near")).unwrap();
    std::fs::create_dir(deployment.path("elsewhere")).unwrap();
    let spec = r#"{"properties": {"t": {"type": "string", "airbyte_secret": true}}}"#;
    deployment.write("elsewhere/spec.json", spec);
    std::os::unix::fs::symlink("../elsewhere", deployment.path("specs/far")).unwrap();
    let demo = ["demo", "--once", "--specs", "specs", "--folder", "demo"];
    let said = deployment.run(&demo).refused(1);
    assert!(said.contains("links to folders"), "{said}");

    deployment.write("specs/near/spec.json", spec);
    let told = deployment.run(&demo);
    assert_eq!(told.code, Some(0), "{told:?}");
    let told = format!("{}{}", told.stdout, told.stderr);
    assert!(
        told.contains("far") && told.contains("link to a folder"),
        "{told}"
    );
}

#[test]
fn the_manual_and_the_help_tell_what_an_option_takes() {
    let deployment = Deployment::without_database("");
    let manual = deployment.run(&["man"]).done();
    deployment.run(&["man", "--folder", "manual"]).done();
    for (command, words) in [
        ("run", &["delete-superseded", "all", "zero-references"][..]),
        ("plan", &["verify-blobs"]),
        ("secret-list", &["quarantined"]),
        ("status", &["table", "json"]),
    ] {
        let page = format!("manual/reconciler-{command}.1");
        let page = std::fs::read_to_string(deployment.path(&page)).unwrap();
        let mut line: Vec<&str> = command.split('-').collect();
        line.push("--help");
        let help = deployment.run(&line).done();
        for word in words {
            // The page writes a hyphen as `\-`.
            let written = word.replace('-', "\\-");
            for text in [&page, &manual] {
                let listed = text.split("Possible values:").skip(1).any(|list| {
                    let list = list.split(".RE").next().unwrap();
                    list.lines().any(|line| line == written || line == *word)
                        || list.contains(&format!("{word}: "))
                });
                assert!(listed, "{word} of {command} is not in the manual");
            }
            says(&help, word);
        }
    }
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let deployment = Deployment::without_database("");
    deployment.run(&["man", "--folder", "manual"]).done();
    for page in ["reconciler", "reconciler-document-put", "reconciler-plan"] {
        let text = std::fs::read_to_string(deployment.path(&format!("manual/{page}.1"))).unwrap();
        says(&text, ".TH");
    }
}

#[test]
fn nobody_else_may_read_the_database() {
    let deployment = Deployment::new();
    deployment.put(&config("one"));
    for entry in std::fs::read_dir(deployment.folder.path()).unwrap() {
        let entry = entry.unwrap();
        if entry
            .file_name()
            .to_string_lossy()
            .starts_with("cloakroom.db")
        {
            let mode = entry.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", entry.path().display());
        }
    }
}

#[test]
fn the_configuration_tells_the_places_that_were_chosen() {
    let deployment = Deployment::without_database("");
    deployment.write("reconciler.yaml", "");
    for arguments in [
        &["config", "print"][..],
        &["config", "print", "--output", "json"],
    ] {
        let printed = deployment.run(arguments).done();
        says(&printed, "cloakroom/cloakroom.db");
        says(&printed, "cloakroom/cloakroom.key");
    }
    deployment.configure("");
    let printed = deployment.run(&["config", "print"]).done();
    says(&printed, "cloakroom.key  # default");
}

#[tokio::test]
async fn a_run_whose_process_died_is_told_as_abandoned() {
    let deployment = Deployment::new();
    deployment.put(&config("one"));
    deployment.run(&["run", "verify-blobs"]).done();
    let mut beside = connection(&deployment).await;
    sqlx::query("UPDATE runs SET finished_at = NULL, outcome = NULL")
        .execute(&mut beside)
        .await
        .unwrap();
    let state = || {
        let status = deployment.run(&["status", "--output", "json"]).json();
        status["runs"][0]["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state(), "abandoned");
    says(&deployment.run(&["status"]).done(), "abandoned");
    let alive = "UPDATE leases SET expires_at = acquired_at + 600000, \
                 holder = (SELECT run_id FROM runs)";
    sqlx::query(alive).execute(&mut beside).await.unwrap();
    beside.close().await.unwrap();
    assert_eq!(state(), "running");
}

#[test]
fn what_verify_blobs_would_do_can_be_planned_and_applied() {
    let deployment = Deployment::new();
    deployment.put(&config("one"));
    let ended = deployment.run(&["plan", "verify-blobs"]);
    says(&ended.stderr, "0 rescues and 0 findings of verify-blobs");
    let plan = deployment.write("plan.json", &ended.done());
    let applied = deployment.run(&["apply", &plan, "--output", "json"]).json();
    assert_eq!(applied["reports"][0]["rescued"], 0, "{applied:#}");
    says(
        &deployment.run(&["apply", &plan]).refused(1),
        "applied before",
    );
    // It went through nothing, so that it tells nothing about what is amiss.
    let findings = deployment.run(&["findings"]);
    says(&findings.stderr, "has not gone through everything yet");
}

#[test]
fn a_workspace_that_is_too_much_for_a_narrow_list_is_named_in_a_note() {
    let mut deployment = Deployment::new();
    deployment.put(&config("one"));
    deployment.set("COLUMNS", "80");
    let ended = deployment.run(&["document", "list"]);
    says(&ended.stderr, "WORKSPACE left out");
    assert!(!ended.done().contains(WORKSPACE));
    deployment.set("COLUMNS", "200");
    let listed = deployment.run(&["document", "list"]).done();
    says(&listed, WORKSPACE);
    assert!(!listed.contains(CANARY));
}
