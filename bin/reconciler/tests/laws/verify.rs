//! verify-blobs finds exactly what was planted, claims nothing it does not know, and what it found is
//! put right by putting the document again.

use std::collections::BTreeMap;
use std::sync::Arc;

use cloakroom_backends_embedded::EmbeddedBackend;
use cloakroom_core::capabilities::ListOrder;
use cloakroom_core::store::FindingKind::{
    Altered, BrokenBlob, ClearText, Dangling, Disabled, LedgerMismatch, LostNode, NotOurs,
    Unreadable, UnrecordedNode,
};
use cloakroom_core::store::{FindingKind, Job, Journal as _, RunOutcome};
use cloakroom_core::{
    BackendId, BackendSet, Coordinate, DeleteMode, DocumentId, ErrorKind, Mark, SecretBackend as _,
    SecretState,
};
use cloakroom_reconcile::{Reconciler, Report, RunOptions, Silent};
use serde_json::{Value, json};

use crate::harness::{Fate, Kind, World, hours};

type Found = BTreeMap<FindingKind, u64>;

async fn verify(world: &World, read_values: bool) -> Report {
    let options = RunOptions {
        read_values,
        ..RunOptions::default()
    };
    world.run_with(Job::VerifyBlobs, &options).await.unwrap()
}

async fn found(world: &World, read_values: bool) -> Found {
    let report = verify(world, read_values).await;
    world.found(&report).await
}

fn config() -> Value {
    json!({"a": "value-a", "b": "value-b", "t": ["token-1", "token-2"], "host": "h"})
}

/// Something planted in one document, and what is found then, without and with reading values.
async fn assert_finds(
    world: &World,
    id: DocumentId,
    without: &[(FindingKind, u64)],
    with: &[(FindingKind, u64)],
    place: Option<&str>,
) {
    for (read_values, expected) in [(false, without), (true, with)] {
        // A dry run finds the same and writes nothing.
        let before = world.dump().await;
        let options = RunOptions {
            read_values,
            dry_run: true,
            ..RunOptions::default()
        };
        let dry = world.run_with(Job::VerifyBlobs, &options).await.unwrap();
        assert_eq!(world.dump().await, before, "a dry run changes nothing");
        let report = verify(world, read_values).await;
        let expected: Found = expected.iter().copied().collect();
        assert_eq!(
            world.found(&report).await,
            expected,
            "values read: {read_values}"
        );
        assert_eq!(
            dry.findings, expected,
            "in a dry run, values read: {read_values}"
        );
        assert_eq!(report.outcome, RunOutcome::Done);
        for finding in world.findings(&report).await {
            assert_eq!(finding.document, Some(id), "{finding:?}");
            assert!(!finding.detail.contains("value-") && !finding.detail.contains("token-"));
            if place.is_some() {
                assert_eq!(finding.pointer.as_deref(), place, "{finding:?}");
            }
        }
    }
}

async fn world_with_one(kind: Kind, seed: u64) -> (World, DocumentId, Coordinate) {
    let world = World::new(kind, seed).await;
    world.create(config()).await;
    let id = world.create(config()).await.id;
    let coordinate = world.coordinate(id, "/a").await;
    (world, id, coordinate)
}

/// Puts the same values again: what was damaged is written anew, the rest is kept, and all is well.
async fn assert_repaired(world: &World, id: DocumentId, raised: &[&str]) {
    let done = world.update(id, config()).await;
    let written: Vec<&str> = done
        .changes
        .iter()
        .filter(|change| {
            use cloakroom_documents::ChangeKind::{New, Raised};
            matches!(change.change, Raised | New)
        })
        .map(|change| change.pointer.as_str())
        .collect();
    assert_eq!(written, raised);
    assert_eq!(world.hydrated(id).await, config());
    assert_eq!(found(world, true).await, Found::new());
    // And the next put writes nothing again.
    world.backend.faults.clear();
    world.update(id, config()).await;
    assert!(
        !world
            .backend
            .faults
            .log()
            .iter()
            .any(|call| call.starts_with("put"))
    );
    world.quiet_time_and_passes().await;
    world.assert_nothing_unused("after a repair").await;
}

