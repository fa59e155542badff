//! The epoch: raised before the first deletion, first in the store and then in the backend; and what
//! becomes of a mark that is lost, late or refused.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cloakroom_core::ledger::RowState;
use cloakroom_core::store::{DocumentStore as _, Epochs as _, Job, RunOutcome};
use cloakroom_core::{Coordinate, DeleteMode, DocumentId, ErrorKind, SecretBackend as _};
use cloakroom_reconcile::{
    EpochAdoption, EpochReport, EpochStanding, Guard, Report, RunOptions, Silent, is_epoch_mark,
};
use serde_json::json;

use crate::harness::{Fate, Kind, MILLISECOND, World, a_millisecond_less, hours};

pub(crate) const TEN_MINUTES: Duration = Duration::from_mins(10);

/// Something in use, and orphans past their time.
pub(crate) async fn orphans(world: &World, count: usize) -> DocumentId {
    let stays = world.create(json!({"a": "stays"})).await.id;
    for number in 0..count {
        let value = format!("orphan-{number}");
        let id = world.create(json!({ "a": value })).await.id;
        world.documents.remove(id, None).await.unwrap();
    }
    world.clock.advance(hours(3));
    stays
}

/// A row that was never referenced and is past its expiry by the time the job runs.
pub(crate) async fn abandoned(world: &World) -> Coordinate {
    let before: BTreeSet<_> = world.living().await.into_keys().collect();
    world.store.faults.refuse("commit", ErrorKind::Unavailable);
    let put = world.try_create(json!({"a": "abandoned"})).await;
    put.unwrap_err();
    world.store.faults.clear();
    let after: BTreeSet<_> = world.living().await.into_keys().collect();
    after.difference(&before).next().unwrap().clone()
}

pub(crate) async fn epoch(world: &World) -> i64 {
    world.db.epoch(&world.id()).await.unwrap().number
}

pub(crate) async fn standing(world: &World) -> EpochStanding {
    told(world).await.standing
}

async fn told(world: &World) -> EpochReport {
    world.reconciler().epoch(&world.id()).await.unwrap()
}

pub(crate) async fn adopt(world: &World, take_over: bool) -> cloakroom_core::Result<EpochReport> {
    adopt_where(world, take_over, false).await
}

pub(crate) async fn adopt_where(
    world: &World,
    take_over: bool,
    manager: bool,
) -> cloakroom_core::Result<EpochReport> {
    let adoption = EpochAdoption {
        take_over,
        manager,
        by: "a law".to_owned(),
    };
    world.reconciler().adopt_epoch(&world.id(), &adoption).await
}

pub(crate) fn everything_overridden() -> RunOptions {
    RunOptions {
        overrides: Guard::ALL.into(),
        ..RunOptions::default()
    }
}

pub(crate) fn stopped_by(report: &Report, guard: Guard) -> bool {
    let trip = report.guards.iter().find(|trip| trip.guard == guard);
    trip.is_some_and(|trip| !trip.overridden) && report.outcome == RunOutcome::Refused
}

/// Neither job deletes anything, passed guards or not; the guard says so each time.
pub(crate) async fn assert_stopped(world: &World, guard: Guard, when: &str) {
    let before: BTreeSet<_> = world.living().await.into_keys().collect();
    for job in [Job::ExpireOrphans, Job::DeleteSuperseded] {
        for options in [RunOptions::default(), everything_overridden()] {
            let report = world.run_with(job, &options).await.unwrap();
            assert!(stopped_by(&report, guard), "{when}, {job}: {report:#?}");
            assert_eq!(report.deleted(), 0, "{when}, {job}: {report:#?}");
        }
    }
    let after: BTreeSet<_> = world.living().await.into_keys().collect();
    assert!(after.is_superset(&before), "{when}");
}

