//! Managers that end no recovery window themselves: what is over goes by a whole run alone, behind the
//! rescue and the guards, and by both clocks.

use cloakroom_core::ledger::RowState;
use cloakroom_core::store::{Job, RunOutcome};
use cloakroom_core::{
    Clock as _, Coordinate, DocumentId, ErrorKind, SecretBackend as _, SecretState, StoreId,
    Timestamp,
};
use cloakroom_reconcile::{Guard, Report, RunOptions, Silent, UndoFate, UndoOptions};
use cloakroom_testkit::MemoryBackend;
use serde_json::json;
use uuid::Uuid;

use crate::epochs::stopped_by;
use crate::harness::house::House;
use crate::harness::{Fate, Kind, World, a_millisecond_less, hours, loose};
use crate::managers::known_as_main;
use crate::sweeps::sweep;
use crate::undos::{options, undo_with};

/// The backup horizon, and with it every window.
fn window() -> std::time::Duration {
    hours(24 * 7)
}

/// A world in which a secret was in use and is handed to deletion.
struct Stage {
    world: World,
    manager: MemoryBackend,
    stays: DocumentId,
    gone: Coordinate,
}

impl Stage {
    async fn new(kind: Kind, seed: u64) -> Self {
        let (world, manager) = World::keeping(kind, seed).await;
        let stays = world.create(json!({"a": "stays"})).await.id;
        let removed = world.create(json!({"a": "removed"})).await.id;
        let gone = world.coordinate(removed, "/a").await;
        world.save("in_use").await;
        world.documents.remove(removed, None).await.unwrap();
        world.clock.advance(hours(3));
        let report = world.run(Job::ExpireOrphans).await;
        assert_eq!(report.total(|it| it.scheduled), 1, "{report:#?}");
        Self {
            world,
            manager,
            stays,
            gone,
        }
    }

    fn state(&self) -> Option<SecretState> {
        Some(self.manager.look(&self.gone)?.0.state)
    }

    fn waits(&self) -> bool {
        matches!(self.state(), Some(SecretState::ScheduledForDeletion { .. }))
    }

    async fn run(&self) -> Report {
        self.world.run(Job::ExpireOrphans).await
    }

    async fn assert_purged_by(&self, report: &Report) {
        assert_eq!((report.purged, self.state()), (1, None), "{report:#?}");
        assert_eq!(report.outcome, RunOutcome::Done);
        let hydrated = self.world.hydrated(self.stays).await;
        assert_eq!(hydrated, json!({"a": "stays"}));
    }
}

pub(crate) async fn once_the_window_is_over(kind: Kind, seed: u64) {
    let stage = Stage::new(kind, seed).await;
    stage.world.clock.advance(a_millisecond_less(window()));
    let report = stage.run().await;
    assert_eq!(report.purged, 0, "{report:#?}");
    assert!(stage.waits());
    stage.world.clock.advance(crate::harness::MILLISECOND);
    let report = stage.run().await;
    stage.assert_purged_by(&report).await;
    assert_eq!(stage.run().await.purged, 0);
    stage.world.close().await;
}

pub(crate) async fn nothing_but_a_whole_run_purges(kind: Kind, seed: u64) {
    let stage = Stage::new(kind, seed).await;
    let world = &stage.world;
    world.clock.advance(window());
    for job in Job::ALL {
        let told = u64::from(job == Job::ExpireOrphans);
        assert_eq!(world.dry_run(job).await.to_purge, told, "{job}");
        let reconciler = world.reconciler();
        let plan = reconciler.plan(job, &world.id(), 100, &Silent).await;
        assert_eq!(plan.unwrap().header.to_purge, told, "{job}");
    }
    for job in [Job::VerifyBlobs, Job::DeleteSuperseded] {
        assert_eq!(world.run(job).await.purged, 0);
    }
    for adopt in [false, true] {
        sweep(world, adopt).await.unwrap();
    }
    let plan = world
        .reconciler()
        .plan(Job::ExpireOrphans, &world.id(), 100, &Silent)
        .await
        .unwrap();
    let options = RunOptions::default();
    let applied = world.reconciler();
    applied.apply(&plan, &options, &Silent).await.unwrap();
    assert!(stage.waits());
    let report = stage.run().await;
    stage.assert_purged_by(&report).await;
    stage.world.close().await;
}