pub(crate) async fn nothing_on_a_clean_store(kind: Kind, seed: u64) {
    for order in [ListOrder::Coordinate, ListOrder::Unspecified] {
        let world = World::with_capabilities(kind, seed, |it| it.list_order = order).await;
        world.backend.pages_of(3);
        let ids = [
            world.create(config()).await.id,
            world.create(config()).await.id,
        ];
        // Versions of two digits sort before those of one.
        for number in 0..12 {
            world
                .update(
                    ids[0],
                    json!({"a": format!("value-{number}"), "t": ["token-2"]}),
                )
                .await;
        }
        world
            .documents
            .put_ephemeral(
                &crate::harness::spec(),
                cloakroom_core::SecretJson::new(config()),
            )
            .await
            .unwrap();
        for read_values in [false, true] {
            let report = verify(&world, read_values).await;
            assert_eq!(world.found(&report).await, Found::new());
            assert_eq!(report.checked.references, 6);
            assert_eq!(report.checked.documents, 2);
            assert_eq!(report.checked.values, if read_values { 6 } else { 0 });
        }
        world.close().await;
    }
}

pub(crate) async fn small_pages_find_the_same(kind: Kind, seed: u64) {
    for order in [ListOrder::Coordinate, ListOrder::Unspecified] {
        let mut world = World::with_capabilities(kind, seed, |it| it.list_order = order).await;
        world.settings.page = 1;
        world.backend.pages_of(2);
        let mut lost = Vec::new();
        for _ in 0..4 {
            let id = world.create(config()).await.id;
            lost.push(world.coordinate(id, "/b").await);
        }
        for coordinate in &lost {
            world
                .embedded
                .delete(coordinate, DeleteMode::Final, None)
                .await
                .unwrap();
        }
        let report = verify(&world, true).await;
        assert_eq!(world.found(&report).await, [(Dangling, 4)].into());
        assert_eq!(
            (report.checked.references, report.checked.documents),
            (16, 4)
        );
        world.close().await;
    }
}

pub(crate) async fn dangling(kind: Kind, seed: u64) {
    let (world, id, coordinate) = world_with_one(kind, seed).await;
    world
        .embedded
        .delete(&coordinate, DeleteMode::Final, None)
        .await
        .unwrap();
    assert_finds(&world, id, &[(Dangling, 1)], &[(Dangling, 1)], Some("/a")).await;
    // A mask cannot bring it back; the value can.
    let masked = world
        .update(id, json!({"a": "**********", "b": "value-b"}))
        .await;
    assert_eq!(world.coordinate(masked.id, "/a").await, coordinate);
    world
        .update(
            id,
            json!({"a": "value-a", "b": "value-b", "t": ["token-1", "token-2"], "host": "h"}),
        )
        .await;
    assert_repaired(&world, id, &[]).await;
    world.close().await;
}

pub(crate) async fn dangling_is_taken_back(kind: Kind, seed: u64) {
    let (world, id, coordinate) = world_with_one(kind, seed).await;
    let stored = world.embedded.get(&coordinate).await.unwrap();
    world
        .embedded
        .delete(&coordinate, DeleteMode::Final, None)
        .await
        .unwrap();
    assert_eq!(found(&world, false).await, [(Dangling, 1)].into());
    assert!(world.row(&coordinate).await.unwrap().damage.is_some());
    world
        .plant(&coordinate, stored.mark.unwrap(), "value-a")
        .await;
    assert_eq!(found(&world, false).await, Found::new());
    assert_eq!(
        world.row(&coordinate).await.unwrap().damage,
        None,
        "the flag is taken back"
    );
    assert_repaired(&world, id, &[]).await;
    world.close().await;
}

pub(crate) async fn altered_mark(kind: Kind, seed: u64) {
    let (world, id, coordinate) = world_with_one(kind, seed).await;
    let digest = world.mark(&coordinate).await.digest;
    let set = format!(
        "UPDATE embedded_secrets SET digest = '{digest}' WHERE coordinate = '{coordinate}'"
    );
    world.behind_the_back(&set).await;
    let options = RunOptions {
        read_values: true,
        ..RunOptions::default()
    };
    let report = world.run_with(Job::VerifyBlobs, &options).await.unwrap();
    assert_eq!(
        world.found(&report).await,
        [(Altered, 1)].into(),
        "{report:#?}"
    );
    assert_finds(&world, id, &[(Altered, 1)], &[(Altered, 1)], Some("/a")).await;
    world.close().await;
}

