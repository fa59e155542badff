//! The backend decorated: faults on every call, descriptions and listings that can be bent, and a
//! record of every value ever put.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::{
    BackendId, Capabilities, Coordinate, DeleteMode, Deletion, Description, ListPage, Mark,
    PageToken, Precondition, Purge, PutOutcome, PutRequest, Result, SecretBackend, StoredSecret,
    Timestamp,
};
use cloakroom_reconcile::is_epoch_mark;

use super::faults::{Fate, Faults, fated, injected};

type Bend = Arc<dyn Fn(&mut Description) + Send + Sync>;
type Hide = Arc<dyn Fn(&Description) -> bool + Send + Sync>;

#[derive(Default)]
struct Bent {
    describe: Option<Bend>,
    hide: Option<Hide>,
    page: Option<usize>,
    slow: Option<Duration>,
    slow_answers: Option<Duration>,
    put: BTreeMap<Coordinate, Vec<Vec<u8>>>,
    lost: Vec<PutRequest>,
}

/// A backend whose answers a law decides about.
pub(crate) struct Decorated {
    inner: Arc<dyn SecretBackend>,
    id: BackendId,
    capabilities: Capabilities,
    pub(crate) faults: Faults,
    manager: Mutex<Option<&'static str>>,
    bent: Mutex<Bent>,
    /// The clock can be moved by one call at a time.
    moving: tokio::sync::Mutex<()>,
}

impl Decorated {
    pub(crate) fn new(inner: Arc<dyn SecretBackend>, capabilities: Capabilities) -> Self {
        Self {
            id: inner.id().clone(),
            inner,
            capabilities,
            faults: Faults::default(),
            manager: Mutex::default(),
            bent: Mutex::default(),
            moving: tokio::sync::Mutex::default(),
        }
    }

    /// The same manager in a configuration that gives it another name.
    pub(crate) fn under(self: &Arc<Self>, id: &BackendId) -> Arc<Self> {
        let inner = self.clone() as Arc<dyn SecretBackend>;
        let mut named = Self::new(inner, self.capabilities.clone());
        named.id = id.clone();
        Arc::new(named)
    }

    /// Every description, listed ones too, goes through `bend`.
    pub(crate) fn show(&self, bend: impl Fn(&mut Description) + Send + Sync + 'static) {
        self.bent().describe = Some(Arc::new(bend));
    }

    /// Listings leave these out; direct questions still answer.
    pub(crate) fn hide(&self, hide: impl Fn(&Description) -> bool + Send + Sync + 'static) {
        self.bent().hide = Some(Arc::new(hide));
    }

    /// Listings come in pages of this many.
    pub(crate) fn pages_of(&self, secrets: usize) {
        self.bent().page = Some(secrets);
    }

    /// The name leads to another manager now.
    pub(crate) fn pretend_to_be(&self, manager: Option<&'static str>) {
        *self.manager.lock().unwrap_or_else(PoisonError::into_inner) = manager;
    }

    /// Each deletion takes this long on tokio's clock, and no time at all.
    pub(crate) fn deletes_in(&self, time: Duration) {
        self.bent().slow = Some(time);
    }

    /// Each call that describes takes this long; without batches, each secret asked about does.
    pub(crate) fn describes_in(&self, time: Duration) {
        self.bent().slow_answers = Some(time);
    }

    /// Descriptions and listings are the backend's own again.
    pub(crate) fn straighten(&self) {
        let mut bent = self.bent();
        (bent.describe, bent.hide, bent.page) = (None, None, None);
        (bent.slow, bent.slow_answers) = (None, None);
    }

    /// The numbers of the epoch marks the backend has, in whatever state.
    pub(crate) async fn epoch_marks(&self) -> Vec<i64> {
        let page = self.inner.list(None).await.unwrap();
        let marks = page.secrets.iter().map(|it| &it.coordinate);
        marks
            .filter(|it| is_epoch_mark(it))
            .map(|it| it.version().get())
            .collect()
    }

