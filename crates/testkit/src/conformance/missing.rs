//! Laws of what is not there, and of batches in which some of it is.

use cloakroom_core::{Coordinate, DeleteMode, Deletion, ErrorKind, Result};

use super::Subject;
use super::hand::{Hand, MOST, value_of};
use super::verdict::{Broken, Verdict, ensure, ensure_eq, ensure_kind};

const MISSING: &[ErrorKind] = &[ErrorKind::Missing];

/// What is not there is `Missing`, whatever is asked of it.
pub async fn the_missing_is_missing(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    hand.create_one(&*backend).await?;
    let coordinate = hand.coordinate();
    ensure_kind(backend.get(&coordinate).await, MISSING, "get")?;
    ensure_kind(backend.describe(&coordinate).await, MISSING, "describe")
}

/// Restoring what is not there, or lifting its expiry, is `Missing` too, where it can be done.
pub async fn the_missing_is_not_brought_back(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let coordinate = hand.coordinate();
    let may_be = &[ErrorKind::Missing, ErrorKind::Unsupported];
    ensure_kind(backend.restore(&coordinate).await, may_be, "restore")?;
    ensure_kind(
        backend.lift_expiry(&coordinate).await,
        may_be,
        "lift the expiry of",
    )?;
    ensure_kind(backend.get(&coordinate).await, MISSING, "get afterwards")
}

/// Each question has its own answer, also where two are the same.
pub async fn a_question_asked_twice_is_answered_twice(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let (coordinate, value) = hand.create_one(&*backend).await?;
    let nothing = hand.coordinate();
    let asked = [&coordinate, &nothing, &coordinate, &nothing].map(Clone::clone);
    let read = backend.get_many(&asked).await;
    let described = backend.describe_many(&asked).await;
    ensure_eq(&read.len(), &asked.len(), "how many values are answered")?;
    ensure_eq(
        &described.len(),
        &asked.len(),
        "how many descriptions are answered",
    )?;
    for (at, (read, described)) in read.into_iter().zip(described).enumerate() {
        if at % 2 == 0 {
            ensure(read?.value == value, || format!("answer {at} is another's"))?;
            let described = described?.coordinate;
            ensure_eq(&described, &coordinate, "the coordinate described")?;
        } else {
            ensure_kind(read, MISSING, &format!("value {at}"))?;
            ensure_kind(described, MISSING, &format!("description {at}"))?;
        }
    }
    Ok(())
}

/// Answers to a batch larger than the manager's own are in the order of the questions.
pub async fn many_are_read_in_order(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let batch = Batch::put(&hand, subject, backend.capabilities().get_batch).await?;
    let answers = backend.get_many(&batch.asked).await;
    batch.check(&answers, |coordinate, stored| {
        ensure(stored.value == value_of(coordinate), || {
            format!("{coordinate} was answered with another secret's value")
        })
    })?;
    ensure(backend.get_many(&[]).await.is_empty(), || {
        "no question was answered".to_owned()
    })
}

/// The same for descriptions.
pub async fn many_are_described_in_order(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let batch = Batch::put(&hand, subject, backend.capabilities().describe_batch).await?;
    let answers = backend.describe_many(&batch.asked).await;
    batch.check(&answers, |coordinate, described| {
        ensure_eq(
            &described.coordinate,
            coordinate,
            "the coordinate described",
        )?;
        let mark = hand.mark(coordinate, &value_of(coordinate));
        ensure_eq(&described.mark, &Some(mark), "the mark described")
    })?;
    ensure(backend.describe_many(&[]).await.is_empty(), || {
        "no question was answered".to_owned()
    })
}

/// The same for deletions: what was there is deleted, the rest was gone already.
pub async fn many_are_deleted_in_order(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let (kept, value) = hand.create_one(&*backend).await?;
    let batch = Batch::put(&hand, subject, backend.capabilities().delete_batch).await?;
    let answers = backend.delete_many(&batch.asked, DeleteMode::Final).await;
    ensure_eq(
        &answers.len(),
        &batch.asked.len(),
        "how many answers there are",
    )?;
    for (index, answer) in answers.into_iter().enumerate() {
        let should = if is_there(index) {
            Deletion::Deleted
        } else {
            Deletion::AlreadyGone
        };
        ensure_eq(&answer?, &should, &format!("deletion {index} of the batch"))?;
    }
    for answer in backend.describe_many(&batch.asked).await {
        ensure_kind(answer, MISSING, "describe one that was deleted")?;
    }
    hand.ensure_there(&*backend, &kept, &value).await
}

/// Questions of which every third is about nothing.
struct Batch {
    asked: Vec<Coordinate>,
}

impl Batch {
    async fn put(hand: &Hand, subject: &dyn Subject, size: usize) -> Result<Self, Broken> {
        let backend = subject.backend();
        let batch = Self {
            asked: hand.coordinates(size.min(MOST) + 3),
        };
        for (index, coordinate) in batch.asked.iter().enumerate() {
            if is_there(index) {
                hand.create(&*backend, coordinate, &value_of(coordinate))
                    .await?;
            }
        }
        Ok(batch)
    }

    fn check<T>(
        &self,
        answers: &[Result<T>],
        right: impl Fn(&Coordinate, &T) -> Verdict,
    ) -> Verdict {
        ensure_eq(
            &answers.len(),
            &self.asked.len(),
            "how many answers there are",
        )?;
        for (index, (coordinate, answer)) in self.asked.iter().zip(answers).enumerate() {
            match answer {
                Ok(answer) if is_there(index) => right(coordinate, answer)?,
                Err(error) if error.is_missing() && !is_there(index) => {}
                Ok(_) => return Err(Broken::new(format!("answer {index} is about nothing"))),
                Err(error) => return Err(Broken::new(format!("answer {index}: {error}"))),
            }
        }
        Ok(())
    }
}

fn is_there(index: usize) -> bool {
    index % 3 != 1
}
