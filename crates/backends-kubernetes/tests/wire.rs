//! What goes over the wire, and what becomes of answers no API server in order gives: one listener
//! with one answer.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloakroom_backends_kubernetes::{KubernetesBackend, KubernetesSettings};
use cloakroom_core::keys::{KEY_BYTES, Key};
use cloakroom_core::{
    Coordinate, DeleteMode, Digest, Error, ErrorKind, Mark, PageToken, PutRequest, SecretBackend,
    StoreId, ValueKind,
};
use cloakroom_testkit::canary::{MARKER, marked};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use uuid::Uuid;

/// Takes one request after the other and answers each with the same words.
struct Server {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn answering(answer: impl Into<String>) -> Self {
        let answer = answer.into();
        Self::answering_each(move |_| answer.clone()).await
    }

    async fn answering_each(answer: impl Fn(&str) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 64 * 1024];
                let length = stream.read(&mut request).await.unwrap_or_default();
                let text = String::from_utf8_lossy(&request[..length]).into_owned();
                let answer = answer(&text);
                seen.lock().unwrap().push(text);
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { address, requests }
    }

    async fn backend(&self) -> KubernetesBackend {
        backend(&self.address, Duration::from_secs(10)).await
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn backend(address: &str, timeout: Duration) -> KubernetesBackend {
    let mut settings = KubernetesSettings::new("airbyte");
    settings.server = Some(address.to_owned());
    settings.token = Some(Arc::new(marked("token")));
    settings.timeout = timeout;
    KubernetesBackend::connect("kubernetes".parse().unwrap(), settings)
        .await
        .unwrap()
}

/// A whole answer that closes the connection.
fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n{headers}\r\n{body}"
    )
}

fn status(code: u16, reason: &str) -> String {
    format!(
        r#"{{"kind":"Status","apiVersion":"v1","status":"Failure","code":{code},"reason":"{reason}",
            "message":"{MARKER} in a message","details":{{"kind":"secrets"}}}}"#
    )
}

fn coordinate() -> Coordinate {
    Coordinate::from_stored("airbyte_some-thing_v1").unwrap()
}

fn request() -> PutRequest {
    let value = marked("value");
    let coordinate = coordinate();
    let key = Key::derive([7; KEY_BYTES]);
    PutRequest {
        mark: Mark {
            store: StoreId(Uuid::nil()),
            deployment: "tests".to_owned(),
            digest: Digest::of(&key, coordinate.base(), ValueKind::Text, &value),
            coordinate,
            intent: None,
        },
        value,
        native_expiry: None,
    }
}

/// Each operation's error, in the order put, get, describe, list, delete.
async fn errors(backend: &KubernetesBackend) -> [Error; 5] {
    let at = coordinate();
    [
        backend.put(&request()).await.unwrap_err(),
        backend.get(&at).await.unwrap_err(),
        backend.describe(&at).await.unwrap_err(),
        backend.list(None).await.unwrap_err(),
        backend
            .delete(&at, DeleteMode::Final, None)
            .await
            .unwrap_err(),
    ]
}

#[tokio::test]
async fn refusals_keep_their_kind_and_are_asked_once() {
    for (line, headers, body, kind) in [
        (
            "403 Forbidden",
            "",
            status(403, "Forbidden"),
            ErrorKind::Denied,
        ),
        (
            "403 Forbidden",
            "",
            "<html>proxy</html>".to_owned(),
            ErrorKind::Denied,
        ),
        (
            "429 Too Many Requests",
            "",
            String::new(),
            ErrorKind::Throttled,
        ),
        (
            "429 Too Many Requests",
            "Retry-After: 9\r\n",
            String::new(),
            ErrorKind::Throttled,
        ),
        (
            "500 Internal Server Error",
            "",
            status(500, "InternalError"),
            ErrorKind::Unavailable,
        ),
        (
            "503 Service Unavailable",
            "Retry-After: 9\r\n",
            String::new(),
            ErrorKind::Unavailable,
        ),
        (
            "504 Gateway Timeout",
            "",
            status(504, "Timeout"),
            ErrorKind::Unavailable,
        ),
        (
            "404 Not Found",
            "",
            "404 page not found".to_owned(),
            ErrorKind::Unavailable,
        ),
        (
            "302 Found",
            "Location: /elsewhere\r\n",
            String::new(),
            ErrorKind::Unavailable,
        ),
    ] {
        let server = Server::answering(answer(line, headers, &body)).await;
        for error in errors(&server.backend().await).await {
            assert_eq!(error.kind(), kind, "{line}: {error}");
            let asked = (!headers.starts_with("Retry")).then_some(());
            let after = asked.map_or(Some(Duration::from_secs(9)), |()| None);
            assert_eq!(error.retry_after(), after, "{line}");
            assert!(
                !format!("{error:?} {error}").contains("canary"),
                "{error:?}"
            );
        }
        assert_eq!(
            server.requests().len(),
            5,
            "{line}: one request an operation"
        );
    }
}

