//! Digests whose key is gone: said, never passed over; and secrets written again under the first key.

use std::sync::Arc;

use cloakroom_core::keys::Key;
use cloakroom_core::store::DocumentStore as _;
use cloakroom_core::store::FindingKind::Incomparable;
use cloakroom_core::store::Job;
use cloakroom_core::{DeleteMode, DocumentId, ErrorKind, KeyRing, Revision, SecretBackend as _};
use cloakroom_documents::{Documents, Settings, Unprovable};
use cloakroom_reconcile::{Report, RunOptions};
use serde_json::{Value, json};

use crate::harness::{Kind, World};

const OLD: u8 = 7;
const NEW: u8 = 8;

fn ring(keys: &[u8]) -> KeyRing {
    KeyRing::new(keys.iter().map(|byte| Key::derive([*byte; 32])).collect()).unwrap()
}

fn documents(world: &World, keys: &[u8]) -> Documents {
    world.documents_under(Arc::new(ring(keys)), Settings::default())
}

fn config() -> Value {
    json!({"a": "value-a", "b": "value-b", "t": ["token-1", "token-1"], "host": "h"})
}

async fn read_all(world: &World) -> Report {
    let options = RunOptions {
        read_values: true,
        ..RunOptions::default()
    };
    world.run_with(Job::VerifyBlobs, &options).await.unwrap()
}

async fn revision(world: &World, id: DocumentId) -> Revision {
    world.db.document(id).await.unwrap().unwrap().revision
}

pub(crate) async fn one_that_can_be_compared_with_nothing_is_a_finding(kind: Kind, seed: u64) {
    let mut world = World::new(kind, seed).await;
    let id = world.create(config()).await.id;
    world.ring = ring(&[NEW]);
    let report = read_all(&world).await;
    assert_eq!(report.findings, [(Incomparable, 4)].into());
    assert_eq!(report.checked.values, 0, "nothing was compared");
    let old = ring(&[OLD]).current().id().to_string();
    for finding in world.findings(&report).await {
        assert_eq!(finding.document, Some(id));
        assert!(finding.detail.contains(&old), "{finding:?}");
    }
    // The mark still tells what it told.
    let report = world.run(Job::VerifyBlobs).await;
    assert_eq!(report.findings, [].into());
    world.ring = ring(&[NEW, OLD]);
    let report = read_all(&world).await;
    assert_eq!((report.findings, report.checked.values), ([].into(), 4));
    world.close().await;
}

pub(crate) async fn what_was_renewed_needs_the_first_key_alone(kind: Kind, seed: u64) {
    let mut world = World::new(kind, seed).await;
    let id = world.create(config()).await.id;
    let other = world.create(config()).await.id;
    let rotated = documents(&world, &[NEW, OLD]);
    let done = rotated
        .renew(id, Unprovable::Refuse)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(done.revision, Revision(2));
    assert_eq!(world.hydrated(id).await, config());
    let again = rotated.renew(id, Unprovable::Refuse).await.unwrap();
    assert_eq!(again, None, "there is nothing left to renew");

    // Without the old key the other document cannot be proved, and only trust renews it.
    let alone = documents(&world, &[NEW]);
    let refused = alone.renew(other, Unprovable::Refuse).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Corrupt, "{refused}");
    assert_eq!(revision(&world, other).await, Revision(1));
    alone
        .renew(other, Unprovable::Trust)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(world.hydrated(other).await, config());

    world.ring = ring(&[NEW]);
    let report = read_all(&world).await;
    assert_eq!((report.findings, report.checked.values), ([].into(), 8));
    world.quiet_time_and_passes().await;
    world.assert_nothing_unused("after a renewal").await;
    world.assert_nothing_in_use_is_gone("after a renewal").await;
    world.close().await;
}

/// Otherwise a value that somebody put there would from then on count as the one that was stored.
pub(crate) async fn a_value_that_is_another_is_never_renewed(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = world.create(config()).await.id;
    let coordinate = world.coordinate(id, "/a").await;
    let mark = world.mark(&coordinate).await;
    let gone = world.embedded.delete(&coordinate, DeleteMode::Final, None);
    gone.await.unwrap();
    world.plant(&coordinate, mark, "value-by-hand").await;
    let rotated = documents(&world, &[NEW, OLD]);
    for unprovable in [Unprovable::Refuse, Unprovable::Trust] {
        let refused = rotated.renew(id, unprovable).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Corrupt, "{refused}");
        assert!(refused.to_string().contains("/a"), "{refused}");
        assert!(!refused.to_string().contains("value-"), "{refused}");
    }
    assert_eq!(revision(&world, id).await, Revision(1));
    world.close().await;
}
