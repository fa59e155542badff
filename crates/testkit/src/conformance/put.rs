//! Laws of putting: create-only, and repeatable.

use cloakroom_core::{ErrorKind, PutOutcome};

use super::Subject;
use super::hand::{Hand, MOST, as_long_as, ensure_repeated, listed, value_of};
use super::verdict::{Verdict, ensure_eq, ensure_kind};
use crate::canary::marked;

/// What was put can be got, with its mark.
pub async fn put_then_get(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let (coordinate, value) = hand.create_one(&*backend).await?;
    hand.ensure_there(&*backend, &coordinate, &value).await?;
    hand.ensure_there(&*subject.second(), &coordinate, &value)
        .await
}

/// The same bytes again succeed and change nothing: a put whose answer was lost is repeated.
pub async fn same_bytes_again_are_already_there(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let (coordinate, value) = hand.create_one(&*backend).await?;
    for backend in [&backend, &subject.second()] {
        let outcome = backend.put(&hand.request(&coordinate, &value)).await?;
        ensure_repeated(subject, outcome, "the same put again")?;
    }
    hand.ensure_there(&*backend, &coordinate, &value).await?;
    subject.settle().await;
    ensure_eq(
        &listed(&*backend, &coordinate).await?.len(),
        &1,
        "how often it is listed",
    )
}

/// Other bytes on a taken name are refused, and what was there stays.
pub async fn other_bytes_conflict_and_the_old_stay(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let (coordinate, value) = hand.create_one(&*backend).await?;
    // As long as the old one, and another length.
    let same_length = as_long_as(&value);
    for other in [same_length, marked("other")] {
        let answer = backend.put(&hand.request(&coordinate, &other)).await;
        ensure_kind(
            answer,
            &[ErrorKind::Conflict],
            "other bytes on a taken name",
        )?;
    }
    hand.ensure_there(&*backend, &coordinate, &value).await
}

/// A name that another store's secret has is taken, whatever its bytes.
pub async fn another_stores_name_is_taken(subject: &dyn Subject) -> Verdict {
    let (owner, other, backend) = (Hand::new(), Hand::new(), subject.backend());
    let (coordinate, value) = owner.create_one(&*backend).await?;
    let answer = backend.put(&other.request(&coordinate, &value)).await;
    ensure_kind(
        answer,
        &[ErrorKind::Conflict],
        "the same bytes under another store's mark",
    )?;
    owner.ensure_there(&*backend, &coordinate, &value).await
}

/// A name that holds the same bytes for another intent is taken: a copy of the database put them there,
/// and neither would know when the other lets them go.
pub async fn another_intents_name_is_taken(subject: &dyn Subject) -> Verdict {
    let (owner, backend) = (Hand::new(), subject.backend());
    let copy = owner.in_a_copy();
    let (coordinate, value) = owner.create_one(&*backend).await?;
    let request = copy.request(&coordinate, &value);
    for answer in [
        backend.put(&request).await,
        subject.second().put(&request).await,
    ] {
        ensure_kind(
            answer,
            &[ErrorKind::Conflict],
            "the same bytes for another intent",
        )?;
    }
    owner.ensure_there(&*backend, &coordinate, &value).await?;
    let again = backend.put(&owner.request(&coordinate, &value)).await?;
    ensure_repeated(subject, again, "the same put again")
}

/// Versions of one base are secrets of their own.
pub async fn versions_are_apart(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let (first, value) = hand.create_one(&*backend).await?;
    let second = first
        .next_version()
        .map_err(|error| super::Broken::new(error.to_string()))?;
    let other = marked("the second");
    hand.create(&*backend, &second, &other).await?;
    hand.ensure_there(&*backend, &first, &value).await?;
    hand.ensure_there(&*backend, &second, &other).await
}

/// Answers to many puts are in the order of the requests, and each is as it would be alone.
pub async fn many_are_put_in_order(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let (taken, kept) = hand.create_one(&*backend).await?;
    let (there, same) = hand.create_one(&*backend).await?;
    let mut requests = Vec::new();
    for coordinate in hand.coordinates(backend.capabilities().put_batch.min(MOST) + 2) {
        requests.push(hand.request(&coordinate, &value_of(&coordinate)));
    }
    // One that is there, one whose name is taken, and at the end the first one again.
    let conflict = requests.len() / 2 + 1;
    requests.insert(1, hand.request(&there, &same));
    requests.insert(conflict, hand.request(&taken, &marked("other")));
    requests.push(requests[0].clone());

    let answers = backend.put_many(&requests).await;
    ensure_eq(
        &answers.len(),
        &requests.len(),
        "how many answers there are",
    )?;
    let last = requests.len() - 1;
    for (at, answer) in answers.into_iter().enumerate() {
        let what = format!("put {at} of the batch");
        if at == conflict {
            ensure_kind(answer, &[ErrorKind::Conflict], &what)?;
        } else if at == 1 || at == last {
            ensure_repeated(subject, answer?, &what)?;
        } else {
            ensure_eq(&answer?, &PutOutcome::Created, &what)?;
        }
    }
    hand.ensure_there(&*backend, &taken, &kept).await?;
    for request in requests.iter().filter(|it| it.mark.coordinate != taken) {
        hand.ensure_there(&*backend, &request.mark.coordinate, &request.value)
            .await?;
    }
    ensure_eq(
        &backend.put_many(&[]).await.len(),
        &0,
        "how many answers no request has",
    )
}
