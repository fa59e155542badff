//! The vault behind the fault proxy.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::{Error, ErrorKind, Result, SecretBackend};
use cloakroom_testkit::faults::{FaultManager, FaultSubject, Refusal};
use cloakroom_testkit::proxy::{Answer, Proxy, Upstream};

use crate::double::{CLIENT_SECRET, refused};
use crate::{Azure, Namespace, backend, settings};

#[async_trait]
impl FaultManager for Azure {
    async fn fault_subject(&self) -> Result<Box<dyn FaultSubject>> {
        Ok(Box::new(Namespace::new(self.protected).await))
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

    async fn count(&self) -> Result<Option<usize>> {
        Ok(Some(self.double.vault().names().len()))
    }
}
