//! A whole deployment, read as its settings say.

use std::collections::BTreeSet;

use async_trait::async_trait;
use cloakroom_core::platform::{
    Defect, DefectKind, Mention, MentionKind, Owner, PlatformSource as _, ScanSink,
};
use cloakroom_core::{Error, ErrorKind, Randomness as _, Result, SecretValue, SystemRandomness};
use cloakroom_store_openmetadata::{Manager, OpenMetadataSource, Provider, Sharing};
use cloakroom_testkit::openmetadata::{Deployment, Table};
use serde_json::{Value, json};

use crate::support::{Bench, Everything, id, keys, naming, options_at, scan, seal};

fn deployment() -> Deployment {
    Deployment::new(90, naming())
}

pub(crate) async fn every_reference_is_told(bench: Bench) {
    let deployment = deployment();
    bench.fill(&deployment).await;
    let (found, report) = bench.scan().await;
    assert_eq!(report.obstacles, []);
    assert!(report.snapshot.is_some() && report.tables >= 13);
    let mut expected = BTreeSet::from([deployment.in_history()]);
    for planted in deployment.planted() {
        let column = format!("{}.{}.json", bench.schema(), planted.table.name());
        let here = |it: &&Mention| it.name == planted.id && it.row == Some(planted.row);
        let told: Vec<_> = found.mentions.iter().filter(here).collect();
        assert_eq!(told.len(), 1, "{planted:?}");
        assert_eq!(told[0].column, column);
        let kind = match planted.table {
            Table::Services(_) => MentionKind::Service,
            Table::Users => MentionKind::Bot,
            Table::Pipelines => MentionKind::Pipeline,
            Table::Workflows => MentionKind::Workflow,
            Table::History => MentionKind::Other,
        };
        assert_eq!(told[0].kind, kind);
        assert_eq!(told[0].external, planted.own, "{planted:?}");
        assert_eq!(told[0].tombstone, planted.deleted, "{planted:?}");
        assert!(told[0].keeps && told[0].title.is_some());
        expected.insert(planted.id);
    }
    let names: BTreeSet<_> = found.mentions.iter().map(|it| it.name.clone()).collect();
    assert_eq!(names, expected);
    let history = deployment.in_history();
    let past = found.of(&history);
    assert_eq!(past.len(), 1);
    assert!(past[0].keeps && past[0].kind == MentionKind::Other);
}

pub(crate) async fn what_is_amiss_is_told(bench: Bench) {
    let deployment = deployment();
    bench.fill(&deployment).await;
    let (found, _) = bench.scan().await;
    let (clear, pointer) = deployment.in_clear();
    let masked = deployment.masked();
    assert!(!clear.is_empty() && !masked.is_empty());
    let of = |kind: DefectKind| -> Vec<&Defect> {
        let defects = found.defects.iter();
        defects.filter(|it| it.kind == kind).collect()
    };
    let rows = |defects: &[&Defect]| -> BTreeSet<_> {
        let rows = defects.iter();
        rows.map(|it| it.row.unwrap()).collect()
    };
    let in_clear = of(DefectKind::ClearText);
    assert!(
        in_clear
            .iter()
            .all(|it| it.pointer.as_deref() == Some(pointer))
    );
    assert_eq!(rows(&in_clear), BTreeSet::from_iter(clear));
    assert_eq!(rows(&of(DefectKind::Mask)), BTreeSet::from_iter(masked));
    // The one that was read last is told, and of which other one.
    let sharing = of(DefectKind::Collision);
    assert_eq!(sharing.len(), 1);
    assert!(sharing[0].detail.contains(&deployment.shared()));
    assert!(sharing[0].detail.contains("nightly dbt"));
    let told: usize = [
        DefectKind::ClearText,
        DefectKind::Mask,
        DefectKind::Collision,
    ]
    .map(|kind| of(kind).len())
    .iter()
    .sum();
    assert_eq!(found.defects.len(), told);
    for defect in &found.defects {
        assert!(!format!("{defect:?}").contains("in-clear"), "{defect:?}");
    }
}

