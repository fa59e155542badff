//! Secrets go to a manager, to another one, and back: every value is what it was, whoever edits a field
//! meanwhile keeps what he wrote, and a name that is taken destroys nothing.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use cloakroom_core::coordinates::openmetadata::Naming;
use cloakroom_core::{DeleteMode, SecretBackend as _};
use cloakroom_store_openmetadata::{
    Manager, MigrationObserver, MigrationReport, OpenMetadataSource, Provider,
};
use cloakroom_testkit::openmetadata::Deployment;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use crate::stage::{PASSWORD, Stage, edit, id, on_aws, on_google, put, there};
use crate::support::{Bench, keys, scan, seal};

/// Between which ids a report says that a service's password went.
fn told_of(report: &MigrationReport, number: u32) -> Option<(Option<String>, Option<String>)> {
    let row = id(number).to_string();
    let item = report.items.iter().find(|it| it.row == row)?;
    assert_eq!(item.pointer, PASSWORD);
    Some((item.from.clone(), item.to.clone()))
}

pub(crate) async fn from_the_database_to_managers_and_back(bench: Bench) {
    let stage = Stage::new(&bench).await;
    for number in 1..=30 {
        stage
            .with_password(number, &format!("s{number}"), &format!("value {number}"))
            .await;
    }
    let before = stage.entity(4).await;
    let looked = stage.look("db", "aws").await;
    assert_eq!(
        (looked.moved, looked.id, looked.issues.len()),
        (30, None, 0)
    );
    assert_eq!(stage.entity(4).await, before);
    assert_eq!(there(&stage.aws, &on_aws("s1")).await, None);

    let forth = stage.copy("db", "aws").await;
    assert!(forth.is_complete(), "{forth:?}");
    assert_eq!((forth.moved, forth.verified), (30, 30));
    for number in 1..=30 {
        let name = on_aws(&format!("s{number}"));
        let value = format!("value {number}");
        assert_eq!(there(&stage.aws, &name).await, Some(value));
        assert_eq!(
            stage.field(number, PASSWORD).await,
            Some(format!("secret:{name}"))
        );
    }
    assert_eq!(
        stage.copy("db", "aws").await.moved,
        0,
        "nothing is left to be done"
    );

    let on = stage.copy("aws", "google").await;
    assert!(on.is_complete() && on.moved == 30, "{on:?}");
    let reference = Some(format!("secret:{}", on_google("s4")));
    assert_eq!(stage.field(4, PASSWORD).await, reference);
    let item = (on.items.len(), told_of(&on, 4));
    let ids = (Some(on_aws("s4")), Some(on_google("s4")));
    assert_eq!(item, (30, Some(ids)), "{on:?}");
    assert_eq!(
        there(&stage.aws, &on_aws("s4")).await.as_deref(),
        Some("value 4")
    );
    let back = stage.reverse("aws", "google", &on).await;
    assert!(back.is_complete() && back.moved == 30, "{back:?}");
    let ids = (Some(on_google("s4")), Some(on_aws("s4")));
    assert_eq!(told_of(&back, 4), Some(ids), "{back:?}");
    assert_eq!(
        stage.field(4, PASSWORD).await,
        Some(format!("secret:{}", on_aws("s4")))
    );
    assert_eq!(
        stage.reverse("aws", "google", &on).await.moved,
        0,
        "it is over"
    );

    // An edit on the new side goes under the id that the field has: the way back must not lose it.
    let on = stage.copy("aws", "google").await;
    assert!(on.is_complete() && on.moved == 30, "{on:?}");
    let edited = on_google("s4");
    let delete = DeleteMode::Final;
    let google = stage.google.named().unwrap();
    google.delete_named(&edited, delete, None).await.unwrap();
    put(&stage.google, &edited, "edited there").await;
    let back = stage.reverse("aws", "google", &on).await;
    assert_eq!((back.moved, back.issue_count), (29, 1), "{back:?}");
    assert!(back.issues[0].message.contains("edited since"), "{back:?}");
    let reference = Some(format!("secret:{edited}"));
    assert_eq!(stage.field(4, PASSWORD).await, reference);
    google.delete_named(&edited, delete, None).await.unwrap();
    let back = stage.reverse("aws", "google", &on).await;
    assert!(back.is_complete(), "{back:?}");

    let home = stage.copy("aws", "db").await;
    assert!(home.is_complete() && home.moved == 30, "{home:?}");
    assert_eq!(stage.field(4, PASSWORD).await.as_deref(), Some("value 4"));
    let mut after = stage.entity(4).await;
    *after.pointer_mut(PASSWORD).unwrap() = before.pointer(PASSWORD).unwrap().clone();
    assert_eq!(after, before, "nothing else of the row has changed");
    let away = stage.reverse("aws", "db", &home).await;
    assert!(away.is_complete() && away.moved == 30, "{away:?}");
    assert_eq!(
        stage.field(4, PASSWORD).await,
        Some(format!("secret:{}", on_aws("s4")))
    );
}

