//! An undo beside what deletes: runs that come while it is at work, and deletions that land after it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cloakroom_core::ledger::RowState;
use cloakroom_core::store::{Job, Receipts as _};
use cloakroom_core::{
    Clock as _, Coordinate, DeleteMode, Description, ErrorKind, RunId, SecretBackend as _,
    SecretState,
};
use cloakroom_reconcile::{Guard, RunOptions, UndoFate, UndoOptions, Undone};
use serde_json::json;

use crate::harness::{Fate, Kind, MILLISECOND, World, a_millisecond_less, hours, until};
use crate::undos::{WEEK, deleted, options, orphans, state, undo, undo_with};
use crate::unfinished_runs::killed;

async fn delete_recoverably(world: &World, coordinate: &Coordinate) {
    let mode = DeleteMode::Recoverable(hours(WEEK));
    world.embedded.delete(coordinate, mode, None).await.unwrap();
}

/// Whatever an undo takes, no run comes between: it would take what is not held yet for a late put.
pub(crate) async fn it_keeps_its_lease_however_long_it_takes(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let orphans = orphans(&world, 20).await;
    let run = deleted(&world).await.run;
    let (restores, clock) = (AtomicUsize::new(0), world.clock.clone());
    let slow = world.settings.lease / 10;
    world.backend.faults.set(move |call| {
        if call.operation != "restore" {
            return Fate::Pass;
        }
        clock.advance(slow);
        if restores.fetch_add(1, Ordering::Relaxed) == 19 {
            Fate::Hold
        } else {
            Fate::Pass
        }
    });
    let how = options(false);
    let mut undo = Box::pin(undo_with(&world, run, &how));
    let ended = until(undo.as_mut(), || world.backend.faults.is_holding()).await;
    assert!(ended.is_none());
    let other = world.try_run(Job::ExpireOrphans).await;
    let busy = other.map(|it| it.deleted()).unwrap_err();
    assert!(cloakroom_reconcile::is_busy(&busy), "{busy}");
    world.backend.faults.let_go();
    let (report, _) = undo.await.unwrap();
    assert_eq!(report.of(UndoFate::Restored), 20, "{report:?}");
    for orphan in &orphans {
        assert!(world.is_living(orphan).await);
        assert_eq!(state(&world, orphan).await, RowState::Held);
    }
    world.close().await;
}

/// One that slept between restoring and writing down, while a run deleted it all again, restored nothing.
pub(crate) async fn it_says_nothing_of_what_another_run_deleted_again(kind: Kind, seed: u64) {
    for taken in [false, true] {
        let world = World::new(kind, seed).await;
        let orphans = orphans(&world, 3).await;
        let run = deleted(&world).await.run;
        world.store.faults.set(|call| {
            if call.operation == "hold" {
                Fate::Hold
            } else {
                Fate::Pass
            }
        });
        let how = options(false);
        let mut asleep = Box::pin(undo_with(&world, run, &how));
        let ended = until(asleep.as_mut(), || world.store.faults.is_holding()).await;
        assert!(ended.is_none());
        world.clock.advance(world.settings.lease);
        if taken {
            let overridden = RunOptions {
                overrides: Guard::ALL.into(),
                ..RunOptions::default()
            };
            let again = world.run_with(Job::ExpireOrphans, &overridden).await;
            assert_eq!(again.unwrap().deleted(), 3);
        }
        world.store.faults.let_go();
        let lost = asleep.await.map(|(report, _)| report).unwrap_err();
        assert_eq!(lost.kind(), ErrorKind::Unavailable, "{lost}");
        for orphan in &orphans {
            assert_eq!(state(&world, orphan).await, RowState::Deleted);
        }
        world.store.faults.clear();
        world.clock.advance(hours(1));
        let (report, _) = undo(&world, run).await;
        assert_eq!(report.of(UndoFate::Restored), 3, "{report:?}");
        for orphan in &orphans {
            assert!(world.is_living(orphan).await);
        }
        world.db.verify_receipts().await.unwrap();
        world.close().await;
    }
}

