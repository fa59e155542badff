//! Undo: a run taken back as far as the manager can, item by item, honestly, and as often as asked.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cloakroom_core::ledger::RowState;
use cloakroom_core::store::{Job, Journal as _, Receipts as _, Restored};
use cloakroom_core::{Coordinate, DeleteMode, ErrorKind, RunId, SecretBackend as _};
use cloakroom_reconcile::{Guard, Report, RunOptions, UndoFate, UndoOptions, UndoReport, Undone};
use serde_json::json;

use crate::harness::{Fate, Kind, MILLISECOND, World, a_millisecond_less, hours, loose, until};
use crate::letting_go::{self, let_go, two_lost};
use crate::sweeps::sweep;

pub(crate) const WEEK: u64 = 24 * 7;

pub(crate) fn options(dry_run: bool) -> UndoOptions {
    UndoOptions {
        dry_run,
        hold: hours(WEEK),
        by: "a law".to_owned(),
    }
}

pub(crate) async fn undo_with(
    world: &World,
    run: RunId,
    options: &UndoOptions,
) -> cloakroom_core::Result<(UndoReport, BTreeMap<Coordinate, UndoFate>)> {
    let mut all: Vec<Undone> = Vec::new();
    let report = world
        .reconciler()
        .undo(run, options, &mut |undone| all.push(undone.clone()))
        .await?;
    let fates = all
        .into_iter()
        .map(|it| (it.coordinate.coordinate().unwrap(), it.fate));
    Ok((report, fates.collect()))
}

pub(crate) async fn undo(
    world: &World,
    run: RunId,
) -> (UndoReport, BTreeMap<Coordinate, UndoFate>) {
    undo_with(world, run, &options(false)).await.unwrap()
}

/// Orphans of documents with one secret each, and something in use.
pub(crate) async fn orphans(world: &World, count: usize) -> Vec<Coordinate> {
    world.create(json!({"a": "stays"})).await;
    let mut orphans = Vec::new();
    for number in 0..count {
        let value = format!("orphan-{number}");
        let id = world.create(json!({ "a": value })).await.id;
        orphans.push(world.coordinate(id, "/a").await);
        world.documents.remove(id, None).await.unwrap();
    }
    world.clock.advance(hours(3));
    orphans
}

/// A run that deleted them, and the wait until it can be taken back.
pub(crate) async fn deleted(world: &World) -> Report {
    let overridden = RunOptions {
        overrides: Guard::ALL.into(),
        ..RunOptions::default()
    };
    let report = world
        .run_with(Job::ExpireOrphans, &overridden)
        .await
        .unwrap();
    world.clock.advance(hours(1));
    report
}

pub(crate) async fn state(world: &World, coordinate: &Coordinate) -> RowState {
    world.row(coordinate).await.unwrap().state
}

pub(crate) async fn what_the_manager_has_comes_back_and_is_held(kind: Kind, seed: u64) {
    let mut world = World::new(kind, seed).await;
    world.settings.page = 2;
    let orphans = orphans(&world, 5).await;
    let run = deleted(&world).await;
    assert_eq!(run.deleted(), 5);
    let before = world.dump().await;
    let (looked, fates) = undo_with(&world, run.run, &options(true)).await.unwrap();
    assert_eq!(looked.of(UndoFate::Restorable), 5, "{looked:?}");
    assert!(fates.values().all(|fate| *fate == UndoFate::Restorable));
    assert_eq!(world.dump().await, before, "a dry run changes nothing");
    world.store.faults.set(|_| Fate::Pass);
    let (report, fates) = undo(&world, run.run).await;
    // Three pages of two, two and one, and the empty one behind them: once, not twice.
    let walks = world.store.faults.log();
    let pages = walks.iter().filter(|call| call.starts_with("receipts_of"));
    assert_eq!(pages.count(), 4, "{walks:?}");
    assert_eq!(report.of(UndoFate::Restored), 5, "{report:?}");
    for orphan in &orphans {
        assert_eq!(fates[orphan], UndoFate::Restored);
        assert!(world.is_living(orphan).await);
        assert_eq!(state(&world, orphan).await, RowState::Held);
    }
    let receipts = world.db.receipts_of(report.undo, 0, 100).await.unwrap();
    assert_eq!(receipts.len(), 5);
    for receipt in &receipts {
        assert_eq!(
            (&*receipt.reason, &*receipt.outcome),
            ("undone", "restored")
        );
        assert!(
            receipt.evidence.contains(&run.run.to_string()),
            "{receipt:?}"
        );
    }
    // Once more there is nothing to do, and nothing is written down.
    let (again, fates) = undo(&world, run.run).await;
    assert!(
        fates.values().all(|fate| *fate == UndoFate::Held),
        "{again:?}"
    );
    assert_eq!(
        world
            .db
            .receipts_of(again.undo, 0, 100)
            .await
            .unwrap()
            .len(),
        0
    );
    world.db.verify_receipts().await.unwrap();
    world.close().await;
}

