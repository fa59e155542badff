//! Hydrating follows the references recorded for the document, and reads it once more where it was
//! just updated.

use std::sync::Arc;

use cloakroom_backends_embedded::EmbeddedBackend;
use cloakroom_core::keys::Key;
use cloakroom_core::ledger::Damage;
use cloakroom_core::store::{FindingKind, Job};
use cloakroom_core::{BackendSet, DeleteMode, ErrorKind, KeyRing, SecretBackend as _, SecretJson};
use cloakroom_documents::{ChangeKind, Documents, Put, Settings};
use cloakroom_testkit::canary::marked;
use serde_json::json;

use crate::harness::faults::Call;
use crate::harness::{Fate, Kind, MASK, ONCE, World, hours, spec, unmarked, until, workspace};
use crate::remembered::damage_marks;

pub(crate) async fn never_a_coordinate_in_the_blob(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = world
        .create(json!({"a": "value-a", "b": "value-b"}))
        .await
        .id;
    let other = world.create(json!({"a": "somebody else's"})).await.id;
    let stored = world.documents.stored(id).await.unwrap();
    // Its own nodes swapped, another document's node, and no coordinate at all.
    let (a, b) = (stored["a"].clone(), stored["b"].clone());
    let theirs = World::node(&world.coordinate(other, "/a").await);
    for (in_a, in_b, at) in [
        (b.clone(), a.clone(), "/a"),
        (theirs.clone(), theirs.clone(), "/a"),
        (a.clone(), theirs, "/b"),
        (json!({"_secret": ""}), b.clone(), "/a"),
        (a.clone(), json!({"_secret": null}), "/b"),
    ] {
        let blob = json!({"a": in_a, "b": in_b}).to_string();
        world.replace_blob(id, &blob).await;
        let refused = world.try_hydrated(id).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Corrupt, "{refused}");
        assert_eq!(refused.subject(), Some(at), "{blob}: {refused}");
        let shown = format!("{refused} {refused:?}");
        assert!(
            !shown.contains("value-") && !shown.contains("else's"),
            "{shown}"
        );
        // What is recorded stays with what is put again as it was read.
        let masked = world.documents.masked(id).await.unwrap();
        let changes = world.update(id, masked).await.changes;
        assert!(
            changes.iter().all(|it| it.change == ChangeKind::Kept),
            "{changes:?}"
        );
        let mended = json!({"a": "value-a", "b": "value-b"});
        assert_eq!(world.hydrated(id).await, mended, "{blob}");
    }
    world.close().await;
}

/// Whoever hydrates and verify-blobs agree on which documents somebody changed in the database.
pub(crate) async fn what_verify_blobs_finds_amiss_in_its_nodes_is_refused(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let config = json!({"a": "value-a", "b": "value-b", "t": ["value-t"], "host": "h"});
    let id = world.create(config.clone()).await.id;
    let stored = world.documents.stored(id).await.unwrap();
    let with = |place: &str, value: serde_json::Value| {
        let mut blob = stored.clone();
        blob[place] = value;
        blob
    };
    let beside = |key: &str| {
        let mut node = stored["a"].clone();
        node[key] = json!("5675437d-ea6b-4f9a-9a0c-d76066004841");
        node
    };
    for (blob, amiss) in [
        (stored.clone(), false),
        (with("a", beside("_secret_reference_id")), false),
        (with("a", beside("_secret_storage_id")), false),
        (with("host", json!({"b": 1})), false),
        (with("a", stored["b"].clone()), true),
        (with("t", json!([stored["a"]])), true),
        (with("a", json!({"_secret": ""})), true),
        (with("a", json!({"_secret_storage_id": "x"})), true),
        (with("b", json!(null)), true),
        (with("t", json!([])), true),
        (with("t", json!([null, stored["t"][0]])), true),
        (with("c", stored["a"].clone()), true),
        (with("host", stored["a"].clone()), true),
    ] {
        world.replace_blob(id, &blob.to_string()).await;
        let report = world.run(Job::VerifyBlobs).await;
        let found = world.found(&report).await;
        let about_nodes = [FindingKind::UnrecordedNode, FindingKind::LostNode];
        assert_eq!(
            about_nodes.iter().any(|it| found.contains_key(it)),
            amiss,
            "{blob}"
        );
        match world.try_hydrated(id).await {
            Ok(hydrated) => assert!(!amiss && hydrated["a"] == config["a"], "{blob}"),
            Err(error) => assert!(
                amiss && error.kind() == ErrorKind::Corrupt,
                "{blob}: {error}"
            ),
        }
    }
    world.close().await;
}

