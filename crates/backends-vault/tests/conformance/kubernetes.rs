//! Logging in as a pod: the real login method, with a Kubernetes that knows one service account.

use std::env;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use cloakroom_backends_vault::{VaultAuth, VaultSettings};
use cloakroom_core::{ErrorKind, Result, SecretBackend as _, SecretValue};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::server::{Place, backend, text};

/// What the method asks Kubernetes, and Kubernetes says of every token: it is `cloakroom/pod`'s.
const REVIEW: &str = r#"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","status":{
    "authenticated":true,"user":{"username":"system:serviceaccount:cloakroom:pod",
    "uid":"6d3c9f59-53a4-4d11-9c26-6d1b37a9d1f4",
    "groups":["system:serviceaccounts","system:authenticated"]}}}"#;

/// What every token of that service account says.
const CLAIMS: &str = r#"{"iss":"kubernetes/serviceaccount","sub":"system:serviceaccount:cloakroom:pod",
    "kubernetes.io":{"namespace":"cloakroom","serviceaccount":{"name":"pod",
    "uid":"6d3c9f59-53a4-4d11-9c26-6d1b37a9d1f4"}}}"#;

/// A token whose signature is for Kubernetes to check.
fn jwt() -> String {
    [r#"{"alg":"RS256","typ":"JWT"}"#, CLAIMS, "signature"]
        .map(|part| BASE64.encode(part))
        .join(".")
}

async fn kubernetes(listener: TcpListener) {
    loop {
        let Ok((mut stream, _)) = listener.accept().await else {
            return;
        };
        let mut request = Vec::new();
        // The request ends with the body's last brace; one read may not have it all.
        while !request.trim_ascii_end().ends_with(b"}") {
            let mut part = [0; 4096];
            match stream.read(&mut part).await {
                Ok(0) | Err(_) => break,
                Ok(length) => request.extend_from_slice(&part[..length]),
            }
        }
        let answer = format!(
            "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{REVIEW}",
            REVIEW.len()
        );
        let _ = stream.write_all(answer.as_bytes()).await;
    }
}

pub(crate) async fn a_service_account_logs_in(place: &Place) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap();
    let pods = tokio::spawn(kubernetes(listener));
    let mount = format!("pods-{}", place.prefix.split('/').nth(1).unwrap());
    let server = &place.server;
    let body = r#"{"type":"kubernetes"}"#;
    server
        .done("POST", &format!("sys/auth/{mount}"), body)
        .await;
    // Asked for, and not looked at where there is no TLS.
    let certificate = std::fs::read_to_string(env::var("CLOAKROOM_TEST_OPENBAO_CA").unwrap());
    let certificate = certificate.unwrap();
    let body = format!(
        "{{\"kubernetes_host\":\"http://{host}\",\"token_reviewer_jwt\":\"{}\",\
         \"kubernetes_ca_cert\":\"{}\",\"disable_local_ca_jwt\":true}}",
        jwt(),
        certificate.replace('\n', "\\n")
    );
    server
        .done("POST", &format!("auth/{mount}/config"), &body)
        .await;
    let body = r#"{"bound_service_account_names":["pod"],
        "bound_service_account_namespaces":["cloakroom"],"token_policies":["read-write"]}"#;
    server
        .done("POST", &format!("auth/{mount}/role/cloakroom"), body)
        .await;

    let settings = |role: &str| VaultSettings {
        auth: VaultAuth::Kubernetes {
            mount: mount.clone(),
            role: role.to_owned(),
            jwt: Arc::new(SecretValue::from(format!("{}\n", jwt()))),
        },
        ..place.settings(place.root())
    };
    let request = text("value");
    backend(settings("cloakroom")).put(&request).await?;
    let error = backend(settings("another"))
        .put(&request)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    pods.abort();
    Ok(())
}
