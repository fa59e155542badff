//! What is in the manager that secrets are taken to: others' secrets, which are neither taken over nor removed,
//! and what fields refer to already, which is asked for.

use std::time::Duration;

use cloakroom_core::{DeleteMode, ErrorKind, MoveId, SecretBackend as _};
use cloakroom_store_openmetadata::MigrationReport;
use uuid::Uuid;

use crate::stage::{Between, PASSWORD, Stage, Unobserved, delete, edit_of, id, on_aws, put, there};
use crate::support::Bench;

const OURS: &[(&str, &str)] = &[("team", "data"), ("cost", "1")];
const THEIRS: &[(&str, &str)] = &[("team", "ops")];

fn kinds(report: &MigrationReport) -> Vec<&str> {
    report.issues.iter().map(|it| it.kind).collect()
}

/// A run and a look beforehand refuse, and what is there stays.
async fn is_refused(stage: &Stage, field: &str, there_is: &str) {
    let looked = stage.look("db", "aws").await;
    let done = stage.copy("db", "aws").await;
    for report in [&looked, &done] {
        let told = (report.moved, kinds(report));
        assert_eq!(told, (0, vec!["conflict"]), "{report:?}");
        let message = &report.issues[0].message;
        assert!(message.contains("tags"), "{message}");
    }
    assert_eq!(stage.field(1, PASSWORD).await.as_deref(), Some(field));
    let kept = there(&stage.aws, &on_aws("one")).await;
    assert_eq!(kept.as_deref(), Some(there_is));
}

/// Of two deployments with one prefix and one cluster name neither takes the other's secret, however equal
/// the value and whatever was under its name before.
pub(crate) async fn a_foreign_tag_keeps_a_secret_safe(bench: Bench) {
    let mut stage = Stage::new(&bench).await;
    stage.tags = "[team:data]";
    stage.with_password(1, "one", "value").await;
    let name = on_aws("one");
    // Theirs has the same value.
    put(&stage.aws, &name, "value").await;
    stage.aws.tag_past(&name, THEIRS).unwrap();
    is_refused(&stage, "value", "value").await;
    delete(&stage.aws, &name).await;
    // Theirs came to be where the deployment's own copy was, and is equal to that.
    let forth = stage.copy("db", "aws").await;
    assert!(forth.is_complete() && forth.moved == 1, "{forth:?}");
    let back = stage.reverse("db", "aws", &forth).await;
    assert!(back.is_complete() && back.moved == 1, "{back:?}");
    stage.aws.tag_past(&name, THEIRS).unwrap();
    is_refused(&stage, "value", "value").await;
    bench.sql(&edit_of(1, "one", "edited")).await;
    is_refused(&stage, "edited", "value").await;
}

/// As little what bears a tag that neither OpenMetadata nor the backend writes: a clean-up lets it be, too.
pub(crate) async fn what_another_hand_tagged_is_neither_taken_nor_replaced(bench: Bench) {
    let stage = Stage::new(&bench).await;
    stage.with_password(1, "one", "value").await;
    let name = on_aws("one");
    put(&stage.aws, &name, "value").await;
    stage.aws.tag_past(&name, &[("owner", "payroll")]).unwrap();
    is_refused(&stage, "value", "value").await;
    stage.aws.tag_past(&name, &stage.tags_of_backends).unwrap();
    let forth = stage.copy("db", "aws").await;
    assert!(forth.is_complete() && forth.moved == 1, "{forth:?}");
    let back = stage.reverse("db", "aws", &forth).await;
    assert!(back.is_complete() && back.moved == 1, "{back:?}");
    // What the deployment copied there somebody looks after since.
    delete(&stage.aws, &name).await;
    let forth = stage.copy("db", "aws").await;
    let back = stage.reverse("db", "aws", &forth).await;
    assert!(back.is_complete() && back.moved == 1, "{back:?}");
    stage.aws.tag_past(&name, &[("owner", "payroll")]).unwrap();
    bench.sql(&edit_of(1, "one", "edited")).await;
    is_refused(&stage, "edited", "value").await;
}