pub(crate) async fn a_place_without_a_node_is_no_place(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = world.create(json!({"a": "value-a", "host": "h"})).await.id;
    for blob in [
        json!({"a": "text", "host": "h"}),
        json!({"host": "h"}),
        json!([]),
    ] {
        world.replace_blob(id, &blob.to_string()).await;
        let refused = world.try_hydrated(id).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Corrupt, "{refused}");
    }
    world.close().await;
}

pub(crate) async fn what_was_just_updated_is_read_once_more(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = world.create(json!({"a": "one"})).await.id;
    let one = world.coordinate(id, "/a").await;
    // Between the reading of the document and that of its values: another version, and the old
    // one is gone.
    for gone in [DeleteMode::Final, DeleteMode::Recoverable(hours(24 * 7))] {
        let before = world.coordinate(id, "/a").await;
        let documents = world.documents_with(Settings {
            put: ONCE,
            ..Settings::default()
        });
        let value = format!("after {gone:?}");
        let mut hydrating = Box::pin(documents.hydrate(id));
        world.backend.faults.set(|call| {
            if call.number == 0 {
                Fate::Hold
            } else {
                Fate::Pass
            }
        });
        assert!(
            until(hydrating.as_mut(), || world.backend.faults.is_holding())
                .await
                .is_none()
        );
        world.update(id, json!({"a": value})).await;
        world.embedded.delete(&before, gone, None).await.unwrap();
        world.backend.faults.let_go();
        let hydrated = hydrating.await.unwrap();
        assert_eq!(unmarked(hydrated.into_exposed())["a"], value);
    }
    assert_ne!(world.coordinate(id, "/a").await, one);
    world.close().await;
}

pub(crate) async fn what_is_missing_for_good_says_so_and_asks_once(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = world.create(json!({"a": "one"})).await.id;
    let one = world.coordinate(id, "/a").await;
    world
        .embedded
        .delete(&one, DeleteMode::Final, None)
        .await
        .unwrap();
    world.backend.faults.clear();
    let missing = world.try_hydrated(id).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Missing, "{missing}");
    assert!(missing.to_string().contains(one.as_str()) && missing.to_string().contains("/a"));
    assert_eq!(
        world.backend.faults.calls(),
        1,
        "the document had not changed"
    );
    world.close().await;
}

/// What hydrating found missing is not said to be kept without a word, and its value is written again.
pub(crate) async fn what_is_missing_is_written_by_putting_it_again(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let both = json!({"a": "one", "b": "two"});
    let id = world.create(both.clone()).await.id;
    let one = world.coordinate(id, "/a").await;
    let gone = world.embedded.delete(&one, DeleteMode::Final, None);
    gone.await.unwrap();
    let missing = world.try_hydrated(id).await.unwrap_err();
    let told = missing.to_string();
    assert!(
        told.contains("put the document again with the value"),
        "{told}"
    );
    assert_eq!(world.row(&one).await.unwrap().damage, Some(Damage::Missing));
    let before = world.dump().await;
    assert!(world.try_hydrated(id).await.unwrap_err().is_missing());
    assert_eq!(world.dump().await, before, "it is written down once");

    let changes = world
        .update(id, json!({"a": MASK, "b": MASK}))
        .await
        .changes;
    let told: Vec<_> = changes.iter().map(|it| (it.change, it.damaged)).collect();
    let kept = ChangeKind::Kept;
    assert_eq!(told, [(kept, true), (kept, false)], "{changes:?}");
    let changes = world.update(id, both.clone()).await.changes;
    let told: Vec<_> = changes.iter().map(|it| it.change).collect();
    let wanted = [ChangeKind::Raised, kept, ChangeKind::Unreferenced];
    assert_eq!(told, wanted, "{changes:?}");
    assert!(changes.iter().all(|it| !it.damaged), "{changes:?}");
    assert_eq!(world.hydrated(id).await, both);
    world.close().await;
}

