//! Laws of the published policies, action by action. What a policy says of resources and tags the server
//! does not know, so each action is allowed on everything here.

use cloakroom_core::capabilities::NativeExpiry;
use cloakroom_core::{DeleteMode, Error, ErrorKind, Operation, PutRequest, Result, SecretBackend};
use cloakroom_testkit::canary::marked;
use serde_json::Value;

use crate::own::{Outcome, request, told};
use crate::server::{Aws, Server};

/// Each service's policy with reading of values.
const POLICIES: [(Aws, &str); 2] = [
    (
        Aws::SecretsManager,
        include_str!("../../../../deploy/policies/aws/secrets-manager-read-write.json"),
    ),
    (
        Aws::ParameterStore,
        include_str!("../../../../deploy/policies/aws/parameter-store-read-write.json"),
    ),
];

/// Under the policy but for one action: something is refused, and whatever is refused says that it was for
/// want of this one, in AWS's words and by what the operation is said to take.
pub(crate) async fn an_action_that_is_missing_is_named(server: &Server) -> Outcome {
    for (service, policy) in POLICIES {
        let here = service.on(server).namespace().await?;
        let policy: Value = serde_json::from_str(policy)?;
        let actions = actions(&policy);
        let whole = here.allowed(&actions).await?;
        let refused = refused(&*here.backend, &*whole).await?;
        assert!(refused.is_empty(), "{service:?}: {refused:?}");
        for missing in &actions {
            let mut others = actions.clone();
            others.retain(|it| it != missing);
            let restricted = here.allowed(&others).await?;
            let refused = self::refused(&*here.backend, &*restricted).await?;
            assert!(!refused.is_empty(), "nothing takes {missing}");
            for (operation, error) in refused {
                let (said, what) = (told(&error), operation.as_str());
                assert_eq!(
                    error.kind(),
                    ErrorKind::Denied,
                    "{what} without {missing}: {said}"
                );
                let words = format!("not authorized to perform: {missing} ");
                assert!(said.contains(&words), "{what} without {missing}: {said}");
                let takes = restricted.permissions(operation);
                assert!(
                    takes.contains(missing),
                    "{what} without {missing}: {takes:?}"
                );
            }
        }
    }
    Ok(())
}

/// What a policy allows, each once.
fn actions(policy: &Value) -> Vec<&str> {
    let statements = policy["Statement"].as_array().into_iter().flatten();
    let mut actions: Vec<_> = statements
        .flat_map(|it| match &it["Action"] {
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            one => Vec::from_iter(one.as_str()),
        })
        .collect();
    actions.sort_unstable();
    actions.dedup();
    actions
}

/// Does all there is to do, and gives what did not come to what it should. `by` sets it up.
async fn refused(
    by: &dyn SecretBackend,
    tried: &dyn SecretBackend,
) -> Result<Vec<(Operation, Error)>> {
    let mut refused = Vec::new();
    let mut note = |operation, answer: Result<()>, usual: &[ErrorKind]| {
        let error = answer.err().filter(|it| !usual.contains(&it.kind()));
        refused.extend(error.map(|error| (operation, error)));
    };
    let (missing, free) = (request("never put").mark.coordinate, request("a value"));
    let there = new(by).await?;
    let mut taken = there.clone();
    taken.value = marked("another");
    let one = &there.mark.coordinate;
    let both = [one.clone(), new(by).await?.mark.coordinate];

    let put = tried.put(&free).await;
    note(Operation::Put, put.map(drop), &[]);
    let put = tried.put(&taken).await;
    note(Operation::Put, put.map(drop), &[ErrorKind::Conflict]);
    note(Operation::Get, tried.get(one).await.map(drop), &[]);
    for answer in tried.get_many(&both).await {
        note(Operation::Get, answer.map(drop), &[]);
    }
    for answer in tried.describe_many(&both).await {
        note(Operation::Describe, answer.map(drop), &[]);
    }
    let described = tried.describe(&missing).await;
    note(
        Operation::Describe,
        described.map(drop),
        &[ErrorKind::Missing],
    );
    note(Operation::List, tried.list(None).await.map(drop), &[]);
    let it = tried.capabilities();
    if let Some(recovery) = it.recovery {
        let window = DeleteMode::Recoverable(recovery.shortest);
        let deleted = tried.delete(&both[1], window, None).await;
        note(Operation::Delete, deleted.map(drop), &[]);
        let waiting = new(by).await?.mark.coordinate;
        by.delete(&waiting, window, None).await?;
        note(Operation::Restore, tried.restore(&waiting).await, &[]);
    }
    if it.native_expiry != NativeExpiry::Absent {
        let mut expiring = request("a value");
        expiring.native_expiry = Some(std::time::Duration::from_hours(2));
        by.put(&expiring).await?;
        let lifted = tried.lift_expiry(&expiring.mark.coordinate).await;
        note(Operation::LiftExpiry, lifted, &[]);
    }
    let deleted = tried.delete(one, DeleteMode::Final, None).await;
    note(Operation::DeleteFinally, deleted.map(drop), &[]);
    let several = [new(by).await?.mark.coordinate, missing];
    for answer in tried.delete_many(&several, DeleteMode::Final).await {
        note(Operation::DeleteFinally, answer.map(drop), &[]);
    }
    Ok(refused)
}

async fn new(by: &dyn SecretBackend) -> Result<PutRequest> {
    let put = request("a value");
    by.put(&put).await?;
    Ok(put)
}
