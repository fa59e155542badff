//! OpenBao behind the fault proxy.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::{Error, ErrorKind, Result, SecretBackend};
use cloakroom_testkit::faults::{
    self, FaultManager, FaultSubject, Operation, Refusal, Requests, Trouble,
};
use cloakroom_testkit::proxy::{Answer, Proxy, Upstream};
use libtest_mimic::Trial;

use crate::server::backend;
use crate::{Dialect, Namespace, Vault};

/// A put is: is the name free, the mark, the value.
const OPENBAO: Requests = &[
    (Operation::Put, 3),
    (Operation::PutAgain, 2),
    (Operation::Get, 1),
    (Operation::GetMany, 4),
    (Operation::Describe, 1),
    (Operation::List, 1),
    (Operation::Delete, 2),
    (Operation::DeleteRecoverable, 3),
    (Operation::Restore, 4),
    (Operation::LiftExpiry, 4),
];

/// The listing asks for each secret's metadata.
const VAULT: Requests = &[
    (Operation::Put, 3),
    (Operation::PutAgain, 2),
    (Operation::Get, 1),
    (Operation::GetMany, 4),
    (Operation::Describe, 1),
    (Operation::List, 4),
    (Operation::Delete, 2),
    (Operation::DeleteRecoverable, 3),
    (Operation::Restore, 4),
    (Operation::LiftExpiry, 4),
];

/// A put is: is the name free, the value.
const OPENBAO_BY_NAME: Requests = &[
    (Operation::Put, 2),
    (Operation::PutAgain, 2),
    (Operation::Get, 1),
    (Operation::GetMany, 4),
    (Operation::Describe, 1),
    (Operation::List, 1),
    (Operation::Delete, 2),
    (Operation::DeleteRecoverable, 2),
    (Operation::Restore, 3),
];

/// The listing asks for each secret's metadata.
const VAULT_BY_NAME: Requests = &[
    (Operation::Put, 2),
    (Operation::PutAgain, 2),
    (Operation::Get, 1),
    (Operation::GetMany, 4),
    (Operation::Describe, 1),
    (Operation::List, 4),
    (Operation::Delete, 2),
    (Operation::DeleteRecoverable, 2),
    (Operation::Restore, 3),
];

/// What the documentation says of them.
const DOCUMENTED: &str = include_str!("../../../../docs/backends/faults.md");

/// The documentation tells these requests.
pub(crate) fn page_trials() -> Vec<Trial> {
    vec![
        faults::page_trial(DOCUMENTED, "openbao", OPENBAO),
        faults::page_trial(DOCUMENTED, "openbao_by_name", OPENBAO_BY_NAME),
        faults::page_trial(DOCUMENTED, "vault", VAULT),
        faults::page_trial(DOCUMENTED, "vault_by_name", VAULT_BY_NAME),
    ]
}

#[async_trait]
impl FaultManager for Vault {
    async fn fault_subject(&self) -> Result<Box<dyn FaultSubject>> {
        Ok(Box::new(self.namespace().await?))
    }

    fn excluded(&self, trouble: Trouble, _operation: Operation) -> Option<&'static str> {
        (trouble == Trouble::ExpiredPage).then_some("a page is asked for by name and cannot expire")
    }

    fn page(&self) -> Option<&'static str> {
        Some(DOCUMENTED)
    }
}

#[async_trait]
impl FaultSubject for Namespace {
    fn upstream(&self) -> Result<Upstream> {
        Upstream::new(&self.place.server.url)
            .map_err(|error| Error::new(ErrorKind::Invalid, "test", error.to_string()))
    }

    async fn through(&self, proxy: &Proxy, timeout: Duration) -> Result<Arc<dyn SecretBackend>> {
        let mut settings = self.place.settings(self.place.token("read-write").await);
        settings.openbao_extensions = matches!(self.dialect, Dialect::OpenBao);
        settings.address = proxy.url();
        settings.timeout = timeout;
        Ok(Arc::new(backend(settings)))
    }

    fn answer(&self, refusal: Refusal) -> Answer {
        Answer {
            body: r#"{"errors":["refused by a test"]}"#.to_owned(),
            ..refusal.plain()
        }
    }

    fn requests(&self) -> Requests {
        match self.dialect {
            Dialect::OpenBao => OPENBAO,
            Dialect::Vault => VAULT,
        }
    }

    fn named_requests(&self) -> Requests {
        match self.dialect {
            Dialect::OpenBao => OPENBAO_BY_NAME,
            Dialect::Vault => VAULT_BY_NAME,
        }
    }

    /// Whatever has metadata: the engine keeps no data without it.
    async fn count(&self) -> Result<Option<usize>> {
        let place = &self.place;
        let path = format!("{}/metadata/{}", place.mount, place.prefix);
        let asked = place.server.asked(None, "LIST", &path, "").await;
        let keys = asked
            .1
            .split_once("\"keys\":[")
            .map_or("", |(_, keys)| keys);
        let keys = keys.split_once(']').map_or("", |(keys, _)| keys);
        Ok(Some(keys.matches('"').count() / 2))
    }
}
