//! What the epoch stops: a restored database, a clone, another store under the same name.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use cloakroom_core::ledger::RowState;
use cloakroom_core::store::{Job, RunOutcome};
use cloakroom_core::{Coordinate, ErrorKind, Mark, StoreId};
use cloakroom_reconcile::{
    EpochStanding, Guard, RunOptions, Silent, UndoFate, UndoOptions, is_epoch_mark,
};
use serde_json::json;
use uuid::Uuid;

use crate::epochs::{
    TEN_MINUTES, abandoned, adopt, assert_stopped, epoch, orphans, standing, stopped_by,
};
use crate::harness::{Fate, Kind, MILLISECOND, World, hours, until};

/// Yesterday's backup: what was written since is unknown to it, and what it believes unused may be in
/// use again. It deletes nothing until somebody says that it goes on.
pub(crate) async fn yesterdays_backup_is_restored(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    orphans(&world, 1).await;
    world.run(Job::ExpireOrphans).await;
    let raised = world.create(json!({"a": "one"})).await.id;
    let one = world.coordinate(raised, "/a").await;
    let never = abandoned(&world).await;
    world.save("yesterday").await;
    world.clock.advance(hours(1));
    world.update(raised, json!({"a": "two"})).await;
    orphans(&world, 1).await;
    world.clock.advance(hours(30));
    for job in Job::ALL {
        world.run(job).await;
    }
    let latest = epoch(&world).await;
    assert!(latest > 1 && !world.is_living(&one).await && !world.is_living(&never).await);
    world.bring_back("yesterday").await;
    assert_eq!(standing(&world).await, EpochStanding::Behind);
    world.clock.advance(hours(30));
    assert_stopped(&world, Guard::Epoch, "after the restore").await;
    // What it refers to is brought back by any run all the same.
    assert!(world.is_living(&one).await, "rescued");
    assert_eq!(world.hydrated(raised).await, json!({"a": "one"}));

    let adopted = adopt(&world, false).await.unwrap();
    assert_eq!(
        (adopted.store.number, adopted.mark),
        (latest + 1, Some(latest + 1))
    );
    assert_eq!(world.backend.epoch_marks().await, [latest + 1]);
    let receipts = world.db.receipts(0, 100_000).await.unwrap().receipts;
    let receipt = receipts.last().unwrap();
    assert_eq!(
        (&*receipt.reason, Some(receipt.run)),
        ("epoch", adopted.adopted)
    );
    assert!(receipt.evidence.contains("a law"), "{receipt:?}");
    // What was written since is another guard's.
    let report = world.run(Job::ExpireOrphans).await;
    assert!(stopped_by(&report, Guard::UnknownMarked), "{report:#?}");
    world
        .assert_nothing_in_use_is_gone("after the adoption")
        .await;
    world.close().await;
}

/// The same value under the same number, meant once more after a restore, while the manager is away. What
/// the later backup refers to is not the secret of the attempt that failed.
pub(crate) async fn the_same_value_meant_again_is_another_secret(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    world.create(json!({"a": "stays"})).await;
    let id = world.create(json!({"a": "one"})).await.id;
    world.save("earlier").await;
    world.update(id, json!({"a": "rotated"})).await;
    let rotated = world.coordinate(id, "/a").await;
    world.save("later").await;
    world.bring_back("earlier").await;
    world.backend.faults.refuse("put", ErrorKind::Unavailable);
    let failed = world.try_update(id, json!({"a": "rotated"})).await;
    failed.unwrap_err();
    world.backend.faults.clear();
    let row = world.row(&rotated).await.unwrap();
    assert_eq!(row.state, RowState::Intended, "under the same number");
    world.clock.advance(hours(3));
    for job in [Job::ExpireOrphans, Job::DeleteSuperseded] {
        let report = world.run(job).await;
        assert!(stopped_by(&report, Guard::UnknownMarked), "{report:#?}");
    }
    let overridden = RunOptions {
        overrides: Guard::ALL.into(),
        ..RunOptions::default()
    };
    for _ in 0..2 {
        let ran = world.run_with(Job::ExpireOrphans, &overridden).await;
        ran.unwrap();
        assert!(world.is_living(&rotated).await, "it is another's secret");
    }
    world.bring_back("later").await;
    assert_eq!(world.hydrated(id).await, json!({"a": "rotated"}));
    world.close().await;
}

/// Where the manager is there, the attempt after the restore takes the next number: two histories never
/// share a secret.
pub(crate) async fn the_same_value_put_again_takes_the_next_number(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = world.create(json!({"a": "one"})).await.id;
    world.save("earlier").await;
    world.update(id, json!({"a": "rotated"})).await;
    let rotated = world.coordinate(id, "/a").await;
    world.bring_back("earlier").await;
    world.update(id, json!({"a": "rotated"})).await;
    let again = world.coordinate(id, "/a").await;
    assert_eq!(
        (rotated.version().get(), again.version().get()),
        (2, 3),
        "one number for each intent"
    );
    assert!(world.is_living(&rotated).await && world.is_living(&again).await);
    world.close().await;
}

