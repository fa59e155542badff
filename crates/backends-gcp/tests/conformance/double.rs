//! The double as a manager: each law gets a project of its own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_backends_gcp::{GcpBackend, GcpCredentials, GcpSettings};
use cloakroom_core::keys::Key;
use cloakroom_core::{
    Capabilities, Coordinate, Digest, Error, ErrorKind, Grammar, Mark, PutRequest, Randomness as _,
    Result, Scope, SecretBackend, SecretValue, StoreId, SystemRandomness, ValueKind, Version,
};
use cloakroom_testkit::canary::marked;
use cloakroom_testkit::conformance::{Credentials, Manager, Permission, Powers, Subject};
use google_cloud_auth::credentials::anonymous;
use google_cloud_secretmanager_v1::client::SecretManagerService;
use google_cloud_secretmanager_v1::model::replication::Automatic;
use google_cloud_secretmanager_v1::model::{Replication, Secret, SecretPayload};
use google_cloud_wkt as wkt;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const READ_WRITE: &str = include_str!("../../../../deploy/policies/gcp/read-write.yaml");

/// What the backends under test may do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rights {
    All,
    /// What the policy of that name gives.
    ReadWrite,
}

#[derive(Clone)]
pub(crate) struct Double {
    pub(crate) url: String,
    pub(crate) rights: Rights,
}

/// One project of the double.
pub(crate) struct Project {
    pub(crate) double: Double,
    pub(crate) name: String,
}

/// The permissions that a policy file names.
pub(crate) fn permissions(policy: &str) -> String {
    let lines = policy
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- "));
    lines.collect::<Vec<_>>().join(",")
}

impl Double {
    pub(crate) fn project(&self) -> Project {
        Project {
            double: self.clone(),
            name: format!("p-{}", SystemRandomness.uuid()),
        }
    }

    /// Credentials whose access token is this text.
    pub(crate) fn credentials(&self, token: &str) -> GcpCredentials {
        GcpCredentials::Json(Arc::new(self.key(token)))
    }

    pub(crate) fn key(&self, token: &str) -> SecretValue {
        SecretValue::from(format!(
            r#"{{"type": "authorized_user", "client_id": "c", "client_secret": "s",
                "refresh_token": "{token}", "token_uri": "{}/token"}}"#,
            self.url
        ))
    }

    /// Asks the double something that Google does not answer.
    pub(crate) async fn control(&self, path: &str) -> String {
        let address = self.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "POST /double/{path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer
    }
}

impl Project {
    pub(crate) fn settings(&self) -> GcpSettings {
        let rights = match self.double.rights {
            Rights::All => GcpCredentials::Anonymous,
            Rights::ReadWrite => {
                let token = format!("only:{}", permissions(READ_WRITE));
                self.double.credentials(&token)
            }
        };
        GcpSettings {
            endpoint: Some(self.double.url.clone()),
            credentials: rights,
            page_size: 20,
            ..GcpSettings::new(&self.name)
        }
    }

    pub(crate) fn backend(&self) -> GcpBackend {
        backend(self.settings())
    }

    /// A backend whose access token is this text.
    pub(crate) fn with_token(&self, token: &str) -> GcpBackend {
        backend(GcpSettings {
            credentials: self.double.credentials(token),
            ..self.settings()
        })
    }

    pub(crate) fn secret(&self, coordinate: &Coordinate) -> String {
        format!("projects/{}/secrets/{coordinate}", self.name)
    }

    /// The service as somebody else uses it.
    pub(crate) async fn others(&self) -> SecretManagerService {
        client(&self.double.url).await
    }

    /// How many secrets there are, marked or not.
    pub(crate) async fn count(&self) -> usize {
        let request = self.others().await.list_secrets();
        let parent = format!("projects/{}", self.name);
        let answer = request
            .set_parent(parent)
            .set_page_size(10_000)
            .send()
            .await;
        answer.unwrap().secrets.len()
    }

    /// How many requests were made so far.
    pub(crate) async fn calls(&self) -> usize {
        let answer = self.double.control(&format!("{}/calls", self.name)).await;
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let numbers = body.split(|it: char| !it.is_ascii_digit());
        numbers.filter_map(|it| it.parse::<usize>().ok()).sum()
    }
}

pub(crate) fn backend(settings: GcpSettings) -> GcpBackend {
    GcpBackend::new("google".parse().unwrap(), settings).unwrap()
}

pub(crate) async fn client(url: &str) -> SecretManagerService {
    let builder = SecretManagerService::builder().with_endpoint(url);
    let credentials = anonymous::Builder::new().build();
    builder.with_credentials(credentials).build().await.unwrap()
}

