//! What only this backend promises, on a real API server.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use cloakroom_backends_kubernetes::{KubernetesBackend, name_of};
use cloakroom_core::keys::{KEY_BYTES, Key};
use cloakroom_core::{
    CredentialSource, DeleteMode, Digest, ErrorKind, Grammar, Mark, Operation, PutOutcome,
    PutRequest, Randomness as _, Result, Scope, SecretBackend, SecretState, SecretValue, StoreId,
    SystemRandomness, ValueKind, Version,
};
use cloakroom_testkit::canary::marked;
use serde_json::json;

use crate::checks::{Check, checks};
use crate::cluster::{Place, READ_WRITE, VERIFY_ONLY, broken};

pub(crate) const CHECKS: &[Check] = checks![
    "own":
    a_secret_is_immutable_and_labelled,
    a_listing_outlives_its_snapshot,
    a_damaged_mark_is_corrupt_and_listed_as_none,
    a_copy_under_another_name_is_not_ours,
    a_stripped_label_makes_it_somebody_elses,
    a_deletion_that_waits_is_not_claimed,
    a_secret_of_another_kind_is_a_conflict,
    tokens_are_asked_for_again,
    a_right_that_is_missing_is_named,
    a_namespace_that_is_not_there_is_no_missing_secret,
    a_precondition_of_another_manager_is_refused,
    nothing_is_said_of_values_or_tokens,
];

async fn a_secret_is_immutable_and_labelled(place: &Place) -> Result<()> {
    let token = place.grant(READ_WRITE).await?;
    let mut settings = place.cluster.settings(&place.namespace, token);
    settings.labels = BTreeMap::from([("team".to_owned(), "data".to_owned())]);
    settings.annotations = BTreeMap::from([("example/why".to_owned(), "a law".to_owned())]);
    let backend = KubernetesBackend::connect("kubernetes".parse()?, settings).await?;
    let request = request("value");
    backend.put(&request).await?;

    let secret = place.secret(&request.mark.coordinate).await?;
    assert_eq!(secret.immutable, Some(true));
    assert_eq!(secret.type_.as_deref(), Some("Opaque"));
    let labels = secret.metadata.labels.unwrap();
    assert_eq!(labels["app.kubernetes.io/managed-by"], "cloakroom");
    assert_eq!(labels["cloakroom/store"], request.mark.store.to_string());
    assert_eq!(labels["team"], "data");
    let annotations = secret.metadata.annotations.unwrap();
    assert_eq!(annotations["example/why"], "a law");
    assert_eq!(
        annotations["cloakroom/coordinate"],
        request.mark.coordinate.as_str()
    );
    let described = backend.describe(&request.mark.coordinate).await?;
    assert_eq!(described.mark, Some(request.mark));
    assert!(described.created.is_some() && described.changed >= described.created);
    Ok(())
}

/// A page token whose snapshot etcd has forgotten: the server offers to go on from the same place,
/// and what stood throughout is still listed once.
async fn a_listing_outlives_its_snapshot(place: &Place) -> Result<()> {
    let token = place.grant(READ_WRITE).await?;
    let mut settings = place.cluster.settings(&place.namespace, token);
    settings.page_size = 2;
    let backend = KubernetesBackend::connect("kubernetes".parse()?, settings).await?;
    let mut standing = Vec::new();
    for _ in 0..5 {
        let request = request("value");
        backend.put(&request).await?;
        standing.push(request.mark.coordinate);
    }
    let first = backend.list(None).await?;
    let mut next = first.next.ok_or_else(|| broken("one page"))?;
    let mut listed = first.secrets;
    backend.put(&request("a later one")).await?;
    place.compact().await?;
    assert!(place.has_expired(&next).await);
    loop {
        let page = backend.list(Some(&next)).await?;
        listed.extend(page.secrets);
        let Some(token) = page.next else { break };
        next = token;
    }
    for coordinate in &standing {
        let times = listed
            .iter()
            .filter(|it| it.coordinate == *coordinate)
            .count();
        assert_eq!(times, 1, "{coordinate}");
    }
    Ok(())
}

/// It hides no other. Leaving it out would make a listing that is not whole pass for one.
async fn a_damaged_mark_is_corrupt_and_listed_as_none(place: &Place) -> Result<()> {
    let backend = place.backend(place.grant(READ_WRITE).await?).await?;
    let (whole, request) = (request("value"), request("value"));
    backend.put(&whole).await?;
    backend.put(&request).await?;
    let name = name_of(&request.mark.coordinate);
    for field in ["digest", "deployment", "coordinate"] {
        let damage = json!({"annotations": {format!("cloakroom/{field}"): null}});
        place.change(&name, damage).await?;
        let listed = backend.list(None).await?.secrets;
        let mut marks: Vec<_> = listed.iter().map(|it| (&it.coordinate, &it.mark)).collect();
        marks.sort_by_key(|(_, mark)| mark.is_none());
        let mark = Some(whole.mark.clone());
        let both = [
            (&whole.mark.coordinate, &mark),
            (&request.mark.coordinate, &None),
        ];
        assert_eq!(marks, both, "without {field}");
    }
    for kind in [
        backend
            .get(&request.mark.coordinate)
            .await
            .unwrap_err()
            .kind(),
        backend
            .describe(&request.mark.coordinate)
            .await
            .unwrap_err()
            .kind(),
    ] {
        assert_eq!(kind, ErrorKind::Corrupt);
    }
    let again = backend.put(&request).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict);
    Ok(())
}