pub(crate) async fn a_guard_stops_it(kind: Kind, seed: u64) {
    let stage = Stage::new(kind, seed).await;
    let world = &stage.world;
    world.clock.advance(window());
    let unknown = loose(1);
    let mark = world.mark(&unknown).await;
    let value = cloakroom_testkit::canary::marked("unknown");
    stage.manager.write_past(&unknown, value, Some(mark));
    let report = stage.run().await;
    assert!(stopped_by(&report, Guard::UnknownMarked), "{report:#?}");
    assert!(report.purged == 0 && stage.waits());

    stage.manager.remove_past(&unknown);
    world.backend.pages_of(1);
    world.backend.faults.at(2, Fate::Before(ErrorKind::Denied));
    let report = stage.run().await;
    assert!(stopped_by(&report, Guard::ListingFailed), "{report:#?}");
    assert!(report.purged == 0 && stage.waits());

    world.backend.faults.clear();
    world.backend.straighten();
    let report = stage.run().await;
    stage.assert_purged_by(&report).await;
    stage.world.close().await;
}

/// A copy of the database that was made while the secret was in use needs it, however late it looks.
pub(crate) async fn a_copy_brings_back_what_it_refers_to(kind: Kind, seed: u64) {
    let (world, manager) = World::keeping(kind, seed).await;
    world.create(json!({"a": "stays"})).await;
    let removed = world.create(json!({"a": "removed"})).await.id;
    let gone = world.coordinate(removed, "/a").await;
    let copy = world.copied().await;
    world.documents.remove(removed, None).await.unwrap();
    world.clock.advance(hours(3));
    world.run(Job::ExpireOrphans).await;
    world.clock.advance(window());
    let waits = || {
        let state = manager.look(&gone).map(|(it, _)| it.state);
        matches!(state, Some(SecretState::ScheduledForDeletion { .. }))
    };
    for job in Job::ALL {
        copy.dry_run(job).await;
    }
    sweep(&copy, false).await.unwrap();
    assert!(waits());
    let report = copy.run(Job::ExpireOrphans).await;
    assert_eq!((report.rescued, report.purged), (1, 0), "{report:#?}");
    assert_eq!(copy.hydrated(removed).await, json!({"a": "removed"}));
    copy.close().await;
    world.close().await;
}

pub(crate) async fn a_restored_database_brings_it_back(kind: Kind, seed: u64) {
    let stage = Stage::new(kind, seed).await;
    stage.world.clock.advance(window());
    stage.world.bring_back("in_use").await;
    let report = stage.run().await;
    assert_eq!((report.rescued, report.purged), (1, 0), "{report:#?}");
    assert_eq!(stage.state(), Some(SecretState::Enabled));
    stage.world.close().await;
}

/// Whatever the ledger says of a secret: as long as a document refers to it it stays.
pub(crate) async fn nothing_that_is_referred_to(kind: Kind, seed: u64) {
    let (world, manager) = World::keeping(kind, seed).await;
    let id = world.create(json!({"a": "in use"})).await.id;
    let coordinate = world.coordinate(id, "/a").await;
    world
        .behind_the_back(&format!(
            "UPDATE secrets SET state = 'deleted', deleted_at = created_at, \
             unreferenced_since = created_at \
             WHERE coordinate = '{coordinate}'"
        ))
        .await;
    let mode = cloakroom_core::DeleteMode::Recoverable(window());
    manager.delete(&coordinate, mode, None).await.unwrap();
    world.clock.advance(window());
    let report = world.run(Job::ExpireOrphans).await;
    assert_eq!(report.purged, 0, "{report:#?}");
    assert!(manager.look(&coordinate).is_some());
    world.close().await;
}