    /// Coordinates under which more than one value was ever stored.
    pub(crate) fn lent_twice(&self) -> Vec<Coordinate> {
        let lent = |(coordinate, values): (&Coordinate, &Vec<Vec<u8>>)| {
            (values.len() > 1).then(|| coordinate.clone())
        };
        self.bent().put.iter().filter_map(lent).collect()
    }

    /// Puts that failed, which may land at any later time.
    pub(crate) fn lost_puts(&self) -> Vec<PutRequest> {
        self.bent().lost.clone()
    }

    /// Every coordinate under which a secret was ever stored.
    pub(crate) fn ever_put(&self) -> Vec<Coordinate> {
        let put = self.bent().put.keys().cloned().collect::<Vec<_>>();
        put.into_iter().filter(|it| !is_epoch_mark(it)).collect()
    }

    fn bent(&self) -> MutexGuard<'_, Bent> {
        self.bent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bend(&self, mut description: Description) -> Description {
        let bend = self.bent().describe.clone();
        if let Some(bend) = bend {
            bend(&mut description);
        }
        description
    }

    fn record(&self, request: &PutRequest) {
        let mut bent = self.bent();
        let values = bent.put.entry(request.mark.coordinate.clone()).or_default();
        if !values.iter().any(|value| value == request.value.expose()) {
            values.push(request.value.expose().to_vec());
        }
    }

    async fn put_inside(&self, request: &PutRequest) -> Result<PutOutcome> {
        let done = self.inner.put(request).await;
        if done.is_ok() {
            self.record(request);
        }
        done
    }

    async fn take_time(&self, time: Option<Duration>) {
        if let Some(slow) = time {
            let _alone = self.moving.lock().await;
            tokio::time::pause();
            tokio::time::advance(slow).await;
            tokio::time::resume();
        }
    }

    /// Splits a batch by the fate of each question.
    fn fates(&self, operation: &'static str, coordinates: &[Coordinate]) -> Vec<Fate> {
        coordinates
            .iter()
            .map(|coordinate| self.faults.fate(operation, Some(coordinate)))
            .collect()
    }

    async fn page(&self, page: Option<&PageToken>, size: usize) -> Result<ListPage> {
        let after = page.map(|token| token.0.to_string());
        let mut all = Vec::new();
        let mut next = None;
        loop {
            let page = self.inner.list(next.as_ref()).await?;
            all.extend(page.secrets);
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        let behind = |listed: &Description| {
            after
                .as_ref()
                .is_none_or(|after| listed.coordinate.as_str() > after.as_str())
        };
        let mut secrets: Vec<Description> = all.into_iter().filter(behind).collect();
        let more = secrets.len() > size;
        secrets.truncate(size);
        let last = secrets.last().filter(|_| more);
        let next = last.map(|listed| PageToken(listed.coordinate.as_str().into()));
        Ok(ListPage { secrets, next })
    }

    async fn list_inside(&self, page: Option<&PageToken>) -> Result<ListPage> {
        let (size, hide) = {
            let bent = self.bent();
            (bent.page, bent.hide.clone())
        };
        let page = match size {
            Some(size) => self.page(page, size).await?,
            None => self.inner.list(page).await?,
        };
        let shown = page
            .secrets
            .into_iter()
            .filter(|listed| !hide.as_ref().is_some_and(|hide| hide(listed)));
        Ok(ListPage {
            secrets: shown.map(|listed| self.bend(listed)).collect(),
            next: page.next,
        })
    }
}

#[async_trait]
impl SecretBackend for Decorated {
    fn id(&self) -> &BackendId {
        &self.id
    }

