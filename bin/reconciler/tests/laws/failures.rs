//! Deletions that fail: tried again with growing pauses, parked after a few, released after a day;
//! a backend that is away parks nothing, and no unsure answer is taken for a deletion.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloakroom_core::ledger::RowState;
use cloakroom_core::store::{Job, RunOutcome};
use cloakroom_core::{Clock as _, Coordinate, ErrorKind};
use serde_json::json;
use tokio::time::Instant;

use crate::harness::{Fate, Kind, World, hours};

/// Orphans past their time, and something in use.
async fn orphans(world: &World, count: usize) -> Vec<Coordinate> {
    world.create(json!({"a": "stays"})).await;
    let mut orphans = Vec::new();
    for number in 0..count {
        let id = world
            .create(json!({"a": format!("orphan-{number}")}))
            .await
            .id;
        orphans.push(world.coordinate(id, "/a").await);
        world.documents.remove(id, None).await.unwrap();
    }
    world.clock.advance(hours(3));
    orphans
}

async fn state(world: &World, coordinate: &Coordinate) -> RowState {
    world.row(coordinate).await.unwrap().state
}

/// Only questions of this kind about this secret fail.
fn failing(world: &World, operation: &'static str, coordinate: &Coordinate, kind: ErrorKind) {
    let bad = coordinate.clone();
    world.backend.faults.set(move |call| {
        if call.operation == operation && call.coordinate == Some(&bad) {
            Fate::Before(kind)
        } else {
            Fate::Pass
        }
    });
}

pub(crate) async fn one_bad_item_is_tried_parked_and_released(kind: Kind, seed: u64) {
    for one_by_one in [true, false] {
        for operation in ["delete", "describe"] {
            let world = World::with_capabilities(kind, seed, |it| {
                it.delete_batch = if one_by_one { 1 } else { 500 };
            })
            .await;
            let orphans = orphans(&world, 5).await;
            failing(&world, operation, &orphans[2], ErrorKind::Denied);
            let mut pauses = Vec::new();
            for attempt in 1..=5 {
                let report = world.run(Job::ExpireOrphans).await;
                assert_eq!(
                    report.outcome,
                    RunOutcome::Partial,
                    "attempt {attempt}: {report:#?}"
                );
                assert_eq!(report.failed, 1, "attempt {attempt}: {report:#?}");
                for good in orphans.iter().filter(|it| **it != orphans[2]) {
                    assert!(!world.is_living(good).await, "{good} waited for a bad one");
                }
                let row = world.row(&orphans[2]).await.unwrap();
                assert_eq!(row.attempts, attempt);
                assert!(
                    row.last_error
                        .as_ref()
                        .is_some_and(|it| it.contains("denied")),
                    "{row:?}"
                );
                if attempt < 5 {
                    assert_eq!(row.state, RowState::Deleting);
                    let pause = row.next_attempt.unwrap().duration_since(world.clock.now());
                    pauses.push(pause.as_secs());
                    // Not a moment sooner.
                    let early = world.run(Job::ExpireOrphans).await;
                    assert_eq!(early.failed, 0, "{early:#?}");
                    assert_eq!(
                        (early.outcome, early.failed_before),
                        (RunOutcome::Partial, 1),
                        "what waits to be tried again is not done: {early:#?}"
                    );
                    assert_eq!(
                        world.dry_run(Job::ExpireOrphans).await.outcome,
                        RunOutcome::Done
                    );
                    world.clock.advance(Duration::try_from(pause).unwrap());
                }
            }
            for (pause, least) in pauses.iter().zip([60, 120, 240, 480]) {
                assert!(
                    (least..=least + least / 4 + 1).contains(pause),
                    "{pauses:?}"
                );
            }
            assert_eq!(state(&world, &orphans[2]).await, RowState::Quarantined);
            assert!(
                world.is_living(&orphans[2]).await,
                "nothing is claimed that did not happen"
            );
            world.clock.advance(hours(23));
            let parked = world.run(Job::ExpireOrphans).await;
            assert_eq!(
                (parked.failed, parked.outcome),
                (0, RunOutcome::Done),
                "{parked:#?}"
            );
            world.clock.advance(hours(1));
            let tried = world.run(Job::ExpireOrphans).await;
            assert_eq!(tried.failed, 1, "a day later it is tried again: {tried:#?}");
            // Once: a day says nothing of the item.
            let row = world.row(&orphans[2]).await.unwrap();
            assert_eq!((row.state, row.attempts), (RowState::Quarantined, 6));
            world.backend.faults.clear();
            world.clock.advance(hours(24));
            world.run(Job::ExpireOrphans).await;
            world
                .assert_nothing_unused("once it could be deleted")
                .await;
            world.close().await;
        }
    }
}

