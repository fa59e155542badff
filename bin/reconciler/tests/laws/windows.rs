//! When things go: superseded versions after their grace, orphans after their time-to-live,
//! ephemerals after two hours, and none of them a millisecond before.

use std::collections::BTreeSet;

use cloakroom_core::store::Job;
use cloakroom_core::{Coordinate, ErrorKind, SecretJson};
use serde_json::json;

use crate::harness::{Kind, MILLISECOND, World, a_millisecond_less, hours};

/// Runs `job` a millisecond before `wait` is over and once it is, and says that only then
/// `coordinate` went.
async fn assert_goes_after(
    world: &World,
    wait: std::time::Duration,
    job: Job,
    coordinate: &Coordinate,
) {
    world.clock.advance(a_millisecond_less(wait));
    for job in Job::ALL {
        world.run(job).await;
    }
    assert!(
        world.is_living(coordinate).await,
        "{coordinate} went a millisecond early"
    );
    world.clock.advance(MILLISECOND);
    let others = Job::ALL.into_iter().filter(|other| *other != job);
    for other in others {
        world.run(other).await;
        assert!(
            world.is_living(coordinate).await,
            "{other} took {coordinate}"
        );
    }
    let report = world.run(job).await;
    assert!(
        !world.is_living(coordinate).await,
        "{coordinate} stayed: {report:#?}"
    );
}

pub(crate) async fn superseded_after_the_grace(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = world.create(json!({"a": "one"})).await.id;
    let one = world.coordinate(id, "/a").await;
    // The grace counts from the loss of the reference, not from when the secret was made.
    world.clock.advance(hours(1_000));
    world.run(Job::DeleteSuperseded).await;
    world.update(id, json!({"a": "two"})).await;
    assert_goes_after(&world, hours(24), Job::DeleteSuperseded, &one).await;
    assert_eq!(world.hydrated(id).await, json!({"a": "two"}));
    world.close().await;
}

pub(crate) async fn superseded_counts_from_its_own_loss(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = world.create(json!({"a": "one"})).await.id;
    let one = world.coordinate(id, "/a").await;
    world.update(id, json!({"a": "two"})).await;
    let two = world.coordinate(id, "/a").await;
    world.clock.advance(hours(23));
    world.update(id, json!({"a": "three"})).await;
    world.clock.advance(hours(1));
    world.run(Job::DeleteSuperseded).await;
    assert!(!world.is_living(&one).await && world.is_living(&two).await);
    world.clock.advance(hours(23));
    world.run(Job::DeleteSuperseded).await;
    assert!(!world.is_living(&two).await);
    world.close().await;
}

pub(crate) async fn superseded_keeps_the_newest(kind: Kind, seed: u64) {
    let mut world = World::new(kind, seed).await;
    world.settings.windows.keep_superseded = 2;
    let id = world.create(json!({"a": "value-0"})).await.id;
    let mut versions = vec![world.coordinate(id, "/a").await];
    for number in 1..6 {
        world
            .update(id, json!({"a": format!("value-{number}")}))
            .await;
        versions.push(world.coordinate(id, "/a").await);
    }
    world.clock.advance(hours(1_000));
    for job in Job::ALL {
        world.run(job).await;
        world.run(job).await;
    }
    let living: BTreeSet<Coordinate> = world.living().await.into_keys().collect();
    let expected: BTreeSet<Coordinate> = versions[3..].iter().cloned().collect();
    assert_eq!(living, expected, "two superseded ones and the one in use");
    world.close().await;
}

pub(crate) async fn orphans_after_the_time_to_live(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    world.create(json!({"a": "stays"})).await;
    let id = world.create(json!({"a": "one"})).await.id;
    let one = world.coordinate(id, "/a").await;
    world.clock.advance(hours(1_000));
    world.documents.remove(id, None).await.unwrap();
    assert_goes_after(&world, hours(2), Job::ExpireOrphans, &one).await;
    world.close().await;
}

