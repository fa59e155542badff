//! One call of an operation, with its answer held against the truth.

use std::collections::HashSet;

use cloakroom_core::{Deletion, Error, SecretBackend, SecretState};

use super::Operation;
use super::scene::{Scene, Target};
use crate::conformance::hand::{ensure_repeated, list_all};
use crate::conformance::verdict::{Broken, Verdict, ensure, ensure_eq};

/// What a call ended with. What it claims to know has been found true.
pub(super) struct Answer {
    /// The error of the call, or the first of its answers' errors.
    pub(super) error: Option<Error>,
    /// It says of what is not there that it is missing.
    pub(super) says_missing: bool,
}

impl Answer {
    fn of<T>(answer: Result<T, Error>, right: impl FnOnce(T) -> Verdict) -> Result<Self, Broken> {
        let error = match answer {
            Ok(answer) => {
                right(answer)?;
                None
            }
            Err(error) => Some(error),
        };
        Ok(Self {
            error,
            says_missing: false,
        })
    }

    /// As a retry policy wants it.
    pub(super) fn into_result(self) -> Result<(), Error> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// Calls the operation once. `repeated` says that an earlier call may have done it already.
pub(super) async fn act(
    scene: &Scene<'_>,
    backend: &dyn SecretBackend,
    target: &Target,
    repeated: bool,
) -> Result<Answer, Broken> {
    let (coordinate, value) = target.first()?;
    let hand = &scene.hand;
    match scene.operation {
        Operation::Put => {
            let request = hand.request(coordinate, value);
            // Created or already there: a connection that is repeated below us is both.
            Answer::of(backend.put(&request).await, |_| Ok(()))
        }
        Operation::PutAgain => {
            let request = hand.request(coordinate, value);
            Answer::of(backend.put(&request).await, |outcome| {
                ensure_repeated(scene.subject, outcome, "the same put again")
            })
        }
        Operation::Get => Answer::of(backend.get(coordinate).await, |stored| {
            ensure(stored.value == *value, || {
                "another value was read".to_owned()
            })?;
            let mark = Some(hand.mark(coordinate, value));
            ensure_eq(&stored.mark, &mark, "the mark read")
        }),
        Operation::GetMany => get_many(backend, target).await,
        Operation::Describe => Answer::of(backend.describe(coordinate).await, |described| {
            let mark = Some(hand.mark(coordinate, value));
            ensure_eq(&described.mark, &mark, "the mark described")?;
            ensure_eq(
                &described.state,
                &SecretState::Enabled,
                "the state described",
            )
        }),
        Operation::List => list(backend, target).await,
        Operation::Delete => {
            let deletion = backend.delete(coordinate, scene.mode()?, None).await;
            Answer::of(deletion, |deletion| {
                let right = deletion == Deletion::Deleted
                    || (repeated && deletion == Deletion::AlreadyGone);
                ensure(right, || format!("the deletion is {deletion:?}"))
            })
        }
        Operation::DeleteRecoverable => {
            let deletion = backend.delete(coordinate, scene.mode()?, None).await;
            Answer::of(deletion, |deletion| {
                let right = matches!(deletion, Deletion::Scheduled { .. })
                    || (repeated && deletion == Deletion::AlreadyGone);
                ensure(right, || format!("the deletion is {deletion:?}"))
            })
        }
        Operation::Restore => Answer::of(backend.restore(coordinate).await, |()| Ok(())),
        Operation::LiftExpiry => Answer::of(backend.lift_expiry(coordinate).await, |()| Ok(())),
    }
}

async fn get_many(backend: &dyn SecretBackend, target: &Target) -> Result<Answer, Broken> {
    let mut asked: Vec<_> = target.secrets.iter().map(|(it, _)| it.clone()).collect();
    let middle = asked.len() / 2;
    asked.insert(middle, target.nothing.clone());
    let answers = backend.get_many(&asked).await;
    ensure_eq(&answers.len(), &asked.len(), "how many answers there are")?;

    let mut answer = Answer {
        error: None,
        says_missing: false,
    };
    let mut values = target.secrets.iter().map(|(_, value)| value);
    for (at, read) in answers.into_iter().enumerate() {
        let value = if at == middle { None } else { values.next() };
        match (read, value) {
            (Ok(stored), Some(value)) => ensure(stored.value == *value, || {
                format!("answer {at} is another secret's")
            })?,
            (Ok(_), None) => return Err(Broken::new(format!("answer {at} is about nothing"))),
            (Err(error), None) if error.is_missing() => answer.says_missing = true,
            (Err(error), Some(_)) if error.is_missing() => {
                return Err(Broken::new(format!(
                    "answer {at} says that what is there is missing: {error}"
                )));
            }
            (Err(error), _) => {
                answer.error.get_or_insert(error);
            }
        }
    }
    Ok(answer)
}

async fn list(backend: &dyn SecretBackend, target: &Target) -> Result<Answer, Broken> {
    let mut pages = Vec::new();
    let mut next = None;
    loop {
        match backend.list(next.as_ref()).await {
            Err(error) => {
                return Ok(Answer {
                    error: Some(error),
                    says_missing: false,
                });
            }
            Ok(page) => {
                pages.extend(page.secrets);
                next = page.next;
            }
        }
        if next.is_none() {
            break;
        }
        ensure(pages.len() < 100_000, || {
            "the listing never ends".to_owned()
        })?;
    }
    let listed: HashSet<_> = pages.iter().map(|it| &it.coordinate).collect();
    for (coordinate, _) in &target.secrets {
        ensure(listed.contains(coordinate), || {
            format!("a listing that ended without an error leaves out {coordinate}")
        })?;
    }
    ensure_eq(&listed.len(), &pages.len(), "how many are listed once")?;
    Ok(Answer {
        error: None,
        says_missing: false,
    })
}

/// The whole listing is just this.
pub(super) async fn ensure_listed(
    backend: &dyn SecretBackend,
    coordinates: &HashSet<cloakroom_core::Coordinate>,
) -> Verdict {
    let listing = list_all(backend).await?;
    let listed: HashSet<_> = listing.iter().map(|it| it.coordinate.clone()).collect();
    ensure_eq(&listing.len(), &listed.len(), "how many are listed once")?;
    let missing = coordinates.difference(&listed).count();
    ensure_eq(&missing, &0, "how many the listing leaves out")?;
    ensure_eq(&listed.len(), &coordinates.len(), "how many are listed")
}
