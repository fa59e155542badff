//! Laws of credentials: rotated without a restart, refused clearly, never shown.

use std::error::Error as _;
use std::sync::{Arc, Mutex, PoisonError};

use cloakroom_backends_gcp::{GcpCredentials, GcpSettings};
use cloakroom_core::{
    CredentialSource, Error, ErrorKind, PutOutcome, Result, SecretBackend as _, SecretValue,
};
use cloakroom_testkit::canary::MARKER;

use crate::double::{Double, backend, permissions, request};
use crate::laws;

laws![
    a_rotated_credential_needs_no_restart,
    a_credential_that_gained_a_right_is_taken_up,
    a_credential_that_stays_refused_is_denied,
    workload_identity_logs_in,
    what_is_no_credential_is_denied,
    an_unreadable_credential_is_told_as_such,
    verify_only_describes_and_lists,
    nothing_shows_a_value_or_a_credential,
];

const VERIFY_ONLY: &str = include_str!("../../../../deploy/policies/gcp/verify-only.yaml");

/// A file that somebody writes anew.
#[derive(Clone)]
struct File(Arc<Mutex<Result<SecretValue, ErrorKind>>>);

impl File {
    fn new(key: SecretValue) -> Self {
        Self(Arc::new(Mutex::new(Ok(key))))
    }

    fn write(&self, content: Result<SecretValue, ErrorKind>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = content;
    }
}

impl CredentialSource for File {
    fn read(&self) -> Result<SecretValue> {
        let content = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        content
            .clone()
            .map_err(|kind| Error::new(kind, "read a credential", "no"))
    }
}

/// A token of its own for each law: what one revokes no other uses.
pub(crate) fn token(name: &str) -> String {
    format!("all:{MARKER}-{name}-{}", request("value").mark.store)
}

async fn a_rotated_credential_needs_no_restart(double: Double) -> Result<()> {
    let (project, old, new) = (double.project(), token("old"), token("new"));
    let file = File::new(double.key(&old));
    let backend = backend(GcpSettings {
        credentials: GcpCredentials::Json(Arc::new(file.clone())),
        ..project.settings()
    });
    let (first, second) = (request("value"), request("value"));
    backend.put(&first).await?;

    double.control(&format!("revoke?token={old}")).await;
    let error = backend.get(&first.mark.coordinate).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    file.write(Ok(double.key(&new)));
    assert_eq!(
        backend.get(&first.mark.coordinate).await?.value,
        first.value
    );
    assert_eq!(backend.put(&second).await?, PutOutcome::Created);
    Ok(())
}

async fn a_credential_that_gained_a_right_is_taken_up(double: Double) -> Result<()> {
    let project = double.project();
    let file = File::new(double.key("not:secretmanager.secrets.create"));
    let backend = backend(GcpSettings {
        credentials: GcpCredentials::Json(Arc::new(file.clone())),
        ..project.settings()
    });
    let request = request("value");
    assert_eq!(
        backend.put(&request).await.unwrap_err().kind(),
        ErrorKind::Denied
    );
    file.write(Ok(double.key(&token("more"))));
    assert_eq!(backend.put(&request).await?, PutOutcome::Created);
    Ok(())
}

async fn a_credential_that_stays_refused_is_denied(double: Double) -> Result<()> {
    let project = double.project();
    let backend = project.with_token("somebody-unknown");
    let request = request("value");
    let coordinate = &request.mark.coordinate;
    let kinds = [
        backend.put(&request).await.unwrap_err().kind(),
        backend.get(coordinate).await.unwrap_err().kind(),
        backend.describe(coordinate).await.unwrap_err().kind(),
        backend.list(None).await.unwrap_err().kind(),
        backend.restore(coordinate).await.unwrap_err().kind(),
        backend.lift_expiry(coordinate).await.unwrap_err().kind(),
    ];
    assert_eq!(kinds, [ErrorKind::Denied; 6]);
    Ok(())
}

