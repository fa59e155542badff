//! What was moved to a manager is what OpenMetadata's own published client reads there; and the published
//! policies are enough for moving it, and for nothing else.

use std::collections::BTreeMap;

use cloakroom_core::coordinates::openmetadata::Naming;
use cloakroom_core::{DeleteMode, ErrorKind, SecretValue};
use cloakroom_store_openmetadata::FernetKeys;
use cloakroom_testkit::canary::marked;
use cloakroom_testkit::openmetadata::{CLIENT, client_digest, read_by_client};
use serde_json::{Value, json};

use crate::database::{KEY, seal};
use crate::managers::{AWS_URL, AWS_USER, Kind, Manager, credentials, log_in};
use crate::{Stage, report};

/// A user of AWS with the published policies for migrating, and no more.
pub const MIGRATOR: &str = "CLOAKROOM_TEST_AWS_OPENMETADATA_MIGRATE";

const REGION: &str = "eu-west-3";

const SERVICES: [&str; 9] = [
    "mysql-test",
    "Sales EU",
    "bq.eu",
    "kafka/1",
    "sage_maker",
    "Атлас",
    "a%2Fb",
    "UPPER",
    "x",
];

pub fn what_was_moved_is_read_by_the_platforms_own_client(stage: &Stage) {
    stage.without_what_cannot_be_moved();
    stage.cloakroom.run(&["migrate-schema"]).done();
    let planted = plant(stage);
    for kind in [Kind::Aws, Kind::Ssm] {
        let place = stage.runtime.block_on(Manager::new(kind, REGION));
        let backend = format!("place: {}", place.section(&stage.cloakroom));
        stage.configure(&backend, true);
        log_in(MIGRATOR, &stage.cloakroom);
        let forth = report(&stage.migrate(&["--from", "db", "--to", "place"], 0));
        assert!(forth["moved"].as_u64() >= Some(12), "{forth}");

        let naming = naming(kind);
        let id = |field: &Field| naming.id(&field.base(), &field.path);
        let ids: Vec<String> = planted.keys().map(id).collect();
        let read = as_the_platform_reads(kind, &ids);
        for ((id, read), value) in ids.iter().zip(&read).zip(planted.values()) {
            assert_eq!(read, &client_digest(value), "{kind:?}: {id}");
        }
        assert_eq!(read.len(), planted.len());

        let back = report(&stage.migrate(&["--reverse", forth["id"].as_str().unwrap()], 0));
        assert_eq!(back["moved"], forth["moved"], "{back}");
        let nothing_else = nothing_else_is_permitted(&place, &ids[0]);
        stage.runtime.block_on(nothing_else);
        stage.runtime.block_on(place.clear());
    }
}

/// A secret field of an entity of ours.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Field {
    kind: &'static str,
    name: &'static str,
    path: Vec<&'static str>,
}

impl Field {
    fn base(&self) -> [&'static str; 2] {
        [self.kind, self.name]
    }
}

fn naming(kind: Kind) -> Naming {
    Naming {
        prefix: String::new(),
        cluster: "openmetadata".to_owned(),
        manager: kind.naming(),
    }
}

/// Adds entities whose values are in the database, and tells which.
fn plant(stage: &Stage) -> BTreeMap<Field, String> {
    let keys = FernetKeys::parse(&SecretValue::from(KEY.to_owned())).unwrap();
    let mut planted = BTreeMap::new();
    let mut add = |table: &str, field: Field, entity: fn(&str) -> Value| {
        let number = planted.len();
        // Text that JSON, a shell or a terminal would like to change.
        let value = marked(&format!("{number} \"{{'$x'}}\" \\n\tпароль"));
        let value = value.expose_text().unwrap().to_owned();
        let mut entity = entity(&seal(&keys, &value));
        entity["id"] = json!(uuid(number));
        entity["name"] = json!(field.name);
        entity["deleted"] = json!(false);
        stage.execute(&format!(
            "INSERT INTO {table} (json, nameHash) VALUES ('{entity}', 'planted-{number}')"
        ));
        planted.insert(field, value);
    };
    for name in SERVICES {
        let path = vec!["authType", "password"];
        let field = Field {
            kind: "database",
            name,
            path,
        };
        add(
            "dbservice_entity",
            field,
            |token| json!({"connection": {"config": {"authType": {"password": token}}}}),
        );
    }
    let bot = Field {
        kind: "bot",
        name: "a bot",
        path: vec!["config", "JWTToken"],
    };
    add(
        "user_entity",
        bot,
        |token| json!({"isBot": true, "authenticationMechanism": {"authType": "JWT", "config": {"JWTToken": token}}}),
    );
    let pipeline = Field {
        kind: "pipeline",
        name: "hourly dbt",
        path: vec!["sourceConfig", "config", "dbtCloudAuthToken"],
    };
    add(
        "ingestion_pipeline_entity",
        pipeline,
        |token| json!({"sourceConfig": {"config": {"dbtCloudAuthToken": token}}}),
    );
    let workflow = Field {
        kind: "workflow",
        name: "a test",
        path: vec!["request", "connection", "config", "password"],
    };
    add(
        "automations_workflow",
        workflow,
        |token| json!({"request": {"connection": {"config": {"password": token}}}}),
    );
    planted
}

fn uuid(number: usize) -> String {
    format!("70000000-0000-4000-8000-{number:012}")
}

/// The digest of what the client makes of each reference.
fn as_the_platform_reads(kind: Kind, ids: &[String]) -> Vec<String> {
    let url = std::env::var(AWS_URL).unwrap();
    let (id, key) = credentials(AWS_USER);
    let variables = [
        ("AWS_ENDPOINT_URL", url.as_str()),
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", &id),
        ("AWS_SECRET_ACCESS_KEY", &key),
    ];
    let python = std::env::var_os(CLIENT).unwrap();
    read_by_client(&python, kind.provider(), &variables, ids).unwrap()
}

/// A copy may be taken away again, and what is not under the platform's prefix neither written nor deleted.
async fn nothing_else_is_permitted(place: &Manager, copy: &str) {
    let others = "/some/team/secret".to_owned();
    place.write([&others], &[]).await;
    let backend = place.connect_as(MIGRATOR, &[]).await;
    let secrets = backend.named().unwrap();
    secrets
        .delete_named(copy, DeleteMode::Final, None)
        .await
        .unwrap();
    let value = marked("written");
    let written = secrets.put_named("/some/team/new", &value).await;
    let deleted = secrets.delete_named(&others, DeleteMode::Final, None).await;
    for (what, ended) in [("write", written), ("delete", deleted.map(drop))] {
        let kind = ended.err().map(|error| error.kind());
        assert_eq!(kind, Some(ErrorKind::Denied), "{what}");
    }
    assert_eq!(place.there([&others]).await, [true]);
}