pub(crate) async fn a_backend_that_is_away_parks_nothing(kind: Kind, seed: u64) {
    for away in [ErrorKind::Unavailable, ErrorKind::Throttled] {
        for operation in ["describe", "delete"] {
            let mut world = World::new(kind, seed).await;
            world.settings.batch = 2;
            orphans(&world, 5).await;
            world.backend.faults.refuse(operation, away);
            for number in 0..30 {
                let report = world.run(Job::ExpireOrphans).await;
                assert_eq!(
                    report.outcome,
                    RunOutcome::Partial,
                    "run {number}: {report:#?}"
                );
                assert_eq!(
                    (report.quarantined, report.deleted()),
                    (0, 0),
                    "{report:#?}"
                );
                assert!(
                    report.failed <= 2,
                    "it ends at the first batch: {report:#?}"
                );
                world.clock.advance(hours(2));
            }
            assert!(
                world
                    .rows()
                    .await
                    .iter()
                    .all(|row| row.state != RowState::Quarantined)
            );
            assert_eq!(world.living().await.len(), 6);
            world.backend.faults.clear();
            for _ in 0..3 {
                world.clock.advance(hours(2));
                world.run(Job::ExpireOrphans).await;
            }
            world
                .assert_nothing_unused("once the backend is back")
                .await;
            world.close().await;
        }
    }
}

/// An outage says nothing about the items: the first true refusal behind it parks none of them.
pub(crate) async fn an_outage_counts_against_no_item(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let orphans = orphans(&world, 3).await;
    world
        .backend
        .faults
        .refuse("describe", ErrorKind::Unavailable);
    for _ in 0..10 {
        world.run(Job::ExpireOrphans).await;
        world.clock.advance(hours(2));
    }
    world.backend.faults.refuse("delete", ErrorKind::Denied);
    let report = world.run(Job::ExpireOrphans).await;
    assert_eq!((report.failed, report.quarantined), (3, 0), "{report:#?}");
    assert_eq!(state(&world, &orphans[0]).await, RowState::Deleting);
    world.close().await;
}

/// What another run took on, be it at work or dead, is that run's until its claim lapses: nobody tried it in
/// vain.
pub(crate) async fn what_another_run_is_at_has_not_failed(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let orphans = orphans(&world, 2).await;
    failing(&world, "delete", &orphans[0], ErrorKind::Denied);
    let report = world.run(Job::ExpireOrphans).await;
    assert_eq!(report.outcome, RunOutcome::Partial, "{report:#?}");
    world
        .behind_the_back("UPDATE secrets SET claimed_by = 'another' WHERE state = 'deleting'")
        .await;
    let beside = world.run(Job::ExpireOrphans).await;
    assert_eq!(
        (beside.waiting, beside.failed_before),
        (1, 0),
        "{beside:#?}"
    );
    assert_eq!(beside.outcome, RunOutcome::Done, "{beside:#?}");
    world.close().await;
}

pub(crate) async fn an_unsure_answer_deletes_nothing(kind: Kind, seed: u64) {
    for answer in [
        ErrorKind::Unavailable,
        ErrorKind::Throttled,
        ErrorKind::Denied,
        ErrorKind::Corrupt,
        ErrorKind::Invalid,
        ErrorKind::Unsupported,
    ] {
        let world = World::new(kind, seed).await;
        let orphans = orphans(&world, 3).await;
        failing(&world, "describe", &orphans[1], answer);
        let report = world.run(Job::ExpireOrphans).await;
        assert_eq!(
            (report.failed, report.deleted()),
            (1, 2),
            "{answer}: {report:#?}"
        );
        assert!(world.is_living(&orphans[1]).await, "{answer}");
        assert_eq!(
            state(&world, &orphans[1]).await,
            RowState::Deleting,
            "{answer}"
        );
        world.close().await;
    }
}

pub(crate) async fn a_lost_answer_to_a_deletion_is_settled_later(kind: Kind, seed: u64) {
    for one_by_one in [true, false] {
        let world = World::with_capabilities(kind, seed, |it| {
            it.delete_batch = if one_by_one { 1 } else { 500 }
        })
        .await;
        let orphans = orphans(&world, 3).await;
        let bad = orphans[1].clone();
        world.backend.faults.set(move |call| {
            if call.operation == "delete" && call.coordinate == Some(&bad) {
                Fate::After(ErrorKind::Unavailable)
            } else {
                Fate::Pass
            }
        });
        let report = world.run(Job::ExpireOrphans).await;
        assert_eq!(report.failed, 1, "{report:#?}");
        assert_eq!(state(&world, &orphans[1]).await, RowState::Deleting);
        world.backend.faults.clear();
        world.clock.advance(hours(2));
        let report = world.run(Job::ExpireOrphans).await;
        assert_eq!(report.failed, 0, "{report:#?}");
        assert_eq!(state(&world, &orphans[1]).await, RowState::Deleted);
        world.assert_nothing_unused("after a lost answer").await;
        world.close().await;
    }
}