/// Another value, or one that cannot be read back: what was put is written by putting it again.
pub(crate) async fn what_is_not_what_was_put_is_written_by_putting_it_again(kind: Kind, seed: u64) {
    for unreadable in [false, true] {
        let world = World::new(kind, seed).await;
        let both = json!({"a": "one", "b": "two"});
        let id = world.create(both.clone()).await.id;
        let one = world.coordinate(id, "/a").await;
        if unreadable {
            damage_marks(&world, std::slice::from_ref(&one));
        } else {
            let mark = world.embedded.get(&one).await.unwrap().mark.unwrap();
            let gone = world.embedded.delete(&one, DeleteMode::Final, None);
            gone.await.unwrap();
            world.plant(&one, mark, "by hand").await;
        }
        let hydrated = async || match world.try_hydrated(id).await {
            Ok(config) => {
                assert_eq!(config, json!({"a": "by hand", "b": "two"}));
                assert!(!unreadable);
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                let todo = "put the document again with the value";
                assert!(unreadable && error.to_string().contains(todo), "{error}");
            }
        };
        hydrated().await;
        let row = world.row(&one).await.unwrap();
        assert_eq!(row.damage, Some(Damage::Different));
        let before = world.dump().await;
        hydrated().await;
        assert_eq!(world.dump().await, before, "it is written down once");

        let masked = json!({"a": MASK, "b": MASK});
        let changes = world.update(id, masked).await.changes;
        let told: Vec<_> = changes.iter().map(|it| (it.change, it.damaged)).collect();
        let kept = ChangeKind::Kept;
        assert_eq!(told, [(kept, true), (kept, false)], "{changes:?}");
        let changes = world.update(id, both.clone()).await.changes;
        let told: Vec<_> = changes.iter().map(|it| it.change).collect();
        let wanted = [ChangeKind::Raised, kept, ChangeKind::Unreferenced];
        assert_eq!(told, wanted, "{changes:?}");
        assert_eq!(world.hydrated(id).await, both);
        world.close().await;
    }
}

/// That it is back says nothing of its value: what was missing, and came back as another, is not forgotten.
pub(crate) async fn another_value_is_remembered_although_it_was_missing_before(
    kind: Kind,
    seed: u64,
) {
    let world = World::new(kind, seed).await;
    let id = world.create(json!({"a": "one"})).await.id;
    let one = world.coordinate(id, "/a").await;
    let mark = world.embedded.get(&one).await.unwrap().mark.unwrap();
    let take_away = async || {
        let gone = world.embedded.delete(&one, DeleteMode::Final, None);
        gone.await.unwrap();
    };
    let damage = async || world.row(&one).await.unwrap().damage;
    take_away().await;
    assert!(world.try_hydrated(id).await.unwrap_err().is_missing());
    assert_eq!(damage().await, Some(Damage::Missing));
    world.plant(&one, mark.clone(), "by hand").await;
    assert_eq!(world.hydrated(id).await, json!({"a": "by hand"}));
    assert_eq!(damage().await, Some(Damage::Different));
    let verified = async || {
        let report = world.run(Job::VerifyBlobs).await;
        world.found(&report).await
    };
    assert_eq!(verified().await, [(FindingKind::Altered, 1)].into());

    // Missing once more, and back as it was: by its mark alone it is nobody's right value.
    take_away().await;
    assert_eq!(verified().await, [(FindingKind::Dangling, 1)].into());
    assert!(world.try_hydrated(id).await.unwrap_err().is_missing());
    world.plant(&one, mark, "by hand").await;
    assert_eq!(verified().await, [(FindingKind::Altered, 1)].into());
    assert_eq!(damage().await, Some(Damage::Different));
    let changes = world.update(id, json!({"a": "one"})).await.changes;
    assert_eq!(changes[0].change, ChangeKind::Raised, "{changes:?}");
    assert_eq!(world.hydrated(id).await, json!({"a": "one"}));
    world.close().await;
}

