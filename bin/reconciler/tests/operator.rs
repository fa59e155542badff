//! `epoch`, `sweep`, `undo` and `audit` through the command line, on the real program.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails; the lint knows only #[test]"
)]

mod common;

use std::os::unix::fs::PermissionsExt;

use common::{CANARY, Deployment, config, connection};
use serde_json::Value;

/// A deployment with something in use, and a run that deleted one secret.
fn with_a_deletion() -> (Deployment, String) {
    let deployment = Deployment::with("reconcile: {windows: {orphan_ttl: 0s}}");
    deployment.put(&config("stays"));
    let removed = deployment.put(&config("goes"));
    deployment.run(&["document", "remove", &removed]).done();
    let report = deployment
        .run(&["run", "expire-orphans", "--output", "json"])
        .json();
    let report = &report["reports"][0];
    assert_eq!(
        report["deletions"]["orphaned"]["scheduled"], 1,
        "{report:#}"
    );
    let run = report["run"].as_str().unwrap().to_owned();
    (deployment, run)
}

fn epoch(deployment: &Deployment) -> Value {
    let shown = deployment.run(&["epoch", "show", "--output", "json"]);
    serde_json::from_str(&shown.stdout).unwrap()
}

async fn execute(deployment: &Deployment, statement: &str) {
    let mut database = connection(deployment).await;
    let statement = sqlx::AssertSqlSafe(statement.to_owned());
    sqlx::query(statement).execute(&mut database).await.unwrap();
}

/// What was deleted was long enough ago to be taken back.
async fn its_requests_are_over(deployment: &Deployment) {
    for statement in [
        "DROP TRIGGER receipts_stand",
        "UPDATE receipts SET at = at - 600000",
    ] {
        execute(deployment, statement).await;
    }
}

#[tokio::test]
async fn a_restored_database_is_refused_until_it_is_adopted() {
    let (deployment, _) = with_a_deletion();
    assert_eq!(
        (&epoch(&deployment)["standing"], &epoch(&deployment)["mark"]),
        (&"current".into(), &1.into())
    );
    let nothing = deployment.run(&["epoch", "adopt", "--yes"]);
    assert!(
        nothing.stderr.contains("nothing is to be adopted"),
        "{nothing:?}"
    );
    // As a backup from before the first deletion would have it.
    execute(&deployment, "DELETE FROM backend_epochs").await;
    let table = deployment.run(&["epoch", "show"]);
    assert_eq!(table.code, Some(4), "{table:?}");
    assert!(
        table.stdout.contains("this database is behind"),
        "{table:?}"
    );
    let stopped = deployment.run(&["run", "expire-orphans"]);
    assert_eq!(stopped.code, Some(4), "{stopped:?}");
    assert!(stopped.stdout.contains("epoch adopt"), "{stopped:?}");
    assert!(!stopped.stdout.contains("--override epoch"), "{stopped:?}");
    let passed = deployment.run(&["run", "expire-orphans", "--override", "epoch"]);
    assert!(passed.refused(2).contains("cannot be passed"));
    let asked = deployment.run(&["epoch", "adopt"]).refused(1);
    assert!(
        asked.contains("--yes") && asked.contains("adopting means"),
        "{asked}"
    );
    let adopt = [
        "epoch", "adopt", "--yes", "--by", "somebody", "--output", "json",
    ];
    let adopted = deployment.run(&adopt).json();
    assert_eq!(
        (&adopted["standing"], &adopted["mark"]),
        (&"current".into(), &2.into())
    );
    let receipts = deployment.run(&["audit", "export"]).json_lines();
    let last = receipts.last().unwrap();
    assert_eq!(
        (&last["reason"], &last["run"]),
        (&"epoch".into(), &adopted["adopted"])
    );
    assert!(last["evidence"].as_str().unwrap().contains("somebody"));
    deployment.run(&["run", "expire-orphans"]).done();
}

