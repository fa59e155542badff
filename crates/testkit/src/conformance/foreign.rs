//! Laws of what is not ours: seen only where it bears a mark, and never touched.

use cloakroom_core::{ErrorKind, SecretValue};

use super::Subject;
use super::hand::{Hand, listed};
use super::verdict::{Verdict, ensure, ensure_eq, ensure_kind};

/// Somebody else's secret under a name of ours is neither listed nor touched, and its name is taken.
pub async fn the_unmarked_is_neither_listed_nor_touched(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let coordinate = hand.coordinate();
    let value = SecretValue::from("somebody else's".to_owned());
    subject.write_foreign(&coordinate, &value).await?;
    subject.settle().await;
    ensure(listed(&*backend, &coordinate).await?.is_empty(), || {
        "a secret without our mark is listed".to_owned()
    })?;
    for bytes in [&value, &SecretValue::from("ours".to_owned())] {
        let answer = backend.put(&hand.request(&coordinate, bytes)).await;
        ensure_kind(
            answer,
            &[ErrorKind::Conflict],
            "a put on somebody else's name",
        )?;
    }
    ensure(subject.read_foreign(&coordinate).await? == value, || {
        "somebody else's secret was changed".to_owned()
    })?;
    match backend.describe(&coordinate).await {
        Ok(described) => ensure_eq(&described.mark, &None, "the mark of what is unmarked"),
        Err(error) => ensure(error.is_missing(), || format!("describing it: {error}")),
    }
}

/// Another store's secrets are listed, with that store's mark.
pub async fn another_stores_secrets_are_listed_as_theirs(subject: &dyn Subject) -> Verdict {
    let (ours, theirs, backend) = (Hand::new(), Hand::new(), subject.backend());
    for hand in [&ours, &theirs] {
        let (coordinate, value) = hand.create_one(&*backend).await?;
        subject.settle().await;
        let listed = listed(&*backend, &coordinate).await?;
        ensure_eq(&listed.len(), &1, "how often it is listed")?;
        let mark = listed.first().and_then(|secret| secret.mark.clone());
        ensure_eq(
            &mark,
            &Some(hand.mark(&coordinate, &value)),
            "the mark listed",
        )?;
    }
    Ok(())
}
