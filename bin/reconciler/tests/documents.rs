//! The life of a document through the command line.

mod common;
#[path = "documents/fed_in.rs"]
mod fed_in;
#[path = "documents/races.rs"]
mod races;

use common::{CANARY, Deployment, WORKSPACE, behind_its_back, config, config_of_many, connection};
use serde_json::{Value, json};

/// An organization's secrets bear its id; what was named before keeps its name.
#[test]
fn new_secrets_are_named_in_the_scope_that_is_configured() {
    const ORGANIZATION: &str = "0f8c3a52-6f0e-4d43-9c36-7f3d7a6b1e55";
    let deployment = Deployment::new();
    let before = deployment.put(&config("one"));
    let coordinate = |id: &str| {
        let stored = deployment.run(&["document", "get", id, "--stored"]).json();
        stored["password"]["_secret"].as_str().unwrap().to_owned()
    };
    let named_before = coordinate(&before);
    assert!(named_before.starts_with(&format!("airbyte_workspace_{WORKSPACE}_secret_")));

    for (scope, written) in [
        ("organization", "organization_"),
        ("rsm_organization", "rsm_ORGANIZATION_"),
        ("storage_organization", "storage_organization"),
    ] {
        deployment.configure(&format!(
            "documents: {{coordinate_scope: {scope}, coordinate_organization: {ORGANIZATION}}}"
        ));
        let id = deployment.put(&config("two"));
        let named = coordinate(&id);
        let head = format!("airbyte_{written}{ORGANIZATION}_secret_");
        assert!(
            named.starts_with(&head) && named.ends_with("_v1"),
            "{named}"
        );
        let update = ["document", "put", "--id", &id, "-"];
        deployment.run_with_input(&update, &config("three")).done();
        assert_eq!(coordinate(&id), named.replace("_v1", "_v2"));
        let clear: Value = serde_json::from_str(&config("three")).unwrap();
        assert_eq!(deployment.hydrated(&id), clear);
    }
    let update = ["document", "put", "--id", &before, "-"];
    deployment.run_with_input(&update, &config("four")).done();
    assert_eq!(coordinate(&before), named_before.replace("_v1", "_v2"));

    deployment.configure("documents: {coordinate_scope: oauth_workspace}");
    let named = coordinate(&deployment.put(&config("five")));
    assert!(named.starts_with(&format!("airbyte_oauth_workspace_{WORKSPACE}_secret_")));
    // The jobs make no difference between them.
    let told = deployment.run(&["run", "all"]);
    assert_eq!(told.code, Some(0), "{told:?}");
}

