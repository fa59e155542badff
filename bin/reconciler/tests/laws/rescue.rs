//! Rescue: what is referenced and in danger is brought back by any job's run, and by no dry run.

use cloakroom_core::ledger::RowState;
use cloakroom_core::store::{FindingKind, Job, Receipts as _, words};
use cloakroom_core::{
    Clock as _, Coordinate, DeleteMode, DocumentId, ErrorKind, SecretBackend as _,
};
use cloakroom_documents::{Change, ChangeKind};
use cloakroom_reconcile::{Guard, RescueReason, RunOptions, UndoOptions, Undone};
use serde_json::json;

use crate::harness::{Fate, Kind, MASK, World, hours};
use crate::remembered::damage_marks;

/// What can happen to a secret in use.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Danger {
    Waiting,
    Expiring,
    Both,
}

impl Danger {
    pub(crate) fn as_planned(self) -> RescueReason {
        match self {
            Self::Waiting | Self::Both => RescueReason::ScheduledForDeletion,
            Self::Expiring => RescueReason::Expiring,
        }
    }
}

pub(crate) async fn endanger(world: &World, coordinate: &Coordinate, danger: Danger) {
    if matches!(danger, Danger::Expiring | Danger::Both) {
        let soon = world.clock.now().as_millisecond() + 3_600_000;
        let set = format!(
            "UPDATE embedded_secrets SET expires_at = {soon} WHERE coordinate = '{coordinate}'"
        );
        world.behind_the_back(&set).await;
    }
    if matches!(danger, Danger::Waiting | Danger::Both) {
        let week = DeleteMode::Recoverable(hours(24 * 7));
        world.embedded.delete(coordinate, week, None).await.unwrap();
    }
}

pub(crate) async fn is_safe(world: &World, coordinate: &Coordinate) -> bool {
    world
        .living()
        .await
        .get(coordinate)
        .is_some_and(|it| it.native_expiry.is_none())
}

pub(crate) async fn by_any_job(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = world.create(json!({"a": "in use", "b": "too"})).await.id;
    let coordinate = world.coordinate(id, "/a").await;
    for danger in [Danger::Waiting, Danger::Expiring, Danger::Both] {
        for job in Job::ALL {
            for read_values in [false, true] {
                // The journal keeps the findings of the last runs, by the time they began.
                world.clock.advance(crate::harness::MILLISECOND);
                endanger(&world, &coordinate, danger).await;
                let options = RunOptions {
                    read_values,
                    ..RunOptions::default()
                };
                let dry = RunOptions {
                    dry_run: true,
                    ..options.clone()
                };
                let report = world.run_with(job, &dry).await.unwrap();
                assert_eq!(
                    report.findings,
                    [(FindingKind::Endangered, 1)].into(),
                    "{report:#?}"
                );
                assert_eq!(report.rescued, 0);
                assert!(
                    !is_safe(&world, &coordinate).await,
                    "a dry run changes nothing"
                );
                let report = world.run_with(job, &options).await.unwrap();
                assert_eq!(
                    world.found(&report).await,
                    [(FindingKind::Endangered, 1)].into()
                );
                assert_eq!(report.rescued, 1, "{danger:?}, {job}: {report:#?}");
                assert!(
                    is_safe(&world, &coordinate).await,
                    "{danger:?}, {job}: {report:#?}"
                );
                let report = world.run_with(job, &options).await.unwrap();
                assert!(!report.has_findings(), "{danger:?}, {job}: {report:#?}");
            }
        }
    }
    assert_eq!(world.hydrated(id).await, json!({"a": "in use", "b": "too"}));
    world.close().await;
}

/// Somebody took a field of its mark off and deleted it by hand, or let it expire: a listing tells that it is there
/// and in danger, and a direct question, such as verify-blobs asks, that its mark cannot be read.
pub(crate) async fn although_its_mark_cannot_be_read(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = world.create(json!({"a": "in use"})).await.id;
    let coordinate = world.coordinate(id, "/a").await;
    let unused = world.create(json!({"a": "given up"})).await.id;
    let old = world.coordinate(unused, "/a").await;
    world.documents.remove(unused, None).await.unwrap();
    let jobs = Job::ALL.into_iter();
    for (job, danger) in jobs.flat_map(|job| [(job, Danger::Expiring), (job, Danger::Waiting)]) {
        world.clock.advance(crate::harness::MILLISECOND);
        for it in [&coordinate, &old] {
            if is_safe(&world, it).await {
                endanger(&world, it, danger).await;
            }
        }
        damage_marks(&world, &[coordinate.clone(), old.clone()]);
        let dry = world.dry_run(job).await;
        assert_eq!(dry.findings.get(&FindingKind::Endangered), Some(&1));
        let report = world.run(job).await;
        assert_eq!(report.rescued, 1, "{job}: {report:#?}");
        let found = world.found(&report).await;
        assert_eq!(found.get(&FindingKind::NotOurs), None, "{report:#?}");
        world.backend.straighten();
        world.backend.faults.clear();
        assert!(is_safe(&world, &coordinate).await, "{job}: {report:#?}");
        assert!(!is_safe(&world, &old).await, "{job}: nothing refers to it");
    }
    assert_eq!(world.hydrated(id).await, json!({"a": "in use"}));
    world.close().await;
}