pub(crate) async fn altered_value(kind: Kind, seed: u64) {
    let (world, id, coordinate) = world_with_one(kind, seed).await;
    let mark = world.embedded.get(&coordinate).await.unwrap().mark.unwrap();
    world
        .embedded
        .delete(&coordinate, DeleteMode::Final, None)
        .await
        .unwrap();
    world.plant(&coordinate, mark, "value-by-hand").await;
    assert_finds(&world, id, &[], &[(Altered, 1)], Some("/a")).await;
    // Only reading could tell, so only reading takes it back: until then it stays amiss.
    let report = verify(&world, false).await;
    assert_eq!(world.found(&report).await, [(Altered, 1)].into());
    assert!(world.row(&coordinate).await.unwrap().damage.is_some());
    assert_repaired(&world, id, &["/a"]).await;
    world.close().await;
}

pub(crate) async fn unreadable(kind: Kind, seed: u64) {
    let (world, id, coordinate) = world_with_one(kind, seed).await;
    let bytes = match kind {
        Kind::Sqlite => "X'00112233445566778899aabbccddeeff00112233'",
        Kind::Postgres => "'\\x00112233445566778899aabbccddeeff00112233'",
    };
    let set = format!(
        "UPDATE embedded_secrets SET ciphertext = {bytes} WHERE coordinate = '{coordinate}'"
    );
    world.behind_the_back(&set).await;
    assert_finds(&world, id, &[], &[(Unreadable, 1)], Some("/a")).await;
    let broken = world.try_hydrated(id).await.unwrap_err();
    assert_eq!(broken.kind(), ErrorKind::Corrupt, "{broken}");
    // The value put again is the repair the finding asks for.
    assert_repaired(&world, id, &["/a"]).await;
    world.close().await;
}

pub(crate) async fn not_ours(kind: Kind, seed: u64) {
    let (world, id, coordinate) = world_with_one(kind, seed).await;
    let mark = world.embedded.get(&coordinate).await.unwrap().mark.unwrap();
    let mark = Mark {
        store: cloakroom_core::StoreId(uuid::Uuid::from_u128(9)),
        ..mark
    };
    world
        .embedded
        .delete(&coordinate, DeleteMode::Final, None)
        .await
        .unwrap();
    world.plant(&coordinate, mark, "value-a").await;
    assert_finds(&world, id, &[(NotOurs, 1)], &[(NotOurs, 1)], Some("/a")).await;
    world.close().await;
}

pub(crate) async fn disabled(kind: Kind, seed: u64) {
    let (world, id, coordinate) = world_with_one(kind, seed).await;
    world.backend.show(move |described| {
        if described.coordinate == coordinate {
            described.state = SecretState::Disabled;
        }
    });
    assert_finds(&world, id, &[(Disabled, 1)], &[(Disabled, 1)], Some("/a")).await;
    world.close().await;
}

fn show_as(world: &World, coordinate: &Coordinate, state: SecretState) {
    let shown = coordinate.clone();
    world.backend.show(move |described| {
        if described.coordinate == shown {
            described.state = state;
        }
    });
}

/// Until somebody enables it, only the value put again helps, and it does.
pub(crate) async fn disabled_is_written_anew(kind: Kind, seed: u64) {
    let (world, id, coordinate) = world_with_one(kind, seed).await;
    show_as(&world, &coordinate, SecretState::Disabled);
    assert_eq!(found(&world, false).await, [(Disabled, 1)].into());
    let masked = json!({"a": "**********", "b": "value-b"});
    world.update(id, masked).await;
    assert_eq!(world.coordinate(id, "/a").await, coordinate);
    world.update(id, config()).await;
    assert_ne!(world.coordinate(id, "/a").await, coordinate);
    assert_repaired(&world, id, &[]).await;
    world.close().await;
}