#[test]
fn a_document_is_put_read_updated_and_removed() {
    let deployment = Deployment::new();
    let file = deployment.write("config.json", &config("one"));
    let put = [
        "document",
        "put",
        "--spec",
        "spec.json",
        "--workspace",
        WORKSPACE,
        "--output",
        "json",
    ];
    let done = deployment
        .run(&[&put[..], &[file.as_str()]].concat())
        .json();
    let id = done["id"].as_str().unwrap();
    assert_eq!(done["revision"], 1);
    assert_eq!(done["changes"][0]["change"], "new");
    assert_eq!(done["changes"][0]["pointer"], "/password");
    let first = done["changes"][0]["coordinate"].as_str().unwrap();

    let masked = deployment.run(&["document", "get", id]).json();
    assert_eq!(
        masked,
        json!({"host": "db.example.com", "password": "**********"})
    );
    let stored = deployment.run(&["document", "get", id, "--stored"]).json();
    assert_eq!(stored["password"]["_secret"], first);
    let clear: Value = serde_json::from_str(&config("one")).unwrap();
    assert_eq!(deployment.hydrated(id), clear);

    // Saving the masked form changes nothing but what was edited; spec and workspace are known.
    let edited = json!({"host": "other.example.com", "password": "**********"}).to_string();
    let update = [
        "document",
        "put",
        "--id",
        id,
        "--if-revision",
        "1",
        "--output",
        "json",
        "-",
    ];
    let done = deployment.run_with_input(&update, &edited).json();
    assert_eq!(
        (&done["revision"], &done["changes"][0]["change"]),
        (&json!(2), &json!("kept"))
    );

    let update = ["document", "put", "--id", id, "--output", "json", "-"];
    let done = deployment.run_with_input(&update, &config("two")).json();
    let words: Vec<&str> = done["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| change["change"].as_str().unwrap())
        .collect();
    assert_eq!(words, ["raised", "unreferenced"]);
    let second = done["changes"][0]["coordinate"].as_str().unwrap();

    let shown = deployment
        .run(&["secret", "show", second, "--output", "json"])
        .json();
    assert_eq!(shown["versions"].as_array().unwrap().len(), 2);
    assert_eq!(
        shown["referrers"],
        json!([{"document": id, "pointer": "/password"}])
    );
    let listed = deployment
        .run(&[
            "secret",
            "list",
            "--workspace",
            WORKSPACE,
            "--output",
            "json",
        ])
        .json_lines();
    assert_eq!(listed.len(), 2);
    let listed = deployment
        .run(&["document", "list", "--output", "json"])
        .json_lines();
    assert_eq!(
        (&listed[0]["id"], &listed[0]["secrets"]),
        (&json!(id), &json!(1))
    );

    deployment.run(&["document", "remove", id]).done();
    assert!(
        deployment
            .run(&["document", "get", id])
            .refused(1)
            .contains("there is no such document")
    );
    assert!(deployment.run(&["secret", "list"]).done().contains(first));
}

/// `kept` is not all that is said of a secret that is not there, and its value mends it.
#[test]
fn a_kept_secret_that_is_missing_is_said_to_be() {
    let deployment = Deployment::new();
    let id = deployment.put(&config("one"));
    behind_its_back(&deployment, "DELETE FROM embedded_secrets");
    let hydrate = ["document", "hydrate", &id, "--reveal"];
    let told = deployment.run(&hydrate).refused(1);
    assert!(
        told.contains("put the document again with the value"),
        "{told}"
    );

    let masked = deployment.run(&["document", "get", &id]).done();
    let put = ["document", "put", "--id", &id, "-"];
    let kept = deployment.run_with_input(&put, &masked);
    assert_eq!(kept.code, Some(0), "{kept:?}");
    assert!(kept.stdout.contains("kept"), "{kept:?}");
    assert!(kept.stderr.contains("/password was kept"), "{kept:?}");
    let put = [&put[..], &["--output", "json"]].concat();
    let kept = deployment.run_with_input(&put, &masked).json();
    assert_eq!(kept["changes"][0]["damaged"], true, "{kept}");

    let mended = deployment.run_with_input(&put, &config("one")).json();
    assert_eq!(mended["changes"][0]["change"], "raised", "{mended}");
    assert_eq!(mended["changes"][0].get("damaged"), None, "{mended}");
    let clear: Value = serde_json::from_str(&config("one")).unwrap();
    assert_eq!(deployment.hydrated(&id), clear);
}

/// What the runbook says about `lost_node`.
#[test]
fn a_lost_node_is_found_shown_and_mended() {
    let deployment = Deployment::new();
    let id = deployment.put(&config("one"));
    behind_its_back(
        &deployment,
        "UPDATE documents SET blob = '{\"host\": \"h\"}'",
    );
    deployment.run(&["run", "verify-blobs"]).refused(3);
    let found = deployment.run(&["findings", "--output", "json"]);
    let found: Value = serde_json::from_str(&found.stdout).unwrap();
    assert_eq!(found["kind"], "lost_node");
    let coordinate = found["coordinate"].as_str().unwrap();
    deployment.run(&["secret", "show", coordinate]).done();

    let put = ["document", "put", "--id", &id, "--output", "json", "-"];
    let stored = deployment.run(&["document", "get", &id, "--stored"]).done();
    let told = deployment.run_with_input(&put, &stored).refused(1);
    assert!(told.contains("/password"), "{told}");
    let masked = deployment.run(&["document", "get", &id]).done();
    let mended = deployment.run_with_input(&put, &masked).json();
    let change = &mended["changes"][0];
    assert_eq!(
        (&change["change"], &change["coordinate"]),
        (&json!("kept"), &json!(coordinate))
    );
    deployment.run(&["run", "verify-blobs"]).done();
    assert_eq!(
        deployment.hydrated(&id),
        json!({"host": "h", "password": format!("{CANARY}-one")})
    );
}

/// Which of the two was meant, nobody can tell.
#[test]
fn a_node_that_somebody_changed_in_the_database_is_not_hydrated() {
    let deployment = Deployment::new();
    let id = deployment.put(&config("one"));
    behind_its_back(
        &deployment,
        "UPDATE documents SET blob = replace(blob, '_v1\"', '_v2\"')",
    );
    let hydrate = ["document", "hydrate", &id, "--reveal"];
    let told = deployment.run(&hydrate).refused(1);
    for part in ["/password", "another secret", "mask"] {
        assert!(told.contains(part), "{told}");
    }
    assert!(!told.contains(CANARY), "{told}");
    let json = [&hydrate[..], &["--output", "json"]].concat();
    let told: Value = serde_json::from_str(&deployment.run(&json).refused(1)).unwrap();
    assert_eq!(told["error"]["kind"], "corrupt", "{told}");
    deployment.run(&["run", "verify-blobs"]).refused(3);

    let masked = deployment.run(&["document", "get", &id]).done();
    let put = ["document", "put", "--id", &id, "-"];
    deployment.run_with_input(&put, &masked).done();
    let clear: Value = serde_json::from_str(&config("one")).unwrap();
    assert_eq!(deployment.hydrated(&id), clear);
}

#[test]
fn hydrating_asks_for_reveal() {
    let deployment = Deployment::new();
    let id = deployment.put(&config("one"));
    let refused = deployment.run(&["document", "hydrate", &id]).refused(2);
    assert!(refused.contains("--reveal"), "{refused}");
}

#[test]
fn the_secrets_of_a_check_are_listed_with_their_expiry() {
    let deployment = Deployment::new();
    let arguments = [
        "ephemeral",
        "put",
        "--spec",
        "spec.json",
        "--output",
        "json",
        "-",
    ];
    let done = deployment.run_with_input(&arguments, &config("one")).json();
    let coordinate = done["coordinates"][0].as_str().unwrap();
    assert_eq!(done["configuration"]["password"]["_secret"], coordinate);
    let shown = deployment
        .run(&["secret", "show", coordinate, "--output", "json"])
        .json();
    assert!(shown["secret"]["expires"].is_string(), "{shown}");
    assert_eq!(shown["referrers"], json!([]));
}

#[test]
fn a_referrer_that_cannot_be_read_is_no_other_document() {
    let deployment = Deployment::new();
    deployment.put(&config("one"));
    let list = ["secret", "list", "--output", "json"];
    let listed = deployment.run(&list).json_lines();
    let coordinate = listed[0]["coordinate"].as_str().unwrap();
    behind_its_back(
        &deployment,
        "PRAGMA foreign_keys = OFF; UPDATE secret_references SET document_id = 'hunter2'",
    );
    let shown = deployment
        .run(&["secret", "show", coordinate, "--output", "json"])
        .json();
    assert_eq!(
        shown["referrers"],
        json!([{"document": null, "pointer": "/password"}])
    );
    let shown = deployment.run(&["secret", "show", coordinate]).done();
    assert!(shown.contains("cannot be read  /password"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn lists_go_on_where_they_ended() {
    let deployment = Deployment::new();
    deployment.put(&config_of_many(5));
    let page = deployment
        .run(&["secret", "list", "--limit", "2", "--output", "json"])
        .json_lines();
    let last = &page[1];
    let after = format!(
        "{}/{}",
        last["backend"].as_str().unwrap(),
        last["coordinate"].as_str().unwrap()
    );
    let rest = deployment
        .run(&["secret", "list", "--after", &after, "--output", "json"])
        .json_lines();
    assert_eq!(rest.len(), 3);
    assert!(rest.iter().all(|row| !page.contains(row)));
}

#[test]
fn jobs_plans_and_status_go_through_the_command_line() {
    let deployment = Deployment::with(
        "reconcile: {backup_horizon: 0s, windows: {orphan_ttl: 0s, superseded_grace: 0s}}",
    );
    let id = deployment.put(&config("one"));
    deployment
        .run_with_input(&["document", "put", "--id", &id, "-"], &config("two"))
        .done();

    let dry = deployment
        .run(&["run", "all", "--dry-run", "--output", "json"])
        .json();
    assert_eq!(dry["reports"].as_array().unwrap().len(), 3);
    let planned = deployment.run(&["plan", "delete-superseded"]);
    assert!(planned.stderr.contains("1 deletion of"), "{planned:?}");
    let plan = planned.done();
    let applied = deployment
        .run_with_input(&["apply", "-", "--output", "json"], &plan)
        .json();
    assert_eq!(
        applied["reports"][0]["deletions"]["superseded"]["found"], 1,
        "{applied:#}"
    );
    let again = deployment.run_with_input(&["apply", "-"], &plan).refused(1);
    assert!(again.contains("applied"), "{again}");

    deployment.run(&["run", "all"]).done();
    let status = deployment.run(&["status", "--output", "json"]).json();
    assert!(status["runs"].as_array().unwrap().len() >= 4, "{status:#}");
    assert!(deployment.run(&["findings"]).done().is_empty());
    deployment.run(&["quarantine", "list"]).done();
    deployment.run(&["quarantine", "release", "--all"]).done();
    assert_eq!(
        deployment.hydrated(&id)["password"],
        format!("{CANARY}-two")
    );
}

#[tokio::test]
async fn findings_and_refusals_have_exit_statuses_of_their_own() {
    let deployment = Deployment::with("reconcile: {backup_horizon: 0s, windows: {orphan_ttl: 0s}}");
    let id = deployment.put(&config("one"));
    deployment.put(&config("two"));
    deployment.run(&["document", "remove", &id]).done();
    // Nobody removed the other document, and it is gone: is this the right database?
    let mut database = connection(&deployment).await;
    for statement in ["DELETE FROM secret_references", "DELETE FROM documents"] {
        sqlx::query(statement).execute(&mut database).await.unwrap();
    }
    drop(database);
    let refused = deployment.run(&["run", "expire-orphans"]);
    assert_eq!(refused.code, Some(4), "{refused:?}");
    assert!(refused.stdout.contains("zero-references"), "{refused:?}");
    deployment
        .run(&["run", "expire-orphans", "--override", "zero-references"])
        .done();
}

#[tokio::test]
async fn verify_blobs_with_findings_exits_with_3() {
    let deployment = Deployment::new();
    let id = deployment.put(&config("one"));
    deployment.run(&["run", "all"]).done();
    let mut database = connection(&deployment).await;
    deployment.leave_out_the_database();
    sqlx::query("UPDATE documents SET blob = $1")
        .bind(config("in clear"))
        .execute(&mut database)
        .await
        .unwrap();
    let run = deployment.run(&["run", "verify-blobs"]).refused(3);
    assert!(run.is_empty(), "{run}");
    let found = deployment.run(&["findings", "--output", "json"]);
    assert_eq!(found.code, Some(3), "{found:?}");
    assert!(
        found.stdout.contains("clear_text") && found.stdout.contains(&id),
        "{found:?}"
    );
    assert!(!found.stdout.contains(CANARY), "{found:?}");
    assert!(deployment.run(&["findings"]).refused(3).is_empty());
    let status = deployment.run(&["status", "--output", "json"]).json();
    assert_eq!(status["runs"][0]["job"], "verify-blobs");
    assert_eq!(status["runs"][0]["state"], "findings");
}

#[tokio::test]
async fn findings_that_are_not_there_are_not_said_to_be_none() {
    const UNKNOWN: &str = "01234567-89ab-4cde-8f01-23456789abcd";
    let deployment = Deployment::new();
    deployment.put(&config("one"));
    let unknown = deployment.run(&["findings", UNKNOWN]);
    assert!(unknown.stdout.is_empty(), "{unknown:?}");
    let said = unknown.refused(1);
    assert!(
        said.contains(UNKNOWN) && said.contains("reconciler status"),
        "{said}"
    );
    let said = deployment
        .run(&["findings", UNKNOWN, "--output", "json"])
        .refused(1);
    let error: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(error["error"]["kind"], "missing");

    let clean = deployment.run(&["run", "verify-blobs", "--output", "json"]);
    let clean = clean.json()["reports"][0]["run"].clone();
    let clean = deployment.run(&["findings", clean.as_str().unwrap()]);
    assert_eq!(clean.code, Some(0), "{clean:?}");
    assert!(clean.stderr.contains("nothing amiss"), "{clean:?}");

    let mut database = connection(&deployment).await;
    deployment.leave_out_the_database();
    let in_clear = sqlx::query("UPDATE documents SET blob = $1").bind(config("in clear"));
    in_clear.execute(&mut database).await.unwrap();
    let ran = deployment.run(&["run", "verify-blobs", "--output", "json"]);
    let ran: Value = serde_json::from_str(&ran.stdout).unwrap();
    let found = ran["reports"][0]["run"].as_str().unwrap();
    assert!(deployment.run(&["findings", found]).refused(3).is_empty());
    // As ten more runs would leave it.
    let forgotten = sqlx::query("DELETE FROM findings");
    forgotten.execute(&mut database).await.unwrap();
    let said = deployment.run(&["findings", found]).refused(1);
    assert!(said.contains("not kept any more"), "{said}");
}

#[test]
fn a_configuration_that_holds_is_told_as_json() {
    let deployment = Deployment::without_database("backends: {main: {type: embedded}}");
    let told = deployment
        .run(&["config", "check", "--output", "json"])
        .json();
    assert_eq!(
        told,
        serde_json::json!({
            "holds": true, "doubts": [],
            "file": deployment.path("reconciler.yaml"),
            "backends": ["main"],
        })
    );
    let prose = deployment.run(&["config", "check"]).done();
    assert_eq!(prose, "the configuration holds\n");
}

/// A run that is told to stop ends after the item under way, says that it is not done, and the
/// next one goes on.
#[tokio::test]
async fn a_run_that_is_told_to_stop_is_done_in_part() {
    let deployment = Deployment::with(
        "reconcile: {backup_horizon: 0s, batch: 1, windows: {orphan_ttl: 0s}, guards: {largest_share: 1.0}}",
    );
    let kept = deployment.put(&config("kept"));
    let gone = deployment.put(&config_of_many(1500));
    deployment.run(&["document", "remove", &gone]).done();
    let mut database = connection(&deployment).await;
    let run = deployment
        .command(&["run", "expire-orphans", "--output", "json"])
        .spawn()
        .unwrap();
    let deadline = std::time::Instant::now() + common::PATIENCE;
    loop {
        let deleted: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM secrets WHERE state = 'deleted'")
                .fetch_one(&mut database)
                .await
                .unwrap();
        if deleted > 0 {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "nothing is deleted");
    }
    common::terminate(&run);
    let ended = common::finish(run);
    assert_eq!(ended.code, Some(5), "{ended:?}");
    let told: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(told["reports"][0]["outcome"], "partial");
    deployment.run(&["run", "expire-orphans"]).done();
    assert_eq!(
        deployment.hydrated(&kept)["password"],
        format!("{CANARY}-kept")
    );
}

#[test]
fn keys_are_rotated_under_running_documents() {
    let deployment = Deployment::new();
    let id = deployment.put(&config("one"));
    let made = deployment
        .run(&[
            "key",
            "generate",
            "--add",
            "cloakroom.key",
            "--output",
            "json",
        ])
        .json();
    assert_eq!(made["keys"], 2);
    let listed = deployment.run(&["key", "list", "--output", "json"]).json();
    assert_eq!(
        (&listed[0]["secrets"], &listed[1]["secrets"]),
        (&json!(0), &json!(1))
    );
    let rotated = deployment
        .run(&["key", "rotate", "--output", "json"])
        .json();
    assert_eq!(
        (&rotated[0]["rewrapped"], &rotated[0]["already"]),
        (&json!(1), &json!(0))
    );
    let said = deployment.run(&["key", "rotate"]).done();
    assert!(said.starts_with("0 data keys are on"), "{said}");
    assert!(said.contains("1 was already"), "{said}");
    let listed = deployment.run(&["key", "list", "--output", "json"]).json();
    assert_eq!(
        (&listed[0]["secrets"], &listed[1]["secrets"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(
        deployment.hydrated(&id)["password"],
        format!("{CANARY}-one")
    );
}

#[test]
fn what_could_not_be_read_back_is_refused_before_anything_is_written() {
    let deployment = Deployment::new();
    let spec = json!({"properties": {"tokens": {"items": {"airbyte_secret": true}}}});
    let spec = deployment.write("tokens.json", &spec.to_string());
    let tokens: Vec<String> = (0..10_001).map(|n| format!("t{n}")).collect();
    let put = [
        "document",
        "put",
        "--spec",
        &spec,
        "--workspace",
        WORKSPACE,
        "-",
    ];
    let told = deployment
        .run_with_input(&put, &json!({ "tokens": tokens }).to_string())
        .refused(1);
    assert!(told.contains("10001 secrets"), "{told}");
    assert!(
        deployment
            .run(&["secret", "list", "--output", "json"])
            .json_lines()
            .is_empty()
    );
}

/// Its secrets would look like those of checks and discovers, which anybody may read who knows
/// their coordinates.
#[test]
fn the_nil_workspace_owns_no_document() {
    let deployment = Deployment::new();
    let put = [
        "document",
        "put",
        "--spec",
        "spec.json",
        "--workspace",
        "00000000-0000-0000-0000-000000000000",
        "-",
    ];
    let told = deployment.run_with_input(&put, &config("one")).refused(1);
    assert!(told.contains("nil workspace"), "{told}");
}
