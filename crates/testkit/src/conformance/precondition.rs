//! Laws of deletions that hold only in the state that was described.

use cloakroom_core::{Coordinate, DeleteMode, Deletion, ErrorKind, Precondition, SecretBackend};

use super::Subject;
use super::hand::{Hand, window};
use super::verdict::{Broken, Verdict, ensure, ensure_eq, ensure_kind};

/// A precondition that holds lets the deletion through.
pub async fn a_fresh_precondition_holds(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let (coordinate, _) = hand.create_one(&*backend).await?;
    let fresh = precondition(&*backend, &coordinate).await?;
    let deletion = backend
        .delete(&coordinate, DeleteMode::Final, Some(&fresh))
        .await?;
    ensure_eq(
        &deletion,
        &Deletion::Deleted,
        "a deletion in the state described",
    )?;
    let again = backend
        .delete(&coordinate, DeleteMode::Final, Some(&fresh))
        .await?;
    ensure_eq(&again, &Deletion::AlreadyGone, "the same deletion again")
}

/// A precondition from an earlier life of the name is `Conflict`, and the secret stays.
pub async fn a_stale_precondition_conflicts(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let (coordinate, value) = hand.create_one(&*backend).await?;
    let stale = precondition(&*backend, &coordinate).await?;
    backend.delete(&coordinate, DeleteMode::Final, None).await?;
    hand.create(&*backend, &coordinate, &value).await?;
    let answer = backend
        .delete(&coordinate, DeleteMode::Final, Some(&stale))
        .await;
    ensure_kind(
        answer,
        &[ErrorKind::Conflict],
        "a deletion in a state that has passed",
    )?;
    hand.ensure_there(&*backend, &coordinate, &value).await
}

/// Coming back from a deletion is a change too: whoever restored it wants it to stay.
pub async fn what_was_restored_has_changed(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let (coordinate, value) = hand.create_one(&*backend).await?;
    let stale = precondition(&*backend, &coordinate).await?;
    backend
        .delete(&coordinate, window(&*backend)?, Some(&stale))
        .await?;
    backend.restore(&coordinate).await?;
    let answer = backend
        .delete(&coordinate, window(&*backend)?, Some(&stale))
        .await;
    ensure_kind(
        answer,
        &[ErrorKind::Conflict],
        "a deletion of what was restored since",
    )?;
    hand.ensure_there(&*backend, &coordinate, &value).await?;
    let fresh = precondition(&*backend, &coordinate).await?;
    ensure(fresh != stale, || {
        "the precondition is the one from before".to_owned()
    })
}

async fn precondition(
    backend: &dyn SecretBackend,
    coordinate: &Coordinate,
) -> Result<Precondition, Broken> {
    let described = backend.describe(coordinate).await?;
    described
        .precondition
        .ok_or_else(|| Broken::new("the description has no precondition"))
}