/// Federation: a token of somebody else's, from a file, is exchanged for one of Google's.
async fn workload_identity_logs_in(double: Double) -> Result<()> {
    let project = double.project();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, token("federated")).unwrap();
    let json = format!(
        r#"{{"type": "external_account", "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": "{}/token", "credential_source": {{"file": "{}"}}}}"#,
        double.url,
        file.display()
    );
    let backend = backend(GcpSettings {
        credentials: GcpCredentials::Json(Arc::new(SecretValue::from(json))),
        ..project.settings()
    });
    assert_eq!(backend.put(&request("value")).await?, PutOutcome::Created);
    assert_eq!(backend.list(None).await?.secrets.len(), 1);
    Ok(())
}

async fn what_is_no_credential_is_denied(double: Double) -> Result<()> {
    let project = double.project();
    for text in [
        "",
        "not json",
        "{}",
        r#"{"type": "canary-7f3a9c1e2b"}"#,
        r#"{"type": "service_account"}"#,
    ] {
        let backend = backend(GcpSettings {
            credentials: GcpCredentials::Json(Arc::new(SecretValue::from(text.to_owned()))),
            ..project.settings()
        });
        let error = backend.list(None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{text}: {error}");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
    Ok(())
}

async fn an_unreadable_credential_is_told_as_such(double: Double) -> Result<()> {
    let project = double.project();
    let file = File::new(double.key(&token("late")));
    let backend = backend(GcpSettings {
        credentials: GcpCredentials::Json(Arc::new(file.clone())),
        ..project.settings()
    });
    for kind in [ErrorKind::Unavailable, ErrorKind::Denied] {
        file.write(Err(kind));
        assert_eq!(backend.list(None).await.unwrap_err().kind(), kind);
    }
    file.write(Ok(double.key(&token("there"))));
    backend.list(None).await?;
    Ok(())
}

async fn verify_only_describes_and_lists(double: Double) -> Result<()> {
    let project = double.project();
    let (writer, request) = (project.backend(), request("value"));
    let coordinate = &request.mark.coordinate;
    writer.put(&request).await?;
    let mut settings = project.settings();
    settings.credentials = double.credentials(&format!("only:{}", permissions(VERIFY_ONLY)));
    settings.look_at_versions = true;
    let verifier = backend(settings);
    assert_eq!(
        verifier.describe(coordinate).await?.mark.as_ref(),
        Some(&request.mark)
    );
    assert_eq!(verifier.list(None).await?.secrets.len(), 1);
    let mode = cloakroom_core::DeleteMode::Final;
    let kinds = [
        verifier.get(coordinate).await.unwrap_err().kind(),
        verifier
            .put(&crate::double::request("other"))
            .await
            .unwrap_err()
            .kind(),
        verifier
            .delete(coordinate, mode, None)
            .await
            .unwrap_err()
            .kind(),
    ];
    assert_eq!(kinds, [ErrorKind::Denied; 3]);
    assert_eq!(writer.get(coordinate).await?.value, request.value);
    Ok(())
}

async fn nothing_shows_a_value_or_a_credential(double: Double) -> Result<()> {
    let project = double.project();
    let request = request("value");
    let coordinate = &request.mark.coordinate;
    let stored = project.backend();
    stored.put(&request).await?;
    let mut shown = vec![
        format!("{:?}", project.settings()),
        format!("{:?}", stored.get(coordinate).await?),
        format!("{:?}", stored.describe(coordinate).await?),
        format!("{:?}", stored.list(None).await?),
    ];
    for token in [
        "canary-7f3a9c1e2b-token",
        "only:canary-7f3a9c1e2b-token",
        "not:secretmanager.versions.add",
    ] {
        let mut hindered = project.settings();
        hindered.credentials = double.credentials(token);
        shown.push(format!("{hindered:?}"));
        let hindered = backend(hindered);
        let canary = crate::double::request("value");
        for error in [
            hindered.put(&canary).await.err(),
            hindered.get(coordinate).await.err(),
            hindered.list(None).await.err(),
        ] {
            let Some(error) = error else { continue };
            shown.push(format!("{error} {error:?} {:?}", error.source()));
        }
    }
    for text in shown {
        assert!(!text.contains("canary"), "{text}");
    }
    Ok(())
}
