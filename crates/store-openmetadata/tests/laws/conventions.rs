//! What is secret is found where OpenMetadata itself does not look: in lists and maps.

use std::collections::BTreeSet;

use cloakroom_core::platform::DefectKind;
use serde_json::json;

use crate::support::{Bench, id, keys, seal};

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