/// A clone beside its original: whoever raises second notices, before it deletes.
pub(crate) async fn a_clone_runs_beside_the_original(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    orphans(&world, 1).await;
    world.run(Job::ExpireOrphans).await;
    let shared = world.create(json!({"a": "shared"})).await.id;
    let secret = world.coordinate(shared, "/a").await;
    world.save("clone").await;
    world.save("original").await;
    // In the clone the document goes.
    world.bring_back("clone").await;
    world.documents.remove(shared, None).await.unwrap();
    world.save("clone").await;
    world.bring_back("original").await;
    orphans(&world, 1).await;
    world.run(Job::ExpireOrphans).await;
    assert_eq!(epoch(&world).await, 2);
    world.save("original").await;
    world.bring_back("clone").await;
    assert_stopped(&world, Guard::Epoch, "the clone").await;
    assert!(world.is_living(&secret).await, "the original refers to it");
    // Told to go on, the clone stops the original.
    adopt(&world, false).await.unwrap();
    world.bring_back("original").await;
    world.clock.advance(TEN_MINUTES);
    assert_stopped(&world, Guard::Epoch, "the original").await;
    assert!(world.is_living(&secret).await);
    world.close().await;
}

/// A copy that is the first to delete: it is refused for being one, whether or not its original ever
/// deleted anything. Told to go on, it does, and its original stops.
pub(crate) async fn a_copy_that_deletes_first_is_refused(kind: Kind, seed: u64) {
    for raised in [false, true] {
        let world = World::new(kind, seed).await;
        orphans(&world, 2).await;
        if raised {
            world.run(Job::ExpireOrphans).await;
            orphans(&world, 2).await;
            world.clock.advance(TEN_MINUTES);
        }
        let never = abandoned(&world).await;
        let shared = world.create(json!({"a": "shared"})).await.id;
        let secret = world.coordinate(shared, "/a").await;
        let copy = world.copied().await;
        copy.documents.remove(shared, None).await.unwrap();
        world.clock.advance(hours(30));
        let number = epoch(&world).await;
        assert_eq!(standing(&copy).await, EpochStanding::Elsewhere);
        assert_stopped(&copy, Guard::Identity, "the copy").await;
        assert!(world.is_living(&secret).await && world.is_living(&never).await);
        assert_eq!(
            (epoch(&copy).await, world.backend.epoch_marks().await.len()),
            (number, usize::from(raised))
        );
        // Its original is not bothered by it.
        assert_ne!(standing(&world).await, EpochStanding::Elsewhere);
        let adopted = adopt(&copy, false).await.unwrap();
        assert_eq!(
            (adopted.standing, adopted.store.number),
            (EpochStanding::Current, number + 1)
        );
        let receipts = copy.db.receipts(0, 100_000).await.unwrap().receipts;
        let told = &receipts.last().unwrap().evidence;
        assert!(told.contains("elsewhere"), "{told}");
        let report = copy.run(Job::ExpireOrphans).await;
        assert_eq!(
            (report.guards.len(), report.deleted() > 0),
            (0, true),
            "{report:#?}"
        );
        assert_stopped(&world, Guard::Epoch, "the original").await;
        assert!(world.is_living(&secret).await, "rescued where it is in use");
        copy.close().await;
        world.close().await;
    }
}

/// Nothing is taken back in a copy either, and what was begun is not gone on with.
pub(crate) async fn what_was_begun_is_left_alone_in_a_copy(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    orphans(&world, 2).await;
    let done = world.run(Job::ExpireOrphans).await;
    orphans(&world, 2).await;
    // Claimed, and no answer.
    world.backend.faults.set(|call| {
        let mark = call.coordinate.is_some_and(is_epoch_mark);
        if call.operation.starts_with("delete") && !mark {
            Fate::Before(ErrorKind::Unavailable)
        } else {
            Fate::Pass
        }
    });
    world.run(Job::ExpireOrphans).await;
    world.backend.faults.clear();
    let copy = world.copied().await;
    // What a run cannot see as due is left all the same.
    let report = copy.run(Job::ExpireOrphans).await;
    assert_eq!(
        (report.outcome, report.waiting, report.total(|it| it.found)),
        (RunOutcome::Refused, 2, 0),
        "{report:#?}"
    );
    world.clock.advance(hours(3));
    assert_stopped(&copy, Guard::Identity, "the copy").await;
    let report = copy.run(Job::ExpireOrphans).await;
    assert_eq!((report.waiting, report.total(|it| it.refused)), (0, 2));
    let undo = UndoOptions {
        dry_run: false,
        hold: hours(24),
        by: "a law".to_owned(),
    };
    let refused = copy.reconciler().undo(done.run, &undo, &mut |_| {}).await;
    let refused = refused.unwrap();
    assert_eq!(refused.guard.as_ref().unwrap().guard, Guard::Identity);
    assert_eq!(refused.of(UndoFate::Refused), 2, "{refused:?}");
    assert_eq!(world.run(Job::ExpireOrphans).await.deleted(), 2);
    copy.close().await;
    world.close().await;
}