/// A token without the right to list, or a manager that lists a page and no more.
pub(crate) async fn although_nothing_is_listed(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let fields = json!({"a": "one", "b": "two", "t": ["three", "four", "five"]});
    let id = world.create(fields.clone()).await.id;
    let last = world.referenced().await.pop_last().unwrap();
    world.backend.pages_of(2);
    for (pages, kind) in [
        (0, ErrorKind::Denied),
        (1, ErrorKind::Unavailable),
        (1, ErrorKind::Corrupt),
    ] {
        for job in Job::ALL {
            world.clock.advance(crate::harness::MILLISECOND);
            endanger(&world, &last, Danger::Waiting).await;
            world.backend.faults.set(move |call| {
                let fails = call.operation == "list" && call.number >= pages;
                if fails {
                    Fate::Before(kind)
                } else {
                    Fate::Pass
                }
            });
            let report = world.run(job).await;
            world.backend.faults.clear();
            assert_eq!(report.rescued, 1, "{kind:?}, {job}: {report:#?}");
            assert_eq!(
                world.found(&report).await,
                [(FindingKind::Endangered, 1)].into()
            );
            assert!(is_safe(&world, &last).await, "{kind:?}, {job}");
            let mut stopped = report.guards.iter().map(|trip| trip.guard);
            let deletes = job != Job::VerifyBlobs;
            assert_eq!(
                stopped.any(|it| it == Guard::ListingFailed),
                deletes,
                "{job}"
            );
        }
    }
    assert_eq!(world.hydrated(id).await, fields);
    world.close().await;
}

pub(crate) async fn each_has_a_receipt(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = world.create(json!({"a": "in use"})).await.id;
    let coordinate = world.coordinate(id, "/a").await;
    for job in Job::ALL {
        for danger in [Danger::Waiting, Danger::Expiring] {
            world.clock.advance(crate::harness::MILLISECOND);
            endanger(&world, &coordinate, danger).await;
            let report = world.dry_run(job).await;
            let receipts = world.db.receipts_of(report.run, 0, 10).await.unwrap();
            assert_eq!(receipts, [], "a dry run restores nothing");
            let report = world.run(job).await;
            let receipts = world.db.receipts_of(report.run, 0, 10).await.unwrap();
            let [receipt] = &receipts[..] else {
                panic!("{job}: {receipts:?}");
            };
            assert_eq!(
                (&*receipt.reason, &*receipt.outcome),
                (words::RESCUED, words::RESTORED)
            );
            assert_eq!(receipt.coordinate, coordinate);
            assert!(receipt.evidence.contains(&id.to_string()), "{receipt:?}");
            assert_eq!(
                world.row(&coordinate).await.unwrap().state,
                RowState::Stored
            );
            // What is in use stays where it is when the run is taken back.
            world.clock.advance(hours(1));
            let options = UndoOptions {
                dry_run: false,
                hold: hours(1),
                by: "a law".to_owned(),
            };
            let mut each = |_: &Undone| panic!("there is nothing to take back");
            let reconciler = world.reconciler();
            let undone = reconciler.undo(report.run, &options, &mut each).await;
            assert!(undone.unwrap().fates.is_empty());
        }
    }
    assert_eq!(world.db.verify_receipts().await.unwrap(), 6);
    world.close().await;
}

pub(crate) async fn nothing_that_is_unused(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    world.create(json!({"a": "stays"})).await;
    let id = world.create(json!({"a": "one"})).await.id;
    let one = world.coordinate(id, "/a").await;
    world.documents.remove(id, None).await.unwrap();
    endanger(&world, &one, Danger::Both).await;
    for job in Job::ALL {
        let report = world.run(job).await;
        assert_eq!(
            (report.rescued, report.has_findings()),
            (0, false),
            "{job}: {report:#?}"
        );
    }
    assert!(!world.is_living(&one).await);
    world.close().await;
}

