//! The rows, as INSERT statements of bounded size.

use std::fmt::Display;

use serde_json::{Value, json};
use uuid::Uuid;

use super::ids::{Kind, uuid};
use super::{Deployment, Field, plant, specs};

/// Rows of one statement: a few megabytes at most.
const TOGETHER: u32 = 500;

pub(super) fn statements(deployment: &Deployment) -> impl Iterator<Item = String> + '_ {
    let it = *deployment;
    std::iter::once(fixed(&it))
        .chain(batches(it.workspace_count(), "workspace (id, name, slug, organization_id, webhook_operation_configs, tombstone)", move |index| workspace(&it, index)))
        .chain(batches(it.connectors, "actor (id, workspace_id, actor_definition_id, name, configuration, actor_type, tombstone)", move |index| actor(&it, index)))
        .chain(batches(it.connectors, "actor_catalog (id, catalog, catalog_hash)", move |index| catalog(&it, index)))
        .chain(batches(it.connectors, "connection (id, source_id, destination_id, name, catalog, status)", move |index| connection(&it, index)))
        .chain(batches(it.connectors, "secret_config (id, secret_storage_id, descriptor, external_coordinate, airbyte_managed)", move |index| configs(&it, index)))
        .chain(batches(it.connectors, "secret_reference (id, secret_config_id, scope_type, scope_id, hydration_path)", move |index| references(&it, index)))
        .chain(unused(deployment))
        .chain(batches(it.connectors.div_ceil(50), "connector_builder_project (id, workspace_id, name, manifest_draft)", move |index| builder(&it, index)))
        .chain(std::iter::once("ANALYZE;\n".to_owned()))
}

fn batches(
    count: u32,
    table: &'static str,
    row: impl Fn(u32) -> Vec<String>,
) -> impl Iterator<Item = String> {
    (0..count.div_ceil(TOGETHER)).filter_map(move |batch| {
        let rows: Vec<String> = (batch * TOGETHER..count.min((batch + 1) * TOGETHER))
            .flat_map(&row)
            .collect();
        (!rows.is_empty()).then(|| format!("INSERT INTO {table} VALUES\n{};\n", rows.join(",\n")))
    })
}

/// What there is once, however large the deployment.
fn fixed(it: &Deployment) -> String {
    let mut sql = vec![format!(
        "INSERT INTO organization (id, name, email) VALUES ({}, 'Generated', 'owner@example.com');\n\
         INSERT INTO secret_storage (id, scope_type, scope_id, descriptor, storage_type, \
         configured_from_environment) VALUES ({}, 'workspace', {}, 'default', 'aws_secrets_manager', true);\n",
        quoted(it.organization()),
        quoted(Uuid::nil()),
        quoted(Uuid::nil()),
    )];
    for index in 0..specs::DEFINITIONS {
        let definition = quoted(uuid(it.seed, Kind::Definition, index.into()));
        let version = quoted(uuid(it.seed, Kind::SpecVersion, index.into()));
        sql.push(format!(
            "INSERT INTO actor_definition (id, name, actor_type, default_version_id) VALUES \
             ({definition}, 'Generated {index}', 'source', {version});\n\
             INSERT INTO actor_definition_version (id, actor_definition_id, docker_repository, \
             docker_image_tag, spec) VALUES ({version}, {definition}, 'example/source-{index}', \
             '1.0.{index}', {});\n",
            quoted(specs::spec(index)),
        ));
    }
    sql.push(format!(
        "INSERT INTO actor_oauth_parameter (id, organization_id, actor_definition_id, configuration, \
         actor_type) VALUES ({}, {}, {}, {}, 'source');\n",
        quoted(uuid(it.seed, Kind::Oauth, 0)),
        quoted(it.organization()),
        quoted(uuid(it.seed, Kind::Definition, 0)),
        quoted(json!({"client_id": "generated"})),
    ));
    sql.concat()
}

fn workspace(it: &Deployment, index: u32) -> Vec<String> {
    one(&[
        quoted(it.workspace_at(index)),
        quoted(format!("Workspace {index}")),
        quoted(format!("workspace-{index}")),
        quoted(it.organization()),
        quoted(json!({"webhookConfigs": []})),
        (index % 25 == 24).to_string(),
    ])
}

