//! One run at a time on one backend; a run whose process died is taken over; a run told to stop ends
//! at the next batch and the next one does the rest.

use std::time::Duration;

use cloakroom_core::ErrorKind;
use cloakroom_core::store::{Job, Journal as _, RunOutcome};
use cloakroom_reconcile::{RunOptions, Silent, lease_name};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::harness::{Fate, Kind, MILLISECOND, World, a_millisecond_less, hours, until};

async fn orphans(world: &World, count: usize) {
    world.create(json!({"a": "stays"})).await;
    for number in 0..count {
        let id = world
            .create(json!({"a": format!("orphan-{number}")}))
            .await
            .id;
        world.documents.remove(id, None).await.unwrap();
    }
    world.clock.advance(hours(3));
}

pub(crate) async fn a_second_run_is_told_and_a_dead_one_is_taken_over(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    for job in Job::ALL {
        orphans(&world, 3).await;
        // A run is at it: cut off where it has the lease and has not given it back.
        let reconciler = world.reconciler();
        let (id, options) = (world.id(), RunOptions::default());
        let mut run = Box::pin(reconciler.run(job, &id, &options, &Silent));
        world.backend.faults.set(|call| {
            if call.number == 0 {
                Fate::Hold
            } else {
                Fate::Pass
            }
        });
        assert!(
            until(run.as_mut(), || world.backend.faults.is_holding())
                .await
                .is_none()
        );
        for other in Job::ALL {
            let refused = world.try_run(other).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Unavailable, "{refused}");
            // Looking needs no turn.
            world.dry_run(other).await;
        }
        drop(run);
        world.backend.faults.clear();
        world
            .clock
            .advance(a_millisecond_less(world.settings.lease));
        assert_eq!(
            world.try_run(job).await.unwrap_err().kind(),
            ErrorKind::Unavailable
        );
        world.clock.advance(MILLISECOND);
        assert_eq!(world.run(job).await.outcome, RunOutcome::Done);
        assert_eq!(
            world.run(job).await.outcome,
            RunOutcome::Done,
            "the lease was given back"
        );
        world.run(Job::ExpireOrphans).await;
        world.assert_nothing_unused("after the takeover").await;
    }
    world.close().await;
}

/// A run that slept past its lease finds it taken and stops, whatever it was about to do.
pub(crate) async fn a_run_that_lost_its_lease_stops(kind: Kind, seed: u64) {
    let mut world = World::with_capabilities(kind, seed, |it| it.delete_batch = 1).await;
    world.settings.batch = 1;
    orphans(&world, 6).await;
    let reconciler = world.reconciler();
    let (id, options) = (world.id(), RunOptions::default());
    let mut run = Box::pin(reconciler.run(Job::ExpireOrphans, &id, &options, &Silent));
    // It has deleted one and is about to delete the next.
    let deletions = std::sync::atomic::AtomicUsize::new(0);
    world.backend.faults.set(move |call| {
        let ordering = std::sync::atomic::Ordering::Relaxed;
        let second = call.operation == "delete" && deletions.fetch_add(1, ordering) == 1;
        if second { Fate::Hold } else { Fate::Pass }
    });
    assert!(
        until(run.as_mut(), || world.backend.faults.is_holding())
            .await
            .is_none()
    );
    world.clock.advance(world.settings.lease);
    let taken = world.run(Job::ExpireOrphans).await;
    assert_eq!(taken.deleted(), 5, "{taken:#?}");
    // There is more to do, and another one still has the lease: this one may not go on.
    orphans(&world, 3).await;
    let before = world.living().await;
    let name = format!("reconcile/{id}");
    let other = cloakroom_core::store::Journal::acquire_lease(
        &world.db,
        &name,
        "other",
        world.settings.lease,
    );
    other.await.unwrap().unwrap();
    world.backend.faults.let_go();
    let lost = run.await;
    assert!(lost.is_err_and(|error| error.kind() == ErrorKind::Unavailable));
    assert_eq!(world.living().await, before, "after a lease was lost");
    world.close().await;
}

