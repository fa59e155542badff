//! A backend at which a writer can be made to die: the decorator falls silent at a chosen moment,
//! and whoever waits for the writer drops it there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use async_trait::async_trait;
use cloakroom_core::{
    BackendId, Capabilities, Coordinate, DeleteMode, Deletion, Description, ListPage, PageToken,
    Precondition, PutOutcome, PutRequest, Result, SecretBackend, StoredSecret,
};
use tokio::sync::Notify;

/// Where a writer dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Death {
    /// Its rows are intended, nothing is in the backend.
    AfterIntent = 1,
    /// Its first value is in the backend, the document is not written.
    AfterPut = 2,
}

/// The decorator.
pub(super) struct DyingBackend {
    inner: Arc<dyn SecretBackend>,
    armed: AtomicU8,
    died: Notify,
}

impl DyingBackend {
    pub(super) fn new(inner: Arc<dyn SecretBackend>) -> Self {
        Self {
            inner,
            armed: AtomicU8::new(0),
            died: Notify::new(),
        }
    }

    /// Lets `writer` run until it dies. `None` where it did; its outcome where it had nothing to
    /// put and so lived.
    pub(super) async fn kill<T>(&self, death: Death, writer: impl Future<Output = T>) -> Option<T> {
        self.armed.store(death as u8, Ordering::SeqCst);
        let outcome = tokio::select! {
            outcome = writer => Some(outcome),
            () = self.died.notified() => None,
        };
        self.armed.store(0, Ordering::SeqCst);
        outcome
    }

    fn is_armed(&self, death: Death) -> bool {
        self.armed.load(Ordering::SeqCst) == death as u8
    }

    async fn die(&self) {
        self.died.notify_one();
        std::future::pending::<()>().await;
    }
}

#[async_trait]
impl SecretBackend for DyingBackend {
    fn id(&self) -> &BackendId {
        self.inner.id()
    }

    fn manager(&self) -> &str {
        self.inner.manager()
    }

    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    async fn put(&self, request: &PutRequest) -> Result<PutOutcome> {
        if self.is_armed(Death::AfterIntent) {
            self.die().await;
        }
        let outcome = self.inner.put(request).await;
        if self.is_armed(Death::AfterPut) {
            self.die().await;
        }
        outcome
    }

    async fn put_many(&self, requests: &[PutRequest]) -> Vec<Result<PutOutcome>> {
        if self.is_armed(Death::AfterIntent) {
            self.die().await;
        }
        if self.is_armed(Death::AfterPut) {
            let first = &requests[..requests.len().min(1)];
            drop(self.inner.put_many(first).await);
            self.die().await;
        }
        self.inner.put_many(requests).await
    }

    async fn get(&self, coordinate: &Coordinate) -> Result<StoredSecret> {
        self.inner.get(coordinate).await
    }

    async fn get_many(&self, coordinates: &[Coordinate]) -> Vec<Result<StoredSecret>> {
        self.inner.get_many(coordinates).await
    }

    async fn describe(&self, coordinate: &Coordinate) -> Result<Description> {
        self.inner.describe(coordinate).await
    }

    async fn list(&self, page: Option<&PageToken>) -> Result<ListPage> {
        self.inner.list(page).await
    }

    async fn delete(
        &self,
        coordinate: &Coordinate,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion> {
        self.inner.delete(coordinate, mode, precondition).await
    }

    async fn restore(&self, coordinate: &Coordinate) -> Result<()> {
        self.inner.restore(coordinate).await
    }

    async fn lift_expiry(&self, coordinate: &Coordinate) -> Result<()> {
        self.inner.lift_expiry(coordinate).await
    }
}
