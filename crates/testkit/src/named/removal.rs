//! Laws of deleting by name, and of taking it back.

use cloakroom_core::{DeleteMode, Deletion, ErrorKind, Precondition, SecretState};

use super::NamedSubject;
use super::listing::{Asked, platforms, value};
use crate::conformance::hand::window;
use crate::conformance::verdict::{ensure, ensure_eq, ensure_kind};
use crate::conformance::{Broken, Verdict};

const MISSING: &[ErrorKind] = &[ErrorKind::Missing];

/// Deleted for good is gone at once, and only that; a second time it was gone already.
pub(super) async fn deleted_is_gone_and_twice_is_already_gone(
    subject: &dyn NamedSubject,
) -> Verdict {
    let asked = Asked::of(subject);
    let named = asked.named()?;
    let names = platforms(2);
    let (name, kept) = (&names[0], &names[1]);
    for name in &names {
        subject.write_as_platform(name, &value(name)).await?;
    }
    let deleted = named.delete_named(name, DeleteMode::Final, None).await?;
    ensure_eq(&deleted, &Deletion::Deleted, "a deletion")?;
    let again = named.delete_named(name, DeleteMode::Final, None).await?;
    ensure_eq(&again, &Deletion::AlreadyGone, "the same deletion again")?;
    ensure_kind(asked.read(name).await?, MISSING, "read afterwards")?;
    let described = named.describe_named(std::slice::from_ref(name)).await;
    for answer in described {
        ensure_kind(answer, MISSING, "describe afterwards")?;
    }
    subject.settle().await;
    ensure(asked.listed(name).await?.is_empty(), || {
        "it is still listed".to_owned()
    })?;
    ensure(subject.read_as_platform(kept).await? == value(kept), || {
        "the other one is another".to_owned()
    })?;
    named.put_named(name, &value("next")).await?;
    ensure(
        subject.read_as_platform(name).await? == value("next"),
        || "the next value is another".to_owned(),
    )
}

/// What is not there is missing, and already gone.
pub(super) async fn the_missing_is_missing(subject: &dyn NamedSubject) -> Verdict {
    let asked = Asked::of(subject);
    let named = asked.named()?;
    let names = platforms(2);
    subject
        .write_as_platform(&names[1], &value(&names[1]))
        .await?;
    let name = &names[0];
    ensure_kind(asked.read(name).await?, MISSING, "read")?;
    for answer in named.describe_named(std::slice::from_ref(name)).await {
        ensure_kind(answer, MISSING, "describe")?;
    }
    let may_be = &[ErrorKind::Missing, ErrorKind::Unsupported];
    ensure_kind(named.restore_named(name).await, may_be, "restore")?;
    let modes = [Some(DeleteMode::Final), window(&*subject.backend()).ok()];
    for mode in modes.into_iter().flatten() {
        let deleted = named.delete_named(name, mode, None).await?;
        ensure_eq(&deleted, &Deletion::AlreadyGone, "a deletion of nothing")?;
    }
    Ok(())
}