/// What somebody deleted since is brought back again, or told as gone; no hold gets shorter by that.
pub(crate) async fn what_is_held_is_looked_at_in_the_manager(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let orphans = orphans(&world, 4).await;
    let [stays, late, gone, expires] = &orphans[..] else {
        panic!("four of them");
    };
    let run = deleted(&world).await.run;
    undo(&world, run).await;
    let held = world.row(late).await.unwrap().unreferenced_since;
    delete_recoverably(&world, late).await;
    let for_good = world.embedded.delete(gone, DeleteMode::Final, None);
    for_good.await.unwrap();
    let (expiring, at) = (expires.clone(), world.clock.now());
    world.backend.show(move |described| {
        if described.coordinate == expiring {
            described.native_expiry = Some(at);
        }
    });
    let expected = |fate| {
        [
            (stays, UndoFate::Held),
            (late, fate),
            (gone, UndoFate::Gone),
            (expires, fate),
        ]
    };
    let (looked, fates) = undo_with(&world, run, &options(true)).await.unwrap();
    for (coordinate, fate) in expected(UndoFate::Restorable) {
        assert_eq!(fates[coordinate], fate, "{looked:?}");
    }
    assert!(!world.is_living(late).await);
    let short = UndoOptions {
        hold: hours(1),
        ..options(false)
    };
    let (report, fates) = undo_with(&world, run, &short).await.unwrap();
    for (coordinate, fate) in expected(UndoFate::Restored) {
        assert_eq!(fates[coordinate], fate, "{report:?}");
    }
    assert!(world.is_living(late).await);
    let row = world.row(late).await.unwrap();
    assert_eq!((row.state, row.unreferenced_since), (RowState::Held, held));
    let receipts = world.db.receipts_of(report.undo, 0, 100).await.unwrap();
    assert_eq!(receipts.len(), 2, "one for each that was brought back");
    // And of the other way round: a longer hold is one.
    delete_recoverably(&world, late).await;
    let long = UndoOptions {
        hold: hours(2 * WEEK),
        ..options(false)
    };
    undo_with(&world, run, &long).await.unwrap();
    assert!(world.row(late).await.unwrap().unreferenced_since > held);
    // Also where nothing else is to be brought back.
    let longer = UndoOptions {
        hold: hours(3 * WEEK),
        ..options(false)
    };
    let until = Some(world.clock.now() + longer.hold);
    let (report, fates) = undo_with(&world, run, &longer).await.unwrap();
    for held in [stays, late] {
        assert_eq!(fates[held], UndoFate::Restored, "{report:?}");
        assert_eq!(world.row(held).await.unwrap().unreferenced_since, until);
    }
    let (report, fates) = undo_with(&world, run, &longer).await.unwrap();
    assert_eq!(fates[late], UndoFate::Held, "{report:?}");
    world.close().await;
}

/// Nothing can give back a value that was destroyed.
pub(crate) async fn what_was_destroyed_is_gone(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let orphans = orphans(&world, 2).await;
    let run = deleted(&world).await.run;
    let destroyed = orphans[0].clone();
    let destroy = move |described: &mut Description| {
        if described.coordinate == destroyed {
            described.state = SecretState::Destroyed;
        }
    };
    world.backend.show(destroy.clone());
    for (dry_run, other) in [(true, UndoFate::Restorable), (false, UndoFate::Restored)] {
        let (report, fates) = undo_with(&world, run, &options(dry_run)).await.unwrap();
        assert_eq!(fates[&orphans[0]], UndoFate::Gone, "{report:?}");
        assert_eq!(fates[&orphans[1]], other, "{report:?}");
    }
    assert_eq!(state(&world, &orphans[0]).await, RowState::Deleted);
    // Nor where it was destroyed after it had been brought back.
    world.backend.straighten();
    undo(&world, run).await;
    world.backend.show(destroy);
    let (_, fates) = undo(&world, run).await;
    assert_eq!(fates[&orphans[0]], UndoFate::Gone);
    assert_eq!(fates[&orphans[1]], UndoFate::Held);
    world.close().await;
}

/// Another run asked for a deletion and got no answer: its request may arrive yet.
pub(crate) async fn what_another_run_is_not_done_with_waits(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let orphans = orphans(&world, 2).await;
    let run = deleted(&world).await.run;
    world.embedded.restore(&orphans[0]).await.unwrap();
    let faults = &world.backend.faults;
    faults.refuse("delete", ErrorKind::Unavailable);
    let other = world.run(Job::ExpireOrphans).await;
    assert_eq!(other.failed, 1, "{other:#?}");
    faults.clear();
    for dry_run in [true, false] {
        let (report, fates) = undo_with(&world, run, &options(dry_run)).await.unwrap();
        assert_eq!(fates[&orphans[0]], UndoFate::Failed, "{report:?}");
    }
    assert_eq!(state(&world, &orphans[1]).await, RowState::Held);
    assert_eq!(state(&world, &orphans[0]).await, RowState::Deleted);
    world.clock.advance(hours(2));
    let (report, fates) = undo(&world, run).await;
    assert_eq!(fates[&orphans[0]], UndoFate::Restored, "{report:?}");
    world.close().await;
}

/// A purge has no claim and no receipt: what one may have been asked for is not restored before its request
/// is over.
pub(crate) async fn what_may_be_purged_this_moment_waits(kind: Kind, seed: u64) {
    let (world, manager) = World::keeping(kind, seed).await;
    let (run, gone) = scheduled(&world).await;
    world.clock.advance(hours(WEEK));
    world.backend.faults.refuse("purge", ErrorKind::Unavailable);
    let purges = world.run(Job::ExpireOrphans).await;
    assert_eq!(purges.unpurged, 1, "{purges:#?}");
    world.backend.faults.clear();
    let wait = world.settings.request.deadline;
    for passes in [Duration::ZERO, a_millisecond_less(wait)] {
        world.clock.advance(passes);
        let (report, fates) = undo(&world, run).await;
        assert_eq!(fates[&gone], UndoFate::Failed, "{report:?}");
    }
    world.clock.advance(MILLISECOND);
    let (report, fates) = undo(&world, run).await;
    assert_eq!(fates[&gone], UndoFate::Restored, "{report:?}");
    // One that comes later than any deadline takes it for good; the next undo says so.
    manager.remove_past(&gone);
    let (report, fates) = undo(&world, run).await;
    assert_eq!(fates[&gone], UndoFate::Gone, "{report:?}");
    world.close().await;
}

