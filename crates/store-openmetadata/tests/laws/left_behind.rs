//! What a look beside a way back tells: what leads into the place that was left, what the place gone back to does not
//! have, and what is the user's to see to.

use std::time::Duration;

use cloakroom_core::{DeleteMode, SecretBackend as _};
use cloakroom_store_openmetadata::{MigrationReport, Reference};
use serde_json::json;

use crate::stage::{PASSWORD, Stage, Unobserved, id, on_aws, on_google, put};
use crate::support::Bench;

/// A way back and the look beside it, which tells the same behind a dry run.
async fn back(stage: &Stage, (from, to): (&str, &str), run: &MigrationReport) -> MigrationReport {
    let migration = stage.migration(from, to);
    let mut reports = Vec::new();
    for dry_run in [true, false] {
        let report = migration.reverse(run.id.unwrap(), dry_run, &Unobserved);
        let mut report = report.await.unwrap();
        assert!(report.is_complete(), "{report:?}");
        let looked = migration
            .look_beside(&mut report, dry_run, &Unobserved)
            .await;
        looked.unwrap();
        reports.push(report);
    }
    assert_eq!(reports[0], reports[1]);
    reports.remove(1)
}

fn is_at(row: &str, number: u32) -> bool {
    row.contains(&id(number).to_string())
}

/// What was saved while the other place was in use leads nowhere once it is not.
pub(crate) async fn what_leads_into_the_place_that_was_left_is_told(bench: Bench) {
    bench.with_a_table().await;
    for (from, to) in [("db", "aws"), ("google", "aws"), ("aws", "google")] {
        bench.sql("DELETE FROM dbservice_entity").await;
        let stage = Stage::on(&bench);
        let one = match from {
            "db" => "value".to_owned(),
            "aws" => Reference::to(on_aws("one")).to_string(),
            _ => Reference::to(on_google("one")).to_string(),
        };
        put(&stage.aws, &on_aws("one"), "value").await;
        put(&stage.google, &on_google("one"), "value").await;
        stage.with_password(1, "one", &one).await;
        let run = stage.copy(from, to).await;
        assert_eq!(run.moved, 1, "{run:?}");
        let saved = match to {
            "aws" => on_aws("two"),
            _ => on_google("two"),
        };
        stage
            .with_password(2, "two", &Reference::to(&*saved).to_string())
            .await;
        let back = back(&stage, (from, to), &run).await;
        assert_eq!((back.left, back.own), (1, 0), "{from} {to}: {back:?}");
        assert!(!back.is_complete());
        let left = &back.left_references[0];
        assert!(is_at(&left.row, 2) && left.pointer == PASSWORD, "{left:?}");
        assert_eq!(left.id.as_deref(), Some(&*saved));
    }
}

/// Where both have one id for it the reference says nothing: the managers do.
pub(crate) async fn what_only_the_managers_tell_is_asked_of_them(bench: Bench) {
    let stage = Stage::new(&bench).await;
    let add = async |number: u32, name: &str, values: [Option<&str>; 2]| {
        let reference = Reference::to(on_aws(name)).to_string();
        stage.with_password(number, name, &reference).await;
        for (backend, value) in [&stage.aws, &stage.google].into_iter().zip(values) {
            if let Some(value) = value {
                put(backend, &on_aws(name), value).await;
            }
        }
    };
    add(1, "one", [Some("value"), None]).await;
    let run = stage.copy("aws", "ssm").await;
    assert_eq!(run.moved, 1, "{run:?}");
    add(2, "two", [Some("value"), Some("value")]).await;
    add(3, "three", [Some("value"), None]).await;
    add(4, "four", [None, Some("value")]).await;
    add(5, "five", [Some("stale"), Some("saved since")]).await;
    // What is of no use in the place that is left, or another deployment's there, is in nobody's way.
    add(6, "six", [Some("value"), Some("another")]).await;
    add(7, "seven", [Some("value"), Some("another")]).await;
    let google = stage.google.named().unwrap();
    let window = DeleteMode::Recoverable(Duration::from_hours(7 * 24));
    google
        .delete_named(&on_aws("six"), window, None)
        .await
        .unwrap();
    stage
        .google
        .tag_past(&on_aws("seven"), &[("owner", "payroll")])
        .unwrap();
    let back = back(&stage, ("aws", "ssm"), &run).await;
    assert_eq!((back.left, back.issue_count), (0, 2), "{back:?}");
    for (issue, (number, kind)) in back.issues.iter().zip([(4, "missing"), (5, "conflict")]) {
        assert!(is_at(&issue.row, number) && issue.kind == kind, "{issue:?}");
    }
}

