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
use cloakroom_core::{
    Capabilities, Coordinate, Randomness as _, Result, SecretBackend, SecretValue, SystemRandomness,
};
use cloakroom_testkit::canary::marked;
use cloakroom_testkit::conformance::{self, Credentials, Manager, Permission, Powers, Subject};

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

    fn credentials(&self) -> Credentials {
        Credentials {
            expired: true,
            restricted: true,
            exact: true,
        }
    }

    async fn subject(&self) -> Result<Box<dyn Subject>> {
        Ok(Box::new(self.namespace().await?))
    }
}

impl Vault {
    async fn namespace(&self) -> Result<Namespace> {
        let (place, dialect) = (self.server.place().await, self.dialect);
        let token = place.token("read-write").await;
        Ok(Namespace {
            backend: connected(&place, dialect, token.clone())?,
            second: connected(&place, dialect, token)?,
            misled: connected(&place, dialect, marked("wrong"))?,
            place,
            dialect,
        })
    }
}

impl Namespace {
    /// A client whose token is another.
    fn client(&self, token: SecretValue) -> Result<Arc<dyn SecretBackend>> {
        Ok(connected(&self.place, self.dialect, token)?)
    }

    /// What one has who is under a policy of this text.
    async fn under(&self, policy: &str) -> Result<Option<Arc<dyn SecretBackend>>> {
        // Trials run side by side.
        let name = format!("test-{}", SystemRandomness.uuid());
        self.place.server.policy(&name, policy).await;
        Ok(Some(self.client(self.place.token(&name).await)?))
    }
}

fn connected(place: &Place, dialect: Dialect, token: SecretValue) -> Result<Arc<VaultBackend>> {
    let mut settings = place.settings(token);
    settings.openbao_extensions = matches!(dialect, Dialect::OpenBao);
    Ok(Arc::new(VaultBackend::new("vault".parse()?, settings)?))
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
        let token = self.place.token("read-write").await;
        let client = self.client(token.clone())?;
        client.list(None).await?;
        self.place.revoke(&token).await;
        Ok(Some(client))
    }

    async fn without(&self, permission: Permission) -> Result<Option<Arc<dyn SecretBackend>>> {
        self.under(&rights::without(permission)).await
    }

    async fn with_only(
        &self,
        permissions: &[&'static str],
    ) -> Result<Option<Arc<dyn SecretBackend>>> {
        self.under(&rights::only(permissions)).await
    }

    fn several_pages(&self) -> usize {
        1_100
    }

    async fn write_foreign(&self, coordinate: &Coordinate, value: &SecretValue) -> Result<()> {
        let value = value.expose_text().unwrap();
        let body = format!("{{\"data\":{{\"value\":\"{value}\"}}}}");
        let expiring = r#"{"delete_version_after":"2h"}"#;
        let place = &self.place;
        place
            .as_root("POST", "metadata", coordinate, expiring)
            .await;
        place.as_root("POST", "data", coordinate, &body).await;
        Ok(())
    }
}