/// The name that the documents know may have left the configuration. What a move copied is another secret
/// of the same coordinate, and holds up nothing.
pub(crate) async fn what_another_name_has_stays_and_what_was_moved_goes(kind: Kind, seed: u64) {
    let (world, manager) = World::keeping(kind, seed).await;
    let id = world.create(json!({"a": "in use"})).await.id;
    let coordinate = world.coordinate(id, "/a").await;
    known_as_main(&world).await;
    world
        .behind_the_back(
            "UPDATE secrets SET state = 'deleted', deleted_at = created_at, \
             unreferenced_since = created_at WHERE backend_id <> 'main'",
        )
        .await;
    let mode = cloakroom_core::DeleteMode::Recoverable(window());
    manager.delete(&coordinate, mode, None).await.unwrap();
    world.clock.advance(window());
    assert_eq!(world.run(Job::ExpireOrphans).await.purged, 0);
    assert!(manager.look(&coordinate).is_some());
    let moved = "UPDATE secrets SET intent = NULL WHERE backend_id = 'main'";
    world.behind_the_back(moved).await;
    assert_eq!(world.run(Job::ExpireOrphans).await.purged, 1);
    assert!(manager.look(&coordinate).is_none());
    world.close().await;
}

pub(crate) async fn nothing_of_another_store(kind: Kind, seed: u64) {
    let stage = Stage::new(kind, seed).await;
    let (described, value) = stage.manager.look(&stage.gone).unwrap();
    let mut mark = described.mark.unwrap();
    mark.store = StoreId(Uuid::from_u128(7));
    stage.manager.write_past(&stage.gone, value, Some(mark));
    let mode = cloakroom_core::DeleteMode::Recoverable(window());
    stage.manager.delete(&stage.gone, mode, None).await.unwrap();
    stage.world.clock.advance(window());
    assert_eq!(stage.run().await.purged, 0);
    assert!(stage.waits());
    stage.world.close().await;
}

/// An end that the manager tells wrong is not enough.
pub(crate) async fn both_clocks_have_to_say_so(kind: Kind, seed: u64) {
    let stage = Stage::new(kind, seed).await;
    stage.world.backend.show(|it| {
        if let SecretState::ScheduledForDeletion { due } = &mut it.state {
            *due = Some(Timestamp::UNIX_EPOCH);
        }
    });
    assert_eq!(stage.run().await.purged, 0);
    assert!(stage.waits());
    stage.world.close().await;
}

/// What somebody deleted by hand waits without an end: it is given one, whether or not a run had
/// handed it to deletion before, and goes when that has passed.
pub(crate) async fn what_somebody_deleted_is_given_an_end(kind: Kind, seed: u64) {
    for before in [true, false] {
        let (world, manager) = World::keeping(kind, seed).await;
        world.create(json!({"a": "stays"})).await;
        let id = world.create(json!({"a": "by hand"})).await.id;
        let coordinate = world.coordinate(id, "/a").await;
        world.documents.remove(id, None).await.unwrap();
        world.clock.advance(hours(3));
        if !before {
            world.run(Job::ExpireOrphans).await;
        }
        manager.delete_past(&coordinate);
        let report = world.run(Job::ExpireOrphans).await;
        assert_eq!(
            report.total(|it| it.scheduled),
            u64::from(before),
            "{report:#?}"
        );
        let row = world.row(&coordinate).await.unwrap();
        assert_eq!(row.state, RowState::Deleted);
        let due = world.clock.now() + window();
        let state = SecretState::ScheduledForDeletion { due: Some(due) };
        assert_eq!(manager.look(&coordinate).unwrap().0.state, state);
        if before {
            let receipts = world.db.receipts(0, 100).await.unwrap().receipts;
            let receipt = receipts.last().unwrap();
            let told = receipt.detail.as_deref().unwrap_or_default();
            assert!(told.contains(&due.to_string()), "{receipt:?}");
        }
        world.clock.advance(window());
        let report = world.run(Job::ExpireOrphans).await;
        assert_eq!(report.purged, 1, "{report:#?}");
        assert!(manager.look(&coordinate).is_none());
        world.close().await;
    }
}

/// Somebody else deleted it long ago, and this ledger hands it to deletion now: it keeps the window from
/// now on.
pub(crate) async fn a_window_that_was_over_begins_anew(kind: Kind, seed: u64) {
    let stage = Stage::new(kind, seed).await;
    let world = &stage.world;
    world
        .behind_the_back(&format!(
            "UPDATE secrets SET state = 'stored', deleted_at = NULL WHERE coordinate = '{}'",
            stage.gone
        ))
        .await;
    world.clock.advance(window());
    let report = stage.run().await;
    assert_eq!(report.total(|it| it.scheduled), 1, "{report:#?}");
    assert_eq!(report.purged, 0);
    world.clock.advance(a_millisecond_less(window()));
    assert_eq!(stage.run().await.purged, 0);
    let how = UndoOptions {
        dry_run: false,
        hold: hours(1),
        by: "a law".to_owned(),
    };
    let reconciler = world.reconciler();
    let undone = reconciler.undo(report.run, &how, &mut |_| {}).await;
    undone.unwrap();
    assert_eq!(stage.state(), Some(SecretState::Enabled));
    stage.world.close().await;
}