pub(crate) async fn not_before_its_requests_are_over(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    orphans(&world, 1).await;
    let run = world.run(Job::ExpireOrphans).await.run;
    let settings = &world.settings;
    let wait = settings.claim_deadline + settings.request.deadline;
    for dry_run in [false, true] {
        let refused = undo_with(&world, run, &options(dry_run)).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unavailable, "{refused}");
        assert_eq!(refused.retry_after(), Some(wait));
    }
    world.clock.advance(a_millisecond_less(wait));
    let refused = undo_with(&world, run, &options(false)).await.unwrap_err();
    assert_eq!(refused.retry_after(), Some(MILLISECOND));
    world.clock.advance(MILLISECOND);
    let (report, _) = undo(&world, run).await;
    assert_eq!(report.of(UndoFate::Restored), 1);
    let unknown = RunId(uuid::Uuid::from_u128(7));
    let missing = undo_with(&world, unknown, &options(false))
        .await
        .unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Missing, "{missing}");
    world.close().await;
}

pub(crate) async fn it_says_what_cannot_come_back(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let orphans = orphans(&world, 6).await;
    let [fine, purged, absent, denied, taken, in_use] = &orphans[..] else {
        panic!("six of them");
    };
    world
        .embedded
        .delete(absent, DeleteMode::Final, None)
        .await
        .unwrap();
    let bad = denied.clone();
    world.backend.faults.set(move |call| {
        let this = call.operation == "delete" && call.coordinate == Some(&bad);
        if this {
            Fate::Before(ErrorKind::Denied)
        } else {
            Fate::Pass
        }
    });
    let run = deleted(&world).await.run;
    world.backend.faults.clear();
    for coordinate in [purged, taken] {
        world
            .embedded
            .delete(coordinate, DeleteMode::Final, None)
            .await
            .unwrap();
    }
    let theirs = cloakroom_core::Mark {
        store: cloakroom_core::StoreId(uuid::Uuid::from_u128(9)),
        ..world.mark(taken).await
    };
    world.plant(taken, theirs, "theirs").await;
    world
        .behind_the_back(&format!(
            "UPDATE secrets SET state = 'stored', unreferenced_since = NULL \
             WHERE coordinate = '{in_use}'"
        ))
        .await;
    let (report, fates) = undo(&world, run).await;
    // What was not deleted is taken back from the queue.
    assert_eq!(fates[denied], UndoFate::Restored, "{report:?}");
    assert_eq!(state(&world, denied).await, RowState::Held);
    assert_eq!(fates[fine], UndoFate::Restored, "{report:?}");
    let expected = [
        (purged, UndoFate::Gone),
        (absent, UndoFate::NotFound),
        (taken, UndoFate::NotOurs),
        (in_use, UndoFate::InUse),
    ];
    for (coordinate, fate) in expected {
        assert_eq!(fates[coordinate], fate, "{report:?}");
        assert_eq!(report.of(fate), 1, "{report:?}");
    }
    for coordinate in [purged, absent, taken] {
        assert_eq!(state(&world, coordinate).await, RowState::Deleted);
    }
    world.close().await;
}

