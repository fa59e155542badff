//! What was deleted, and what has expired, is kept until it is purged; asking changes nothing.

use std::time::Duration;

use cloakroom_backends_embedded::EmbeddedBackend;
use cloakroom_core::{
    Clock as _, Coordinate, DeleteMode, Deletion, ErrorKind, IntentId, Mark, Purge, PutOutcome,
    PutRequest, Result, SecretBackend as _, SecretState, StoreId, Timestamp,
};
use cloakroom_testkit::ManualClock;
use uuid::Uuid;

use crate::common::{Database, backend, dump, named, ring, rows, text};

const HOUR: Duration = Duration::from_hours(1);
const MILLISECOND: Duration = Duration::from_millis(1);

fn purges(backend: &EmbeddedBackend) -> &dyn Purge {
    backend.purges().unwrap()
}

async fn put(backend: &EmbeddedBackend, value: &str, expiry: Option<Duration>) -> PutRequest {
    let mut request = text(value);
    request.native_expiry = expiry;
    let outcome = backend.put(&request).await.unwrap();
    assert_eq!(outcome, PutOutcome::Created);
    request
}

async fn delete(backend: &EmbeddedBackend, coordinate: &Coordinate, window: Duration) {
    let mode = DeleteMode::Recoverable(window);
    let deletion = backend.delete(coordinate, mode, None).await.unwrap();
    assert!(
        matches!(deletion, Deletion::Scheduled { .. }),
        "{deletion:?}"
    );
}

/// One secret in each state there is.
async fn one_of_each(backend: &EmbeddedBackend, clock: &ManualClock) -> Vec<Coordinate> {
    let mut all = Vec::new();
    for (value, expiry, window) in [
        ("lasting", None, None),
        ("expiring", Some(5 * HOUR), None),
        ("waiting", None, Some(5 * HOUR)),
        ("over", None, Some(HOUR)),
        ("expired", Some(HOUR), None),
        ("expired and over", Some(HOUR), Some(HOUR)),
        ("expired and waiting", Some(HOUR), Some(5 * HOUR)),
    ] {
        let coordinate = put(backend, value, expiry).await.mark.coordinate;
        if let Some(window) = window {
            delete(backend, &coordinate, window).await;
        }
        all.push(coordinate);
    }
    clock.advance(2 * HOUR);
    all
}

pub(crate) async fn asking_changes_nothing(database: &Database) -> Result<()> {
    let clock = ManualClock::default();
    let backend = backend(&database.pool, ring(&[1]), &clock);
    let all = one_of_each(&backend, &clock).await;
    let before = dump(&database.pool).await?;
    let listed = backend.list(None).await?.secrets;
    assert_eq!(listed.len(), all.len());
    for coordinate in &all {
        let described = backend.describe(coordinate).await?;
        assert!(listed.contains(&described), "{described:?}");
        let enabled = described.state == SecretState::Enabled;
        assert_eq!(enabled, all[..2].contains(coordinate), "{described:?}");
        let read = backend.get(coordinate).await.map(drop);
        let kind = read.map_err(|error| error.kind());
        let expected = if enabled {
            Ok(())
        } else {
            Err(ErrorKind::ScheduledForDeletion)
        };
        assert_eq!(kind, expected, "{described:?}");
    }
    backend.get_many(&all).await;
    backend.describe_many(&all).await;
    backend.keys_in_use().await?;
    assert_eq!(dump(&database.pool).await?, before);
    Ok(())
}

/// Whatever else is written, deleted or brought back.
pub(crate) async fn changing_one_removes_no_other(database: &Database) -> Result<()> {
    let clock = ManualClock::default();
    let backend = backend(&database.pool, ring(&[1]), &clock);
    let all = one_of_each(&backend, &clock).await;
    let before = dump(&database.pool).await?;
    let other = put(&backend, "another", None).await.mark.coordinate;
    delete(&backend, &other, HOUR).await;
    backend.restore(&other).await?;
    backend.lift_expiry(&other).await?;
    backend.rewrap(None, 100).await?;
    let mark = backend.describe(&other).await?.mark.unwrap();
    purges(&backend).purge(&mark, HOUR, clock.now()).await?;
    backend.delete(&other, DeleteMode::Final, None).await?;
    assert_eq!(dump(&database.pool).await?, before);
    // A name is taken for as long as something is kept under it.
    for (value, coordinate) in ["over", "expired", "expired and over"]
        .into_iter()
        .zip([&all[3], &all[4], &all[5]])
    {
        let again = text(value);
        assert_eq!(again.mark.coordinate, *coordinate);
        let refused = backend.put(&again).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ScheduledForDeletion);
    }
    assert_eq!(dump(&database.pool).await?, before);
    Ok(())
}

pub(crate) async fn what_was_kept_comes_back_however_late(database: &Database) -> Result<()> {
    let clock = ManualClock::default();
    let backend = backend(&database.pool, ring(&[1]), &clock);
    let all = one_of_each(&backend, &clock).await;
    clock.advance(10_000 * HOUR);
    for coordinate in &all {
        backend.restore(coordinate).await?;
        backend.restore(coordinate).await?;
        backend.get(coordinate).await?;
        backend.lift_expiry(coordinate).await?;
        let described = backend.describe(coordinate).await?;
        assert_eq!(described.state, SecretState::Enabled);
        assert_eq!(described.native_expiry, None);
    }
    let expired = put(&backend, "lifted", Some(HOUR)).await.mark.coordinate;
    clock.advance(HOUR);
    backend.lift_expiry(&expired).await?;
    backend.get(&expired).await?;
    Ok(())
}

