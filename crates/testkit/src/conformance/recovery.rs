//! Laws of deletions that can be taken back.

use std::time::Duration;

use cloakroom_core::capabilities::Recovery;
use cloakroom_core::{
    DeleteMode, Deletion, ErrorKind, PutOutcome, SecretBackend, SecretState, Timestamp,
};

use super::Subject;
use super::hand::{Hand, list_all, listed, plainly, window};
use super::verdict::{Broken, Verdict, ensure, ensure_eq, ensure_kind};
use crate::canary::marked;

const WAITING: &[ErrorKind] = &[ErrorKind::ScheduledForDeletion, ErrorKind::Missing];
const MISSING: &[ErrorKind] = &[ErrorKind::Missing];

/// What waits for its deletion cannot be read, is listed as waiting, and comes back whole.
pub async fn a_deletion_can_be_taken_back(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let (coordinate, value) = hand.create_one(&*backend).await?;
    schedule(&*backend, &coordinate).await?;
    ensure_kind(
        backend.get(&coordinate).await,
        WAITING,
        "get while it waits",
    )?;
    ensure_waiting(&backend.describe(&coordinate).await?.state, "described")?;
    subject.settle().await;
    let waiting = listed(&*backend, &coordinate).await?;
    ensure_eq(&waiting.len(), &1, "how often it is listed while it waits")?;
    for secret in &waiting {
        ensure_waiting(&secret.state, "listed")?;
        ensure_eq(
            &secret.mark,
            &Some(hand.mark(&coordinate, &value)),
            "the mark listed",
        )?;
    }

    backend.restore(&coordinate).await?;
    hand.ensure_there(&*backend, &coordinate, &value).await?;
    let state = backend.describe(&coordinate).await?.state;
    ensure_eq(
        &state,
        &SecretState::Enabled,
        "the state after it was restored",
    )?;
    backend.restore(&coordinate).await?;
    subject.settle().await;
    let back = listed(&*backend, &coordinate).await?;
    ensure_eq(&back.len(), &1, "how often it is listed when it is back")
}

/// Deleting what waits already succeeds and does not put its end off.
pub async fn deleting_the_waiting_is_already_gone(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let (coordinate, value) = hand.create_one(&*backend).await?;
    schedule(&*backend, &coordinate).await?;
    let before = backend.describe(&coordinate).await?.state;
    let again = backend
        .delete(&coordinate, window(&*backend)?, None)
        .await?;
    ensure_eq(&again, &Deletion::AlreadyGone, "the same deletion again")?;
    ensure_eq(
        &backend.describe(&coordinate).await?.state,
        &before,
        "the state afterwards",
    )?;
    backend.restore(&coordinate).await?;
    hand.ensure_there(&*backend, &coordinate, &value).await
}

/// The name of what waits is taken, and the put says so.
pub async fn a_waiting_name_is_taken(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let (coordinate, value) = hand.create_one(&*backend).await?;
    schedule(&*backend, &coordinate).await?;
    for bytes in [value.clone(), marked("other")] {
        let answer = backend.put(&hand.request(&coordinate, &bytes)).await;
        ensure_kind(
            answer,
            &[ErrorKind::ScheduledForDeletion],
            "a put on a waiting name",
        )?;
    }
    backend.restore(&coordinate).await?;
    hand.ensure_there(&*backend, &coordinate, &value).await
}

/// A longer window than the manager has is refused before anything is deleted, and a shorter one
/// than it takes is still a window.
pub async fn the_window_is_never_cut_short(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let recovery = recovery(&*backend)?;
    let (coordinate, value) = hand.create_one(&*backend).await?;
    let longer = DeleteMode::Recoverable(recovery.longest.saturating_add(Duration::from_hours(24)));
    let refused = &[ErrorKind::Unsupported, ErrorKind::Invalid];
    let answer = backend.delete(&coordinate, longer, None).await;
    ensure_kind(answer, refused, "a window longer than the longest")?;
    hand.ensure_there(&*backend, &coordinate, &value).await?;

    let shorter = DeleteMode::Recoverable(Duration::from_secs(1).min(recovery.shortest));
    let deletion = backend.delete(&coordinate, shorter, None).await?;
    ensure(matches!(deletion, Deletion::Scheduled { .. }), || {
        format!("{deletion:?}")
    })?;
    backend.restore(&coordinate).await?;
    hand.ensure_there(&*backend, &coordinate, &value).await
}

