//! A backend whose requests keep to their budget and are measured.

mod named;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::platform::NamedSecrets;
use cloakroom_core::{
    BackendId, Capabilities, Coordinate, DeleteMode, Deletion, Description, Error, ErrorKind,
    ListPage, Mark, Operation, PageToken, Precondition, Purge, PutOutcome, PutRequest, Result,
    SecretBackend, StoredSecret, Timestamp,
};
use tokio::time::Instant;

use super::budget::RequestBudget;
use crate::metrics::{Metrics, Request};

/// Any backend, behind its budget and before its metrics.
pub(super) struct Governed {
    inner: Arc<dyn SecretBackend>,
    budget: Arc<RequestBudget>,
    metrics: Option<Arc<Metrics>>,
}

impl Governed {
    /// Requests to `inner` wait for `budget`; what becomes of them is counted where `metrics` are
    /// kept.
    pub(super) fn new(
        inner: Arc<dyn SecretBackend>,
        budget: Arc<RequestBudget>,
        metrics: Option<Arc<Metrics>>,
    ) -> Self {
        Self {
            inner,
            budget,
            metrics,
        }
    }

    async fn one<T>(&self, request: Request, call: impl Future<Output = Result<T>>) -> Result<T> {
        self.budget.admit(request.class(), 1).await?;
        let began = Instant::now();
        let answer = call.await;
        self.note(request, std::slice::from_ref(&answer), 1, began.elapsed());
        answer
    }

    /// A call with `count` questions, of which the manager takes `batch` in one request.
    async fn many<T>(
        &self,
        request: Request,
        count: usize,
        batch: usize,
        call: impl Future<Output = Vec<Result<T>>>,
    ) -> Vec<Result<T>> {
        let requests = u32::try_from(count.div_ceil(batch.max(1))).unwrap_or(u32::MAX);
        if self.budget.admit(request.class(), requests).await.is_err() {
            return (0..count).map(|_| Err(self.budget.refused())).collect();
        }
        let began = Instant::now();
        let answers = call.await;
        self.note(request, &answers, batch.max(1), began.elapsed());
        answers
    }

    /// Slows down where the manager throttled, and counts. Answers that came in one request are one.
    fn note<T>(&self, request: Request, answers: &[Result<T>], batch: usize, took: Duration) {
        let throttled = answers
            .iter()
            .filter_map(|answer| answer.as_ref().err())
            .filter(|error| error.kind() == ErrorKind::Throttled);
        if let Some(pauses) = throttled.map(Error::retry_after).reduce(Ord::max) {
            self.budget.throttled(request.class(), pauses);
        }
        if let Some(metrics) = &self.metrics {
            let outcomes = answers.chunks(batch).map(met);
            metrics.record_requests(self.inner.id(), request, outcomes, took);
        }
    }
}

/// What a request met, from its answers: a throttling is the manager's word on all of it.
fn met<T>(answers: &[Result<T>]) -> Option<ErrorKind> {
    let mut kinds = answers
        .iter()
        .filter_map(|answer| Some(answer.as_ref().err()?.kind()));
    let first = kinds.next()?;
    if kinds.any(|kind| kind == ErrorKind::Throttled) {
        return Some(ErrorKind::Throttled);
    }
    Some(first)
}

#[async_trait]
impl SecretBackend for Governed {
    fn id(&self) -> &BackendId {
        self.inner.id()
    }

    fn manager(&self) -> &str {
        self.inner.manager()
    }

    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    fn permissions(&self, operation: Operation) -> &'static [&'static str] {
        self.inner.permissions(operation)
    }

    fn purges(&self) -> Option<&dyn Purge> {
        self.inner.purges().map(|_| self as &dyn Purge)
    }

    fn named(&self) -> Option<&dyn NamedSecrets> {
        let inner = self.inner.named();
        inner.map(|_| self as &dyn NamedSecrets)
    }

    async fn put(&self, request: &PutRequest) -> Result<PutOutcome> {
        self.one(Request::Put, self.inner.put(request)).await
    }

    async fn put_many(&self, requests: &[PutRequest]) -> Vec<Result<PutOutcome>> {
        let batch = self.capabilities().put_batch;
        let call = self.inner.put_many(requests);
        self.many(Request::Put, requests.len(), batch, call).await
    }

    async fn get(&self, coordinate: &Coordinate) -> Result<StoredSecret> {
        self.one(Request::Get, self.inner.get(coordinate)).await
    }

    async fn get_many(&self, coordinates: &[Coordinate]) -> Vec<Result<StoredSecret>> {
        let batch = self.capabilities().get_batch;
        let call = self.inner.get_many(coordinates);
        self.many(Request::Get, coordinates.len(), batch, call)
            .await
    }

    async fn describe(&self, coordinate: &Coordinate) -> Result<Description> {
        self.one(Request::Describe, self.inner.describe(coordinate))
            .await
    }

    async fn describe_many(&self, coordinates: &[Coordinate]) -> Vec<Result<Description>> {
        let batch = self.capabilities().describe_batch;
        let call = self.inner.describe_many(coordinates);
        self.many(Request::Describe, coordinates.len(), batch, call)
            .await
    }

    async fn list(&self, page: Option<&PageToken>) -> Result<ListPage> {
        self.one(Request::List, self.inner.list(page)).await
    }

    async fn delete(
        &self,
        coordinate: &Coordinate,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion> {
        let call = self.inner.delete(coordinate, mode, precondition);
        self.one(Request::Delete, call).await
    }

    async fn delete_many(
        &self,
        coordinates: &[Coordinate],
        mode: DeleteMode,
    ) -> Vec<Result<Deletion>> {
        let batch = self.capabilities().delete_batch;
        let call = self.inner.delete_many(coordinates, mode);
        self.many(Request::Delete, coordinates.len(), batch, call)
            .await
    }

    async fn restore(&self, coordinate: &Coordinate) -> Result<()> {
        self.one(Request::Restore, self.inner.restore(coordinate))
            .await
    }

    async fn lift_expiry(&self, coordinate: &Coordinate) -> Result<()> {
        self.one(Request::LiftExpiry, self.inner.lift_expiry(coordinate))
            .await
    }
}

#[async_trait]
impl Purge for Governed {
    async fn purge(&self, mark: &Mark, window: Duration, now: Timestamp) -> Result<bool> {
        match self.inner.purges() {
            Some(inner) => {
                let call = inner.purge(mark, window, now);
                self.one(Request::Delete, call).await
            }
            None => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests;
