//! The server of the test run, its users, and empty namespaces on it.

use std::env;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials, Region};
use cloakroom_backends_aws::{
    Authentication, AwsSettings, ParameterStoreBackend, SecretsManagerBackend,
};
use cloakroom_core::{
    Capabilities, Coordinate, DeleteMode, Error, ErrorKind, Randomness as _, Result, SecretBackend,
    SecretValue, SystemClock, SystemRandomness,
};
use cloakroom_testkit::conformance::{Credentials as Tried, Manager, Permission, Powers, Subject};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) const REGION: &str = "eu-central-1";

/// An expiry as somebody else gives one.
const EXPIRY: &str = r#"[{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2099-01-01T00:00:00.000Z"}}]"#;

/// An access key.
#[derive(Clone)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) secret: String,
}

/// The server and who it knows.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) url: String,
    /// May do everything.
    pub(crate) admin: User,
    /// Has the published policies with reading of values.
    pub(crate) read_write: User,
    /// Has the published policies without it.
    pub(crate) verify_only: User,
    /// Has the published policy for reports on what a platform wrote.
    pub(crate) report: User,
    /// Has none of them.
    pub(crate) nobody: User,
    /// A session of that role that is over, and its token.
    pub(crate) expired: (User, String),
    /// A role that has the policies with reading, and the external id it demands.
    pub(crate) role: (String, String),
}

impl Server {
    pub(crate) fn from_environment() -> Option<Self> {
        let variable = |name: &str| env::var(format!("CLOAKROOM_TEST_AWS_{name}")).ok();
        let user = |name: &str| {
            let (id, secret) = variable(name)?.split_once(':').map(owned)?;
            Some(User { id, secret })
        };
        Some(Self {
            url: variable("URL")?,
            admin: user("ADMIN")?,
            read_write: user("READ_WRITE")?,
            verify_only: user("VERIFY_ONLY")?,
            report: user("REPORT")?,
            nobody: user("NOBODY")?,
            expired: {
                let (id, rest) = variable("EXPIRED")?.split_once(':').map(owned)?;
                let (secret, token) = rest.split_once(':').map(owned)?;
                (User { id, secret }, token)
            },
            role: variable("ROLE")?.split_once(' ').map(owned)?,
        })
    }

    /// Settings under which `user` works on the names that begin so.
    pub(crate) fn settings(&self, user: &User, prefix: &str) -> AwsSettings {
        AwsSettings {
            account: Some("123456789012".to_owned()),
            endpoint_url: Some(self.url.clone()),
            sts_endpoint_url: Some(self.url.clone()),
            authentication: Authentication::Keys {
                access_key_id: Arc::new(SecretValue::from(user.id.clone())),
                secret_access_key: Arc::new(SecretValue::from(user.secret.clone())),
                session_token: None,
            },
            name_prefix: prefix.to_owned(),
            timeout: Duration::from_secs(30),
            ..AwsSettings::new(REGION)
        }
    }

    /// A new user who may do these actions and nothing else.
    async fn user(&self, actions: &[&str]) -> User {
        let address = self.url.trim_start_matches("http://");
        let body = actions.join("\n");
        let request = format!(
            "POST /allow HTTP/1.0\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, key) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 200 "), "{head}");
        let (id, secret) = key.split_once(':').map(owned).unwrap();
        User { id, secret }
    }

    /// Secrets Manager past the backend.
    pub(crate) fn secrets(&self) -> aws_sdk_secretsmanager::Client {
        let config = aws_sdk_secretsmanager::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .endpoint_url(&self.url)
            .credentials_provider(self.admin.credentials());
        aws_sdk_secretsmanager::Client::from_conf(config.build())
    }

    /// Parameter Store past the backend.
    pub(crate) fn parameters(&self) -> aws_sdk_ssm::Client {
        let config = aws_sdk_ssm::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .endpoint_url(&self.url)
            .credentials_provider(self.admin.credentials());
        aws_sdk_ssm::Client::from_conf(config.build())
    }
}

impl User {
    /// A user who may do everything but this. Parameter Store does not tell describing from
    /// listing, and has nothing to restore.
    fn without(service: Aws, permission: Permission) -> Option<Self> {
        let name = match (service, permission) {
            (_, Permission::Put) => "PUT",
            (_, Permission::Read) => "READ",
            (_, Permission::Delete) => "DELETE",
            (Aws::ParameterStore, _) => return None,
            (_, Permission::Describe) => "DESCRIBE",
            (_, Permission::List) => "LIST",
            (_, Permission::Restore) => "RESTORE",
        };
        let key = env::var(format!("CLOAKROOM_TEST_AWS_WITHOUT_{name}")).ok()?;
        let (id, secret) = key.split_once(':').map(owned)?;
        Some(Self { id, secret })
    }

    pub(crate) fn credentials(&self) -> Credentials {
        Credentials::new(&self.id, &self.secret, None, None, "tests")
    }
}

/// Which of the two services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aws {
    SecretsManager,
    ParameterStore,
}

impl Aws {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SecretsManager => "secrets_manager",
            Self::ParameterStore => "parameter_store",
        }
    }

    pub(crate) fn on(self, server: &Server) -> Kind {
        Kind {
            service: self,
            server: server.clone(),
        }
    }

    /// A prefix that was never used.
    pub(crate) fn prefix(self) -> String {
        let unique = SystemRandomness.uuid().simple();
        match self {
            Self::SecretsManager => format!("t/{unique}/"),
            Self::ParameterStore => format!("/t/{unique}/"),
        }
    }

    pub(crate) async fn connect(self, settings: AwsSettings) -> Result<Arc<dyn SecretBackend>> {
        let id = "aws".parse()?;
        Ok(match self {
            Self::SecretsManager => Arc::new(SecretsManagerBackend::connect(id, settings).await?),
            Self::ParameterStore => {
                let clock = Arc::new(SystemClock);
                Arc::new(ParameterStoreBackend::connect(id, settings, clock).await?)
            }
        })
    }
}

