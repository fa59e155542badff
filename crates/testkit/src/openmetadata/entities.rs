//! Services, bots, pipelines and automations as OpenMetadata writes them.

use cloakroom_core::coordinates::openmetadata::Naming;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Deployment, Dialect, Holds, Planted};
use crate::canary;

/// A table of the generated database that holds entities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Services, by kind.
    Services(ServiceKind),
    /// `user_entity`
    Users,
    /// `ingestion_pipeline_entity`
    Pipelines,
    /// `automations_workflow`
    Workflows,
    /// `entity_extension`: versions that entities had.
    History,
}

/// What kind of service. Two of databases share a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceKind {
    /// Mysql, a database.
    Mysql,
    /// BigQuery, a database.
    BigQuery,
    /// Looker, a dashboard.
    Looker,
    /// Kafka, messaging.
    Kafka,
    /// Airflow, a pipeline service.
    Airflow,
    /// S3, a storage.
    S3,
    /// ElasticSearch, a search.
    ElasticSearch,
    /// Atlas, a metadata service.
    Atlas,
    /// SageMaker, a service of models.
    SageMaker,
}

impl ServiceKind {
    const ALL: [Self; 9] = [
        Self::Mysql,
        Self::BigQuery,
        Self::Looker,
        Self::Kafka,
        Self::Airflow,
        Self::S3,
        Self::ElasticSearch,
        Self::Atlas,
        Self::SageMaker,
    ];

    /// The first part of its ids.
    fn base(self) -> &'static str {
        match self {
            Self::Mysql | Self::BigQuery => "database",
            Self::Looker => "dashboard",
            Self::Kafka => "messaging",
            Self::Airflow => "pipeline",
            Self::S3 => "storage",
            Self::ElasticSearch => "search",
            Self::Atlas => "metadata",
            Self::SageMaker => "mlModel",
        }
    }

    /// Where its secret is in the entity.
    fn pointer(self) -> &'static str {
        match self {
            Self::Mysql | Self::ElasticSearch => "/connection/config/authType/password",
            Self::BigQuery => "/connection/config/credentials/gcpConfig/privateKey",
            Self::Looker => "/connection/config/clientSecret",
            Self::Kafka => "/connection/config/saslPassword",
            Self::Airflow => "/connection/config/connection/authType/password",
            Self::S3 | Self::SageMaker => "/connection/config/awsConfig/awsSecretAccessKey",
            Self::Atlas => "/connection/config/password",
        }
    }

    fn config(self, secret: &Value) -> Value {
        let aws = json!({"awsAccessKeyId": "generated", "awsSecretAccessKey": secret,
            "awsRegion": "eu-west-1", "assumeRoleSessionName": "OpenMetadataSession"});
        match self {
            Self::Mysql => json!({"type": "Mysql", "scheme": "mysql+pymysql", "username": "reader",
                "authType": {"password": secret}, "hostPort": "db.example.com:3306",
                "supportsMetadataExtraction": true}),
            Self::BigQuery => json!({"type": "BigQuery", "hostPort": "bigquery.example.com",
                "credentials": {"gcpConfig": {"type": "service_account", "projectId": "generated",
                    "privateKeyId": "generated", "privateKey": secret,
                    "clientEmail": "reader@example.com"}}}),
            Self::Looker => {
                json!({"type": "Looker", "clientId": "generated", "clientSecret": secret,
                "hostPort": "https://looker.example.com"})
            }
            Self::Kafka => json!({"type": "Kafka", "bootstrapServers": "kafka.example.com:9092",
                "saslUsername": "reader", "saslPassword": secret, "saslMechanism": "PLAIN",
                "consumerConfig": {"security.protocol": "SASL_SSL"}, "schemaRegistryConfig": {}}),
            Self::Airflow => json!({"type": "Airflow", "hostPort": "https://airflow.example.com",
                "connection": {"type": "Mysql", "username": "airflow", "authType": {"password": secret}}}),
            Self::S3 => json!({"type": "S3", "awsConfig": aws, "bucketNames": ["one", "two"]}),
            Self::SageMaker => json!({"type": "SageMaker", "awsConfig": aws}),
            Self::ElasticSearch => json!({"type": "ElasticSearch",
                "authType": {"username": "elastic", "password": secret}}),
            Self::Atlas => json!({"type": "Atlas", "username": "reader", "password": secret}),
        }
    }
}

impl Table {
    /// Every table of entities, once.
    pub(super) const ALL: [Self; 11] = [
        Self::Services(ServiceKind::Mysql),
        Self::Services(ServiceKind::Looker),
        Self::Services(ServiceKind::Kafka),
        Self::Services(ServiceKind::Airflow),
        Self::Services(ServiceKind::S3),
        Self::Services(ServiceKind::ElasticSearch),
        Self::Services(ServiceKind::Atlas),
        Self::Services(ServiceKind::SageMaker),
        Self::Users,
        Self::Pipelines,
        Self::Workflows,
    ];