/// With its key it is what it was: neither a value nor a digest whose key is gone says anything of it.
pub(crate) async fn what_no_key_is_there_for_is_not_written_down(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = world.create(json!({"a": "one"})).await.id;
    let one = world.coordinate(id, "/a").await;
    let other = Arc::new(KeyRing::new(vec![Key::derive([8; 32])]).unwrap());
    let documents = world.documents_under(other.clone(), Settings::default());
    documents.hydrate(id).await.unwrap();
    assert_eq!(world.row(&one).await.unwrap().damage, None);

    let sealed = EmbeddedBackend::new(
        world.id(),
        crate::harness::database::pool_of(&world.db),
        other,
        Arc::new(world.random.stream("other nonces")),
        Some(Arc::new(world.clock.clone())),
    );
    let documents = Documents::new(
        world.store.clone(),
        BackendSet::new(vec![Arc::new(sealed)], world.id()).unwrap(),
        Arc::new(world.ring.clone()),
        Arc::new(world.random.stream("other documents")),
        Settings::default(),
    );
    let error = documents.hydrate(id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert_eq!(world.row(&one).await.unwrap().damage, None);
    assert_eq!(world.hydrated(id).await, json!({"a": "one"}));
    world.close().await;
}

/// Neither what is no answer, nor what waits for its deletion, nor a value behind another one's back.
pub(crate) async fn only_what_is_missing_is_written_down_as_missing(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = world.create(json!({"a": "one"})).await.id;
    let one = world.coordinate(id, "/a").await;
    let damage = async || world.row(&one).await.unwrap().damage;
    let documents = world.documents_with(Settings {
        put: ONCE,
        ..Settings::default()
    });
    for kind in [
        ErrorKind::Unavailable,
        ErrorKind::Denied,
        ErrorKind::Throttled,
    ] {
        world.backend.faults.set(move |_| Fate::Before(kind));
        let unsure = documents.hydrate(id).await.unwrap_err();
        assert_eq!(unsure.kind(), kind, "{unsure}");
    }
    world.backend.faults.clear();
    let waiting = DeleteMode::Recoverable(hours(24 * 7));
    world.embedded.delete(&one, waiting, None).await.unwrap();
    let error = world.try_hydrated(id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ScheduledForDeletion, "{error}");
    assert_eq!(damage().await, None);
    // Where it cannot be written down, the answer is the same.
    world.embedded.restore(&one).await.unwrap();
    let gone = world.embedded.delete(&one, DeleteMode::Final, None);
    gone.await.unwrap();
    let refuse = |call: &Call<'_>| match call.operation {
        "report_damage" => Fate::Before(ErrorKind::Unavailable),
        _ => Fate::Pass,
    };
    world.store.faults.set(refuse);
    assert!(world.try_hydrated(id).await.unwrap_err().is_missing());
    world.store.faults.clear();
    assert_eq!(damage().await, None);
    world.close().await;
}

/// Whoever holds an older blob can still read what it names for the grace.
pub(crate) async fn an_older_version_is_readable_for_the_grace(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = world.create(json!({"a": "one"})).await.id;
    let one = world.coordinate(id, "/a").await;
    world.update(id, json!({"a": "two"})).await;
    world.clock.advance(hours(23));
    for job in Job::ALL {
        world.run(job).await;
    }
    assert!(world.embedded.get(&one).await.unwrap().value == marked("one"));
    world.close().await;
}

pub(crate) async fn ephemerals_open_nothing_else(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = world.create(json!({"a": "value-a"})).await.id;
    let named = World::node(&world.coordinate(id, "/a").await);
    for blob in [
        json!({"a": named}),
        json!({"x": [named]}),
        json!({"a": {"_secret": "x"}}),
    ] {
        let refused = world.documents.hydrate_ephemeral(blob).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Denied, "{refused}");
    }
    world.close().await;
}

pub(crate) async fn writers_are_kept_apart(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let done = world.create(json!({"a": "one"})).await;
    let put = |workspace, if_revision| {
        let (world, id) = (&world, done.id);
        async move {
            let spec = spec();
            let config = SecretJson::new(json!({"a": "two"}));
            let put = Put {
                id: Some(id),
                workspace,
                spec: &spec,
                config,
                if_revision,
            };
            world.documents.put(put).await
        }
    };
    let before = world.dump().await;
    let other = put(workspace(2), None).await.unwrap_err();
    assert_eq!(other.kind(), ErrorKind::Invalid, "{other}");
    let stale = cloakroom_core::Revision(done.revision.0 + 1);
    let stale = put(workspace(1), Some(stale)).await.unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::Conflict, "{stale}");
    assert_eq!(world.dump().await, before);
    let removed = world
        .documents
        .remove(done.id, Some(cloakroom_core::Revision(7)))
        .await;
    assert_eq!(removed.unwrap_err().kind(), ErrorKind::Conflict);
    put(workspace(1), Some(done.revision)).await.unwrap();
    world.documents.remove(done.id, None).await.unwrap();
    for gone in [
        put(workspace(1), None).await.map(drop),
        world.documents.remove(done.id, None).await.map(drop),
        world.documents.hydrate(done.id).await.map(drop),
        world.documents.masked(done.id).await.map(drop),
    ] {
        assert_eq!(gone.unwrap_err().kind(), ErrorKind::Missing);
    }
    world.close().await;
}
