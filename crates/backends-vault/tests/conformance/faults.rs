//! OpenBao behind the fault proxy.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::{Error, ErrorKind, Result, SecretBackend};
use cloakroom_testkit::faults::{FaultManager, FaultSubject, Operation, Refusal, Trouble};
use cloakroom_testkit::proxy::{Answer, Proxy, Upstream};

use crate::server::backend;
use crate::{Dialect, Namespace, Vault};

#[async_trait]
impl FaultManager for Vault {
    async fn fault_subject(&self) -> Result<Box<dyn FaultSubject>> {
        Ok(Box::new(self.namespace().await?))
    }

    fn excluded(&self, trouble: Trouble, _operation: Operation) -> Option<&'static str> {
        (trouble == Trouble::ExpiredPage).then_some("a page is asked for by name and cannot expire")
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
