//! The laws of every backend and those of this one, on OpenBao, under the policy of
//! `deploy/policies/vault`: once with all that OpenBao has, once with no more than Vault has.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cleaning;
mod crash;
mod credentials;
mod errors;
mod expiry;
mod faults;
mod kubernetes;
mod named;
mod own;
mod requests;
mod rights;
mod server;

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use cloakroom_backends_vault::VaultBackend;
use cloakroom_core::{Capabilities, Coordinate, Result, SecretBackend, SecretValue};
use cloakroom_testkit::conformance::{self, Manager, Powers, Subject};

use server::{Place, Server, URL};

fn main() -> ExitCode {
    requests::count();
    let mut trials = faults::page_trials();
    if let Some(server) = Server::from_environment() {
        for dialect in [Dialect::OpenBao, Dialect::Vault] {
            let server = server.clone();
            let vault = || Vault {
                server: server.clone(),
                dialect,
            };
            trials.extend(conformance::trials(vault()));
            trials.extend(cloakroom_testkit::named::trials(vault()));
            trials.extend(cloakroom_testkit::faults::trials(vault()));
            trials.extend(cloakroom_testkit::faults::named_trials(vault()));
        }
        trials.extend(own::trials(&server));
    } else {
        let reason = format!("{URL} is not set; cargo xtask test sets it");
        for dialect in [Dialect::OpenBao, Dialect::Vault] {
            trials.extend(conformance::absent(dialect.name(), &reason));
            trials.extend(cloakroom_testkit::named::absent(dialect.name(), &reason));
            trials.extend(cloakroom_testkit::faults::absent(dialect.name(), &reason));
            trials.extend(cloakroom_testkit::faults::named_absent(
                dialect.name(),
                &reason,
            ));
        }
        trials.extend(own::absent(&reason));
    }
    conformance::run(trials)
}

/// Whose extensions are used. Vault itself comes from no registry; OpenBao understands it.
#[derive(Clone, Copy)]
enum Dialect {
    OpenBao,
    Vault,
}

impl Dialect {
    fn name(self) -> &'static str {
        match self {
            Self::OpenBao => "openbao",
            Self::Vault => "vault",
        }
    }
}

struct Vault {
    server: Server,
    dialect: Dialect,
}

struct Namespace {
    place: Place,
    dialect: Dialect,
    backend: Arc<VaultBackend>,
    second: Arc<VaultBackend>,
    misled: Arc<VaultBackend>,
}

#[async_trait]
impl Manager for Vault {
    fn name(&self) -> &'static str {
        self.dialect.name()
    }

    fn capabilities(&self) -> Capabilities {
        VaultBackend::CAPABILITIES
    }

    fn powers(&self) -> Powers {
        Powers {
            // Its clock is the machine's; what time does to it is held against real seconds in
            // `expiry`.
            time: false,
            foreign: true,
            misled: true,
            pages: true,
        }
    }

    async fn subject(&self) -> Result<Box<dyn Subject>> {
        Ok(Box::new(self.namespace().await?))
    }
}

impl Vault {
    async fn namespace(&self) -> Result<Namespace> {
        let place = self.server.place().await;
        let mut settings = place.settings(place.token("read-write").await);
        settings.openbao_extensions = matches!(self.dialect, Dialect::OpenBao);
        let misled = place.settings(SecretValue::from("s.wrong".to_owned()));
        Ok(Namespace {
            backend: Arc::new(VaultBackend::new("vault".parse()?, settings.clone())?),
            second: Arc::new(VaultBackend::new("second".parse()?, settings)?),
            misled: Arc::new(VaultBackend::new("misled".parse()?, misled)?),
            place,
            dialect: self.dialect,
        })
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
        1_100
    }

    async fn write_foreign(&self, coordinate: &Coordinate, value: &SecretValue) -> Result<()> {
        let value = value.expose_text().unwrap();
        let body = format!("{{\"data\":{{\"value\":\"{value}\"}}}}");
        self.place.as_root("POST", "data", coordinate, &body).await;
        Ok(())
    }
}
