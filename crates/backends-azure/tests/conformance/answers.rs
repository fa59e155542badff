//! Laws of what the vault can answer: kinds by code, no answer at all, and nothing that shows a value.

use std::time::Duration;

use cloakroom_core::{DeleteMode, ErrorKind, PutOutcome, SecretBackend as _, SecretState};
use cloakroom_testkit::ManualClock;
use cloakroom_testkit::canary::MARKER;
use libtest_mimic::Trial;

use crate::double::{CLIENT_SECRET, Double, Scripted, refused};
use crate::meeting::request;
use crate::scene::{Scene, Verdict, coordinate, trials};
use crate::{backend, settings};

pub(crate) fn trials() -> Vec<Trial> {
    trials![
        "answers":
        kinds_follow_codes,
        a_refusal_names_the_missing_action,
        a_hanging_vault_is_unavailable,
        a_vault_that_is_not_there_is_unavailable,
        what_was_switched_off_says_so,
        nothing_shows_a_value,
    ]
}

async fn kinds_follow_codes() -> Verdict {
    use ErrorKind::{Conflict, Denied, Invalid, Missing, ScheduledForDeletion, Throttled};
    use ErrorKind::{TooLarge, Unavailable};
    let scene = Scene::with_secret().await?;
    let cases: &[(u16, &str, Option<&str>, ErrorKind)] = &[
        (400, "BadParameter", None, Invalid),
        (403, "Forbidden", Some("ForbiddenByRbac"), Denied),
        (403, "Forbidden", Some("AccessDenied"), Denied),
        (403, "Forbidden", Some("ForbiddenByPolicy"), Denied),
        (403, "Forbidden", Some("ForbiddenByFirewall"), Denied),
        (404, "SecretNotFound", None, Missing),
        (404, "ResourceNotFound", None, Unavailable),
        (409, "Conflict", None, Conflict),
        (
            409,
            "Conflict",
            Some("ObjectIsDeletedButRecoverable"),
            ScheduledForDeletion,
        ),
        (409, "Conflict", Some("ObjectIsBeingDeleted"), Unavailable),
        (409, "Conflict", Some("ObjectIsBeingRecovered"), Unavailable),
        (413, "RequestEntityTooLarge", None, TooLarge),
        (429, "Throttled", None, Throttled),
        (500, "InternalServerError", None, Unavailable),
        (503, "ServiceUnavailable", None, Unavailable),
        (302, "Found", None, Unavailable),
    ];
    for (status, code, inner, kind) in cases {
        let (_, body) = refused(*status, code, *inner);
        for body in [
            body.to_string(),
            "<html>a proxy</html>".to_owned(),
            String::new(),
        ] {
            // Without the body there are no codes: only what the status alone says.
            let bare = !body.starts_with('{');
            let kind = match (bare, status) {
                (true, 404) => Unavailable,
                (true, 409) => Conflict,
                _ => *kind,
            };
            scene.double.script(Scripted {
                status: *status,
                headers: Vec::new(),
                body,
            });
            // A deletion asks one thing only once the vault is known.
            let error = scene.backend.describe(&scene.coordinate).await;
            let is = error.as_ref().err().map(cloakroom_core::Error::kind);
            // A listing of versions that is missing is an empty one, and the secret then is missing.
            if is != Some(kind) && kind != Missing {
                return Err(
                    format!("{status} {code} {inner:?} is {is:?}, should be {kind:?}").into(),
                );
            }
        }
    }
    for (header, text, after) in [
        ("retry-after", "7", Some(7_000)),
        ("retry-after-ms", "250", Some(250)),
        ("x-ms-retry-after-ms", "40", Some(40)),
        ("retry-after", "Sat, 21 Nov 2026 10:00:00 GMT", None),
    ] {
        scene.double.script(Scripted {
            status: 429,
            headers: vec![(header, text.to_owned())],
            body: String::new(),
        });
        let error = scene.backend.get(&scene.coordinate).await.unwrap_err();
        assert_eq!(error.kind(), Throttled);
        assert_eq!(error.retry_after(), after.map(Duration::from_millis));
    }
    scene.double.script(Scripted {
        status: 200,
        headers: Vec::new(),
        body: format!("{{\"value\": \"{MARKER}"),
    });
    let error = scene.backend.get(&scene.coordinate).await.unwrap_err();
    assert_eq!(error.kind(), Unavailable);
    assert!(!format!("{error:?}").contains("canary"));
    Ok(())
}