pub(crate) async fn cut_anywhere_it_is_taken_up_again(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    for times in 0.. {
        let orphans = orphans(&world, 3).await;
        let run = deleted(&world).await.run;
        let done = world
            .cut(Box::pin(undo_with(&world, run, &options(false))), times * 3)
            .await;
        let ended = done.is_some();
        // The lease of one that died lapses.
        world.clock.advance(hours(1));
        let (report, _) = undo(&world, run).await;
        for orphan in &orphans {
            assert!(
                world.is_living(orphan).await,
                "cut after {times}: {report:?}"
            );
            assert_eq!(
                state(&world, orphan).await,
                RowState::Held,
                "cut after {times}"
            );
        }
        if ended {
            break;
        }
    }
    world.db.verify_receipts().await.unwrap();
    world.close().await;
}

/// A database that is behind the manager does not know what it would take back.
pub(crate) async fn not_in_a_restored_database(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    orphans(&world, 1).await;
    let run = deleted(&world).await.run;
    world.save("yesterday").await;
    orphans(&world, 1).await;
    deleted(&world).await;
    world.bring_back("yesterday").await;
    let before = world.listed().await;
    for dry_run in [false, true] {
        let (refused, fates) = undo_with(&world, run, &options(dry_run)).await.unwrap();
        assert_eq!(refused.guard.as_ref().unwrap().guard, Guard::Epoch);
        assert!(!fates.is_empty());
        assert!(
            fates.values().all(|it| *it == UndoFate::Refused),
            "{fates:?}"
        );
    }
    assert_eq!(world.listed().await, before);
    world.close().await;
}

/// Another copy raises the epoch while an undo is at it: once that shows, nothing more is brought back.
pub(crate) async fn not_once_it_is_another_database(kind: Kind, seed: u64) {
    let mut world = World::new(kind, seed).await;
    world.settings.page = 1;
    orphans(&world, 3).await;
    let run = deleted(&world).await.run;
    let reconciler = world.reconciler();
    let taken_back = options(false);
    let mut fates = Vec::new();
    let mut each = |undone: &Undone| fates.push(undone.fate);
    let mut undo = Box::pin(reconciler.undo(run, &taken_back, &mut each));
    let pages = AtomicUsize::new(0);
    world.store.faults.set(move |call| {
        let behind_the_first =
            call.operation == "receipts_of" && pages.fetch_add(1, Ordering::Relaxed) == 1;
        if behind_the_first {
            Fate::Hold
        } else {
            Fate::Pass
        }
    });
    let held = until(undo.as_mut(), || world.store.faults.is_holding()).await;
    assert!(held.is_none());
    let mark = World::epoch_coordinate(2);
    world
        .plant(&mark, world.mark(&mark).await, "a copy's")
        .await;
    // Both sides were looked at ten minutes ago.
    tokio::time::pause();
    tokio::time::advance(Duration::from_mins(10)).await;
    tokio::time::resume();
    world.store.faults.let_go();
    let report = undo.await.unwrap();
    assert_eq!(fates[0], UndoFate::Restored);
    assert_eq!(fates[1..], [UndoFate::Refused, UndoFate::Refused]);
    assert_eq!(report.guard.unwrap().guard, Guard::Epoch);
    world.close().await;
}

/// What was brought back before an answer was missing is told, and the rest is left to another undo.
pub(crate) async fn what_was_done_before_an_error_is_told(kind: Kind, seed: u64) {
    let mut world = World::new(kind, seed).await;
    world.settings.page = 1;
    orphans(&world, 3).await;
    let run = deleted(&world).await.run;
    let holds = AtomicUsize::new(0);
    world.store.faults.set(move |call| {
        let second = call.operation == "hold" && holds.fetch_add(1, Ordering::Relaxed) == 1;
        if second {
            Fate::Before(ErrorKind::Unavailable)
        } else {
            Fate::Pass
        }
    });
    let (report, fates) = undo(&world, run).await;
    assert_eq!(fates.len(), 1, "{report:?}");
    assert!(report.cut_short && report.error.is_some(), "{report:?}");
    world.store.faults.clear();
    let (report, _) = undo(&world, run).await;
    assert_eq!(
        (report.of(UndoFate::Restored), report.of(UndoFate::Held)),
        (2, 1)
    );
    assert_eq!((report.cut_short, report.error), (false, None));
    world.close().await;
}

