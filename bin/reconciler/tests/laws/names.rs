//! Whose a name is: late puts are found again, taken names are passed over, and what somebody else
//! wrote is never touched.

use cloakroom_core::ledger::RowState;
use cloakroom_core::store::Job;
use cloakroom_core::{
    Coordinate, DeleteMode, ErrorKind, Mark, SecretBackend as _, SecretState, StoreId,
};
use cloakroom_reconcile::Guard;
use cloakroom_testkit::canary::marked;
use serde_json::json;
use uuid::Uuid;

use crate::harness::{Kind, World, hours};

/// A document whose secret has been raised in vain: the number the attempt had.
async fn lost_attempt(world: &World, id: cloakroom_core::DocumentId) -> Coordinate {
    let before = world.coordinate(id, "/a").await;
    world.backend.faults.refuse("put", ErrorKind::Unavailable);
    world
        .try_update(id, json!({"a": "lost"}))
        .await
        .unwrap_err();
    world.backend.faults.clear();
    before.next_version().unwrap()
}

pub(crate) async fn a_put_that_lands_late_is_deleted_again(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = world.create(json!({"a": "one"})).await.id;
    let lost = lost_attempt(&world, id).await;
    world.clock.advance(hours(3));
    world.run(Job::ExpireOrphans).await;
    let row = world.row(&lost).await.unwrap();
    assert_eq!(
        row.state,
        RowState::Deleted,
        "nothing was there, and its row says so"
    );
    for time in 0..2 {
        let mark = Mark {
            digest: row.digest.clone(),
            ..world.mark(&lost).await
        };
        world.plant(&lost, mark, "lost").await;
        assert!(world.is_living(&lost).await);
        // A dry run sees it and leaves it.
        let report = world.dry_run(Job::ExpireOrphans).await;
        assert_eq!(
            report.deletions["resurfaced"].found, 1,
            "time {time}: {report:#?}"
        );
        assert!(world.is_living(&lost).await);
        let report = world.run(Job::ExpireOrphans).await;
        assert_eq!(
            report.deletions["resurfaced"].deleted, 1,
            "time {time}: {report:#?}"
        );
        assert!(!world.listed().await.contains_key(&lost));
        assert_eq!(world.row(&lost).await.unwrap().state, RowState::Deleted);
    }
    assert_eq!(world.hydrated(id).await, json!({"a": "one"}));
    world.close().await;
}

pub(crate) async fn a_name_taken_by_other_bytes_is_passed_over(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = world.create(json!({"a": "one"})).await.id;
    let taken = world.coordinate(id, "/a").await.next_version().unwrap();
    world
        .plant(&taken, world.mark(&taken).await, "other bytes")
        .await;
    world.update(id, json!({"a": "two"})).await;
    assert_eq!(world.coordinate(id, "/a").await.version().get(), 3);
    assert_eq!(world.hydrated(id).await, json!({"a": "two"}));
    // One that waits for its deletion is taken as well.
    let waiting = world.coordinate(id, "/a").await.next_version().unwrap();
    world
        .plant(&waiting, world.mark(&waiting).await, "more bytes")
        .await;
    let week = DeleteMode::Recoverable(hours(24 * 7));
    world.embedded.delete(&waiting, week, None).await.unwrap();
    world.update(id, json!({"a": "three"})).await;
    assert_eq!(world.coordinate(id, "/a").await.version().get(), 5);
    world.close().await;
}

pub(crate) async fn a_writer_gives_up_on_a_ledger_that_is_far_behind(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = world.create(json!({"a": "one"})).await.id;
    let mut taken = world.coordinate(id, "/a").await;
    for _ in 0..9 {
        taken = taken.next_version().unwrap();
        world
            .plant(&taken, world.mark(&taken).await, "other bytes")
            .await;
    }
    let refused = world.try_update(id, json!({"a": "two"})).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
    assert_eq!(world.hydrated(id).await, json!({"a": "one"}));
    world.close().await;
}

pub(crate) async fn somebody_elses_secret_is_never_touched(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = world.create(json!({"a": "one"})).await.id;
    let taken = world.coordinate(id, "/a").await.next_version().unwrap();
    let theirs = Mark {
        store: StoreId(Uuid::from_u128(9)),
        ..world.mark(&taken).await
    };
    world.plant(&taken, theirs, "theirs").await;
    world.update(id, json!({"a": "two"})).await;
    assert_eq!(world.hydrated(id).await, json!({"a": "two"}));
    assert_eq!(world.row(&taken).await.unwrap().state, RowState::Intended);
    world.clock.advance(hours(100));
    for _ in 0..2 {
        for job in Job::ALL {
            world.run(job).await;
        }
        world.clock.advance(hours(100));
    }
    let kept = world.embedded.get(&taken).await.unwrap();
    assert!(kept.value == marked("theirs"));
    let receipts = world.db.receipts(0, 100_000).await.unwrap().receipts;
    let receipt = receipts.iter().find(|it| it.coordinate == taken).unwrap();
    assert!(
        receipt
            .evidence
            .ends_with("; the name is held by somebody else's secret, which was left alone"),
        "gone is not what it is: {receipt:?}"
    );
    assert_eq!(world.row(&taken).await.unwrap().state, RowState::Deleted);
    world.close().await;
}

/// The same where the manager shows no mark at all, as on what a person made by hand.
pub(crate) async fn a_secret_without_a_mark_is_never_touched(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    world.create(json!({"a": "stays"})).await;
    let id = world.create(json!({"a": "one"})).await.id;
    let coordinate = world.coordinate(id, "/a").await;
    world.documents.remove(id, None).await.unwrap();
    let unmarked = coordinate.clone();
    world.backend.show(move |described| {
        if described.coordinate == unmarked {
            described.mark = None;
        }
    });
    world.clock.advance(hours(100));
    for job in Job::ALL {
        world.run(job).await;
    }
    assert_eq!(
        world.listed().await[&coordinate].state,
        SecretState::Enabled
    );
    world.close().await;
}

/// A clone of the database and its original share the manager. What the original wrote under a
/// number that the clone then intends bears our mark and is not ours.
pub(crate) async fn a_value_the_ledger_never_wrote_is_not_deleted_under_its_number(
    kind: Kind,
    seed: u64,
) {
    let world = World::new(kind, seed).await;
    let id = world.create(json!({"a": "one"})).await.id;
    let theirs = world.coordinate(id, "/a").await.next_version().unwrap();
    world
        .plant(&theirs, world.mark(&theirs).await, "in use by the original")
        .await;
    world.update(id, json!({"a": "two"})).await;
    assert_eq!(world.coordinate(id, "/a").await.version().get(), 3);
    for _ in 0..3 {
        world.clock.advance(hours(100));
        for job in [Job::ExpireOrphans, Job::DeleteSuperseded] {
            let report = world.run(job).await;
            let trip = report
                .guards
                .iter()
                .find(|trip| trip.guard == Guard::UnknownMarked);
            assert!(
                trip.is_some(),
                "the ledger never wrote it, so it is unknown: {report:#?}"
            );
            assert!(
                world.is_living(&theirs).await,
                "{job} took what the ledger never wrote"
            );
        }
    }
    let overridden = cloakroom_reconcile::RunOptions {
        overrides: Guard::ALL.into(),
        ..cloakroom_reconcile::RunOptions::default()
    };
    for job in [
        Job::ExpireOrphans,
        Job::DeleteSuperseded,
        Job::ExpireOrphans,
    ] {
        world.run_with(job, &overridden).await.unwrap();
        assert!(
            world.is_living(&theirs).await,
            "{job} took what the ledger never wrote"
        );
    }
    world.close().await;
}