/// What bears the deployment's tags, and others besides, is as good as any.
pub(crate) async fn a_copy_bears_the_deployments_tags(bench: Bench) {
    let mut stage = Stage::new(&bench).await;
    stage.tags = "[team:data]";
    let name = on_aws("one");
    stage.with_password(1, "one", "value").await;
    put(&stage.aws, &name, "value").await;
    stage.aws.tag_past(&name, OURS).unwrap();
    let forth = stage.copy("db", "aws").await;
    assert!(forth.is_complete() && forth.moved == 1, "{forth:?}");
    let back = stage.reverse("db", "aws", &forth).await;
    assert!(back.is_complete() && back.moved == 1, "{back:?}");
    delete(&stage.aws, &name).await;
    // A copy of its own, of what was edited since.
    assert_eq!(stage.copy("db", "aws").await.moved, 1);
    let again = stage.copy("aws", "db").await;
    assert_eq!(again.moved, 1, "{again:?}");
    stage.aws.tag_past(&name, OURS).unwrap();
    bench.sql(&edit_of(1, "one", "edited")).await;
    let forth = stage.copy("db", "aws").await;
    assert!(forth.is_complete() && forth.moved == 1, "{forth:?}");
    let kept = there(&stage.aws, &name).await;
    assert_eq!(kept.as_deref(), Some("edited"));
}