pub(crate) async fn fields_that_share_an_id(bench: Bench) {
    let deployment = deployment();
    bench.fill(&deployment).await;
    let mut sink = Everything::default();
    let survey = bench.source().survey(&mut sink).await.unwrap();
    assert_eq!((survey.collision_count, survey.fields_not_compared), (1, 0));
    let collision = &survey.collisions[0];
    assert_eq!(collision.id, deployment.shared());
    assert_ne!(collision.first.row, collision.second.row);
    assert_eq!(collision.first.pointer, collision.second.pointer);
    let titles = [&collision.first.title, &collision.second.title];
    assert!(
        titles
            .iter()
            .all(|it| it.as_ref().unwrap().contains("nightly dbt"))
    );

    // A value that is still in the database counts by the id that it would get.
    let keys = keys();
    let entity = |number: u32, name: &str, text: &str| {
        format!(
            "INSERT INTO dbservice_entity (json, nameHash) VALUES ('{{\"id\": \
             \"00000000-0000-4000-8000-00000000000{number}\", \"name\": \"{name}\", \"connection\": \
             {{\"config\": {{\"password\": \"{}\"}}}}}}', '{name}')",
            seal(&keys, text)
        )
    };
    bench.sql(&entity(1, "Sales EU", "value one")).await;
    bench
        .sql(&entity(
            2,
            "sales_eu",
            "secret:/openmetadata/database/sales_eu/password",
        ))
        .await;
    let survey = bench.source().survey(&mut sink).await.unwrap();
    assert_eq!(survey.collision_count, 2);
    let ids: BTreeSet<_> = survey.collisions.iter().map(|it| it.id.as_str()).collect();
    assert!(
        ids.contains("/openmetadata/database/sales_eu/password"),
        "{ids:?}"
    );

    let mut options = bench.options();
    options.max_fields = 3;
    let source = OpenMetadataSource::new(options).unwrap();
    let survey = source.survey(&mut sink).await.unwrap();
    assert!(survey.fields_not_compared > 0);
    let (found, _) = scan(&source).await;
    let unjudged = |it: &&Defect| it.kind == DefectKind::Unjudged;
    assert_eq!(found.defects.iter().filter(unjudged).count(), 1);
}

/// References that bear another head, an older cluster name's, do not hide what the next save does.
pub(crate) async fn fields_whose_next_save_is_under_one_id(bench: Bench) {
    bench.with_a_table().await;
    let keys = keys();
    let mut rows = 0;
    let mut entity = |name: &str, field: Value| {
        rows += 1;
        let entity = json!({
            "id": format!("00000000-0000-4000-8000-00000000000{rows}"), "name": name,
            "connection": {"config": {"password": field}},
        });
        let text = bench.literal(&entity.to_string());
        format!("INSERT INTO dbservice_entity (json, nameHash) VALUES ('{text}', 'row {rows}')")
    };
    let at = |head: &str, name: &str| {
        seal(&keys, &format!("secret:/{head}/database/{name}/password")).into()
    };
    for row in [
        // Of two names that are one.
        entity("my.db", at("openmetadata", "my_db")),
        entity("my_db", at("openmetadata", "my_db")),
        // Of one that would take a living one's.
        entity("new.db", at("openmetadata", "other")),
        entity("new_db", at("prod", "new_db")),
        // What holds no secret overwrites none, and has none that could be.
        entity("odd.db", Value::Null),
        entity("odd_db", at("openmetadata", "odd_db")),
        entity("odd-db", seal(&keys, "null").into()),
        entity("alone", at("openmetadata", "alone")),
    ] {
        bench.sql(&row).await;
    }
    let mut options = bench.options();
    "prod".clone_into(&mut options.cluster);
    let source = OpenMetadataSource::new(options).unwrap();
    let survey = source.survey(&mut Everything::default()).await.unwrap();
    assert_eq!((survey.collision_count, survey.fields_not_compared), (2, 0));
    let found = survey.collisions.iter();
    let found: BTreeSet<_> = found.map(|it| (it.id.as_str(), it.sharing)).collect();
    let expected = [
        ("/prod/database/my_db/password", Sharing::NextSave),
        ("/prod/database/new_db/password", Sharing::NextSave),
    ];
    assert_eq!(found, BTreeSet::from(expected));
    let (told, _) = scan(&source).await;
    let told = told
        .defects
        .iter()
        .filter(|it| it.kind == DefectKind::Collision);
    let told: Vec<_> = told.map(|it| it.detail.as_str()).collect();
    assert!(told.iter().all(|it| it.contains("next value")), "{told:?}");

    // Under the name that they were written with they are one already, and told once.
    let survey = bench
        .source()
        .survey(&mut Everything::default())
        .await
        .unwrap();
    let found = survey.collisions.iter();
    let found: BTreeSet<_> = found.map(|it| (it.id.as_str(), it.sharing)).collect();
    let expected = [
        ("/openmetadata/database/my_db/password", Sharing::Now),
        ("/openmetadata/database/new_db/password", Sharing::NextSave),
    ];
    assert_eq!(found, BTreeSet::from(expected));
}