pub(crate) async fn what_changed_since_it_was_described_is_described_again(kind: Kind, seed: u64) {
    // Preconditions are for managers that delete one by one.
    let world = World::with_capabilities(kind, seed, |it| it.delete_batch = 1).await;
    let orphans = orphans(&world, 1).await;
    // Between the description and the deletion somebody touches it in the manager.
    let (touched, database) = (orphans[0].clone(), world.db.clone());
    let touch = format!(
        "UPDATE embedded_secrets SET revision = revision + 1 WHERE coordinate = '{touched}'"
    );
    crate::harness::database::behind_the_back(&database, &touch).await;
    let stale = cloakroom_core::SecretBackend::describe(&world.embedded, &touched)
        .await
        .unwrap();
    crate::harness::database::behind_the_back(&database, &touch).await;
    let fresh = orphans[0].clone();
    let stale = stale.precondition;
    world.backend.show(move |described| {
        if described.coordinate == fresh {
            described.precondition.clone_from(&stale);
        }
    });
    let report = world.run(Job::ExpireOrphans).await;
    assert_eq!((report.failed, report.deleted()), (1, 0), "{report:#?}");
    assert!(
        world.is_living(&touched).await,
        "the precondition did not hold"
    );
    world.backend.straighten();
    world.clock.advance(hours(2));
    world.run(Job::ExpireOrphans).await;
    world
        .assert_nothing_unused("with a fresh precondition")
        .await;
    world.close().await;
}

/// Deletions one by one must not outlast the claim that makes them safe.
pub(crate) async fn requests_end_before_the_claim_does(kind: Kind, seed: u64) {
    let world = World::with_capabilities(kind, seed, |it| it.delete_batch = 1).await;
    let orphans = orphans(&world, 15).await;
    let claim = world.settings.claim_deadline;
    let sent = Arc::new(Mutex::new(Vec::new()));
    let log = sent.clone();
    world.backend.faults.set(move |call| {
        if matches!(call.operation, "describe" | "delete") {
            log.lock().unwrap().push(Instant::now());
        }
        Fate::Pass
    });
    world.backend.deletes_in(Duration::from_secs(20));
    let report = world.run(Job::ExpireOrphans).await;
    let (first, last) = {
        let sent = sent.lock().unwrap();
        (*sent.first().unwrap(), *sent.last().unwrap())
    };
    assert!(
        last - first <= claim,
        "a deletion was sent {:?} after the claim",
        last - first
    );
    let gone = report.deleted();
    assert!(gone > 0 && gone < orphans.len() as u64, "{report:#?}");
    assert_eq!(
        (report.quarantined, report.outcome),
        (0, RunOutcome::Partial),
        "{report:#?}"
    );
    world.backend.straighten();
    world.clock.advance(hours(2));
    world.run(Job::ExpireOrphans).await;
    world
        .assert_nothing_unused("after the rest had its turn")
        .await;
    world.close().await;
}

/// Nor may those sent together: where looking took the claim's time, nothing is sent at all.
pub(crate) async fn deletions_sent_together_end_before_the_claim_does(kind: Kind, seed: u64) {
    let mut world = World::new(kind, seed).await;
    let orphans = orphans(&world, 5).await;
    world.settings.claim_deadline = Duration::from_secs(40);
    world.backend.describes_in(Duration::from_secs(15));
    world.backend.faults.clear();
    let report = world.run(Job::ExpireOrphans).await;
    let calls = world.backend.faults.log();
    assert!(
        !calls.iter().any(|call| call.starts_with("delete")),
        "15 s and a request of 30 s are longer than a claim of 40 s: {calls:?}"
    );
    assert_eq!(
        (report.deleted(), report.failed, report.outcome),
        (0, 0, RunOutcome::Partial),
        "{report:#?}"
    );
    world.backend.straighten();
    let report = world.run(Job::ExpireOrphans).await;
    assert_eq!(report.deleted(), orphans.len() as u64, "{report:#?}");
    world.close().await;
}

/// A manager without batches is asked about each secret on its own: many of them take longer than one
/// request may, and what was answered counts.
pub(crate) async fn a_manager_without_batches_has_time_for_each_secret(kind: Kind, seed: u64) {
    let world = World::with_capabilities(kind, seed, |it| {
        (it.describe_batch, it.get_batch, it.delete_batch) = (1, 1, 1);
        it.list_order = cloakroom_core::capabilities::ListOrder::Unspecified;
    })
    .await;
    let values: Vec<String> = (0..40).map(|number| format!("value-{number}")).collect();
    let id = world.create(json!({"t": values})).await.id;
    let orphans = orphans(&world, 40).await;
    world.backend.describes_in(Duration::from_secs(1));
    world.store.faults.clear();
    let report = world.run(Job::VerifyBlobs).await;
    assert_eq!(
        (report.outcome, report.has_findings()),
        (RunOutcome::Done, false),
        "{report:#?}"
    );
    let renewed = world.store.faults.log();
    let renewed = renewed.iter().filter(|call| *call == "renew_lease");
    assert!(renewed.count() >= 8, "the lease is renewed within a page");
    let options = cloakroom_reconcile::RunOptions {
        overrides: cloakroom_reconcile::Guard::ALL.into(),
        ..cloakroom_reconcile::RunOptions::default()
    };
    let report = world.run_with(Job::ExpireOrphans, &options).await.unwrap();
    assert_eq!(
        (report.failed, report.deleted()),
        (0, orphans.len() as u64),
        "{report:#?}"
    );
    world.backend.straighten();
    assert_eq!(
        world.hydrated(id).await["t"].as_array().unwrap().len(),
        values.len()
    );
    world.close().await;
}
