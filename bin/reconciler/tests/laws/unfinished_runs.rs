//! Undo of runs that ended in the middle: what they claimed, asked for without an answer, and left to be
//! tried again is judged by what the manager has, and no later run goes on with it.

use std::sync::atomic::{AtomicUsize, Ordering};

use cloakroom_core::ledger::RowState;
use cloakroom_core::store::{Job, Receipts as _};
use cloakroom_core::{Coordinate, DeleteMode, ErrorKind, RunId, SecretBackend as _};
use cloakroom_reconcile::UndoFate;

use crate::guards::abandoned;
use crate::harness::{Fate, Kind, World, a_millisecond_less, hours, until};
use crate::undos::{WEEK, deleted, options, orphans, state, undo, undo_with};

/// A run that dies between its deletions and what it would have written down of them.
pub(crate) async fn killed(world: &World, orphan: &Coordinate) -> RunId {
    world.store.faults.set(|call| {
        if call.operation == "settle" {
            Fate::Hold
        } else {
            Fate::Pass
        }
    });
    let mut run = Box::pin(world.try_run(Job::ExpireOrphans));
    let ended = until(run.as_mut(), || world.store.faults.is_holding()).await;
    assert!(ended.is_none());
    drop(run);
    world.store.faults.clear();
    let row = world.row(orphan).await.unwrap();
    assert_eq!(row.state, RowState::Deleting);
    RunId(row.claimed_by.unwrap().parse().unwrap())
}

async fn assert_brought_back(world: &World, orphans: &[Coordinate]) {
    for orphan in orphans {
        assert!(world.is_living(orphan).await);
        assert_eq!(state(world, orphan).await, RowState::Held);
    }
    world.clock.advance(hours(WEEK - 2));
    let later = world.run(Job::ExpireOrphans).await;
    assert_eq!((later.deleted(), later.failed), (0, 0), "{later:#?}");
    for orphan in orphans {
        assert!(world.is_living(orphan).await);
    }
    world.db.verify_receipts().await.unwrap();
}

pub(crate) async fn what_a_killed_run_deleted_comes_back(kind: Kind, seed: u64) {
    let mut world = World::new(kind, seed).await;
    world.settings.page = 2;
    // Shorter than a claim, so that the claim is what is waited for.
    world.settings.lease = world.settings.claim_deadline / 2;
    let orphans = orphans(&world, 5).await;
    let run = killed(&world, &orphans[0]).await;
    assert_eq!(world.db.receipts_of(run, 0, 10).await.unwrap(), []);
    world.clock.advance(world.settings.lease);
    let rest = world
        .settings
        .claim_deadline
        .saturating_sub(world.settings.lease);
    world.clock.advance(a_millisecond_less(rest));
    for dry_run in [true, false] {
        let (report, _) = undo_with(&world, run, &options(dry_run)).await.unwrap();
        assert_eq!(report.of(UndoFate::Failed), 5, "{report:?}");
    }
    world.clock.advance(hours(1));
    let (looked, _) = undo_with(&world, run, &options(true)).await.unwrap();
    assert_eq!(looked.of(UndoFate::Restorable), 5, "{looked:?}");
    let (report, _) = undo(&world, run).await;
    assert_eq!(report.of(UndoFate::Restored), 5, "{report:?}");
    let receipts = world.db.receipts_of(report.undo, 0, 100).await.unwrap();
    assert_eq!(receipts.len(), 5);
    let (again, _) = undo(&world, run).await;
    assert_eq!(again.of(UndoFate::Held), 5, "{again:?}");
    assert_brought_back(&world, &orphans).await;
    world.close().await;
}

pub(crate) async fn what_a_killed_run_deleted_for_good_is_gone(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let orphans = orphans(&world, 2).await;
    let run = killed(&world, &orphans[0]).await;
    let for_good = DeleteMode::Final;
    world
        .embedded
        .delete(&orphans[0], for_good, None)
        .await
        .unwrap();
    world.clock.advance(hours(1));
    for (dry_run, other) in [(true, UndoFate::Restorable), (false, UndoFate::Restored)] {
        let (report, fates) = undo_with(&world, run, &options(dry_run)).await.unwrap();
        assert_eq!(fates[&orphans[0]], UndoFate::Gone, "{report:?}");
        assert_eq!(fates[&orphans[1]], other, "{report:?}");
    }
    world.close().await;
}

