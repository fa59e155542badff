//! Whichever request was the last one, nothing is left that is not listed, completed or deletable.

use std::time::Duration;

use cloakroom_core::{
    DeleteMode, Deletion, Description, ErrorKind, PutOutcome, Result, SecretBackend, SecretState,
    Timestamp,
};

use crate::server::{Place, again, text};

const HOUR: DeleteMode = DeleteMode::Recoverable(Duration::from_hours(1));

/// A backend that dies after the mark: its token may write marks and no values.
async fn dying(place: &Place) -> cloakroom_backends_vault::VaultBackend {
    let policy = r#"path "secret/metadata/cloakroom/*" {
        capabilities = ["create", "read", "update", "list"]
    }"#;
    place.server.policy("dying", policy).await;
    crate::server::backend(place.settings(place.token("dying").await))
}

pub(crate) async fn a_mark_without_a_value_is_listed_completed_or_deleted(
    place: &Place,
) -> Result<()> {
    for extensions in [true, false] {
        let backend = place.backend(|it| it.openbao_extensions = extensions).await;
        let dying = dying(place).await;
        let request = text("value");
        let coordinate = &request.mark.coordinate;
        let error = dying.put(&request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");

        let described = backend.describe(coordinate).await?;
        assert_eq!(described.state, SecretState::Disabled);
        assert_eq!(described.mark.as_ref(), Some(&request.mark));
        assert_eq!(backend.list(None).await?.secrets, [described]);
        assert!(backend.get(coordinate).await.unwrap_err().is_missing());
        assert!(backend.restore(coordinate).await.unwrap_err().is_missing());

        let other = again(coordinate, request.mark.store, "other");
        let error = backend.put(&other).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        let mut expiring = request.clone();
        expiring.native_expiry = Some(Duration::from_hours(1));
        assert_eq!(backend.put(&expiring).await?, PutOutcome::Created);
        assert!(backend.describe(coordinate).await?.native_expiry.is_some());
        assert!(backend.get(coordinate).await?.value == request.value);
        // The same bytes, now to stay.
        assert_eq!(backend.put(&request).await?, PutOutcome::AlreadyThere);
        assert_eq!(backend.describe(coordinate).await?.native_expiry, None);
        backend.delete(coordinate, DeleteMode::Final, None).await?;

        for mode in [DeleteMode::Final, HOUR] {
            dying.put(&request).await.unwrap_err();
            let deletion = backend.delete(coordinate, mode, None).await?;
            assert_eq!(deletion, Deletion::Deleted);
            assert!(backend.list(None).await?.secrets.is_empty());
        }
    }
    Ok(())
}

pub(crate) async fn a_deletion_that_broke_off_is_finished(place: &Place) -> Result<()> {
    let backend = place.backend(|_| ()).await;
    let request = text("value");
    let coordinate = &request.mark.coordinate;
    backend.put(&request).await?;
    let versions = r#"{"versions":[1]}"#;
    place.as_root("POST", "delete", coordinate, versions).await;

    let endless = SecretState::ScheduledForDeletion { due: None };
    assert_eq!(backend.describe(coordinate).await?.state, endless);
    let deletion = backend.delete(coordinate, HOUR, None).await?;
    assert_eq!(deletion, Deletion::AlreadyGone);
    let described = backend.describe(coordinate).await?;
    assert!(
        matches!(described.state, SecretState::ScheduledForDeletion { due: Some(due) }
            if due > described.changed.unwrap()),
        "{described:?}"
    );
    backend.restore(coordinate).await?;
    assert!(backend.get(coordinate).await?.value == request.value);
    Ok(())
}

pub(crate) async fn a_restoration_that_broke_off_is_finished(place: &Place) -> Result<()> {
    let backend = place.backend(|it| it.purge_delay = Duration::ZERO).await;
    let request = text("value");
    let coordinate = &request.mark.coordinate;
    backend.put(&request).await?;
    let mode = DeleteMode::Recoverable(Duration::from_secs(1));
    backend.delete(coordinate, mode, None).await?;
    // The first half of a restoration: the end of the window is taken off.
    let custom: Vec<String> = request
        .mark
        .fields()
        .iter()
        .map(|(name, text)| format!("\"cloakroom_{name}\":\"{text}\""))
        .collect();
    let body = format!("{{\"custom_metadata\":{{{}}}}}", custom.join(","));
    place.as_root("POST", "metadata", coordinate, &body).await;

    let endless = SecretState::ScheduledForDeletion { due: None };
    assert_eq!(backend.describe(coordinate).await?.state, endless);
    assert_eq!(backend.list(None).await?.secrets.len(), 1);
    backend.restore(coordinate).await?;
    assert!(backend.get(coordinate).await?.value == request.value);
    Ok(())
}

pub(crate) async fn a_destroyed_secret_blocks_its_name_until_it_is_deleted(
    place: &Place,
) -> Result<()> {
    let backend = place.backend(|_| ()).await;
    let request = text("value");
    let coordinate = &request.mark.coordinate;
    backend.put(&request).await?;
    let versions = r#"{"versions":[1]}"#;
    place.as_root("POST", "destroy", coordinate, versions).await;

    assert!(backend.get(coordinate).await.unwrap_err().is_missing());
    assert!(backend.restore(coordinate).await.unwrap_err().is_missing());
    let described = backend.describe(coordinate).await?;
    assert_eq!(described.state, SecretState::Destroyed);
    assert_eq!(backend.list(None).await?.secrets, [described]);
    let error = backend.put(&request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    backend.delete(coordinate, DeleteMode::Final, None).await?;
    assert_eq!(backend.put(&request).await?, PutOutcome::Created);
    Ok(())
}

pub(crate) async fn a_mark_that_somebody_took_off_makes_it_theirs(place: &Place) -> Result<()> {
    let backend = place.backend(|_| ()).await;
    let request = text("value");
    let coordinate = &request.mark.coordinate;
    backend.put(&request).await?;
    let body = r#"{"custom_metadata":{"owner":"somebody else"}}"#;
    place.as_root("POST", "metadata", coordinate, body).await;

    assert_eq!(backend.describe(coordinate).await?.mark, None);
    assert_eq!(backend.get(coordinate).await?.mark, None);
    assert!(backend.list(None).await?.secrets.is_empty());
    let kinds = [
        backend.put(&request).await.unwrap_err().kind(),
        backend
            .delete(coordinate, DeleteMode::Final, None)
            .await
            .unwrap_err()
            .kind(),
        backend
            .delete(coordinate, HOUR, None)
            .await
            .unwrap_err()
            .kind(),
        backend.restore(coordinate).await.unwrap_err().kind(),
        backend.lift_expiry(coordinate).await.unwrap_err().kind(),
    ];
    assert_eq!(kinds, [ErrorKind::Conflict; 5]);
    assert!(backend.get(coordinate).await?.value == request.value);
    Ok(())
}

pub(crate) async fn a_damaged_mark_is_corrupt_and_listed_as_none(place: &Place) -> Result<()> {
    let backend = place.backend(|_| ()).await;
    let (whole, request) = (text("value"), text("value"));
    let coordinate = &request.mark.coordinate;
    backend.put(&whole).await?;
    backend.put(&request).await?;
    let body = format!(
        "{{\"custom_metadata\":{{\"cloakroom_store\":\"{}\"}}}}",
        request.mark.store
    );
    place.as_root("POST", "metadata", coordinate, &body).await;
    let kinds = [
        backend.describe(coordinate).await.unwrap_err().kind(),
        backend.get(coordinate).await.unwrap_err().kind(),
        backend
            .delete(coordinate, DeleteMode::Final, None)
            .await
            .unwrap_err()
            .kind(),
    ];
    assert_eq!(kinds, [ErrorKind::Corrupt; 3]);

    place.as_root("DELETE", "data", coordinate, "").await;
    let listed = backend.list(None).await?.secrets;
    let mut marks: Vec<_> = listed.iter().map(|it| (&it.coordinate, &it.mark)).collect();
    marks.sort_by_key(|(_, mark)| mark.is_none());
    let mark = Some(whole.mark.clone());
    assert_eq!(
        marks,
        [(&whole.mark.coordinate, &mark), (coordinate, &None)]
    );
    let is_waiting =
        |it: &&Description| it.state == SecretState::ScheduledForDeletion { due: None };
    let waiting: Vec<_> = listed.iter().filter(is_waiting).collect();
    assert_eq!(waiting.len(), 1);
    assert_eq!(&waiting[0].coordinate, coordinate);
    backend.restore(coordinate).await?;
    let listed = backend.list(None).await?.secrets;
    assert!(listed.iter().all(|it| it.state == SecretState::Enabled));
    Ok(())
}

/// Somebody took fields of it off: what is in danger is saved all the same.
pub(crate) async fn an_expiry_is_taken_off_whatever_became_of_the_mark(
    place: &Place,
) -> Result<()> {
    let backend = place.backend(|_| ()).await;
    let mut request = text("value");
    request.native_expiry = Some(Duration::from_hours(1));
    let coordinate = &request.mark.coordinate;
    backend.put(&request).await?;
    let body = format!(
        "{{\"custom_metadata\":{{\"cloakroom_store\":\"{}\"}}}}",
        request.mark.store
    );
    place.as_root("POST", "metadata", coordinate, &body).await;
    let error = backend.describe(coordinate).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    let listed = backend.list(None).await?.secrets.remove(0);
    assert!(listed.mark.is_none() && listed.native_expiry.is_some());
    backend.lift_expiry(coordinate).await?;
    let listed = backend.list(None).await?.secrets.remove(0);
    assert_eq!((listed.mark, listed.native_expiry), (None, None));
    assert_eq!(listed.state, SecretState::Enabled);
    Ok(())
}

pub(crate) async fn a_copy_under_another_name_is_not_ours(place: &Place) -> Result<()> {
    let backend = place.backend(|_| ()).await;
    let (request, copy) = (text("value"), text("value"));
    backend.put(&request).await?;
    let custom: Vec<String> = request
        .mark
        .fields()
        .iter()
        .map(|(name, text)| format!("\"cloakroom_{name}\":\"{text}\""))
        .collect();
    let body = format!("{{\"custom_metadata\":{{{}}}}}", custom.join(","));
    let name = &copy.mark.coordinate;
    place.as_root("POST", "metadata", name, &body).await;
    let data = r#"{"data":{"value":"value"}}"#;
    place.as_root("POST", "data", name, data).await;

    assert_eq!(backend.describe(name).await?.mark, None);
    let listed = backend.list(None).await?.secrets;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].coordinate, request.mark.coordinate);
    let mut request = request;
    request.mark.coordinate = name.clone();
    let error = backend.put(&request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    Ok(())
}

/// Whoever takes the mark away while the value is under way leaves a secret that is nobody's.
pub(crate) async fn a_value_that_lands_late_finds_the_mark_of_its_put(place: &Place) -> Result<()> {
    for extensions in [true, false] {
        let backend = place
            .backend(|it| {
                it.openbao_extensions = extensions;
                it.purge_delay = Duration::ZERO;
            })
            .await;
        let purge = backend.purges().unwrap();
        let request = text("value");
        let (mark, coordinate) = (&request.mark, &request.mark.coordinate);
        let second = Duration::from_secs(1);
        assert_eq!(purge.outlast_put(mark, second).await?, None);
        dying(place).await.put(&request).await.unwrap_err();

        let mut others = mark.clone();
        "another".clone_into(&mut others.deployment);
        assert_eq!(purge.outlast_put(&others, second).await?, None);
        let hour = Duration::from_hours(1);
        let due = purge.outlast_put(mark, hour).await?;
        let waits = SecretState::ScheduledForDeletion { due };
        let described = backend.describe(coordinate).await?;
        assert!(due.is_some() && described.state == waits, "{described:?}");
        assert_eq!(described.mark.as_ref(), Some(mark));
        assert_eq!(backend.list(None).await?.secrets, [described]);
        assert!(backend.get(coordinate).await.unwrap_err().is_missing());
        assert!(backend.restore(coordinate).await.unwrap_err().is_missing());
        assert_eq!(purge.outlast_put(mark, second).await?, None);
        assert!(!purge.purge(mark, hour, Timestamp::MAX).await?);
        assert_eq!(
            backend.delete(coordinate, HOUR, None).await?,
            Deletion::AlreadyGone
        );

        // The second half of the put, as it was sent.
        let late = format!(
            r#"{{"options":{{"cas":0}},"data":{{"value":"{}"}}}}"#,
            request.value.expose_text().unwrap()
        );
        place.as_root("POST", "data", coordinate, &late).await;
        let described = backend.describe(coordinate).await?;
        assert_eq!(described.state, SecretState::Enabled);
        assert_eq!(described.mark.as_ref(), Some(mark));
        assert_eq!(backend.list(None).await?.secrets, [described]);
        assert_eq!(purge.outlast_put(mark, second).await?, None);
        let deletion = backend.delete(coordinate, DeleteMode::Final, None).await?;
        assert_eq!(deletion, Deletion::Deleted);
        assert!(backend.list(None).await?.secrets.is_empty());
    }
    Ok(())
}