pub(crate) async fn what_the_user_made_is_not_the_platforms(bench: Bench) {
    bench.fill(&deployment()).await;
    let mut options = bench.options();
    options.provider = Provider::NotManaged(Manager::Aws);
    let source = OpenMetadataSource::new(options).unwrap();
    let mut found = Everything::default();
    let survey = source.survey(&mut found).await.unwrap();
    assert_eq!(survey.report.obstacles, []);
    assert!(found.mentions.iter().all(|it| it.external && it.keeps));
    assert_eq!(survey.collisions, []);
    // Another cluster's are not ours either.
    let mut options = bench.options();
    options.cluster.push_str("-2");
    let (found, _) = scan(&OpenMetadataSource::new(options).unwrap()).await;
    assert!(found.mentions.iter().all(|it| it.external));
}

pub(crate) async fn a_database_without_a_manager(bench: Bench) {
    let deployment = deployment();
    bench.fill(&deployment).await;
    let mut options = bench.options();
    options.provider = Provider::Database;
    let (found, report) = scan(&OpenMetadataSource::new(options).unwrap()).await;
    assert_eq!(report.obstacles, []);
    let nowhere = |it: &&Defect| it.kind == DefectKind::ReferenceToNowhere;
    // Of what a user made nothing shows that it is no value.
    let told = found.defects.iter().filter(nowhere).count();
    let managed = deployment.planted().filter(|it| !it.own).count();
    assert_eq!(told, managed);
    // And a manager that cannot have a name with a slash.
    let told = deployment.planted().count();
    let mut options = bench.options();
    options.provider = Provider::Managed(Manager::AzureKeyVault);
    let (found, _) = scan(&OpenMetadataSource::new(options).unwrap()).await;
    assert_eq!(found.defects.iter().filter(nowhere).count(), told);
}

pub(crate) async fn what_is_asked_again_is_answered_the_same(bench: Bench) {
    let deployment = deployment();
    bench.fill(&deployment).await;
    let first = deployment.planted().next().unwrap();
    let deleted = deployment.planted().find(|it| it.deleted).unwrap();
    let names = [id(1), first.id, deployment.in_history(), deleted.id];
    let source = bench.source();
    let kept = source.still_mentioned(&names).await.unwrap();
    assert_eq!(kept, [false, true, true, true]);
    assert!(source.still_mentioned(&[]).await.unwrap().is_empty());
    // Gone for good, and then nothing keeps it.
    let column = deployment.planted().next().unwrap();
    bench
        .sql(&format!(
            "DELETE FROM {} WHERE id = '{}'",
            column.table.name(),
            column.row
        ))
        .await;
    let kept = source.still_mentioned(&names).await.unwrap();
    assert_eq!(kept, [false, false, true, true]);
}