/// People copy manifests, marks and all.
async fn a_copy_under_another_name_is_not_ours(place: &Place) -> Result<()> {
    let backend = place.backend(place.grant(READ_WRITE).await?).await?;
    let (original, other) = (request("value"), request("value"));
    backend.put(&original).await?;
    let mut copy = place.secret(&original.mark.coordinate).await?;
    copy.metadata.resource_version = None;
    copy.metadata.uid = None;
    copy.metadata.name = Some(name_of(&other.mark.coordinate));
    place.create(&copy).await?;

    let listed = backend.list(None).await?.secrets;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].coordinate, original.mark.coordinate);
    assert_eq!(backend.get(&other.mark.coordinate).await?.mark, None);
    assert_eq!(backend.describe(&other.mark.coordinate).await?.mark, None);
    let taken = backend.put(&other).await.unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::Conflict);
    Ok(())
}

async fn a_stripped_label_makes_it_somebody_elses(place: &Place) -> Result<()> {
    let backend = place.backend(place.grant(READ_WRITE).await?).await?;
    let request = request("value");
    backend.put(&request).await?;
    let name = name_of(&request.mark.coordinate);
    place
        .change(&name, json!({"labels": {"cloakroom/store": null}}))
        .await?;
    assert!(backend.list(None).await?.secrets.is_empty());
    assert_eq!(backend.describe(&request.mark.coordinate).await?.mark, None);
    Ok(())
}

/// Somebody's finalizer holds a Secret back: it is said to be waiting, not deleted, and nobody
/// builds on it any more.
async fn a_deletion_that_waits_is_not_claimed(place: &Place) -> Result<()> {
    let backend = place.backend(place.grant(READ_WRITE).await?).await?;
    let request = request("value");
    let coordinate = &request.mark.coordinate;
    backend.put(&request).await?;
    let name = name_of(coordinate);
    place
        .change(&name, json!({"finalizers": ["example/backup"]}))
        .await?;

    for _ in 0..2 {
        let error = backend
            .delete(coordinate, DeleteMode::Final, None)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("example/backup"), "{error}");
    }
    let waiting = SecretState::ScheduledForDeletion { due: None };
    assert_eq!(backend.describe(coordinate).await?.state, waiting);
    assert_eq!(backend.list(None).await?.secrets[0].state, waiting);
    assert_eq!(backend.get(coordinate).await?.value, request.value);
    let put = backend.put(&request).await.unwrap_err();
    assert_eq!(put.kind(), ErrorKind::ScheduledForDeletion);
    let restored = backend.restore(coordinate).await.unwrap_err();
    assert_eq!(restored.kind(), ErrorKind::Unsupported);

    place.change(&name, json!({"finalizers": null})).await?;
    let gone = backend.describe(coordinate).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Missing);
    Ok(())
}

async fn a_secret_of_another_kind_is_a_conflict(place: &Place) -> Result<()> {
    let backend = place.backend(place.grant(READ_WRITE).await?).await?;
    let request = request("value");
    let mut other = k8s_openapi::api::core::v1::Secret::default();
    other.metadata.name = Some(name_of(&request.mark.coordinate));
    place.create(&other).await?;
    let put = backend.put(&request).await.unwrap_err();
    assert_eq!(put.kind(), ErrorKind::Conflict);
    let got = backend.get(&request.mark.coordinate).await.unwrap_err();
    assert_eq!(got.kind(), ErrorKind::Corrupt);
    Ok(())
}

/// A token that somebody replaces while the program runs.
struct Replaceable(Mutex<SecretValue>);

impl Replaceable {
    fn replace(&self, token: SecretValue) {
        *self.0.lock().unwrap() = token;
    }
}

impl CredentialSource for Replaceable {
    fn read(&self) -> Result<SecretValue> {
        Ok(self.0.lock().unwrap().clone())
    }
}

