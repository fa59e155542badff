//! Laws of what is not ours: seen only where it bears a mark, and never touched.

use cloakroom_core::{Coordinate, DeleteMode, Description, ErrorKind, SecretBackend};

use super::Subject;
use super::hand::{Hand, ensure_repeated, list_all, listed, window};
use super::verdict::{Broken, Verdict, ensure, ensure_eq, ensure_kind};
use crate::canary::marked;

/// Somebody else's secret under a name of ours is neither listed nor touched, and its name is taken.
pub async fn the_unmarked_is_neither_listed_nor_touched(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let coordinate = hand.coordinate();
    let value = marked("somebody else's");
    subject.write_foreign(&coordinate, &value).await?;
    subject.settle().await;
    ensure(listed(&*backend, &coordinate).await?.is_empty(), || {
        "a secret without our mark is listed".to_owned()
    })?;
    for bytes in [&value, &marked("ours")] {
        let answer = backend.put(&hand.request(&coordinate, bytes)).await;
        ensure_kind(
            answer,
            &[ErrorKind::Conflict],
            "a put on somebody else's name",
        )?;
    }
    let described = describe_unmarked(&*backend, &coordinate).await?;
    // Whichever way they answer, they leave it as it is.
    let _ = backend.restore(&coordinate).await;
    let _ = backend.lift_expiry(&coordinate).await;
    let afterwards = describe_unmarked(&*backend, &coordinate).await?;
    ensure_eq(&afterwards, &described, "what is described of it")?;
    ensure(subject.read_foreign(&coordinate).await? == value, || {
        "somebody else's secret was changed".to_owned()
    })
}

/// What a backend says of a secret without a mark: as much as it sees, or that there is none of ours.
async fn describe_unmarked(
    backend: &dyn SecretBackend,
    coordinate: &Coordinate,
) -> Result<Option<Description>, Broken> {
    match backend.describe(coordinate).await {
        Ok(described) => {
            ensure_eq(&described.mark, &None, "the mark of what is unmarked")?;
            Ok(Some(described))
        }
        Err(error) => {
            ensure(error.is_missing(), || format!("describing it: {error}"))?;
            Ok(None)
        }
    }
}

/// Somebody else's secrets whose names look like ours stay as they are whatever is done to ours.
pub async fn a_look_alike_is_left_alone(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let (coordinate, value) = hand.create_one(&*backend).await?;
    let next = coordinate.next_version();
    let next = next.map_err(|error| Broken::new(error.to_string()))?;
    // The next version of ours, and ours with more behind it.
    let longer = Coordinate::from_stored(&format!("{coordinate}_v1"));
    let longer = longer.map_err(|error| Broken::new(error.to_string()))?;
    let theirs = marked("somebody else's");
    for look_alike in [&next, &longer] {
        subject.write_foreign(look_alike, &theirs).await?;
    }

    hand.ensure_there(&*backend, &coordinate, &value).await?;
    let again = backend.put(&hand.request(&coordinate, &value)).await?;
    ensure_repeated(subject, again, "the same put again")?;
    if let Ok(mode) = window(&*backend) {
        backend.delete(&coordinate, mode, None).await?;
        backend.restore(&coordinate).await?;
    }
    subject.settle().await;
    let listing = list_all(&*backend).await?;
    let names: Vec<_> = listing.into_iter().map(|it| it.coordinate).collect();
    ensure_eq(&names, &vec![coordinate.clone()], "what is listed")?;
    backend.delete(&coordinate, DeleteMode::Final, None).await?;
    for look_alike in [&next, &longer] {
        ensure(subject.read_foreign(look_alike).await? == theirs, || {
            "somebody else's secret was changed".to_owned()
        })?;
    }
    subject.settle().await;
    let listed = list_all(&*backend).await?.len();
    ensure_eq(&listed, &0, "how many are listed when ours is gone")
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