/// A backup takes the place of the database before the original deleted anything more: the epoch does
/// not tell it apart, where it is does.
#[tokio::test]
async fn a_copy_of_the_database_is_refused_until_it_is_adopted() {
    let (deployment, run) = with_a_deletion();
    its_requests_are_over(&deployment).await;
    let removed = deployment.put(&config("goes too"));
    deployment.run(&["document", "remove", &removed]).done();
    let (original, copy) = (deployment.path("cloakroom.db"), deployment.path("copy.db"));
    execute(&deployment, &format!("VACUUM INTO '{}'", copy.display())).await;
    std::fs::rename(&original, deployment.path("original.db")).unwrap();
    std::fs::rename(&copy, &original).unwrap();
    let table = deployment.run(&["epoch", "show"]);
    assert_eq!(table.code, Some(4), "{table:?}");
    assert!(
        table.stdout.contains("is a copy, or was moved"),
        "{table:?}"
    );
    let stopped = deployment.run(&["run", "expire-orphans"]);
    assert_eq!(stopped.code, Some(4), "{stopped:?}");
    for word in ["identity", "is not where it was", "reconciler epoch adopt"] {
        assert!(stopped.stdout.contains(word), "{word}: {stopped:?}");
    }
    let undone = deployment.run(&["undo", &run]);
    assert_eq!(undone.code, Some(4), "{undone:?}");
    for word in [
        "guard identity",
        "stopped by a guard",
        "0 restored and held",
    ] {
        assert!(undone.stdout.contains(word), "{word}: {undone:?}");
    }
    let passed = deployment.run(&["run", "expire-orphans", "--override", "identity"]);
    assert!(passed.refused(2).contains("cannot be passed"));
    let adopted = deployment
        .run(&["epoch", "adopt", "--yes", "--output", "json"])
        .json();
    assert_eq!(adopted["standing"], "current", "{adopted:#}");
    let report = deployment
        .run(&["run", "expire-orphans", "--output", "json"])
        .json();
    assert_eq!(
        report["reports"][0]["deletions"]["orphaned"]["scheduled"], 1,
        "{report:#}"
    );
}

#[tokio::test]
async fn what_the_ledger_lost_is_listed_and_adopted() {
    let (deployment, _) = with_a_deletion();
    let nothing = deployment.run(&["sweep"]).done();
    assert!(nothing.starts_with("0 secrets of "), "{nothing}");
    for statement in [
        "DROP TRIGGER secrets_stay",
        "DELETE FROM secrets WHERE state = 'deleted'",
    ] {
        execute(&deployment, statement).await;
    }
    let listed = deployment.run(&["sweep"]);
    assert_eq!(listed.code, Some(3), "{listed:?}");
    assert!(
        listed.stdout.contains("unknown") && listed.stderr.contains("--adopt"),
        "{listed:?}"
    );
    let adopted = deployment
        .run(&["sweep", "--adopt", "--output", "json"])
        .json_lines();
    assert_eq!((adopted.len(), &adopted[0]["fate"]), (1, &"adopted".into()));
    assert!(deployment.run(&["sweep"]).done().contains("0 adopted"));
    let secrets = deployment
        .run(&["secret", "list", "--output", "json"])
        .json_lines();
    let row = secrets
        .iter()
        .find(|it| it["coordinate"] == adopted[0]["coordinate"])
        .unwrap();
    assert_eq!(row["state"], "stored");
    assert!(
        secrets
            .iter()
            .all(|it| !it["coordinate"].as_str().unwrap().contains("epoch"))
    );
}