    /// Its name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Services(ServiceKind::Mysql | ServiceKind::BigQuery) => "dbservice_entity",
            Self::Services(ServiceKind::Looker) => "dashboard_service_entity",
            Self::Services(ServiceKind::Kafka) => "messaging_service_entity",
            Self::Services(ServiceKind::Airflow) => "pipeline_service_entity",
            Self::Services(ServiceKind::S3) => "storage_service_entity",
            Self::Services(ServiceKind::ElasticSearch) => "search_service_entity",
            Self::Services(ServiceKind::Atlas) => "metadata_service_entity",
            Self::Services(ServiceKind::SageMaker) => "mlmodel_service_entity",
            Self::Users => "user_entity",
            Self::Pipelines => "ingestion_pipeline_entity",
            Self::Workflows => "automations_workflow",
            Self::History => "entity_extension",
        }
    }
}

/// A row before its secret is sealed.
pub(super) struct Row {
    table: Table,
    entity: Value,
    /// Where its secret goes, and what it says.
    secret: Option<(&'static str, String)>,
}

pub(super) const POINTER_IN_CLEAR: &str = "/connection/config/consumerConfig/sasl.password";

const POINTER_OF_BOTS: &str = "/authenticationMechanism/config/JWTToken";
const POINTER_OF_PIPELINES: &str =
    "/sourceConfig/config/dbtConfigSource/dbtSecurityConfig/awsSecretAccessKey";
const POINTER_OF_WORKFLOWS: &str = "/request/connection/config/password";

const SHARED_NAME: &str = "nightly dbt";

pub(super) fn holds(service: u32) -> Holds {
    match service % 10 {
        3 => Holds::Own,
        5 => Holds::Value,
        7 => Holds::Mask,
        _ => Holds::Managed,
    }
}

pub(super) fn is_in_clear(service: u32) -> bool {
    kind(service) == ServiceKind::Kafka && service % 2 == 1
}

pub(super) fn service_row(service: u32) -> Uuid {
    row_id(1, service)
}

pub(super) fn pipeline_id(naming: &Naming) -> String {
    let path = path(POINTER_OF_PIPELINES, 0);
    naming.id(&["pipeline", SHARED_NAME], &path)
}

pub(super) fn rows(it: &Deployment) -> impl Iterator<Item = Row> + '_ {
    let some = it.services.div_ceil(20);
    (0..it.services)
        .map(|index| service(it, index))
        .chain((0..some).map(|index| bot(it, index)))
        .chain(std::iter::once(person()))
        .chain((0..2).map(|index| pipeline(it, index)))
        .chain((0..some).map(|index| workflow(it, index)))
        .chain(std::iter::once(past(it)))
}

impl Row {
    pub(super) fn insert(&self, dialect: Dialect, seal: &dyn Fn(&str) -> String) -> String {
        let mut entity = self.entity.clone();
        if let Some((pointer, text)) = &self.secret
            && let Some(field) = entity.pointer_mut(pointer)
        {
            *field = Value::String(seal(text));
        }
        let text = entity.to_string().replace('\'', "''");
        let text = match dialect {
            Dialect::Postgres => text,
            Dialect::MySql => text.replace('\\', "\\\\"),
        };
        let table = self.table.name();
        let id = entity["id"].as_str().unwrap_or_default();
        if self.table == Table::History {
            return format!(
                "INSERT INTO {table} VALUES ('{id}', 'database.version.0.1', 'database', '{text}');\n"
            );
        }
        let hash = match dialect {
            Dialect::Postgres => "namehash",
            Dialect::MySql => "nameHash",
        };
        format!("INSERT INTO {table} (json, {hash}) VALUES ('{text}', '{id}');\n")
    }

    pub(super) fn planted(&self, it: &Deployment) -> Option<Planted> {
        let (pointer, text) = self.secret.as_ref()?;
        let id = text.strip_prefix("secret:")?;
        if self.table == Table::History {
            return None;
        }
        Some(Planted {
            id: id.to_owned(),
            table: self.table,
            row: self.entity["id"].as_str()?.parse().ok()?,
            pointer,
            deleted: self.entity["deleted"] == json!(true),
            own: !it.naming().is_under_prefix(id),
        })
    }
}

