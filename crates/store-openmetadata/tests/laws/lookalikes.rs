//! Values that begin as a reference does, and are none.

use std::collections::BTreeSet;

use cloakroom_core::platform::DefectKind;
use cloakroom_store_openmetadata::{Manager, OpenMetadataSource, Provider};
use serde_json::json;

use crate::support::{Bench, Everything, id, keys, scan, seal};

/// Passwords of people's, as far as a server with this provider can know.
const VALUES: [&str; 3] = ["secret:hunter2", "secrets:hunter2/x", "secret:hunter2 !"];

/// Services with these texts sealed in a field each, and again in a text of history.
async fn with_sealed(bench: &Bench, texts: &[&str]) {
    bench.with_a_table().await;
    bench.sql("CREATE TABLE notes (v text)").await;
    for (at, text) in texts.iter().enumerate() {
        let sealed = seal(&keys(), text);
        let service = json!({
            "id": format!("00000000-0000-4000-8000-00000000000{at}"), "name": format!("s{at}"),
            "connection": {"config": {"password": sealed}}
        });
        let twice = json!({"old": [sealed, seal(&keys(), &format!("[{sealed}]"))]});
        let statement = format!(
            "INSERT INTO dbservice_entity (json, nameHash) VALUES ('{service}', '{at}'); \
             INSERT INTO notes VALUES ('{twice}')"
        );
        bench.sql(&statement).await;
    }
}

async fn found(bench: &Bench, provider: Provider) -> Everything {
    let mut options = bench.options();
    options.provider = provider;
    let (found, report) = scan(&OpenMetadataSource::new(options).unwrap()).await;
    assert_eq!(report.obstacles, []);
    found
}

fn nowhere(found: &Everything) -> usize {
    let defects = found.defects.iter();
    defects
        .filter(|it| it.kind == DefectKind::ReferenceToNowhere)
        .count()
}

/// Without a manager a server resolves nothing: only what it would have named so itself was a reference once.
pub(crate) async fn without_a_manager_a_value_is_no_reference(bench: Bench) {
    let reference = format!("secret:{}", id(1));
    let texts = [VALUES[0], VALUES[1], VALUES[2], reference.as_str()];
    with_sealed(&bench, &texts).await;
    let found = found(&bench, Provider::Database).await;
    let shown = format!("{:?} {:?}", found.mentions, found.defects);
    assert!(!shown.contains("hunter2"), "{shown}");
    assert_eq!(nowhere(&found), 1, "{:?}", found.defects);
    assert!(!found.of(&id(1)).is_empty());
}

/// What older releases wrote for nothing is nothing sealed and in clear.
pub(crate) async fn the_text_null_is_nothing(bench: Bench) {
    with_sealed(&bench, &["null"]).await;
    let service = json!({
        "id": "00000000-0000-4000-8000-000000000009", "name": "old",
        "connection": {"config": {"password": "null", "authType": {"token": "null", "apiKey": "Null"}}}
    });
    let statement =
        format!("INSERT INTO dbservice_entity (json, nameHash) VALUES ('{service}', 'old')");
    bench.sql(&statement).await;
    let defects = bench.scan().await.0.defects;
    let pointers: Vec<_> = defects.iter().map(|it| it.pointer.as_deref()).collect();
    assert_eq!(pointers, [Some("/connection/config/authType/apiKey")]);
}

/// OpenMetadata keeps no secret in what something is called, nor anywhere else than in what leads to connections and
/// logins. What is sealed it has sealed, wherever it stands.
pub(crate) async fn a_name_is_no_reference(bench: Bench) {
    bench.with_a_table().await;
    let service = json!({
        "id": "00000000-0000-4000-8000-000000000001", "name": "secret:z", "displayName": "secret:",
        "fullyQualifiedName": "secret:z", "description": "secret:what/it/says", "owners": [{"name": "secret:owner"}],
        "extension": {"sealed": seal(&keys(), "secret:/own/sealed")},
        "connection": {"config": {
            "authType": {"oneOf": {"password": "secret:/own/choice"}},
            "hosts": ["secret:/own/list"],
            "options": {"sasl.password": "secrets:/own/map"},
        }}
    });
    let term = json!({
        "id": "00000000-0000-4000-8000-000000000002", "name": "secret:z", "displayName": "secret:",
        "description": "secret:z", "fullyQualifiedName": "secret:z", "tags": [{"tagFQN": "secret:z"}],
        "app": {"config": {"apiKey": "secret:/own/elsewhere"}},
    });
    let statement = format!(
        "INSERT INTO dbservice_entity (json, nameHash) VALUES ('{service}', '1'); \
         CREATE TABLE glossary_term_entity (json text); \
         INSERT INTO glossary_term_entity VALUES ('{term}')"
    );
    bench.sql(&statement).await;
    for provider in [
        Provider::Managed(Manager::Aws),
        Provider::NotManaged(Manager::Aws),
    ] {
        let found = found(&bench, provider).await;
        let names: BTreeSet<_> = found.mentions.iter().map(|it| &*it.name).collect();
        let own = ["choice", "elsewhere", "list", "map", "sealed"].map(|it| format!("/own/{it}"));
        let own: BTreeSet<_> = own.iter().map(String::as_str).collect();
        assert_eq!(names, own, "{provider:?}");
        assert_eq!(nowhere(&found), 0, "{:?}", found.defects);
    }
}

/// What no secret of the manager's can be called is told by its place alone.
pub(crate) async fn what_is_no_name_is_not_repeated(bench: Bench) {
    with_sealed(&bench, &VALUES[2..]).await;
    for provider in [
        Provider::Managed(Manager::Aws),
        Provider::NotManaged(Manager::AwsSsm),
        Provider::Managed(Manager::AzureKeyVault),
        Provider::Managed(Manager::Google),
        Provider::Managed(Manager::Kubernetes),
    ] {
        let found = found(&bench, provider).await;
        let shown = format!("{:?} {:?}", found.mentions, found.defects);
        assert!(!shown.contains("hunter2"), "{provider:?}: {shown}");
        assert_eq!(nowhere(&found), 1, "{provider:?}");
    }
}