pub(crate) async fn a_window_ends_by_a_purge_alone_and_by_both_clocks(
    database: &Database,
) -> Result<()> {
    let clock = ManualClock::default();
    let backend = backend(&database.pool, ring(&[1]), &clock);
    let request = put(&backend, "value", None).await;
    let (mark, coordinate) = (&request.mark, &request.mark.coordinate);
    let purge = purges(&backend);
    assert!(!purge.purge(mark, HOUR, Timestamp::MAX).await?, "in use");
    delete(&backend, coordinate, HOUR).await;
    let early = clock.now();
    clock.advance(HOUR.saturating_sub(MILLISECOND));
    assert!(!purge.purge(mark, HOUR, Timestamp::MAX).await?, "early");
    clock.advance(MILLISECOND);
    for (window, now) in [
        (HOUR, early),
        (2 * HOUR, Timestamp::MAX),
        (Duration::MAX, Timestamp::MAX),
    ] {
        assert!(!purge.purge(mark, window, now).await?, "{window:?} {now}");
    }
    assert_eq!(rows(&database.pool).await?, 1);
    assert!(purge.purge(mark, HOUR, clock.now()).await?);
    assert!(!purge.purge(mark, HOUR, clock.now()).await?, "it is gone");
    assert_eq!(rows(&database.pool).await?, 0);
    assert!(backend.describe(coordinate).await.unwrap_err().is_missing());
    // Nor sooner than the end it bears.
    put(&backend, "value", None).await;
    delete(&backend, coordinate, 5 * HOUR).await;
    clock.advance(2 * HOUR);
    assert!(!purge.purge(mark, HOUR, Timestamp::MAX).await?);
    Ok(())
}

pub(crate) async fn a_purge_takes_exactly_what_bears_the_mark(database: &Database) -> Result<()> {
    let clock = ManualClock::default();
    let (id, other) = ("embedded", "other");
    let backend = named(id, &database.pool, ring(&[1]), &clock);
    let neighbour = named(other, &database.pool, ring(&[1]), &clock);
    let mut request = text("value");
    request.mark.intent = Some(IntentId(Uuid::from_u128(1)));
    let coordinate = &request.mark.coordinate;
    backend.put(&request).await?;
    delete(&backend, coordinate, HOUR).await;
    clock.advance(2 * HOUR);
    let changed = |change: fn(&mut Mark)| {
        let mut mark = request.mark.clone();
        change(&mut mark);
        mark
    };
    for mark in [
        changed(|mark| mark.store = StoreId(Uuid::from_u128(7))),
        changed(|mark| mark.deployment.push('x')),
        changed(|mark| mark.intent = None),
        changed(|mark| mark.intent = Some(IntentId(Uuid::from_u128(2)))),
        changed(|mark| mark.digest = text("another").mark.digest),
    ] {
        let went = purges(&backend).purge(&mark, HOUR, Timestamp::MAX).await?;
        assert!(!went, "{mark:?}");
    }
    let purge = purges(&neighbour);
    assert!(!purge.purge(&request.mark, HOUR, Timestamp::MAX).await?);
    backend.restore(coordinate).await?;
    let purge = purges(&backend);
    assert!(!purge.purge(&request.mark, HOUR, Timestamp::MAX).await?);
    delete(&backend, coordinate, HOUR).await;
    clock.advance(HOUR);
    assert!(purge.purge(&request.mark, HOUR, Timestamp::MAX).await?);
    Ok(())
}

/// What has expired has no end yet: the first purge gives it the whole window.
pub(crate) async fn what_has_expired_is_given_an_end(database: &Database) -> Result<()> {
    let clock = ManualClock::default();
    let backend = backend(&database.pool, ring(&[1]), &clock);
    let request = put(&backend, "value", Some(HOUR)).await;
    let (mark, coordinate) = (&request.mark, &request.mark.coordinate);
    clock.advance(HOUR);
    let endless = SecretState::ScheduledForDeletion { due: None };
    assert_eq!(backend.describe(coordinate).await?.state, endless);
    let purge = purges(&backend);
    assert!(!purge.purge(mark, HOUR, clock.now()).await?);
    let due = clock.now() + HOUR;
    let waits = SecretState::ScheduledForDeletion { due: Some(due) };
    assert_eq!(backend.describe(coordinate).await?.state, waits);
    clock.advance(HOUR.saturating_sub(MILLISECOND));
    assert!(!purge.purge(mark, HOUR, clock.now()).await?);
    clock.advance(MILLISECOND);
    assert!(purge.purge(mark, HOUR, clock.now()).await?);
    assert_eq!(rows(&database.pool).await?, 0);
    Ok(())
}

/// Whoever hands it to deletion now may need the whole window from now on.
pub(crate) async fn a_window_that_was_over_begins_anew(database: &Database) -> Result<()> {
    let clock = ManualClock::default();
    let backend = backend(&database.pool, ring(&[1]), &clock);
    let request = put(&backend, "value", None).await;
    let (mark, coordinate) = (&request.mark, &request.mark.coordinate);
    delete(&backend, coordinate, HOUR).await;
    clock.advance(2 * HOUR);
    delete(&backend, coordinate, HOUR).await;
    let due = Some(clock.now() + HOUR);
    let waits = SecretState::ScheduledForDeletion { due };
    assert_eq!(backend.describe(coordinate).await?.state, waits);
    let mode = DeleteMode::Recoverable(5 * HOUR);
    let again = backend.delete(coordinate, mode, None).await?;
    assert_eq!(again, Deletion::AlreadyGone);
    assert_eq!(backend.describe(coordinate).await?.state, waits);
    assert!(!purges(&backend).purge(mark, HOUR, Timestamp::MAX).await?);
    clock.advance(HOUR);
    assert!(purges(&backend).purge(mark, HOUR, Timestamp::MAX).await?);
    Ok(())
}