pub(crate) async fn out_of_the_database_and_back_into_it(bench: Bench) {
    let stage = Stage::new(&bench).await;
    for number in 1..=4 {
        stage
            .with_password(number, &format!("s{number}"), &format!("value {number}"))
            .await;
    }
    let forth = stage.copy("db", "aws").await;
    // One is edited since, and of one the copy is gone: what it was is not known any more.
    stage.edit(2, "edited").await;
    let gone = on_aws("s3");
    let delete = DeleteMode::Final;
    stage
        .aws
        .named()
        .unwrap()
        .delete_named(&gone, delete, None)
        .await
        .unwrap();
    let back = stage.reverse("db", "aws", &forth).await;
    assert_eq!((back.moved, back.edited), (2, 1), "{back:?}");
    let kinds: Vec<_> = back.issues.iter().map(|it| it.kind).collect();
    assert_eq!(kinds, ["missing"], "{back:?}");
    assert_eq!(stage.field(1, PASSWORD).await.as_deref(), Some("value 1"));
    assert_eq!(stage.field(2, PASSWORD).await.as_deref(), Some("edited"));
    assert_eq!(
        stage.field(3, PASSWORD).await,
        Some(format!("secret:{gone}"))
    );
    put(&stage.aws, &gone, "another value").await;
    let again = stage.reverse("db", "aws", &forth).await;
    assert_eq!((again.moved, again.issue_count), (2, 1), "{again:?}");
    assert!(
        again.issues[0].message.contains("where it was migrated to"),
        "{again:?}"
    );
}

pub(crate) async fn a_name_that_is_taken_destroys_nothing(bench: Bench) {
    let stage = Stage::new(&bench).await;
    stage.with_password(1, "Sales EU", "value 1").await;
    stage.with_password(2, "sales_eu", "value 2").await;
    stage.with_password(3, "other", "value 3").await;
    stage.with_password(4, "same", "value 4").await;
    put(&stage.aws, &on_aws("other"), "somebody's").await;
    put(&stage.aws, &on_aws("same"), "value 4").await;
    let looked = stage.look("db", "aws").await;
    let done = stage.copy("db", "aws").await;
    for report in [&looked, &done] {
        assert_eq!((report.moved, report.issue_count), (2, 2), "{report:?}");
        assert!(
            report.issues.iter().all(|it| it.kind == "conflict"),
            "{report:?}"
        );
    }
    assert_eq!(
        there(&stage.aws, &on_aws("other")).await.as_deref(),
        Some("somebody's")
    );
    assert_eq!(stage.field(3, PASSWORD).await.as_deref(), Some("value 3"));
    let shared = there(&stage.aws, &on_aws("sales_eu")).await.unwrap();
    let first = stage.field(1, PASSWORD).await.unwrap();
    let second = stage.field(2, PASSWORD).await.unwrap();
    let reference = format!("secret:{}", on_aws("sales_eu"));
    let expected = match shared.as_str() {
        "value 1" => [reference.as_str(), "value 2"],
        _ => ["value 1", reference.as_str()],
    };
    assert_eq!([first.as_str(), second.as_str()], expected);
}

/// Edits a row when the first ones are about to be seen to.
struct Meddling<'s> {
    stage: &'s Stage,
    edit: String,
    done: AtomicBool,
}

impl MigrationObserver for Meddling<'_> {
    fn about_to_write(&self, _: &str) {
        if !self.done.swap(true, Ordering::Relaxed) {
            let editing = self.stage.bench.sql(&self.edit);
            block_in_place(|| Handle::current().block_on(editing));
        }
    }
}

