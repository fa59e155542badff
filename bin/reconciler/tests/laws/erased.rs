//! What was in a SQLite database in clear and is no longer in any row is no longer in its files.

use cloakroom_core::SecretJson;
use cloakroom_documents::{DocumentSpec, Put};
use cloakroom_testkit::canary::{MARKER, assert_clean};
use serde_json::json;

use crate::harness::{Kind, World, workspace};

/// A configuration that was put under a spec without marks, and put again under one that has them. Short
/// ones lie within a page, long ones have pages of their own.
async fn mended(world: &World) {
    for (length, removed) in [(1, false), (2_000, false), (2_000, true)] {
        let value = format!("{MARKER}-{}", "v".repeat(length));
        let config = || SecretJson::new(json!({"a": value, "host": "x".repeat(length)}));
        let unmarked = json!({"type": "object", "properties": {
            "a": {"type": "string"}, "host": {"type": "string"}
        }});
        let unmarked = DocumentSpec::compile(&unmarked).unwrap();
        let spec = crate::harness::spec();
        let put = |id, spec| Put {
            id,
            workspace: workspace(1),
            spec,
            config: config(),
            if_revision: None,
        };
        let done = world.documents.put(put(None, &unmarked)).await.unwrap();
        assert!(dump(world).await.contains(MARKER), "it is there in clear");
        if removed {
            world.documents.remove(done.id, None).await.unwrap();
        } else {
            let again = put(Some(done.id), &spec);
            world.documents.put(again).await.unwrap();
        }
        assert!(!dump(world).await.contains(MARKER));
    }
}

async fn dump(world: &World) -> String {
    world.dump().await.join("\n")
}

fn assert_files_are_clean(world: &World, when: &str) {
    let files = world.files();
    assert!(!files.is_empty());
    for file in files {
        assert_clean(when, &file);
    }
}

pub(crate) async fn once_the_log_is_written_back(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    mended(&world).await;
    if kind == Kind::Sqlite {
        world
            .behind_the_back("PRAGMA wal_checkpoint(TRUNCATE)")
            .await;
        assert_files_are_clean(&world, "a file behind a checkpoint");
    }
    world.close().await;
}

pub(crate) async fn once_the_last_process_ends(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    mended(&world).await;
    if kind == Kind::Postgres {
        return world.close().await;
    }
    world.db.close().await;
    assert_files_are_clean(&world, "a file of a database that was closed");
}