/// Another run that goes on with it is the one to be undone.
pub(crate) async fn what_another_run_took_on_is_that_runs(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let orphans = orphans(&world, 2).await;
    let run = killed(&world, &orphans[0]).await;
    world.clock.advance(hours(1));
    let next = deleted(&world).await;
    assert_eq!(next.deleted(), 2);
    let told = undo_with(&world, run, &options(false)).await.unwrap_err();
    assert_eq!(told.kind(), ErrorKind::Missing, "{told}");
    let (report, _) = undo(&world, next.run).await;
    assert_eq!(report.of(UndoFate::Restored), 2, "{report:?}");
    assert_brought_back(&world, &orphans).await;
    world.close().await;
}

pub(crate) async fn what_was_deleted_although_the_answer_was_lost_comes_back(
    kind: Kind,
    seed: u64,
) {
    let world = World::new(kind, seed).await;
    let orphans = orphans(&world, 4).await;
    world.backend.faults.set(|call| {
        let is_secret = call
            .coordinate
            .is_none_or(|it| !cloakroom_reconcile::is_epoch_mark(it));
        if call.operation.starts_with("delete") && is_secret {
            Fate::After(ErrorKind::Unavailable)
        } else {
            Fate::Pass
        }
    });
    let run = deleted(&world).await;
    assert!(run.failed > 0, "{run:#?}");
    world.backend.faults.clear();
    let (report, _) = undo(&world, run.run).await;
    assert_eq!(report.of(UndoFate::Restored), 4, "{report:?}");
    assert_brought_back(&world, &orphans).await;
    world.close().await;
}

/// Whatever still waits to be deleted, paused or parked, waits no longer.
pub(crate) async fn what_waits_to_be_deleted_is_taken_from_the_queue(kind: Kind, seed: u64) {
    for attempts in [1, 5] {
        let mut world = World::new(kind, seed).await;
        world.settings.attempts = attempts;
        let orphans = orphans(&world, 3).await;
        world.backend.faults.refuse("delete", ErrorKind::Denied);
        let run = deleted(&world).await;
        assert_eq!(run.failed, 3, "{run:#?}");
        world.backend.faults.clear();
        let waits = if attempts == 1 {
            RowState::Quarantined
        } else {
            RowState::Deleting
        };
        assert_eq!(state(&world, &orphans[0]).await, waits);
        let (looked, _) = undo_with(&world, run.run, &options(true)).await.unwrap();
        assert_eq!(looked.of(UndoFate::Restorable), 3, "{looked:?}");
        let (report, _) = undo(&world, run.run).await;
        assert_eq!(report.of(UndoFate::Restored), 3, "{report:?}");
        assert_brought_back(&world, &orphans).await;
        world.close().await;
    }
}

/// The first answer is lost and the next try meets nothing: the receipt says what became of it, not that it
/// was not there.
pub(crate) async fn a_lost_answer_is_told_as_what_happened(kind: Kind, seed: u64) {
    for once_referenced in [true, false] {
        let world = World::new(kind, seed).await;
        let secret = if once_referenced {
            orphans(&world, 1).await.remove(0)
        } else {
            world.create(serde_json::json!({"a": "stays"})).await;
            let secret = abandoned(&world).await;
            world.clock.advance(hours(24));
            secret
        };
        let (asked, about) = (AtomicUsize::new(0), secret.clone());
        world.backend.faults.set(move |call| {
            let this = call.operation == "delete" && call.coordinate == Some(&about);
            if this && asked.fetch_add(1, Ordering::Relaxed) == 0 {
                Fate::After(ErrorKind::Unavailable)
            } else {
                Fate::Pass
            }
        });
        let run = deleted(&world).await;
        world.backend.faults.clear();
        let receipts = world.db.receipts_of(run.run, 0, 10).await.unwrap();
        let [receipt] = &*receipts else {
            panic!("{receipts:#?}");
        };
        let (outcome, fate) = if once_referenced {
            ("scheduled", UndoFate::Restored)
        } else {
            ("deleted", UndoFate::Gone)
        };
        assert_eq!(receipt.outcome, outcome, "{receipt:#?}");
        assert_eq!(receipt.detail.is_some(), once_referenced, "{receipt:#?}");
        let (report, fates) = undo(&world, run.run).await;
        assert_eq!(fates[&secret], fate, "{report:?}");
        world.close().await;
    }
}
