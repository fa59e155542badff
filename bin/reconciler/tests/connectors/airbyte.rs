//! The same documents for Airbyte's own way of reading and writing: what we store it can read, and what
//! it would store we can.

use std::collections::BTreeMap;

use cloakroom_core::config::{
    Held, Registered, Revealed, hydrate, locate, mask, parse_json, platform_nodes,
};
use cloakroom_core::{SecretValue, ValueKind};
use cloakroom_reconciler::demo::connector::Connector;
use cloakroom_reconciler::demo::generator::CANARY;
use cloakroom_testkit::airbyte::documents::{self, NodeShape, Written};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::life::{Outcome, ensure};

/// A blob of ours, read by Airbyte, is the configuration with a text in place of each secret.
pub(crate) fn reads_ours<'h>(
    blob: &Value,
    secrets: impl Iterator<Item = (&'h Held, SecretValue)>,
    config: &Value,
) -> Outcome {
    let mut manager = BTreeMap::new();
    let mut expected = config.clone();
    for (held, value) in secrets {
        let text = value.expose_text().ok_or("a secret is no text")?.to_owned();
        if held.kind == ValueKind::Json {
            let place = expected.pointer_mut(&held.pointer);
            *place.ok_or("a reference leads nowhere")? = json!(text);
        }
        manager.insert(held.coordinate.to_string(), text);
    }
    let read = documents::read(blob, &BTreeMap::new(), &manager)
        .map_err(|name| format!("Airbyte does not find {name}"))?;
    ensure(read == expected, || {
        "Airbyte reads another configuration".into()
    })
}

/// What Airbyte would store of a connector's configurations is read by us as by it.
pub(crate) fn writes_and_we_read<'c>(
    connector: &Connector,
    configs: impl Iterator<Item = &'c Value>,
) -> Outcome {
    let spec = parse_json("read the spec", connector.text.as_bytes())?;
    let schema = spec.get("connectionSpecification").unwrap_or(&spec);
    let (mut secrets, mut stored) = (0, 0);
    for config in configs {
        // Some configurations Airbyte itself cannot store.
        let Ok(written) = documents::write(schema, config, &NodeShape::ALL) else {
            continue;
        };
        stored += 1;
        secrets += written.manager.len();
        let as_it_does = documents::read(&written.blob, &written.rows, &written.manager)?;
        ensure(hydrated(&written)? == as_it_does, || {
            "we read another configuration than Airbyte".into()
        })?;
        let shown = mask(connector.spec.compiled(), written.blob.clone(), [])?;
        ensure(!shown.to_string().contains(CANARY), || {
            "what Airbyte left in clear is shown".into()
        })?;
    }
    let hollow = stored > 0 && secrets == 0 && documents::finds_secrets(schema);
    ensure(!hollow, || "Airbyte stores none of its secrets".into())
}

fn hydrated(written: &Written) -> Outcome<Value> {
    let row = |id: Uuid| {
        Some(Registered {
            name: written.rows.get(&id)?.clone(),
            storage: Uuid::nil(),
        })
    };
    let located = locate(&platform_nodes(&written.blob)?, Uuid::nil(), row)?;
    let revealed = located.into_iter().map(|it| Revealed {
        value: written.manager[&it.name].clone().into(),
        pointer: it.pointer,
        kind: it.kind,
    });
    Ok(hydrate(written.blob.clone(), revealed)?.into_exposed())
}