pub(crate) async fn raised_before_the_first_deletion_and_rarely(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    orphans(&world, 0).await;
    for job in Job::ALL {
        world.run(job).await;
    }
    assert_eq!(
        (epoch(&world).await, standing(&world).await),
        (0, EpochStanding::Fresh)
    );
    assert!(
        world.backend.epoch_marks().await.is_empty(),
        "nothing was due"
    );
    orphans(&world, 1).await;
    world.dry_run(Job::ExpireOrphans).await;
    assert!(
        world.backend.epoch_marks().await.is_empty(),
        "a dry run changes nothing"
    );
    // First the store, then the mark, then the deletions.
    world.backend.faults.set(|_| Fate::Pass);
    world.run(Job::ExpireOrphans).await;
    let calls = world.backend.faults.log();
    let at = |operation: &str| calls.iter().position(|call| call.starts_with(operation));
    assert!(
        at("put cloakroom_epoch_").unwrap() < at("delete").unwrap(),
        "{calls:?}"
    );
    assert_eq!(
        (epoch(&world).await, standing(&world).await),
        (1, EpochStanding::Current)
    );
    assert_eq!(world.backend.epoch_marks().await, [1]);
    for (wait, number) in [
        (Duration::ZERO, 1),
        (a_millisecond_less(TEN_MINUTES), 1),
        (MILLISECOND, 2),
        (TEN_MINUTES, 3),
    ] {
        orphans_at_once(&world, 1).await;
        world.clock.advance(wait);
        let report = world.run(Job::ExpireOrphans).await;
        assert_eq!(report.deleted(), 1, "{report:#?}");
        assert_eq!(epoch(&world).await, number, "after {wait:?}");
        assert_eq!(
            world.backend.epoch_marks().await,
            [number],
            "former ones go"
        );
    }
    assert_eq!(world.db.identity().await.unwrap().epoch, 3);
    world.close().await;
}

/// Two questions a run, and two requests more where the epoch is raised.
pub(crate) async fn it_costs_little(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    for run in 0..4 {
        orphans(&world, 3).await;
        if run % 2 == 1 {
            world.clock.advance(TEN_MINUTES);
        }
        world.backend.faults.set(|_| Fate::Pass);
        world.run(Job::ExpireOrphans).await;
        let calls = world.backend.faults.log();
        let about_marks = |operation: &str| {
            calls
                .iter()
                .filter(|call| call.starts_with(operation) && call.contains("cloakroom_epoch_"))
                .count()
        };
        assert!(about_marks("describe") <= 2, "run {run}: {calls:?}");
        assert!(
            about_marks("put") + about_marks("delete") <= 2,
            "run {run}: {calls:?}"
        );
        assert_eq!(about_marks("get") + about_marks("restore"), 0);
        // Nobody raises it twice.
        world.backend.faults.set(|_| Fate::Pass);
        let id = world.create(json!({"a": "more"})).await.id;
        world.documents.remove(id, None).await.unwrap();
        world.run(Job::ExpireOrphans).await;
        let calls = world.backend.faults.log();
        assert!(
            !calls
                .iter()
                .any(|call| call.starts_with("put cloakroom_epoch_"))
        );
    }
    world.close().await;
}

/// The mark is nobody's secret: no job, list or finding knows it.
pub(crate) async fn the_mark_is_no_secret(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    orphans(&world, 2).await;
    world.run(Job::ExpireOrphans).await;
    for _ in 0..3 {
        world.clock.advance(hours(1_000));
        for job in Job::ALL {
            let options = RunOptions {
                read_values: true,
                ..RunOptions::default()
            };
            let listed = world.listed().await.len() as u64;
            let report = world.run_with(job, &options).await.unwrap();
            assert!(report.checked.listed <= listed, "{job}: {report:#?}");
            assert_eq!(
                (report.guards.len(), report.has_findings()),
                (0, false),
                "{report:#?}"
            );
        }
    }
    // Once more before the two orphans were purged.
    assert_eq!(world.backend.epoch_marks().await, [2]);
    assert!(
        world
            .rows()
            .await
            .iter()
            .all(|row| !is_epoch_mark(&row.coordinate))
    );
    world.close().await;
}