/// Restored beneath a run that stands still, to before that run or in the midst of it: what it saw of
/// listing and guards is of another database, and it deletes nothing more.
pub(crate) async fn a_run_ends_with_the_database_it_looked_through(kind: Kind, seed: u64) {
    for begun in [false, true] {
        let mut world = World::with_capabilities(kind, seed, |it| it.delete_batch = 1).await;
        world.settings.batch = 1;
        orphans(&world, 4).await;
        world.save("before").await;
        let reconciler = world.reconciler();
        let (id, options) = (world.id(), RunOptions::default());
        let mut run = Box::pin(reconciler.run(Job::ExpireOrphans, &id, &options, &Silent));
        let at = if begun { "list" } else { "delete" };
        hold_once(&world, at);
        assert!(
            until(run.as_mut(), || world.backend.faults.is_holding())
                .await
                .is_none()
        );
        if begun {
            world.save("before").await;
            world.clock.advance(MILLISECOND);
            hold_once(&world, "delete");
            world.backend.faults.let_go();
            let deletes = || {
                world
                    .backend
                    .faults
                    .log()
                    .iter()
                    .any(|it| it.starts_with("delete"))
            };
            assert!(until(run.as_mut(), deletes).await.is_none());
        }
        world.clock.advance(hours(1));
        world.bring_back("before").await;
        world.backend.faults.set(|_| Fate::Pass);
        world.backend.faults.let_go();
        run.await.unwrap_err();
        let left = world.living().await.len();
        assert_eq!(
            left, 4,
            "begun: {begun}; the one under way went, and no other"
        );
        world.close().await;
    }
}

/// A SQLite file that gets a second name, is moved away or replaced between two batches: the second batch is
/// not deleted, and the run says why.
pub(crate) async fn a_run_ends_where_its_file_has_another_place(kind: Kind, seed: u64) {
    type Displace = fn(&Path, &Path);
    let displace: [(&str, Displace); 3] = [
        ("hard link", |file, aside| {
            std::fs::hard_link(file, aside).unwrap();
        }),
        ("cannot be looked at", |file, aside| {
            std::fs::rename(file, aside).unwrap();
        }),
        ("another file", |file, aside| {
            std::fs::rename(file, aside).unwrap();
            std::fs::copy(aside, file).unwrap();
        }),
    ];
    for (why, displace) in displace {
        let mut world = World::with_capabilities(kind, seed, |it| it.delete_batch = 1).await;
        let Some(file) = world.file() else {
            return world.close().await;
        };
        world.settings.batch = 1;
        orphans(&world, 4).await;
        let aside = file.with_extension("aside");
        hold_once(&world, "delete");
        let reconciler = world.reconciler();
        let (id, options) = (world.id(), RunOptions::default());
        let mut run = Box::pin(reconciler.run(Job::ExpireOrphans, &id, &options, &Silent));
        let ended = until(run.as_mut(), || world.backend.faults.is_holding()).await;
        assert!(ended.is_none());
        displace(&file, &aside);
        world.backend.faults.let_go();
        let error = run.await.unwrap_err();
        let told = format!("{error} {}", error.message());
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{why}: {error}");
        assert!(told.contains(why), "{told}");
        assert_eq!(
            world.living().await.len(),
            4,
            "{why}: one went and the epoch mark came"
        );
        let other = world.try_run(Job::VerifyBlobs).await;
        assert_eq!(other.unwrap_err().kind(), ErrorKind::Unavailable, "{why}");
        match why {
            "hard link" => std::fs::remove_file(&aside).unwrap(),
            _ => std::fs::rename(&aside, &file).unwrap(),
        }
        assert_eq!(world.run(Job::ExpireOrphans).await.deleted(), 3, "{why}");
        world.close().await;
    }
}

