//! Guards: each stops what it should and only that, says what it saw, and can be passed on purpose.

use std::collections::BTreeSet;
use std::time::Duration;

use cloakroom_core::store::{FindingKind, Job, Journal as _, RunOutcome};
use cloakroom_core::{Coordinate, DocumentId, ErrorKind, WorkspaceId};
use cloakroom_documents::Naming;
use cloakroom_reconcile::{Guard, Report, RunOptions};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Fate, Kind, World, hours, loose, workspace};

/// A document with that many secrets.
async fn with_secrets(world: &World, workspace: WorkspaceId, count: usize) -> DocumentId {
    let values: Vec<String> = (0..count).map(|number| format!("token-{number}")).collect();
    world
        .create_in(workspace, json!({"t": values}))
        .await
        .unwrap()
        .id
}

/// A row that was never referenced and is past its expiry by the time the job runs.
pub(crate) async fn abandoned(world: &World) -> Coordinate {
    let before: BTreeSet<_> = world.living().await.into_keys().collect();
    world.store.faults.refuse("commit", ErrorKind::Unavailable);
    world
        .try_create(json!({"a": "abandoned"}))
        .await
        .unwrap_err();
    world.store.faults.clear();
    let after: BTreeSet<_> = world.living().await.into_keys().collect();
    after.difference(&before).next().unwrap().clone()
}

fn overriding(guard: Guard) -> RunOptions {
    RunOptions {
        overrides: [guard].into(),
        ..RunOptions::default()
    }
}

fn tripped(report: &Report) -> Vec<(Guard, bool)> {
    report
        .guards
        .iter()
        .map(|trip| (trip.guard, trip.overridden))
        .collect()
}

/// The report and the journal both have the guard, and what it saw names the numbers.
async fn assert_refused(world: &World, report: &Report, guard: Guard, saw: &[&str]) {
    assert_eq!(tripped(report), [(guard, false)], "{report:#?}");
    assert_eq!(report.outcome, RunOutcome::Refused, "{report:#?}");
    for word in saw {
        assert!(report.guards[0].saw.contains(word), "{word}: {report:#?}");
    }
    let runs = world.db.runs(100).await.unwrap();
    let run = runs.into_iter().find(|run| run.id == report.run).unwrap();
    assert_eq!(
        (run.id, run.outcome),
        (report.run, Some(RunOutcome::Refused))
    );
    let journalled: Value = run.report["guards"][0]["guard"].clone();
    assert_eq!(journalled, guard.as_str());
}

/// The documents go, past the store: nobody lets go of what they refer to.
async fn lose_the_documents(world: &World) {
    world
        .behind_the_back("DELETE FROM secret_references; DELETE FROM documents")
        .await;
}

fn refused(report: &Report) -> u64 {
    report.deletions.values().map(|count| count.refused).sum()
}

pub(crate) async fn zero_references(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = with_secrets(&world, workspace(1), 3).await;
    with_secrets(&world, workspace(1), 1).await;
    world.documents.remove(id, None).await.unwrap();
    let abandoned = abandoned(&world).await;
    world.clock.advance(hours(10));
    lose_the_documents(&world).await;
    let report = world.run(Job::ExpireOrphans).await;
    assert_refused(&world, &report, Guard::ZeroReferences, &["3"]).await;
    assert_eq!(refused(&report), 3);
    assert!(
        !world.is_living(&abandoned).await,
        "what was never in use goes all the same"
    );
    assert_eq!(world.living().await.len(), 4);
    // Another guard's override does not pass this one.
    world
        .run_with(Job::ExpireOrphans, &overriding(Guard::Share))
        .await
        .unwrap();
    assert_eq!(world.living().await.len(), 4);
    let report = world
        .run_with(Job::ExpireOrphans, &overriding(Guard::ZeroReferences))
        .await
        .unwrap();
    assert_eq!(tripped(&report), [(Guard::ZeroReferences, true)]);
    assert_eq!(report.outcome, RunOutcome::Done, "{report:#?}");
    assert_eq!(world.living().await.len(), 1, "what was never let go");
    // Nothing is left to go, so there is nothing to stop.
    assert_eq!(world.run(Job::ExpireOrphans).await.guards, []);
    world.close().await;
}

/// The last document is removed as every other: the ledger knows who let go of what, and when.
pub(crate) async fn the_last_document_needs_no_override(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let first = with_secrets(&world, workspace(1), 2).await;
    let last = world.create(json!({"a": "one", "b": "two"})).await.id;
    world.documents.remove(first, None).await.unwrap();
    // By an edit, too, the last reference can go.
    world.update(last, json!({"host": "nothing secret"})).await;
    world.clock.advance(hours(30));
    for job in [Job::ExpireOrphans, Job::DeleteSuperseded] {
        let report = world.run(job).await;
        assert_eq!(
            (report.guards.len(), report.outcome),
            (0, RunOutcome::Done),
            "{report:#?}"
        );
    }
    assert!(world.living().await.is_empty());
    world.close().await;
}