pub(crate) async fn disabled_is_taken_back(kind: Kind, seed: u64) {
    let (world, id, coordinate) = world_with_one(kind, seed).await;
    show_as(&world, &coordinate, SecretState::Disabled);
    assert_eq!(found(&world, false).await, [(Disabled, 1)].into());
    assert!(world.row(&coordinate).await.unwrap().damage.is_some());
    world.backend.straighten();
    assert_eq!(found(&world, false).await, Found::new());
    assert_eq!(world.row(&coordinate).await.unwrap().damage, None);
    assert_repaired(&world, id, &[]).await;
    assert_eq!(world.coordinate(id, "/a").await, coordinate);
    world.close().await;
}

/// What is left of a secret without its value is no secret.
pub(crate) async fn destroyed(kind: Kind, seed: u64) {
    let (world, id, coordinate) = world_with_one(kind, seed).await;
    show_as(&world, &coordinate, SecretState::Destroyed);
    assert_finds(&world, id, &[(Dangling, 1)], &[(Dangling, 1)], Some("/a")).await;
    world.update(id, config()).await;
    assert_ne!(world.coordinate(id, "/a").await, coordinate);
    assert_repaired(&world, id, &[]).await;
    world.close().await;
}

pub(crate) async fn clear_text(kind: Kind, seed: u64) {
    let (world, id, _) = world_with_one(kind, seed).await;
    let mut blob = world.documents.stored(id).await.unwrap();
    blob["c"] = json!("value-in-clear");
    world.replace_blob(id, &blob.to_string()).await;
    let expected = [(ClearText, 1)];
    assert_finds(&world, id, &expected, &expected, Some("/c")).await;
    assert_repaired(&world, id, &[]).await;
    world.close().await;
}

pub(crate) async fn broken_blob(kind: Kind, seed: u64) {
    let (world, id, _) = world_with_one(kind, seed).await;
    world
        .replace_blob(id, "{\"a\": {\"_secret\": \"value-cut-of")
        .await;
    let expected = [(BrokenBlob, 1)];
    assert_finds(&world, id, &expected, &expected, None).await;
    for read in [
        world.documents.masked(id).await.map(drop),
        world.documents.stored(id).await.map(drop),
        world.documents.hydrate(id).await.map(drop),
    ] {
        let error = read.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(!format!("{error:?}").contains("cut-of"), "{error:?}");
    }
    // Without the blob nobody knows what stood where in an array, so that is written anew.
    assert_repaired(&world, id, &["/t/0", "/t/1"]).await;
    world.close().await;
}

pub(crate) async fn unrecorded_node(kind: Kind, seed: u64) {
    let (world, id, _) = world_with_one(kind, seed).await;
    let other = world.create(config()).await.id;
    let mut blob = world.documents.stored(id).await.unwrap();
    blob["c"] = World::node(&world.coordinate(other, "/a").await);
    world.replace_blob(id, &blob.to_string()).await;
    let expected = [(UnrecordedNode, 1)];
    assert_finds(&world, id, &expected, &expected, Some("/c")).await;
    world.close().await;
}

pub(crate) async fn lost_node(kind: Kind, seed: u64) {
    let (world, id, _) = world_with_one(kind, seed).await;
    let mut blob = world.documents.stored(id).await.unwrap();
    blob.as_object_mut().unwrap().remove("a");
    world.replace_blob(id, &blob.to_string()).await;
    let expected = [(LostNode, 1)];
    assert_finds(&world, id, &expected, &expected, Some("/a")).await;
    world.close().await;
}

pub(crate) async fn ledger_mismatch(kind: Kind, seed: u64) {
    let (world, id, coordinate) = world_with_one(kind, seed).await;
    let set = format!(
        "UPDATE secrets SET state = 'deleting', next_attempt_at = 9223372036854775807 \
         WHERE coordinate = '{coordinate}'"
    );
    world.behind_the_back(&set).await;
    let expected = [(LedgerMismatch, 1)];
    assert_finds(&world, id, &expected, &expected, Some("/a")).await;
    world.close().await;
}