#[tokio::test]
async fn what_nobody_let_go_is_listed_and_let_go() {
    let (deployment, _) = with_a_deletion();
    let nothing = deployment.run(&["secret", "let-go"]).done();
    assert!(
        nothing.starts_with("no document refers to 0 secrets "),
        "{nothing}"
    );
    let lost = deployment.put(&config("lost"));
    for table in ["secret_references", "documents"] {
        let statement = format!("DELETE FROM {table} WHERE document_id = '{lost}'");
        execute(&deployment, &statement).await;
    }
    let listed = deployment.run(&["secret", "let-go"]);
    assert_eq!(listed.code, Some(3), "{listed:?}");
    assert!(
        listed.stdout.contains("kept") && listed.stderr.contains("--apply"),
        "{listed:?}"
    );
    let untouched = deployment.run(&["run", "expire-orphans", "--output", "json"]);
    assert_eq!(
        untouched.json()["reports"][0]["deletions"],
        serde_json::json!({})
    );
    let apply = ["secret", "let-go", "--apply", "--by", "somebody"];
    let gone = deployment.run(&apply);
    assert_eq!(gone.code, Some(0), "{gone:?}");
    assert!(
        gone.stdout.contains("; 1 let go") && gone.stderr.contains("receipts"),
        "{gone:?}"
    );
    let receipts = deployment.run(&["audit", "export"]).json_lines();
    let last = receipts.last().unwrap();
    assert!(
        last["evidence"]
            .as_str()
            .unwrap()
            .contains("let go by somebody")
    );
    let report = deployment
        .run(&["run", "expire-orphans", "--output", "json"])
        .json();
    let went = &report["reports"][0]["deletions"]["orphaned"]["scheduled"];
    assert_eq!(went, 1, "{report:#}");
    let other = last["coordinate"].as_str().unwrap();
    let named = deployment.run(&["secret", "let-go", other]);
    assert_eq!(named.code, Some(3), "{named:?}");
    assert!(named.stdout.contains("is none of them"), "{named:?}");
}

#[tokio::test]
async fn a_run_is_taken_back() {
    let (deployment, run) = with_a_deletion();
    its_requests_are_over(&deployment).await;
    let looked = deployment
        .run(&["undo", &run, "--dry-run", "--output", "json"])
        .json_lines();
    assert_eq!(
        (looked.len(), &looked[0]["fate"]),
        (1, &"restorable".into())
    );
    let undone = deployment.run(&["undo", &run]).done();
    assert!(
        undone.contains("restored") && undone.contains("1 restored and held"),
        "{undone}"
    );
    let held = deployment
        .run(&["secret", "list", "--state", "held", "--output", "json"])
        .json_lines();
    assert_eq!(held.len(), 1);
    let coordinate = held[0]["coordinate"].as_str().unwrap();
    let shown = deployment.run(&["secret", "show", coordinate]).done();
    assert!(!shown.contains(CANARY), "metadata alone: {shown}");
    let revealed = deployment.run(&["secret", "show", coordinate, "--reveal"]);
    assert!(
        revealed.done().contains(CANARY),
        "the value can be put again"
    );
    let mixed = ["secret", "show", coordinate, "--reveal", "--output", "json"];
    assert!(deployment.run(&mixed).refused(2).contains("--output json"));
    let again = deployment.run(&["undo", &run]).done();
    assert!(again.contains("held already"), "{again}");
    assert!(again.contains("not restored: 1 held already"), "{again}");
    for statement in [
        "UPDATE secrets SET state = 'deleted' WHERE state = 'held'",
        "DELETE FROM embedded_secrets WHERE coordinate NOT LIKE '%epoch%'",
    ] {
        execute(&deployment, statement).await;
    }
    let gone = deployment.run(&["undo", &run]);
    assert_eq!(gone.code, Some(3), "{gone:?}");
    assert!(
        gone.stdout.contains("not restored: 1 gone for good"),
        "{gone:?}"
    );
}

#[test]
fn a_run_is_not_taken_back_too_early() {
    let (deployment, run) = with_a_deletion();
    let early = deployment.run(&["undo", &run]).refused(1);
    assert!(early.contains("try again from"), "{early}");
    let unknown = deployment.run(&["undo", "00000000-0000-4000-8000-000000000001"]);
    assert!(unknown.refused(1).contains("deleted nothing"));
}