/// A proxy, a login page: whatever it is, nothing is there, gone, made or listed for its sake.
#[tokio::test]
async fn a_success_that_is_not_the_servers_is_none() {
    let other = r#"{"kind":"Secret","apiVersion":"v1","metadata":{"name":"other","uid":"u"}}"#;
    for body in [
        "<html><body>Please log in.</body></html>",
        "",
        "{}",
        "[]",
        "null",
        r#"{"status":"ok"}"#,
        r#"{"metadata":{}}"#,
        other,
    ] {
        let server = Server::answering(answer("200 OK", "", body)).await;
        for error in errors(&server.backend().await).await {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{body}: {error}");
        }
    }
}

/// The same credentials are not tried twice.
#[tokio::test]
async fn refused_credentials_are_not_repeated() {
    let server = Server::answering(answer("401 Unauthorized", "", "")).await;
    for error in errors(&server.backend().await).await {
        assert_eq!(error.kind(), ErrorKind::Denied);
    }
    assert_eq!(server.requests().len(), 5);
}

/// A token that was replaced while the session lasted is read again, once, and the request repeated.
#[tokio::test]
async fn a_replaced_token_needs_no_restart() {
    let body = r#"{"metadata":{"name":"airbyte.some-thing.v1"},"data":{"value":"Y2FuYXJ5"}}"#;
    let server = Server::answering_each(|request| {
        if request
            .to_lowercase()
            .contains("authorization: bearer new-token")
        {
            answer("200 OK", "", body)
        } else {
            answer("401 Unauthorized", "", "")
        }
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let write = |token: &str| {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: a\n\
             clusters: [{{name: a, cluster: {{server: '{}'}}}}]\n\
             users: [{{name: a, user: {{token: {token}}}}}]\n\
             contexts: [{{name: a, context: {{cluster: a, user: a}}}}]\n",
            server.address
        );
        std::fs::write(&kubeconfig, text).unwrap();
    };
    write("old-token");
    let mut settings = KubernetesSettings::new("airbyte");
    settings.kubeconfig = Some(kubeconfig.clone());
    let id = "kubernetes".parse().unwrap();
    let backend = KubernetesBackend::connect(id, settings).await.unwrap();
    let refused = backend.get(&coordinate()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Denied);
    write("new-token");
    backend.get(&coordinate()).await.unwrap();
    backend.get(&coordinate()).await.unwrap();
    // Refused twice, then refused and repeated, then taken at once.
    assert_eq!(server.requests().len(), 2 + 2 + 1);
}

/// A listing whose snapshot expired, and that the server does not offer to continue, has failed.
#[tokio::test]
async fn an_expired_listing_has_failed() {
    let server = Server::answering(answer("410 Gone", "", &status(410, "Expired"))).await;
    let page = PageToken("token".into());
    let error = server.backend().await.list(Some(&page)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn half_an_answer_is_none() {
    let whole = answer(
        "200 OK",
        "",
        r#"{"metadata":{"name":"x"},"items":[],"data":{"value":"Y2"#,
    );
    for broken in [&whole[..], &whole[..whole.len() - 20], "HTTP/1.1 2", ""] {
        let server = Server::answering(broken).await;
        let backend = server.backend().await;
        for error in [
            backend.get(&coordinate()).await.unwrap_err(),
            backend.describe(&coordinate()).await.unwrap_err(),
            backend.list(None).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{broken}: {error}");
        }
    }
}

#[tokio::test]
async fn nobody_there_and_nobody_answering_are_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    // Connections are taken by the kernel and never answered.
    for error in errors(&backend(&address, Duration::from_millis(50)).await).await {
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("no answer"), "{error}");
    }
    drop(listener);
    for error in errors(&backend(&address, Duration::from_secs(10)).await).await {
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
}

/// Descriptions ask for metadata alone, and a put makes an immutable Secret in one request.
#[tokio::test]
async fn values_are_only_asked_for_where_they_are_read() {
    let value = k8s_openapi::ByteString(marked("value").expose().to_vec());
    let body = serde_json::json!({
        "kind": "Secret", "apiVersion": "v1", "items": [], "data": { "value": value },
        "metadata": { "name": "airbyte.some-thing.v1", "uid": "u", "resourceVersion": "1" },
    });
    let server = Server::answering(answer("200 OK", "", &body.to_string())).await;
    let backend = server.backend().await;
    let at = coordinate();
    backend.put(&request()).await.unwrap();
    assert_eq!(backend.get(&at).await.unwrap().value, marked("value"));
    backend.describe(&at).await.unwrap();
    backend.list(None).await.unwrap();
    backend.delete(&at, DeleteMode::Final, None).await.unwrap();
    backend.describe_many(&[at.clone(), at.clone()]).await;

    let requests = server.requests();
    assert_eq!(requests.len(), 7);
    let partial = |text: &str| text.contains("as=PartialObjectMetadata");
    let seen: Vec<bool> = requests.iter().map(|text| partial(text)).collect();
    assert_eq!(seen, [false, false, true, true, false, true, true]);
    assert!(requests[0].contains(r#""immutable":true"#));
    assert!(requests[3].contains("labelSelector=cloakroom%2Fstore&limit=500"));
    assert!(
        requests
            .iter()
            .all(|text| text.contains("/namespaces/airbyte/secrets"))
    );
}

#[tokio::test]
async fn nothing_is_asked_of_the_cluster_at_the_start() {
    let settings = |change: fn(&mut KubernetesSettings)| {
        let mut settings = KubernetesSettings::new("airbyte");
        change(&mut settings);
        settings
    };
    let id = || "kubernetes".parse().unwrap();
    let away = settings(|it| it.server = Some("https://127.0.0.1:1/".to_owned()));
    let backend = KubernetesBackend::connect(id(), away).await.unwrap();
    assert_eq!(
        backend.manager(),
        "kubernetes at https://127.0.0.1:1, namespace airbyte"
    );

    // Neither a pod nor a kubeconfig.
    for (wrong, kind) in [
        (settings(|_| ()), ErrorKind::Invalid),
        (
            settings(|it| it.kubeconfig = Some("/nowhere/kubeconfig".into())),
            ErrorKind::Unavailable,
        ),
        (
            settings(|it| it.server = Some("not an address".to_owned())),
            ErrorKind::Invalid,
        ),
    ] {
        let error = KubernetesBackend::connect(id(), wrong).await.err().unwrap();
        assert_eq!(error.kind(), kind, "{error}");
    }
}

/// The parser of kubeconfigs quotes what it read.
#[tokio::test]
async fn a_kubeconfig_that_is_none_is_not_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    for text in [
        format!("users: [{{name: a, user: {{token: {MARKER}"),
        format!("users: {MARKER}"),
        "current-context: a".to_owned(),
    ] {
        std::fs::write(&path, &text).unwrap();
        let mut settings = KubernetesSettings::new("airbyte");
        settings.kubeconfig = Some(path.clone());
        let id = "kubernetes".parse().unwrap();
        let error = KubernetesBackend::connect(id, settings)
            .await
            .err()
            .unwrap();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
}

/// A login program that says which variables it was started with, and gives no token.
async fn variables_of_the_login_program(withheld: &[&str]) -> String {
    let server = Server::answering(answer("200 OK", "", "{}")).await;
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("variables");
    let kubeconfig = format!(
        r#"{{"apiVersion":"v1","kind":"Config","current-context":"c",
            "clusters":[{{"name":"c","cluster":{{"server":"{}"}}}}],
            "contexts":[{{"name":"c","context":{{"cluster":"c","user":"u"}}}}],
            "users":[{{"name":"u","user":{{"exec":{{
                "apiVersion":"client.authentication.k8s.io/v1","interactiveMode":"Never",
                "command":"/bin/sh","args":["-c","export -p > '{}'; exit 1"]}}}}}}]}}"#,
        server.address,
        seen.display()
    );
    let path = folder.path().join("kubeconfig");
    std::fs::write(&path, kubeconfig).unwrap();
    let mut settings = KubernetesSettings::new("airbyte");
    settings.kubeconfig = Some(path);
    settings.withheld_variables = withheld.iter().map(|&name| name.to_owned()).collect();
    let connected = KubernetesBackend::connect("kubernetes".parse().unwrap(), settings).await;
    if let Ok(backend) = connected {
        let _ = backend.list(None).await;
    }
    std::fs::read_to_string(seen).unwrap()
}

#[tokio::test]
async fn a_login_program_does_not_see_what_is_withheld() {
    let ours = std::env::vars().map(|(name, _)| name);
    let plain = |name: &String| name.bytes().all(|byte| byte.is_ascii_uppercase());
    let mut plain = ours.filter(plain);
    let name = plain.find(|name| {
        // A shell makes these itself.
        !["PATH", "PWD", "OLDPWD", "SHLVL", "PPID", "IFS"].contains(&name.as_str())
    });
    let name = name.expect("a variable of this process's own");
    let declared = |seen: &str| {
        let line = format!("export {name}=");
        seen.lines().any(|it| it.starts_with(&line))
    };
    assert!(declared(&variables_of_the_login_program(&[]).await));
    assert!(!declared(&variables_of_the_login_program(&[&name]).await));
}
