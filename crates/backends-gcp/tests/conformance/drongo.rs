//! What drongo agrees about: paths, verbs, encodings and codes as somebody else read them.
//!
//! It keeps no annotations, so that nothing there bears a mark; it has no expiry, no delayed
//! destruction, no checksums, no filters, no pages and ignores etags. The laws of every backend rest
//! on these, and run against the double that has them.

use std::time::Duration;

use cloakroom_backends_gcp::{GcpCredentials, GcpSettings};
use cloakroom_core::{
    DeleteMode, Deletion, ErrorKind, Randomness as _, Result, SecretBackend as _, SecretState,
    SystemRandomness,
};
use cloakroom_testkit::canary::marked_bytes;

use crate::double::{backend, client, request};

pub(crate) async fn what_it_knows_of(url: &str) -> Result<()> {
    let project = format!("p-{}", SystemRandomness.uuid());
    let backend = backend(GcpSettings {
        endpoint: Some(url.to_owned()),
        credentials: GcpCredentials::Anonymous,
        ..GcpSettings::new(&project)
    });
    let mut request = request("value");
    request.value = marked_bytes(&(0..=255).collect::<Vec<u8>>());
    let coordinate = &request.mark.coordinate;
    let unchecked = |error: cloakroom_core::Error| {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("checksum"), "{error}");
    };
    let missing = |error: cloakroom_core::Error| assert_eq!(error.kind(), ErrorKind::Missing);

    missing(backend.get(coordinate).await.unwrap_err());
    missing(backend.describe(coordinate).await.unwrap_err());
    let gone = backend.delete(coordinate, DeleteMode::Final, None).await?;
    assert_eq!(gone, Deletion::AlreadyGone);

    // It neither checks our checksum nor sends one, so the bytes are read back and cannot be taken.
    let version = format!("projects/{project}/secrets/{coordinate}/versions/1");
    let others = client(url).await;
    unchecked(backend.put(&request).await.unwrap_err());
    unchecked(backend.get(coordinate).await.unwrap_err());
    let read = others.access_secret_version().set_name(&version);
    let payload = read.send().await.unwrap().payload.unwrap();
    assert!(payload.data == request.value.expose(), "other bytes");
    assert_eq!(
        backend.describe(coordinate).await?.state,
        SecretState::Enabled
    );
    assert_eq!(
        backend.put(&request).await.unwrap_err().kind(),
        ErrorKind::Conflict
    );
    assert_eq!(backend.list(None).await?.secrets, []);

    // Without delayed destruction nothing may be destroyed.
    let week = DeleteMode::Recoverable(Duration::from_hours(7 * 24));
    let error = backend.delete(coordinate, week, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    unchecked(backend.get(coordinate).await.unwrap_err());

    others
        .disable_secret_version()
        .set_name(&version)
        .send()
        .await
        .unwrap();
    // Its `latest` is the newest *enabled* version, where Google's is the newest.
    missing(backend.get(coordinate).await.unwrap_err());
    others
        .enable_secret_version()
        .set_name(&version)
        .send()
        .await
        .unwrap();
    unchecked(backend.get(coordinate).await.unwrap_err());

    let deletion = backend.delete(coordinate, DeleteMode::Final, None).await?;
    assert_eq!(deletion, Deletion::Deleted);
    missing(backend.get(coordinate).await.unwrap_err());
    Ok(())
}
