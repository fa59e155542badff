//! The configuration of one connector, with what is amiss in some of them.

use serde_json::{Value, json};

use super::ids::{Kind, uuid};
use super::{Deployment, Field};

/// The place that the spec marks secret under `additionalProperties`.
pub(super) const POINTER_IN_CLEAR: &str = "/headers/authorization";

pub(super) fn is_in_clear(connector: u32) -> bool {
    connector % 100 == 7
}

pub(super) fn has_lost_reference(connector: u32) -> bool {
    connector % 100 == 11
}

pub(super) fn configuration(deployment: &Deployment, connector: u32) -> Value {
    let node = |field| node(deployment, connector, field);
    let streams: Vec<Value> = (0..6)
        .map(|index| {
            json!({
                "name": format!("public.orders_of_region_{index}"),
                "cursor": "updated_at",
                "columns": ["id", "customer_id", "updated_at", "amount", "comment"],
                "filter": "status in ('open', 'shipped') and region is not null"
            })
        })
        .collect();
    let mut headers = json!({"x-trace": node(Field::Password)});
    if is_in_clear(connector) {
        headers["authorization"] = json!(format!("in-clear-{connector:08}"));
    }
    json!({
        "host": format!("db-{connector}.internal.example.com"), "port": 5432,
        "database": "warehouse", "username": "reader", "password": node(Field::Password),
        "jdbc_url_params": "connectTimeout=20&sslmode=verify-full",
        "tunnel": {"method": "SSH_KEY", "host": "bastion.example.com", "key": node(Field::TunnelKey)},
        "credentials": {
            "auth_type": "oauth", "client_id": format!("client-{connector}"),
            "client_secret": node(Field::ClientSecret)
        },
        "replicas": [{"host": "replica-0", "token": node(Field::ReplicaToken)}],
        "headers": headers,
        "streams": streams
    })
}

fn node(deployment: &Deployment, connector: u32, field: Field) -> Value {
    let planted = deployment.planted(connector, field);
    let mut node = json!({"_secret": planted.coordinate.as_str()});
    if planted.has_rows {
        let lost = has_lost_reference(connector) && field == Field::TunnelKey;
        let reference = if lost {
            uuid(
                deployment.seed,
                Kind::Unused,
                u64::MAX - u64::from(connector),
            )
        } else {
            deployment.reference(connector, field)
        };
        node["_secret_reference_id"] = json!(reference);
    }
    node
}
