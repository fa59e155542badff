//! The embedded backend keeps what was deleted, and what has expired, until a whole run removes it.
//! Whoever only asks destroys nothing, whatever the clock says.

use cloakroom_core::ledger::RowState;
use cloakroom_core::store::{FindingKind, Job};
use cloakroom_core::{
    Clock as _, Coordinate, DocumentId, ErrorKind, RunId, SecretJson, SecretState,
};
use cloakroom_reconcile::{Guard, RunOptions, Silent, UndoFate, UndoOptions};
use serde_json::json;

use crate::harness::{Fate, Kind, MILLISECOND, World, a_millisecond_less, hours};
use crate::rescue::is_safe;
use crate::sweeps::sweep;

const MINUTE: std::time::Duration = std::time::Duration::from_mins(1);

/// A secret that was in use and that a run handed to deletion, beside one that stays.
struct Stage {
    world: World,
    stays: DocumentId,
    gone: Coordinate,
    run: RunId,
}

impl Stage {
    async fn new(kind: Kind, seed: u64) -> Self {
        Self::in_world(World::new(kind, seed).await).await
    }

    async fn in_world(world: World) -> Self {
        let stays = world.create(json!({"a": "stays"})).await.id;
        let removed = world.create(json!({"a": "removed"})).await.id;
        let gone = world.coordinate(removed, "/a").await;
        world.documents.remove(removed, None).await.unwrap();
        world.clock.advance(hours(3));
        let report = world.run(Job::ExpireOrphans).await;
        assert_eq!(report.total(|it| it.scheduled), 1, "{report:#?}");
        let run = report.run;
        Self {
            world,
            stays,
            gone,
            run,
        }
    }

    /// The embedded backend's table.
    async fn table(&self) -> Vec<String> {
        table(&self.world).await
    }

    async fn is_kept(&self) -> bool {
        let listed = self.world.listed().await;
        let state = listed.get(&self.gone).map(|it| it.state);
        matches!(state, Some(SecretState::ScheduledForDeletion { .. }))
    }

    async fn assert_a_run_removes_it(&self) {
        let report = self.world.run(Job::ExpireOrphans).await;
        assert_eq!(report.purged, 1, "{report:#?}");
        assert!(!self.is_kept().await);
        let name = self.gone.to_string();
        assert!(!self.table().await.iter().any(|row| row.contains(&name)));
        let hydrated = self.world.hydrated(self.stays).await;
        assert_eq!(hydrated, json!({"a": "stays"}));
    }
}

async fn table(world: &World) -> Vec<String> {
    let mut rows = world.dump().await;
    rows.retain(|row| row.starts_with("embedded_secrets:"));
    rows
}

/// All that asks and changes nothing.
async fn ask(world: &World) {
    for job in Job::ALL {
        world.dry_run(job).await;
        let reconciler = world.reconciler();
        let plan = reconciler.plan(job, &world.id(), 100, &Silent).await;
        plan.unwrap();
    }
    sweep(world, false).await.unwrap();
    world.listed().await;
}

pub(crate) async fn until_a_run_removes_it(kind: Kind, seed: u64) {
    for horizon in [hours(24 * 7), MINUTE] {
        let mut world = World::new(kind, seed).await;
        world.settings.backup_horizon = horizon;
        let stage = Stage::in_world(world).await;
        let world = &stage.world;
        world.clock.advance(a_millisecond_less(horizon));
        let report = world.run(Job::ExpireOrphans).await;
        assert_eq!(report.purged, 0, "{report:#?}");
        world.clock.advance(MILLISECOND);
        let before = stage.table().await;
        ask(world).await;
        for job in [Job::VerifyBlobs, Job::DeleteSuperseded] {
            assert_eq!(world.run(job).await.purged, 0);
        }
        assert_eq!(stage.table().await, before);
        assert!(stage.is_kept().await);
        stage.assert_a_run_removes_it().await;
        stage.world.close().await;
    }
}

