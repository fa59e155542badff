//! Secrets in clear text: in which fields, and by the spec of which version.

use cloakroom_core::platform::DefectKind;
use cloakroom_testkit::airbyte::Deployment;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Bench, coordinate};

const CONNECTOR: &str = "public.actor.configuration";
const PARAMETERS: &str = "public.actor_oauth_parameter.configuration";

/// One connector without any defect.
async fn small(bench: &Bench) -> Deployment {
    let deployment = Deployment::new(1, 3);
    bench.fill(&deployment).await;
    assert_eq!(bench.scan().await.0.defects, []);
    deployment
}

/// Column and pointer of all that is told in clear, in order.
async fn told(bench: &Bench) -> Vec<(String, String)> {
    let (found, report) = bench.scan().await;
    assert_eq!(report.obstacles, []);
    let clear = found
        .defects
        .into_iter()
        .filter(|it| it.kind == DefectKind::ClearText);
    let mut told: Vec<_> = clear
        .map(|it| (it.column, it.pointer.unwrap_or_default()))
        .collect();
    told.sort();
    told
}

fn all(column: &str, pointers: &[&str]) -> Vec<(String, String)> {
    let of = |it: &&str| (column.to_owned(), (*it).to_owned());
    pointers.iter().map(of).collect()
}

/// Every version has this spec, and the other table holds nothing.
async fn set(bench: &Bench, spec: &Value, table: &str, configuration: &Value) {
    bench
        .sql(&format!(
            "UPDATE actor_definition_version SET spec = '{spec}'; UPDATE actor SET configuration = '{{}}'; \
             UPDATE actor_oauth_parameter SET configuration = '{{}}'; \
             UPDATE {table} SET configuration = '{configuration}'"
        ))
        .await;
}

/// The fields of OAuth as a connector's author describes them, and marks none.
fn schema() -> Value {
    let text = json!({"type": "string"});
    let fields = json!({
        "client_id": text, "client_secret": text, "refresh_token": text, "access_token": text,
        "token_expiry_date": text
    });
    json!({"type": "object", "properties": {
        "client_id": text, "client_secret": text, "refresh_token": text, "access_token": text,
        "start_date": text, "credentials": {"type": "object", "properties": fields}
    }})
}

/// A field of the part for OAuth: its name, and its place, `above` which there may be another one.
fn part(names: &[&str], above: Option<&str>) -> Value {
    let place = |name: &str| -> Vec<String> {
        above.into_iter().chain([name]).map(str::to_owned).collect()
    };
    let of = |name: &&str| {
        let property = json!({"type": "string", "path_in_connector_config": place(name)});
        ((*name).to_owned(), property)
    };
    let properties: serde_json::Map<String, Value> = names.iter().map(of).collect();
    json!({"type": "object", "properties": properties})
}

fn oauth(above: Option<&str>) -> Value {
    json!({
        "complete_oauth_output_specification": part(&["refresh_token", "access_token", "token_expiry_date"], above),
        "complete_oauth_server_input_specification": {"type": "object", "properties": {
            "client_id": {"type": "string"}, "client_secret": {"type": "string"}
        }},
        "complete_oauth_server_output_specification": part(&["client_id", "client_secret"], above)
    })
}

/// The ways in which specs name the fields of OAuth.
fn specs(above: Option<&str>) -> Vec<Value> {
    let root: Vec<&str> = above.into_iter().collect();
    let mut at_an_alternative: Vec<Value> = root.iter().map(|it| json!(it)).collect();
    at_an_alternative.extend(above.map(|_| json!(0)));
    let older = |root: Value| {
        json!({"connectionSpecification": schema(), "authSpecification": {
            "auth_type": "oauth2.0", "oauth2Specification": {
                "rootObject": root,
                "oauthFlowInitParameters": [["client_id"], ["client_secret"]],
                "oauthFlowOutputParameters": [["access_token"], ["refresh_token"]]
            }
        }})
    };
    let camel = |text: &Value| {
        let text = text.to_string();
        let camel = text
            .replace(
                "complete_oauth_output_specification",
                "completeOAuthOutputSpecification",
            )
            .replace(
                "complete_oauth_server_output_specification",
                "completeOAuthServerOutputSpecification",
            )
            .replace(
                "complete_oauth_server_input_specification",
                "completeOAuthServerInputSpecification",
            )
            .replace("path_in_connector_config", "pathInConnectorConfig");
        serde_json::from_str::<Value>(&camel).unwrap()
    };
    vec![
        json!({"connectionSpecification": schema(), "advanced_auth": {
            "auth_flow_type": "oauth2.0", "predicate_key": ["auth_type"],
            "oauth_config_specification": oauth(above)
        }}),
        json!({"connectionSpecification": schema(), "advancedAuth": {
            "authFlowType": "oauth2.0", "oauthConfigSpecification": camel(&oauth(above))
        }}),
        json!({"connectionSpecification": schema(), "oauth_config_specification": oauth(above)}),
        older(json!(root)),
        older(json!(at_an_alternative)),
    ]
}

