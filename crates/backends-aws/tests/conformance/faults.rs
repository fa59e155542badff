//! The services through the fault proxy.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::{Error, ErrorKind, Result, SecretBackend};
use cloakroom_testkit::faults::{self, FaultManager, FaultSubject, Operation, Refusal, Requests};
use cloakroom_testkit::proxy::{Answer, Proxy, Upstream};
use libtest_mimic::Trial;

use crate::server::{Aws, Kind, Namespace};

/// Twenty values a request; a put needs nothing read.
const SECRETS_MANAGER: Requests = &[
    (Operation::Put, 1),
    (Operation::PutAgain, 1),
    (Operation::Get, 2),
    (Operation::GetMany, 5),
    (Operation::Describe, 1),
    (Operation::List, 1),
    (Operation::Delete, 2),
    (Operation::DeleteRecoverable, 1),
    (Operation::Restore, 1),
];

/// A put looks what the name holds now.
const SECRETS_MANAGER_BY_NAME: Requests = &[
    (Operation::Put, 2),
    (Operation::PutAgain, 2),
    (Operation::Get, 1),
    (Operation::GetMany, 2),
    (Operation::Describe, 1),
    (Operation::List, 1),
    (Operation::Delete, 2),
    (Operation::DeleteRecoverable, 1),
    (Operation::Restore, 1),
];

/// Ten values a request, and descriptions by ten where AWS gives fifty.
const PARAMETER_STORE: Requests = &[
    (Operation::Put, 1),
    (Operation::PutAgain, 3),
    (Operation::Get, 2),
    (Operation::GetMany, 4),
    (Operation::Describe, 1),
    (Operation::List, 1),
    (Operation::Delete, 1),
    (Operation::LiftExpiry, 3),
];

/// The same without marks to read; a description is asked for its tags besides.
const PARAMETER_STORE_BY_NAME: Requests = &[
    (Operation::Put, 1),
    (Operation::PutAgain, 3),
    (Operation::Get, 1),
    (Operation::GetMany, 2),
    (Operation::Describe, 2),
    (Operation::List, 1),
    (Operation::Delete, 1),
];

/// What the documentation says of them.
const DOCUMENTED: &str = include_str!("../../../../docs/backends/faults.md");

/// The documentation tells these requests.
pub(crate) fn page_trials() -> Vec<Trial> {
    vec![
        faults::page_trial(DOCUMENTED, "secrets_manager", SECRETS_MANAGER),
        faults::page_trial(
            DOCUMENTED,
            "secrets_manager_by_name",
            SECRETS_MANAGER_BY_NAME,
        ),
        faults::page_trial(DOCUMENTED, "parameter_store", PARAMETER_STORE),
        faults::page_trial(
            DOCUMENTED,
            "parameter_store_by_name",
            PARAMETER_STORE_BY_NAME,
        ),
    ]
}

#[async_trait]
impl FaultManager for Kind {
    async fn fault_subject(&self) -> Result<Box<dyn FaultSubject>> {
        Ok(Box::new(self.namespace().await?))
    }

    fn page(&self) -> Option<&'static str> {
        Some(DOCUMENTED)
    }
}

#[async_trait]
impl FaultSubject for Namespace {
    fn upstream(&self) -> Result<Upstream> {
        upstream(&self.kind.server.url)
    }

    async fn through(&self, proxy: &Proxy, timeout: Duration) -> Result<Arc<dyn SecretBackend>> {
        let server = &self.kind.server;
        let mut settings = server.settings(&server.read_write, &self.prefix);
        settings.endpoint_url = Some(proxy.url());
        settings.timeout = timeout;
        self.kind.service.connect(settings).await
    }

    fn answer(&self, refusal: Refusal) -> Answer {
        answer(self.kind.service, refusal)
    }

    fn requests(&self) -> Requests {
        match self.kind.service {
            Aws::SecretsManager => SECRETS_MANAGER,
            Aws::ParameterStore => PARAMETER_STORE,
        }
    }

    fn named_requests(&self) -> Requests {
        match self.kind.service {
            Aws::SecretsManager => SECRETS_MANAGER_BY_NAME,
            Aws::ParameterStore => PARAMETER_STORE_BY_NAME,
        }
    }

    async fn count(&self) -> Result<Option<usize>> {
        Ok(None)
    }
}

/// The host is part of what is signed.
pub(crate) fn upstream(url: &str) -> Result<Upstream> {
    let upstream = Upstream::new(url)
        .map_err(|error| Error::new(ErrorKind::Invalid, "set up a proxy", error.to_string()))?;
    Ok(upstream.keeping_host())
}

/// A refusal in AWS's shape: a status and a code.
pub(crate) fn answer(service: Aws, refusal: Refusal) -> Answer {
    let (status, code) = match refusal {
        Refusal::Denied => (400, "AccessDeniedException"),
        Refusal::Throttled { .. } => (400, "ThrottlingException"),
        Refusal::Failed => match service {
            Aws::SecretsManager => (500, "InternalServiceError"),
            Aws::ParameterStore => (500, "InternalServerError"),
        },
        Refusal::Unavailable => (503, "ServiceUnavailable"),
        Refusal::PageExpired => match service {
            Aws::SecretsManager => (400, "InvalidNextTokenException"),
            Aws::ParameterStore => (400, "InvalidNextToken"),
        },
    };
    let answer = coded(status, code);
    match refusal.retry_after() {
        Some(after) => answer.with_retry_after(after),
        None => answer,
    }
}

/// An answer that bears a code where AWS puts it.
pub(crate) fn coded(status: u16, code: &str) -> Answer {
    Answer::json(status, format!(r#"{{"__type":"{code}","message":"no"}}"#))
        .with_header("x-amzn-errortype", code)
}
