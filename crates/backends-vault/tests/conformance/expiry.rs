//! What passes with the server's own time, held against real seconds.

use std::time::Duration;

use cloakroom_core::{
    Coordinate, DeleteMode, Deletion, ErrorKind, PutOutcome, Result, SecretBackend, SecretState,
};

use crate::server::{Place, backend, text};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);

/// Asks until an answer is right; fails when the server's time must have come long since.
async fn until<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asked = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    let within = Duration::from_secs(30);
    tokio::time::timeout(within, asked).await.unwrap()
}

async fn is_missing(backend: &dyn SecretBackend, coordinate: &Coordinate) -> Option<()> {
    let error = backend.describe(coordinate).await.err()?;
    error.is_missing().then_some(())
}

pub(crate) async fn what_expired_is_hidden_and_can_be_deleted(place: &Place) -> Result<()> {
    let backend = place.backend(|_| ()).await;
    let mut request = text("value");
    request.native_expiry = Some(SECOND);
    let coordinate = request.mark.coordinate.clone();
    assert_eq!(backend.put(&request).await?, PutOutcome::Created);
    let error = until(async || backend.get(&coordinate).await.err()).await;
    assert_eq!(error.kind(), ErrorKind::ScheduledForDeletion, "{error}");
    let described = backend.describe(&coordinate).await?;
    let endless = SecretState::ScheduledForDeletion { due: None };
    assert_eq!((described.state, described.native_expiry), (endless, None));
    assert_eq!(backend.list(None).await?.secrets.len(), 1);

    // Brought back and kept: what a document turned out to refer to.
    backend.lift_expiry(&coordinate).await?;
    backend.restore(&coordinate).await?;
    assert_eq!(backend.describe(&coordinate).await?.native_expiry, None);
    assert!(backend.get(&coordinate).await?.value == request.value);

    let deletion = backend.delete(&coordinate, DeleteMode::Final, None).await?;
    assert_eq!(deletion, Deletion::Deleted);
    assert!(backend.list(None).await?.secrets.is_empty());
    Ok(())
}

pub(crate) async fn a_window_that_ended_is_purged(place: &Place) -> Result<()> {
    let backend = place.backend(|it| it.purge_delay = Duration::ZERO).await;
    let requests = [text("listed"), text("put"), text("deleted"), text("kept")];
    let names: Vec<_> = requests
        .iter()
        .map(|it| it.mark.coordinate.clone())
        .collect();
    for request in &requests {
        backend.put(request).await?;
    }
    for (name, window) in names.iter().zip([SECOND, SECOND, SECOND, HOUR]) {
        let mode = DeleteMode::Recoverable(window);
        backend.delete(name, mode, None).await?;
    }
    for name in &names[..3] {
        until(async || is_missing(&backend, name).await).await;
        assert!(backend.get(name).await.unwrap_err().is_missing());
        assert!(backend.restore(name).await.unwrap_err().is_missing());
    }
    // A put and a deletion find what is over, and a listing removes it.
    assert_eq!(backend.put(&requests[1]).await?, PutOutcome::Created);
    let deletion = backend.delete(&names[2], DeleteMode::Final, None).await?;
    assert_eq!(deletion, Deletion::AlreadyGone);
    let listed = backend.list(None).await?.secrets;
    assert_eq!(listed.len(), 2);
    let keys = place
        .server
        .done("LIST", &format!("secret/metadata/{}", place.prefix), "")
        .await;
    assert!(!keys.contains(names[0].as_str()), "{keys}");
    backend.restore(&names[3]).await?;
    Ok(())
}

pub(crate) async fn an_unending_purge_delay_keeps_what_waits(place: &Place) -> Result<()> {
    let hasty = place.backend(|it| it.purge_delay = Duration::ZERO).await;
    let patient = place.backend(|_| ()).await;
    let request = text("value");
    let coordinate = &request.mark.coordinate;
    patient.put(&request).await?;
    let mode = DeleteMode::Recoverable(SECOND);
    patient.delete(coordinate, mode, None).await?;
    until(async || is_missing(&hasty, coordinate).await).await;
    // The window is over; what is on its way to be restored still comes back.
    assert_eq!(patient.list(None).await?.secrets.len(), 1);
    patient.restore(coordinate).await?;
    assert!(hasty.get(coordinate).await?.value == request.value);
    Ok(())
}

pub(crate) async fn a_mount_that_expires_everything_is_refused(place: &Place) -> Result<()> {
    let mount = format!("fleeting-{}", place.prefix.split('/').nth(1).unwrap());
    place.server.mount(None, &mount).await;
    let config = r#"{"delete_version_after":"1h"}"#;
    let path = format!("{mount}/config");
    place.server.done("POST", &path, config).await;
    let mut settings = place.settings(place.root());
    settings.mount = mount;
    let backend = backend(settings);
    let mut request = text("value");
    let coordinate = request.mark.coordinate.clone();
    let error = backend.put(&request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(backend.list(None).await?.secrets.is_empty());

    request.native_expiry = Some(SECOND * 60);
    assert_eq!(backend.put(&request).await?, PutOutcome::Created);
    let error = backend.lift_expiry(&coordinate).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    Ok(())
}