fn service(it: &Deployment, index: u32) -> Row {
    let kind = kind(index);
    let name = format!("{kind:?} No. {index}");
    let mut config = kind.config(&Value::Null);
    if is_in_clear(index) {
        config["consumerConfig"]["sasl.password"] = json!(format!("in-clear-{index}"));
    }
    let managed = || {
        it.naming()
            .id(&[kind.base(), &name], &path(kind.pointer(), 2))
    };
    let text = match holds(index) {
        Holds::Managed => format!("secret:{}", managed()),
        Holds::Own if it.naming().manager.leads() => format!("secret:/teams/own.{index}"),
        Holds::Own => format!("secret:teams-own-{index}"),
        Holds::Value => marked(&format!("service-{index}")),
        Holds::Mask => "*********".to_owned(),
    };
    Row {
        table: Table::Services(kind),
        entity: json!({
            "id": service_row(index), "name": name, "fullyQualifiedName": name,
            "serviceType": format!("{kind:?}"), "version": 0.1, "updatedAt": 1_760_000_000_000_u64,
            "updatedBy": "admin", "connection": {"config": config}, "tags": [],
            "deleted": index % 9 == 8
        }),
        secret: Some((kind.pointer(), text)),
    }
}

fn bot(it: &Deployment, index: u32) -> Row {
    let name = format!("ingestion-bot-{index}");
    let id = it.naming().id(&["bot", &name], &path(POINTER_OF_BOTS, 1));
    Row {
        table: Table::Users,
        entity: json!({
            "id": row_id(2, index), "name": name, "fullyQualifiedName": name, "isBot": true,
            "authenticationMechanism": {"authType": "JWT",
                "config": {"JWTToken": null, "JWTTokenExpiry": "Unlimited"}},
            "deleted": false
        }),
        secret: Some((POINTER_OF_BOTS, format!("secret:{id}"))),
    }
}

/// Somebody who logs in with a password, of which a hash is kept.
fn person() -> Row {
    Row {
        table: Table::Users,
        entity: json!({
            "id": row_id(3, 0), "name": "person", "isBot": false, "deleted": false,
            "authenticationMechanism": {"authType": "BASIC", "config": {
                "password": "$2a$12$generatedgeneratedgeneratedgeneratedgeneratedgenerat"}}
        }),
        secret: None,
    }
}

fn pipeline(it: &Deployment, index: u32) -> Row {
    Row {
        table: Table::Pipelines,
        entity: json!({
            "id": row_id(4, index), "name": SHARED_NAME,
            "fullyQualifiedName": format!("service-{index}.{SHARED_NAME}"), "pipelineType": "dbt",
            "sourceConfig": {"config": {"type": "DBT", "dbtConfigSource": {"dbtConfigType": "s3",
                "dbtSecurityConfig": {"awsAccessKeyId": "generated", "awsSecretAccessKey": null,
                    "awsRegion": "eu-west-1"}, "dbtPrefixConfig": {"dbtBucketName": "generated"}}}},
            "airflowConfig": {"scheduleInterval": "0 4 * * *"}, "deleted": false
        }),
        secret: Some((
            POINTER_OF_PIPELINES,
            format!("secret:{}", pipeline_id(it.naming())),
        )),
    }
}

fn workflow(it: &Deployment, index: u32) -> Row {
    let name = format!("test-connection-{index}");
    let id = it
        .naming()
        .id(&["workflow", &name], &path(POINTER_OF_WORKFLOWS, 0));
    Row {
        table: Table::Workflows,
        entity: json!({
            "id": row_id(5, index), "name": name, "workflowType": "TEST_CONNECTION",
            "status": "Successful", "request": {"serviceType": "Database", "connectionType": "Postgres",
                "connection": {"config": {"type": "Postgres", "username": "reader", "password": null}}}
        }),
        secret: Some((POINTER_OF_WORKFLOWS, format!("secret:{id}"))),
    }
}

/// A version of an entity that is gone.
fn past(it: &Deployment) -> Row {
    Row {
        table: Table::History,
        entity: json!({
            "id": row_id(6, 0), "name": "gone", "fullyQualifiedName": "gone", "deleted": false,
            "connection": {"config": ServiceKind::Mysql.config(&Value::Null)}
        }),
        secret: Some((
            ServiceKind::Mysql.pointer(),
            format!("secret:{}", it.in_history()),
        )),
    }
}

fn kind(service: u32) -> ServiceKind {
    ServiceKind::ALL[service as usize % ServiceKind::ALL.len()]
}

/// The property names on the way to a field, behind so many that no id has.
fn path(pointer: &'static str, behind: usize) -> Vec<&'static str> {
    pointer.split('/').skip(1 + behind).collect()
}

fn row_id(kind: u32, index: u32) -> Uuid {
    uuid::Builder::from_random_bytes(
        ((u128::from(kind) << 96) | (u128::from(index) + 1)).to_be_bytes(),
    )
    .into_uuid()
}

/// A value that is found wherever it leaks to.
fn marked(name: &str) -> String {
    let value = canary::marked(name);
    value.expose_text().unwrap_or_default().to_owned()
}
