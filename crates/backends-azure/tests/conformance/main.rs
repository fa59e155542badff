//! The laws of every backend and those of this one, over a double of the vault.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod answers;
mod double;
mod faults;
mod found;
mod logins;
mod meeting;
mod named;
mod own;
mod races;
mod scene;

use std::process::ExitCode;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_backends_azure::{Authentication, AzureBackend, AzureSettings};
use cloakroom_core::{BackendId, Capabilities, Coordinate, Result, SecretBackend, SecretValue};
use cloakroom_testkit::conformance::{self, Credentials, Manager, Permission, Powers, Subject};
use cloakroom_testkit::{ManualClock, elsewhere};

use double::{CLIENT_SECRET, Double, EVERY_RIGHT, TENANT, action};

fn main() -> ExitCode {
    if let Some(task) = elsewhere::task() {
        let ended = scene::run(found::alone(&task));
        return elsewhere::end(
            ended.map_err(|failed| failed.message().unwrap_or_default().to_owned()),
        );
    }
    let mut trials = faults::page_trials();
    trials.extend(conformance::trials(Azure { protected: false }));
    trials.extend(conformance::trials(Azure { protected: true }));
    trials.extend(cloakroom_testkit::faults::trials(Azure {
        protected: false,
    }));
    trials.extend(cloakroom_testkit::faults::named_trials(Azure {
        protected: false,
    }));
    trials.extend(cloakroom_testkit::named::trials(Azure { protected: false }));
    trials.extend(answers::trials());
    trials.extend(found::trials());
    trials.extend(logins::trials());
    trials.extend(own::trials());
    trials.extend(races::trials());
    conformance::run(trials)
}

/// The roles that are handed out.
const READ_WRITE: &str = include_str!("../../../../deploy/policies/azure/read-write.json");
pub(crate) const VERIFY_ONLY: &str =
    include_str!("../../../../deploy/policies/azure/verify-only.json");

/// The actions that a role allows.
pub(crate) fn actions(role: &str) -> Vec<String> {
    let role: serde_json::Value = serde_json::from_str(role).unwrap();
    let actions = role["DataActions"].as_array().unwrap().iter();
    actions.map(|it| it.as_str().unwrap().to_owned()).collect()
}

/// The double's rights among these actions.
pub(crate) fn rights_of(actions: &[impl AsRef<str>]) -> Vec<&'static str> {
    let is_among = |right: &&str| actions.iter().any(|it| it.as_ref() == action(right));
    let rights: Vec<_> = EVERY_RIGHT.into_iter().filter(is_among).collect();
    assert_eq!(rights.len(), actions.len(), "there are other actions");
    rights
}

/// A vault, with purge protection or without.
struct Azure {
    protected: bool,
}

struct Namespace {
    double: Double,
    prefix: &'static str,
    backend: Arc<AzureBackend>,
    second: Arc<AzureBackend>,
    misled: Arc<AzureBackend>,
}

/// Settings for a client that logs in with a secret.
pub(crate) fn settings(double: &Double, client: &str, secret: &str) -> AzureSettings {
    let mut settings = AzureSettings::new(double.url());
    settings.authority = Some(double.url());
    settings.authentication = Authentication::ClientSecret;
    settings.tenant_id = Some(TENANT.to_owned());
    settings.client_id = Some(client.to_owned());
    settings.client_secret = Some(Arc::new(SecretValue::from(secret.to_owned())));
    settings.settle_timeout = Duration::from_secs(5);
    settings
}

pub(crate) fn backend(settings: AzureSettings) -> Arc<AzureBackend> {
    Arc::new(AzureBackend::new(id(), settings).unwrap())
}

fn id() -> BackendId {
    "azure".parse().unwrap()
}

#[async_trait]
impl Manager for Azure {
    fn name(&self) -> &'static str {
        if self.protected {
            "azure-purge-protected"
        } else {
            "azure"
        }
    }

    fn capabilities(&self) -> Capabilities {
        // Every trial asks for them, and a client takes its time to be built.
        static CAPABILITIES: LazyLock<[Capabilities; 2]> = LazyLock::new(|| {
            [false, true].map(|protected| {
                let mut settings = AzureSettings::new("https://example.vault.azure.net");
                settings.purge_protection = protected;
                backend(settings).capabilities().clone()
            })
        });
        CAPABILITIES[usize::from(self.protected)].clone()
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
        Ok(Box::new(Namespace::new(self.protected).await))
    }
}

impl Namespace {
    async fn new(protected: bool) -> Self {
        let double = Double::start(ManualClock::default()).await;
        double.vault().purge_protection = protected;
        Self::of(double, "")
    }

    /// The names of a vault that begin so.
    fn of(double: Double, prefix: &'static str) -> Self {
        let rights = rights_of(&actions(READ_WRITE));
        for client in ["first", "second"] {
            double.grant(client, &rights);
        }
        let connected = |client, secret| connected(&double, prefix, client, secret);
        Self {
            backend: connected("first", CLIENT_SECRET),
            second: connected("second", CLIENT_SECRET),
            misled: connected("misled", "another secret"),
            prefix,
            double,
        }
    }

    /// Another client, whose secret is the right one.
    fn client(&self, name: &str) -> Arc<AzureBackend> {
        connected(&self.double, self.prefix, name, CLIENT_SECRET)
    }

    /// One that has these rights.
    fn allowed(&self, name: &str, rights: &[&str]) -> Arc<AzureBackend> {
        self.double.grant(name, rights);
        self.client(name)
    }
}

fn connected(double: &Double, prefix: &str, client: &str, secret: &str) -> Arc<AzureBackend> {
    let mut settings = settings(double, client, secret);
    settings.purge_protection = double.vault().purge_protection;
    prefix.clone_into(&mut settings.prefix);
    backend(settings)
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
        Some(Arc::clone(&self.misled) as Arc<dyn SecretBackend>)
    }

    async fn expired(&self) -> Result<Option<Arc<dyn SecretBackend>>> {
        let client = self.client("expired");
        client.list(None).await?;
        self.double.expire("expired");
        Ok(Some(client))
    }

    async fn without(&self, permission: Permission) -> Result<Option<Arc<dyn SecretBackend>>> {
        let missing = match permission {
            Permission::Put => "set",
            Permission::Read => "get",
            // Descriptions are what the listing of a secret's versions says.
            Permission::Describe | Permission::List => "list",
            Permission::Delete => "delete",
            Permission::Restore => "recover",
        };
        let mut rights = EVERY_RIGHT.to_vec();
        rights.retain(|right| *right != missing);
        Ok(Some(
            self.allowed(&format!("without {permission:?}"), &rights),
        ))
    }

    async fn with_only(
        &self,
        permissions: &[&'static str],
    ) -> Result<Option<Arc<dyn SecretBackend>>> {
        let rights = rights_of(permissions);
        Ok(Some(self.allowed(&rights.join(" "), &rights)))
    }

    fn several_pages(&self) -> usize {
        60
    }

    async fn advance(&self, by: Duration) -> Result<()> {
        self.double.clock().advance(by);
        Ok(())
    }

    async fn write_foreign(&self, coordinate: &Coordinate, value: &SecretValue) -> Result<()> {
        use cloakroom_core::Clock as _;
        let name = self.backend.secret_name(coordinate);
        let now = self.double.clock().now();
        let text = value.expose_text().unwrap();
        self.double.vault().write_expiring_past(&name, text, now);
        Ok(())
    }
}