pub(crate) async fn share_of_the_backend(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    with_secrets(&world, workspace(1), 40).await;
    let goes = with_secrets(&world, workspace(2), 21).await;
    world.documents.remove(goes, None).await.unwrap();
    let abandoned = abandoned(&world).await;
    world.clock.advance(hours(10));
    let report = world.run(Job::ExpireOrphans).await;
    assert_refused(&world, &report, Guard::Share, &["21", "61", "30"]).await;
    assert_eq!(refused(&report), 21);
    assert!(
        !world.is_living(&abandoned).await,
        "what was never in use goes all the same"
    );
    assert_eq!(world.living().await.len(), 61);
    world
        .run_with(Job::ExpireOrphans, &overriding(Guard::Share))
        .await
        .unwrap();
    assert_eq!(world.living().await.len(), 40);
    world.close().await;
}

/// Whatever the secrets' names tell, a workspace is that of the documents.
pub(crate) async fn share_of_one_workspace(kind: Kind, seed: u64) {
    let organization = Uuid::from_u128(0x0A6A);
    for naming in [
        Naming::Workspace,
        Naming::OauthWorkspace,
        Naming::Organization(organization),
        Naming::RsmOrganization(organization),
        Naming::StorageOrganization(organization),
    ] {
        let mut world = World::new(kind, seed).await;
        world.documents = world.documents.naming(naming);
        with_secrets(&world, workspace(1), 90).await;
        with_secrets(&world, workspace(2), 20).await;
        let goes = with_secrets(&world, workspace(2), 20).await;
        world.documents.remove(goes, None).await.unwrap();
        world.clock.advance(hours(10));
        let report = world.run(Job::ExpireOrphans).await;
        let owner = workspace(2).to_string();
        assert_refused(&world, &report, Guard::Share, &["20", "40", &owner]).await;
        assert_eq!(world.living().await.len(), 130, "{naming:?}");
        world.close().await;
    }
}

/// A secret that an update raised is counted in its document's workspace, as the one before it.
pub(crate) async fn share_of_one_workspace_looks_at_raised_ones_too(kind: Kind, seed: u64) {
    let mut world = World::new(kind, seed).await;
    let organization = Naming::Organization(Uuid::from_u128(0x0A6A));
    world.documents = world.documents.naming(organization);
    with_secrets(&world, workspace(1), 90).await;
    let id = with_secrets(&world, workspace(2), 20).await;
    let other: Vec<String> = (0..20).map(|number| format!("other-{number}")).collect();
    world.update(id, json!({"t": other})).await;
    world.clock.advance(hours(30));
    let report = world.run(Job::DeleteSuperseded).await;
    let owner = workspace(2).to_string();
    assert_refused(&world, &report, Guard::Share, &["20", "40", &owner]).await;
    assert_eq!(world.living().await.len(), 130);
    world.close().await;
}

pub(crate) async fn share_looks_at_superseded_ones_too(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = with_secrets(&world, workspace(1), 25).await;
    let other: Vec<String> = (0..25).map(|number| format!("other-{number}")).collect();
    world.update(id, json!({"t": other})).await;
    world.clock.advance(hours(30));
    let report = world.run(Job::DeleteSuperseded).await;
    assert_refused(&world, &report, Guard::Share, &["25", "50"]).await;
    assert_eq!(world.living().await.len(), 50);
    world.close().await;
}

pub(crate) async fn share_lets_the_allowed_part_and_small_numbers_pass(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    // Exactly the share is not more than the share.
    with_secrets(&world, workspace(1), 70).await;
    let goes = with_secrets(&world, workspace(1), 30).await;
    world.documents.remove(goes, None).await.unwrap();
    world.clock.advance(hours(10));
    let report = world.run(Job::ExpireOrphans).await;
    assert_eq!(
        (tripped(&report), report.outcome),
        (vec![], RunOutcome::Done),
        "{report:#?}"
    );
    // Nineteen of any number are below the line.
    let goes = with_secrets(&world, workspace(3), 19).await;
    world.documents.remove(goes, None).await.unwrap();
    world.clock.advance(hours(10));
    let report = world.run(Job::ExpireOrphans).await;
    assert_eq!(
        (tripped(&report), report.outcome),
        (vec![], RunOutcome::Done),
        "{report:#?}"
    );
    assert_eq!(world.living().await.len(), 70);
    world.close().await;
}

