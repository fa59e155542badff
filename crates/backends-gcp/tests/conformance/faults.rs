//! The laws of trouble on the wire: the backend reaches the double through the fault proxy.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_backends_gcp::{GcpBackend, GcpSettings};
use cloakroom_core::{Error, ErrorKind, Result, SecretBackend};
use cloakroom_testkit::faults::{self, FaultManager, FaultSubject, Operation, Refusal, Requests};
use cloakroom_testkit::proxy::{Answer, Proxy, Upstream};
use libtest_mimic::Trial;

use crate::double::{Double, Namespace};

/// Secret and version are asked for apart.
const REQUESTS: Requests = &[
    (Operation::Put, 2),
    (Operation::PutAgain, 3),
    (Operation::Get, 2),
    (Operation::GetMany, 8),
    (Operation::Describe, 2),
    (Operation::List, 1),
    (Operation::Delete, 1),
    (Operation::DeleteRecoverable, 4),
    (Operation::Restore, 4),
    (Operation::LiftExpiry, 2),
];

/// No mark is read with a value.
const BY_NAME: Requests = &[
    (Operation::Put, 2),
    (Operation::PutAgain, 3),
    (Operation::Get, 1),
    (Operation::GetMany, 4),
    (Operation::Describe, 2),
    (Operation::List, 1),
    (Operation::Delete, 1),
    (Operation::DeleteRecoverable, 4),
    (Operation::Restore, 4),
];

/// What the documentation says of them.
const DOCUMENTED: &str = include_str!("../../../../docs/backends/faults.md");

/// The documentation tells these requests.
pub(crate) fn page_trials() -> Vec<Trial> {
    vec![
        faults::page_trial(DOCUMENTED, "google", REQUESTS),
        faults::page_trial(DOCUMENTED, "google_by_name", BY_NAME),
    ]
}

#[async_trait]
impl FaultManager for Double {
    async fn fault_subject(&self) -> Result<Box<dyn FaultSubject>> {
        Ok(Box::new(Namespace::new(self.project())))
    }

    fn page(&self) -> Option<&'static str> {
        Some(DOCUMENTED)
    }
}

#[async_trait]
impl FaultSubject for Namespace {
    fn upstream(&self) -> Result<Upstream> {
        Upstream::new(&self.project.double.url).map_err(|error| {
            Error::new(
                ErrorKind::Invalid,
                "find the double",
                "its URL is not valid",
            )
            .with_source(error)
        })
    }

    async fn through(&self, proxy: &Proxy, timeout: Duration) -> Result<Arc<dyn SecretBackend>> {
        let settings = GcpSettings {
            endpoint: Some(proxy.url()),
            timeout,
            ..self.project.settings()
        };
        Ok(Arc::new(GcpBackend::new("google".parse()?, settings)?))
    }

    /// A refusal in Google's words.
    fn answer(&self, refusal: Refusal) -> Answer {
        let (code, status) = match refusal {
            Refusal::Denied => (403, "PERMISSION_DENIED"),
            Refusal::Throttled { .. } => (429, "RESOURCE_EXHAUSTED"),
            Refusal::Failed => (500, "INTERNAL"),
            Refusal::Unavailable => (503, "UNAVAILABLE"),
            Refusal::PageExpired => (400, "INVALID_ARGUMENT"),
        };
        let body =
            format!(r#"{{"error": {{"code": {code}, "message": "no", "status": "{status}"}}}}"#);
        let answer = Answer::json(code, body);
        match refusal {
            Refusal::Throttled {
                retry_after: Some(after),
            } => answer.with_retry_after(after),
            _ => answer,
        }
    }

    fn requests(&self) -> Requests {
        REQUESTS
    }

    fn named_requests(&self) -> Requests {
        BY_NAME
    }

    async fn count(&self) -> Result<Option<usize>> {
        Ok(Some(self.project.count().await))
    }
}