fn actor(it: &Deployment, index: u32) -> Vec<String> {
    let definition = u64::from(index % specs::DEFINITIONS);
    one(&[
        quoted(it.connector(index)),
        quoted(it.workspace_of(index)),
        quoted(uuid(it.seed, Kind::Definition, definition)),
        quoted(format!("Connector {index}")),
        quoted(plant::configuration(it, index)),
        quoted("source"),
        Deployment::is_tombstone(index).to_string(),
    ])
}

/// The streams that a connector offers: by far the largest part of a real database.
fn catalog(it: &Deployment, index: u32) -> Vec<String> {
    one(&[
        quoted(uuid(it.seed, Kind::Catalog, index.into())),
        quoted(json!({"streams": streams(10)})),
        quoted(format!("{index:032x}")),
    ])
}

fn connection(it: &Deployment, index: u32) -> Vec<String> {
    let status = if Deployment::is_tombstone(index) {
        "deprecated"
    } else {
        "active"
    };
    one(&[
        quoted(uuid(it.seed, Kind::Connection, index.into())),
        quoted(it.connector(index)),
        quoted(it.connector(0)),
        quoted(format!("Connector {index} to warehouse")),
        quoted(json!({"streams": streams(4)})),
        quoted(status),
    ])
}

fn streams(count: u32) -> Vec<Value> {
    (0..count)
        .map(|index| {
            let columns: serde_json::Map<String, Value> = (0..15)
                .map(|column| {
                    let kind = json!({"type": ["null", "string"], "airbyte_type": "timestamp_with_timezone"});
                    (format!("column_{column}_of_{index}"), kind)
                })
                .collect();
            json!({
                "stream": {
                    "name": format!("orders_of_region_{index}"), "namespace": "public",
                    "jsonSchema": {"type": "object", "properties": columns},
                    "supportedSyncModes": ["full_refresh", "incremental"]
                },
                "syncMode": "incremental", "cursorField": ["updated_at"], "primaryKey": [["id"]]
            })
        })
        .collect()
}

fn configs(it: &Deployment, index: u32) -> Vec<String> {
    rows_of_secrets(index, |field| {
        let coordinate = it.planted(index, field).coordinate;
        config(it.config(index, field), coordinate.as_str())
    })
}

fn config(id: Uuid, coordinate: &str) -> String {
    values(&[
        quoted(id),
        quoted(Uuid::nil()),
        quoted(coordinate),
        quoted(coordinate),
        "true".to_owned(),
    ])
}

fn references(it: &Deployment, index: u32) -> Vec<String> {
    rows_of_secrets(index, |field| {
        values(&[
            quoted(it.reference(index, field)),
            quoted(it.config(index, field)),
            quoted("actor"),
            quoted(it.connector(index)),
            quoted(field.pointer().replace('/', ".")),
        ])
    })
}

fn rows_of_secrets(connector: u32, row: impl Fn(Field) -> String) -> Vec<String> {
    if Deployment::has_rows(connector) {
        Field::ALL.map(row).into()
    } else {
        Vec::new()
    }
}

fn unused(it: &Deployment) -> impl Iterator<Item = String> + '_ {
    it.only_in_the_index().zip(0_u64..).map(|(coordinate, index)| {
        let id = uuid(it.seed, Kind::Unused, index | 1 << 40);
        format!(
            "INSERT INTO secret_config (id, secret_storage_id, descriptor, external_coordinate, \
             airbyte_managed) VALUES {};\n",
            config(id, coordinate.as_str())
        )
    })
}

fn builder(it: &Deployment, index: u32) -> Vec<String> {
    one(&[
        quoted(uuid(it.seed, Kind::Builder, index.into())),
        quoted(it.workspace_of(index * 50)),
        quoted(format!("Project {index}")),
        quoted(json!({"version": "1.0.0", "streams": []})),
    ])
}

fn one(columns: &[String]) -> Vec<String> {
    vec![values(columns)]
}

fn values(columns: &[String]) -> String {
    format!("({})", columns.join(", "))
}

fn quoted(value: impl Display) -> String {
    format!("'{}'", value.to_string().replace('\'', "''"))
}
