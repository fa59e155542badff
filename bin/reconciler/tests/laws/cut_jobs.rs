//! A job may die at any await point and lose any call: nothing in use goes, and a later run ends what
//! it began.

use cloakroom_core::ErrorKind;
use cloakroom_core::store::Job;
use cloakroom_reconcile::{RunOptions, Silent};
use serde_json::json;

use crate::harness::{Fate, Kind, World, hours};

/// Leaves something of every class that a job deletes, and something in use.
async fn litter(world: &World) {
    let raised = world.create(json!({"a": "one-a", "b": "one-b"})).await;
    world
        .update(raised.id, json!({"a": "two-a", "b": "one-b"}))
        .await;
    let removed = world.create(json!({"a": "gone-a", "t": ["gone-t"]})).await;
    world.documents.remove(removed.id, None).await.unwrap();
    world
        .cut(world.try_create(json!({"a": "cut-a", "b": "cut-b"})), 8)
        .await;
    let config = cloakroom_core::SecretJson::new(json!({"a": "checked"}));
    world
        .documents
        .put_ephemeral(&crate::harness::spec(), config)
        .await
        .unwrap();
}

async fn assert_ended(world: &World, when: &str) {
    world.assert_nothing_in_use_is_gone(when).await;
    // The lease of a run that died lapses, and so do its claims.
    world.clock.advance(hours(30));
    for job in Job::ALL {
        let report = world.run(job).await;
        assert_eq!(report.failed, 0, "{when}: {report:#?}");
    }
    world.clock.advance(hours(30));
    for job in Job::ALL {
        world.run(job).await;
    }
    world.assert_nothing_unused(when).await;
}

pub(crate) async fn a_run_cut_anywhere(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    for job in [Job::ExpireOrphans, Job::DeleteSuperseded] {
        for times in 0.. {
            // Steps, since a run has many await points and any of them may be hit by one seed.
            let times = times * 3 + usize::try_from(seed % 3).unwrap();
            litter(&world).await;
            world.clock.advance(hours(30));
            let reconciler = world.reconciler();
            let (id, options) = (world.id(), RunOptions::default());
            let done = world
                .cut(reconciler.run(job, &id, &options, &Silent), times)
                .await;
            assert_ended(&world, &format!("{job} cut after {times}")).await;
            if let Some(done) = done {
                done.unwrap();
                break;
            }
        }
    }
    world.close().await;
}

pub(crate) async fn any_call_of_a_run_to_the_store_fails(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    for job in Job::ALL {
        for fate in [
            Fate::Before(ErrorKind::Unavailable),
            Fate::After(ErrorKind::Unavailable),
        ] {
            for number in 0.. {
                litter(&world).await;
                world.clock.advance(hours(30));
                world.store.faults.at(number, fate);
                let done = world.try_run(job).await;
                let calls = world.store.faults.calls();
                world.store.faults.clear();
                assert_ended(
                    &world,
                    &format!("{job}, {fate:?} at call {number}: {done:?}"),
                )
                .await;
                if number >= calls {
                    done.unwrap();
                    break;
                }
            }
        }
    }
    world.close().await;
}

pub(crate) async fn any_request_of_a_run_to_the_backend_fails(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let fates = [
        Fate::Before(ErrorKind::Unavailable),
        Fate::After(ErrorKind::Unavailable),
        Fate::Before(ErrorKind::Throttled),
        Fate::Before(ErrorKind::Denied),
        Fate::After(ErrorKind::Conflict),
    ];
    for job in [Job::ExpireOrphans, Job::DeleteSuperseded] {
        for fate in fates {
            for number in 0.. {
                litter(&world).await;
                world.clock.advance(hours(30));
                // The repetition fails as well.
                world.backend.faults.set(move |call| {
                    if (number..number + 2).contains(&call.number) {
                        fate
                    } else {
                        Fate::Pass
                    }
                });
                let done = world.try_run(job).await;
                let calls = world.backend.faults.calls();
                world.backend.faults.clear();
                assert_ended(
                    &world,
                    &format!("{job}, {fate:?} at request {number}: {done:?}"),
                )
                .await;
                if number >= calls {
                    break;
                }
            }
        }
    }
    world.close().await;
}