pub(crate) async fn unknown_marked(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    world.create(json!({"a": "stays"})).await;
    let removed = world
        .create(json!({"a": "removed", "b": "also removed"}))
        .await
        .id;
    let unknown = world.coordinate(removed, "/a").await;
    let orphan = world.coordinate(removed, "/b").await;
    world.documents.remove(removed, None).await.unwrap();
    let abandoned = abandoned(&world).await;
    world.delete_row(&unknown).await;
    world.clock.advance(hours(10));
    for job in [Job::ExpireOrphans, Job::DeleteSuperseded] {
        let report = world.run(job).await;
        assert_refused(&world, &report, Guard::UnknownMarked, &["1"]).await;
        assert_eq!(
            world.found(&report).await,
            [(FindingKind::UnknownMarked, 1)].into()
        );
        assert_eq!(
            world.findings(&report).await[0].coordinate.as_ref(),
            Some(&unknown)
        );
    }
    for coordinate in [&unknown, &orphan, &abandoned] {
        assert!(
            world.is_living(coordinate).await,
            "the ledger cannot be trusted at all"
        );
    }
    world
        .run_with(Job::ExpireOrphans, &overriding(Guard::UnknownMarked))
        .await
        .unwrap();
    assert!(!world.is_living(&orphan).await && !world.is_living(&abandoned).await);
    assert!(
        world.is_living(&unknown).await,
        "passing the guard adopts nothing"
    );
    world.close().await;
}

/// What bears another store's mark is not unknown: it is not ours.
pub(crate) async fn another_stores_secrets_are_nobodys_business(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    world.create(json!({"a": "stays"})).await;
    let theirs = loose(1);
    let store = cloakroom_core::StoreId(Uuid::from_u128(9));
    let mark = cloakroom_core::Mark {
        store,
        ..world.mark(&theirs).await
    };
    world.plant(&theirs, mark, "theirs").await;
    world.clock.advance(hours(1_000));
    for job in Job::ALL {
        let report = world.run(job).await;
        assert_eq!(
            (tripped(&report), report.has_findings()),
            (vec![], false),
            "{report:#?}"
        );
    }
    assert!(world.is_living(&theirs).await);
    world.close().await;
}

pub(crate) async fn listing_failed_on_a_later_page(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let stays = with_secrets(&world, workspace(1), 10).await;
    // A listing that stops shows no absence of an epoch mark; here one stands.
    let first = world.create(json!({"a": "first"})).await.id;
    world.documents.remove(first, None).await.unwrap();
    world.clock.advance(hours(3));
    world.run(Job::ExpireOrphans).await;
    let removed = world.create(json!({"a": "removed"})).await.id;
    let orphan = world.coordinate(removed, "/a").await;
    world.documents.remove(removed, None).await.unwrap();
    let abandoned = abandoned(&world).await;
    world.backend.pages_of(4);
    world.clock.advance(hours(10));
    for kind in [
        ErrorKind::Unavailable,
        ErrorKind::Throttled,
        ErrorKind::Denied,
        ErrorKind::Corrupt,
    ] {
        world.backend.faults.set(move |call| {
            // The first page comes, and no other.
            if call.operation == "list" && call.number >= 1 {
                Fate::Before(kind)
            } else {
                Fate::Pass
            }
        });
        let report = world.run(Job::ExpireOrphans).await;
        assert_refused(&world, &report, Guard::ListingFailed, &["4"]).await;
        assert!(world.is_living(&orphan).await && world.is_living(&abandoned).await);
    }
    world.backend.faults.clear();
    let report = world.run(Job::ExpireOrphans).await;
    assert_eq!(
        (tripped(&report), report.outcome),
        (vec![], RunOutcome::Done)
    );
    assert!(!world.is_living(&orphan).await && !world.is_living(&abandoned).await);
    assert_eq!(
        world.hydrated(stays).await["t"].as_array().unwrap().len(),
        10
    );
    world.close().await;
}

/// A guard stops deletions; what is in use and in danger is still brought back.
pub(crate) async fn rescue_runs_although_a_guard_stops_deletions(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = world.create(json!({"a": "in use"})).await.id;
    let coordinate = world.coordinate(id, "/a").await;
    let unknown = loose(1);
    world
        .plant(&unknown, world.mark(&unknown).await, "unknown")
        .await;
    let week = cloakroom_core::DeleteMode::Recoverable(hours(24 * 7));
    cloakroom_core::SecretBackend::delete(&world.embedded, &coordinate, week, None)
        .await
        .unwrap();
    let report = world.run(Job::ExpireOrphans).await;
    assert_eq!(
        (report.rescued, report.outcome),
        (1, RunOutcome::Refused),
        "{report:#?}"
    );
    assert_eq!(world.hydrated(id).await, json!({"a": "in use"}));
    world.close().await;
}