/// A manager that does not take the mark, for whatever reason, gets no deletion.
pub(crate) async fn no_mark_no_deletion(kind: Kind, seed: u64) {
    for operation in ["put", "describe"] {
        for answer in [
            ErrorKind::Unavailable,
            ErrorKind::Throttled,
            ErrorKind::Denied,
            ErrorKind::Corrupt,
            ErrorKind::Invalid,
        ] {
            for fate in [Fate::Before(answer), Fate::After(answer)] {
                let world = World::new(kind, seed).await;
                orphans(&world, 2).await;
                let before = world.listed().await;
                world.backend.faults.set(move |call| {
                    let mark = call.coordinate.is_some_and(is_epoch_mark);
                    if call.operation == operation && mark {
                        fate
                    } else {
                        Fate::Pass
                    }
                });
                let failed = world.try_run(Job::ExpireOrphans).await.unwrap_err();
                assert_eq!(failed.kind(), answer, "{operation} {fate:?}: {failed}");
                assert_eq!(world.listed().await, before, "{operation} {fate:?}");
                let rows = world.rows().await;
                assert!(rows.iter().all(|row| row.state == RowState::Stored));
                world.backend.faults.clear();
                // A raise that was cut off is finished, and counts as one.
                let report = world.run(Job::ExpireOrphans).await;
                assert_eq!((report.deleted(), report.outcome), (2, RunOutcome::Done));
                assert_eq!(
                    (epoch(&world).await, standing(&world).await),
                    (1, EpochStanding::Current)
                );
                world.close().await;
            }
        }
    }
}

/// The same where a mark stood before.
pub(crate) async fn a_raise_cut_off_is_finished(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    for number in 2..=4 {
        orphans(&world, 1).await;
        world.run(Job::ExpireOrphans).await;
        orphans(&world, 1).await;
        let fate = if number % 2 == 0 {
            Fate::Before(ErrorKind::Unavailable)
        } else {
            Fate::After(ErrorKind::Unavailable)
        };
        world.backend.faults.set(move |call| {
            let mark = call.coordinate.is_some_and(is_epoch_mark);
            if call.operation == "put" && mark {
                fate
            } else {
                Fate::Pass
            }
        });
        world.try_run(Job::ExpireOrphans).await.unwrap_err();
        world.backend.faults.clear();
        let raised = epoch(&world).await;
        let expected = match fate {
            Fate::Before(_) => EpochStanding::Unfinished,
            _ => EpochStanding::Current,
        };
        assert_eq!(standing(&world).await, expected);
        let report = world.run(Job::ExpireOrphans).await;
        assert_eq!(
            (report.deleted(), report.outcome),
            (1, RunOutcome::Done),
            "{report:#?}"
        );
        assert_eq!(
            (epoch(&world).await, standing(&world).await),
            (raised, EpochStanding::Current)
        );
        assert!(world.backend.epoch_marks().await.contains(&raised));
    }
    // What a raise that was cut off left is cleared away by the next whole one.
    orphans(&world, 1).await;
    world.run(Job::ExpireOrphans).await;
    assert_eq!(world.backend.epoch_marks().await, [epoch(&world).await]);
    world.close().await;
}

/// A mark that somebody deleted: nobody knows any more, so nobody deletes.
pub(crate) async fn a_lost_mark_is_not_knowing(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    for _ in 0..2 {
        orphans(&world, 1).await;
        world.run(Job::ExpireOrphans).await;
    }
    let mark = World::epoch_coordinate(2);
    world
        .embedded
        .delete(&mark, DeleteMode::Final, None)
        .await
        .unwrap();
    orphans(&world, 1).await;
    assert_eq!(standing(&world).await, EpochStanding::Lost);
    assert_stopped(&world, Guard::Epoch, "without the mark").await;
    let adopted = adopt(&world, false).await.unwrap();
    assert_eq!(adopted.store.number, 3);
    let report = world.run(Job::ExpireOrphans).await;
    assert_eq!(
        (report.deleted(), report.outcome),
        (1, RunOutcome::Done),
        "{report:#?}"
    );
    // Where both agree there is nothing to adopt.
    let agreed = adopt(&world, false).await.unwrap();
    assert_eq!((agreed.adopted, agreed.store.number), (None, 3));
    world.close().await;
}

