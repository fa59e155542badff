//! What a look behind a way back tells: what leads into the place that was left, and what is the user's to see to.

use cloakroom_store_openmetadata::{MigrationReport, Reference};

use crate::stage::{PASSWORD, Stage, Unobserved, id, on_aws, on_google, put};
use crate::support::Bench;

/// A way back and the look behind it.
async fn back(stage: &Stage, (from, to): (&str, &str), run: &MigrationReport) -> MigrationReport {
    let migration = stage.migration(from, to);
    let mut dry = MigrationReport::default();
    let looked = migration.look_behind(&mut dry, true, &Unobserved).await;
    looked.unwrap();
    let mut report = stage.reverse(from, to, run).await;
    assert!(report.is_complete(), "{report:?}");
    let looked = migration.look_behind(&mut report, false, &Unobserved).await;
    looked.unwrap();
    assert_eq!(dry.own_references, report.own_references, "a dry run tells");
    assert_eq!((dry.left, dry.values), (0, 0));
    report
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

/// Where both have one id for it the reference says nothing: the manager does.
pub(crate) async fn what_only_the_place_that_was_left_has_is_told(bench: Bench) {
    let stage = Stage::new(&bench).await;
    for (number, name) in [(1, "one"), (2, "two")] {
        let reference = Reference::to(on_aws(name)).to_string();
        stage.with_password(number, name, &reference).await;
        put(&stage.aws, &on_aws(name), "value").await;
    }
    let run = stage.copy("aws", "ssm").await;
    let reference = Reference::to(on_aws("three")).to_string();
    stage.with_password(3, "three", &reference).await;
    put(&stage.google, &on_aws("three"), "value").await;
    stage
        .aws
        .tag_past(&on_aws("two"), &stage.tags_of_backends)
        .unwrap();
    let back = back(&stage, ("aws", "ssm"), &run).await;
    assert_eq!((back.left, back.issue_count), (0, 1), "{back:?}");
    let issue = &back.issues[0];
    assert!(is_at(&issue.row, 3), "{issue:?}");
    assert_eq!(issue.kind, "missing");
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