async fn tokens_are_asked_for_again(place: &Place) -> Result<()> {
    let right = place.grant(READ_WRITE).await?;
    let wrong = marked("wrong");
    let source = Arc::new(Replaceable(Mutex::new(wrong.clone())));
    let mut settings = place.cluster.settings(&place.namespace, wrong);
    settings.token = Some(Arc::clone(&source) as Arc<dyn CredentialSource>);
    let backend = KubernetesBackend::connect("kubernetes".parse()?, settings).await?;
    let refused = backend.put(&request("value")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Denied);

    // As files have it.
    let line = format!("{}\n", right.expose_text().unwrap());
    source.replace(SecretValue::from(line));
    let outcome = backend.put(&request("value")).await?;
    assert_eq!(outcome, PutOutcome::Created);
    Ok(())
}

async fn a_right_that_is_missing_is_named(place: &Place) -> Result<()> {
    let request = request("value");
    place
        .write(&name_of(&request.mark.coordinate), &request.value)
        .await?;
    let stranger: SecretValue = place.token("stranger").await?.into();
    let stranger = place.backend(stranger).await?;
    let error = stranger.list(None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(
        error.to_string().contains("may not list secrets"),
        "{error}"
    );
    let error = stranger.get(&request.mark.coordinate).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);

    let verifier = place.backend(place.grant(VERIFY_ONLY).await?).await?;
    verifier.describe(&request.mark.coordinate).await?;
    verifier.list(None).await?;
    let put = verifier.put(&request).await.unwrap_err();
    assert_eq!(put.kind(), ErrorKind::Denied);
    assert!(put.to_string().contains("may not create secrets"), "{put}");
    let at = &request.mark.coordinate;
    let deletion = verifier
        .delete(at, DeleteMode::Final, None)
        .await
        .unwrap_err();
    assert_eq!(deletion.kind(), ErrorKind::Denied);
    assert!(
        deletion.to_string().contains("may not delete secrets"),
        "{deletion}"
    );
    assert_eq!(verifier.permissions(Operation::List), ["list secrets"]);
    place.secret(at).await?;
    Ok(())
}

async fn a_namespace_that_is_not_there_is_no_missing_secret(place: &Place) -> Result<()> {
    // The administrator may do anything anywhere, so nothing is denied first.
    let administrator = SecretValue::from("admin".to_owned());
    let settings = place.cluster.settings("nowhere", administrator);
    let backend = KubernetesBackend::connect("kubernetes".parse()?, settings).await?;
    let error = backend.put(&request("value")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(
        error.to_string().contains("no namespace nowhere"),
        "{error}"
    );
    Ok(())
}

async fn a_precondition_of_another_manager_is_refused(place: &Place) -> Result<()> {
    let backend = place.backend(place.grant(READ_WRITE).await?).await?;
    let request = request("value");
    backend.put(&request).await?;
    let at = &request.mark.coordinate;
    let described = backend.describe(at).await?;
    for (text, kind) in [
        ("an etag".to_owned(), ErrorKind::Invalid),
        (
            "00000000-0000-0000-0000-000000000000/1".to_owned(),
            ErrorKind::Conflict,
        ),
        // The same life of the name, another state of it.
        (
            described.precondition.unwrap().0.replace('/', "/1"),
            ErrorKind::Conflict,
        ),
    ] {
        let precondition = cloakroom_core::backend::Precondition(text.into());
        let deletion = backend
            .delete(at, DeleteMode::Final, Some(&precondition))
            .await;
        assert_eq!(deletion.unwrap_err().kind(), kind, "{precondition:?}");
    }
    backend.get(at).await?;
    Ok(())
}

async fn nothing_is_said_of_values_or_tokens(place: &Place) -> Result<()> {
    let token = marked("token");
    let backend = place.backend(place.grant(READ_WRITE).await?).await?;
    let misled = place.backend(token).await?;
    let request = request("value");
    backend.put(&request).await?;
    let mut other = request.clone();
    other.value = marked("another");
    let mut shown = vec![
        format!("{:?}", backend.get(&request.mark.coordinate).await?),
        format!("{:?}", backend.describe(&request.mark.coordinate).await?),
        format!("{:?}", backend.list(None).await?),
        format!("{:?}", backend.put(&other).await.unwrap_err()),
        format!("{:?}", misled.put(&other).await.unwrap_err()),
        format!("{:?}", misled.list(None).await.unwrap_err()),
    ];
    shown.push(backend.manager().to_owned());
    for shown in shown {
        assert!(!shown.contains("canary"), "{shown}");
    }
    Ok(())
}

pub(crate) fn request(text: &str) -> PutRequest {
    let value = marked(text);
    let id = || SystemRandomness.uuid();
    let coordinate = Grammar::default().managed(Scope::Workspace, id(), id(), Version::FIRST);
    let key = Key::derive([7; KEY_BYTES]);
    PutRequest {
        mark: Mark {
            store: StoreId(id()),
            deployment: "tests".to_owned(),
            digest: Digest::of(&key, coordinate.base(), ValueKind::Text, &value),
            coordinate,
            intent: None,
        },
        value,
        native_expiry: None,
    }
}
