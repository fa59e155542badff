//! Logging in, staying logged in, and credentials that are changed while it runs.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloakroom_backends_vault::{VaultAuth, VaultSettings};
use cloakroom_core::{CredentialSource, Error, ErrorKind, Result, SecretBackend as _, SecretValue};
use cloakroom_testkit::canary::{marked, marked_bytes};

use crate::server::{Place, backend, field, text};

/// A credential that somebody changes, as one would a file.
#[derive(Clone)]
struct Changing(Arc<Mutex<Option<SecretValue>>>);

impl Changing {
    fn new(now: SecretValue) -> Self {
        Self(Arc::new(Mutex::new(Some(now))))
    }

    fn becomes(&self, now: Option<SecretValue>) {
        *self.0.lock().unwrap() = now;
    }
}

impl CredentialSource for Changing {
    fn read(&self) -> Result<SecretValue> {
        let gone = || {
            Error::new(
                ErrorKind::Denied,
                "read a credential",
                "there is no such file",
            )
        };
        self.0.lock().unwrap().clone().ok_or_else(gone)
    }
}

/// A role under the read-write policy, at a mount of its own; gives the role's id.
async fn role(place: &Place, mount: &str, options: &str) -> String {
    let server = &place.server;
    let body = r#"{"type":"approle"}"#;
    server
        .done("POST", &format!("sys/auth/{mount}"), body)
        .await;
    let body = format!(
        "{{\"token_policies\":[\"read-write\"],\"token_no_default_policy\":true{options}}}"
    );
    server
        .done("POST", &format!("auth/{mount}/role/cloakroom"), &body)
        .await;
    let path = format!("auth/{mount}/role/cloakroom/role-id");
    field(&server.done("GET", &path, "").await, "role_id")
}

async fn secret_id(place: &Place, mount: &str) -> SecretValue {
    let path = format!("auth/{mount}/role/cloakroom/secret-id");
    let answer = place.server.done("POST", &path, "").await;
    // As it comes out of a file.
    SecretValue::from(format!("{}\n", field(&answer, "secret_id")))
}

fn app_role(place: &Place, mount: &str, role_id: String, secret_id: Changing) -> VaultSettings {
    VaultSettings {
        auth: VaultAuth::AppRole {
            mount: mount.to_owned(),
            role_id,
            secret_id: Some(Arc::new(secret_id)),
        },
        ..place.settings(place.root())
    }
}

pub(crate) async fn a_rotated_token_needs_no_restart(place: &Place) -> Result<()> {
    let first = place.token("read-write").await;
    let source = Changing::new(first.clone());
    let backend = backend(place.settings(source.clone()));
    let request = text("value");
    backend.put(&request).await?;

    source.becomes(Some(place.token("read-write").await));
    place.revoke(&first).await;
    assert!(backend.get(&request.mark.coordinate).await?.value == request.value);

    source.becomes(Some(first));
    let error = crate::server::backend(place.settings(source))
        .get(&request.mark.coordinate)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    Ok(())
}

pub(crate) async fn an_app_role_logs_in_and_again_after_a_revocation(place: &Place) -> Result<()> {
    let mount = format!("role-{}", place.prefix.split('/').nth(1).unwrap());
    let role_id = role(place, &mount, "").await;
    let source = Changing::new(secret_id(place, &mount).await);
    let backend = backend(app_role(place, &mount, role_id.clone(), source.clone()));
    let request = text("value");
    backend.put(&request).await?;

    // Everything the method ever issued is revoked, and the secret id is another one.
    source.becomes(Some(secret_id(place, &mount).await));
    let path = format!("sys/leases/revoke-prefix/auth/{mount}");
    place.server.done("POST", &path, "{\"sync\":true}").await;
    assert!(backend.get(&request.mark.coordinate).await?.value == request.value);

    let wrong = Changing::new(marked("secret-id"));
    let error = crate::server::backend(app_role(place, &mount, role_id, wrong.clone()))
        .get(&request.mark.coordinate)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(!format!("{error:?}").contains("canary"));
    let error = crate::server::backend(app_role(place, "nowhere", "id".to_owned(), wrong))
        .get(&request.mark.coordinate)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    Ok(())
}

/// Lets this process's clock pass without the server's.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

pub(crate) async fn a_session_is_renewed_before_it_ends(place: &Place) -> Result<()> {
    let mount = format!("renewed-{}", place.prefix.split('/').nth(1).unwrap());
    // Nobody logs in twice with one secret id.
    let options = r#","token_ttl":"1h","token_max_ttl":"24h","secret_id_num_uses":1"#;
    let role_id = role(place, &mount, options).await;
    let source = Changing::new(secret_id(place, &mount).await);
    let backend = backend(app_role(place, &mount, role_id, source));
    let request = text("value");
    let coordinate = &request.mark.coordinate;
    backend.put(&request).await?;
    for _ in 0..4 {
        pass(Duration::from_mins(41)).await;
        backend.get(coordinate).await?;
    }
    // Whoever slept through the whole life of a token has to log in.
    pass(Duration::from_hours(25)).await;
    let path = format!("sys/leases/revoke-prefix/auth/{mount}");
    place.server.done("POST", &path, "{\"sync\":true}").await;
    let error = backend.get(coordinate).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    Ok(())
}

pub(crate) async fn a_credential_that_is_not_there_is_denied(place: &Place) -> Result<()> {
    let source = Changing::new(SecretValue::from(" \n".to_owned()));
    let backend = backend(place.settings(source.clone()));
    let request = text("value");
    let error = backend.put(&request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    source.becomes(None);
    let error = backend.put(&request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    source.becomes(Some(place.token("read-write").await));
    backend.put(&request).await?;
    Ok(())
}

pub(crate) async fn a_token_that_cannot_stand_in_a_header_is_denied(place: &Place) -> Result<()> {
    for wrong in ["\ntwo lines", "\u{e9}", " and another word"] {
        let token = marked_bytes(wrong.as_bytes());
        let error = backend(place.settings(token)).list(None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert!(!format!("{error:?}").contains("canary"));
    }
    Ok(())
}