pub(crate) async fn one_that_fails_is_the_next_runs(kind: Kind, seed: u64) {
    let stage = Stage::new(kind, seed).await;
    stage.world.clock.advance(window());
    let faults = &stage.world.backend.faults;
    for kind in [ErrorKind::Denied, ErrorKind::Unavailable] {
        faults.refuse("purge", kind);
        let report = stage.run().await;
        assert_eq!((report.purged, report.unpurged), (0, 1), "{report:#?}");
        assert_eq!(report.outcome, RunOutcome::Partial);
        let because = report.unpurged_because.unwrap_or_default();
        assert!(because.contains("purge"), "{because}");
        assert!(stage.waits());
        faults.clear();
    }
    let report = stage.run().await;
    stage.assert_purged_by(&report).await;
    stage.world.close().await;
}

/// What no document ever came to refer to and expired in the manager goes for good, as it would have.
pub(crate) async fn what_was_never_in_use_does_not_wait(kind: Kind, seed: u64) {
    let (world, manager) = World::keeping(kind, seed).await;
    world.create(json!({"a": "stays"})).await;
    let abandoned = abandoned(&world, &manager).await;
    manager.delete_past(&abandoned);
    world.clock.advance(hours(3));
    let report = world.run(Job::ExpireOrphans).await;
    assert_eq!(report.total(|it| it.deleted), 1, "{report:#?}");
    assert!(manager.look(&abandoned).is_none());
    world.close().await;
}

/// What a writer put and died before it committed.
async fn abandoned(world: &World, manager: &MemoryBackend) -> Coordinate {
    let before = manager.names();
    world.store.faults.refuse("commit", ErrorKind::Unavailable);
    let put = world.try_create(json!({"a": "abandoned"})).await;
    put.unwrap_err();
    world.store.faults.clear();
    let mut after = manager.names();
    after.retain(|name| !before.contains(name));
    after.pop().unwrap()
}

/// A writer that died between its mark and its value, where these are two requests. Its time is over.
struct Begun {
    world: World,
    manager: MemoryBackend,
    coordinate: Coordinate,
}

impl Begun {
    async fn new(kind: Kind, seed: u64) -> Self {
        let (world, manager) = World::keeping(kind, seed).await;
        world.create(json!({"a": "stays"})).await;
        let coordinate = abandoned(&world, &manager).await;
        let mark = manager.look(&coordinate).unwrap().0.mark.unwrap();
        manager.begin_past(mark);
        world.clock.advance(hours(3));
        Self {
            world,
            manager,
            coordinate,
        }
    }

    async fn run(&self) -> Report {
        self.world.run(Job::ExpireOrphans).await
    }

    fn arrives(&self) {
        let value = cloakroom_testkit::canary::marked("abandoned");
        self.manager.finish_past(&self.coordinate, value);
    }

    fn is_gone(&self) -> bool {
        self.manager.look(&self.coordinate).is_none()
    }
}

pub(crate) async fn a_value_that_lands_after_its_writers_time_is_deleted(kind: Kind, seed: u64) {
    let stage = Begun::new(kind, seed).await;
    let report = stage.run().await;
    assert_eq!(report.total(|it| it.scheduled), 1, "{report:#?}");
    let row = stage.world.row(&stage.coordinate).await.unwrap();
    assert_eq!(row.state, RowState::Deleted);
    stage.world.clock.advance(a_millisecond_less(window()));
    stage.run().await;
    stage.arrives();
    let report = stage.run().await;
    assert!(stage.is_gone(), "{report:#?}");
    stage.world.close().await;
}