pub(crate) async fn a_database_is_told_from_another(bench: Bench) {
    let identity = bench.source().identity().await.unwrap();
    assert_eq!(identity.platform, "openmetadata");
    assert!(identity.place.ends_with(&bench.database), "{identity:?}");
    assert_eq!(bench.source().identity().await.unwrap(), identity);
    let mut other = bench.clone();
    other.database.push_str("_b");
    other.make().await;
    let second = other.source().identity().await.unwrap();
    assert_ne!(second.database, identity.database);
    other.remove().await;
}

pub(crate) async fn wrong_addresses_are_told(bench: Bench) {
    let url = bench.url();
    let (server, _) = url.rsplit_once('/').unwrap();
    let (scheme, _) = url.split_once("://").unwrap();
    for (url, kind) in [
        ("hunter2".to_owned(), ErrorKind::Invalid),
        (format!("{url}?hunter2=x"), ErrorKind::Invalid),
        (format!("jdbc:{url}"), ErrorKind::Invalid),
        (format!("http://u:hunter2@{server}/x"), ErrorKind::Invalid),
        (format!("{server}/no_such_database"), ErrorKind::Invalid),
        (bench.url_as("hunter2"), ErrorKind::Denied),
        (
            format!("{scheme}://u:hunter2@127.0.0.1:1/x"),
            ErrorKind::Unavailable,
        ),
    ] {
        let mut options = bench.options();
        options.url = SecretValue::from(url.clone());
        let error = match OpenMetadataSource::new(options) {
            Ok(source) => source.identity().await.unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(error.kind(), kind, "{url}: {error}");
        assert!(
            !format!("{error} {error:?}").contains("hunter2"),
            "{error:?}"
        );
    }
}

/// Until the server has checked it once it wants the password itself, which goes encrypted or not at all.
pub(crate) async fn a_password_goes_encrypted_only(bench: Bench) {
    bench.with_a_table().await;
    let role = bench.role().await;
    bench.grant_select(&role).await;
    // A password that it has checked it remembers, that of an earlier user of the name as well.
    let word = SystemRandomness.uuid().simple().to_string();
    let changed = format!("ALTER USER {role}@'%' IDENTIFIED BY '{word}'");
    bench.on_server(&changed).await;
    let url = bench.url_as(&role);
    let url = url.replacen(&format!(":{role}@"), &format!(":{word}@"), 1);
    let as_role = |more: &str| {
        let options = options_at(format!("{url}{more}"));
        OpenMetadataSource::new(options).unwrap()
    };
    let open = as_role("?ssl-mode=disabled");
    let error = open.identity().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    for told in [
        "caching_sha2_password",
        "ssl-mode=disabled",
        "TLS on the server",
    ] {
        assert!(error.message().contains(told), "{told}: {error}");
    }
    let identity = as_role("").identity().await.unwrap();
    assert_eq!(open.identity().await.unwrap(), identity);
    bench.dismiss(&role).await;
}

struct Failing;

#[async_trait]
impl ScanSink for Failing {
    async fn owners(&mut self, _: Vec<Owner>) -> Result<()> {
        Ok(())
    }

    async fn mentions(&mut self, _: Vec<Mention>) -> Result<()> {
        Err(Error::new(ErrorKind::Conflict, "test", "full"))
    }

    async fn defects(&mut self, _: Vec<Defect>) -> Result<()> {
        Ok(())
    }
}

pub(crate) async fn a_sink_that_fails_ends_it(bench: Bench) {
    bench.fill(&deployment()).await;
    let error = bench.source().scan(&mut Failing).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
}