/// A referenced secret whose row says deleting is not deleted, whatever says so.
pub(crate) async fn a_referenced_row_in_deletion_is_spared(kind: Kind, seed: u64) {
    let (world, id, coordinate) = world_with_one(kind, seed).await;
    for set in [
        "state = 'deleting', next_attempt_at = 0",
        "state = 'deleted', deleted_at = 0",
    ] {
        world
            .behind_the_back(&format!(
                "UPDATE secrets SET {set} WHERE coordinate = '{coordinate}'"
            ))
            .await;
        world.clock.advance(hours(1));
        for job in Job::ALL {
            world.run(job).await;
        }
        assert_eq!(world.hydrated(id).await, config(), "{set}");
    }
    world.close().await;
}

pub(crate) async fn a_miss_in_a_listing_is_asked_about(kind: Kind, seed: u64) {
    let (world, _, coordinate) = world_with_one(kind, seed).await;
    world
        .backend
        .hide(move |listed| listed.coordinate == coordinate);
    assert_eq!(found(&world, false).await, Found::new());
    world.backend.hide(|_| true);
    assert_eq!(found(&world, true).await, Found::new());
    world.close().await;
}

pub(crate) async fn an_unsure_answer_is_never_a_finding(kind: Kind, seed: u64) {
    for order in [ListOrder::Coordinate, ListOrder::Unspecified] {
        let world = World::with_capabilities(kind, seed, |it| it.list_order = order).await;
        let id = world.create(config()).await.id;
        let coordinate = world.coordinate(id, "/a").await;
        // Every question about it has to be a direct one.
        let hidden = coordinate.clone();
        world
            .backend
            .hide(move |listed| listed.coordinate == hidden);
        let unsure = [
            ErrorKind::Unavailable,
            ErrorKind::Throttled,
            ErrorKind::Denied,
        ];
        for (operation, read_values) in [("describe", false), ("describe", true), ("get", true)] {
            for kind in unsure {
                let asked = coordinate.clone();
                world.backend.faults.set(move |call| {
                    let this = call.operation == operation && call.coordinate == Some(&asked);
                    if this { Fate::Before(kind) } else { Fate::Pass }
                });
                world.clock.advance(crate::harness::MILLISECOND);
                let options = RunOptions {
                    read_values,
                    ..RunOptions::default()
                };
                let failed = world
                    .run_with(Job::VerifyBlobs, &options)
                    .await
                    .unwrap_err();
                assert_eq!(failed.kind(), kind, "{operation}: {failed}");
                let run = world.db.runs(1).await.unwrap().remove(0);
                assert_eq!(run.outcome, Some(RunOutcome::Failed));
                assert_eq!(run.report["findings"], json!({}), "{operation}, {kind}");
                assert!(world.db.findings(run.id, 0, 10).await.unwrap().is_empty());
                assert_eq!(world.row(&coordinate).await.unwrap().damage, None);
            }
        }
        world.backend.faults.clear();
        assert_eq!(found(&world, true).await, Found::new());
        world.close().await;
    }
}

/// What a run found before it failed is not lost: the journal has every finding that the report
/// counts.
pub(crate) async fn a_failed_run_keeps_what_it_found(kind: Kind, seed: u64) {
    let mut world = World::new(kind, seed).await;
    world.settings.page = 1;
    let mut coordinates = Vec::new();
    for _ in 0..3 {
        let id = world.create(json!({"a": "value-a"})).await.id;
        coordinates.push(world.coordinate(id, "/a").await);
    }
    coordinates.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    for coordinate in &coordinates[..2] {
        world
            .embedded
            .delete(coordinate, DeleteMode::Final, None)
            .await
            .unwrap();
    }
    let (last, hidden) = (coordinates[2].clone(), coordinates[2].clone());
    world
        .backend
        .hide(move |listed| listed.coordinate == hidden);
    world.backend.faults.set(move |call| {
        let this = call.operation == "describe" && call.coordinate == Some(&last);
        if this {
            Fate::Before(ErrorKind::Unavailable)
        } else {
            Fate::Pass
        }
    });
    world.try_run(Job::VerifyBlobs).await.unwrap_err();
    let run = world.db.runs(1).await.unwrap().remove(0);
    assert_eq!(run.report["findings"]["dangling"], 2, "{}", run.report);
    assert_eq!(world.db.findings(run.id, 0, 10).await.unwrap().len(), 2);
    world.close().await;
}