async fn a_refusal_names_the_missing_action() -> Verdict {
    let scene = Scene::with_secret().await?;
    scene.double.grant("own", &["list"]);
    let error = scene.backend.get(&scene.coordinate).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(
        error
            .to_string()
            .contains("Microsoft.KeyVault/vaults/secrets/getSecret/action"),
        "{error}"
    );
    Ok(())
}

async fn a_hanging_vault_is_unavailable() -> Verdict {
    let scene = Scene::with_secret().await?;
    let mut short = settings(&scene.double, "own", CLIENT_SECRET);
    short.timeout = Duration::from_millis(200);
    let tickets = scene.double.take_turns();
    let error = backend(short).get(&scene.coordinate).await.unwrap_err();
    drop(tickets);
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    Ok(())
}

async fn a_vault_that_is_not_there_is_unavailable() -> Verdict {
    let double = Double::start(ManualClock::default()).await;
    let mut nowhere = settings(&double, "own", CLIENT_SECRET);
    let closed = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    nowhere.vault_url = format!("http://{}", closed.local_addr()?);
    drop(closed);
    let backend = backend(nowhere);
    let error = backend
        .get(&coordinate("airbyte_own_v1"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    Ok(())
}

async fn what_was_switched_off_says_so() -> Verdict {
    let scene = Scene::with_secret().await?;
    let (backend, it) = (&scene.backend, &scene.coordinate);
    scene.double.vault().disable_past(&backend.secret_name(it));
    assert_eq!(backend.get(it).await.unwrap_err().kind(), ErrorKind::Denied);
    assert_eq!(backend.describe(it).await?.state, SecretState::Disabled);
    assert_eq!(
        backend.put(&request(it, "value")).await?,
        PutOutcome::AlreadyThere
    );
    let other = backend.put(&request(it, "other")).await;
    assert_eq!(other.unwrap_err().kind(), ErrorKind::Conflict);

    let mode = DeleteMode::Recoverable(Duration::from_secs(1));
    backend.delete(it, mode, None).await?;
    let described = backend.describe(it).await?;
    assert!(matches!(
        described.state,
        SecretState::ScheduledForDeletion { due: Some(_) }
    ));
    assert!(described.mark.is_some());
    Ok(())
}

async fn nothing_shows_a_value() -> Verdict {
    let scene = Scene::new().await;
    let (backend, put) = (&scene.backend, request(&scene.coordinate, "in a vault"));
    let canary = put.value.expose_text().unwrap();
    backend.put(&put).await?;
    let mut shown = vec![format!(
        "{backend:?} {put:?} {:?}",
        backend.get(&scene.coordinate).await
    )];
    for status in [400, 403, 409, 500] {
        // A proxy that repeats what it was sent.
        let (_, mut body) = refused(status, "Forbidden", None);
        body["error"]["message"] = format!("you sent {canary} and {CLIENT_SECRET}").into();
        for body in [body.to_string(), format!("{canary} {CLIENT_SECRET}")] {
            scene.double.script(Scripted {
                status,
                headers: Vec::new(),
                body,
            });
            let error = backend.put(&put).await.unwrap_err();
            let source = std::error::Error::source(&error).map(ToString::to_string);
            shown.push(format!("{error} {error:?} {source:?}"));
        }
    }
    let wrong = crate::backend(settings(&scene.double, "own", canary));
    shown.push(format!(
        "{wrong:?} {:?}",
        wrong.get(&scene.coordinate).await.unwrap_err()
    ));
    for text in shown {
        assert!(
            !text.contains("canary") && !text.contains(CLIENT_SECRET),
            "{text}"
        );
    }
    Ok(())
}