/// A secret as everybody makes them.
pub(crate) fn plain() -> Secret {
    Secret::new().set_replication(Replication::new().set_automatic(Automatic::new()))
}

pub(crate) fn payload(value: &SecretValue) -> SecretPayload {
    SecretPayload::new().set_data(value.expose().to_vec())
}

pub(crate) fn request(value: &str) -> PutRequest {
    let secret = SystemRandomness.uuid();
    let grammar = Grammar::default();
    let owner = SystemRandomness.uuid();
    let coordinate = grammar.managed(Scope::Workspace, owner, secret, Version::FIRST);
    let value = marked(value);
    PutRequest {
        mark: Mark {
            store: StoreId(SystemRandomness.uuid()),
            deployment: "tests".to_owned(),
            digest: Digest::of(
                &Key::derive([7; 32]),
                coordinate.base(),
                ValueKind::Text,
                &value,
            ),
            coordinate,
            intent: None,
        },
        value,
        native_expiry: None,
    }
}

pub(crate) struct Namespace {
    pub(crate) project: Project,
    backend: Arc<GcpBackend>,
    second: Arc<GcpBackend>,
}

impl Namespace {
    pub(crate) fn new(project: Project) -> Self {
        Self {
            backend: Arc::new(project.backend()),
            second: Arc::new(project.backend()),
            project,
        }
    }
}

#[async_trait]
impl Manager for Double {
    fn name(&self) -> &'static str {
        match self.rights {
            Rights::All => "google",
            Rights::ReadWrite => "google-read-write",
        }
    }

    fn capabilities(&self) -> Capabilities {
        GcpBackend::capabilities_for(&self.project().settings())
    }

    fn powers(&self) -> Powers {
        Powers {
            time: true,
            foreign: true,
            misled: true,
            pages: true,
        }
    }

    fn credentials(&self) -> Credentials {
        Credentials {
            expired: true,
            restricted: true,
            exact: true,
        }
    }

    async fn subject(&self) -> Result<Box<dyn Subject>> {
        Ok(Box::new(Namespace::new(self.project())))
    }
}

#[async_trait]
impl Subject for Namespace {
    fn backend(&self) -> Arc<dyn SecretBackend> {
        Arc::clone(&self.backend) as Arc<dyn SecretBackend>
    }

    fn second(&self) -> Arc<dyn SecretBackend> {
        Arc::clone(&self.second) as Arc<dyn SecretBackend>
    }

    fn misled(&self) -> Option<Arc<dyn SecretBackend>> {
        Some(Arc::new(self.project.with_token("only:")))
    }

    async fn expired(&self) -> Result<Option<Arc<dyn SecretBackend>>> {
        let token = format!("all:{}", self.project.name);
        let backend = self.project.with_token(&token);
        backend.list(None).await?;
        self.project
            .double
            .control(&format!("revoke?token={token}"))
            .await;
        Ok(Some(Arc::new(backend)))
    }

    async fn without(&self, permission: Permission) -> Result<Option<Arc<dyn SecretBackend>>> {
        let token = match permission {
            Permission::Put => "not:secretmanager.secrets.create",
            Permission::Read => "not:secretmanager.versions.access",
            Permission::Describe => "not:secretmanager.secrets.get",
            Permission::List => "not:secretmanager.secrets.list",
            Permission::Delete => "not:secretmanager.secrets.delete,secretmanager.secrets.update",
            Permission::Restore => "not:secretmanager.versions.enable",
        };
        Ok(Some(Arc::new(self.project.with_token(token))))
    }

    async fn with_only(
        &self,
        permissions: &[&'static str],
    ) -> Result<Option<Arc<dyn SecretBackend>>> {
        let token = format!("only:{}", permissions.join(","));
        Ok(Some(Arc::new(self.project.with_token(&token))))
    }

    fn several_pages(&self) -> usize {
        50
    }

    async fn advance(&self, by: Duration) -> Result<()> {
        let path = format!("{}/advance?seconds={}", self.project.name, by.as_secs());
        self.project.double.control(&path).await;
        Ok(())
    }

    async fn write_foreign(&self, coordinate: &Coordinate, value: &SecretValue) -> Result<()> {
        let others = self.project.others().await;
        let parent = format!("projects/{}", self.project.name);
        let create = others.create_secret().set_parent(parent);
        let made = create
            .set_secret_id(coordinate.as_str())
            .set_secret(plain().set_ttl(wkt::Duration::clamp(7_200, 0)));
        made.send().await.map_err(|_| failed("create"))?;
        let add = others.add_secret_version();
        let add = add
            .set_parent(self.project.secret(coordinate))
            .set_payload(payload(value));
        add.send().await.map_err(|_| failed("add a version"))?;
        Ok(())
    }
}

fn failed(operation: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, operation, "the double refused it")
}
