//! Policies, namespaces and prefixes: each sees what it may see.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cloakroom_core::{
    DeleteMode, ErrorKind, Operation, PutOutcome, Result, SecretBackend as _, SecretState,
};

use cloakroom_testkit::conformance::Permission;

use crate::server::{Place, backend, text};

const READ_WRITE: &str = include_str!("../../../../deploy/policies/vault/read-write.hcl");

/// The published policy without one permission.
pub(crate) fn without(permission: Permission) -> String {
    let capabilities = |path: &str, rights: &str| {
        format!("path \"secret/{path}/cloakroom/*\" {{\n  capabilities = [{rights}]")
    };
    let (data, metadata) = (
        r#""create", "update", "read""#,
        r#""create", "read", "update", "delete", "list""#,
    );
    let changes: &[(&str, &str, &str)] = match permission {
        Permission::Put => &[("data", data, r#""read""#)],
        Permission::Read => &[("data", data, r#""create", "update""#)],
        Permission::Describe => &[(
            "metadata",
            metadata,
            r#""create", "update", "delete", "list""#,
        )],
        Permission::List => &[
            (
                "metadata",
                metadata,
                r#""create", "read", "update", "delete""#,
            ),
            ("detailed-metadata", r#""list""#, ""),
        ],
        Permission::Delete => &[
            (
                "metadata",
                metadata,
                r#""create", "read", "update", "list""#,
            ),
            ("delete", r#""update""#, ""),
        ],
        Permission::Restore => &[("undelete", r#""update""#, "")],
    };
    changes
        .iter()
        .fold(READ_WRITE.to_owned(), |policy, change| {
            let (path, before, after) = change;
            let changed = policy.replace(&capabilities(path, before), &capabilities(path, after));
            assert_ne!(changed, policy, "the policy has other rights on {path}");
            changed
        })
}

/// A policy that gives what these permissions say, as `create, update on MOUNT/data/PREFIX*`, and what every
/// client needs for its own token.
pub(crate) fn only(permissions: &[&str]) -> String {
    let mut parts: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for permission in permissions {
        let (rights, place) = permission.split_once(" on MOUNT/").unwrap();
        let (part, _) = place.split_once('/').unwrap();
        parts.entry(part).or_default().extend(rights.split(", "));
    }
    let (_, own) = READ_WRITE
        .split_once("# What the policy `default`")
        .unwrap();
    parts
        .iter()
        .fold(format!("# {own}"), |policy, (part, rights)| {
            let rights: Vec<_> = rights.iter().map(|right| format!("\"{right}\"")).collect();
            let rights = rights.join(", ");
            format!("{policy}path \"secret/{part}/cloakroom/*\" {{ capabilities = [{rights}] }}\n")
        })
}

pub(crate) async fn verify_only_sees_everything_and_reads_nothing(place: &Place) -> Result<()> {
    for extensions in [true, false] {
        let writer = place.backend(|it| it.purge_delay = Duration::ZERO).await;
        let mut settings = place.settings(place.token("verify-only").await);
        settings.openbao_extensions = extensions;
        settings.purge_delay = Duration::ZERO;
        let verifier = backend(settings);
        let (there, waiting) = (text("there"), text("waiting"));
        let hour = DeleteMode::Recoverable(Duration::from_hours(1));
        for request in [&there, &waiting] {
            writer.put(request).await?;
        }
        let coordinate = &there.mark.coordinate;
        writer.delete(&waiting.mark.coordinate, hour, None).await?;

        assert_eq!(
            verifier.describe(coordinate).await?,
            writer.describe(coordinate).await?
        );
        let names = [coordinate.clone(), text("nothing").mark.coordinate];
        let described = verifier.describe_many(&names).await;
        assert!(described[0].is_ok() && described[1].as_ref().unwrap_err().is_missing());
        let listed = verifier.list(None).await?.secrets;
        assert_eq!(listed, writer.list(None).await?.secrets);
        let waits = |state| matches!(state, SecretState::ScheduledForDeletion { due: Some(_) });
        assert_eq!(listed.iter().filter(|it| waits(it.state)).count(), 1);

        let kinds = [
            verifier.get(coordinate).await.unwrap_err().kind(),
            verifier.put(&text("new")).await.unwrap_err().kind(),
            verifier.put(&there).await.unwrap_err().kind(),
            verifier
                .delete(coordinate, DeleteMode::Final, None)
                .await
                .unwrap_err()
                .kind(),
            verifier
                .delete(coordinate, hour, None)
                .await
                .unwrap_err()
                .kind(),
            verifier
                .restore(&waiting.mark.coordinate)
                .await
                .unwrap_err()
                .kind(),
        ];
        assert_eq!(kinds, [ErrorKind::Denied; 6]);
        assert!(!verifier.permissions(Operation::Get).is_empty());
        // Nothing was changed, also not by a put that got half way.
        assert!(writer.get(coordinate).await?.value == there.value);
        for request in [&there, &waiting] {
            let name = &request.mark.coordinate;
            writer.delete(name, DeleteMode::Final, None).await?;
        }
        assert!(writer.list(None).await?.secrets.is_empty());
    }
    Ok(())
}

pub(crate) async fn namespaces_are_apart(place: &Place) -> Result<()> {
    let id = place.prefix.split('/').nth(1).unwrap();
    let parent = format!("team-{id}");
    let path = format!("sys/namespaces/{parent}");
    place.server.done("POST", &path, "").await;
    place.server.mount(Some(&parent), "deep/kv").await;
    let mut inner = place.settings(place.root());
    inner.namespace = Some(format!("/{parent}/"));
    inner.mount = String::from("deep/kv/");
    inner.prefix = String::new();
    let mut outer = inner.clone();
    outer.namespace = None;
    place.server.mount(None, &format!("deep/{id}")).await;
    outer.mount = format!("deep/{id}");
    let (inner, outer) = (backend(inner), backend(outer));
    assert_ne!(inner.manager(), outer.manager());

    let request = text("value");
    let coordinate = &request.mark.coordinate;
    assert_eq!(inner.put(&request).await?, PutOutcome::Created);
    assert!(outer.get(coordinate).await.unwrap_err().is_missing());
    assert!(outer.list(None).await?.secrets.is_empty());
    assert_eq!(outer.put(&request).await?, PutOutcome::Created);
    outer.delete(coordinate, DeleteMode::Final, None).await?;
    assert!(inner.get(coordinate).await?.value == request.value);
    assert_eq!(inner.list(None).await?.secrets.len(), 1);
    Ok(())
}

pub(crate) async fn places_with_one_stem_are_apart(place: &Place) -> Result<()> {
    let backends = [
        place.backend(|_| ()).await,
        place.backend(|it| it.prefix.push('a')).await,
        place.backend(|it| it.prefix.push_str("a-b.")).await,
        place.backend(|it| it.prefix.push_str("a/")).await,
    ];
    for backend in &backends {
        for number in 0..3 {
            backend.put(&text(&format!("value {number}"))).await?;
        }
    }
    for backend in &backends {
        let listed = backend.list(None).await?.secrets;
        assert_eq!(listed.len(), 3, "{}", backend.manager());
    }
    Ok(())
}

/// One that was written for Vault and does not name what only OpenBao has.
pub(crate) async fn an_older_policy_still_lists(place: &Place) -> Result<()> {
    let policy = READ_WRITE.replace("detailed-metadata", "something-else");
    place.server.policy("older", &policy).await;
    let backend = backend(place.settings(place.token("older").await));
    assert!(backend.list(None).await?.secrets.is_empty());
    let request = text("value");
    backend.put(&request).await?;
    for _ in 0..2 {
        let listed = backend.list(None).await?.secrets;
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].mark.as_ref(), Some(&request.mark));
    }
    Ok(())
}
