//! Laws of this backend's deletions: delayed destruction, and deletions that broke off.

use std::time::Duration;

use cloakroom_core::{
    DeleteMode, Deletion, ErrorKind, Precondition, PutOutcome, Result, SecretBackend as _,
    SecretState,
};
use cloakroom_testkit::canary::marked;
use google_cloud_secretmanager_v1::model::secret_version::State;
use google_cloud_wkt::{self as wkt, FieldMask};

use crate::double::{Double, payload, plain, request};
use crate::laws;

laws![
    what_somebody_destroyed_can_be_brought_back,
    what_somebody_destroyed_at_once_is_gone,
    a_deletion_that_broke_off_is_finished,
    a_refused_deletion_is_taken_back,
    a_restore_that_broke_off_is_finished,
    a_window_is_as_long_as_was_asked,
    every_version_of_a_strangers_secret_comes_back,
    a_strangers_new_version_is_a_change,
    a_strange_precondition_is_invalid,
    an_expiry_is_not_taken_off_what_waits,
    what_bears_a_damaged_mark_is_brought_back,
];

const DAY: Duration = Duration::from_hours(24);
const WEEK: DeleteMode = DeleteMode::Recoverable(Duration::from_hours(7 * 24));

async fn what_somebody_destroyed_can_be_brought_back(double: Double) -> Result<()> {
    let project = double.project();
    let (backend, request) = (project.backend(), request("value"));
    let coordinate = &request.mark.coordinate;
    backend.put(&request).await?;
    let version = format!("{}/versions/1", project.secret(coordinate));
    let others = project.others().await;
    others
        .destroy_secret_version()
        .set_name(&version)
        .send()
        .await
        .unwrap();

    let waiting = ErrorKind::ScheduledForDeletion;
    let state = backend.describe(coordinate).await?.state;
    assert!(
        matches!(state, SecretState::ScheduledForDeletion { due: Some(_) }),
        "{state:?}"
    );
    assert_eq!(backend.get(coordinate).await.unwrap_err().kind(), waiting);
    assert_eq!(backend.put(&request).await.unwrap_err().kind(), waiting);
    backend.restore(coordinate).await?;
    assert_eq!(backend.get(coordinate).await?.value, request.value);
    Ok(())
}

async fn what_somebody_destroyed_at_once_is_gone(double: Double) -> Result<()> {
    let project = double.project();
    let mut settings = project.settings();
    settings.destroy_delay = None;
    let (backend, request) = (crate::double::backend(settings), request("value"));
    let coordinate = &request.mark.coordinate;
    backend.put(&request).await?;
    let version = format!("{}/versions/1", project.secret(coordinate));
    let others = project.others().await;
    others
        .destroy_secret_version()
        .set_name(&version)
        .send()
        .await
        .unwrap();

    assert_eq!(
        backend.get(coordinate).await.unwrap_err().kind(),
        ErrorKind::Missing
    );
    assert_eq!(
        backend.restore(coordinate).await.unwrap_err().kind(),
        ErrorKind::Missing
    );
    assert_eq!(
        backend.put(&request).await.unwrap_err().kind(),
        ErrorKind::Conflict
    );
    // What is left of it is still seen, so that it is cleared up.
    let described = backend.describe(coordinate).await?;
    assert_eq!(described.state, SecretState::Destroyed);
    let state = described.precondition.as_ref();
    let deletion = backend.delete(coordinate, DeleteMode::Final, state).await?;
    assert_eq!(deletion, Deletion::Deleted);
    Ok(())
}

/// The secret says that it waits; the version was not destroyed any more.
async fn a_deletion_that_broke_off_is_finished(double: Double) -> Result<()> {
    let project = double.project();
    let (backend, request) = (project.backend(), request("value"));
    let coordinate = &request.mark.coordinate;
    backend.put(&request).await?;
    let others = project.others().await;
    let seen = others.get_secret().set_name(project.secret(coordinate));
    let mut secret = seen.send().await.unwrap();
    secret
        .annotations
        .insert("cloakroom-deleted".to_owned(), "true".to_owned());
    let secret = secret.set_ttl(wkt::Duration::clamp(7 * 24 * 3600, 0));
    let mask = FieldMask::default().set_paths(["annotations", "ttl"]);
    let update = others
        .update_secret()
        .set_secret(secret)
        .set_update_mask(mask);
    update.send().await.unwrap();

    let listed = backend.list(None).await?.secrets;
    let waits = |state| matches!(state, SecretState::ScheduledForDeletion { due: Some(_) });
    assert!(waits(listed[0].state), "{listed:?}");
    let waiting = ErrorKind::ScheduledForDeletion;
    assert_eq!(backend.get(coordinate).await.unwrap_err().kind(), waiting);
    let again = backend.delete(coordinate, WEEK, None).await?;
    assert_eq!(again, Deletion::AlreadyGone);
    let version = format!("{}/versions/1", project.secret(coordinate));
    let others = project.others().await;
    let version = others
        .get_secret_version()
        .set_name(version)
        .send()
        .await
        .unwrap();
    assert_eq!(version.state, State::Disabled);
    assert!(version.scheduled_destroy_time.is_some());
    Ok(())
}

