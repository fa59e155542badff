//! Laws of the manager's own expiry.

use std::time::Duration;

use cloakroom_core::capabilities::NativeExpiry;
use cloakroom_core::{Coordinate, ErrorKind, SecretBackend, SecretState, SecretValue};

use super::Subject;
use super::hand::{Hand, listed, value_of};
use super::verdict::{Broken, Verdict, ensure, ensure_eq, ensure_kind};

/// Long enough that no slow test meets it, short enough to be driven past.
pub(crate) const EXPIRY: Duration = Duration::from_hours(2);

/// An expiry that was asked for shows, and can be taken off.
pub async fn an_expiry_is_set_and_lifted(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let (coordinate, value) = put_expiring(&hand, &*backend).await?;
    hand.ensure_there(&*backend, &coordinate, &value).await?;
    let described = backend.describe(&coordinate).await?;
    ensure(described.native_expiry.is_some(), || {
        "no expiry is described".to_owned()
    })?;
    subject.settle().await;
    for listed in listed(&*backend, &coordinate).await? {
        ensure(listed.native_expiry.is_some(), || {
            "no expiry is listed".to_owned()
        })?;
    }
    backend.lift_expiry(&coordinate).await?;
    let described = backend.describe(&coordinate).await?;
    ensure_eq(
        &described.native_expiry,
        &None,
        "the expiry after it was lifted",
    )?;
    backend.lift_expiry(&coordinate).await?;
    hand.ensure_there(&*backend, &coordinate, &value).await
}

/// What has no expiry can have it lifted.
pub async fn lifting_no_expiry_succeeds(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let (coordinate, value) = hand.create_one(&*backend).await?;
    backend.lift_expiry(&coordinate).await?;
    hand.ensure_there(&*backend, &coordinate, &value).await
}

/// When an expiry passes, that happens which the capabilities say; not to what had it lifted.
pub async fn an_expiry_passes_as_was_said(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let (coordinate, value) = put_expiring(&hand, &*backend).await?;
    let (lifted, lifted_value) = put_expiring(&hand, &*backend).await?;
    backend.lift_expiry(&lifted).await?;
    subject.advance(EXPIRY / 2).await?;
    hand.ensure_there(&*backend, &coordinate, &value).await?;
    subject.advance(EXPIRY).await?;
    match backend.capabilities().native_expiry {
        NativeExpiry::Deletes => {
            let missing = &[ErrorKind::Missing];
            ensure_kind(backend.get(&coordinate).await, missing, "get")?;
            ensure_kind(backend.describe(&coordinate).await, missing, "describe")?;
            subject.settle().await;
            ensure(listed(&*backend, &coordinate).await?.is_empty(), || {
                "is listed".to_owned()
            })?;
            hand.create(&*backend, &coordinate, &value).await?;
        }
        NativeExpiry::Hides => {
            ensure(backend.get(&coordinate).await.is_err(), || {
                "it is still given out".to_owned()
            })?;
            let state = backend.describe(&coordinate).await?.state;
            ensure(state != SecretState::Enabled, || {
                "it is still enabled".to_owned()
            })?;
        }
        NativeExpiry::Advises => hand.ensure_there(&*backend, &coordinate, &value).await?,
        NativeExpiry::Absent => return Err(Broken::new("there is no expiry")),
    }
    hand.ensure_there(&*backend, &lifted, &lifted_value).await
}

/// A manager without expiries says so instead of leaving one out.
pub async fn without_expiry_nothing_is_promised(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let coordinate = hand.coordinate();
    let mut request = hand.request(&coordinate, &value_of(&coordinate));
    request.native_expiry = Some(EXPIRY);
    let answer = backend.put(&request).await;
    ensure_kind(answer, &[ErrorKind::Unsupported], "a put with an expiry")?;
    ensure_kind(
        backend.get(&coordinate).await,
        &[ErrorKind::Missing],
        "get afterwards",
    )
}

pub(crate) async fn put_expiring(
    hand: &Hand,
    backend: &dyn SecretBackend,
) -> Result<(Coordinate, SecretValue), Broken> {
    let coordinate = hand.coordinate();
    let value = value_of(&coordinate);
    let mut request = hand.request(&coordinate, &value);
    request.native_expiry = Some(EXPIRY);
    backend.put(&request).await?;
    Ok((coordinate, value))
}
