//! Laws of credentials and keys that are wrong, expired, or allow less: a clear refusal that
//! destroys nothing.

use std::sync::Arc;

use cloakroom_core::{Coordinate, ErrorKind, PutRequest, SecretBackend, SecretValue};

use super::hand::{Hand, as_long_as, list_all, plainly, value_of, window};
use super::verdict::{Broken, Verdict, ensure, ensure_kind};
use super::{Permission, Subject};
use crate::canary::marked;

const REFUSED: &[ErrorKind] = &[ErrorKind::Denied, ErrorKind::Corrupt];
const DENIED: &[ErrorKind] = &[ErrorKind::Denied];

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
    for bytes in [value.clone(), marked("other")] {
        let request: PutRequest = hand.request(&coordinate, &bytes);
        ensure_kind(misled.put(&request).await, refused, "put")?;
    }
    hand.ensure_there(&*backend, &coordinate, &value).await?;

    // What needs no reading may work; then it works as always.
    let nothing = hand.coordinate();
    if let Err(error) = misled.delete(&nothing, plainly(&*misled), None).await {
        ensure_kind::<()>(Err(error), REFUSED, "delete what is not there")?;
    }
    if let Err(error) = misled.list(None).await {
        ensure_kind::<()>(Err(error), REFUSED, "list")?;
    }
    hand.ensure_there(&*backend, &coordinate, &value).await
}

/// Credentials that have expired are told so on everything, and nothing changes.
pub async fn the_expired_are_refused_and_destroy_nothing(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let (coordinate, value) = hand.create_one(&*backend).await?;
    let expired = subject.expired().await?;
    let expired = expired.ok_or_else(|| Broken::new("the subject has no expired credentials"))?;
    for permission in Permission::ALL {
        if permission != Permission::Restore {
            refuse(permission, &*expired, &hand, &coordinate, &value).await?;
        }
    }
    hand.ensure_there(&*backend, &coordinate, &value).await?;
    let listed = list_all(&*backend).await?.len();
    ensure(listed == 1, || {
        format!("{listed} secrets are listed, should be 1")
    })
}

/// Without one permission that one thing is refused, never taken for an answer; what needs no such
/// permission works or is refused, and nothing is destroyed.
pub async fn one_permission_less_refuses_one_thing(subject: &dyn Subject) -> Verdict {
    let backend = subject.backend();
    let mut tried = 0;
    for permission in Permission::ALL {
        let Some(restricted) = subject.without(permission).await? else {
            continue;
        };
        tried += 1;
        let hand = Hand::new();
        let (coordinate, value) = hand.create_one(&*backend).await?;
        let held = async {
            if permission == Permission::Restore {
                return refuse_restoring(&backend, &restricted, &hand, &coordinate, &value).await;
            }
            refuse(permission, &*restricted, &hand, &coordinate, &value).await?;
            hand.ensure_there(&*backend, &coordinate, &value).await?;
            let reads = backend.capabilities().describe_without_reading;
            if permission == Permission::Read && reads {
                restricted.describe(&coordinate).await?;
            }
            if permission != Permission::Read
                && let Err(error) = restricted.get(&coordinate).await
            {
                ensure_kind::<()>(Err(error), DENIED, "get")?;
            }
            Ok(())
        };
        let held = held.await;
        held.map_err(|broken| Broken::new(format!("without {permission:?}: {broken}")))?;
    }
    ensure(tried > 0, || {
        "the subject has no restricted credentials".to_owned()
    })
}

/// Breaks the law unless the one thing is denied.
async fn refuse(
    permission: Permission,
    backend: &dyn SecretBackend,
    hand: &Hand,
    coordinate: &Coordinate,
    value: &SecretValue,
) -> Verdict {
    match permission {
        Permission::Put => {
            let free = hand.coordinate();
            let request = hand.request(&free, &value_of(&free));
            ensure_kind(backend.put(&request).await, DENIED, "put")
        }
        Permission::Read => {
            ensure_kind(backend.get(coordinate).await, DENIED, "get")?;
            for answer in backend.get_many(std::slice::from_ref(coordinate)).await {
                ensure_kind(answer, DENIED, "get many")?;
            }
            // Comparing takes reading: whoever cannot read does not overwrite instead.
            let other = as_long_as(value);
            let refused = &[ErrorKind::Denied, ErrorKind::Conflict];
            let answer = backend.put(&hand.request(coordinate, &other)).await;
            ensure_kind(answer, refused, "put of other bytes")
        }
        Permission::Describe => {
            ensure_kind(backend.describe(coordinate).await, DENIED, "describe")?;
            for answer in backend
                .describe_many(std::slice::from_ref(coordinate))
                .await
            {
                ensure_kind(answer, DENIED, "describe many")?;
            }
            Ok(())
        }
        Permission::List => {
            let listed = backend.list(None).await;
            ensure_kind(listed.map(|page| page.secrets.len()), DENIED, "list")
        }
        Permission::Delete => {
            let recoverable = window(backend).ok();
            for mode in [Some(plainly(backend)), recoverable].into_iter().flatten() {
                let answer = backend.delete(coordinate, mode, None).await;
                ensure_kind(answer, DENIED, "delete")?;
            }
            Ok(())
        }
        Permission::Restore => ensure_kind(backend.restore(coordinate).await, DENIED, "restore"),
    }
}

async fn refuse_restoring(
    backend: &Arc<dyn SecretBackend>,
    restricted: &Arc<dyn SecretBackend>,
    hand: &Hand,
    coordinate: &Coordinate,
    value: &SecretValue,
) -> Verdict {
    backend
        .delete(coordinate, window(&**backend)?, None)
        .await?;
    refuse(Permission::Restore, &**restricted, hand, coordinate, value).await?;
    backend.restore(coordinate).await?;
    hand.ensure_there(&**backend, coordinate, value).await
}