/// What is secret of it, and what is not.
fn filled() -> Value {
    json!({
        "client_id": "an-id", "client_secret": "CLEAR-1", "refresh_token": "CLEAR-2",
        "access_token": "CLEAR-3", "token_expiry_date": "2026-01-01", "start_date": "2025-01-01"
    })
}

pub(crate) async fn what_the_spec_names_for_oauth_is_secret_though_it_marks_nothing(bench: Bench) {
    small(&bench).await;
    let flat = ["/access_token", "/client_secret", "/refresh_token"];
    let nested = flat.map(|it| format!("/credentials{it}"));
    let nested: Vec<&str> = nested.iter().map(String::as_str).collect();
    for (above, configuration, expected) in [
        (None, filled(), &flat[..]),
        (
            Some("credentials"),
            json!({"credentials": filled()}),
            &nested[..],
        ),
        // What an instance's own parameters put in stands flat, wherever the spec has it.
        (Some("credentials"), filled(), &flat[..]),
    ] {
        for spec in specs(above) {
            for (table, column) in [("actor", CONNECTOR), ("actor_oauth_parameter", PARAMETERS)] {
                set(&bench, &spec, table, &configuration).await;
                let told = told(&bench).await;
                assert_eq!(told, all(column, expected), "{spec}: {configuration}");
            }
        }
    }
}

/// A mark that the schema has only at the field's own place, or only the part for OAuth has.
pub(crate) async fn a_mark_holds_wherever_oauth_puts_the_field(bench: Bench) {
    small(&bench).await;
    let marked = json!({"type": "string", "airbyte_secret": true});
    let place = json!(["credentials", "client_id"]);
    let part = |id: Value| json!({"complete_oauth_server_output_specification": {"properties": {"client_id": id}}});
    let of = |schema: Value, id: Value| {
        json!({
            "connectionSpecification": {"type": "object", "properties": {"credentials": {
                "type": "object", "oneOf": [{"properties": {"client_id": schema}}]
            }}},
            "advanced_auth": {"oauth_config_specification": part(id)}
        })
    };
    let text = json!({"type": "string"});
    let by_schema = of(
        marked,
        json!({"type": "string", "path_in_connector_config": place}),
    );
    let by_part = of(
        text,
        json!({"type": "string", "airbyte_secret": true, "path_in_connector_config": place}),
    );
    for spec in [by_schema, by_part] {
        for (table, column) in [("actor", CONNECTOR), ("actor_oauth_parameter", PARAMETERS)] {
            for (configuration, pointer) in [
                (json!({"client_id": "CLEAR"}), "/client_id"),
                (
                    json!({"credentials": {"client_id": "CLEAR"}}),
                    "/credentials/client_id",
                ),
            ] {
                set(&bench, &spec, table, &configuration).await;
                assert_eq!(told(&bench).await, all(column, &[pointer]), "{spec}");
            }
        }
    }
}

pub(crate) async fn what_oauth_has_replaced_is_not_in_clear(bench: Bench) {
    small(&bench).await;
    let node = json!({"_secret": coordinate(1)});
    let no_secret = json!({"connectionSpecification": {"type": "object", "properties": {
        "client_secret": {"type": "string", "airbyte_secret": false}
    }}, "advanced_auth": {"oauth_config_specification": oauth(None)}});
    let mut spec = specs(None).remove(0);
    for (configuration, expected) in [
        (
            json!({"client_secret": node, "refresh_token": "secret_coordinate::team/token"}),
            &[][..],
        ),
        (
            json!({"client_secret": "", "refresh_token": null, "access_token": {}}),
            &[],
        ),
        (
            json!({"client_secret": {"value": node}, "access_token": [node]}),
            &[],
        ),
        (
            json!({"client_secret": {"value": "CLEAR"}, "access_token": ["CLEAR"]}),
            &["/access_token", "/client_secret"],
        ),
        (json!({"start_date": "2026", "other": {"access": "x"}}), &[]),
    ] {
        for (table, column) in [("actor", CONNECTOR), ("actor_oauth_parameter", PARAMETERS)] {
            set(&bench, &spec, table, &configuration).await;
            assert_eq!(told(&bench).await, all(column, expected), "{configuration}");
        }
    }
    // An author's word that it is none counts here as everywhere.
    spec = no_secret;
    for table in ["actor", "actor_oauth_parameter"] {
        set(&bench, &spec, table, &json!({"client_secret": "shown"})).await;
        assert_eq!(told(&bench).await, []);
    }
}