pub(crate) async fn whatever_the_clock_said_meanwhile(kind: Kind, seed: u64) {
    let stage = Stage::new(kind, seed).await;
    let world = &stage.world;
    world.clock.advance(hours(1));
    let right = world.clock.now();
    world.clock.advance(hours(24 * 8));
    ask(world).await;
    world.clock.set(right);
    let how = UndoOptions {
        dry_run: false,
        hold: hours(1),
        by: "a law".to_owned(),
    };
    let reconciler = world.reconciler();
    let undone = reconciler.undo(stage.run, &how, &mut |_| {}).await.unwrap();
    assert_eq!(undone.of(UndoFate::Restored), 1, "{undone:#?}");
    let row = world.row(&stage.gone).await.unwrap();
    assert_eq!(row.state, RowState::Held);
    assert!(world.is_living(&stage.gone).await);
    stage.world.close().await;
}

/// However long ago its window or its expiry was over, and whether or not a listing shows it.
pub(crate) async fn what_is_in_use_comes_back_however_late(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = world.create(json!({"a": "in use"})).await.id;
    let coordinate = world.coordinate(id, "/a").await;
    let long_ago = world.clock.now().as_millisecond() - 1;
    for danger in [
        format!("deleted_at = {long_ago}, purge_at = {long_ago}"),
        format!("expires_at = {long_ago}"),
        format!("expires_at = {long_ago}, deleted_at = {long_ago}, purge_at = {long_ago}"),
    ] {
        for (job, listed) in Job::ALL
            .into_iter()
            .flat_map(|it| [(it, true), (it, false)])
        {
            world.clock.advance(MILLISECOND);
            world
                .behind_the_back(&format!(
                    "UPDATE embedded_secrets SET {danger} WHERE coordinate = '{coordinate}'"
                ))
                .await;
            let before = table(&world).await;
            ask(&world).await;
            assert_eq!(table(&world).await, before, "{danger}");
            if !listed {
                world.backend.faults.set(|call| match call.operation {
                    "list" => Fate::Before(ErrorKind::Denied),
                    _ => Fate::Pass,
                });
            }
            let report = world.run(job).await;
            world.backend.faults.clear();
            assert_eq!(report.rescued, 1, "{danger}, {job}: {report:#?}");
            let found = world.found(&report).await;
            assert_eq!(found, [(FindingKind::Endangered, 1)].into());
            assert!(is_safe(&world, &coordinate).await, "{danger}, {job}");
        }
    }
    assert_eq!(world.hydrated(id).await, json!({"a": "in use"}));
    world.close().await;
}

pub(crate) async fn behind_every_guard(kind: Kind, seed: u64) {
    let stage = Stage::new(kind, seed).await;
    let world = &stage.world;
    world.clock.advance(hours(24 * 7));
    let unknown = crate::harness::loose(1);
    let mark = world.mark(&unknown).await;
    world.plant(&unknown, mark, "unknown").await;
    let report = world.run(Job::ExpireOrphans).await;
    let stopped = report
        .guards
        .iter()
        .any(|it| it.guard == Guard::UnknownMarked);
    assert!(stopped && report.purged == 0, "{report:#?}");
    assert!(stage.is_kept().await);
    let passed = RunOptions {
        overrides: [Guard::UnknownMarked].into(),
        ..RunOptions::default()
    };
    let report = world.run_with(Job::ExpireOrphans, &passed).await.unwrap();
    assert_eq!(report.purged, 1, "{report:#?}");
    stage.world.close().await;
}

/// What has expired cannot be read, and its row is there until a run takes it: nothing is left then.
pub(crate) async fn what_has_expired_goes_by_a_run(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let spec = crate::harness::spec();
    let config = SecretJson::new(json!({"a": "checked"}));
    let check = world.documents.put_ephemeral(&spec, config).await.unwrap();
    world.clock.advance(hours(3));
    let gone = world.documents.hydrate_ephemeral(check.blob).await;
    let kind = gone.unwrap_err().kind();
    assert!(
        matches!(kind, ErrorKind::Missing | ErrorKind::ScheduledForDeletion),
        "{kind:?}"
    );
    let before = table(&world).await;
    assert_eq!(before.len(), 1);
    ask(&world).await;
    assert_eq!(table(&world).await, before);
    let report = world.run(Job::ExpireOrphans).await;
    assert_eq!(report.total(|it| it.deleted), 1, "{report:#?}");
    assert!(world.listed().await.is_empty());
    let name = check.coordinates[0].to_string();
    assert!(!table(&world).await.iter().any(|row| row.contains(&name)));
    world.close().await;
}
