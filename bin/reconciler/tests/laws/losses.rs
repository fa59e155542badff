//! No put lets go of a secret that whoever wrote it could not know of.

use cloakroom_core::ErrorKind;
use cloakroom_core::store::FindingKind::LostNode;
use cloakroom_core::store::Job;
use cloakroom_core::{Coordinate, DocumentId};
use cloakroom_documents::ChangeKind;
use serde_json::{Value, json};

use crate::harness::{Kind, MASK, World};

fn config() -> Value {
    json!({"a": "value-a", "b": "value-b", "host": "h"})
}

async fn world_with_one(kind: Kind, seed: u64) -> (World, DocumentId, Coordinate) {
    let world = World::new(kind, seed).await;
    let id = world.create(config()).await.id;
    let coordinate = world.coordinate(id, "/a").await;
    (world, id, coordinate)
}

/// Neither the document nor a row of the ledger changes.
async fn assert_refused(world: &World, id: DocumentId, update: Value, pointer: &str) {
    let before = world.dump().await;
    let refused = world.try_update(id, update).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");
    assert_eq!(refused.subject(), Some(pointer), "{refused}");
    assert_eq!(world.dump().await, before);
}

pub(crate) async fn a_lost_node_takes_no_secret_with_it(kind: Kind, seed: u64) {
    let (world, id, coordinate) = world_with_one(kind, seed).await;
    let mut blob = world.documents.stored(id).await.unwrap();
    blob.as_object_mut().unwrap().remove("a");
    world.replace_blob(id, &blob.to_string()).await;
    let report = world.run(Job::VerifyBlobs).await;
    let findings = world.findings(&report).await;
    let [finding] = &findings[..] else {
        panic!("{findings:?}")
    };
    assert_eq!(finding.kind, LostNode);
    assert_eq!(finding.coordinate.as_ref(), Some(&coordinate));

    // What was stored, put back, and an edit made without looking.
    let without = json!({"b": MASK, "host": "h"});
    assert_refused(&world, id, blob, "/a").await;
    assert_refused(&world, id, without.clone(), "/a").await;
    // What is read and put back keeps it.
    let read = world.documents.masked(id).await.unwrap();
    assert_eq!(read, json!({"a": MASK, "b": MASK, "host": "h"}));
    let changes = world.update(id, read).await.changes;
    assert!(changes.iter().all(|it| it.change == ChangeKind::Kept));
    assert_eq!(world.coordinate(id, "/a").await, coordinate);
    assert_eq!(world.hydrated(id).await, config());
    let report = world.run(Job::VerifyBlobs).await;
    assert!(world.findings(&report).await.is_empty());
    // And now it can be let go as any other.
    let changes = world.update(id, without).await.changes;
    let last = changes.last().unwrap();
    assert_eq!(last.change, ChangeKind::Unreferenced);
    assert_eq!(last.coordinate, coordinate.as_str());
    world.close().await;
}

pub(crate) async fn a_broken_blob_takes_no_secret_with_it(kind: Kind, seed: u64) {
    let (world, id, coordinate) = world_with_one(kind, seed).await;
    world.replace_blob(id, "{\"a\": ").await;
    let part = json!({"b": "value-b", "host": "h"});
    assert_refused(&world, id, part, "/a").await;
    world.update(id, config()).await;
    assert_eq!(world.coordinate(id, "/a").await, coordinate);
    assert_eq!(world.hydrated(id).await, config());
    world.close().await;
}

pub(crate) async fn a_mask_elsewhere_takes_no_secret_with_it(kind: Kind, seed: u64) {
    let (world, id, _) = world_with_one(kind, seed).await;
    let moved = json!({"x": {"a": MASK}, "b": MASK, "host": "h"});
    assert_refused(&world, id, moved, "/x/a").await;
    let plain = json!({"b": MASK, "host": MASK});
    assert_refused(&world, id, plain, "/host").await;
    assert_eq!(world.hydrated(id).await, config());
    world.close().await;
}
