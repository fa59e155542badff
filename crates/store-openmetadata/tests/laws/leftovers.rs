//! What a migration leaves behind, and what stands beside it: copies that nobody took over, ids that two
//! fields share, references elsewhere, and values that nothing can be done with.

use cloakroom_core::platform::{NamedSecrets as _, PlatformSource as _};
use cloakroom_core::{ErrorKind, MoveId};
use cloakroom_store_openmetadata::MigrationReport;
use serde_json::json;
use uuid::Uuid;

use crate::stage::{
    Between, PASSWORD, Stage, Unobserved, delete, edit_of, id, on_aws, on_google, put, there,
};
use crate::support::{Bench, Server, keys, seal};

fn kinds(report: &MigrationReport) -> Vec<&str> {
    report.issues.iter().map(|it| it.kind).collect()
}

/// A stage with one service, whose password is `before`, and a run that was cut between its copy and its
/// switch.
async fn cut_between(bench: &Bench, before: &str) -> Stage {
    let stage = Stage::new(bench).await;
    stage.with_password(1, "one", before).await;
    *stage.journal.between.lock().unwrap() = Some(Between::Death);
    let migration = stage.migration("db", "aws");
    let error = migration
        .copy(MoveId(Uuid::from_u128(99)), &Unobserved)
        .await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(
        there(&stage.aws, &on_aws("one")).await.as_deref(),
        Some(before)
    );
    assert_eq!(stage.field(1, PASSWORD).await.as_deref(), Some(before));
    stage
}

pub(crate) async fn a_copy_that_an_edit_left_behind_is_replaced(bench: Bench) {
    let stage = cut_between(&bench, "before").await;
    bench.sql(&edit_of(1, "one", "edited")).await;
    let looked = stage.look("db", "aws").await;
    let done = stage.copy("db", "aws").await;
    for report in [&looked, &done] {
        assert!(report.is_complete() && report.moved == 1, "{report:?}");
    }
    let name = on_aws("one");
    assert_eq!(there(&stage.aws, &name).await.as_deref(), Some("edited"));
    let reference = Some(format!("secret:{name}"));
    assert_eq!(stage.field(1, PASSWORD).await, reference);

    // The same within one run.
    stage.with_password(2, "two", "before").await;
    let edit = edit_of(2, "two", "edited");
    *stage.journal.between.lock().unwrap() = Some(Between::Statements(bench.clone(), edit));
    let done = stage.copy("db", "aws").await;
    assert!(done.is_complete() && done.moved == 1, "{done:?}");
    assert_eq!(
        there(&stage.aws, &on_aws("two")).await.as_deref(),
        Some("edited")
    );
}

/// Whose process died a moment ago may be deleting its copy still: what is put in its place would go too.
pub(crate) async fn a_copy_that_may_be_going_is_not_replaced(bench: Bench) {
    let stage = cut_between(&bench, "before").await;
    bench.sql(&edit_of(1, "one", "edited")).await;
    stage.with_password(2, "two", "value 2").await;
    let id = MoveId(Uuid::from_u128(98));
    let follower = stage.migration_that(false, "db", "aws");
    let done = follower.copy(id, &Unobserved).await.unwrap();
    assert_eq!((done.moved, kinds(&done)), (1, vec!["conflict"]));
    assert!(
        done.issues[0].message.contains("run the command again"),
        "{done:?}"
    );
    let name = on_aws("one");
    assert_eq!(there(&stage.aws, &name).await.as_deref(), Some("before"));
    assert_eq!(stage.field(1, PASSWORD).await.as_deref(), Some("edited"));
    let later = stage.copy("db", "aws").await;
    assert!(later.is_complete() && later.moved == 1, "{later:?}");
    assert_eq!(there(&stage.aws, &name).await.as_deref(), Some("edited"));
}

/// A run asked for the removal of a copy and ended there; the manager has not done it yet, and meanwhile
/// somebody enters the copied value again.
async fn about_to_go(stage: &Stage, bench: &Bench) {
    let name = on_aws("one");
    bench.sql(&edit_of(1, "one", "edited")).await;
    *stage.journal.ends_at.lock().unwrap() = Some(name.clone());
    let migration = stage.migration("db", "aws");
    let cut = migration.copy(MoveId(Uuid::from_u128(98)), &Unobserved);
    assert_eq!(cut.await.unwrap().moved, 0);
    assert_eq!(there(&stage.aws, &name).await, None, "it asked for that");
    put(&stage.aws, &name, "before").await;
    bench.sql(&edit_of(1, "one", "before")).await;
}