/// A mark that landed late is one as well: its writer may be about to send the value.
pub(crate) async fn a_mark_that_landed_late_waits_for_its_value(kind: Kind, seed: u64) {
    let stage = Begun::new(kind, seed).await;
    let mark = stage.manager.look(&stage.coordinate).unwrap().0.mark;
    stage.manager.remove_past(&stage.coordinate);
    stage.run().await;
    stage.manager.begin_past(mark.unwrap());
    let report = stage.run().await;
    assert_eq!(report.total(|it| it.scheduled), 1, "{report:#?}");
    stage.arrives();
    let report = stage.run().await;
    assert!(stage.is_gone(), "{report:#?}");
    stage.world.close().await;
}

pub(crate) async fn a_mark_whose_value_never_comes_goes_after_the_window(kind: Kind, seed: u64) {
    let stage = Begun::new(kind, seed).await;
    stage.run().await;
    stage.world.clock.advance(a_millisecond_less(window()));
    assert_eq!(stage.run().await.purged, 0);
    stage.world.clock.advance(crate::harness::MILLISECOND);
    assert_eq!(stage.run().await.purged, 1);
    assert!(stage.is_gone());
    stage.world.close().await;
}

/// An undo says so before as well as when it tries.
pub(crate) async fn a_mark_whose_value_never_came_cannot_come_back(kind: Kind, seed: u64) {
    let stage = Begun::new(kind, seed).await;
    let run = stage.run().await.run;
    stage.world.clock.advance(hours(1));
    let expected = [(stage.coordinate.clone(), UndoFate::Gone)].into();
    for dry_run in [true, false, true] {
        let undone = undo_with(&stage.world, run, &options(dry_run)).await;
        assert_eq!(undone.unwrap().1, expected, "dry: {dry_run}");
    }
    stage.world.close().await;
}

/// A run that was cut off between the mark and its row goes on with it.
pub(crate) async fn a_run_cut_off_behind_a_mark_is_finished(kind: Kind, seed: u64) {
    let stage = Begun::new(kind, seed).await;
    let (world, faults) = (&stage.world, &stage.world.store.faults);
    faults.refuse("settle", ErrorKind::Unavailable);
    world.try_run(Job::ExpireOrphans).await.unwrap_err();
    faults.clear();
    world.clock.advance(hours(1));
    let report = stage.run().await;
    assert_eq!(report.total(|it| it.scheduled), 1, "{report:#?}");
    stage.arrives();
    stage.run().await;
    assert!(stage.is_gone());
    stage.world.close().await;
}

/// Marks and rows of before there were intents name none: what a move left is told from what it made by
/// where it is.
pub(crate) async fn what_an_old_move_left_goes(kind: Kind, seed: u64) {
    for (asked, there) in [
        (Fate::Pass, true),
        (Fate::Before(ErrorKind::Denied), true),
        (Fate::Pass, false),
    ] {
        let house = House::new(kind, seed).await;
        let world = &house.world;
        let id = world.create(json!({"a": "one"})).await.id;
        let old = world.coordinate(id, "/a").await;
        let moved = house.copy_all("moved").await;
        world
            .behind_the_back(
                "UPDATE secrets SET intent = NULL; UPDATE embedded_secrets SET intent = NULL",
            )
            .await;
        house.finish(moved).await.unwrap();
        world.clock.advance(hours(3));
        house.run(Job::ExpireOrphans, &world.id()).await;
        assert!(world.listed().await.contains_key(&old));
        if !there {
            // As one manager under both names would look.
            let mode = cloakroom_core::DeleteMode::Recoverable(window());
            house.other.delete(&old, mode, None).await.unwrap();
        }
        world.clock.advance(window());
        house.other.faults.set(move |call| {
            if call.operation == "describe" {
                asked
            } else {
                Fate::Pass
            }
        });
        let report = house.run(Job::ExpireOrphans, &world.id()).await;
        house.other.faults.clear();
        let differ = there && asked == Fate::Pass;
        let expected = if differ { (1, 0) } else { (0, 1) };
        assert_eq!((report.purged, report.unpurged), expected, "{report:#?}");
        assert_eq!(world.listed().await.contains_key(&old), !differ);
        assert_eq!(report.unpurged_because.is_some(), !differ);
        if there {
            house
                .assert_readable(id, &json!({"a": "one"}), "purged")
                .await;
        }
        house.close().await;
    }
}
