//! Laws of the permissions that a backend names for its operations: whoever is refused is told what to grant,
//! and with that it works.

use cloakroom_core::capabilities::NativeExpiry;
use cloakroom_core::{
    Capabilities, Coordinate, DeleteMode, Deletion, Error, Operation, SecretBackend, SecretValue,
};

use super::Subject;
use super::expiry::put_expiring;
use super::hand::{Hand, value_of, window};
use super::verdict::{Broken, Verdict, ensure};

/// Each operation works with the permissions that are named for it, and nothing else.
pub async fn what_an_operation_is_said_to_take_is_enough(subject: &dyn Subject) -> Verdict {
    let backend = subject.backend();
    for operation in operations(backend.capabilities()) {
        let named = backend.permissions(operation);
        let allowed = subject.with_only(named).await?;
        let allowed = allowed.ok_or_else(|| Broken::new("there are no such credentials"))?;
        let held = hold(operation, &*backend, &*allowed).await;
        held.map_err(|broken| {
            let what = operation.as_str();
            Broken::new(format!("{what}, with {} alone: {broken}", named.join(", ")))
        })?;
    }
    Ok(())
}

/// What the manager has.
fn operations(it: &Capabilities) -> Vec<Operation> {
    let mut operations = vec![
        Operation::Put,
        Operation::Get,
        Operation::Describe,
        Operation::List,
    ];
    if it.recovery.is_some() {
        operations.extend([Operation::Delete, Operation::Restore]);
    }
    if it.final_deletion {
        operations.push(Operation::DeleteFinally);
    }
    if it.native_expiry != NativeExpiry::Absent {
        operations.push(Operation::LiftExpiry);
    }
    operations
}

async fn hold(
    operation: Operation,
    backend: &dyn SecretBackend,
    allowed: &dyn SecretBackend,
) -> Verdict {
    let hand = Hand::new();
    if operation == Operation::Put {
        let coordinate = hand.coordinate();
        let value = value_of(&coordinate);
        let request = hand.request(&coordinate, &value);
        allowed.put(&request).await?;
        // Whoever repeats a put compares with what is there.
        allowed.put(&request).await?;
        return hand.ensure_there(backend, &coordinate, &value).await;
    }
    let (coordinate, value) = match operation {
        Operation::LiftExpiry => put_expiring(&hand, backend).await?,
        _ => hand.create_one(backend).await?,
    };
    if operation == Operation::Restore {
        backend.delete(&coordinate, window(backend)?, None).await?;
    }
    let done = act(operation, allowed, &coordinate, &value).await?;
    ensure(done, || "it was not done".to_owned())
}

/// Whether it came to what it should.
async fn act(
    operation: Operation,
    allowed: &dyn SecretBackend,
    coordinate: &Coordinate,
    value: &SecretValue,
) -> Result<bool, Error> {
    let delete = async |mode| {
        let deleted = allowed.delete(coordinate, mode, None).await?;
        Ok(deleted != Deletion::AlreadyGone)
    };
    match operation {
        Operation::Put => Ok(true),
        Operation::Get => {
            for read in allowed
                .get_many(&[coordinate.clone(), coordinate.clone()])
                .await
            {
                if read?.value != *value {
                    return Ok(false);
                }
            }
            Ok(allowed.get(coordinate).await?.value == *value)
        }
        Operation::Describe => Ok(allowed.describe(coordinate).await?.mark.is_some()),
        Operation::List => allowed.list(None).await.map(|_| true),
        Operation::Delete => delete(window(allowed)?).await,
        Operation::DeleteFinally => delete(DeleteMode::Final).await,
        Operation::Restore => allowed.restore(coordinate).await.map(|()| true),
        Operation::LiftExpiry => allowed.lift_expiry(coordinate).await.map(|()| true),
    }
}
