//! The server, driven as its operator would: policies, tokens, and what somebody else writes.

use std::env;
use std::sync::Arc;
use std::time::Duration;

use cloakroom_backends_vault::{VaultAuth, VaultBackend, VaultSettings};
use cloakroom_core::keys::Key;
use cloakroom_core::{
    Coordinate, CredentialSource, Digest, Grammar, Mark, PutRequest, Randomness as _, Scope,
    SecretValue, StoreId, SystemRandomness, ValueKind, Version,
};
use cloakroom_testkit::canary::marked;
use reqwest::Method;

pub(crate) const URL: &str = "CLOAKROOM_TEST_OPENBAO_URL";

/// The server and its root token.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) url: String,
    root: String,
}

/// A prefix of its own in the mount that the policies are about.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) server: Server,
    pub(crate) namespace: Option<String>,
    pub(crate) mount: String,
    pub(crate) prefix: String,
}

impl Server {
    pub(crate) fn from_environment() -> Option<Self> {
        Some(Self {
            url: env::var(URL).ok()?,
            root: env::var("CLOAKROOM_TEST_OPENBAO_TOKEN").ok()?,
        })
    }

    /// A place nobody has used.
    pub(crate) async fn place(&self) -> Place {
        for (name, text) in [
            (
                "read-write",
                include_str!("../../../../deploy/policies/vault/read-write.hcl"),
            ),
            (
                "verify-only",
                include_str!("../../../../deploy/policies/vault/verify-only.hcl"),
            ),
        ] {
            self.policy(name, text).await;
        }
        Place {
            server: self.clone(),
            namespace: None,
            mount: "secret".to_owned(),
            prefix: format!("cloakroom/{}/", SystemRandomness.uuid()),
        }
    }

    pub(crate) async fn policy(&self, name: &str, text: &str) {
        let text = text
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        let body = format!("{{\"policy\":\"{text}\"}}");
        self.done("POST", &format!("sys/policies/acl/{name}"), &body)
            .await;
    }

    /// Does something as root and fails where it is refused; gives the answer's text.
    pub(crate) async fn done(&self, method: &str, path: &str, body: &str) -> String {
        let (status, text) = self.asked(None, method, path, body).await;
        assert!(
            (200..300).contains(&status),
            "{method} {path}: {status} {text}"
        );
        text
    }

    pub(crate) async fn asked(
        &self,
        namespace: Option<&str>,
        method: &str,
        path: &str,
        body: &str,
    ) -> (u16, String) {
        // One for each request: a pooled connection does not outlive the runtime of its trial.
        let client = reqwest::Client::builder()
            .tls_certs_only([])
            .build()
            .unwrap();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = client
            .request(method, format!("{}/v1/{path}", self.url))
            .header("X-Vault-Token", &self.root)
            .body(body.to_owned());
        if let Some(namespace) = namespace {
            request = request.header("X-Vault-Namespace", namespace);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// A mount of its own, ready to be written to.
    pub(crate) async fn mount(&self, namespace: Option<&str>, mount: &str) {
        let path = format!("sys/mounts/{mount}");
        let body = r#"{"type":"kv","options":{"version":"2"}}"#;
        let (status, text) = self.asked(namespace, "POST", &path, body).await;
        assert_eq!(status, 204, "{text}");
        // It answers 400 until it has upgraded itself.
        tokio::time::timeout(Duration::from_secs(10), async {
            let path = format!("{mount}/config");
            while self.asked(namespace, "GET", &path, "").await.0 != 200 {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
    }
}

impl Place {
    /// A token that has one of the policies and nothing else, not even `default`.
    pub(crate) async fn token(&self, policy: &str) -> SecretValue {
        let body = format!("{{\"policies\":[\"{policy}\"],\"no_default_policy\":true}}");
        let text = self.server.done("POST", "auth/token/create", &body).await;
        SecretValue::from(field(&text, "client_token"))
    }

    pub(crate) async fn revoke(&self, token: &SecretValue) {
        let body = format!("{{\"token\":\"{}\"}}", token.expose_text().unwrap());
        self.server.done("POST", "auth/token/revoke", &body).await;
    }

    pub(crate) fn settings(&self, token: impl CredentialSource + 'static) -> VaultSettings {
        VaultSettings {
            namespace: self.namespace.clone(),
            mount: self.mount.clone(),
            prefix: self.prefix.clone(),
            ..VaultSettings::new(
                &self.server.url,
                VaultAuth::Token {
                    token: Arc::new(token),
                },
            )
        }
    }

    pub(crate) fn root(&self) -> SecretValue {
        SecretValue::from(self.server.root.clone())
    }

    /// A backend under the read-write policy, with settings changed as a test needs.
    pub(crate) async fn backend(&self, change: impl FnOnce(&mut VaultSettings)) -> VaultBackend {
        let mut settings = self.settings(self.token("read-write").await);
        change(&mut settings);
        backend(settings)
    }

    /// A request to one part of the engine about one secret, as root.
    pub(crate) async fn as_root(
        &self,
        method: &str,
        part: &str,
        coordinate: &Coordinate,
        body: &str,
    ) -> String {
        let Self { mount, prefix, .. } = self;
        let path = format!("{mount}/{part}/{prefix}{coordinate}");
        let namespace = self.namespace.as_deref();
        let (status, text) = self.server.asked(namespace, method, &path, body).await;
        assert!(
            (200..300).contains(&status),
            "{method} {path}: {status} {text}"
        );
        text
    }
}

pub(crate) fn backend(settings: VaultSettings) -> VaultBackend {
    VaultBackend::new("vault".parse().unwrap(), settings).unwrap()
}

/// A put of a text under a new name.
pub(crate) fn text(value: &str) -> PutRequest {
    let random = SystemRandomness;
    let coordinate = Grammar::default().managed(
        Scope::Workspace,
        random.uuid(),
        random.uuid(),
        Version::FIRST,
    );
    again(&coordinate, StoreId(random.uuid()), value)
}

/// A put of a text under a name that was used.
pub(crate) fn again(coordinate: &Coordinate, store: StoreId, value: &str) -> PutRequest {
    let value = marked(value);
    PutRequest {
        mark: Mark {
            store,
            deployment: "tests of backends-vault".to_owned(),
            coordinate: coordinate.clone(),
            digest: Digest::of(
                &Key::derive([7; 32]),
                coordinate.base(),
                ValueKind::Text,
                &value,
            ),
            intent: None,
        },
        value,
        native_expiry: None,
    }
}

/// The text of a field anywhere in a JSON answer.
pub(crate) fn field(answer: &str, name: &str) -> String {
    let start = format!("\"{name}\":\"");
    let (_, rest) = answer.split_once(&start).unwrap();
    rest.split_once('"').unwrap().0.to_owned()
}
