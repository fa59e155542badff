//! Rows of the ledger that cannot be read: each holds up itself alone, and counts as in use.

use cloakroom_core::store::{FindingKind, Job, RunOutcome};
use cloakroom_core::{Coordinate, ErrorKind};
use cloakroom_reconcile::{RunOptions, Silent, SweepOptions};
use serde_json::json;

use crate::harness::{Kind, World, hours};
use crate::rescue::{Danger, endanger, is_safe};

/// What can become of a row that no rule of the schema forbids.
const DAMAGES: [(&str, &str); 3] = [
    ("digest", "digest = 'hunter2'"),
    ("created_at", "created_at = -9223372036854775807"),
    ("next_attempt_at", "next_attempt_at = -9223372036854775807"),
];

async fn damage(world: &World, coordinate: &Coordinate, change: &str) {
    let statement = format!("UPDATE secrets SET {change} WHERE coordinate = '{coordinate}'");
    world.behind_the_back(&statement).await;
}

async fn forgotten(world: &World) -> Coordinate {
    let id = world.create(json!({"a": "given up"})).await.id;
    let coordinate = world.coordinate(id, "/a").await;
    world.documents.remove(id, None).await.unwrap();
    coordinate
}

pub(crate) async fn one_holds_up_no_other(kind: Kind, seed: u64) {
    for (column, change) in DAMAGES {
        let mut world = World::new(kind, seed).await;
        world.settings.batch = 1;
        world.settings.page = 1;
        let damaged = forgotten(&world).await;
        let others = [forgotten(&world).await, forgotten(&world).await];
        damage(&world, &damaged, change).await;
        world.clock.advance(hours(24 * 30));
        let report = world.run(Job::ExpireOrphans).await;
        assert_eq!(report.outcome, RunOutcome::Done, "{column}: {report:#?}");
        assert_eq!(
            (report.deleted(), &*report.guards),
            (2, &[][..]),
            "{column}"
        );
        assert_eq!(report.findings, [(FindingKind::LedgerMismatch, 1)].into());
        let [found] = &*report.examples else {
            panic!("{report:#?}");
        };
        assert_eq!(found.coordinate.as_ref(), Some(&damaged));
        for word in [column, "secrets", "backup"] {
            assert!(found.detail.contains(word), "{column}: {}", found.detail);
        }
        assert!(!format!("{report:?}").contains("hunter2"));
        assert!(is_safe(&world, &damaged).await, "{column}");
        for other in &others {
            assert!(!is_safe(&world, other).await, "{column}");
        }
        for job in [Job::DeleteSuperseded, Job::VerifyBlobs] {
            let report = world.run(job).await;
            assert_eq!(report.outcome, RunOutcome::Done, "{column}: {report:#?}");
        }
        let plan = world
            .reconciler()
            .plan(Job::ExpireOrphans, &world.id(), 100, &Silent)
            .await
            .unwrap();
        assert_eq!(plan.items.len(), 0, "{column}");
        world.close().await;
    }
}

/// A sweep adopts nothing that the ledger has a row of.
pub(crate) async fn no_sweep_adopts_one(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let damaged = forgotten(&world).await;
    damage(&world, &damaged, DAMAGES[0].1).await;
    world.clock.advance(hours(24 * 30));
    let options = SweepOptions {
        adopt: true,
        by: "a law".to_owned(),
    };
    let mut swept = Vec::new();
    world
        .reconciler()
        .sweep(&world.id(), &options, &Silent, &mut |it| {
            swept.push(it.coordinate.clone());
        })
        .await
        .unwrap();
    assert_eq!(swept, []);
    world.close().await;
}

pub(crate) async fn one_in_use_is_verified_and_rescued(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = world.create(json!({"a": "damaged"})).await.id;
    let damaged = world.coordinate(id, "/a").await;
    let other = world.create(json!({"a": "in order"})).await.id;
    let wanting = world.coordinate(other, "/a").await;
    damage(&world, &damaged, DAMAGES[0].1).await;
    for job in Job::ALL {
        for coordinate in [&damaged, &wanting] {
            endanger(&world, coordinate, Danger::Waiting).await;
        }
        let options = RunOptions {
            read_values: true,
            ..RunOptions::default()
        };
        let report = world.run_with(job, &options).await.unwrap();
        assert_eq!(report.outcome, RunOutcome::Done, "{job}: {report:#?}");
        assert_eq!(
            report.findings,
            [
                (FindingKind::Endangered, 2),
                (FindingKind::LedgerMismatch, 1)
            ]
            .into(),
            "{job}: {report:#?}"
        );
        assert_eq!(report.rescued, 2, "{job}");
        for coordinate in [&damaged, &wanting] {
            assert!(is_safe(&world, coordinate).await, "{job}");
        }
    }
    assert_eq!(
        world.hydrated(other).await,
        json!({"a": "in order"}),
        "the other document is as it was"
    );
    let error = world.documents.hydrate(id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    world.close().await;
}
