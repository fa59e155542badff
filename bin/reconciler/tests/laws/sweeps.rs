//! The sweep: what bears our mark and is unknown to the ledger is listed, adopted when asked, and never
//! deleted by it.

use cloakroom_core::ledger::RowState;
use cloakroom_core::store::{DocumentStore as _, Intent, Job};
use cloakroom_core::{
    Coordinate, DeleteMode, ErrorKind, IntentId, Mark, SecretBackend as _, ValueKind,
};
use cloakroom_reconcile::{
    Guard, RunOptions, Silent, SweepFate, SweepOptions, SweepReport, Swept, is_epoch_mark,
};
use serde_json::json;
use uuid::Uuid;

use crate::epochs::stopped_by;
use crate::harness::{Fate, Kind, MILLISECOND, World, a_millisecond_less, hours, loose, workspace};

pub(crate) async fn sweep(
    world: &World,
    adopt: bool,
) -> cloakroom_core::Result<(SweepReport, Vec<Swept>)> {
    let options = SweepOptions {
        adopt,
        by: "a law".to_owned(),
    };
    let mut all = Vec::new();
    let report = world
        .reconciler()
        .sweep(&world.id(), &options, &Silent, &mut |swept| {
            all.push(swept.clone());
        })
        .await?;
    Ok((report, all))
}

/// A store with an epoch, something in use, and secrets that the ledger does not know.
async fn strangers(world: &World, count: u128) -> Vec<Coordinate> {
    world.create(json!({"a": "stays"})).await;
    let removed = world.create(json!({"a": "removed"})).await.id;
    world.documents.remove(removed, None).await.unwrap();
    world.clock.advance(hours(3));
    world.run(Job::ExpireOrphans).await;
    let mut strangers = Vec::new();
    for number in 1..=count {
        let stranger = loose(number);
        let mark = world.mark(&stranger).await;
        world.plant(&stranger, mark, "unknown").await;
        strangers.push(stranger);
    }
    strangers
}

pub(crate) async fn a_dry_run_lists_and_changes_nothing(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let strangers = strangers(&world, 5).await;
    let waiting = DeleteMode::Recoverable(hours(24 * 7));
    world
        .embedded
        .delete(&strangers[4], waiting, None)
        .await
        .unwrap();
    world.backend.pages_of(2);
    let before = world.dump().await;
    let (report, all) = sweep(&world, false).await.unwrap();
    assert_eq!(world.dump().await, before);
    let found: Vec<_> = all.iter().map(|swept| swept.coordinate.clone()).collect();
    assert_eq!(
        found, strangers,
        "and no epoch mark, and nothing the ledger has"
    );
    assert!(all.iter().all(|swept| swept.fate == SweepFate::Unknown));
    assert_eq!(all.iter().filter(|swept| swept.waiting).count(), 1);
    assert_eq!(
        (report.unknown, report.adopted, report.dry_run),
        (5, 0, true)
    );
    assert!(report.listed > 6, "{report:?}");
    world.close().await;
}

pub(crate) async fn what_is_adopted_waits_out_time_to_live_and_horizon(kind: Kind, seed: u64) {
    for recovery in [true, false] {
        let world = World::with_capabilities(kind, seed, |it| {
            if !recovery {
                it.recovery = None;
            }
        })
        .await;
        world.create(json!({"a": "stays"})).await;
        let stranger = loose(1);
        world
            .plant(&stranger, world.mark(&stranger).await, "unknown")
            .await;
        let (report, all) = sweep(&world, true).await.unwrap();
        assert_eq!((report.unknown, report.adopted), (1, 1));
        assert_eq!(all[0].fate, SweepFate::Adopted);
        let receipts = world.db.receipts(0, 100).await.unwrap().receipts;
        let receipt = receipts.last().unwrap();
        assert_eq!(receipt.run, report.run);
        assert_eq!(receipt.coordinate, stranger);
        assert_eq!(
            (&*receipt.reason, &*receipt.outcome),
            ("unknown_marked", "adopted")
        );
        assert!(receipt.evidence.contains("a law"));
        // Again there is nothing to adopt, and the guard has nothing to say.
        let (again, _) = sweep(&world, true).await.unwrap();
        assert_eq!((again.unknown, again.adopted), (0, 0));
        let wait = if recovery { hours(2) } else { hours(24 * 7) };
        world.clock.advance(a_millisecond_less(wait));
        let report = world.run(Job::ExpireOrphans).await;
        assert_eq!(
            (report.guards.len(), report.deleted()),
            (0, 0),
            "{report:#?}"
        );
        assert!(world.is_living(&stranger).await);
        world.clock.advance(MILLISECOND);
        let report = world.run(Job::ExpireOrphans).await;
        assert_eq!(report.deleted(), 1, "{report:#?}");
        assert_eq!(
            world.listed().await.contains_key(&stranger),
            recovery,
            "recoverably"
        );
        assert_eq!(world.row(&stranger).await.unwrap().state, RowState::Deleted);
        world.db.verify_receipts().await.unwrap();
        world.close().await;
    }
}