/// The manager does what it was asked for.
async fn goes(stage: &Stage) {
    delete(&stage.aws, &on_aws("one")).await;
}

pub(crate) async fn a_copy_that_may_be_going_is_not_taken_for_the_value(bench: Bench) {
    let stage = cut_between(&bench, "before").await;
    about_to_go(&stage, &bench).await;
    let follower = stage.migration_that(false, "db", "aws");
    let done = follower
        .copy(MoveId(Uuid::from_u128(97)), &Unobserved)
        .await;
    goes(&stage).await;
    assert_eq!(stage.field(1, PASSWORD).await.as_deref(), Some("before"));
    let done = done.unwrap();
    assert_eq!((done.moved, kinds(&done)), (0, vec!["conflict"]));
    let later = stage.copy("db", "aws").await;
    assert!(later.is_complete() && later.moved == 1, "{later:?}");
    let kept = there(&stage.aws, &on_aws("one")).await;
    assert_eq!(kept.as_deref(), Some("before"));
}

/// The same where the field is to refer again to what it was taken from.
pub(crate) async fn an_old_secret_that_may_be_going_is_not_gone_back_to(bench: Bench) {
    let stage = Stage::new(&bench).await;
    stage.with_password(1, "one", "before").await;
    assert_eq!(stage.copy("db", "aws").await.moved, 1);
    let home = stage.copy("aws", "db").await;
    assert_eq!(home.moved, 1, "{home:?}");
    about_to_go(&stage, &bench).await;
    let follower = stage.migration_that(false, "aws", "db");
    let back = follower.reverse(home.id.unwrap(), false, &Unobserved).await;
    goes(&stage).await;
    assert_eq!(stage.field(1, PASSWORD).await.as_deref(), Some("before"));
    let back = back.unwrap();
    assert_eq!((back.moved, kinds(&back)), (0, vec!["conflict"]));
}

/// A copy that the dead run wrote and did not come to refer to is as good as any.
pub(crate) async fn a_copy_that_is_not_going_is_taken_over_at_once(bench: Bench) {
    let stage = cut_between(&bench, "before").await;
    let follower = stage.migration_that(false, "db", "aws");
    let done = follower
        .copy(MoveId(Uuid::from_u128(98)), &Unobserved)
        .await;
    let done = done.unwrap();
    assert!(done.is_complete() && done.moved == 1, "{done:?}");
    let reference = format!("secret:{}", on_aws("one"));
    assert_eq!(stage.field(1, PASSWORD).await, Some(reference));
}

pub(crate) async fn a_copy_in_use_or_of_others_is_never_replaced(bench: Bench) {
    // Somebody refers to the copy by now.
    let stage = cut_between(&bench, "before").await;
    bench.sql(&edit_of(1, "one", "edited")).await;
    let elsewhere =
        json!({"note": format!("arn:aws:secretsmanager:x:1:secret:{}-AbCdEf", on_aws("one"))});
    bench
        .sql(&format!(
            "CREATE TABLE runbook (v text); INSERT INTO runbook VALUES ('{elsewhere}')"
        ))
        .await;
    is_refused(&stage, "before").await;
    // Somebody wrote another value under the name: it is not the copy any more.
    bench.sql("DROP TABLE runbook").await;
    delete(&stage.aws, &on_aws("one")).await;
    put(&stage.aws, &on_aws("one"), "somebody's").await;
    is_refused(&stage, "somebody's").await;
    assert_eq!(stage.field(1, PASSWORD).await.as_deref(), Some("edited"));
}

/// A Kubernetes Secret may have other keys than the one that is read.
pub(crate) async fn a_copy_that_holds_more_than_the_value_is_not_replaced(bench: Bench) {
    let stage = cut_between(&bench, "before").await;
    bench.sql(&edit_of(1, "one", "edited")).await;
    stage.aws.keep_beside_past(&on_aws("one"), 2).unwrap();
    let looked = stage.look("db", "aws").await;
    let done = stage.copy("db", "aws").await;
    for report in [&looked, &done] {
        let told = (report.moved, kinds(report));
        assert_eq!(told, (0, vec!["conflict"]), "{report:?}");
        let message = &report.issues[0].message;
        assert!(message.contains("2 more beside the value"), "{message}");
    }
    let read = there(&stage.aws, &on_aws("one")).await;
    assert_eq!(read.as_deref(), Some("before"));
    assert_eq!(stage.field(1, PASSWORD).await.as_deref(), Some("edited"));
    let beside = stage.aws.parts_beside_named(&on_aws("one")).await;
    assert_eq!(beside.unwrap(), 2);
}