/// All that is in them is for OAuth, whatever spec there is or none.
pub(crate) async fn parameters_of_oauth_tell_by_their_names(bench: Bench) {
    let deployment = small(&bench).await;
    let bare = json!({"connectionSpecification": {"type": "object", "properties": {}}});
    let broken = json!({"connectionSpecification": {"$ref": "#/nowhere"}});
    let marked = json!({"connectionSpecification": {"type": "object", "properties": {"credentials": {
        "type": "object", "properties": {"app_code": {"type": "string", "airbyte_secret": true}}
    }}}});
    let held = json!({
        "client_id": "an-id", "client_secret": "CLEAR", "app_code": "CLEAR?",
        "own": {"developer_token": "CLEAR", "token_url": "https://example.com"}
    });
    let named = ["/client_secret", "/own/developer_token"];
    let flat = ["/app_code", "/client_secret", "/own/developer_token"];
    for (spec, expected) in [(bare, &named[..]), (broken, &named), (marked, &flat)] {
        set(&bench, &spec, "actor_oauth_parameter", &held).await;
        assert_eq!(told(&bench).await, all(PARAMETERS, expected), "{spec}");
    }
    let rows = bench.scan().await.0.defects;
    let detail = rows.iter().find(|it| it.kind == DefectKind::ClearText);
    let detail = &detail.unwrap().detail;
    assert!(detail.contains("OAuth"), "{detail}");
    assert!(!detail.contains("CLEAR"), "{detail}");
    // A connector's configuration is more than that.
    let spec = json!({"connectionSpecification": {"type": "object", "properties": {}}});
    set(&bench, &spec, "actor", &held).await;
    assert_eq!(told(&bench).await, []);
    assert_eq!(deployment.connectors(), 1);
}

/// As Airbyte makes it.
const SCOPED_CONFIGURATION: &str = "\
    CREATE TYPE config_resource_type AS ENUM ('actor_definition', 'user', 'workspace'); \
    CREATE TYPE config_scope_type AS ENUM ('organization', 'workspace', 'actor', 'user'); \
    CREATE TYPE config_origin_type AS ENUM ('user', 'breaking_change', 'release_candidate'); \
    CREATE TABLE scoped_configuration (id uuid PRIMARY KEY, key varchar(256) NOT NULL, \
    resource_type config_resource_type NOT NULL, resource_id uuid NOT NULL, \
    scope_type config_scope_type NOT NULL, scope_id uuid NOT NULL, value varchar(256) NOT NULL, \
    description text, reference_url varchar(256), origin_type config_origin_type NOT NULL, \
    origin varchar(256) NOT NULL, created_at timestamptz NOT NULL DEFAULT now(), \
    updated_at timestamptz NOT NULL DEFAULT now(), expires_at date)";

/// Pins whatever `of` selects to a version.
fn pin(scope: &str, of: &str, key: &str, value: &str) -> String {
    format!(
        "INSERT INTO scoped_configuration (id, key, resource_type, resource_id, scope_type, scope_id, value, \
         origin_type, origin) SELECT gen_random_uuid(), '{key}', 'actor_definition', a.actor_definition_id, \
         '{scope}', {of}, '{value}', 'user', 'x' FROM actor a \
         JOIN workspace w ON w.id = a.workspace_id LIMIT 1; "
    )
}

/// A version of the connector's definition that marks this field alone.
fn version(id: Uuid, field: &str) -> String {
    let spec = json!({"connectionSpecification": {"type": "object", "properties": {
        field: {"type": "string", "airbyte_secret": true}
    }}});
    format!(
        "INSERT INTO actor_definition_version (id, actor_definition_id, docker_repository, \
         docker_image_tag, spec) SELECT '{id}', actor_definition_id, 'pinned', '2', '{spec}' \
         FROM actor LIMIT 1; "
    )
}

const VERSION: &str = "connector_version";
const ACTOR: (&str, &str) = ("actor", "a.id");
const WORKSPACE: (&str, &str) = ("workspace", "a.workspace_id");
const ORGANIZATION: (&str, &str) = ("organization", "w.organization_id");

