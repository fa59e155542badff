//! Laws of descriptions and values, asked by name.

use cloakroom_core::{DeleteMode, ErrorKind, SecretState};

use super::NamedSubject;
use super::listing::{Asked, platforms, value};
use super::names::FORBIDDEN;
use crate::canary::marked;
use crate::conformance::verdict::{ensure, ensure_eq, ensure_kind};
use crate::conformance::{Broken, Permission, Verdict};

/// A description has name, state and times, and never the value.
pub(super) async fn a_description_tells_all_but_the_value(subject: &dyn NamedSubject) -> Verdict {
    let asked = Asked::of(subject);
    let name = &platforms(1)[0];
    let canary = marked("in a description");
    subject.write_as_platform(name, &canary).await?;
    let described = asked.describe(name).await?;
    ensure_eq(&described.name, name, "the name")?;
    ensure_eq(&described.marked, &false, "whether it is marked")?;
    ensure_eq(&described.state, &SecretState::Enabled, "the state")?;
    ensure_eq(&described.native_expiry, &None, "the manager's own expiry")?;
    let changed = described
        .changed
        .ok_or_else(|| Broken::new("nothing says when it was changed"))?;
    ensure(described.created.is_none_or(|made| made <= changed), || {
        format!("changed {changed}, before it was made")
    })?;
    subject.settle().await;
    let listed = asked.listed(name).await?;
    ensure_eq(&listed.len(), &1, "how often it is listed")?;
    let listed = &listed[0];
    ensure_eq(&listed.state, &described.state, "the state listed")?;
    // A listing may not know it, and then does not guess.
    ensure(listed.changed.is_none_or(|it| it == changed), || {
        format!(
            "listed as changed {:?}, described {changed}",
            listed.changed
        )
    })?;
    for shown in [format!("{described:?}"), format!("{listed:?}")] {
        ensure(!shown.contains("canary"), || {
            "it shows the value".to_owned()
        })?;
    }
    Ok(())
}

/// Each question has its own answer, more of them than one request takes, some about nothing and
/// one asked twice.
pub(super) async fn answers_are_in_the_order_of_the_names(subject: &dyn NamedSubject) -> Verdict {
    let asked = Asked::of(subject);
    let mut names = platforms(53);
    for (at, name) in names.iter().enumerate() {
        if is_there(at) {
            subject.write_as_platform(name, &value(name)).await?;
        }
    }
    names.push(names[0].clone());
    let named = asked.named()?;
    let described = named.describe_named(&names).await;
    let read = named.read_named(&names).await;
    ensure_eq(&described.len(), &names.len(), "how many descriptions")?;
    ensure_eq(&read.len(), &names.len(), "how many values")?;
    let answers = described.into_iter().zip(read);
    for (at, (name, (described, read))) in names.iter().zip(answers).enumerate() {
        if at == names.len() - 1 || is_there(at) {
            ensure_eq(&described?.name, name, "the name described")?;
            ensure(read? == value(name), || format!("answer {at} is another's"))?;
        } else {
            let missing = &[ErrorKind::Missing];
            ensure_kind(described, missing, &format!("description {at}"))?;
            ensure_kind(read, missing, &format!("value {at}"))?;
        }
    }
    let nothing = (named.describe_named(&[]).await, named.read_named(&[]).await);
    ensure(nothing.0.is_empty() && nothing.1.is_empty(), || {
        "no question was answered".to_owned()
    })
}

fn is_there(at: usize) -> bool {
    at % 5 != 3
}

/// The platform may write under a name again: then that is its value.
pub(super) async fn what_the_platform_wrote_again_is_what_is_read(
    subject: &dyn NamedSubject,
) -> Verdict {
    let asked = Asked::of(subject);
    let name = &platforms(1)[0];
    subject.write_as_platform(name, &value("first")).await?;
    let before = asked.describe(name).await?;
    subject.write_as_platform(name, &value("second")).await?;
    ensure(asked.read(name).await?? == value("second"), || {
        "an earlier value is read".to_owned()
    })?;
    let after = asked.describe(name).await?;
    ensure(after.changed >= before.changed, || {
        format!("changed {:?} and then {:?}", before.changed, after.changed)
    })?;
    if before.precondition.is_some() {
        ensure(before.precondition != after.precondition, || {
            "two states have one precondition".to_owned()
        })?;
    }
    Ok(())
}

