//! What an undo brought back or a move left is looked at in the manager for as long as it is held.

use cloakroom_core::capabilities::ListOrder;
use cloakroom_core::ledger::RowState;
use cloakroom_core::store::{FindingKind, Job, Receipts as _, RunOutcome};
use cloakroom_core::{Coordinate, DeleteMode, ErrorKind, SecretBackend as _};
use cloakroom_reconcile::{Report, RunOptions, Silent, UndoFate};
use serde_json::json;

use crate::harness::house::House;
use crate::harness::{Kind, MILLISECOND, World, hours};
use crate::rescue::{Danger, endanger, is_safe};
use crate::undos::{WEEK, deleted, orphans, undo};

/// A world with held secrets, and something in use.
pub(crate) async fn held(
    kind: Kind,
    seed: u64,
    count: usize,
    order: ListOrder,
) -> (World, Vec<Coordinate>) {
    let mut world = World::with_capabilities(kind, seed, |it| it.list_order = order).await;
    world.settings.page = 1;
    let held = orphans(&world, count).await;
    let run = deleted(&world).await.run;
    let (report, _) = undo(&world, run).await;
    assert_eq!(report.of(UndoFate::Restored), count as u64, "{report:#?}");
    (world, held)
}

/// A look that changes nothing, and the run.
async fn verify(world: &World) -> (Report, Report) {
    let dry = RunOptions {
        dry_run: true,
        ..RunOptions::default()
    };
    let before = world.dump().await;
    let dry = world.run_with(Job::VerifyBlobs, &dry).await.unwrap();
    assert_eq!(world.dump().await, before, "a dry run changes nothing");
    (dry, world.run(Job::VerifyBlobs).await)
}

pub(crate) async fn in_danger_it_is_rescued(kind: Kind, seed: u64) {
    for order in [ListOrder::Coordinate, ListOrder::Unspecified] {
        let (world, held) = held(kind, seed, 2, order).await;
        for danger in [Danger::Waiting, Danger::Expiring, Danger::Both] {
            endanger(&world, &held[0], danger).await;
            let plan = world.reconciler();
            let plan = plan.plan(Job::VerifyBlobs, &world.id(), 100, &Silent).await;
            let plan = plan.unwrap();
            assert_eq!((plan.rescues.len(), plan.findings.len()), (1, 0));
            let [rescue] = &*plan.rescues else {
                panic!("{plan:#?}");
            };
            assert_eq!((&rescue.coordinate, rescue.document), (&held[0], None));
            assert!(rescue.evidence.contains("held, and"), "{rescue:?}");
            let (dry, report) = verify(&world).await;
            assert_eq!((dry.rescued, report.rescued), (0, 1), "{report:#?}");
            for told in [&dry, &report] {
                assert_eq!(told.findings, [(FindingKind::Endangered, 1)].into());
                let [found] = &*told.examples else {
                    panic!("{told:#?}");
                };
                assert_eq!(found.coordinate.as_ref(), Some(&held[0]));
                assert_eq!(found.document, None);
                assert!(found.detail.contains("holds it until"), "{found:?}");
            }
            assert!(is_safe(&world, &held[0]).await);
            let row = world.row(&held[0]).await.unwrap();
            assert_eq!(row.state, RowState::Held);
            let receipts = world.db.receipts_of(report.run, 0, 10).await.unwrap();
            let [receipt] = &*receipts else {
                panic!("{receipts:#?}");
            };
            assert_eq!(receipt.reason, "rescued");
            assert!(receipt.evidence.contains("held, and"), "{receipt:#?}");
            assert!(!verify(&world).await.1.has_findings());
        }
        world.db.verify_receipts().await.unwrap();
        world.close().await;
    }
}

/// A plan rescues what is held too, as long as it is.
pub(crate) async fn in_danger_a_plan_rescues_it(kind: Kind, seed: u64) {
    let (world, held) = held(kind, seed, 2, ListOrder::Coordinate).await;
    for coordinate in &held {
        endanger(&world, coordinate, Danger::Waiting).await;
    }
    let reconciler = world.reconciler();
    let backend = world.id();
    let plan = reconciler.plan(Job::VerifyBlobs, &backend, 1, &Silent);
    let plan = plan.await.unwrap();
    let planned = plan.rescues[0].coordinate.clone();
    let options = RunOptions::default();
    let report = reconciler.apply(&plan, &options, &Silent).await.unwrap();
    assert_eq!((report.rescued, report.unrestored), (1, 0), "{report:#?}");
    for coordinate in &held {
        assert_eq!(is_safe(&world, coordinate).await, *coordinate == planned);
    }
    let plan = reconciler.plan(Job::VerifyBlobs, &backend, 100, &Silent);
    let plan = plan.await.unwrap();
    world.clock.advance(hours(WEEK));
    let report = reconciler.apply(&plan, &options, &Silent).await.unwrap();
    assert_eq!(report.rescued, 0, "nobody holds it any more: {report:#?}");
    world.close().await;
}

pub(crate) async fn what_is_gone_is_told(kind: Kind, seed: u64) {
    for order in [ListOrder::Coordinate, ListOrder::Unspecified] {
        let (world, held) = held(kind, seed, 3, order).await;
        world
            .embedded
            .delete(&held[1], DeleteMode::Final, None)
            .await
            .unwrap();
        let until = world.row(&held[1]).await.unwrap().unreferenced_since;
        let (dry, report) = verify(&world).await;
        for told in [&dry, &report] {
            assert_eq!(told.findings, [(FindingKind::LedgerMismatch, 1)].into());
            let [found] = &*told.examples else {
                panic!("{told:#?}");
            };
            assert_eq!(found.coordinate.as_ref(), Some(&held[1]));
            let until = until.unwrap().to_string();
            for word in ["does not have it", "holds it until", &until] {
                assert!(found.detail.contains(word), "{found:?}");
            }
        }
        assert_eq!(report.rescued, 0);
        // What is sure of nothing is no finding.
        world.backend.faults.refuse("describe", ErrorKind::Denied);
        let unsure = world.try_run(Job::VerifyBlobs).await;
        let found = unsure.map(|report| report.findings).unwrap_or_default();
        assert_eq!(found.get(&FindingKind::LedgerMismatch), None);
        world.backend.faults.clear();
        // Once the hold is over it is of no use, and nobody looks for it.
        world.clock.advance(hours(WEEK));
        world.clock.advance(MILLISECOND);
        let report = world.run(Job::VerifyBlobs).await;
        assert_eq!(report.outcome, RunOutcome::Done);
        assert!(!report.has_findings(), "{report:#?}");
        world.close().await;
    }
}

/// The way back of a move is kept from those who delete in the manager.
pub(crate) async fn what_a_move_left_is_rescued(kind: Kind, seed: u64) {
    let house = House::new(kind, seed).await;
    let id = house.world.create(json!({"a": "one"})).await.id;
    let old = house.world.coordinate(id, "/a").await;
    let moved = house.copy_all("first").await;
    endanger(&house.world, &old, Danger::Waiting).await;
    let report = house.run(Job::VerifyBlobs, &house.world.id()).await;
    assert_eq!(report.rescued, 1, "{report:#?}");
    assert!(house.living(&house.world.backend).await.contains(&old));
    let report = house.run(Job::VerifyBlobs, house.other.id()).await;
    assert!(!report.has_findings(), "{report:#?}");
    let report = house.reverse(moved).await.unwrap();
    assert_eq!((report.returned, report.copied), (1, 0), "{report:#?}");
    house.close().await;
}