/// The same where the other run has ended long since and nobody holds the lease: what this one knows
/// of guards and listing is from before.
pub(crate) async fn a_run_that_slept_through_another_stops(kind: Kind, seed: u64) {
    let mut world = World::with_capabilities(kind, seed, |it| it.delete_batch = 1).await;
    world.settings.batch = 1;
    orphans(&world, 4).await;
    let reconciler = world.reconciler();
    let (id, options) = (world.id(), RunOptions::default());
    let mut run = Box::pin(reconciler.run(Job::ExpireOrphans, &id, &options, &Silent));
    world.backend.faults.set(|call| {
        let first = call.operation == "delete" && call.number < 10;
        if first { Fate::Hold } else { Fate::Pass }
    });
    let held = until(run.as_mut(), || world.backend.faults.is_holding()).await;
    assert!(held.is_none());
    world.clock.advance(world.settings.lease);
    world.run(Job::VerifyBlobs).await;
    assert_eq!(world.db.lease_holder(&lease_name(&id)).await.unwrap(), None);
    world.backend.faults.set(|_| Fate::Pass);
    world.backend.faults.let_go();
    let lost = run.await.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::Unavailable, "{lost}");
    assert_eq!(
        world.living().await.len(),
        4,
        "the one under way, and no other"
    );
    world.clock.advance(hours(1));
    world.run(Job::ExpireOrphans).await;
    world.assert_nothing_unused("after the next run").await;
    world.close().await;
}

pub(crate) async fn every_run_gives_its_lease_back(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    orphans(&world, 2).await;
    for operation in ["list", "describe", "delete"] {
        for kind in [
            ErrorKind::Unavailable,
            ErrorKind::Denied,
            ErrorKind::Corrupt,
        ] {
            for job in Job::ALL {
                world.backend.faults.refuse(operation, kind);
                let _ = world.try_run(job).await;
                world.backend.faults.clear();
                let next = world.try_run(job).await;
                assert!(next.is_ok(), "{operation} {kind}, {job}: {next:?}");
                orphans(&world, 1).await;
            }
        }
    }
    world.close().await;
}

pub(crate) async fn a_run_told_to_stop_ends_at_the_batch(kind: Kind, seed: u64) {
    let mut world = World::new(kind, seed).await;
    world.settings.batch = 4;
    orphans(&world, 10).await;
    let stop = world.stop.clone();
    world.backend.faults.set(move |call| {
        if call.operation == "delete" {
            stop.cancel();
        }
        Fate::Pass
    });
    let report = world.run(Job::ExpireOrphans).await;
    assert_eq!(
        (report.deleted(), report.outcome),
        (4, RunOutcome::Partial),
        "{report:#?}"
    );
    assert!(report.cut_short);
    assert_eq!(world.living().await.len(), 7);
    world.backend.faults.clear();
    world.stop = CancellationToken::new();
    let report = world.run(Job::ExpireOrphans).await;
    assert_eq!(
        (report.deleted(), report.outcome),
        (6, RunOutcome::Done),
        "{report:#?}"
    );
    world.assert_nothing_unused("after the rest").await;
    world.close().await;
}

/// A listing may have millions of secrets; nobody waits for its end to stop.
pub(crate) async fn a_run_told_to_stop_reads_no_further_page(kind: Kind, seed: u64) {
    for job in Job::ALL {
        let mut world = World::new(kind, seed).await;
        world.settings.page = 2;
        orphans(&world, 10).await;
        for number in 0..6 {
            world.create(json!({"a": format!("stays-{number}")})).await;
        }
        world.backend.pages_of(2);
        let stop = world.stop.clone();
        world.backend.faults.set(move |call| {
            if call.operation == "list" {
                stop.cancel();
            }
            Fate::Pass
        });
        let report = world.run(job).await;
        let lists = world
            .backend
            .faults
            .log()
            .iter()
            .filter(|call| *call == "list")
            .count();
        // The page of references under way may need another page of the listing or two.
        assert!(
            lists <= 9 && (job == Job::VerifyBlobs || lists == 1),
            "{job}: {lists} pages"
        );
        assert_eq!(
            (report.outcome, report.deleted()),
            (RunOutcome::Partial, 0),
            "{job}: {report:#?}"
        );
        assert!(
            report.guards.is_empty(),
            "a stop is no failure: {report:#?}"
        );
        world.close().await;
    }
}

pub(crate) async fn a_run_that_died_no_longer_holds_its_lease(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    world.create(json!({"a": "stays"})).await;
    let name = lease_name(&world.id());
    assert_eq!(world.db.lease_holder(&name).await.unwrap(), None);
    let lease = Duration::from_mins(1);
    let held = world.db.acquire_lease(&name, "a run", lease).await.unwrap();
    let holder = async || world.db.lease_holder(&name).await.unwrap();
    assert_eq!(holder().await.as_deref(), Some("a run"));
    world.clock.advance(a_millisecond_less(lease));
    assert_eq!(holder().await.as_deref(), Some("a run"));
    world.clock.advance(MILLISECOND);
    assert_eq!(holder().await, None, "its process died");
    world.db.release_lease(&held.unwrap()).await.unwrap();
    world.run(Job::VerifyBlobs).await;
    assert_eq!(holder().await, None, "a run gives its lease back");
    world.close().await;
}