/// A restored store gives a number again while the manager still holds the lost time's value under it.
pub(crate) async fn what_came_back_under_a_number_given_again_is_adopted(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = world.create(json!({"a": "one"})).await.id;
    let theirs = world.coordinate(id, "/a").await.next_version().unwrap();
    world
        .plant(&theirs, world.mark(&theirs).await, "of the lost time")
        .await;
    // The writer meets it, gives its row up and takes the next number.
    world.update(id, json!({"a": "two"})).await;
    let report = world.run(Job::ExpireOrphans).await;
    assert!(
        report
            .guards
            .iter()
            .any(|trip| trip.guard == Guard::UnknownMarked)
    );
    let (report, all) = sweep(&world, true).await.unwrap();
    assert_eq!((report.adopted, report.other_value), (1, 0), "{all:?}");
    let row = world.row(&theirs).await.unwrap();
    assert_eq!((row.state, row.once_referenced), (RowState::Stored, true));
    assert_eq!(row.digest, world.mark(&theirs).await.digest);
    // The guard does not stand for ever, and what was adopted has its whole time-to-live.
    let report = world.run(Job::ExpireOrphans).await;
    assert!(report.guards.is_empty(), "{report:#?}");
    assert!(world.is_living(&theirs).await);
    world.clock.advance(hours(2));
    world.run(Job::ExpireOrphans).await;
    assert_eq!(world.row(&theirs).await.unwrap().state, RowState::Deleted);
    world.db.verify_receipts().await.unwrap();
    world.close().await;
}

pub(crate) async fn a_name_that_a_writer_is_about_to_use_is_not_adopted(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = world.create(json!({"a": "one"})).await.id;
    let base = world.coordinate(id, "/a").await;
    let intent = Intent {
        base: base.clone(),
        kind: ValueKind::Text,
        digest: world.row(&base).await.unwrap().digest,
        id: IntentId(Uuid::from_u128(1)),
        workspace: workspace(1),
    };
    let intended = world.db.intend(&world.id(), &[intent], hours(2)).await;
    let theirs = intended.unwrap().remove(0);
    world
        .plant(&theirs, world.mark(&theirs).await, "of the lost time")
        .await;
    let (report, all) = sweep(&world, true).await.unwrap();
    assert_eq!(
        (report.unknown, report.adopted, report.other_value),
        (0, 0, 1)
    );
    assert_eq!(
        (&all[0].coordinate, all[0].fate),
        (&theirs, SweepFate::OtherValue)
    );
    assert_eq!(world.row(&theirs).await.unwrap().state, RowState::Intended);
    world.clock.advance(hours(2));
    let (report, _) = sweep(&world, true).await.unwrap();
    assert_eq!((report.adopted, report.other_value), (1, 0));
    world.close().await;
}

/// What another history of the database put under the number of what this one used and deleted is that
/// one's: it is not deleted for the tombstone's sake.
pub(crate) async fn what_another_history_put_under_a_number_once_in_use_is_adopted(
    kind: Kind,
    seed: u64,
) {
    let world = World::with_capabilities(kind, seed, |it| it.recovery = None).await;
    world.create(json!({"a": "stays"})).await;
    let id = world.create(json!({"a": "one"})).await.id;
    let theirs = world.coordinate(id, "/a").await;
    world.documents.remove(id, None).await.unwrap();
    world.clock.advance(hours(24 * 7));
    assert_eq!(world.run(Job::ExpireOrphans).await.deleted(), 1);
    let mark = Mark {
        intent: Some(IntentId(Uuid::from_u128(1))),
        ..world.mark(&theirs).await
    };
    world.plant(&theirs, mark, "of another history").await;
    let report = world.run(Job::ExpireOrphans).await;
    assert!(stopped_by(&report, Guard::UnknownMarked), "{report:#?}");
    let past = RunOptions {
        overrides: Guard::ALL.into(),
        ..RunOptions::default()
    };
    let report = world.run_with(Job::ExpireOrphans, &past).await.unwrap();
    assert_eq!(report.deleted(), 0, "{report:#?}");
    assert!(world.is_living(&theirs).await);
    let (report, _) = sweep(&world, true).await.unwrap();
    assert_eq!((report.adopted, report.other_value), (1, 0));
    world.clock.advance(a_millisecond_less(hours(24 * 7)));
    let report = world.run(Job::ExpireOrphans).await;
    assert_eq!(
        (report.guards.len(), report.deleted()),
        (0, 0),
        "{report:#?}"
    );
    world.clock.advance(MILLISECOND);
    assert_eq!(world.run(Job::ExpireOrphans).await.deleted(), 1);
    assert!(!world.is_living(&theirs).await);
    world.db.verify_receipts().await.unwrap();
    world.close().await;
}

