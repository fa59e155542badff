//! Rescue: what is referenced and in danger is brought back by any job's run, and by no dry run.

use cloakroom_core::store::{FindingKind, Job};
use cloakroom_core::{Clock as _, Coordinate, DeleteMode, ErrorKind, SecretBackend as _};
use cloakroom_reconcile::{RescueReason, RunOptions};
use serde_json::json;

use crate::harness::{Kind, World, hours};

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
                    crate::harness::Fate::Before(ErrorKind::Denied)
                } else {
                    crate::harness::Fate::Pass
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