pub(crate) async fn a_secret_that_cannot_be_restored_now_holds_up_no_other(kind: Kind, seed: u64) {
    for answer in [
        ErrorKind::Denied,
        ErrorKind::Unavailable,
        ErrorKind::Conflict,
    ] {
        let world = World::new(kind, seed).await;
        let orphans = orphans(&world, 3).await;
        let run = deleted(&world).await.run;
        let bad = orphans[1].clone();
        world.backend.faults.set(move |call| {
            let this = call.operation == "restore" && call.coordinate == Some(&bad);
            if this {
                Fate::Before(answer)
            } else {
                Fate::Pass
            }
        });
        let (report, fates) = undo(&world, run).await;
        assert_eq!(report.of(UndoFate::Restored), 2, "{report:?}");
        assert_eq!(fates[&orphans[1]], UndoFate::Failed);
        assert_eq!(state(&world, &orphans[1]).await, RowState::Deleted);
        world.backend.faults.clear();
        let (report, _) = undo(&world, run).await;
        assert_eq!(
            (report.of(UndoFate::Restored), report.of(UndoFate::Held)),
            (1, 2)
        );
        world.close().await;
    }
}

/// Held for as long as was asked, and then as any orphan.
pub(crate) async fn what_it_brought_back_is_deleted_again_in_the_end(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let orphans = orphans(&world, 1).await;
    let run = deleted(&world).await.run;
    undo(&world, run).await;
    world.clock.advance(a_millisecond_less(hours(WEEK + 2)));
    for job in Job::ALL {
        let report = world.run(job).await;
        assert_eq!(
            (report.deleted(), report.has_findings()),
            (0, false),
            "{report:#?}"
        );
    }
    assert!(world.is_living(&orphans[0]).await);
    world.clock.advance(MILLISECOND);
    assert_eq!(world.run(Job::ExpireOrphans).await.deleted(), 1);
    world.assert_nothing_unused("after the hold").await;
    world.close().await;
}

/// Nothing was deleted yet: it is held before anything is, and at once, since nothing was asked of the manager.
pub(crate) async fn what_was_let_go_or_adopted_is_held(kind: Kind, seed: u64) {
    for adopted in [false, true] {
        let mut world = World::new(kind, seed).await;
        world.settings.page = 1;
        world.create(json!({"a": "stays"})).await;
        let (run, unused) = if adopted {
            let unused = vec![loose(1), loose(2)];
            for stranger in &unused {
                let mark = world.mark(stranger).await;
                world.plant(stranger, mark, "unknown").await;
            }
            (sweep(&world, true).await.unwrap().0.run, unused)
        } else {
            let unused = two_lost(&world).await;
            (
                let_go(&world, &letting_go::options(true)).await.0.run,
                unused,
            )
        };
        let before = world.dump().await;
        let (looked, _) = undo_with(&world, run, &options(true)).await.unwrap();
        assert_eq!(looked.of(UndoFate::Restorable), 2, "{looked:?}");
        assert_eq!(world.dump().await, before, "a dry run changes nothing");
        let (report, fates) = undo(&world, run).await;
        assert_eq!(report.of(UndoFate::Restored), 2, "{report:?}");
        let receipts = world.db.receipts_of(report.undo, 0, 10).await.unwrap();
        assert_eq!(receipts.len(), 2);
        for secret in &unused {
            assert_eq!(fates[secret], UndoFate::Restored);
            assert_eq!(state(&world, secret).await, RowState::Held);
        }
        let (again, _) = undo(&world, run).await;
        assert_eq!(again.of(UndoFate::Held), 2, "{again:?}");
        world.clock.advance(a_millisecond_less(hours(WEEK + 2)));
        for job in Job::ALL {
            let report = world.run(job).await;
            assert_eq!(report.deleted(), 0, "{report:#?}");
        }
        world.clock.advance(MILLISECOND);
        assert_eq!(world.run(Job::ExpireOrphans).await.deleted(), 2);
        world.assert_nothing_unused("after the hold").await;
        world.db.verify_receipts().await.unwrap();
        world.close().await;
    }
}

