//! The API server behind the fault proxy.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_backends_kubernetes::KubernetesSettings;
use cloakroom_core::{Result, SecretBackend};
use cloakroom_testkit::faults::{self, FaultManager, FaultSubject, Operation, Refusal, Requests};
use cloakroom_testkit::proxy::{Answer, Proxy, Upstream};
use libtest_mimic::Trial;

use crate::cluster::broken;
use crate::{Inside, Kubernetes, PAGE, connect};

/// Everything is one request; what a taken name holds is read.
const REQUESTS: Requests = &[
    (Operation::Put, 1),
    (Operation::PutAgain, 2),
    (Operation::Get, 1),
    (Operation::GetMany, 4),
    (Operation::Describe, 1),
    (Operation::List, 1),
    (Operation::Delete, 1),
];

/// What the documentation says of them.
const DOCUMENTED: &str = include_str!("../../../../docs/backends/faults.md");

/// The documentation tells these requests.
pub(crate) fn page_trials() -> Vec<Trial> {
    vec![faults::page_trial(DOCUMENTED, "kubernetes", REQUESTS)]
}

#[async_trait]
impl FaultManager for Kubernetes {
    async fn fault_subject(&self) -> Result<Box<dyn FaultSubject>> {
        Ok(Box::new(self.inside().await?))
    }

    fn page(&self) -> Option<&'static str> {
        Some(DOCUMENTED)
    }
}

#[async_trait]
impl FaultSubject for Inside {
    fn upstream(&self) -> Result<Upstream> {
        Upstream::new(&self.place.cluster.url).map_err(|error| broken(error.to_string()))
    }

    async fn through(&self, proxy: &Proxy, timeout: Duration) -> Result<Arc<dyn SecretBackend>> {
        let mut settings = KubernetesSettings::new(&self.place.namespace);
        settings.server = Some(proxy.url());
        settings.token = Some(Arc::new(self.token.clone()));
        settings.page_size = PAGE;
        settings.timeout = timeout;
        let backend: Arc<dyn SecretBackend> = connect(settings).await?;
        Ok(backend)
    }

    fn answer(&self, refusal: Refusal) -> Answer {
        let plain = refusal.plain();
        let reason = match refusal {
            Refusal::Denied => "Forbidden",
            Refusal::Throttled { .. } => "TooManyRequests",
            Refusal::Failed => "InternalError",
            Refusal::Unavailable => "ServiceUnavailable",
            Refusal::PageExpired => "Expired",
        };
        let body = format!(
            r#"{{"kind":"Status","apiVersion":"v1","status":"Failure","code":{},"reason":"{reason}",
                "message":"refused by a test","details":{{"kind":"secrets"}}}}"#,
            plain.status
        );
        Answer { body, ..plain }
    }

    fn requests(&self) -> Requests {
        REQUESTS
    }

    async fn count(&self) -> Result<Option<usize>> {
        Ok(Some(self.place.count().await?))
    }
}
