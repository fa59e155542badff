//! Laws of wrong credentials and keys: a clear refusal that destroys nothing.

use cloakroom_core::{DeleteMode, ErrorKind, PutRequest};

use super::Subject;
use super::hand::Hand;
use super::verdict::{Broken, Verdict, ensure_kind};

const REFUSED: &[ErrorKind] = &[ErrorKind::Denied, ErrorKind::Corrupt];

/// Whoever may not read a secret is told so, never that it is missing, and cannot overwrite it.
pub async fn the_misled_are_refused_and_destroy_nothing(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let misled = subject
        .misled()
        .ok_or_else(|| Broken::new("the subject has no misled backend"))?;
    let (coordinate, value) = hand.create_one(&*backend).await?;

    ensure_kind(misled.get(&coordinate).await, REFUSED, "get")?;
    for answer in misled
        .get_many(&[coordinate.clone(), coordinate.clone()])
        .await
    {
        ensure_kind(answer, REFUSED, "get many")?;
    }
    let refused = &[ErrorKind::Denied, ErrorKind::Corrupt, ErrorKind::Conflict];
    for bytes in [value.clone(), "other".to_owned().into()] {
        let request: PutRequest = hand.request(&coordinate, &bytes);
        ensure_kind(misled.put(&request).await, refused, "put")?;
    }
    hand.ensure_there(&*backend, &coordinate, &value).await?;

    // What needs no reading may work; then it works as always.
    let nothing = hand.coordinate();
    if let Err(error) = misled.delete(&nothing, DeleteMode::Final, None).await {
        ensure_kind::<()>(Err(error), REFUSED, "delete what is not there")?;
    }
    if let Err(error) = misled.list(None).await {
        ensure_kind::<()>(Err(error), REFUSED, "list")?;
    }
    hand.ensure_there(&*backend, &coordinate, &value).await
}