/// The mark of the first raise was seen once: that it is gone is no raise that was cut off.
pub(crate) async fn the_first_mark_is_not_put_twice(kind: Kind, seed: u64) {
    for older in [false, true] {
        let world = World::new(kind, seed).await;
        orphans(&world, 1).await;
        world.run(Job::ExpireOrphans).await;
        if older {
            // An older program wrote nothing down; the next run that sees the mark does.
            let unconfirmed = "UPDATE backend_epochs SET marked_at = NULL";
            world.behind_the_back(unconfirmed).await;
            world.run(Job::DeleteSuperseded).await;
        }
        let mark = World::epoch_coordinate(1);
        let gone = world.embedded.delete(&mark, DeleteMode::Final, None).await;
        gone.unwrap();
        orphans(&world, 1).await;
        assert_eq!(standing(&world).await, EpochStanding::Lost);
        assert_stopped(&world, Guard::Epoch, "without the first mark").await;
        assert!(world.backend.epoch_marks().await.is_empty());
        assert_eq!(adopt(&world, false).await.unwrap().store.number, 2);
        assert_eq!(world.run(Job::ExpireOrphans).await.deleted(), 1);
        world.close().await;
    }
}

/// It knows nothing of marks that were seen, and was cut off between store and backend.
pub(crate) async fn a_raise_of_an_older_program_is_finished(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    orphans(&world, 1).await;
    world.run(Job::ExpireOrphans).await;
    orphans(&world, 1).await;
    world.clock.advance(TEN_MINUTES);
    let raised = "UPDATE backend_epochs SET epoch = 2, raised_at = raised_at + 600000";
    world.behind_the_back(raised).await;
    assert_eq!(standing(&world).await, EpochStanding::Unfinished);
    assert_eq!(world.run(Job::ExpireOrphans).await.deleted(), 1);
    assert_eq!(standing(&world).await, EpochStanding::Current);
    let number = world.db.epoch(&world.id()).await.unwrap().number;
    let mark = World::epoch_coordinate(number);
    let gone = world.embedded.delete(&mark, DeleteMode::Final, None).await;
    gone.unwrap();
    assert_eq!(standing(&world).await, EpochStanding::Lost);
    world.close().await;
}

/// Where the listing stopped, no mark in it proves nothing.
pub(crate) async fn a_listing_that_stopped_shows_no_absence(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    orphans(&world, 2).await;
    world.backend.faults.refuse("list", ErrorKind::Denied);
    assert_stopped(&world, Guard::Epoch, "before the first raise").await;
    world.backend.faults.clear();
    world.run(Job::ExpireOrphans).await;
    orphans(&world, 1).await;
    world.backend.faults.refuse("list", ErrorKind::Denied);
    let options = everything_overridden();
    let report = world.run_with(Job::ExpireOrphans, &options).await.unwrap();
    assert_eq!(
        report.deleted(),
        1,
        "the mark itself was asked about: {report:#?}"
    );
    world.close().await;
}

