//! Laws of putting under a platform's name: readable for the platform, and never over anything.

use cloakroom_core::{ErrorKind, SecretState};

use super::NamedSubject;
use super::listing::{Asked, platforms, value};
use crate::conformance::Verdict;
use crate::conformance::verdict::{ensure, ensure_eq, ensure_kind};

/// What is put is unmarked, the platform reads it, and putting it again succeeds.
pub(super) async fn what_is_put_is_read_by_the_platform(subject: &dyn NamedSubject) -> Verdict {
    let asked = Asked::of(subject);
    let name = &platforms(1)[0];
    asked.named()?.put_named(name, &value(name)).await?;
    asked.named()?.put_named(name, &value(name)).await?;
    ensure(subject.read_as_platform(name).await? == value(name), || {
        "the platform reads another value".to_owned()
    })?;
    ensure(asked.read(name).await?? == value(name), || {
        "another value is read".to_owned()
    })?;
    let described = asked.describe(name).await?;
    ensure_eq(&described.marked, &false, "whether it is marked")?;
    ensure_eq(&described.state, &SecretState::Enabled, "the state")?;
    ensure_eq(&described.native_expiry, &None, "the manager's own expiry")?;
    subject.settle().await;
    ensure_eq(
        &asked.listed(name).await?.len(),
        &1,
        "how often it is listed",
    )
}

/// Other bytes are a conflict, and what was there stays.
pub(super) async fn other_bytes_conflict_and_the_old_stay(subject: &dyn NamedSubject) -> Verdict {
    let asked = Asked::of(subject);
    let name = &platforms(1)[0];
    asked.named()?.put_named(name, &value("first")).await?;
    let other = asked.named()?.put_named(name, &value("second")).await;
    ensure_kind(other, &[ErrorKind::Conflict], "a put of other bytes")?;
    ensure(
        subject.read_as_platform(name).await? == value("first"),
        || "the platform reads another value".to_owned(),
    )
}

/// The same where the platform wrote it, with tags of its own.
pub(super) async fn what_the_platform_wrote_is_not_written_over(
    subject: &dyn NamedSubject,
) -> Verdict {
    let asked = Asked::of(subject);
    let name = &platforms(1)[0];
    subject.write_as_platform(name, &value("theirs")).await?;
    asked.named()?.put_named(name, &value("theirs")).await?;
    let other = asked.named()?.put_named(name, &value("other")).await;
    ensure_kind(other, &[ErrorKind::Conflict], "a put of other bytes")?;
    ensure(
        subject.read_as_platform(name).await? == value("theirs"),
        || "the platform reads another value".to_owned(),
    )
}

/// A put whose value the platform has replaced since is no repetition of itself: what the name
/// holds now counts.
pub(super) async fn a_value_put_back_over_is_no_repetition(subject: &dyn NamedSubject) -> Verdict {
    let asked = Asked::of(subject);
    let name = &platforms(1)[0];
    asked.named()?.put_named(name, &value("first")).await?;
    subject.write_as_platform(name, &value("second")).await?;
    let again = asked.named()?.put_named(name, &value("first")).await;
    ensure_kind(again, &[ErrorKind::Conflict], "the first put again")?;
    asked.named()?.put_named(name, &value("second")).await?;
    ensure(
        subject.read_as_platform(name).await? == value("second"),
        || "the platform reads another value".to_owned(),
    )
}
