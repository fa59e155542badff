//! Laws of descriptions: all there is to know but the value.

use cloakroom_core::SecretState;

use super::Subject;
use super::hand::{Hand, listed};
use super::verdict::{Broken, Verdict, ensure, ensure_eq};
use crate::canary::marked;

/// A description gives mark and state and never the value; the listing gives the same.
pub async fn descriptions_tell_all_but_the_value(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let coordinate = hand.coordinate();
    let value = marked("in-a-description");
    hand.create(&*backend, &coordinate, &value).await?;

    let described = backend.describe(&coordinate).await?;
    ensure_eq(&described.coordinate, &coordinate, "the coordinate")?;
    ensure_eq(
        &described.mark,
        &Some(hand.mark(&coordinate, &value)),
        "the mark",
    )?;
    ensure_eq(&described.state, &SecretState::Enabled, "the state")?;
    ensure_eq(&described.native_expiry, &None, "the manager's own expiry")?;
    if let (Some(created), Some(changed)) = (described.created, described.changed) {
        ensure(created <= changed, || {
            format!("changed {changed}, before it was made {created}")
        })?;
    }
    if backend.capabilities().delete_precondition {
        ensure(described.precondition.is_some(), || {
            "there is no precondition".to_owned()
        })?;
    }

    subject.settle().await;
    let listed = listed(&*backend, &coordinate).await?;
    let [listed] = &listed[..] else {
        return Err(Broken::new(format!("listed {} times", listed.len())));
    };
    ensure_eq(&listed.mark, &described.mark, "the mark listed")?;
    ensure_eq(&listed.state, &described.state, "the state listed")?;
    for shown in [format!("{described:?}"), format!("{listed:?}")] {
        ensure(!shown.contains("canary"), || {
            "the value is in the description".to_owned()
        })?;
    }
    Ok(())
}

/// Reading does not change what a description's precondition stands for.
pub async fn describing_changes_nothing(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let (coordinate, value) = hand.create_one(&*backend).await?;
    let before = backend.describe(&coordinate).await?;
    hand.ensure_there(&*backend, &coordinate, &value).await?;
    let after = backend.describe(&coordinate).await?;
    ensure_eq(
        &after.precondition,
        &before.precondition,
        "the precondition after a read",
    )?;
    ensure_eq(
        &after.changed,
        &before.changed,
        "the last change after a read",
    )
}
