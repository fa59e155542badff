//! Laws of writers that meet.

use std::sync::Arc;

use cloakroom_core::{Coordinate, ErrorKind, PutOutcome, SecretValue};
use tokio::task::JoinSet;

use super::Subject;
use super::hand::{Hand, ensure_repeated, listed, value_of};
use super::verdict::{Broken, Verdict, ensure, ensure_eq, ensure_kind};
use crate::canary::marked;

const WRITERS: usize = 8;
const ROUNDS: usize = 5;

/// Of writers with different bytes on one name exactly one has it, and it is that one's bytes.
pub async fn one_writer_has_the_name(subject: &dyn Subject) -> Verdict {
    for _ in 0..ROUNDS {
        let hand = Hand::new();
        let coordinate = hand.coordinate();
        let values: Vec<SecretValue> = (0..WRITERS)
            .map(|writer| marked(&format!("writer {writer}")))
            .collect();
        let outcomes = put_at_once(subject, &hand, &coordinate, &values).await?;
        let created: Vec<usize> = (0..WRITERS)
            .filter(|writer| outcomes[*writer] == Ok(PutOutcome::Created))
            .collect();
        let [winner] = created[..] else {
            return Err(Broken::new(format!(
                "writers {created:?} were all told they created it"
            )));
        };
        for (writer, outcome) in outcomes.iter().enumerate() {
            let lost = *outcome == Err(ErrorKind::Conflict);
            ensure(writer == winner || lost, || {
                format!("a writer that lost got {outcome:?}")
            })?;
        }
        hand.ensure_there(&*subject.backend(), &coordinate, &values[winner])
            .await?;
    }
    Ok(())
}

/// Of writers with the same bytes one creates them, and the others find them there, as far as that
/// can be told.
pub async fn repeated_writers_agree(subject: &dyn Subject) -> Verdict {
    for _ in 0..ROUNDS {
        let hand = Hand::new();
        let coordinate = hand.coordinate();
        let values = vec![value_of(&coordinate); WRITERS];
        let outcomes = put_at_once(subject, &hand, &coordinate, &values).await?;
        let created = outcomes
            .iter()
            .position(|it| *it == Ok(PutOutcome::Created))
            .ok_or_else(|| Broken::new("nobody was told to have created it"))?;
        for (writer, outcome) in outcomes.into_iter().enumerate() {
            let outcome =
                outcome.map_err(|kind| Broken::new(format!("writer {writer} was told {kind}")))?;
            if writer != created {
                ensure_repeated(
                    subject,
                    outcome,
                    "the put of a writer who was not the first",
                )?;
            }
        }
        hand.ensure_there(&*subject.backend(), &coordinate, &values[0])
            .await?;
    }
    Ok(())
}

/// Whatever the manager can promise to writers that meet, what they leave is one secret, whole: one
/// writer's value under that writer's mark. And whoever comes later changes nothing.
pub async fn writers_that_meet_leave_one_whole_secret(subject: &dyn Subject) -> Verdict {
    for _ in 0..ROUNDS {
        let (hand, backend) = (Hand::new(), subject.backend());
        let coordinate = hand.coordinate();
        let values: Vec<SecretValue> = (0..WRITERS)
            .map(|writer| marked(&format!("writer {writer}")))
            .collect();
        let outcomes = put_at_once(subject, &hand, &coordinate, &values).await?;
        ensure(outcomes.iter().any(Result::is_ok), || {
            format!("nobody was told that it is there: {outcomes:?}")
        })?;
        let stored = backend.get(&coordinate).await?;
        let Some(winner) = values.iter().find(|value| **value == stored.value) else {
            return Err(Broken::new("the value is no writer's"));
        };
        let mark = Some(hand.mark(&coordinate, winner));
        ensure_eq(&stored.mark, &mark, "the mark of the value that is there")?;
        for value in values.iter().filter(|value| *value != winner) {
            let late = backend.put(&hand.request(&coordinate, value)).await;
            ensure_kind(late, &[ErrorKind::Conflict], "a put that comes later")?;
        }
        hand.ensure_there(&*backend, &coordinate, winner).await?;
        subject.settle().await;
        let times = listed(&*backend, &coordinate).await?.len();
        ensure_eq(&times, &1, "how often it is listed")?;
    }
    Ok(())
}

async fn put_at_once(
    subject: &dyn Subject,
    hand: &Hand,
    coordinate: &Coordinate,
    values: &[SecretValue],
) -> Result<Vec<Result<PutOutcome, ErrorKind>>, Broken> {
    let gate = Arc::new(tokio::sync::Barrier::new(values.len()));
    let mut writers = JoinSet::new();
    for (writer, value) in values.iter().enumerate() {
        let backend = if writer % 2 == 0 {
            subject.backend()
        } else {
            subject.second()
        };
        let (request, gate) = (hand.request(coordinate, value), Arc::clone(&gate));
        writers.spawn(async move {
            gate.wait().await;
            (
                writer,
                backend.put(&request).await.map_err(|error| error.kind()),
            )
        });
    }
    let mut outcomes = vec![Err(ErrorKind::Unavailable); values.len()];
    while let Some(done) = writers.join_next().await {
        let (writer, outcome) = done.map_err(|error| Broken::new(error.to_string()))?;
        outcomes[writer] = outcome;
    }
    Ok(outcomes)
}