pub(crate) async fn a_dry_run_and_a_plan_name_the_guards(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = with_secrets(&world, workspace(1), 3).await;
    with_secrets(&world, workspace(1), 1).await;
    world.documents.remove(id, None).await.unwrap();
    world.clock.advance(hours(10));
    lose_the_documents(&world).await;
    let report = world.dry_run(Job::ExpireOrphans).await;
    assert_eq!(tripped(&report), [(Guard::ZeroReferences, false)]);
    let plan = world
        .reconciler()
        .plan(
            Job::ExpireOrphans,
            &world.id(),
            100,
            &cloakroom_reconcile::Silent,
        )
        .await
        .unwrap();
    assert_eq!(plan.header.guards.len(), 1);
    assert_eq!(
        plan.items.len(),
        3,
        "the plan shows what the guard would stop"
    );
    world.close().await;
}

/// What falls due while a run is at it was seen by no guard: it is the next run's, and its guards'.
pub(crate) async fn what_falls_due_during_a_run_waits_for_the_next(kind: Kind, seed: u64) {
    let mut world = World::new(kind, seed).await;
    world.settings.batch = 1;
    with_secrets(&world, workspace(1), 30).await;
    let first = with_secrets(&world, workspace(1), 3).await;
    let second = with_secrets(&world, workspace(1), 25).await;
    let gap = Duration::from_mins(1);
    world.documents.remove(first, None).await.unwrap();
    world.clock.advance(gap);
    world.documents.remove(second, None).await.unwrap();
    world.clock.advance(hours(2).saturating_sub(gap / 2));
    let clock = world.clock.clone();
    let begun = std::sync::atomic::AtomicBool::new(false);
    world.backend.faults.set(move |call| {
        let ordering = std::sync::atomic::Ordering::Relaxed;
        if call.operation == "delete" && !begun.swap(true, ordering) {
            clock.advance(gap);
        }
        Fate::Pass
    });
    let report = world.run(Job::ExpireOrphans).await;
    let count = report.deletions["orphaned"];
    assert_eq!(
        (report.deleted(), count.spared, report.outcome),
        (3, 25, RunOutcome::Done),
        "{report:#?}"
    );
    let report = world.run(Job::ExpireOrphans).await;
    assert_refused(&world, &report, Guard::Share, &["25", "55"]).await;
    assert_eq!(world.living().await.len(), 55);
    world.close().await;
}

/// Secrets that were in use, went, and were brought back in the manager past the ledger.
async fn brought_back(world: &World, count: usize) {
    let id = with_secrets(world, workspace(1), count).await;
    let mut coordinates = Vec::new();
    for number in 0..count {
        coordinates.push(world.coordinate(id, &format!("/t/{number}")).await);
    }
    world.documents.remove(id, None).await.unwrap();
    world.clock.advance(hours(3));
    let options = RunOptions {
        overrides: Guard::ALL.into(),
        ..RunOptions::default()
    };
    world.run_with(Job::ExpireOrphans, &options).await.unwrap();
    for coordinate in &coordinates {
        cloakroom_core::SecretBackend::restore(&world.embedded, coordinate)
            .await
            .unwrap();
    }
}

pub(crate) async fn what_was_in_use_and_landed_late_is_guarded_too(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    brought_back(&world, 3).await;
    let report = world.run(Job::ExpireOrphans).await;
    assert_refused(&world, &report, Guard::ZeroReferences, &["3"]).await;
    assert_eq!((refused(&report), world.living().await.len()), (3, 3));
    let report = world
        .run_with(Job::ExpireOrphans, &overriding(Guard::ZeroReferences))
        .await
        .unwrap();
    assert_eq!(report.deleted(), 3, "{report:#?}");
    with_secrets(&world, workspace(1), 30).await;
    brought_back(&world, 25).await;
    let report = world.run(Job::ExpireOrphans).await;
    assert_refused(&world, &report, Guard::Share, &["25", "55"]).await;
    assert_eq!(world.living().await.len(), 55);
    world.close().await;
}

/// Its documents came from a backup and the ledger did not: what they refer to is in use, not late.
pub(crate) async fn what_came_back_without_the_ledger_trips_none(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    with_secrets(&world, workspace(1), 30).await;
    world
        .behind_the_back(
            "UPDATE secrets SET state = 'deleted', deleted_at = created_at, \
             unreferenced_since = created_at",
        )
        .await;
    brought_back(&world, 2).await;
    for _ in 0..2 {
        let report = world.run(Job::ExpireOrphans).await;
        assert_eq!(report.guards, [], "{report:#?}");
        assert_eq!(world.living().await.len(), 30, "{report:#?}");
    }
    world.close().await;
}
