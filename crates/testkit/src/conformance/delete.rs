//! Laws of deleting for good.

use cloakroom_core::{DeleteMode, Deletion, ErrorKind};

use super::Subject;
use super::hand::{Hand, listed, plainly, window};
use super::verdict::{Verdict, ensure, ensure_eq, ensure_kind};
use crate::canary::marked;

/// What is deleted for good is gone at once, and only that.
pub async fn deleted_is_gone(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let (coordinate, _) = hand.create_one(&*backend).await?;
    let (kept, value) = hand.create_one(&*backend).await?;
    let deletion = backend.delete(&coordinate, DeleteMode::Final, None).await?;
    ensure_eq(&deletion, &Deletion::Deleted, "a deletion")?;
    ensure_kind(
        backend.get(&coordinate).await,
        &[ErrorKind::Missing],
        "get afterwards",
    )?;
    ensure_kind(
        backend.describe(&coordinate).await,
        &[ErrorKind::Missing],
        "describe afterwards",
    )?;
    let may_be = &[ErrorKind::Missing, ErrorKind::Unsupported];
    ensure_kind(
        backend.restore(&coordinate).await,
        may_be,
        "restore afterwards",
    )?;
    subject.settle().await;
    ensure(listed(&*backend, &coordinate).await?.is_empty(), || {
        "it is still listed".to_owned()
    })?;
    hand.ensure_there(&*backend, &kept, &value).await
}

/// Deleting twice succeeds: a deletion whose answer was lost is repeated.
pub async fn deleting_twice_is_already_gone(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let (coordinate, _) = hand.create_one(&*backend).await?;
    backend.delete(&coordinate, DeleteMode::Final, None).await?;
    for backend in [&backend, &subject.second()] {
        let deletion = backend.delete(&coordinate, DeleteMode::Final, None).await?;
        ensure_eq(&deletion, &Deletion::AlreadyGone, "the same deletion again")?;
    }
    Ok(())
}

/// Deleting what never was succeeds.
pub async fn deleting_the_missing_is_already_gone(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let deletion = backend
        .delete(&hand.coordinate(), plainly(&*backend), None)
        .await?;
    ensure_eq(&deletion, &Deletion::AlreadyGone, "a deletion of nothing")?;
    if let Ok(mode) = window(&*backend) {
        let deletion = backend.delete(&hand.coordinate(), mode, None).await?;
        ensure_eq(
            &deletion,
            &Deletion::AlreadyGone,
            "a recoverable deletion of nothing",
        )?;
    }
    Ok(())
}

/// A name is free again after a deletion for good.
pub async fn a_deleted_name_is_free(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let (coordinate, _) = hand.create_one(&*backend).await?;
    backend.delete(&coordinate, DeleteMode::Final, None).await?;
    let other = marked("the next owner's");
    hand.create(&*backend, &coordinate, &other).await?;
    hand.ensure_there(&*backend, &coordinate, &other).await
}

/// A manager that deletes nothing for good says so before anything is deleted, of what is there and of
/// what waits.
pub async fn without_final_deletion_nothing_is_promised(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let (coordinate, value) = hand.create_one(&*backend).await?;
    let refused = &[ErrorKind::Unsupported];
    let answer = backend.delete(&coordinate, DeleteMode::Final, None).await;
    ensure_kind(answer, refused, "a deletion for good")?;
    hand.ensure_there(&*backend, &coordinate, &value).await?;
    backend
        .delete(&coordinate, window(&*backend)?, None)
        .await?;
    let answer = backend.delete(&coordinate, DeleteMode::Final, None).await;
    ensure_kind(answer, refused, "a deletion for good of what waits")?;
    backend.restore(&coordinate).await?;
    hand.ensure_there(&*backend, &coordinate, &value).await
}