/// Nothing is moved, and what has the name keeps its value.
async fn is_refused(stage: &Stage, there_is: &str) {
    let done = stage.copy("db", "aws").await;
    assert_eq!(
        (done.moved, kinds(&done)),
        (0, vec!["conflict"]),
        "{done:?}"
    );
    let read = there(&stage.aws, &on_aws("one")).await;
    assert_eq!(read.as_deref(), Some(there_is));
}

/// Two fields of one row whose ids are one: what the first was taken to is not the second's to replace.
pub(crate) async fn two_fields_of_one_id_keep_both_values(bench: Bench) {
    let stage = Stage::new(&bench).await;
    let sealed = |text: &str| seal(&keys(), text);
    let config = json!({
        "authType": {"password": sealed("value 1")}, "authtype": {"password": sealed("value 2")}
    });
    stage.service(1, "one", config).await;
    let looked = stage.look("db", "aws").await;
    let done = stage.copy("db", "aws").await;
    for report in [&looked, &done] {
        assert_eq!(
            (report.moved, kinds(report)),
            (1, vec!["conflict"]),
            "{report:?}"
        );
        assert_eq!((report.shared.len(), report.shared_count), (1, 1));
    }
    let name = on_aws("one");
    let lower = PASSWORD.replace("authType", "authtype");
    let fields = [stage.field(1, PASSWORD).await, stage.field(1, &lower).await];
    let copied = there(&stage.aws, &name).await;
    let reference = Some(format!("secret:{name}"));
    let (one, two) = (Some("value 1".to_owned()), Some("value 2".to_owned()));
    let kept = (fields == [reference.clone(), two.clone()] && copied == one)
        || (fields == [one, reference] && copied == two);
    assert!(kept, "{fields:?} {copied:?}");
}

pub(crate) async fn equal_values_of_one_id_are_told(bench: Bench) {
    let stage = Stage::new(&bench).await;
    stage.with_password(1, "Sales EU", "value").await;
    stage.with_password(2, "sales_eu", "value").await;
    let looked = stage.look("db", "aws").await;
    assert_eq!((looked.moved, looked.shared_count), (2, 1), "{looked:?}");
    let shared = &looked.shared[0];
    assert_eq!(shared.id, on_aws("sales_eu"));
    assert_eq!(
        [shared.first.row, shared.second.row],
        [Some(id(1)), Some(id(2))]
    );
    let done = stage.copy("db", "aws").await;
    assert!(done.is_complete(), "{done:?}");
    assert_eq!(done.shared, looked.shared);
    // One that comes later shares with those that are there.
    stage.with_password(3, "SALES_EU", "value").await;
    let later = stage.look("db", "aws").await;
    assert_eq!((later.moved, later.shared_count), (1, 2), "{later:?}");
}

pub(crate) async fn what_the_manager_does_not_take_is_told_before(bench: Bench) {
    let stage = Stage::new(&bench).await;
    stage.with_password(1, "one", "value").await;
    stage
        .with_password(2, "two", &"x".repeat(64 * 1024 + 1))
        .await;
    let looked = stage.look("db", "aws").await;
    let done = stage.copy("db", "aws").await;
    for report in [&looked, &done] {
        assert_eq!(
            (report.moved, kinds(report)),
            (1, vec!["too_large"]),
            "{report:?}"
        );
    }
    assert_eq!(looked.issues, done.issues);
}

pub(crate) async fn a_name_that_the_manager_does_not_take_is_told_before(bench: Bench) {
    let stage = Stage::new(&bench).await;
    stage.with_password(1, "one", "value").await;
    let long = "x".repeat(600);
    let sealed = seal(&keys(), "value");
    let config = json!({long.as_str(): {"password": sealed}});
    stage.service(2, "two", config).await;
    let looked = stage.look("db", "aws").await;
    let done = stage.copy("db", "aws").await;
    for report in [&looked, &done] {
        assert_eq!(
            (report.moved, kinds(report)),
            (1, vec!["too_large"]),
            "{report:?}"
        );
        let issue = &report.issues[0];
        let id = format!("/openmetadata/database/two/{long}/password");
        assert_eq!(issue.id, Some(id));
        assert!(issue.message.contains("the name has"), "{issue:?}");
    }
    assert_eq!(looked.issues, done.issues);
}