pub(crate) async fn an_edit_meanwhile_is_kept(bench: Bench) {
    let stage = Stage::new(&bench).await;
    for number in 1..=3 {
        stage
            .with_password(number, &format!("s{number}"), &format!("value {number}"))
            .await;
    }
    let meddling = Meddling {
        stage: &stage,
        edit: format!(
            "{}; DELETE FROM dbservice_entity WHERE id = '{}'",
            edit(2, "edited"),
            id(3)
        ),
        done: AtomicBool::new(false),
    };
    let done = stage.copy_beside("db", "aws", &meddling).await;
    assert!(done.is_complete() && done.moved == 2, "{done:?}");
    let name = on_aws("edited");
    assert_eq!(
        stage.field(2, PASSWORD).await,
        Some(format!("secret:{name}"))
    );
    assert_eq!(there(&stage.aws, &name).await.as_deref(), Some("edited"));
    // The same on the way back: what was edited stays.
    let back = stage.reverse("db", "aws", &done).await;
    assert!(back.moved == 2 && back.gone <= 1, "{back:?}");
}

pub(crate) async fn what_cannot_be_taken_along_is_told(bench: Bench) {
    let stage = Stage::new(&bench).await;
    let sealed = |text: &str| seal(&keys(), text);
    let config = json!({
        "authType": {"password": sealed("secret:/openmetadata/database/one/authtype/password")},
        "token": sealed("secret:/openmetadata/database/one/token"),
        "none": sealed("secret:/openmetadata/database/one/none"),
        "own": sealed("secret:/teams/own"),
        "clear": "in clear",
        "hosts": [{"password": sealed("secret:/openmetadata/database/one/hosts")}],
        "mask": sealed("*********"),
        "odd": sealed("secret:/openmetadata/database/one/odd"),
    });
    stage.service(1, "one", config).await;
    put(&stage.aws, &on_aws("one"), "value").await;
    put(&stage.aws, "/openmetadata/database/one/none", "null").await;
    put(
        &stage.aws,
        "/openmetadata/database/one/odd",
        "secret:/elsewhere",
    )
    .await;
    let done = stage.copy("aws", "google").await;
    assert_eq!((done.moved, done.nothing, done.own), (1, 1, 1), "{done:?}");
    let told: Vec<_> = done
        .issues
        .iter()
        .map(|it| (it.pointer.rsplit('/').next().unwrap_or_default(), it.kind))
        .collect();
    let expected = [
        ("password", "unsupported"),
        ("token", "missing"),
        ("odd", "invalid"),
    ];
    assert_eq!(told.len(), expected.len(), "{told:?}");
    assert!(expected.iter().all(|it| told.contains(it)), "{told:?}");
    assert!(done.issues.iter().all(|it| it.row == id(1).to_string()));
    let entity = stage.entity(1).await;
    assert_eq!(
        entity["connection"]["config"]["none"],
        Value::Null,
        "nothing is a null field"
    );
    assert_eq!(entity["connection"]["config"]["clear"], "in clear");
    let token = stage.field(1, "/connection/config/token").await;
    assert_eq!(
        token.as_deref(),
        Some("secret:/openmetadata/database/one/token")
    );
    let back = stage.reverse("aws", "google", &done).await;
    assert!(back.is_complete() && back.moved == 2, "{back:?}");
    let none = stage.field(1, "/connection/config/none").await;
    assert_eq!(
        none.as_deref(),
        Some("secret:/openmetadata/database/one/none")
    );

    let masked = stage.look("db", "google").await;
    let (masks, others): (Vec<_>, Vec<_>) = masked
        .issues
        .iter()
        .partition(|it| it.pointer.ends_with("/mask"));
    let kinds: Vec<_> = masks.iter().map(|it| it.kind).collect();
    assert_eq!((masked.moved, kinds), (0, vec!["invalid"]), "{masked:?}");
    let elsewhere = ["missing", "conflict"];
    assert!(
        others.iter().all(|it| elsewhere.contains(&it.kind)),
        "{masked:?}"
    );
    let home = stage.look("aws", "db").await;
    assert_eq!((home.moved, home.nothing, home.own), (1, 1, 1), "{home:?}");
}