/// One of the services on the server.
#[derive(Clone)]
pub(crate) struct Kind {
    pub(crate) service: Aws,
    pub(crate) server: Server,
}

impl Kind {
    pub(crate) async fn namespace(&self) -> Result<Namespace> {
        let prefix = self.service.prefix();
        let backend = |user: &User| self.service.connect(self.server.settings(user, &prefix));
        Ok(Namespace {
            backend: backend(&self.server.read_write).await?,
            second: backend(&self.server.read_write).await?,
            misled: backend(&self.server.nobody).await?,
            kind: self.clone(),
            prefix,
        })
    }
}

#[async_trait]
impl Manager for Kind {
    fn name(&self) -> &'static str {
        self.service.name()
    }

    fn capabilities(&self) -> Capabilities {
        match self.service {
            Aws::SecretsManager => SecretsManagerBackend::CAPABILITIES,
            Aws::ParameterStore => {
                ParameterStoreBackend::capabilities_of(&AwsSettings::new(REGION))
            }
        }
    }

    fn powers(&self) -> Powers {
        // The server goes by the machine's clock and deletes nothing when a time is over.
        Powers {
            time: false,
            foreign: true,
            misled: true,
            pages: true,
        }
    }

    fn credentials(&self) -> Tried {
        Tried {
            expired: true,
            restricted: true,
            exact: true,
        }
    }

    async fn subject(&self) -> Result<Box<dyn Subject>> {
        Ok(Box::new(self.namespace().await?))
    }
}

/// The names under one prefix.
pub(crate) struct Namespace {
    pub(crate) kind: Kind,
    pub(crate) prefix: String,
    pub(crate) backend: Arc<dyn SecretBackend>,
    second: Arc<dyn SecretBackend>,
    misled: Arc<dyn SecretBackend>,
}

impl Namespace {
    pub(crate) fn name(&self, coordinate: &Coordinate) -> String {
        format!("{}{coordinate}", self.prefix)
    }

    /// A backend on the same names whose user may do these actions and nothing else.
    pub(crate) async fn allowed(&self, actions: &[&str]) -> Result<Arc<dyn SecretBackend>> {
        let server = &self.kind.server;
        let settings = server.settings(&server.user(actions).await, &self.prefix);
        self.kind.service.connect(settings).await
    }
}

#[async_trait]
impl Subject for Namespace {
    fn backend(&self) -> Arc<dyn SecretBackend> {
        Arc::clone(&self.backend)
    }

    fn second(&self) -> Arc<dyn SecretBackend> {
        Arc::clone(&self.second)
    }

    fn misled(&self) -> Option<Arc<dyn SecretBackend>> {
        Some(Arc::clone(&self.misled))
    }

    async fn expired(&self) -> Result<Option<Arc<dyn SecretBackend>>> {
        let (user, token) = &self.kind.server.expired;
        let mut settings = self.kind.server.settings(user, &self.prefix);
        if let Authentication::Keys { session_token, .. } = &mut settings.authentication {
            *session_token = Some(Arc::new(SecretValue::from(token.clone())));
        }
        self.kind.service.connect(settings).await.map(Some)
    }

    async fn without(&self, permission: Permission) -> Result<Option<Arc<dyn SecretBackend>>> {
        let Some(user) = User::without(self.kind.service, permission) else {
            return Ok(None);
        };
        let settings = self.kind.server.settings(&user, &self.prefix);
        self.kind.service.connect(settings).await.map(Some)
    }

    async fn with_only(
        &self,
        permissions: &[&'static str],
    ) -> Result<Option<Arc<dyn SecretBackend>>> {
        self.allowed(permissions).await.map(Some)
    }

    fn knows_repetitions(&self) -> bool {
        self.kind.service == Aws::SecretsManager
    }

    fn several_pages(&self) -> usize {
        match self.kind.service {
            Aws::SecretsManager => 120,
            Aws::ParameterStore => 60,
        }
    }

    async fn write_foreign(&self, coordinate: &Coordinate, value: &SecretValue) -> Result<()> {
        let (name, text) = (self.name(coordinate), value.expose_text().unwrap());
        let written = match self.kind.service {
            Aws::SecretsManager => {
                let create = self.kind.server.secrets().create_secret().name(name);
                create.secret_string(text).send().await.is_ok()
            }
            Aws::ParameterStore => {
                let put = self.kind.server.parameters().put_parameter().name(name);
                let put = put.r#type(aws_sdk_ssm::types::ParameterType::SecureString);
                let put = put.tier(aws_sdk_ssm::types::ParameterTier::Advanced);
                put.policies(EXPIRY).value(text).send().await.is_ok()
            }
        };
        written.then_some(()).ok_or_else(|| {
            Error::new(
                ErrorKind::Unavailable,
                "write somebody else's secret",
                "the server refused it",
            )
        })
    }

    async fn finish(&self) {
        let mut listed = Vec::new();
        let mut next = None;
        while let Ok(page) = self.backend.list(next.as_ref()).await {
            listed.extend(page.secrets.into_iter().map(|it| it.coordinate));
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        // What is left behind goes with the server.
        let _ = self.backend.delete_many(&listed, DeleteMode::Final).await;
    }
}

fn owned((one, other): (&str, &str)) -> (String, String) {
    (one.to_owned(), other.to_owned())
}
