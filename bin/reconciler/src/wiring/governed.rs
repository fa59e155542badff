//! A backend whose requests keep to their budget and are measured.

mod named;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::capabilities::{Calls, Sent};
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

    fn calls(&self) -> &Calls {
        &self.inner.capabilities().calls
    }

    /// A call about one secret, which sends these requests.
    async fn one<T>(
        &self,
        request: Request,
        sent: &[Sent],
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.budget.admit(sent, 1).await?;
        let began = Instant::now();
        let answer = call.await;
        self.note(
            request,
            sent,
            std::slice::from_ref(&answer),
            1,
            began.elapsed(),
        );
        answer
    }

    /// A call with `count` questions, of which the manager takes `batch` together.
    async fn many<T>(
        &self,
        request: Request,
        sent: &[Sent],
        count: usize,
        batch: usize,
        call: impl Future<Output = Vec<Result<T>>>,
    ) -> Vec<Result<T>> {
        if self.budget.admit(sent, count).await.is_err() {
            return (0..count).map(|_| Err(self.budget.refused())).collect();
        }
        let began = Instant::now();
        let answers = call.await;
        self.note(request, sent, &answers, batch.max(1), began.elapsed());
        answers
    }

    /// A page, of whose secrets each may have been asked for by itself.
    async fn page<P>(
        &self,
        call: impl Future<Output = Result<P>>,
        secrets: impl Fn(&P) -> usize,
    ) -> Result<P> {
        let page = self.one(Request::List, self.calls().list, call).await?;
        self.budget.count(self.calls().list_each, secrets(&page));
        Ok(page)
    }

    /// Where a manager takes another look before it calls a secret missing.
    fn count_missing<T>(&self, described: &[Result<T>]) {
        let missing = described.iter().filter_map(|it| it.as_ref().err());
        let missing = missing.filter(|error| error.is_missing()).count();
        self.budget.count(self.calls().describe_missing, missing);
    }

    /// What a deletion sends.
    fn deletion(&self, mode: DeleteMode) -> &'static [Sent] {
        match mode {
            DeleteMode::Recoverable(_) => self.calls().delete,
            DeleteMode::Final => self.calls().delete_finally,
        }
    }

    /// Slows down where the manager throttled, and counts. Answers that came together are one.
    fn note<T>(
        &self,
        request: Request,
        sent: &[Sent],
        answers: &[Result<T>],
        batch: usize,
        took: Duration,
    ) {
        let throttled = answers
            .iter()
            .filter_map(|answer| answer.as_ref().err())
            .filter(|error| error.kind() == ErrorKind::Throttled);
        if let Some(pauses) = throttled.map(Error::retry_after).reduce(Ord::max) {
            self.budget.throttled(sent, pauses);
        }
        if let Some(metrics) = &self.metrics {
            let outcomes = answers.chunks(batch).map(met);
            metrics.record_requests(self.inner.id(), request, outcomes, took);
        }
    }
}

/// What a call met, from its answers: a throttling is the manager's word on all of it.
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
        let call = self.inner.put(request);
        self.one(Request::Put, self.calls().put, call).await
    }

    async fn put_many(&self, requests: &[PutRequest]) -> Vec<Result<PutOutcome>> {
        let batch = self.capabilities().put_batch;
        let call = self.inner.put_many(requests);
        let sent = self.calls().put;
        self.many(Request::Put, sent, requests.len(), batch, call)
            .await
    }

    async fn get(&self, coordinate: &Coordinate) -> Result<StoredSecret> {
        let call = self.inner.get(coordinate);
        self.one(Request::Get, self.calls().get, call).await
    }

    async fn get_many(&self, coordinates: &[Coordinate]) -> Vec<Result<StoredSecret>> {
        let batch = self.capabilities().get_batch;
        let call = self.inner.get_many(coordinates);
        let sent = self.calls().get_many;
        self.many(Request::Get, sent, coordinates.len(), batch, call)
            .await
    }

    async fn describe(&self, coordinate: &Coordinate) -> Result<Description> {
        let call = self.inner.describe(coordinate);
        let described = self
            .one(Request::Describe, self.calls().describe, call)
            .await;
        self.count_missing(std::slice::from_ref(&described));
        described
    }

    async fn describe_many(&self, coordinates: &[Coordinate]) -> Vec<Result<Description>> {
        let batch = self.capabilities().describe_batch;
        let call = self.inner.describe_many(coordinates);
        let sent = self.calls().describe;
        let described = self
            .many(Request::Describe, sent, coordinates.len(), batch, call)
            .await;
        self.count_missing(&described);
        described
    }

    async fn list(&self, page: Option<&PageToken>) -> Result<ListPage> {
        self.page(self.inner.list(page), |page| page.secrets.len())
            .await
    }

    async fn delete(
        &self,
        coordinate: &Coordinate,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion> {
        let call = self.inner.delete(coordinate, mode, precondition);
        self.one(Request::Delete, self.deletion(mode), call).await
    }

    async fn delete_many(
        &self,
        coordinates: &[Coordinate],
        mode: DeleteMode,
    ) -> Vec<Result<Deletion>> {
        let batch = self.capabilities().delete_batch;
        let call = self.inner.delete_many(coordinates, mode);
        let sent = self.deletion(mode);
        self.many(Request::Delete, sent, coordinates.len(), batch, call)
            .await
    }

    async fn restore(&self, coordinate: &Coordinate) -> Result<()> {
        let call = self.inner.restore(coordinate);
        self.one(Request::Restore, self.calls().restore, call).await
    }

    async fn lift_expiry(&self, coordinate: &Coordinate) -> Result<()> {
        let call = self.inner.lift_expiry(coordinate);
        self.one(Request::LiftExpiry, self.calls().lift_expiry, call)
            .await
    }
}

#[async_trait]
impl Purge for Governed {
    async fn purge(&self, mark: &Mark, window: Duration, now: Timestamp) -> Result<bool> {
        match self.inner.purges() {
            Some(inner) => {
                let call = inner.purge(mark, window, now);
                let sent = self.calls().delete_finally;
                self.one(Request::Delete, sent, call).await
            }
            None => Ok(false),
        }
    }

    async fn outlast_put(&self, mark: &Mark, window: Duration) -> Result<Option<Timestamp>> {
        match self.inner.purges() {
            Some(inner) => {
                let call = inner.outlast_put(mark, window);
                self.one(Request::Delete, self.calls().delete, call).await
            }
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod law;
#[cfg(test)]
mod tests;