pub(crate) async fn a_superseded_version_whose_successor_went_is_an_orphan(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    world.create(json!({"a": "stays"})).await;
    let id = world.create(json!({"a": "one"})).await.id;
    let one = world.coordinate(id, "/a").await;
    world.update(id, json!({"a": "two"})).await;
    let two = world.coordinate(id, "/a").await;
    world.documents.remove(id, None).await.unwrap();
    world.clock.advance(hours(2));
    world.run(Job::DeleteSuperseded).await;
    assert!(
        world.is_living(&one).await,
        "no higher version is referenced any more"
    );
    world.run(Job::ExpireOrphans).await;
    assert!(!world.is_living(&one).await && !world.is_living(&two).await);
    world.close().await;
}

pub(crate) async fn a_failed_writers_version_is_an_orphan(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = world.create(json!({"a": "one"})).await.id;
    world.update(id, json!({"a": "two"})).await;
    let two = world.coordinate(id, "/a").await;
    world.store.faults.refuse("commit", ErrorKind::Unavailable);
    world
        .try_update(id, json!({"a": "three"}))
        .await
        .unwrap_err();
    world.store.faults.clear();
    let three = two.next_version().unwrap();
    assert!(world.is_living(&three).await, "its put landed");
    // Expiry and put deadline.
    let wait = hours(2) + std::time::Duration::from_mins(5);
    assert_goes_after(&world, wait, Job::ExpireOrphans, &three).await;
    assert_eq!(world.hydrated(id).await, json!({"a": "two"}));
    world.clock.advance(hours(48));
    let report = world.run(Job::DeleteSuperseded).await;
    assert_eq!(report.deletions["superseded"].found, 1, "{report:#?}");
    assert!(
        world.is_living(&two).await,
        "a dead version above it supersedes nothing"
    );
    world.close().await;
}

pub(crate) async fn ephemerals_after_two_hours(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let spec = crate::harness::spec();
    let config = SecretJson::new(json!({"a": "checked"}));
    let check = world.documents.put_ephemeral(&spec, config).await.unwrap();
    let [coordinate] = &check.coordinates[..] else {
        panic!("{check:?}")
    };
    assert!(world.living().await[coordinate].native_expiry.is_some());
    world.clock.advance(a_millisecond_less(hours(2)));
    for job in Job::ALL {
        world.run(job).await;
    }
    let hydrated = world
        .documents
        .hydrate_ephemeral(check.blob.clone())
        .await
        .unwrap();
    assert_eq!(*hydrated.expose(), json!({"a": "checked"}));
    world.clock.advance(hours(1));
    let report = world.run(Job::ExpireOrphans).await;
    assert_eq!(report.deletions["ephemeral"].found, 1, "{report:#?}");
    assert!(world.listed().await.is_empty());
    let gone = world
        .documents
        .hydrate_ephemeral(check.blob)
        .await
        .unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Missing);
    world.close().await;
}

pub(crate) async fn only_ephemerals_bear_a_native_expiry(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = world.create(json!({"a": "one", "t": ["two"]})).await.id;
    world
        .update(id, json!({"a": "three", "t": ["two", "four"]}))
        .await;
    assert!(
        world
            .living()
            .await
            .values()
            .all(|it| it.native_expiry.is_none())
    );
    world.close().await;
}

pub(crate) async fn a_manager_without_recovery_waits_out_the_horizon(kind: Kind, seed: u64) {
    let world = World::with_capabilities(kind, seed, |it| it.recovery = None).await;
    world.create(json!({"a": "stays"})).await;
    let id = world.create(json!({"a": "one"})).await.id;
    let one = world.coordinate(id, "/a").await;
    world.documents.remove(id, None).await.unwrap();
    assert_goes_after(&world, hours(24 * 7), Job::ExpireOrphans, &one).await;
    assert!(
        !world.listed().await.contains_key(&one),
        "it cannot be recovered, so it is gone"
    );
    world.close().await;
}

pub(crate) async fn what_was_in_use_can_be_recovered_for_the_horizon(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    world.create(json!({"a": "stays"})).await;
    let id = world.create(json!({"a": "one"})).await.id;
    let one = world.coordinate(id, "/a").await;
    world.documents.remove(id, None).await.unwrap();
    world.quiet_time_and_passes().await;
    let waiting = &world.listed().await[&one];
    let cloakroom_core::SecretState::ScheduledForDeletion { due: Some(due) } = waiting.state else {
        panic!("{waiting:?}");
    };
    let window = due.duration_since(waiting.changed.unwrap());
    assert!(window.as_secs() >= 7 * 24 * 3600, "{window:?}");
    world.close().await;
}