/// Its document came back by hand, and its row says nothing of that: it is in use, and stays what it is.
pub(crate) async fn what_was_let_go_and_is_referred_to_again_is_not_held(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    world.create(json!({"a": "stays"})).await;
    let id = world.create(json!({"a": "one", "b": "two"})).await.id;
    let back = world.coordinate(id, "/a").await;
    let lost = world.coordinate(id, "/b").await;
    let blob = world.documents.stored(id).await.unwrap().to_string();
    let gone = format!("DELETE FROM secret_references WHERE document_id = '{id}'");
    world.behind_the_back(&gone).await;
    world.replace_blob(id, "{}").await;
    let run = let_go(&world, &letting_go::options(true)).await.0.run;
    world.replace_blob(id, &blob).await;
    let again = format!(
        "INSERT INTO secret_references (document_id, pointer, backend_id, coordinate) \
         VALUES ('{id}', '/a', '{}', '{back}')",
        world.id()
    );
    world.behind_the_back(&again).await;

    let lease = world.db.acquire_lease("a law", "a law", hours(1));
    let lease = lease.await.unwrap().unwrap();
    let restored = [&back, &lost].map(|coordinate| Restored {
        coordinate: coordinate.clone(),
        evidence: "by a law".to_owned(),
    });
    let own = RunId(uuid::Uuid::from_u128(77));
    let backend = world.id();
    let held = world.db.hold(&lease, own, &backend, &restored, hours(1));
    assert_eq!(held.await.unwrap(), [false, true]);
    for dry_run in [true, false] {
        let undone = undo_with(&world, run, &options(dry_run)).await;
        let (report, fates) = undone.unwrap();
        assert_eq!(fates[&back], UndoFate::InUse, "{report:?}");
        assert_ne!(fates[&lost], UndoFate::InUse, "{report:?}");
    }
    assert_eq!(state(&world, &back).await, RowState::Stored);
    assert_eq!(state(&world, &lost).await, RowState::Held);
    world.db.verify_receipts().await.unwrap();
    world.close().await;
}

/// What a document refers to again is in use, and what the manager does not have nobody holds.
pub(crate) async fn of_what_was_let_go_it_says_what_is_so(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    world.create(json!({"a": "stays"})).await;
    let lost = two_lost(&world).await;
    let run = let_go(&world, &letting_go::options(true)).await.0.run;
    let set = format!(
        "UPDATE secrets SET unreferenced_since = NULL WHERE coordinate = '{}'",
        lost[0]
    );
    world.behind_the_back(&set).await;
    let gone = world.embedded.delete(&lost[1], DeleteMode::Final, None);
    gone.await.unwrap();
    let mut told = Vec::new();
    let mut each = |undone: &Undone| told.push(undone.clone());
    let (reconciler, taken_back) = (world.reconciler(), options(false));
    let report = reconciler.undo(run, &taken_back, &mut each).await.unwrap();
    assert_eq!(report.of(UndoFate::InUse), 1, "{told:?}");
    assert_eq!(report.of(UndoFate::Gone), 1, "{told:?}");
    for lost in &lost {
        assert_eq!(state(&world, lost).await, RowState::Stored);
    }
    let gone = told.iter().find(|it| it.fate == UndoFate::Gone).unwrap();
    assert!(gone.detail.contains("does not have it"), "{gone:?}");
    world.close().await;
}