/// What another migration took to the place that is left is there, though both would give it this id.
pub(crate) async fn what_another_migration_took_there_is_told(bench: Bench) {
    let mut stage = Stage::new(&bench).await.in_any_order();
    stage.ssm_is_another();
    let reference = Reference::to(on_aws("one")).to_string();
    stage.with_password(1, "one", &reference).await;
    put(&stage.aws, &on_aws("one"), "value").await;
    put(&stage.aws, &on_aws("two"), "stale").await;
    let run = stage.copy("aws", "google").await;
    stage.with_password(2, "two", "fresh").await;
    let other = stage.copy("db", "ssm").await;
    assert_eq!((run.moved, other.moved), (1, 1));
    let back = back(&stage, ("aws", "google"), &run).await;
    assert_eq!((back.left, back.issue_count), (0, 1), "{back:?}");
    assert!(is_at(&back.issues[0].row, 2), "{back:?}");
    let first = format!("--reverse {}", other.id.unwrap());
    assert!(back.issues[0].message.contains(&first), "{back:?}");
}

/// What the old side does not have leads nowhere, though this migration did not take it there.
pub(crate) async fn what_the_old_side_does_not_have_is_told(bench: Bench) {
    let stage = Stage::new(&bench).await;
    for (number, name) in [(1, "one"), (2, "two")] {
        let reference = Reference::to(on_aws(name)).to_string();
        stage.with_password(number, name, &reference).await;
    }
    put(&stage.aws, &on_aws("one"), "value").await;
    let run = stage.copy("aws", "google").await;
    assert_eq!((run.moved, run.issue_count), (1, 1), "{run:?}");
    let back = back(&stage, ("aws", "google"), &run).await;
    assert_eq!(back.issue_count, 1, "{back:?}");
    assert!(is_at(&back.issues[0].row, 2), "{back:?}");
    assert_eq!(back.issues[0].kind, "missing");
}

/// It may refer to anything; a description that begins so is none.
pub(crate) async fn what_no_key_opens_is_told_with_what_to_do(bench: Bench) {
    let stage = Stage::new(&bench).await;
    stage.with_password(1, "one", "value").await;
    let run = stage.copy("db", "aws").await;
    let config =
        json!({"authType": {"password": "fernet:gAAAAABdamaged"}, "note": "fernet: see the wiki"});
    stage.service(2, "two", config).await;
    bench
        .sql(&format!(
            "UPDATE dbservice_entity SET json = '{{\"id\": \"{}\", \"name\": \"three\", \
             \"description\": \"fernet: see the wiki\"}}' WHERE id = '{}'",
            id(3),
            id(3)
        ))
        .await;
    let back = back(&stage, ("db", "aws"), &run).await;
    let damaged = back.issues.iter().filter(|it| it.pointer == PASSWORD);
    let told: Vec<_> = damaged
        .map(|it| (it.kind, it.message.contains("key")))
        .collect();
    assert_eq!(told, [("corrupt", true)], "{back:?}");
    assert_eq!(back.left, 0, "{back:?}");
}

/// References of the user's own mean something else with each provider.
pub(crate) async fn references_of_the_users_own_are_told_on_every_way(bench: Bench) {
    bench.with_a_table().await;
    let places = ["db", "aws", "ssm", "google"];
    for from in places {
        for to in places {
            // On this stage two of them are one backend.
            if from == to || [from, to].iter().all(|it| ["ssm", "google"].contains(it)) {
                continue;
            }
            bench.sql("DELETE FROM dbservice_entity").await;
            let stage = Stage::on(&bench);
            stage.with_password(1, "one", "secret:own").await;
            let run = stage.copy(from, to).await;
            assert_eq!((run.moved, run.own), (0, 1), "{from} {to}: {run:?}");
            let back = back(&stage, (from, to), &run).await;
            assert_eq!((back.left, back.own), (0, 1), "{from} {to}: {back:?}");
            let own = &back.own_references[0];
            assert!(is_at(&own.row, 1) && own.pointer == PASSWORD, "{own:?}");
            assert_eq!(own.id, None, "it may be a password");
        }
    }
}

/// With a manager a value in the database is read all the same, and is where nobody wants it.
pub(crate) async fn values_in_the_database_are_counted_on_the_way_to_a_manager(bench: Bench) {
    let stage = Stage::new(&bench).await;
    let reference = Reference::to(on_aws("one")).to_string();
    stage.with_password(1, "one", &reference).await;
    put(&stage.aws, &on_aws("one"), "value").await;
    let run = stage.copy("aws", "db").await;
    assert_eq!(run.moved, 1, "{run:?}");
    stage.with_password(2, "two", "entered since").await;
    stage.with_password(3, "three", "*********").await;
    let back = back(&stage, ("aws", "db"), &run).await;
    assert_eq!((back.moved, back.values), (1, 1), "{back:?}");
    assert!(back.is_complete(), "{back:?}");
}
