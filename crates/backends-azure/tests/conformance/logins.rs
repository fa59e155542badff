//! Laws of who asks: logins, rotation, and what each right is for.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloakroom_backends_azure::Authentication;
use cloakroom_core::{
    CredentialSource, DeleteMode, ErrorKind, PageToken, Result, SecretBackend as _, SecretState,
    SecretValue,
};
use cloakroom_testkit::canary::marked;
use libtest_mimic::Trial;

use crate::double::{CLIENT_SECRET, EVERY_RIGHT, FEDERATED_TOKEN, TENANT};
use crate::meeting::request;
use crate::scene::{Scene, Verdict, coordinate, trials};
use crate::{VERIFY_ONLY, actions, backend, rights_of, settings};

pub(crate) fn trials() -> Vec<Trial> {
    trials![
        "logins":
        a_rotated_secret_needs_no_restart,
        workload_identity_logs_in,
        every_right_alone_does_what_it_should,
        listing_rights_are_enough_to_verify,
        tokens_go_to_no_other_address,
    ]
}

/// A credential that changes, as a file does.
struct Changing(Mutex<SecretValue>);

impl CredentialSource for Changing {
    fn read(&self) -> Result<SecretValue> {
        Ok(self.0.lock().unwrap().clone())
    }
}

fn kind<T>(answer: &Result<T>) -> Option<ErrorKind> {
    answer.as_ref().err().map(cloakroom_core::Error::kind)
}

async fn a_rotated_secret_needs_no_restart() -> Verdict {
    let scene = Scene::with_secret().await?;
    let source = Arc::new(Changing(Mutex::new(CLIENT_SECRET.to_owned().into())));
    let mut settings = settings(&scene.double, "own", "");
    settings.client_secret = Some(Arc::clone(&source) as Arc<dyn CredentialSource>);
    let backend = backend(settings);
    backend.get(&scene.coordinate).await?;
    let logins = scene.double.logins();
    backend.get(&scene.coordinate).await?;
    assert_eq!(
        scene.double.logins(),
        logins,
        "a token is kept while it holds"
    );

    let next = marked("the next secret");
    scene.double.rotate(next.expose_text().unwrap());
    let error = backend.get(&scene.coordinate).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    // Files end with a newline.
    *source.0.lock().unwrap() = [next.expose(), b"\n"].concat().into();
    backend.get(&scene.coordinate).await?;
    Ok(())
}

async fn workload_identity_logs_in() -> Verdict {
    let scene = Scene::with_secret().await?;
    for (token, kind) in [
        (FEDERATED_TOKEN, None),
        ("another", Some(ErrorKind::Denied)),
    ] {
        let mut settings = settings(&scene.double, "own", "");
        settings.client_secret = None;
        settings.federated_token = Some(Arc::new(SecretValue::from(token.to_owned())));
        for authentication in [Authentication::WorkloadIdentity, Authentication::Automatic] {
            settings.authentication = authentication;
            let got = backend(settings.clone()).get(&scene.coordinate).await;
            assert_eq!(got.err().map(|error| error.kind()), kind, "{TENANT}");
        }
    }
    Ok(())
}

/// With one right missing, everything that needs it is denied and the rest works.
async fn every_right_alone_does_what_it_should() -> Verdict {
    for missing in EVERY_RIGHT {
        let scene = Scene::with_secret().await?;
        let rights: Vec<&str> = EVERY_RIGHT
            .into_iter()
            .filter(|it| *it != missing)
            .collect();
        scene.double.grant("own", &rights);
        let (backend, it) = (&scene.backend, &scene.coordinate);
        let denied = |right: &str, answer: Option<ErrorKind>| {
            let expected = (right == missing).then_some(ErrorKind::Denied);
            assert_eq!(answer, expected, "{right} without {missing}");
        };
        denied("get", kind(&backend.get(it).await));
        denied("list", kind(&backend.describe(it).await));
        denied("list", kind(&backend.list(None).await));
        if !["get", "list"].contains(&missing) {
            let other = request(&coordinate("airbyte_other_v1"), "other");
            // What is set is switched on when it has the name.
            let of_a_put = if missing == "update" { missing } else { "set" };
            denied(of_a_put, kind(&backend.put(&other).await));
            let mode = DeleteMode::Recoverable(Duration::from_secs(1));
            denied("delete", kind(&backend.delete(it, mode, None).await));
            if missing != "delete" {
                denied("recover", kind(&backend.restore(it).await));
                denied(
                    "purge",
                    kind(&backend.delete(it, DeleteMode::Final, None).await),
                );
            }
        }
    }
    Ok(())
}

/// Without the right to read values: what is there, waits or is missing is still told apart.
async fn listing_rights_are_enough_to_verify() -> Verdict {
    let scene = Scene::with_secret().await?;
    let verifier = backend(settings(&scene.double, "verifier", CLIENT_SECRET));
    let role = rights_of(&actions(VERIFY_ONLY));
    assert_eq!(role, ["list"]);
    scene.double.grant("verifier", &role);
    let it = &scene.coordinate;
    assert_eq!(verifier.describe(it).await?.state, SecretState::Enabled);
    assert_eq!(kind(&verifier.get(it).await), Some(ErrorKind::Denied));
    let nothing = coordinate("airbyte_other_v1");
    assert_eq!(
        kind(&verifier.describe(&nothing).await),
        Some(ErrorKind::Missing)
    );
    let mode = DeleteMode::Recoverable(Duration::from_secs(1));
    scene.backend.delete(it, mode, None).await?;
    let state = verifier.describe(it).await?.state;
    assert!(matches!(
        state,
        SecretState::ScheduledForDeletion { due: Some(_) }
    ));
    Ok(())
}

async fn tokens_go_to_no_other_address() -> Verdict {
    let scene = Scene::with_secret().await?;
    let ours = scene.double.url().replace("http:", "https:");
    for link in [
        "living https://evil.example/secrets?x=1".to_owned(),
        format!("living {ours}/secrets/airbyte-own-v1?x=1"),
        format!("living {}/secrets", scene.double.url()),
        "elsewhere x".to_owned(),
        String::new(),
    ] {
        let page = PageToken(link.clone().into());
        let error = scene.backend.list(Some(&page)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{link}");
    }
    assert!(scene.double.take_log().is_empty());
    Ok(())
}
