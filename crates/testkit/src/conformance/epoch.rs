//! Laws of epoch marks: names of their own kind, of which versions follow one another and the former
//! ones go while the last one stands.

use cloakroom_core::{
    Coordinate, ErrorKind, Randomness as _, SecretState, SecretValue, SystemRandomness,
};

use super::Subject;
use super::hand::{Hand, ensure_repeated, list_all, plainly};
use super::verdict::{Broken, Verdict, ensure, ensure_eq, ensure_kind};

/// A deployment's marks, named and filled as the reconciler does.
struct Marks {
    base: String,
}

impl Marks {
    /// Of a deployment that nobody has: managers remember names.
    fn new() -> Self {
        let digits = SystemRandomness.uuid().simple();
        Self {
            base: format!("cloakroom_epoch_{digits}"),
        }
    }

    fn of(&self, number: u64) -> Result<Coordinate, Broken> {
        let coordinate = Coordinate::from_stored(&format!("{}_v{number}", self.base));
        coordinate.map_err(|error| Broken::new(error.to_string()))
    }
}

/// What a mark holds; no secret.
fn raise() -> SecretValue {
    let raise = SystemRandomness.uuid();
    let text = format!("No secret: Cloakroom counts here how often it deleted. Raise {raise}.");
    SecretValue::from(text)
}

/// A raise is put once, repeated safely, and refused to whoever raised to the same number otherwise.
pub async fn one_raise_has_a_number(subject: &dyn Subject) -> Verdict {
    let (hand, backend, marks) = (Hand::new(), subject.backend(), Marks::new());
    let (mark, ours) = (marks.of(1)?, raise());
    hand.create(&*backend, &mark, &ours).await?;
    let again = backend.put(&hand.request(&mark, &ours)).await?;
    ensure_repeated(subject, again, "the same raise again")?;
    let copy = backend.put(&hand.request(&mark, &raise())).await;
    ensure_kind(copy, &[ErrorKind::Conflict], "another raise to its number")?;
    let other = Hand::new();
    let foreign = backend.put(&other.request(&mark, &ours)).await;
    ensure_kind(foreign, &[ErrorKind::Conflict], "another store's raise")?;
    hand.ensure_there(&*backend, &mark, &ours).await
}

/// Each raise clears the one before away: what is asked about and listed is the last, whole.
pub async fn the_last_raise_stands(subject: &dyn Subject) -> Verdict {
    let (hand, backend, marks) = (Hand::new(), subject.backend(), Marks::new());
    // Nine and ten differ in length, and an order by text would take nine for the later.
    for number in 8..=11 {
        let (mark, text) = (marks.of(number)?, raise());
        let before = backend.describe(&mark).await;
        ensure_kind(before, &[ErrorKind::Missing], "a mark before its raise")?;
        hand.create(&*backend, &mark, &text).await?;
        backend
            .delete(&marks.of(number - 1)?, plainly(&*backend), None)
            .await?;
        let described = backend.describe(&mark).await?;
        ensure_eq(&described.mark, &Some(hand.mark(&mark, &text)), "the mark")?;
        ensure_eq(&described.state, &SecretState::Enabled, "the last raise")?;
        ensure_eq(&described.native_expiry, &None, "the manager's own expiry")?;

        subject.settle().await;
        let mut listed = list_all(&*backend).await?;
        listed.retain(|it| it.coordinate.base() == mark.base());
        listed.retain(|it| it.state == SecretState::Enabled);
        let [listed] = &listed[..] else {
            return Err(Broken::new(format!(
                "{} marks stand after raise {number}",
                listed.len()
            )));
        };
        ensure(
            listed.coordinate == mark && listed.mark == described.mark,
            || format!("{} is listed after raise {number}", listed.coordinate),
        )?;
    }
    Ok(())
}
