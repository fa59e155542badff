//! Rotating keys while everything is in use.

use std::time::Duration;

use cloakroom_backends_embedded::EmbeddedBackend;
use cloakroom_core::{
    Coordinate, DeleteMode, ErrorKind, PutRequest, Result, SecretBackend as _, SecretState,
};
use cloakroom_testkit::ManualClock;

use crate::common::{Database, backend, key, ring, text};

async fn put(backend: &EmbeddedBackend, count: usize) -> Result<Vec<PutRequest>> {
    let requests: Vec<_> = (0..count)
        .map(|number| text(&format!("value {number}")))
        .collect();
    for answer in backend.put_many(&requests).await {
        answer?;
    }
    Ok(requests)
}

async fn ensure_readable(backend: &EmbeddedBackend, requests: &[PutRequest]) -> Result<()> {
    for request in requests {
        let stored = backend.get(&request.mark.coordinate).await?;
        assert!(stored.value == request.value, "{}", request.mark.coordinate);
    }
    Ok(())
}

async fn rewrap_all(backend: &EmbeddedBackend, batch: u32) -> Result<(u64, usize)> {
    let (mut rewrapped, mut failed) = (0, 0);
    let mut after: Option<Coordinate> = None;
    loop {
        let page = backend.rewrap(after.as_ref(), batch).await?;
        rewrapped += page.rewrapped;
        failed += page.failed.len();
        after = page.next;
        if after.is_none() {
            return Ok((rewrapped, failed));
        }
    }
}

pub(crate) async fn everything_is_under_the_new_key_in_the_end(database: &Database) -> Result<()> {
    let clock = ManualClock::default();
    let old = backend(&database.pool, ring(&[1]), &clock);
    let requests = put(&old, 25).await?;
    assert_eq!(old.keys_in_use().await?, [(key(1).id().clone(), 25)]);

    // Every process can open with the new key before any seals with it.
    let both = backend(&database.pool, ring(&[1, 2]), &clock);
    ensure_readable(&both, &requests).await?;
    assert_eq!(rewrap_all(&both, 10).await?, (0, 0));

    let new = backend(&database.pool, ring(&[2, 1]), &clock);
    let first = new.rewrap(None, 10).await?;
    assert_eq!((first.rewrapped, first.failed.len()), (10, 0));
    ensure_readable(&both, &requests).await?;
    // Broken off, and begun again.
    assert_eq!(rewrap_all(&new, 10).await?, (15, 0));
    assert_eq!(rewrap_all(&new, 10).await?, (0, 0));
    assert_eq!(new.keys_in_use().await?, [(key(2).id().clone(), 25)]);

    let rotated = backend(&database.pool, ring(&[2]), &clock);
    ensure_readable(&rotated, &requests).await?;
    let refused = old.get(&requests[0].mark.coordinate).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Corrupt);
    assert_eq!(refused.missing_key(), Some(key(2).id()));
    Ok(())
}

pub(crate) async fn two_rotations_at_once_do_the_work_once(database: &Database) -> Result<()> {
    let clock = ManualClock::default();
    let requests = put(&backend(&database.pool, ring(&[1]), &clock), 60).await?;
    let second = database.second_pool().await?;
    let (one, other) = (
        backend(&database.pool, ring(&[2, 1]), &clock),
        backend(&second, ring(&[2, 1]), &clock),
    );
    let (done, also) = tokio::join!(rewrap_all(&one, 7), rewrap_all(&other, 11));
    assert_eq!(done?.0 + also?.0, 60);
    ensure_readable(&backend(&second, ring(&[2]), &clock), &requests).await
}

pub(crate) async fn what_is_under_a_lost_key_is_reported_and_left(
    database: &Database,
) -> Result<()> {
    let clock = ManualClock::default();
    let lost = put(&backend(&database.pool, ring(&[3]), &clock), 5).await?;
    let kept = text("kept");
    backend(&database.pool, ring(&[1, 3]), &clock)
        .put(&kept)
        .await?;

    let rotated = backend(&database.pool, ring(&[2, 1]), &clock);
    let page = rotated.rewrap(None, 100).await?;
    assert_eq!((page.rewrapped, page.failed.len()), (1, 5));
    for error in &page.failed {
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains(key(3).id().as_str()), "{error}");
    }
    ensure_readable(&rotated, &[kept]).await?;
    let found = backend(&database.pool, ring(&[2, 3]), &clock);
    ensure_readable(&found, &lost).await
}

pub(crate) async fn a_rotation_leaves_states_as_they_are(database: &Database) -> Result<()> {
    let clock = ManualClock::default();
    let old = backend(&database.pool, ring(&[1]), &clock);
    let mut requests = put(&old, 2).await?;
    requests[0].native_expiry = Some(Duration::from_hours(1));
    let waiting = &requests[1].mark.coordinate;
    let mode = DeleteMode::Recoverable(Duration::from_hours(24));
    old.delete(waiting, mode, None).await?;
    let before = old.list(None).await?.secrets;

    let new = backend(&database.pool, ring(&[2, 1]), &clock);
    assert_eq!(rewrap_all(&new, 100).await?, (2, 0));
    assert_eq!(new.list(None).await?.secrets, before);
    let state = new.describe(waiting).await?.state;
    assert!(matches!(state, SecretState::ScheduledForDeletion { .. }));
    new.restore(waiting).await?;
    ensure_readable(&backend(&database.pool, ring(&[2]), &clock), &requests).await
}