/// What was saved there in place of a secret is nobody's password, wherever it is taken.
pub(crate) async fn a_mask_in_a_manager_is_no_value(bench: Bench) {
    let stage = Stage::new(&bench).await;
    for (number, name, value) in [
        (1, "one", "value"),
        (2, "nine", "*********"),
        (3, "ten", "**********"),
    ] {
        let reference = format!("secret:{}", on_aws(name));
        stage.with_password(number, name, &reference).await;
        put(&stage.aws, &on_aws(name), value).await;
    }
    for to in ["db", "google", "ssm"] {
        let looked = stage.look("aws", to).await;
        let done = stage.copy("aws", to).await;
        for report in [&looked, &done] {
            assert_eq!(
                (report.moved, kinds(report)),
                (1, vec!["invalid"; 2]),
                "{report:?}"
            );
            let told = report.issues.iter();
            let told: Vec<_> = told.map(|it| it.id.clone()).collect();
            assert_eq!(told, [Some(on_aws("nine")), Some(on_aws("ten"))]);
            let message = &report.issues[0].message;
            assert!(message.contains("mask"), "{message}");
        }
        assert_eq!(there(&stage.google, &on_google("nine")).await, None);
        let reference = Some(format!("secret:{}", on_aws("nine")));
        assert_eq!(stage.field(2, PASSWORD).await, reference);
        let back = stage.reverse("aws", to, &done).await;
        assert!(back.is_complete() && back.moved == 1, "{back:?}");
    }
}

pub(crate) async fn references_elsewhere_are_told_and_keep_the_old_side(bench: Bench) {
    let stage = Stage::new(&bench).await;
    for (number, name) in [(1, "one"), (2, "two"), (3, "three")] {
        let reference = format!("secret:{}", on_aws(name));
        stage.with_password(number, name, &reference).await;
        put(&stage.aws, &on_aws(name), "value").await;
    }
    let sealed = seal(&keys(), &format!("secret:{}", on_aws("two")));
    bench
        .sql(&format!(
            "CREATE TABLE log (v text); INSERT INTO log VALUES ('{{\"old\": \"{sealed}\"}}'), ('{}')",
            on_aws("one")
        ))
        .await;
    let looked = stage.look("aws", "db").await;
    let done = stage.copy("aws", "db").await;
    for report in [&looked, &done] {
        assert!(report.is_complete() && report.moved == 3, "{report:?}");
        let told: Vec<_> = report
            .outside
            .iter()
            .map(|it| (&*it.column, it.secrets))
            .collect();
        assert_eq!(
            told,
            [(&*format!("{}.log.v", bench.schema()), 2)],
            "{report:?}"
        );
        assert_eq!(report.outside[0].example, on_aws("one"));
    }
    // Whoever cleans the old side keeps what they refer to.
    let names = ["one", "two", "three"].map(on_aws);
    let kept = bench.source().still_mentioned(&names).await.unwrap();
    assert_eq!(kept, [true, true, false]);
    let back = stage.reverse("aws", "db", &done).await;
    assert!(back.is_complete() && back.outside.is_empty(), "{back:?}");
}

/// Tables that are not known to hold secrets refer to secrets that no field has.
pub(crate) async fn references_to_what_no_field_has_are_told_too(bench: Bench) {
    let stage = Stage::new(&bench).await;
    stage
        .with_password(1, "one", &format!("secret:{}", on_aws("one")))
        .await;
    put(&stage.aws, &on_aws("one"), "value").await;
    let bot = "/openmetadata/bot/an-app/config/jwttoken";
    put(&stage.aws, bot, "token").await;
    let made = format!(
        "CREATE TABLE installed_apps (json text); INSERT INTO installed_apps VALUES ('{{\"v\": \"secret:{bot}\"}}')"
    );
    bench.sql(&made).await;
    for to in ["ssm", "google", "db"] {
        let looked = stage.look("aws", to).await;
        let done = stage.copy("aws", to).await;
        for report in [&looked, &done] {
            let told: Vec<_> = report
                .outside
                .iter()
                .map(|it| (&*it.column, &*it.example))
                .collect();
            let column = format!("{}.installed_apps.json", bench.schema());
            assert_eq!(told, [(&*column, bot)], "{report:?}");
        }
        let back = stage.reverse("aws", to, &done).await;
        assert!(back.is_complete(), "{back:?}");
    }
}