/// Parameter Store lists no tags, so nothing else would ever tell that a copy lacks them. What the deployment did not
/// write is left as it is.
pub(crate) async fn a_copy_of_an_earlier_run_gets_the_tags_that_it_lacks(bench: Bench) {
    let mut stage = Stage::new(&bench).await;
    for (number, name) in (1..).zip(["one", "two"]) {
        stage.with_password(number, name, "value").await;
    }
    // Of the second the value is there already, from another hand.
    put(&stage.google, &on_aws("two"), "value").await;
    *stage.journal.between.lock().unwrap() = Some(Between::Death);
    let cut = stage.migration("db", "ssm");
    let cut = cut.copy(MoveId(Uuid::from_u128(99)), &Unobserved).await;
    assert_eq!(cut.unwrap_err().kind(), ErrorKind::Unavailable);
    let names = ["one", "two"].map(on_aws);
    for name in &names {
        stage.google.tag_past(name, &[("cost", "1")]).unwrap();
    }
    stage.tags_of_backends = [("team", "data")];
    let tags = async || {
        let named = stage.google.named().unwrap();
        let described = named.describe_named(&names).await;
        let tags = described.into_iter().map(|it| it.unwrap().tags.unwrap());
        tags.map(|it| serde_json::to_string(&it).unwrap())
            .collect::<Vec<_>>()
    };
    // What it bears already may be another hand's: then it is in the way, as before.
    assert_eq!(kinds(&stage.copy("db", "ssm").await), ["conflict"; 2]);
    for name in &names {
        stage.google.tag_past(name, &[]).unwrap();
    }
    stage.look("db", "ssm").await;
    assert_eq!(tags().await, ["{}"; 2]);
    let done = stage.copy("db", "ssm").await;
    assert!(done.is_complete() && done.moved == 2, "{done:?}");
    assert_eq!(tags().await, [r#"{"team":"data"}"#, "{}"]);
}

/// What fields refer to already has to be there, and of use, or the new place is not ready.
pub(crate) async fn references_met_on_the_way_are_asked_for(bench: Bench) {
    let mut stage = Stage::new(&bench).await;
    stage.tags = "[team:data]";
    let names = ["one", "two", "three", "four"];
    for (number, name) in (1..).zip(names) {
        let reference = format!("secret:{}", on_aws(name));
        stage.with_password(number, name, &reference).await;
    }
    stage.with_password(5, "five", "value").await;
    stage.with_password(6, "six", "secret:/teams/own").await;
    // The second is gone, the third waits for its deletion, the fourth is another deployment's.
    for name in ["one", "three", "four"] {
        put(&stage.aws, &on_aws(name), "value").await;
    }
    let named = stage.aws.named().unwrap();
    let window = DeleteMode::Recoverable(Duration::from_hours(24));
    let deleted = named.delete_named(&on_aws("three"), window, None).await;
    deleted.unwrap();
    stage.aws.tag_past(&on_aws("four"), THEIRS).unwrap();
    let looked = stage.look("db", "aws").await;
    let done = stage.copy("db", "aws").await;
    for report in [&looked, &done] {
        assert_eq!((report.moved, report.own), (1, 1), "{report:?}");
        assert!(!report.is_complete(), "{report:?}");
        let told = report.issues.iter();
        let told: Vec<_> = told
            .map(|it| (it.row.clone(), it.pointer.as_str(), it.id.clone(), it.kind))
            .collect();
        let expected = [
            (2, "two", "missing"),
            (3, "three", "scheduled_for_deletion"),
            (4, "four", "conflict"),
        ];
        let expected = expected.map(|(number, name, kind)| {
            (id(number).to_string(), PASSWORD, Some(on_aws(name)), kind)
        });
        assert_eq!(told, expected, "{report:?}");
    }
    for (number, name) in (1..).zip(names) {
        let reference = format!("secret:{}", on_aws(name));
        assert_eq!(stage.field(number, PASSWORD).await, Some(reference));
    }
}

/// Whatever was taken to one manager is not in another one for that, whether their ids are alike or not.
pub(crate) async fn what_is_in_another_manager_is_not_ready(bench: Bench) {
    let stage = Stage::new(&bench).await.in_any_order();
    stage.with_password(1, "one", "value").await;
    assert_eq!(stage.copy("db", "aws").await.moved, 1);
    for (to, kind) in [("ssm", "conflict"), ("google", "conflict")] {
        let looked = stage.look("db", to).await;
        let done = stage.copy("db", to).await;
        for report in [&looked, &done] {
            assert_eq!(kinds(report), [kind], "{to}: {report:?}");
            assert_eq!((report.moved, report.own), (0, 0), "{to}: {report:?}");
        }
    }
    assert!(stage.copy("aws", "google").await.is_complete());
    // And from one manager to another what is said to be in the latter.
    let named = stage.google.named().unwrap();
    let gone = crate::stage::on_google("one");
    let deleted = named.delete_named(&gone, DeleteMode::Final, None).await;
    deleted.unwrap();
    for report in [
        stage.look("aws", "google").await,
        stage.copy("aws", "google").await,
    ] {
        assert_eq!(kinds(&report), ["missing"], "{report:?}");
    }
}

/// What begins as a reference does may be a password, and what no deployment could have made is not repeated.
pub(crate) async fn what_is_no_id_is_not_repeated(bench: Bench) {
    let stage = Stage::new(&bench).await.in_any_order();
    stage
        .with_password(1, "one", "secret:hunter2-hunter2")
        .await;
    stage
        .with_password(2, "two", "secret:/hunter2/of-ours")
        .await;
    let elsewhere = crate::stage::on_google("three");
    let reference = format!("secret:{elsewhere}");
    stage.with_password(3, "three", &reference).await;
    // A third manager's, unless the user has made the like where OpenMetadata is.
    for (is_there, told) in [(false, (2, vec!["missing"])), (true, (3, vec![]))] {
        if is_there {
            put(&stage.aws, &elsewhere, "the user's own").await;
        }
        for (from, to) in [("aws", "db"), ("aws", "ssm")] {
            let looked = stage.look(from, to).await;
            let done = stage.copy(from, to).await;
            for report in [&looked, &done] {
                assert_eq!((report.own, kinds(report)), told, "{report:?}");
                let ids = report.own_references.iter().map(|it| it.id.as_deref());
                let own = [None, None, Some(&*elsewhere)];
                assert_eq!(ids.collect::<Vec<_>>(), own[..report.own_references.len()]);
                assert!(!format!("{report:?}").contains("hunter2"));
            }
        }
    }
    let looked = stage.look("db", "google").await;
    assert_eq!((looked.own, kinds(&looked)), (2, vec!["missing"]));
    assert!(!format!("{looked:?}").contains("hunter2"), "{looked:?}");
}

/// Out of the database the value that is gone back to is that of the new place.
pub(crate) async fn an_edit_in_the_new_place_is_called_so(bench: Bench) {
    let stage = Stage::new(&bench).await;
    stage.with_password(1, "one", "value").await;
    let done = stage.copy("db", "aws").await;
    let named = stage.aws.named().unwrap();
    let name = on_aws("one");
    let removed = named.delete_named(&name, DeleteMode::Final, None).await;
    removed.unwrap();
    put(&stage.aws, &name, "edited there").await;
    let back = stage.reverse("db", "aws", &done).await;
    assert_eq!(kinds(&back), ["conflict"], "{back:?}");
    let message = &back.issues[0].message;
    assert!(message.contains("where it was migrated to"), "{message}");
    assert!(!message.contains("old secret"), "{message}");
    let reference = Some(format!("secret:{name}"));
    assert_eq!(stage.field(1, PASSWORD).await, reference);
}