/// Where the versions cannot be destroyed, the secret does not wait for its end.
async fn a_refused_deletion_is_taken_back(double: Double) -> Result<()> {
    let project = double.project();
    let (backend, request) = (project.backend(), request("value"));
    let coordinate = &request.mark.coordinate;
    backend.put(&request).await?;
    let hindered = project.with_token("not:secretmanager.versions.destroy");
    let error = hindered.delete(coordinate, WEEK, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    let described = backend.describe(coordinate).await?;
    assert_eq!(described.state, SecretState::Enabled);
    assert_eq!(described.native_expiry, None);
    Ok(())
}

/// The version is back; the secret still says that it waits.
async fn a_restore_that_broke_off_is_finished(double: Double) -> Result<()> {
    let project = double.project();
    let (backend, request) = (project.backend(), request("value"));
    let coordinate = &request.mark.coordinate;
    backend.put(&request).await?;
    backend.delete(coordinate, WEEK, None).await?;
    let hindered = project.with_token("not:secretmanager.secrets.update");
    let error = hindered.restore(coordinate).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");

    let state = backend.describe(coordinate).await?.state;
    assert!(
        matches!(state, SecretState::ScheduledForDeletion { .. }),
        "{state:?}"
    );
    backend.restore(coordinate).await?;
    assert_eq!(backend.get(coordinate).await?.value, request.value);
    assert_eq!(backend.describe(coordinate).await?.native_expiry, None);
    Ok(())
}

async fn a_window_is_as_long_as_was_asked(double: Double) -> Result<()> {
    let project = double.project();
    let (backend, request) = (project.backend(), request("value"));
    let coordinate = &request.mark.coordinate;
    backend.put(&request).await?;
    backend
        .delete(coordinate, DeleteMode::Recoverable(30 * DAY), None)
        .await?;
    let advance = async |days: u32| {
        let seconds = (days * DAY).as_secs();
        double
            .control(&format!("{}/advance?seconds={seconds}", project.name))
            .await;
    };
    advance(29).await;
    backend.restore(coordinate).await?;
    backend
        .delete(coordinate, DeleteMode::Recoverable(DAY), None)
        .await?;
    advance(2).await;
    assert_eq!(project.count().await, 0);
    assert_eq!(backend.put(&request).await?, PutOutcome::Created);
    Ok(())
}

async fn every_version_of_a_strangers_secret_comes_back(double: Double) -> Result<()> {
    let project = double.project();
    let (backend, coordinate) = (project.backend(), request("value").mark.coordinate);
    let others = project.others().await;
    let create = others
        .create_secret()
        .set_parent(format!("projects/{}", project.name));
    create
        .set_secret_id(coordinate.as_str())
        .set_secret(plain())
        .send()
        .await
        .unwrap();
    for value in ["first", "second", "third"] {
        let add = others
            .add_secret_version()
            .set_parent(project.secret(&coordinate));
        let value = marked(value);
        add.set_payload(payload(&value)).send().await.unwrap();
    }
    assert_eq!(backend.get(&coordinate).await?.value, marked("third"));
    backend.delete(&coordinate, WEEK, None).await?;
    let states = async || {
        let list = others
            .list_secret_versions()
            .set_parent(project.secret(&coordinate));
        let versions = list.send().await.unwrap().versions.into_iter();
        versions.map(|it| it.state).collect::<Vec<_>>()
    };
    assert_eq!(
        states().await,
        [State::Disabled, State::Disabled, State::Disabled]
    );
    backend.restore(&coordinate).await?;
    assert_eq!(
        states().await,
        [State::Enabled, State::Enabled, State::Enabled]
    );
    assert_eq!(backend.get(&coordinate).await?.value, marked("third"));
    Ok(())
}

async fn a_strangers_new_version_is_a_change(double: Double) -> Result<()> {
    let project = double.project();
    let (backend, coordinate) = (project.backend(), request("value").mark.coordinate);
    let others = project.others().await;
    let create = others
        .create_secret()
        .set_parent(format!("projects/{}", project.name));
    create
        .set_secret_id(coordinate.as_str())
        .set_secret(plain())
        .send()
        .await
        .unwrap();
    let add = async || {
        let add = others
            .add_secret_version()
            .set_parent(project.secret(&coordinate));
        let value = marked("value");
        add.set_payload(payload(&value)).send().await.unwrap();
    };
    add().await;
    let before = backend.describe(&coordinate).await?;
    add().await;
    let after = backend.describe(&coordinate).await?;
    assert!(before.changed < after.changed);
    for mode in [DeleteMode::Final, WEEK] {
        let stale = before.precondition.as_ref();
        let error = backend.delete(&coordinate, mode, stale).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    }
    let fresh = after.precondition.as_ref();
    let deletion = backend
        .delete(&coordinate, DeleteMode::Final, fresh)
        .await?;
    assert_eq!(deletion, Deletion::Deleted);
    Ok(())
}

async fn a_strange_precondition_is_invalid(double: Double) -> Result<()> {
    let project = double.project();
    let (backend, request) = (project.backend(), request("value"));
    let coordinate = &request.mark.coordinate;
    backend.put(&request).await?;
    for strange in ["", "etag", " first "] {
        let state = Precondition(strange.into());
        for mode in [DeleteMode::Final, WEEK] {
            let error = backend
                .delete(coordinate, mode, Some(&state))
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        }
    }
    assert_eq!(backend.get(coordinate).await?.value, request.value);
    Ok(())
}

async fn an_expiry_is_not_taken_off_what_waits(double: Double) -> Result<()> {
    let project = double.project();
    let (backend, request) = (project.backend(), request("value"));
    let coordinate = &request.mark.coordinate;
    backend.put(&request).await?;
    backend.delete(coordinate, WEEK, None).await?;
    let error = backend.lift_expiry(coordinate).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ScheduledForDeletion, "{error}");
    let described = backend.describe(coordinate).await?;
    assert_eq!(
        described.native_expiry, None,
        "the end of the window is no expiry"
    );
    Ok(())
}