/// Two copies that raise to one number are told apart by the raise.
pub(crate) async fn two_copies_in_step_are_told_apart(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    orphans(&world, 2).await;
    world.save("copy").await;
    // The store was raised; the mark was lost on its way.
    world.backend.faults.set(|call| {
        let mark = call.coordinate.is_some_and(is_epoch_mark);
        if call.operation == "put" && mark {
            Fate::Before(ErrorKind::Unavailable)
        } else {
            Fate::Pass
        }
    });
    world.try_run(Job::ExpireOrphans).await.unwrap_err();
    world.backend.faults.clear();
    world.save("original").await;
    world.bring_back("copy").await;
    world.run(Job::ExpireOrphans).await;
    assert_eq!(epoch(&world).await, 1);
    world.bring_back("original").await;
    assert_eq!(
        (epoch(&world).await, standing(&world).await),
        (1, EpochStanding::Copied)
    );
    orphans(&world, 1).await;
    assert_stopped(&world, Guard::Epoch, "both at 1").await;
    world.close().await;
}

/// Between the look and the raise another copy raises: the mark is taken, and nothing is deleted.
pub(crate) async fn a_copy_that_raises_in_between_wins(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    orphans(&world, 2).await;
    world.save("copy").await;
    let reconciler = world.reconciler();
    let (id, options) = (world.id(), RunOptions::default());
    let mut run = Box::pin(reconciler.run(Job::ExpireOrphans, &id, &options, &Silent));
    world.backend.faults.set(|call| {
        let mark = call.coordinate.is_some_and(is_epoch_mark);
        if call.operation == "put" && mark {
            Fate::Hold
        } else {
            Fate::Pass
        }
    });
    let held = until(run.as_mut(), || world.backend.faults.is_holding()).await;
    assert!(held.is_none());
    let before = world.listed().await;
    let coordinate = World::epoch_coordinate(1);
    world
        .plant(&coordinate, world.mark(&coordinate).await, "another copy's")
        .await;
    world.backend.faults.let_go();
    let lost = run.await.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::Conflict, "{lost}");
    assert_eq!(world.listed().await, before);
    world.close().await;
}

/// Staging pointed at production's manager under production's name.
pub(crate) async fn another_store_under_the_same_name(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let stays = orphans(&world, 1).await;
    world.run(Job::ExpireOrphans).await;
    world.save("production").await;
    world
        .behind_the_back(&format!(
            "DELETE FROM backend_epochs; UPDATE store_identity SET epoch = 0, store_id = '{}'",
            Uuid::from_u128(9)
        ))
        .await;
    let never = abandoned(&world).await;
    orphans(&world, 1).await;
    assert_eq!(standing(&world).await, EpochStanding::Foreign);
    assert_stopped(&world, Guard::Identity, "staging").await;
    let report = world.dry_run(Job::ExpireOrphans).await;
    assert!(report.namesakes > 0, "production's are seen: {report:#?}");
    assert!(world.is_living(&never).await);
    let refused = adopt(&world, false).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
    assert_eq!(epoch(&world).await, 0, "nothing was adopted");
    let theirs = world.backend.epoch_marks().await;
    let taken = adopt(&world, true).await.unwrap();
    assert_eq!(
        (taken.store.number, taken.standing),
        (2, EpochStanding::Current)
    );
    let marks = world.backend.epoch_marks().await;
    assert!(
        marks.contains(&2) && marks.contains(&theirs[0]),
        "theirs is not ours to delete"
    );
    let report = world.run(Job::ExpireOrphans).await;
    assert_eq!(report.guards, [], "{report:#?}");
    // Production notices at once.
    world.bring_back("production").await;
    assert_stopped(&world, Guard::Identity, "production").await;
    assert_eq!(world.hydrated(stays).await, json!({"a": "stays"}));
    world.close().await;
}

/// Another store under a name of its own is nobody's business, as its secrets are.
pub(crate) async fn another_store_under_another_name(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let theirs = format!("cloakroom_epoch_{}_v9", "0".repeat(32));
    let theirs = Coordinate::from_stored(&theirs).unwrap();
    let mark = Mark {
        store: StoreId(Uuid::from_u128(9)),
        deployment: "production".to_owned(),
        ..world.mark(&theirs).await
    };
    world.plant(&theirs, mark, "theirs").await;
    for _ in 0..2 {
        orphans(&world, 1).await;
        let report = world.run(Job::ExpireOrphans).await;
        assert_eq!(
            (report.deleted(), report.outcome),
            (1, RunOutcome::Done),
            "{report:#?}"
        );
    }
    assert!(world.backend.epoch_marks().await.contains(&9));
    world.close().await;
}

/// The first such request to a secret that is no epoch mark waits until it is let go.
fn hold_once(world: &World, operation: &'static str) {
    let held = AtomicBool::new(false);
    world.backend.faults.set(move |call| {
        let this = call.operation == operation && !call.coordinate.is_some_and(is_epoch_mark);
        if this && !held.swap(true, Ordering::Relaxed) {
            Fate::Hold
        } else {
            Fate::Pass
        }
    });
}