/// What is there already is a copy only where it stays.
pub(crate) async fn a_value_that_is_going_to_expire_is_no_copy(bench: Bench) {
    let stage = Stage::new(&bench).await;
    stage.with_password(1, "one", "value").await;
    put(&stage.aws, &on_aws("one"), "value").await;
    let tomorrow = cloakroom_core::Timestamp::from_second(4_102_444_800).unwrap();
    stage.aws.expire_past(&on_aws("one"), tomorrow).unwrap();
    let looked = stage.look("db", "aws").await;
    let done = stage.copy("db", "aws").await;
    for report in [&looked, &done] {
        assert_eq!(
            (report.moved, kinds(report)),
            (0, vec!["conflict"]),
            "{report:?}"
        );
    }
    assert_eq!(stage.field(1, PASSWORD).await.as_deref(), Some("value"));
}

/// In Azure Key Vault an expiry says that a value should not be used any more, and takes nothing away.
pub(crate) async fn an_expiry_that_only_advises_is_in_nobodys_way(bench: Bench) {
    let mut stage = Stage::new(&bench).await;
    stage.aws = stage.aws.clone().advising();
    stage.with_password(1, "one", "value").await;
    put(&stage.aws, &on_aws("one"), "value").await;
    for year in [1_000_000_000, 4_102_444_800] {
        let at = cloakroom_core::Timestamp::from_second(year).unwrap();
        stage.aws.expire_past(&on_aws("one"), at).unwrap();
        let looked = stage.look("db", "aws").await;
        assert!(looked.is_complete() && looked.moved == 1, "{looked:?}");
    }
    let done = stage.copy("db", "aws").await;
    assert!(done.is_complete() && done.moved == 1, "{done:?}");
    let reference = Some(format!("secret:{}", on_aws("one")));
    assert_eq!(stage.field(1, PASSWORD).await, reference);
}

/// Between managers that have one id for a secret, too.
pub(crate) async fn nothing_is_taken_back_as_the_reference_it_was(bench: Bench) {
    let stage = Stage::new(&bench).await;
    let reference = format!("secret:{}", on_aws("one"));
    stage.with_password(1, "one", &reference).await;
    put(&stage.aws, &on_aws("one"), "null").await;
    let done = stage.copy("aws", "ssm").await;
    assert_eq!((done.moved, done.nothing), (0, 1), "{done:?}");
    assert_eq!(stage.field(1, PASSWORD).await, None);
    let back = stage.reverse("aws", "ssm", &done).await;
    assert!(back.is_complete() && back.moved == 1, "{back:?}");
    assert_eq!(stage.field(1, PASSWORD).await, Some(reference));
}

/// In lists, and of services that a later release has, nothing would bring a secret back.
pub(crate) async fn what_has_no_id_stays_in_the_database_and_is_told(bench: Bench) {
    let stage = Stage::new(&bench).await;
    let sealed = seal(&keys(), "value");
    stage
        .service(1, "one", json!({"items": [{"password": sealed}]}))
        .await;
    let like = match bench.server {
        Server::Postgres => {
            "CREATE TABLE unheard_service_entity (LIKE dbservice_entity INCLUDING ALL)"
        }
        Server::MariaDb | Server::MySql => {
            "CREATE TABLE unheard_service_entity LIKE dbservice_entity"
        }
    };
    bench.sql(like).await;
    let config = json!({"authType": {"password": sealed}});
    stage
        .service_in("unheard_service_entity", 2, "two", config.clone())
        .await;
    bench.sql(&like.replace("unheard", "llm")).await;
    stage
        .service_in("llm_service_entity", 3, "three", config)
        .await;
    let looked = stage.look("db", "aws").await;
    let done = stage.copy("db", "aws").await;
    for report in [&looked, &done] {
        assert_eq!(
            (report.moved, kinds(report)),
            (1, vec!["unsupported"; 2]),
            "{report:?}"
        );
    }
    let three = "/openmetadata/llm/three/authtype/password";
    assert_eq!(there(&stage.aws, three).await.as_deref(), Some("value"));
    let back = stage.copy("aws", "db").await;
    assert!(back.is_complete() && back.moved == 1, "{back:?}");
}