/// Somebody took a field of its mark off: what is in danger is saved all the same, and nothing else is done to it.
async fn what_bears_a_damaged_mark_is_brought_back(double: Double) -> Result<()> {
    let project = double.project();
    let backend = project.backend();
    for waits in [true, false] {
        let mut request = request("value");
        request.native_expiry = (!waits).then_some(DAY);
        let coordinate = &request.mark.coordinate;
        backend.put(&request).await?;
        if waits {
            backend.delete(coordinate, WEEK, None).await?;
        }
        let others = project.others().await;
        let seen = others.get_secret().set_name(project.secret(coordinate));
        let mut secret = seen.send().await.unwrap();
        secret.annotations.remove("cloakroom-digest").unwrap();
        let mask = FieldMask::default().set_paths(["annotations"]);
        let update = others.update_secret().set_secret(secret);
        update.set_update_mask(mask).send().await.unwrap();
        let listed = async || {
            let mut all = backend.list(None).await?.secrets;
            all.retain(|it| it.coordinate == *coordinate);
            Ok::<_, cloakroom_core::Error>(all.remove(0))
        };
        let before = listed().await?;
        assert_eq!(before.mark, None);
        assert!(before.state.is_waiting() == waits && before.native_expiry.is_some() != waits);

        let refused = backend.describe(coordinate).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Corrupt, "{refused}");
        if waits {
            backend.restore(coordinate).await?;
        } else {
            backend.lift_expiry(coordinate).await?;
        }
        let after = listed().await?;
        assert_eq!((after.mark, after.native_expiry), (None, None));
        assert_eq!(after.state, SecretState::Enabled);
        let version = format!("{}/versions/1", project.secret(coordinate));
        let read = others.access_secret_version().set_name(&version);
        let payload = read.send().await.unwrap().payload.unwrap();
        assert!(payload.data == request.value.expose(), "other bytes");
        let seen = others.get_secret().set_name(project.secret(coordinate));
        assert_eq!(seen.send().await.unwrap().expiration, None);
    }
    Ok(())
}