    fn manager(&self) -> &str {
        let other = *self.manager.lock().unwrap_or_else(PoisonError::into_inner);
        other.unwrap_or_else(|| self.inner.manager())
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn purges(&self) -> Option<&dyn Purge> {
        self.inner.purges().map(|_| self as &dyn Purge)
    }

    async fn put(&self, request: &PutRequest) -> Result<PutOutcome> {
        fated!(
            self.faults,
            "put",
            Some(&request.mark.coordinate),
            self.put_inside(request).await
        )
    }

    async fn get(&self, coordinate: &Coordinate) -> Result<StoredSecret> {
        fated!(
            self.faults,
            "get",
            Some(coordinate),
            self.inner.get(coordinate).await
        )
    }

    async fn get_many(&self, coordinates: &[Coordinate]) -> Vec<Result<StoredSecret>> {
        let fates = self.fates("get", coordinates);
        if fates.contains(&Fate::Hold) {
            self.faults.hold().await;
        }
        let answers = self.inner.get_many(coordinates).await;
        fates
            .into_iter()
            .zip(answers)
            .map(|(fate, answer)| fated_answer("get", fate, answer))
            .collect()
    }

    async fn describe(&self, coordinate: &Coordinate) -> Result<Description> {
        let described = fated!(
            self.faults,
            "describe",
            Some(coordinate),
            self.inner.describe(coordinate).await
        );
        described.map(|described| self.bend(described))
    }

    async fn describe_many(&self, coordinates: &[Coordinate]) -> Vec<Result<Description>> {
        let slow = self.bent().slow_answers;
        let calls = coordinates.len().div_ceil(self.capabilities.describe_batch);
        for _ in 0..calls {
            self.take_time(slow).await;
        }
        let fates = self.fates("describe", coordinates);
        let answers = self.inner.describe_many(coordinates).await;
        fates
            .into_iter()
            .zip(answers)
            .map(|(fate, answer)| fated_answer("describe", fate, answer.map(|it| self.bend(it))))
            .collect()
    }

    async fn list(&self, page: Option<&PageToken>) -> Result<ListPage> {
        fated!(self.faults, "list", None, self.list_inside(page).await)
    }

    async fn delete(
        &self,
        coordinate: &Coordinate,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion> {
        let slow = self.bent().slow;
        self.take_time(slow).await;
        fated!(
            self.faults,
            "delete",
            Some(coordinate),
            self.inner.delete(coordinate, mode, precondition).await
        )
    }

    async fn delete_many(
        &self,
        coordinates: &[Coordinate],
        mode: DeleteMode,
    ) -> Vec<Result<Deletion>> {
        let fates = self.fates("delete", coordinates);
        // One call for all of them fails for all of them.
        let refused = fates.iter().find_map(|fate| match fate {
            Fate::Before(kind) => Some(*kind),
            _ => None,
        });
        if let Some(kind) = refused {
            return coordinates
                .iter()
                .map(|_| injected("delete", kind))
                .collect();
        }
        let mut answers = Vec::with_capacity(coordinates.len());
        for (coordinate, fate) in coordinates.iter().zip(fates) {
            answers.push(match fate {
                Fate::Before(kind) => injected("delete", kind),
                fate => fated_answer(
                    "delete",
                    fate,
                    self.inner.delete(coordinate, mode, None).await,
                ),
            });
        }
        answers
    }

    async fn restore(&self, coordinate: &Coordinate) -> Result<()> {
        fated!(
            self.faults,
            "restore",
            Some(coordinate),
            self.inner.restore(coordinate).await
        )
    }

    async fn lift_expiry(&self, coordinate: &Coordinate) -> Result<()> {
        fated!(
            self.faults,
            "lift_expiry",
            Some(coordinate),
            self.inner.lift_expiry(coordinate).await
        )
    }
}

#[async_trait]
impl Purge for Decorated {
    async fn purge(&self, mark: &Mark, window: Duration, now: Timestamp) -> Result<bool> {
        let inner = self.inner.purges().unwrap();
        fated!(
            self.faults,
            "purge",
            Some(&mark.coordinate),
            inner.purge(mark, window, now).await
        )
    }

    async fn outlast_put(&self, mark: &Mark, window: Duration) -> Result<Option<Timestamp>> {
        let inner = self.inner.purges().unwrap();
        fated!(
            self.faults,
            "outlast_put",
            Some(&mark.coordinate),
            inner.outlast_put(mark, window).await
        )
    }
}

fn fated_answer<T>(operation: &'static str, fate: Fate, answer: Result<T>) -> Result<T> {
    match fate {
        Fate::Pass | Fate::Hold => answer,
        Fate::Before(kind) | Fate::After(kind) => injected(operation, kind),
    }
}
