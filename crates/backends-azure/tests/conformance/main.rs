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
use cloakroom_testkit::conformance::{self, Manager, Powers, Subject};
use cloakroom_testkit::{ManualClock, elsewhere};

use double::{CLIENT_SECRET, Double, TENANT};

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

/// A vault, with purge protection or without.
struct Azure {
    protected: bool,
}

struct Namespace {
    double: Double,
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

    async fn subject(&self) -> Result<Box<dyn Subject>> {
        Ok(Box::new(Namespace::new(self.protected).await))
    }
}

impl Namespace {
    async fn new(protected: bool) -> Self {
        let double = Double::start(ManualClock::default()).await;
        double.vault().purge_protection = protected;
        let connected = |client: &str, secret: &str| {
            let mut settings = settings(&double, client, secret);
            settings.purge_protection = protected;
            backend(settings)
        };
        Self {
            backend: connected("first", CLIENT_SECRET),
            second: connected("second", CLIENT_SECRET),
            misled: connected("misled", "another secret"),
            double,
        }
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
        Some(Arc::clone(&self.misled) as Arc<dyn SecretBackend>)
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
        self.double.vault().write_past(&name, text, now);
        Ok(())
    }
}
