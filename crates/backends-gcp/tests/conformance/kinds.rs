//! Laws of error kinds: by the service's codes, sure or not sure.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloakroom_backends_gcp::{GcpBackend, GcpCredentials, GcpSettings};
use cloakroom_core::platform::NamedSecrets as _;
use cloakroom_core::{DeleteMode, Deletion, Error, ErrorKind, Result, SecretBackend as _};
use cloakroom_testkit::canary::{MARKER, marked};
use libtest_mimic::Trial;

use crate::canned::{Answer, Say, serve};
use crate::double::request;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        crate::trial(
            "canned::kinds_come_from_the_codes",
            kinds_come_from_the_codes,
        ),
        crate::trial("canned::silence_is_unavailable", silence_is_unavailable),
        crate::trial(
            "canned::nobody_there_is_unavailable",
            nobody_there_is_unavailable,
        ),
        crate::trial(
            "canned::a_damaged_value_is_not_taken",
            a_damaged_value_is_not_taken,
        ),
        crate::trial(
            "canned::a_value_that_cannot_be_checked_is_not_taken",
            a_value_that_cannot_be_checked_is_not_taken,
        ),
        crate::trial(
            "canned::a_secret_is_not_missing_whose_version_answers",
            a_secret_is_not_missing_whose_version_answers,
        ),
        crate::trial(
            "canned::an_error_quotes_no_payload",
            an_error_quotes_no_payload,
        ),
        crate::trial(
            "canned::nothing_is_retried_inside",
            nothing_is_retried_inside,
        ),
    ]
}

fn backend(url: String) -> GcpBackend {
    let settings = GcpSettings {
        endpoint: Some(url),
        credentials: GcpCredentials::Anonymous,
        timeout: Duration::from_millis(500),
        ..GcpSettings::new("project")
    };
    GcpBackend::new("google".parse().unwrap(), settings).unwrap()
}

/// The errors of every operation on what is answered so.
async fn errors(say: Say) -> Vec<Error> {
    let backend = backend(serve(say).await);
    let request = request("value");
    let coordinate = &request.mark.coordinate;
    let week = DeleteMode::Recoverable(Duration::from_hours(7 * 24));
    let mut errors = Vec::new();
    errors.extend(backend.put(&request).await.err());
    errors.extend(backend.get(coordinate).await.err());
    errors.extend(backend.describe(coordinate).await.err());
    errors.extend(backend.list(None).await.err());
    errors.extend(
        backend
            .delete(coordinate, DeleteMode::Final, None)
            .await
            .err(),
    );
    errors.extend(backend.delete(coordinate, week, None).await.err());
    errors.extend(backend.restore(coordinate).await.err());
    errors.extend(backend.lift_expiry(coordinate).await.err());
    errors
}

fn in_googles_words(code: u16, status: &str) -> String {
    format!(r#"{{"error": {{"code": {code}, "message": "words", "status": "{status}"}}}}"#)
}

async fn kinds_come_from_the_codes() -> Result<()> {
    use ErrorKind::{Denied, Invalid, Throttled, Unavailable, Unsupported};
    let html = || format!("<html>{MARKER}</html>");
    for (status, body, kind) in [
        (400, in_googles_words(400, "INVALID_ARGUMENT"), Invalid),
        (
            400,
            in_googles_words(400, "FAILED_PRECONDITION"),
            Unavailable,
        ),
        (401, in_googles_words(401, "UNAUTHENTICATED"), Denied),
        (403, in_googles_words(403, "PERMISSION_DENIED"), Denied),
        (409, in_googles_words(409, "ABORTED"), Unavailable),
        (429, in_googles_words(429, "RESOURCE_EXHAUSTED"), Throttled),
        (500, in_googles_words(500, "INTERNAL"), Unavailable),
        (500, in_googles_words(500, "UNKNOWN"), Unavailable),
        (501, in_googles_words(501, "UNIMPLEMENTED"), Unsupported),
        (503, in_googles_words(503, "UNAVAILABLE"), Unavailable),
        (504, in_googles_words(504, "DEADLINE_EXCEEDED"), Unavailable),
        // Not the service: a proxy, a load balancer, a wrong address.
        (401, html(), Denied),
        (403, html(), Denied),
        (404, html(), Unavailable),
        (429, html(), Throttled),
        (502, html(), Unavailable),
        (200, html(), Unavailable),
    ] {
        for headers in ["", "Retry-After: 17\r\n"] {
            let body = body.clone();
            let say: Say = Arc::new(move |_| {
                let body = body.clone();
                Some(Answer {
                    status,
                    headers,
                    body,
                })
            });
            let errors = errors(say).await;
            assert_eq!(errors.len(), 8, "{status}");
            for error in errors {
                let precondition =
                    error.kind() == ErrorKind::Conflict && error.operation() == "delete";
                let told = error.kind() == kind || precondition && kind == Unavailable;
                assert!(told, "HTTP {status}: {} {error}", error.kind());
                let after =
                    (status != 200 && !headers.is_empty()).then_some(Duration::from_secs(17));
                assert_eq!(error.retry_after(), after, "HTTP {status}: {error}");
                assert!(!format!("{error:?} {:?}", error.source()).contains("canary"));
            }
        }
    }
    Ok(())
}

async fn silence_is_unavailable() -> Result<()> {
    for error in errors(Arc::new(|_| None)).await {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
    Ok(())
}

async fn nobody_there_is_unavailable() -> Result<()> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let backend = backend(url);
    let error = backend.list(None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    Ok(())
}

async fn a_damaged_value_is_not_taken() -> Result<()> {
    let url = serve(Arc::new(|line| {
        let body = if line.contains(":access") {
            let data = STANDARD.encode(marked("value").expose());
            format!(
                r#"{{"name": "projects/p/secrets/s/versions/1",
                "payload": {{"data": "{data}", "dataCrc32c": "1"}}}}"#
            )
        } else {
            r#"{"name": "projects/p/secrets/s", "etag": "\"1\""}"#.to_owned()
        };
        Some(Answer {
            status: 200,
            headers: "",
            body,
        })
    }));
    let backend = backend(url.await);
    let error = backend
        .get(&request("value").mark.coordinate)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    Ok(())
}