/// What waits cannot be read or put over, is seen as waiting, and comes back whole.
pub(super) async fn a_deletion_is_taken_back(subject: &dyn NamedSubject) -> Verdict {
    let asked = Asked::of(subject);
    let named = asked.named()?;
    let name = &platforms(1)[0];
    let mode = window(&*subject.backend())?;
    subject.write_as_platform(name, &value(name)).await?;
    let deleted = named.delete_named(name, mode, None).await?;
    ensure(matches!(deleted, Deletion::Scheduled { .. }), || {
        format!("a recoverable deletion is {deleted:?}")
    })?;
    let waiting = &[ErrorKind::ScheduledForDeletion];
    ensure_kind(asked.read(name).await?, waiting, "read while it waits")?;
    for bytes in [value(name), value("other")] {
        let put = named.put_named(name, &bytes).await;
        ensure_kind(put, waiting, "put while it waits")?;
    }
    subject.settle().await;
    let listed = asked.listed(name).await?;
    ensure_eq(&listed.len(), &1, "how often it is listed while it waits")?;
    for seen in [&listed[0], &asked.describe(name).await?] {
        let waits = seen.state.is_waiting();
        ensure(waits, || format!("seen as {:?} while it waits", seen.state))?;
        ensure_eq(&seen.marked, &false, "whether it is marked")?;
    }
    let again = named.delete_named(name, mode, None).await?;
    ensure_eq(&again, &Deletion::AlreadyGone, "the same deletion again")?;

    named.restore_named(name).await?;
    named.restore_named(name).await?;
    ensure(subject.read_as_platform(name).await? == value(name), || {
        "the platform reads another value".to_owned()
    })?;
    let state = asked.describe(name).await?.state;
    ensure_eq(&state, &SecretState::Enabled, "the state when it is back")?;
    subject.settle().await;
    let listed = asked.listed(name).await?;
    ensure_eq(&listed.len(), &1, "how often it is listed when it is back")?;
    ensure_eq(&listed[0].state, &state, "the state listed when it is back")?;

    // Also what waits is deleted for good at once.
    named.delete_named(name, mode, None).await?;
    let deleted = named.delete_named(name, DeleteMode::Final, None).await?;
    ensure_eq(&deleted, &Deletion::Deleted, "a deletion of what waits")?;
    ensure_kind(asked.read(name).await?, MISSING, "read afterwards")
}

/// A manager without recovery says so instead of deleting for good.
pub(super) async fn without_recovery_nothing_is_promised(subject: &dyn NamedSubject) -> Verdict {
    let asked = Asked::of(subject);
    let name = &platforms(1)[0];
    subject.write_as_platform(name, &value(name)).await?;
    let mode = DeleteMode::Recoverable(std::time::Duration::from_hours(1));
    let unsupported = &[ErrorKind::Unsupported];
    let deleted = asked.named()?.delete_named(name, mode, None).await;
    ensure_kind(deleted, unsupported, "a recoverable deletion")?;
    let restored = asked.named()?.restore_named(name).await;
    ensure_kind(restored, unsupported, "a restoration")?;
    ensure(subject.read_as_platform(name).await? == value(name), || {
        "the value is another".to_owned()
    })
}

/// A state that has passed is a conflict in either mode, and the one that stands lets through.
pub(super) async fn a_stale_precondition_conflicts(subject: &dyn NamedSubject) -> Verdict {
    let asked = Asked::of(subject);
    let named = asked.named()?;
    let name = &platforms(1)[0];
    subject.write_as_platform(name, &value("first")).await?;
    let stale = asked.describe(name).await?.precondition;
    let stale = stale.ok_or_else(|| Broken::new("there is no precondition"))?;
    subject.write_as_platform(name, &value("second")).await?;
    let modes = [Some(DeleteMode::Final), window(&*subject.backend()).ok()];
    for mode in modes.into_iter().flatten() {
        let deleted = named.delete_named(name, mode, Some(&stale)).await;
        ensure_kind(deleted, &[ErrorKind::Conflict], "a stale precondition")?;
    }
    ensure(
        subject.read_as_platform(name).await? == value("second"),
        || "the value is another".to_owned(),
    )?;
    let fresh = asked.describe(name).await?.precondition;
    let deleted = named
        .delete_named(name, DeleteMode::Final, fresh.as_ref())
        .await?;
    ensure_eq(&deleted, &Deletion::Deleted, "in the state described")?;
    let again = named
        .delete_named(name, DeleteMode::Final, fresh.as_ref())
        .await?;
    ensure_eq(&again, &Deletion::AlreadyGone, "the same deletion again")
}

/// Where there are none, one that is given is not passed over.
pub(super) async fn a_precondition_is_unsupported(subject: &dyn NamedSubject) -> Verdict {
    let asked = Asked::of(subject);
    let name = &platforms(1)[0];
    subject.write_as_platform(name, &value(name)).await?;
    let state = Precondition("state".into());
    let deleted = asked
        .named()?
        .delete_named(name, DeleteMode::Final, Some(&state))
        .await;
    ensure_kind(deleted, &[ErrorKind::Unsupported], "a precondition")?;
    ensure(subject.read_as_platform(name).await? == value(name), || {
        "the value is another".to_owned()
    })
}
