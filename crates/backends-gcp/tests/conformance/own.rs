//! Laws of this backend's own: two calls make a secret, and what that means.

use cloakroom_core::{
    DeleteMode, Deletion, ErrorKind, PutOutcome, PutRequest, Result, SecretBackend as _,
    SecretState,
};
use cloakroom_testkit::canary::marked;
use google_cloud_secretmanager_v1::model::Secret;

use crate::double::{Double, Project, payload, plain, request};
use crate::laws;

laws![
    a_crash_between_the_calls_leaves_what_is_known,
    what_was_begun_is_completed_by_the_same_value_only,
    a_refused_second_call_leaves_nothing,
    what_was_taken_over_is_not_taken_away,
    a_second_version_changes_nothing,
    what_somebody_disabled_is_told_apart,
    a_label_alone_makes_nothing_ours,
    a_damaged_mark_hides_nothing_else,
    names_of_another_prefix_are_not_listed,
    no_call_is_made_in_vain,
    a_batch_costs_what_its_parts_cost,
];

/// What a writer leaves that dies before the second call.
async fn begin(project: &Project, request: &PutRequest) -> Secret {
    let fields = request.mark.fields().into_iter();
    let annotations = fields.map(|(name, text)| (format!("cloakroom-{name}"), text));
    let secret = plain()
        .set_labels([("cloakroom", "managed")])
        .set_annotations(annotations);
    let create = project.others().await.create_secret();
    let create = create.set_parent(format!("projects/{}", project.name));
    let id = request.mark.coordinate.as_str();
    create
        .set_secret_id(id)
        .set_secret(secret)
        .send()
        .await
        .unwrap()
}

async fn a_crash_between_the_calls_leaves_what_is_known(double: Double) -> Result<()> {
    let project = double.project();
    let (backend, request) = (project.backend(), request("value"));
    let coordinate = &request.mark.coordinate;
    begin(&project, &request).await;

    let listed = backend.list(None).await?.secrets;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].mark.as_ref(), Some(&request.mark));
    let described = backend.describe(coordinate).await?;
    assert_eq!(described.mark.as_ref(), Some(&request.mark));
    assert_eq!(described.state, SecretState::Disabled);
    let error = backend.get(coordinate).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing, "{error}");

    let state = described.precondition.as_ref();
    let deletion = backend.delete(coordinate, DeleteMode::Final, state).await?;
    assert_eq!(deletion, Deletion::Deleted);
    assert_eq!(project.count().await, 0);
    Ok(())
}

async fn what_was_begun_is_completed_by_the_same_value_only(double: Double) -> Result<()> {
    let project = double.project();
    let (backend, begun) = (project.backend(), request("value"));
    begin(&project, &begun).await;
    let mut other = begun.clone();
    other.value = marked("other");
    other.mark.digest = request("other").mark.digest;
    let error = backend.put(&other).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    let mut theirs = begun.clone();
    theirs.mark.store = request("value").mark.store;
    let error = backend.put(&theirs).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");

    assert_eq!(backend.put(&begun).await?, PutOutcome::Created);
    assert_eq!(backend.put(&begun).await?, PutOutcome::AlreadyThere);
    let stored = backend.get(&begun.mark.coordinate).await?;
    assert_eq!(stored.value, begun.value);
    assert_eq!(stored.mark, Some(begun.mark));
    Ok(())
}