pub(crate) async fn taking_back_loses_no_edit(bench: Bench) {
    let stage = Stage::new(&bench).await;
    for (number, name) in [(1, "one"), (2, "two"), (3, "three")] {
        let reference = format!("secret:{}", on_aws(name));
        stage.with_password(number, name, &reference).await;
        put(&stage.aws, &on_aws(name), "value").await;
    }
    let done = stage.copy("aws", "google").await;
    assert!(done.is_complete() && done.moved == 3, "{done:?}");
    // One was edited under its id, as OpenMetadata edits; one in its row.
    let edited = on_google("one");
    delete(&stage.google, &edited).await;
    put(&stage.google, &edited, "edited there").await;
    bench.sql(&edit_of(2, "two", "edited here")).await;
    // The one in its row needs nothing more.
    for _ in 0..2 {
        let back = stage.reverse("aws", "google", &done).await;
        assert_eq!(kinds(&back), ["conflict"], "{back:?}");
        assert_eq!(back.edited, 1, "{back:?}");
        assert_eq!(
            stage.field(1, PASSWORD).await,
            Some(format!("secret:{edited}"))
        );
        assert_eq!(
            stage.field(2, PASSWORD).await.as_deref(),
            Some("edited here")
        );
        assert_eq!(
            stage.field(3, PASSWORD).await,
            Some(format!("secret:{}", on_aws("three")))
        );
        assert_eq!(
            there(&stage.google, &edited).await.as_deref(),
            Some("edited there")
        );
    }
}

pub(crate) async fn one_odd_value_stops_nothing(bench: Bench) {
    let stage = Stage::new(&bench).await;
    let token = seal(&keys(), "sealed twice");
    for (number, name, value) in [
        (1, "one", "value"),
        (2, "token", token.as_str()),
        (3, "null", "null"),
        (4, "other", "value"),
    ] {
        let reference = format!("secret:{}", on_aws(name));
        stage.with_password(number, name, &reference).await;
        put(&stage.aws, &on_aws(name), value).await;
    }
    for to in ["db", "google"] {
        let looked = stage.look("aws", to).await;
        let done = stage.copy("aws", to).await;
        for report in [&looked, &done] {
            assert_eq!((report.moved, report.nothing), (2, 1), "{report:?}");
            assert_eq!(kinds(report), ["invalid"], "{report:?}");
        }
        let odd = Some(format!("secret:{}", on_aws("token")));
        assert_eq!(stage.field(2, PASSWORD).await, odd);
        let back = stage.reverse("aws", to, &done).await;
        assert!(back.is_complete() && back.moved == 3, "{back:?}");
    }
}

/// A text that begins as a reference is none where no secret belongs.
pub(crate) async fn a_reference_in_a_description_is_prose(bench: Bench) {
    let stage = Stage::new(&bench).await;
    let quoted = format!("secret:{}", on_aws("one"));
    let config = json!({
        "authType": {"password": seal(&keys(), &quoted)}
    });
    stage.service(1, "one", config).await;
    let described = format!(
        "UPDATE dbservice_entity SET json = {}",
        match bench.server {
            Server::Postgres =>
                format!("jsonb_set(json::jsonb, '{{description}}', '\"{quoted}\"')"),
            Server::MariaDb | Server::MySql =>
                format!("JSON_SET(json, '$.description', '{quoted}')"),
        }
    );
    bench.sql(&described).await;
    put(&stage.aws, &on_aws("one"), "value").await;
    for to in ["google", "db"] {
        let done = stage.copy("aws", to).await;
        assert!(done.is_complete() && done.moved == 1, "{done:?}");
        assert_eq!(stage.entity(1).await["description"], quoted.as_str());
        let back = stage.reverse("aws", to, &done).await;
        assert!(back.is_complete() && back.moved == 1, "{back:?}");
        assert_eq!(stage.entity(1).await["description"], quoted.as_str());
    }
}

pub(crate) async fn a_table_without_a_key_is_not_written(bench: Bench) {
    let stage = Stage::new(&bench).await;
    stage.with_password(1, "one", "value").await;
    bench
        .sql("CREATE TABLE own_service_entity (json json); INSERT INTO own_service_entity VALUES ('{}')")
        .await;
    let looked = stage.look("db", "aws").await;
    let told = &looked.obstacles;
    assert_eq!(told.len(), 1, "{looked:?}");
    assert!(told[0].detail.contains("primary key"), "{told:?}");
    let migration = stage.migration("db", "aws");
    let error = migration
        .copy(MoveId(Uuid::from_u128(98)), &Unobserved)
        .await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.to_string().contains("own_service_entity"), "{error}");
    assert_eq!(stage.field(1, PASSWORD).await.as_deref(), Some("value"));
    assert_eq!(there(&stage.aws, &on_aws("one")).await, None);
}