/// What is not the platform's keeps nothing from being done, and is told by its place.
pub(crate) async fn references_of_the_users_own_are_in_nobodys_way(bench: Bench) {
    let stage = Stage::new(&bench).await;
    let own = "secret:/teams/own";
    let config = json!({
        "authType": {"password": seal(&keys(), &format!("secret:{}", on_aws("one")))},
        "own": seal(&keys(), own),
        "inClear": own,
    });
    stage.service(1, "one", config).await;
    let described = json!({"name": "two", "id": id(2), "description": "secret: none of ours"});
    let insert =
        format!("INSERT INTO dbservice_entity (json, nameHash) VALUES ('{described}', '2')");
    bench.sql(&insert).await;
    put(&stage.aws, &on_aws("one"), "value").await;
    let before = stage.entity(1).await;
    for to in ["google", "db"] {
        let looked = stage.look("aws", to).await;
        let done = stage.copy("aws", to).await;
        for report in [&looked, &done] {
            assert!(report.is_complete() && report.moved == 1, "{report:?}");
            assert_eq!(report.own, 2, "prose in a description is none: {report:?}");
            let told = report.own_references.iter();
            let mut told: Vec<_> = told.map(|it| (&*it.pointer, &it.id, &*it.row)).collect();
            told.sort_unstable();
            let row = id(1).to_string();
            let expected = ["/connection/config/inClear", "/connection/config/own"];
            assert_eq!(told, expected.map(|it| (it, &None, &*row)));
        }
        let now = stage.entity(1).await;
        for field in ["own", "inClear"] {
            let field = format!("/connection/config/{field}");
            assert_eq!(now.pointer(&field), before.pointer(&field), "{field}");
        }
        let back = stage.reverse("aws", to, &done).await;
        assert!(back.is_complete() && back.moved == 1, "{back:?}");
    }
}

fn of_every_kind() -> Deployment {
    Deployment::new(
        20,
        Naming {
            prefix: String::new(),
            cluster: "openmetadata".to_owned(),
            manager: Manager::Aws,
        },
    )
}

pub(crate) async fn every_kind_of_entity(bench: Bench) {
    let deployment = of_every_kind();
    bench.fill(&deployment).await;
    let stage = Stage::on(&bench);
    let managed: BTreeSet<_> = deployment
        .planted()
        .filter(|it| !it.own)
        .map(|it| it.id)
        .collect();
    for name in &managed {
        put(&stage.aws, name, &format!("value of {name}")).await;
    }
    let done = stage.copy("aws", "google").await;
    assert!(done.is_complete(), "{done:?}");
    let fields = deployment.planted().filter(|it| !it.own).count() as u64;
    assert_eq!(done.moved, fields);
    let mut options = bench.options();
    options.provider = Provider::Managed(Manager::Google);
    let source = OpenMetadataSource::new(options).unwrap();
    let (found, _) = scan(&source).await;
    let moved = found
        .mentions
        .iter()
        .filter(|it| it.name.starts_with("openmetadata_"));
    let names: BTreeSet<_> = moved.map(|it| it.name.clone()).collect();
    assert_eq!(names.len(), managed.len());
    for name in names {
        assert!(there(&stage.google, &name).await.is_some(), "{name}");
    }
    let back = stage.reverse("aws", "google", &done).await;
    assert!(back.is_complete() && back.moved == fields, "{back:?}");
}

/// Whatever kind of entity a secret is of: its value comes into the database, goes on to another manager under
/// the id that it has there, and all of it is taken back.
pub(crate) async fn every_kind_by_way_of_the_database(bench: Bench) {
    let deployment = of_every_kind();
    bench.fill(&deployment).await;
    let stage = Stage::on(&bench);
    let managed: Vec<_> = deployment.planted().filter(|it| !it.own).collect();
    let tables: BTreeSet<_> = managed.iter().map(|it| it.table.name()).collect();
    assert_eq!(tables.len(), 11, "every table of entities: {tables:?}");
    for name in managed.iter().map(|it| &it.id).collect::<BTreeSet<_>>() {
        put(&stage.aws, name, &format!("value of {name}")).await;
    }
    let home = stage.copy("aws", "db").await;
    assert!(home.is_complete(), "{home:?}");
    assert_eq!(home.moved, managed.len() as u64);

    let away = stage.copy("db", "google").await;
    // Masks that were saved stay, and so does what shares its id with another field.
    for field in &managed {
        let table = |it: &str| it.rsplit('.').next() == Some(field.table.name());
        let row = field.row.to_string();
        let item = away.items.iter();
        let mut item = item.filter(|it| table(&it.table) && it.row == row);
        let item = item.find(|it| it.pointer == field.pointer);
        let to = item.and_then(|it| it.to.clone());
        let to = to.unwrap_or_else(|| panic!("{field:?} of {away:?}"));
        let expected = Some(format!("value of {}", field.id));
        assert_eq!(there(&stage.google, &to).await, expected, "{field:?}");
    }
    let back = stage.reverse("db", "google", &away).await;
    assert!(back.is_complete() && back.moved == away.moved, "{back:?}");
    let again = stage.reverse("aws", "db", &home).await;
    assert!(
        again.is_complete() && again.moved == home.moved,
        "{again:?}"
    );
}
