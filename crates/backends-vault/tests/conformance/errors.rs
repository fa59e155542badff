//! Answers that are not about a secret at all, and what of them is told.

use std::env;
use std::time::Duration;

use cloakroom_core::{DeleteMode, ErrorKind, PageToken, PutRequest, Result, SecretBackend};
use cloakroom_testkit::canary::marked;
use tokio::net::TcpListener;

use crate::server::{Place, backend, text};

async fn kinds(backend: &dyn SecretBackend, request: &PutRequest) -> Vec<ErrorKind> {
    let coordinate = &request.mark.coordinate;
    vec![
        backend.put(request).await.unwrap_err().kind(),
        backend.get(coordinate).await.unwrap_err().kind(),
        backend.describe(coordinate).await.unwrap_err().kind(),
        backend.list(None).await.unwrap_err().kind(),
        backend
            .delete(coordinate, DeleteMode::Final, None)
            .await
            .unwrap_err()
            .kind(),
        backend.restore(coordinate).await.unwrap_err().kind(),
        backend.lift_expiry(coordinate).await.unwrap_err().kind(),
    ]
}

pub(crate) async fn a_wrong_mount_is_never_missing(place: &Place) -> Result<()> {
    let mut settings = place.settings(place.root());
    settings.mount = String::from("nowhere");
    let backend = backend(settings);
    assert_eq!(
        kinds(&backend, &text("value")).await,
        [ErrorKind::Denied; 7]
    );
    Ok(())
}

pub(crate) async fn a_mount_of_version_one_is_invalid(place: &Place) -> Result<()> {
    let mount = format!("one-{}", place.prefix.split('/').nth(1).unwrap());
    let body = r#"{"type":"kv","options":{"version":"1"}}"#;
    let path = format!("sys/mounts/{mount}");
    place.server.done("POST", &path, body).await;
    let mut settings = place.settings(place.root());
    settings.mount = mount;
    let backend = backend(settings);
    assert_eq!(
        kinds(&backend, &text("value")).await,
        [ErrorKind::Invalid; 7]
    );
    Ok(())
}

pub(crate) async fn a_wrong_namespace_is_never_missing(place: &Place) -> Result<()> {
    let mut settings = place.settings(place.token("read-write").await);
    settings.namespace = Some("nowhere".to_owned());
    for kind in kinds(&backend(settings), &text("value")).await {
        assert!(
            matches!(kind, ErrorKind::Denied | ErrorKind::Unavailable),
            "{kind}"
        );
    }
    Ok(())
}

pub(crate) async fn a_server_that_is_gone_is_unavailable(place: &Place) -> Result<()> {
    let mut settings = place.settings(place.root());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    settings.address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let kinds = kinds(&backend(settings), &text("value")).await;
    assert_eq!(kinds, [ErrorKind::Unavailable; 7]);
    Ok(())
}

pub(crate) async fn silence_is_unavailable_in_time(place: &Place) -> Result<()> {
    let mut settings = place.settings(place.root());
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    settings.address = format!("http://{}", silent.local_addr().unwrap());
    settings.timeout = Duration::from_millis(50);
    let kinds = kinds(&backend(settings), &text("value")).await;
    assert_eq!(kinds, [ErrorKind::Unavailable; 7]);
    drop(silent);
    Ok(())
}

pub(crate) async fn another_certificate_authority_is_needed(place: &Place) -> Result<()> {
    let mut settings = place.settings(place.token("read-write").await);
    settings.address = env::var("CLOAKROOM_TEST_OPENBAO_TLS_URL").unwrap();
    let error = backend(settings.clone()).list(None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");

    settings.ca_file = Some(env::var("CLOAKROOM_TEST_OPENBAO_CA").unwrap().into());
    let backend = backend(settings.clone());
    let request = text("value");
    backend.put(&request).await?;
    assert!(backend.get(&request.mark.coordinate).await?.value == request.value);

    let folder = tempfile::tempdir().unwrap();
    for (name, content) in [("empty.pem", ""), ("text.pem", "no certificate")] {
        let file = folder.path().join(name);
        std::fs::write(&file, content).unwrap();
        settings.ca_file = Some(file);
        let refused =
            cloakroom_backends_vault::VaultBackend::new("vault".parse()?, settings.clone());
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    }
    settings.ca_file = Some(folder.path().join("nothing.pem"));
    let refused = cloakroom_backends_vault::VaultBackend::new("vault".parse()?, settings);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    Ok(())
}

pub(crate) async fn nothing_shows_a_credential_or_a_value(place: &Place) -> Result<()> {
    let wrong = place.settings(marked("token"));
    let misled = backend(wrong.clone());
    let right = place.backend(|_| ()).await;
    let request = text("value");
    let coordinate = &request.mark.coordinate;
    right.put(&request).await?;
    let other = crate::server::again(coordinate, request.mark.store, "other");
    let shown = [
        format!("{wrong:?}"),
        format!("{misled:?}"),
        format!("{:?}", misled.put(&request).await.unwrap_err()),
        format!("{:?}", misled.get(coordinate).await.unwrap_err()),
        format!("{:?}", right.put(&other).await.unwrap_err()),
        format!("{:?}", right.get(coordinate).await?),
        format!("{:?}", right.describe(coordinate).await?),
        format!("{:?}", right.list(None).await?),
    ];
    for shown in shown {
        assert!(!shown.contains("canary"), "{shown}");
    }
    assert!(!right.manager().contains("token"));
    Ok(())
}

pub(crate) async fn others_page_tokens_are_invalid(place: &Place) -> Result<()> {
    let backend = place.backend(|it| it.prefix.push_str("stem-")).await;
    for strange in ["", "stem", "other-x_v1", "stem-\n", "stem-\u{e9}"] {
        let token = PageToken(strange.into());
        let error = backend.list(Some(&token)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{strange:?}");
    }
    Ok(())
}

pub(crate) async fn a_deployment_without_a_name_is_invalid(place: &Place) -> Result<()> {
    let backend = place.backend(|_| ()).await;
    for deployment in [String::new(), "d".repeat(513), "line\nbreak".to_owned()] {
        let mut request = text("value");
        request.mark.deployment = deployment;
        let error = backend.put(&request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
    assert!(backend.list(None).await?.secrets.is_empty());
    Ok(())
}
