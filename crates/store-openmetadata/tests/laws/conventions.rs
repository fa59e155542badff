//! What is secret is found where OpenMetadata itself does not look, in lists and maps, and where pipelines and automations
//! keep what is not theirs.

use std::collections::BTreeSet;

use cloakroom_core::platform::{Defect, DefectKind, Mention};
use cloakroom_testkit::openmetadata::Deployment;
use serde_json::{Value, json};

use crate::support::{Bench, Server, id, keys, naming, seal};

pub(crate) async fn secrets_in_lists_and_maps(bench: Bench) {
    bench.with_a_table().await;
    let keys = keys();
    let (one, two) = (
        seal(&keys, &format!("secret:{}", id(1))),
        format!("secret:{}", id(2)),
    );
    let entity = json!({
        "id": "00000000-0000-4000-8000-000000000001", "name": "one", "deleted": false,
        "connection": {"config": {
            "hosts": [{"password": one}, {"password": "in clear"}],
            "options": {"sasl.password": two, "ssl.key.password": "in clear", "retries": "3"},
            "anything": {"ofWhich": [{"nobody": {"apiKey": "in clear"}}]},
            "empty": {"password": null, "token": seal(&keys, "null"), "clientSecret": ""}
        }}
    });
    let text = bench.literal(&entity.to_string());
    bench
        .sql(&format!(
            "INSERT INTO dbservice_entity (json, nameHash) VALUES ('{text}', 'x')"
        ))
        .await;
    let (found, report) = bench.scan().await;
    assert_eq!(report.obstacles, []);
    let names: BTreeSet<_> = found.mentions.iter().map(|it| it.name.clone()).collect();
    assert_eq!(names, BTreeSet::from([id(1), id(2)]));
    let clear = found.defects.iter();
    let clear = clear.filter(|it| it.kind == DefectKind::ClearText);
    let places: BTreeSet<_> = clear.filter_map(|it| it.pointer.as_deref()).collect();
    let expected = [
        "/connection/config/hosts/1/password",
        "/connection/config/options/ssl.key.password",
        "/connection/config/anything/ofWhich/0/nobody/apiKey",
    ];
    assert_eq!(places, BTreeSet::from(expected));
}

/// Webhooks, settings and apps have secrets without ids.
pub(crate) async fn secrets_in_other_tables_of_openmetadatas(bench: Bench) {
    bench.with_a_table().await;
    let sealed = seal(&keys(), "sealed");
    let json_type = match bench.server {
        Server::Postgres => "JSONB",
        Server::MariaDb | Server::MySql => "JSON",
    };
    for (table, entity) in [
        (
            "event_subscription_entity",
            json!({"name": "hook", "destinations": [
                {"config": {"endpoint": "https://h", "secretKey": "in clear", "authType": {"clientSecret": sealed}}},
                {"config": {"secretKey": "", "authType": {"secretKey": "in clear"}}},
            ], "secretKey": "of nobody"}),
        ),
        (
            "installed_apps",
            json!({"name": "app", "privateConfiguration": {"token": "in clear"}, "bot": {"token": "of nobody"},
                "openMetadataServerConnection": {"securityConfig": {"jwtToken": "*********"}}}),
        ),
        (
            "openmetadata_settings",
            json!({"password": "in clear", "signingSecret": "in clear", "secret": "in clear",
                "samlConfiguration": {"idp": {"idpX509Certificate": "known to all"}}, "username": "u"}),
        ),
        ("notes_of_my_own", json!({"password": "of nobody"})),
    ] {
        let made = format!(
            "CREATE TABLE {table} (configType VARCHAR(36) NOT NULL, json {json_type} NOT NULL)"
        );
        bench.sql(&made).await;
        let text = bench.literal(&entity.to_string());
        let row = format!("INSERT INTO {table} (configType, json) VALUES ('what it is', '{text}')");
        bench.sql(&row).await;
    }
    let (found, report) = bench.scan().await;
    assert_eq!(report.obstacles, []);
    let told: BTreeSet<_> = found
        .defects
        .iter()
        .map(|it| {
            let pointer = it.pointer.as_deref().unwrap();
            (it.column.rsplit('.').nth(1).unwrap(), pointer, it.kind)
        })
        .collect();
    let expected = [
        (
            "event_subscription_entity",
            "/destinations/0/config/secretKey",
            DefectKind::ClearText,
        ),
        (
            "event_subscription_entity",
            "/destinations/1/config/authType/secretKey",
            DefectKind::ClearText,
        ),
        (
            "installed_apps",
            "/openMetadataServerConnection/securityConfig/jwtToken",
            DefectKind::Mask,
        ),
        (
            "installed_apps",
            "/privateConfiguration/token",
            DefectKind::ClearText,
        ),
        ("openmetadata_settings", "/password", DefectKind::ClearText),
        ("openmetadata_settings", "/secret", DefectKind::ClearText),
        (
            "openmetadata_settings",
            "/signingSecret",
            DefectKind::ClearText,
        ),
    ];
    assert_eq!(told, BTreeSet::from(expected));
    let title = |it: &Defect| it.title.as_deref() == Some("what it is");
    assert!(found.defects.iter().all(title), "{:?}", found.defects);
}