/// The service sends the checksum with every payload; something in between may drop either.
async fn a_value_that_cannot_be_checked_is_not_taken() -> Result<()> {
    let data = STANDARD.encode(marked("value").expose());
    for body in [
        "{}".to_owned(),
        r#"{"name": "projects/p/secrets/s/versions/1"}"#.to_owned(),
        r#"{"payload": {}}"#.to_owned(),
        r#"{"payload": {"dataCrc32c": "0"}}"#.to_owned(),
        format!(r#"{{"payload": {{"data": "{data}"}}}}"#),
    ] {
        let said = body.clone();
        let url = serve(Arc::new(move |line| {
            let secret = r#"{"name": "projects/p/secrets/s", "etag": "\"1\""}"#;
            let access = line.contains(":access");
            Some(Answer {
                status: 200,
                headers: "",
                body: if access {
                    said.clone()
                } else {
                    secret.to_owned()
                },
            })
        }));
        let backend = backend(url.await);
        let error = backend.get(&request("value").mark.coordinate).await;
        let error = error.err().map(|it| it.kind());
        assert_eq!(error, Some(ErrorKind::Unavailable), "{body}");
        let read = backend.read_named(&["name".to_owned()]).await.remove(0);
        let error = read.err().map(|it| it.kind());
        assert_eq!(error, Some(ErrorKind::Unavailable), "by name: {body}");
    }
    Ok(())
}

/// Only a version that is asked for by its number is seen everywhere at once; its secret may not be yet.
async fn a_secret_is_not_missing_whose_version_answers() -> Result<()> {
    let version = |state: &str| {
        format!(r#"{{"name": "projects/p/secrets/s/versions/1", "state": "{state}"}}"#)
    };
    for (status, body, kind) in [
        (200, version("ENABLED"), ErrorKind::Unavailable),
        (200, version("DISABLED"), ErrorKind::Unavailable),
        (
            503,
            in_googles_words(503, "UNAVAILABLE"),
            ErrorKind::Unavailable,
        ),
        (404, in_googles_words(404, "NOT_FOUND"), ErrorKind::Missing),
    ] {
        let told = body.clone();
        let url = serve(Arc::new(move |line| {
            let (status, body) = if line.contains("/versions/1:access") && status == 200 {
                (400, in_googles_words(400, "FAILED_PRECONDITION"))
            } else if line.contains("/versions/") {
                (status, told.clone())
            } else {
                (404, in_googles_words(404, "NOT_FOUND"))
            };
            Some(Answer {
                status,
                headers: "",
                body,
            })
        }));
        let backend = backend(url.await);
        let (coordinate, name) = (&request("value").mark.coordinate, "name".to_owned());
        let week = DeleteMode::Recoverable(Duration::from_hours(7 * 24));
        let mut kinds = vec![
            backend.get(coordinate).await.err(),
            backend.describe(coordinate).await.err(),
            backend.restore(coordinate).await.err(),
            backend.lift_expiry(coordinate).await.err(),
            backend.restore_named(&name).await.err(),
            backend.lift_expiry_named(&name).await.err(),
        ];
        let described = backend.describe_named(std::slice::from_ref(&name)).await;
        kinds.extend(described.into_iter().map(Result::err));
        for error in kinds {
            let error = error.unwrap();
            assert_eq!(error.kind(), kind, "{body}: {error}");
        }
        for mode in [DeleteMode::Final, week] {
            for deletion in [
                backend.delete(coordinate, mode, None).await,
                backend.delete_named(&name, mode, None).await,
            ] {
                match deletion {
                    Ok(Deletion::AlreadyGone) => assert_eq!(kind, ErrorKind::Missing, "{body}"),
                    Ok(other) => panic!("{body}: {other:?}"),
                    Err(error) => assert_eq!(error.kind(), kind, "{body}: {error}"),
                }
            }
        }
    }
    Ok(())
}

/// A service that complains about a payload may quote it.
async fn an_error_quotes_no_payload() -> Result<()> {
    let url = serve(Arc::new(|line| {
        let refused = line.contains(":addVersion");
        let body = if refused {
            format!(
                r#"{{"error": {{"code": 400, "status": "INVALID_ARGUMENT",
                "message": "Base64 decoding failed for \"{MARKER}-value\""}}}}"#
            )
        } else {
            r#"{"name": "projects/p/secrets/s", "etag": "\"1\""}"#.to_owned()
        };
        let status = if refused { 400 } else { 200 };
        Some(Answer {
            status,
            headers: "",
            body,
        })
    }));
    let error = backend(url.await).put(&request("value")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    let shown = format!("{error} {error:?} {:?}", error.source());
    assert!(!shown.contains("canary"), "{shown}");
    Ok(())
}

async fn nothing_is_retried_inside() -> Result<()> {
    let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let url = serve(Arc::new(move |_| {
        counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let body = in_googles_words(503, "UNAVAILABLE");
        Some(Answer {
            status: 503,
            headers: "",
            body,
        })
    }));
    backend(url.await).list(None).await.unwrap_err();
    assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 1);
    Ok(())
}