async fn a_refused_second_call_leaves_nothing(double: Double) -> Result<()> {
    let project = double.project();
    let hindered = project.with_token("not:secretmanager.versions.add");
    let request = request("value");
    let error = hindered.put(&request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert_eq!(project.count().await, 0);

    // Without the right to clear up it is left, and known.
    let token = "not:secretmanager.versions.add,secretmanager.secrets.delete";
    let error = project.with_token(token).put(&request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    let backend = project.backend();
    assert_eq!(
        backend.list(None).await?.secrets[0].mark.as_ref(),
        Some(&request.mark)
    );
    assert_eq!(backend.put(&request).await?, PutOutcome::Created);
    Ok(())
}

/// Whoever made a secret and failed takes it away as it was made: not what another put completed.
async fn what_was_taken_over_is_not_taken_away(double: Double) -> Result<()> {
    let project = double.project();
    let (backend, request) = (project.backend(), request("value"));
    let made = begin(&project, &request).await;
    assert_eq!(backend.put(&request).await?, PutOutcome::Created);
    let cleanup = project.others().await.delete_secret();
    let cleanup = cleanup
        .set_name(&made.name)
        .set_etag(&made.etag)
        .send()
        .await;
    assert!(cleanup.is_err());
    assert_eq!(
        backend.get(&request.mark.coordinate).await?.value,
        request.value
    );
    Ok(())
}

async fn a_second_version_changes_nothing(double: Double) -> Result<()> {
    let project = double.project();
    let (backend, request) = (project.backend(), request("value"));
    let coordinate = &request.mark.coordinate;
    backend.put(&request).await?;
    let seen = backend.describe(coordinate).await?.precondition;
    let others = project.others().await;
    let add = others
        .add_secret_version()
        .set_parent(project.secret(coordinate));
    let other = marked("other");
    add.set_payload(payload(&other)).send().await.unwrap();
    assert_eq!(backend.get(coordinate).await?.value, request.value);
    assert_eq!(backend.put(&request).await?, PutOutcome::AlreadyThere);
    assert_eq!(backend.describe(coordinate).await?.precondition, seen);
    Ok(())
}

async fn what_somebody_disabled_is_told_apart(double: Double) -> Result<()> {
    let project = double.project();
    let (backend, request) = (project.backend(), request("value"));
    let coordinate = &request.mark.coordinate;
    backend.put(&request).await?;
    let before = backend.describe(coordinate).await?;
    let version = format!("{}/versions/1", project.secret(coordinate));
    let others = project.others().await;
    others
        .disable_secret_version()
        .set_name(&version)
        .send()
        .await
        .unwrap();

    let described = backend.describe(coordinate).await?;
    assert_eq!(described.state, SecretState::Disabled);
    assert_ne!(described.precondition, before.precondition);
    let stale = before.precondition.as_ref();
    let error = backend
        .delete(coordinate, DeleteMode::Final, stale)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert_eq!(
        backend.get(coordinate).await.unwrap_err().kind(),
        ErrorKind::Denied
    );
    assert_eq!(
        backend.put(&request).await.unwrap_err().kind(),
        ErrorKind::Conflict
    );
    backend.restore(coordinate).await?;
    assert_eq!(
        backend.describe(coordinate).await?.state,
        SecretState::Disabled
    );

    // A listing asks for no versions, unless it is told to.
    assert_eq!(
        backend.list(None).await?.secrets[0].state,
        SecretState::Enabled
    );
    let mut settings = project.settings();
    settings.look_at_versions = true;
    let looking = crate::double::backend(settings);
    assert_eq!(
        looking.list(None).await?.secrets[0].state,
        SecretState::Disabled
    );
    Ok(())
}

async fn a_label_alone_makes_nothing_ours(double: Double) -> Result<()> {
    let project = double.project();
    let others = project.others().await;
    let coordinate = request("value").mark.coordinate;
    for (id, marked) in [
        ("no-coordinate", false),
        (coordinate.as_str(), false),
        ("x_copy_v1", true),
    ] {
        let mut secret = plain().set_labels([("cloakroom", "managed")]);
        if marked {
            // The annotations of another secret, as whoever copies one takes them along.
            let fields = request("value").mark.fields().into_iter();
            secret = secret
                .set_annotations(fields.map(|(name, text)| (format!("cloakroom-{name}"), text)));
        }
        let create = others
            .create_secret()
            .set_parent(format!("projects/{}", project.name));
        create
            .set_secret_id(id)
            .set_secret(secret)
            .send()
            .await
            .unwrap();
    }
    assert_eq!(project.backend().list(None).await?.secrets, []);
    Ok(())
}

async fn a_damaged_mark_hides_nothing_else(double: Double) -> Result<()> {
    let project = double.project();
    let (backend, whole, damaged) = (project.backend(), request("value"), request("value"));
    backend.put(&whole).await?;
    let secret = plain()
        .set_labels([("cloakroom", "managed")])
        .set_annotations([("cloakroom-store", "not an id")]);
    let create = project.others().await.create_secret();
    let create = create.set_parent(format!("projects/{}", project.name));
    let id = damaged.mark.coordinate.as_str();
    create
        .set_secret_id(id)
        .set_secret(secret)
        .send()
        .await
        .unwrap();

    let listed = backend.list(None).await?.secrets;
    assert_eq!(listed.len(), 2);
    for secret in listed {
        let mark = (secret.coordinate == whole.mark.coordinate).then_some(&whole.mark);
        assert_eq!(secret.mark.as_ref(), mark);
    }
    let error = backend
        .describe(&damaged.mark.coordinate)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    let error = backend.put(&damaged).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    Ok(())
}

async fn names_of_another_prefix_are_not_listed(double: Double) -> Result<()> {
    let project = double.project();
    let backends = ["", "a-", "a-b_"].map(|prefix| {
        let mut settings = project.settings();
        prefix.clone_into(&mut settings.prefix);
        crate::double::backend(settings)
    });
    let request = request("value");
    for backend in &backends {
        assert_eq!(backend.put(&request).await?, PutOutcome::Created);
    }
    for backend in &backends {
        let listed = backend.list(None).await?.secrets;
        assert_eq!(listed.len(), 1, "{}", backend.manager());
        assert_eq!(listed[0].coordinate, request.mark.coordinate);
    }
    Ok(())
}

async fn no_call_is_made_in_vain(double: Double) -> Result<()> {
    let project = double.project();
    let (backend, request) = (project.backend(), request("value"));
    let coordinate = &request.mark.coordinate;
    let mut before = 0;
    let mut spent = async |least: usize, what: &str| {
        let now = project.calls().await;
        assert_eq!(now - before, least, "{what}");
        before = now;
    };
    backend.put(&request).await?;
    spent(2, "a put makes a secret and its version").await;
    backend.put(&request).await?;
    spent(3, "the same again is refused, and looks at both").await;
    backend.get(coordinate).await?;
    spent(2, "a get reads mark and value").await;
    let described = backend.describe(coordinate).await?;
    spent(2, "a description is of secret and version").await;
    backend.list(None).await?;
    spent(1, "a page is a page").await;
    let window = DeleteMode::Recoverable(std::time::Duration::ZERO);
    backend.delete(coordinate, window, None).await?;
    spent(4, "look, mark, look, destroy").await;
    backend.restore(coordinate).await?;
    spent(4, "look, look, enable, unmark").await;
    backend.lift_expiry(coordinate).await?;
    spent(1, "there is no expiry").await;
    let stale = described.precondition.as_ref();
    let deletion = backend.delete(coordinate, DeleteMode::Final, stale).await;
    assert_eq!(deletion.unwrap_err().kind(), ErrorKind::Conflict);
    spent(2, "the version has changed, the secret is still there").await;
    backend.delete(coordinate, DeleteMode::Final, None).await?;
    spent(1, "a deletion for good").await;
    Ok(())
}

async fn a_batch_costs_what_its_parts_cost(double: Double) -> Result<()> {
    const COUNT: usize = 40;
    let project = double.project();
    let backend = project.backend();
    let requests: Vec<PutRequest> = (0..COUNT).map(|_| request("value")).collect();
    let names: Vec<_> = requests
        .iter()
        .map(|it| it.mark.coordinate.clone())
        .collect();
    for put in backend.put_many(&requests).await {
        assert_eq!(put?, PutOutcome::Created);
    }
    assert_eq!(project.calls().await, 2 * COUNT);
    for (request, got) in requests.iter().zip(backend.get_many(&names).await) {
        assert_eq!(got?.mark.as_ref(), Some(&request.mark));
    }
    assert_eq!(project.calls().await, 4 * COUNT);
    for described in backend.describe_many(&names).await {
        assert_eq!(described?.state, SecretState::Enabled);
    }
    assert_eq!(project.calls().await, 6 * COUNT);
    for deleted in backend.delete_many(&names, DeleteMode::Final).await {
        assert_eq!(deleted?, Deletion::Deleted);
    }
    assert_eq!(project.calls().await, 7 * COUNT);
    Ok(())
}