/// OpenMetadata stores pipelines and automations without their connection to the server, and its secrets under ids
/// that only what was deployed refers to: no scan tells whether these are in use.
pub(crate) async fn the_connection_to_the_server_is_not_stored(bench: Bench) {
    bench.fill(&Deployment::new(0, naming())).await;
    for table in ["ingestion_pipeline_entity", "automations_workflow"] {
        let entity = json!({
            "id": id_of(table), "name": "one", "deleted": false, "deployed": true,
            "pipelineType": "metadata", "openMetadataServerConnection": null,
            "sourceConfig": {"config": {"type": "DatabaseMetadata"}},
        });
        insert(&bench, table, &entity).await;
    }
    let (found, report) = bench.scan().await;
    assert_eq!(report.obstacles, []);
    // What is said to be deployed needs them all the same: pipelines alone are.
    assert_eq!(report.deployed_jobs, 1);
    let undeployed = "UPDATE ingestion_pipeline_entity SET json = REPLACE(json";
    let undeployed = match bench.server {
        Server::Postgres => format!("{undeployed}::text, 'true', 'false')::json"),
        Server::MariaDb | Server::MySql => format!("{undeployed}, 'true', 'false')"),
    };
    bench.sql(&undeployed).await;
    assert_eq!(bench.scan().await.1.deployed_jobs, 0);
    let is_of_it = |it: &Mention| it.name.contains("serverconnection");
    assert!(!found.mentions.iter().any(is_of_it), "{:?}", found.mentions);
    let is_told = |it: &Defect| it.kind == DefectKind::ClearText;
    assert!(!found.defects.iter().any(is_told), "{:?}", found.defects);
}

/// Where a row holds that connection all the same, what it says counts.
pub(crate) async fn a_connection_to_the_server_that_is_stored_counts(bench: Bench) {
    bench.fill(&Deployment::new(0, naming())).await;
    let shared = "/openmetadata/serverconnection/securityconfig/jwttoken";
    for table in ["ingestion_pipeline_entity", "automations_workflow"] {
        let entity = json!({
            "id": id_of(table), "name": "one",
            "openMetadataServerConnection": {
                "hostPort": "in clear",
                "securityConfig": {"jwtToken": format!("secret:{shared}")},
                "sslConfig": {"sslKey": "in clear"},
            }
        });
        insert(&bench, table, &entity).await;
    }
    let (found, report) = bench.scan().await;
    assert_eq!(report.obstacles, []);
    assert_eq!(found.of(shared).len(), 2, "{:?}", found.mentions);
    assert!(found.of(shared).iter().all(|it| !it.external && it.keeps));
    let clear = found.defects.iter();
    let clear = clear.filter(|it| it.kind == DefectKind::ClearText);
    let clear: Vec<_> = clear.filter_map(|it| it.pointer.as_deref()).collect();
    assert_eq!(clear, ["/openMetadataServerConnection/sslConfig/sslKey"; 2]);
}

fn id_of(table: &str) -> String {
    let number = u8::from(table == "automations_workflow");
    format!("00000000-0000-4000-8000-00000000000{number}")
}

async fn insert(bench: &Bench, table: &str, entity: &Value) {
    let text = bench.literal(&entity.to_string());
    let row = format!("INSERT INTO {table} (json, nameHash) VALUES ('{text}', 'x')");
    bench.sql(&row).await;
}