pub(crate) async fn one_that_fails_is_reported_and_holds_up_nobody(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = world.create(json!({"a": "one", "b": "two"})).await.id;
    let (one, two) = (
        world.coordinate(id, "/a").await,
        world.coordinate(id, "/b").await,
    );
    for job in Job::ALL {
        for read_values in [false, true] {
            world.clock.advance(crate::harness::MILLISECOND);
            for coordinate in [&one, &two] {
                endanger(&world, coordinate, Danger::Waiting).await;
            }
            let bad = one.clone();
            world.backend.faults.set(move |call| {
                if call.operation == "restore" && call.coordinate == Some(&bad) {
                    Fate::Before(ErrorKind::Denied)
                } else {
                    Fate::Pass
                }
            });
            let options = RunOptions {
                read_values,
                ..RunOptions::default()
            };
            let report = world.run_with(job, &options).await.unwrap();
            assert_eq!(
                world.found(&report).await,
                [(FindingKind::Endangered, 2)].into()
            );
            assert_eq!(report.rescued, 1, "{job}: {report:#?}");
            assert!(is_safe(&world, &two).await, "{job}");
            world.backend.faults.clear();
            world.run(job).await;
            assert!(is_safe(&world, &one).await, "{job}");
        }
    }
    world.close().await;
}

/// Documents and references came from a backup, and the ledger says that the secret was deleted.
async fn brought_back_without_the_ledger(world: &World) -> (DocumentId, Coordinate) {
    let id = world.create(json!({"a": "in use", "b": "too"})).await.id;
    let coordinate = world.coordinate(id, "/a").await;
    endanger(world, &coordinate, Danger::Waiting).await;
    world
        .behind_the_back(&format!(
            "UPDATE secrets SET state = 'deleted', deleted_at = created_at, \
             unreferenced_since = created_at WHERE coordinate = '{coordinate}'"
        ))
        .await;
    (id, coordinate)
}

/// A secret that no document refers to and that waits for its deletion.
async fn waits_unused(world: &World) -> Coordinate {
    let unused = world.create(json!({"a": "given up"})).await.id;
    let old = world.coordinate(unused, "/a").await;
    world.documents.remove(unused, None).await.unwrap();
    endanger(world, &old, Danger::Waiting).await;
    old
}

pub(crate) async fn although_its_row_says_deleted(kind: Kind, seed: u64) {
    for job in Job::ALL {
        let world = World::new(kind, seed).await;
        let (id, coordinate) = brought_back_without_the_ledger(&world).await;
        // What no document refers to waits on.
        let old = waits_unused(&world).await;
        let dry = world.dry_run(job).await;
        assert_eq!(dry.rescued, 0, "{job}: {dry:#?}");
        let report = world.run(job).await;
        assert_eq!(report.rescued, 1, "{job}: {report:#?}");
        assert!(is_safe(&world, &coordinate).await, "{job}: {report:#?}");
        assert!(!is_safe(&world, &old).await, "{job}: nothing refers to it");
        for job in Job::ALL {
            world.run(job).await;
        }
        let hydrated = world.hydrated(id).await;
        assert_eq!(hydrated, json!({"a": "in use", "b": "too"}));
        world.close().await;
    }
}

/// Both at once.
pub(crate) async fn although_mark_and_row_are_of_no_use(kind: Kind, seed: u64) {
    for job in Job::ALL {
        let world = World::new(kind, seed).await;
        let (id, coordinate) = brought_back_without_the_ledger(&world).await;
        let old = waits_unused(&world).await;
        damage_marks(&world, &[coordinate.clone(), old.clone()]);
        let dry = world.dry_run(job).await;
        assert_eq!(dry.findings.get(&FindingKind::Endangered), Some(&1));
        let report = world.run(job).await;
        assert_eq!(report.rescued, 1, "{job}: {report:#?}");
        world.backend.straighten();
        world.backend.faults.clear();
        assert!(is_safe(&world, &coordinate).await, "{job}: {report:#?}");
        assert!(!is_safe(&world, &old).await, "{job}: nothing refers to it");
        let hydrated = world.hydrated(id).await;
        assert_eq!(hydrated, json!({"a": "in use", "b": "too"}));
        world.close().await;
    }
}

pub(crate) async fn its_value_can_be_put_again_although_its_row_says_deleted(
    kind: Kind,
    seed: u64,
) {
    let world = World::new(kind, seed).await;
    let (id, coordinate) = brought_back_without_the_ledger(&world).await;
    // What the value is the manager alone knows, and the row is not one to be kept.
    let masked = json!({"a": MASK, "b": MASK, "host": "new"});
    let refused = world.try_update(id, masked).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
    let config = json!({"a": "in use", "b": "too", "host": "new"});
    let done = world.update(id, config.clone()).await;
    let raised = |it: &&Change| it.change == ChangeKind::Raised;
    assert_eq!(done.changes.iter().filter(raised).count(), 1, "{done:?}");
    assert_ne!(world.coordinate(id, "/a").await, coordinate);
    assert_eq!(world.hydrated(id).await, config);
    world.quiet_time_and_passes().await;
    assert_eq!(world.hydrated(id).await, config);
    world.close().await;
}
