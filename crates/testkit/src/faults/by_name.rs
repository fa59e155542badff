//! The fault laws for what a manager is asked by a platform's names.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::{Capabilities, Result, SecretBackend, SecretValue};
use libtest_mimic::Trial;

use super::{FaultManager, FaultSubject, Operation, Refusal, Trouble, run};
use crate::conformance::{Credentials, Manager, Powers, Subject};
use crate::named::{AsBackend, Marks, capabilities_of};
use crate::proxy::{Answer, Proxy, Upstream};

/// What the names of these trials' managers end with.
pub(super) const BY_NAME: &str = "_by_name";

/// Every fault law as a trial about what is asked by a platform's names, each on an empty namespace and
/// a proxy of its own.
pub fn named_trials(manager: impl FaultManager) -> Vec<Trial> {
    run::trials(ByName {
        name: called(manager.name()),
        inner: manager,
    })
}

/// The trials of [`named_trials`] for a manager that is not there, each
/// [skipped](crate::conformance::skipped).
pub fn named_absent(manager: &str, reason: &str) -> Vec<Trial> {
    run::absent(called(manager), reason)
}

/// One of a handful for each test program, whose names live as long as it does.
fn called(manager: &str) -> &'static str {
    Box::leak(format!("{manager}{BY_NAME}").into_boxed_str())
}

struct ByName<M> {
    name: &'static str,
    inner: M,
}

#[async_trait]
impl<M: FaultManager> Manager for ByName<M> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn capabilities(&self) -> Capabilities {
        capabilities_of(&self.inner.capabilities())
    }

    fn powers(&self) -> Powers {
        self.inner.powers()
    }

    fn credentials(&self) -> Credentials {
        self.inner.credentials()
    }

    async fn subject(&self) -> Result<Box<dyn Subject>> {
        Ok(self.fault_subject().await?)
    }
}

#[async_trait]
impl<M: FaultManager> FaultManager for ByName<M> {
    async fn fault_subject(&self) -> Result<Box<dyn FaultSubject>> {
        Ok(Box::new(Place {
            inner: self.inner.fault_subject().await?,
            marks: Marks::default(),
        }))
    }

    fn excluded(&self, trouble: Trouble, operation: Operation) -> Option<&'static str> {
        self.inner.excluded(trouble, operation)
    }

    fn page(&self) -> Option<&'static str> {
        self.inner.page()
    }
}

/// A namespace whose backends are asked by names.
struct Place {
    inner: Box<dyn FaultSubject>,
    marks: Marks,
}

impl Place {
    fn asked(&self, backend: Arc<dyn SecretBackend>) -> Arc<dyn SecretBackend> {
        Arc::new(AsBackend::new(backend, self.marks.clone()))
    }
}

#[async_trait]
impl Subject for Place {
    fn backend(&self) -> Arc<dyn SecretBackend> {
        self.asked(self.inner.backend())
    }

    fn second(&self) -> Arc<dyn SecretBackend> {
        self.asked(self.inner.second())
    }

    /// A put by name tells only that the value is there.
    fn knows_repetitions(&self) -> bool {
        true
    }

    fn several_pages(&self) -> usize {
        self.inner.several_pages()
    }

    async fn advance(&self, by: Duration) -> Result<()> {
        self.inner.advance(by).await
    }

    async fn write_foreign(
        &self,
        coordinate: &cloakroom_core::Coordinate,
        value: &SecretValue,
    ) -> Result<()> {
        self.inner.write_foreign(coordinate, value).await
    }

    async fn settle(&self) {
        self.inner.settle().await;
    }

    async fn finish(&self) {
        self.inner.finish().await;
    }
}

#[async_trait]
impl FaultSubject for Place {
    fn upstream(&self) -> Result<Upstream> {
        self.inner.upstream()
    }

    async fn through(&self, proxy: &Proxy, timeout: Duration) -> Result<Arc<dyn SecretBackend>> {
        Ok(self.asked(self.inner.through(proxy, timeout).await?))
    }

    fn answer(&self, refusal: Refusal) -> Answer {
        self.inner.answer(refusal)
    }

    fn requests(&self) -> super::Requests {
        self.inner.named_requests()
    }

    async fn count(&self) -> Result<Option<usize>> {
        self.inner.count().await
    }
}