/// A deletion was begun and its answer lost; a copy put its own under the name before it was taken up
/// again. That trips a guard, so no run goes on with the deletion: the sweep has to.
pub(crate) async fn a_name_that_a_deletion_left_is_adopted(kind: Kind, seed: u64) {
    for parked in [false, true] {
        let mut world = World::new(kind, seed).await;
        world.settings.attempts = 1;
        let before = world.living().await;
        world.store.faults.refuse("commit", ErrorKind::Unavailable);
        world.try_create(json!({"a": "lost"})).await.unwrap_err();
        world.store.faults.clear();
        let mut living = world.living().await.into_keys();
        let theirs = living.find(|it| !before.contains_key(it)).unwrap();
        world.clock.advance(hours(3));
        let answer = if parked {
            ErrorKind::Denied
        } else {
            ErrorKind::Unavailable
        };
        world.backend.faults.set(move |call| {
            let mark = call.coordinate.is_some_and(is_epoch_mark);
            if call.operation.starts_with("delete") && !mark {
                Fate::After(answer)
            } else {
                Fate::Pass
            }
        });
        world.run(Job::ExpireOrphans).await;
        world.backend.faults.clear();
        assert!(!world.is_living(&theirs).await);
        let begun = if parked {
            RowState::Quarantined
        } else {
            RowState::Deleting
        };
        assert_eq!(world.row(&theirs).await.unwrap().state, begun);
        world
            .plant(&theirs, world.mark(&theirs).await, "of a copy")
            .await;
        let (report, _) = sweep(&world, true).await.unwrap();
        let (now, later) = (u64::from(parked), u64::from(!parked));
        assert_eq!((report.adopted, report.other_value), (now, later));
        world.clock.advance(hours(2));
        let report = world.run(Job::ExpireOrphans).await;
        assert_eq!(report.guards.is_empty(), parked, "{report:#?}");
        let (report, _) = sweep(&world, true).await.unwrap();
        assert_eq!((report.adopted, report.other_value), (later, 0));
        if !parked {
            world.clock.advance(hours(2));
            world.run(Job::ExpireOrphans).await;
        }
        let row = world.row(&theirs).await.unwrap();
        assert_eq!((row.state, row.last_error), (RowState::Deleted, None));
        assert!(!world.is_living(&theirs).await);
        world.db.verify_receipts().await.unwrap();
        world.close().await;
    }
}

pub(crate) async fn a_page_that_fails_says_so(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    strangers(&world, 6).await;
    world.backend.pages_of(4);
    world.backend.faults.set(|call| {
        if call.operation == "list" && call.number >= 1 {
            Fate::Before(ErrorKind::Denied)
        } else {
            Fate::Pass
        }
    });
    let failed = sweep(&world, true).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Denied, "{failed}");
    world.backend.faults.clear();
    let (report, all) = sweep(&world, true).await.unwrap();
    assert!(
        report.adopted > 0 && report.adopted <= 6,
        "the rest: {report:?}"
    );
    assert!(all.iter().all(|swept| !is_epoch_mark(&swept.coordinate)));
    let (nothing, _) = sweep(&world, false).await.unwrap();
    assert_eq!(nothing.unknown, 0);
    world.close().await;
}

/// Rows are written in the database that goes on, which nobody has said of a copy.
pub(crate) async fn a_copy_adopts_nothing(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    strangers(&world, 2).await;
    let copy = world.copied().await;
    let (looked, _) = sweep(&copy, false).await.unwrap();
    assert_eq!((looked.unknown, looked.guard), (2, None));
    let (report, all) = sweep(&copy, true).await.unwrap();
    assert_eq!(report.guard.as_ref().unwrap().guard, Guard::Identity);
    assert_eq!((report.unknown, report.adopted, all.len()), (2, 0, 2));
    assert!(all.iter().all(|it| it.fate == SweepFate::Unknown));
    let (report, _) = sweep(&world, true).await.unwrap();
    assert_eq!((report.adopted, report.guard), (2, None));
    copy.close().await;
    world.close().await;
}