pub(crate) async fn the_version_that_a_connector_is_pinned_to_counts(bench: Bench) {
    small(&bench).await;
    let [first, second, third] = [1, 2, 3].map(Uuid::from_u128);
    let versions = [
        version(first, "a"),
        version(second, "b"),
        version(third, "c"),
    ];
    bench.sql(&versions.concat()).await;
    bench.sql(SCOPED_CONFIGURATION).await;
    let configuration =
        "{\"a\": \"CLEAR\", \"b\": \"CLEAR\", \"c\": \"CLEAR\", \"password\": \"CLEAR\"}";
    bench
        .sql(&format!(
            "UPDATE actor SET configuration = '{configuration}'"
        ))
        .await;
    assert_eq!(told(&bench).await, all(CONNECTOR, &["/password"]));
    let to = |(scope, of): (&str, &str), id: Uuid| pin(scope, of, VERSION, &id.to_string());
    for (pins, expected) in [
        (vec![to(ORGANIZATION, third)], "/c"),
        (vec![to(ORGANIZATION, third), to(WORKSPACE, second)], "/b"),
        (
            vec![
                to(ACTOR, first),
                to(WORKSPACE, second),
                to(ORGANIZATION, third),
            ],
            "/a",
        ),
        (
            vec![pin(
                "workspace",
                "w.organization_id",
                VERSION,
                &first.to_string(),
            )],
            "/password",
        ),
        (
            vec![pin(
                "actor",
                "a.id",
                "network_security_token",
                &first.to_string(),
            )],
            "/password",
        ),
        (
            vec![to(ACTOR, first).replace("a.actor_definition_id", "a.workspace_id")],
            "/password",
        ),
        (
            vec![to(ACTOR, first).replace("'actor_definition'", "'workspace'")],
            "/password",
        ),
    ] {
        bench.sql("DELETE FROM scoped_configuration").await;
        bench.sql(&pins.concat()).await;
        assert_eq!(told(&bench).await, all(CONNECTOR, &[expected]), "{pins:?}");
    }
}

/// Parameters go to connectors of every version, and a pin may lead to none.
pub(crate) async fn where_the_version_cannot_be_told_any_may_be_meant(bench: Bench) {
    small(&bench).await;
    let [first, second] = [1, 2].map(Uuid::from_u128);
    bench
        .sql(&[version(first, "a"), version(second, "b")].concat())
        .await;
    bench.sql(SCOPED_CONFIGURATION).await;
    let held = "{\"a\": \"CLEAR\", \"b\": \"CLEAR\", \"password\": \"CLEAR\"}";
    bench
        .sql(&format!(
            "UPDATE actor SET configuration = '{held}'; {}",
            pin("workspace", "a.workspace_id", VERSION, &first.to_string())
        ))
        .await;
    let unclear = |found: &crate::support::Everything| {
        let unjudged = found
            .defects
            .iter()
            .filter(|it| it.kind == DefectKind::Unjudged);
        unjudged.map(|it| it.detail.clone()).collect::<Vec<_>>()
    };
    assert_eq!(told(&bench).await, all(CONNECTOR, &["/a"]));
    assert_eq!(unclear(&bench.scan().await.0), [""; 0]);
    for nowhere in ["not an id", &Uuid::from_u128(99).to_string()] {
        bench
            .sql(&format!(
                "DELETE FROM scoped_configuration WHERE scope_type = 'actor'; {}",
                pin("actor", "a.id", VERSION, nowhere)
            ))
            .await;
        assert_eq!(
            told(&bench).await,
            all(CONNECTOR, &["/a", "/password"]),
            "{nowhere}"
        );
        let unclear = unclear(&bench.scan().await.0);
        assert!(
            unclear.len() == 1 && unclear[0].contains("pinned"),
            "{unclear:?}"
        );
    }
    bench
        .sql(&format!(
            "UPDATE actor SET configuration = '{{}}'; DELETE FROM scoped_configuration; {}",
            pin("actor", "a.id", VERSION, &second.to_string())
        ))
        .await;
    bench
        .sql(&format!(
            "UPDATE actor_oauth_parameter SET configuration = '{held}', \
             actor_definition_id = (SELECT actor_definition_id FROM actor LIMIT 1)"
        ))
        .await;
    assert_eq!(told(&bench).await, all(PARAMETERS, &["/b", "/password"]));
}

/// An older release has no such table, and any other application may have one of another kind.
pub(crate) async fn a_table_of_pins_that_is_another_ones_says_nothing(bench: Bench) {
    small(&bench).await;
    bench
        .sql(
            "CREATE TABLE scoped_configuration (id uuid PRIMARY KEY, key text, value text, resource_type text, \
             resource_id text, scope_type text, scope_id text); \
             INSERT INTO scoped_configuration SELECT gen_random_uuid(), 'connector_version', 'x', \
             'actor_definition', actor_definition_id::text, 'actor', id::text FROM actor; \
             UPDATE actor SET configuration = '{\"password\": \"CLEAR\"}'",
        )
        .await;
    assert_eq!(told(&bench).await, all(CONNECTOR, &["/password"]));
}