/// When the window is over the secret is gone for good and its name is free; where the manager ends no
/// window itself, once it is purged, and until then it waits.
pub async fn a_window_ends(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let window = recovery(&*backend)?.shortest;
    let (coordinate, value) = hand.create_one(&*backend).await?;
    let (other, other_value) = hand.create_one(&*backend).await?;
    schedule(&*backend, &coordinate).await?;
    schedule(&*backend, &other).await?;
    subject.advance(window / 2).await?;
    backend.restore(&other).await?;
    subject.advance(window).await?;
    if let Some(purge) = backend.purges() {
        subject.settle().await;
        let listed = list_all(&*backend).await?.len();
        ensure_eq(&listed, &2, "how many are listed before the purge")?;
        ensure_waiting(&backend.describe(&coordinate).await?.state, "described")?;
        for (name, bytes, goes) in [(&other, &other_value, false), (&coordinate, &value, true)] {
            let mark = hand.mark(name, bytes);
            let went = purge.purge(&mark, window, Timestamp::MAX).await?;
            ensure_eq(&went, &goes, "whether a purge took it")?;
        }
    }

    ensure_kind(
        backend.get(&coordinate).await,
        MISSING,
        "get after the window",
    )?;
    ensure_kind(
        backend.describe(&coordinate).await,
        MISSING,
        "describe after the window",
    )?;
    ensure_kind(
        backend.restore(&coordinate).await,
        MISSING,
        "restore after the window",
    )?;
    let deletion = backend
        .delete(&coordinate, plainly(&*backend), None)
        .await?;
    ensure_eq(
        &deletion,
        &Deletion::AlreadyGone,
        "a deletion after the window",
    )?;
    subject.settle().await;
    let listing = list_all(&*backend).await?;
    ensure_eq(&listing.len(), &1, "how many are listed after the window")?;
    let outcome = backend.put(&hand.request(&coordinate, &value)).await?;
    ensure_eq(&outcome, &PutOutcome::Created, "a put after the window")?;
    hand.ensure_there(&*backend, &coordinate, &value).await?;
    hand.ensure_there(&*backend, &other, &other_value).await
}

/// A manager without recovery says so instead of deleting for good.
pub async fn without_recovery_nothing_is_promised(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let (coordinate, value) = hand.create_one(&*backend).await?;
    let mode = DeleteMode::Recoverable(Duration::from_hours(1));
    let answer = backend.delete(&coordinate, mode, None).await;
    ensure_kind(answer, &[ErrorKind::Unsupported], "a recoverable deletion")?;
    hand.ensure_there(&*backend, &coordinate, &value).await
}

async fn schedule(backend: &dyn SecretBackend, coordinate: &cloakroom_core::Coordinate) -> Verdict {
    let deletion = backend.delete(coordinate, window(backend)?, None).await?;
    ensure(matches!(deletion, Deletion::Scheduled { .. }), || {
        format!("a recoverable deletion is {deletion:?}, should be scheduled")
    })
}

fn ensure_waiting(state: &SecretState, how: &str) -> Verdict {
    ensure(
        matches!(state, SecretState::ScheduledForDeletion { .. }),
        || format!("a deleted secret is {how} as {state:?}, should be scheduled for deletion"),
    )
}

fn recovery(backend: &dyn SecretBackend) -> Result<Recovery, Broken> {
    backend
        .capabilities()
        .recovery
        .ok_or_else(|| Broken::new("the backend has no recovery"))
}
