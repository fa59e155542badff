//! The services through the fault proxy.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::{Error, ErrorKind, Result, SecretBackend};
use cloakroom_testkit::faults::{FaultManager, FaultSubject, Refusal};
use cloakroom_testkit::proxy::{Answer, Proxy, Upstream};

use crate::server::{Aws, Kind, Namespace};

#[async_trait]
impl FaultManager for Kind {
    async fn fault_subject(&self) -> Result<Box<dyn FaultSubject>> {
        Ok(Box::new(self.namespace().await?))
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