/// Where a listing shows a new mark late and a deleted one no more, the mark that a database from before the first
/// raise asks about stands until the one behind it is listed.
pub(crate) async fn a_listing_that_lags_hides_no_raise(kind: Kind, seed: u64) {
    let world = World::with_capabilities(kind, seed, |it| it.listing_lag = TEN_MINUTES / 2).await;
    orphans(&world, 2).await;
    world.save("before").await;
    for raised in 1..=3 {
        orphans(&world, 1).await;
        world.run(Job::ExpireOrphans).await;
        assert_eq!(epoch(&world).await, raised);
        let two = [raised - 1, raised].into_iter().filter(|it| *it > 0);
        assert_eq!(world.backend.epoch_marks().await, two.collect::<Vec<_>>());
        world.save("after").await;
        world.bring_back("before").await;
        // So long after its raise a mark is listed.
        let fresh = World::epoch_coordinate(raised);
        world.backend.hide(move |it| it.coordinate == fresh);
        assert_stopped(&world, Guard::Epoch, "behind a mark that is not listed").await;
        world.backend.straighten();
        world.bring_back("after").await;
    }
    world.close().await;
}

/// A plan is applied under the same fence, and not used up by it.
pub(crate) async fn a_plan_meets_the_fence(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    orphans(&world, 1).await;
    world.run(Job::ExpireOrphans).await;
    orphans(&world, 2).await;
    let reconciler = world.reconciler();
    let plan = reconciler
        .plan(Job::ExpireOrphans, &world.id(), 100, &Silent)
        .await
        .unwrap();
    let mark = World::epoch_coordinate(2);
    world
        .plant(&mark, world.mark(&mark).await, "another copy's")
        .await;
    let applied = reconciler
        .apply(&plan, &everything_overridden(), &Silent)
        .await
        .unwrap();
    assert!(stopped_by(&applied, Guard::Epoch), "{applied:#?}");
    adopt(&world, false).await.unwrap();
    let applied = reconciler
        .apply(&plan, &RunOptions::default(), &Silent)
        .await
        .unwrap();
    assert_eq!(
        (applied.deleted(), applied.outcome),
        (2, RunOutcome::Done),
        "{applied:#?}"
    );
    world.close().await;
}

/// A run that goes on for long looks again once the raise it rests on no longer counts, and ends where
/// it finds another copy at work.
pub(crate) async fn a_long_run_looks_again(kind: Kind, seed: u64) {
    for (age, takes) in [(0, 11), (9, 2)] {
        let mut world = World::with_capabilities(kind, seed, |it| it.delete_batch = 1).await;
        world.settings.batch = 1;
        world.settings.request.deadline = hours(1);
        world.settings.claim_deadline = hours(4);
        orphans(&world, 1).await;
        world.run(Job::ExpireOrphans).await;
        orphans_at_once(&world, 3).await;
        world.clock.advance(Duration::from_mins(age));
        // Another copy raises behind the run's first look.
        let mark = World::epoch_coordinate(2);
        let theirs = world.mark(&mark).await;
        world.plant(&mark, theirs, "another copy's").await;
        let hidden = mark.clone();
        world
            .backend
            .hide(move |listed| listed.coordinate == hidden);
        let asked = AtomicBool::new(false);
        world.backend.faults.set(move |call| {
            if call.coordinate == Some(&mark) && !asked.swap(true, Ordering::Relaxed) {
                Fate::Before(ErrorKind::Missing)
            } else {
                Fate::Pass
            }
        });
        world.backend.deletes_in(Duration::from_mins(takes));
        let ended = world.try_run(Job::ExpireOrphans).await.unwrap_err();
        assert_eq!(ended.kind(), ErrorKind::Conflict, "{ended}");
        let left = world.living().await.len();
        assert_eq!(left, 3, "one went before it looked again");
        world.close().await;
    }
}

/// Orphans that are due without waiting.
async fn orphans_at_once(world: &World, count: usize) {
    for number in 0..count {
        let value = format!("more-{number}");
        let id = world.create(json!({ "a": value })).await.id;
        world.documents.remove(id, None).await.unwrap();
    }
    world
        .behind_the_back(
            "UPDATE secrets SET unreferenced_since = 0 \
             WHERE unreferenced_since IS NOT NULL AND state = 'stored'",
        )
        .await;
}