/// A secret that was in use and that a run handed to deletion, beside one that stays.
async fn scheduled(world: &World) -> (RunId, Coordinate) {
    world.create(json!({"a": "stays"})).await;
    let id = world.create(json!({"a": "removed"})).await.id;
    let gone = world.coordinate(id, "/a").await;
    world.documents.remove(id, None).await.unwrap();
    world.clock.advance(hours(3));
    (world.run(Job::ExpireOrphans).await.run, gone)
}

/// What was not over its window no purge can have been asked for: it comes back at once.
pub(crate) async fn what_cannot_be_purged_does_not_wait(kind: Kind, seed: u64) {
    let (world, _) = World::keeping(kind, seed).await;
    let (run, _) = scheduled(&world).await;
    world.clock.advance(a_millisecond_less(hours(WEEK)));
    world.run(Job::ExpireOrphans).await;
    let (report, _) = undo(&world, run).await;
    assert_eq!(report.of(UndoFate::Restored), 1, "{report:?}");
    world.close().await;
}

/// Told to stop, it stops behind the few that are under way, however long a page is.
pub(crate) async fn told_to_stop_it_ends_within_a_page(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    orphans(&world, 20).await;
    let run = deleted(&world).await.run;
    let stop = world.stop.clone();
    world.backend.faults.set(move |call| {
        if call.operation == "restore" {
            stop.cancel();
        }
        Fate::Pass
    });
    let mut told = Vec::new();
    let mut each = |undone: &Undone| told.push(undone.fate);
    let reconciler = world.reconciler();
    let report = reconciler.undo(run, &options(false), &mut each).await;
    let report = report.unwrap();
    assert!(report.cut_short, "{report:?}");
    assert!((1..20).contains(&told.len()), "{told:?}");
    world.close().await;
}

/// A clock that was ahead and was set right: no moment that it dated is waited for, but the time that a
/// request takes at most, from now on.
pub(crate) async fn what_a_clock_ahead_deleted_comes_back(kind: Kind, seed: u64) {
    for dies in [false, true] {
        let world = World::new(kind, seed).await;
        let orphans = orphans(&world, 3).await;
        let right = world.clock.now();
        world.clock.advance(hours(24 * 8));
        let run = if dies {
            killed(&world, &orphans[0]).await
        } else {
            world.run(Job::ExpireOrphans).await.run
        };
        world.clock.set(right);
        let (looked, _) = undo_with(&world, run, &options(true)).await.unwrap();
        assert_eq!(looked.of(UndoFate::Restorable), 3, "{looked:?}");
        let wait = world.settings.claim_deadline + world.settings.request.deadline;
        let clock = world.clock.clone();
        world.store.faults.set(move |call| {
            if call.operation == "renew_lease" {
                clock.advance(wait);
            }
            Fate::Pass
        });
        let (early, clock) = (right + wait, world.clock.clone());
        world.backend.faults.set(move |call| {
            assert!(call.operation != "restore" || clock.now() >= early);
            Fate::Pass
        });
        let (report, _) = undo(&world, run).await;
        assert_eq!(report.of(UndoFate::Restored), 3, "{report:?}");
        for orphan in &orphans {
            assert!(world.is_living(orphan).await);
            assert_eq!(state(&world, orphan).await, RowState::Held);
        }
        world.close().await;
    }
}

/// Nor does another run's end, which says until when a purge of it may arrive.
pub(crate) async fn what_a_clock_ahead_may_have_purged_does_not_wait_for_it(kind: Kind, seed: u64) {
    let (world, _) = World::keeping(kind, seed).await;
    let (run, _) = scheduled(&world).await;
    world.clock.advance(hours(WEEK));
    let right = world.clock.now();
    world.clock.advance(hours(1));
    world.backend.faults.refuse("purge", ErrorKind::Unavailable);
    world.run(Job::ExpireOrphans).await;
    world.backend.faults.clear();
    world.clock.set(right);
    let wait = world.settings.claim_deadline + world.settings.request.deadline;
    let clock = world.clock.clone();
    world.store.faults.set(move |call| {
        if call.operation == "renew_lease" {
            clock.advance(wait);
        }
        Fate::Pass
    });
    let (report, _) = undo(&world, run).await;
    assert_eq!(report.of(UndoFate::Restored), 1, "{report:?}");
    world.close().await;
}