#[tokio::test]
async fn receipts_are_verified_and_exported() {
    let (deployment, run) = with_a_deletion();
    let whole = deployment.run(&["audit", "verify"]).done();
    assert!(
        whole.starts_with("1 receipt: the chain is whole and ends in "),
        "{whole}"
    );
    let lines = deployment
        .run(&["audit", "export", "--run", &run])
        .json_lines();
    assert_eq!(
        (lines.len(), &lines[0]["outcome"]),
        (1, &"scheduled".into())
    );
    assert!(!lines[0].to_string().contains(CANARY));
    let later = ["audit", "export", "--since", "2999-01-01T00:00:00Z"];
    assert!(deployment.run(&later).json_lines().is_empty());
    let file = deployment.path("receipts.jsonl");
    let export = ["audit", "export", "--file", file.to_str().unwrap()];
    deployment.run(&export).done();
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 1);
    deployment.run(&export).refused(1);
    for statement in [
        "DROP TRIGGER receipts_stand",
        "UPDATE receipts SET evidence = 'another'",
    ] {
        execute(&deployment, statement).await;
    }
    let broken = deployment.run(&["audit", "verify"]);
    assert_eq!(broken.code, Some(3), "{broken:?}");
    assert!(broken.stdout.contains("receipt 1"), "{broken:?}");
    let broken = deployment.run(&["audit", "verify", "--output", "json"]);
    let audit: Value = serde_json::from_str(&broken.stdout).unwrap();
    assert_eq!(
        (&audit["whole"], &audit["broken"]["seq"]),
        (&0.into(), &1.into())
    );
    assert_ne!(audit["broken"]["expected"], audit["broken"]["found"]);
}

#[tokio::test]
async fn a_damaged_or_shortened_chain_is_a_finding() {
    let (deployment, _) = with_a_deletion();
    let verify = |arguments: &[&str]| {
        let arguments = [&["audit", "verify", "--output", "json"], arguments].concat();
        let ended = deployment.run(&arguments);
        let audit: Value = serde_json::from_str(&ended.stdout).unwrap();
        (ended.code, audit)
    };
    let (_, whole) = verify(&[]);
    let head = whole["head"].as_str().unwrap();
    assert_eq!(verify(&["--expect", head]).0, Some(0));
    let (code, other) = verify(&["--expect", &"1".repeat(64)]);
    assert_eq!((code, &other["broken"]["seq"]), (Some(3), &2.into()));
    let misspelt = deployment.run(&["audit", "verify", "--expect", "1"]);
    assert_eq!(misspelt.code, Some(2), "{misspelt:?}");

    for damage in [
        "UPDATE receipts SET coordinate = 'none'",
        "DELETE FROM receipts",
    ] {
        for trigger in ["receipts_stand", "receipts_stay"] {
            execute(&deployment, &format!("DROP TRIGGER IF EXISTS {trigger}")).await;
        }
        execute(&deployment, damage).await;
        let (code, audit) = verify(&[]);
        assert_eq!(
            (code, &audit["broken"]["seq"]),
            (Some(3), &1.into()),
            "{damage}"
        );
        let shown = deployment.run(&["audit", "verify"]);
        assert_eq!(shown.code, Some(3), "{damage}: {shown:?}");
    }
    // Cut off with its end put right, it is whole in itself: only what was noted tells.
    let start = "0".repeat(64);
    let mend = format!("UPDATE receipt_head SET seq = 0, hash = '{start}'");
    execute(&deployment, &mend).await;
    assert_eq!(verify(&[]).0, Some(0));
    assert_eq!(verify(&["--expect", head]).0, Some(3));
    execute(&deployment, "DELETE FROM receipt_head").await;
    assert_eq!(verify(&[]).0, Some(3));
}