/// One secret that may not be asked about does not hide what is wrong with the others.
pub(crate) async fn one_denied_secret_hides_no_other(kind: Kind, seed: u64) {
    let mut world =
        World::with_capabilities(kind, seed, |it| it.list_order = ListOrder::Unspecified).await;
    world.settings.page = 1;
    let mut coordinates = Vec::new();
    for _ in 0..4 {
        let id = world.create(json!({"a": "value-a"})).await.id;
        coordinates.push(world.coordinate(id, "/a").await);
    }
    coordinates.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    let week = DeleteMode::Recoverable(hours(24 * 7));
    world
        .embedded
        .delete(&coordinates[3], week, None)
        .await
        .unwrap();
    let denied = coordinates[0].clone();
    world.backend.faults.set(move |call| {
        let this = call.operation == "describe" && call.coordinate == Some(&denied);
        if this {
            Fate::Before(ErrorKind::Denied)
        } else {
            Fate::Pass
        }
    });
    let failed = world.try_run(Job::VerifyBlobs).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Denied);
    assert!(
        world.is_living(&coordinates[3]).await,
        "it was in use and in danger: {failed}"
    );
    world.close().await;
}

/// What is amiss in a document is found without the manager.
pub(crate) async fn documents_are_read_although_the_manager_is_away(kind: Kind, seed: u64) {
    let (world, id, _) = world_with_one(kind, seed).await;
    let mut blob = world.documents.stored(id).await.unwrap();
    blob["c"] = json!("value-in-clear");
    world.replace_blob(id, &blob.to_string()).await;
    for kind in [ErrorKind::Unavailable, ErrorKind::Denied] {
        world.backend.faults.set(move |_| Fate::Before(kind));
        let failed = world.try_run(Job::VerifyBlobs).await.unwrap_err();
        assert_eq!(failed.kind(), kind, "{failed}");
        let run = world.db.runs(1).await.unwrap().remove(0);
        assert_eq!(run.outcome, Some(RunOutcome::Failed));
        assert_eq!(run.report["findings"]["clear_text"], 1, "{}", run.report);
        assert_eq!(world.db.findings(run.id, 0, 10).await.unwrap().len(), 1);
    }
    world.close().await;
}

/// References into a backend that no job is at would be verified and cleared by nobody, in silence.
pub(crate) async fn a_backend_the_configuration_lost_is_named(kind: Kind, seed: u64) {
    let (world, _, _) = world_with_one(kind, seed).await;
    let other: BackendId = "other".parse().unwrap();
    let backend = EmbeddedBackend::new(
        other.clone(),
        crate::harness::database::pool_of(&world.db),
        Arc::new(world.ring.clone()),
        Arc::new(world.random.stream("other nonces")),
        Some(Arc::new(world.clock.clone())),
    );
    let reconciler = Reconciler::new(
        world.store.clone(),
        BackendSet::new(vec![Arc::new(backend)], other.clone()).unwrap(),
        Arc::new(world.ring.clone()),
        Arc::new(world.random.stream("other jobs")),
        world.settings.clone(),
        world.stop.clone(),
    );
    let options = RunOptions::default();
    let report = reconciler
        .run(Job::VerifyBlobs, &other, &options, &Silent)
        .await
        .unwrap();
    // Two documents of four secrets each.
    assert_eq!(world.found(&report).await, [(LedgerMismatch, 8)].into());
    for finding in world.findings(&report).await {
        let said = "backend embedded is not configured";
        assert!(finding.detail.contains(said), "{finding:?}");
        assert!(finding.pointer.is_some() && finding.coordinate.is_some());
    }
    world.close().await;
}

/// Each document comes with its whole blob, so a page of them is small whatever a page of rows is.
pub(crate) async fn documents_come_in_small_pages(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    for number in 0..101 {
        world.create(json!({"host": format!("h-{number}")})).await;
    }
    world.store.faults.clear();
    let report = verify(&world, false).await;
    assert_eq!(report.checked.documents, 101);
    let calls = world.store.faults.log();
    let pages = calls.iter().filter(|call| *call == "documents").count();
    assert_eq!(pages, 3, "a hundred, one, and none");
    world.close().await;
}