/// What cannot be a name is refused as such, whatever is asked of it.
pub(super) async fn what_no_name_can_be_is_invalid(subject: &dyn NamedSubject) -> Verdict {
    let asked = Asked::of(subject);
    let named = asked.named()?;
    let good = &platforms(1)[0];
    subject.write_as_platform(good, &value(good)).await?;
    let long = "x".repeat(3_000);
    for name in FORBIDDEN.iter().copied().chain([long.as_str()]) {
        let invalid = &[ErrorKind::Invalid];
        let mut described = named.describe_named(&[name.to_owned(), good.clone()]).await;
        ensure_eq(&described.len(), &2, "how many descriptions")?;
        described.remove(1)?;
        ensure_kind(described.remove(0), invalid, &format!("describe {name:?}"))?;
        ensure_kind(asked.read(name).await?, invalid, &format!("read {name:?}"))?;
        ensure_kind(
            named.put_named(name, &value("it")).await,
            invalid,
            &format!("put {name:?}"),
        )?;
        ensure_kind(
            named.delete_named(name, DeleteMode::Final, None).await,
            invalid,
            &format!("delete {name:?}"),
        )?;
        let restored = named.restore_named(name).await;
        let kinds = &[ErrorKind::Invalid, ErrorKind::Unsupported];
        ensure_kind(restored, kinds, &format!("restore {name:?}"))?;
    }
    Ok(())
}

/// Whoever has no rights is refused, and nothing is ever called missing for that.
pub(super) async fn the_misled_are_refused_and_never_told_missing(
    subject: &dyn NamedSubject,
) -> Verdict {
    let asked = Asked::of(subject);
    let name = &platforms(1)[0];
    subject.write_as_platform(name, &value(name)).await?;
    let misled = subject
        .misled()
        .ok_or_else(|| Broken::new("the subject has no misled backend"))?;
    let named = misled
        .named()
        .ok_or_else(|| Broken::new("the backend cannot be asked by names"))?;
    let denied = &[ErrorKind::Denied];
    let names = platforms(2);
    for answer in named.describe_named(&names).await {
        ensure_kind(answer, denied, "describe")?;
    }
    for answer in named.read_named(&names).await {
        ensure_kind(answer, denied, "read")?;
    }
    let listed = named.list_named(None).await;
    ensure_kind(listed.map(|page| page.secrets.len()), denied, "list")?;
    ensure_kind(named.put_named(name, &value("it")).await, denied, "put")?;
    let deleted = named.delete_named(name, DeleteMode::Final, None).await;
    ensure_kind(deleted, denied, "delete")?;
    ensure(asked.read(name).await?? == value(name), || {
        "the value is another afterwards".to_owned()
    })
}

/// Listing and describing take no right to read values, and show as much without it.
pub(super) async fn who_may_not_read_values_lists_and_describes(
    subject: &dyn NamedSubject,
) -> Verdict {
    let asked = Asked::of(subject);
    let name = &platforms(1)[0];
    subject.write_as_platform(name, &value(name)).await?;
    let restricted = subject.without(Permission::Read).await?;
    let restricted = restricted.ok_or_else(|| Broken::new("nothing is without that right"))?;
    let named = restricted
        .named()
        .ok_or_else(|| Broken::new("the backend cannot be asked by names"))?;
    let names = std::slice::from_ref(name);
    for described in named.describe_named(names).await {
        ensure_eq(&described?, &asked.describe(name).await?, "the description")?;
    }
    subject.settle().await;
    let listed = named.list_named(None).await?.secrets;
    ensure_eq(&listed, &asked.list_all().await?.0, "the listing")?;
    for read in named.read_named(names).await {
        ensure_kind(read, &[ErrorKind::Denied], "read")?;
    }
    Ok(())
}