#[tokio::test]
async fn what_is_parked_is_shown_with_its_last_error() {
    let deployment = Deployment::new();
    let nothing = deployment.run(&["status"]).done();
    assert!(!nothing.contains("LAST ERROR"), "{nothing}");
    deployment.put(&config("one"));
    execute(
        &deployment,
        "UPDATE secrets SET state = 'quarantined', quarantined_at = 1, attempts = 5, \
         last_error = 'denied: not this one'",
    )
    .await;
    let shown = deployment.run(&["status"]).done();
    assert!(shown.contains("denied: not this one"), "{shown}");
    let shown = deployment.run(&["status", "--output", "json"]).json();
    assert_eq!(shown["parked"][0]["attempts"], 5, "{shown:#}");
}

/// Whoever asks is told before a run is stopped.
#[tokio::test]
async fn a_backend_that_means_another_manager_is_told() {
    let (deployment, _) = with_a_deletion();
    let status = deployment.run(&["status", "--output", "json"]).json();
    assert_eq!(status["backends"][0]["changed"], Value::Null, "{status:#}");
    execute(
        &deployment,
        "UPDATE backend_managers SET manager = 'vault at one'",
    )
    .await;
    let told = ["vault at one", "epoch adopt --backend", "--manager"];
    let status = deployment.run(&["status", "--output", "json"]).json();
    let changed = status["backends"][0]["changed"].as_str().unwrap();
    let shown = deployment.run(&["status"]);
    let checked = deployment.run(&["backend", "check"]);
    for text in [changed, &shown.stderr, &checked.stderr] {
        assert!(told.iter().all(|it| text.contains(it)), "{text}");
    }
    let checked = deployment
        .run(&["backend", "check", "--output", "json"])
        .json();
    assert_eq!(checked[0]["changed_from"], "vault at one", "{checked:#}");
    deployment.run(&["run", "expire-orphans"]).refused(4);
    let adopt = ["epoch", "adopt", "--manager", "--yes", "--by", "a test"];
    deployment.run(&adopt).done();
    let status = deployment.run(&["status", "--output", "json"]).json();
    assert_eq!(status["backends"][0]["changed"], Value::Null, "{status:#}");
    assert!(!deployment.run(&["status"]).stderr.contains("vault"));
}

#[tokio::test]
async fn what_could_not_be_purged_is_told() {
    let (deployment, _) = with_a_deletion();
    let status = deployment.run(&["status", "--output", "json"]).json();
    assert_eq!(status["backends"][0]["unpurged"], Value::Null, "{status:#}");
    execute(
        &deployment,
        r#"UPDATE runs SET report = replace(report, '"unpurged":0', '"unpurged":2,"unpurged_because":"no time"')"#,
    )
    .await;
    let status = deployment.run(&["status", "--output", "json"]).json();
    assert_eq!(status["backends"][0]["unpurged"], 2, "{status:#}");
    let shown = deployment.run(&["status"]).stderr;
    assert!(
        shown.contains("2 secrets on ") && shown.contains("no time"),
        "{shown}"
    );
}

/// A run whose report does not parse is told in its place: status and undo go on, and so do runs.
#[tokio::test]
async fn an_unreadable_report_is_told_in_its_place() {
    let (deployment, run) = with_a_deletion();
    its_requests_are_over(&deployment).await;
    let damage = format!("UPDATE runs SET report = '{{hunter2' WHERE run_id = '{run}'");
    execute(&deployment, &damage).await;
    let status = deployment.run(&["status", "--output", "json"]).json();
    let told = &status["runs"][0];
    assert_eq!(
        (&told["id"], &told["state"]),
        (&run.as_str().into(), &"unreadable".into())
    );
    let status = deployment.run(&["status"]);
    assert_eq!(status.code, Some(0), "{status:?}");
    let warned = format!("{}{}", status.stdout, status.stderr);
    for word in ["column report of table runs", &*run, "expire-orphans"] {
        assert!(warned.contains(word), "{word}: {warned}");
    }
    assert!(!warned.contains("hunter2"));
    deployment.run(&["run", "expire-orphans"]).done();
    deployment.run(&["undo", &run]).done();
}
