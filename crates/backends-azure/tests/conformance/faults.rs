//! The vault behind the fault proxy.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::{Error, ErrorKind, Result, SecretBackend};
use cloakroom_testkit::faults::{self, FaultManager, FaultSubject, Operation, Refusal, Requests};
use cloakroom_testkit::proxy::{Answer, Proxy, Upstream};
use libtest_mimic::Trial;

use crate::double::{CLIENT_SECRET, refused};
use crate::{Azure, Namespace, backend, settings};

/// A put is look, claim, look, enable, look.
const REQUESTS: Requests = &[
    (Operation::Put, 5),
    (Operation::PutAgain, 1),
    (Operation::Get, 1),
    (Operation::GetMany, 5),
    (Operation::Describe, 1),
    (Operation::List, 2),
    (Operation::Delete, 3),
    (Operation::DeleteRecoverable, 2),
    (Operation::Restore, 2),
    (Operation::LiftExpiry, 4),
];

/// A put is look, set, look.
const BY_NAME: Requests = &[
    (Operation::Put, 3),
    (Operation::PutAgain, 1),
    (Operation::Get, 1),
    (Operation::GetMany, 5),
    (Operation::Describe, 1),
    (Operation::List, 2),
    (Operation::Delete, 3),
    (Operation::DeleteRecoverable, 2),
    (Operation::Restore, 2),
];

/// What the documentation says of them.
const DOCUMENTED: &str = include_str!("../../../../docs/backends/faults.md");

/// The documentation tells these requests.
pub(crate) fn page_trials() -> Vec<Trial> {
    vec![
        faults::page_trial(DOCUMENTED, "azure", REQUESTS),
        faults::page_trial(DOCUMENTED, "azure_by_name", BY_NAME),
    ]
}

#[async_trait]
impl FaultManager for Azure {
    async fn fault_subject(&self) -> Result<Box<dyn FaultSubject>> {
        Ok(Box::new(Namespace::new(self.protected).await))
    }

    fn page(&self) -> Option<&'static str> {
        Some(DOCUMENTED)
    }
}

#[async_trait]
impl FaultSubject for Namespace {
    fn upstream(&self) -> Result<Upstream> {
        // The double makes its links of the host it is asked for.
        Upstream::new(&self.double.url())
            .map(Upstream::keeping_host)
            .map_err(|error| Error::new(ErrorKind::Invalid, "test", error.to_string()))
    }

    async fn through(&self, proxy: &Proxy, timeout: Duration) -> Result<Arc<dyn SecretBackend>> {
        let mut settings = settings(&self.double, "through", CLIENT_SECRET);
        settings.vault_url = proxy.url();
        settings.authority = Some(proxy.url());
        settings.timeout = timeout;
        Ok(backend(settings))
    }

    fn answer(&self, refusal: Refusal) -> Answer {
        let (status, body) = match refusal {
            Refusal::Denied => refused(403, "Forbidden", Some("ForbiddenByRbac")),
            Refusal::Throttled { .. } => refused(429, "Throttled", None),
            Refusal::Failed => refused(500, "InternalServerError", None),
            Refusal::Unavailable => refused(503, "ServiceUnavailable", None),
            Refusal::PageExpired => refused(400, "BadParameter", None),
        };
        Answer {
            status,
            body: body.to_string(),
            ..refusal.plain()
        }
    }

    fn requests(&self) -> Requests {
        REQUESTS
    }

    fn named_requests(&self) -> Requests {
        BY_NAME
    }

    async fn count(&self) -> Result<Option<usize>> {
        Ok(Some(self.double.vault().names().len()))
    }
}
