//! A secrets manager in memory behind a network: requests and answers get lost or come late, it
//! throttles and refuses, its listing lags behind, and it can do more or less than others.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::capabilities::ListOrder;
use cloakroom_core::mutant::{self, Mutant};
use cloakroom_core::{
    BackendId, Capabilities, Coordinate, DeleteMode, Deletion, Description, Error, ErrorKind,
    ListPage, Mark, PageToken, Precondition, Purge, PutOutcome, PutRequest, Randomness as _,
    Result, SecretBackend, SecretState, StoredSecret, Timestamp,
};
use cloakroom_testkit::MemoryBackend;
use futures_util::FutureExt as _;

use crate::happening::{Happening, Key};
use crate::stage::Stage;

/// What a manager in memory looks like from outside.
pub(crate) struct Manager {
    pub(crate) inner: MemoryBackend,
    pub(crate) capabilities: Capabilities,
    /// Secrets on a page of its listing.
    page: usize,
    stage: Arc<Stage>,
    /// What was deleted lately, and until when a listing may still show it.
    ghosts: Mutex<Vec<(i64, Description)>>,
    /// What somebody locked: it cannot be deleted.
    locked: Arc<Mutex<BTreeSet<Coordinate>>>,
}

/// What meets one request.
enum Fate {
    Pass,
    RequestLost,
    ResponseLost,
    Throttled,
    Denied,
    /// It is done at once and answered after this long.
    Slow(Duration),
    /// It is done after this long, and never answered.
    Late(Duration),
}

/// A request that may land when nobody waits for it any more.
#[derive(Clone)]
enum Change {
    Put(PutRequest),
    Delete(Coordinate, DeleteMode, Option<Precondition>),
    Restore(Coordinate),
    LiftExpiry(Coordinate),
    Purge(Mark, Duration, Timestamp),
}

impl Manager {
    pub(crate) fn new(
        inner: MemoryBackend,
        capabilities: Capabilities,
        page: usize,
        stage: Arc<Stage>,
    ) -> Self {
        Self {
            inner,
            capabilities,
            page,
            stage,
            ghosts: Mutex::default(),
            locked: Arc::default(),
        }
    }

    /// The same manager as another deployment sees it.
    pub(crate) fn seen_from(&self, stage: Arc<Stage>) -> Self {
        let (inner, capabilities) = (self.inner.clone(), self.capabilities.clone());
        Self {
            locked: self.locked.clone(),
            ..Self::new(inner, capabilities, self.page, stage)
        }
    }

    /// Somebody locks a secret: from here on every deletion of it is denied.
    pub(crate) fn lock(&self, coordinate: Coordinate) {
        let mut locked = self.locked.lock().unwrap_or_else(PoisonError::into_inner);
        locked.insert(coordinate);
    }

    pub(crate) fn is_locked(&self, coordinate: &Coordinate) -> bool {
        let locked = self.locked.lock().unwrap_or_else(PoisonError::into_inner);
        locked.contains(coordinate)
    }

    pub(crate) fn id(&self) -> &BackendId {
        self.inner.id()
    }

    fn key(&self, coordinate: &Coordinate) -> Key {
        (self.id().clone(), coordinate.clone())
    }

    fn fate(&self) -> Fate {
        let weather = self.stage.weather();
        if weather == crate::stage::Weather::default() {
            return Fate::Pass;
        }
        let dice = self.stage.dice();
        let at = dice.fraction();
        let long = Duration::from_secs(1 << dice.below(18));
        let mut reached = 0.0;
        let fates = [
            (weather.request_lost, Fate::RequestLost),
            (weather.response_lost, Fate::ResponseLost),
            (weather.throttled, Fate::Throttled),
            (weather.denied, Fate::Denied),
            (
                weather.slow,
                Fate::Slow(Duration::from_secs(dice.below(40))),
            ),
            (weather.late, Fate::Late(long)),
        ];
        for (share, fate) in fates {
            reached += share;
            if at < reached {
                self.stage.happened(Happening::Fault {
                    task: self.stage.current(),
                });
                return fate;
            }
        }
        Fate::Pass
    }

    fn error(&self, kind: ErrorKind, operation: &'static str) -> Error {
        let error = Error::new(kind, operation, "a fault").with_backend(self.inner.id());
        match kind {
            ErrorKind::Throttled => error.with_retry_after(Duration::from_secs(1)),
            _ => error,
        }
    }

    /// A question about one secret, or a change of one.
    async fn one<T: Send>(
        self: &Arc<Self>,
        operation: &'static str,
        change: Option<Change>,
        act: impl FnOnce(&Self) -> Result<T> + Send,
    ) -> Result<T> {
        self.stage.gate(operation).await;
        let fate = self.fate();
        let outcome = match fate {
            Fate::Pass => act(self),
            Fate::RequestLost => Err(self.error(ErrorKind::Unavailable, operation)),
            Fate::Throttled => Err(self.error(ErrorKind::Throttled, operation)),
            Fate::Denied => Err(self.error(ErrorKind::Denied, operation)),
            Fate::ResponseLost => {
                let _ = act(self);
                Err(self.error(ErrorKind::Unavailable, operation))
            }
            Fate::Slow(time) => {
                let outcome = act(self);
                tokio::time::sleep(time).await;
                outcome
            }
            Fate::Late(time) => {
                if let Some(change) = change {
                    self.land_after(time, change);
                }
                std::future::pending().await
            }
        };
        self.stage.gate("answer").await;
        outcome
    }

    /// The same about many: one fault may meet all of the call, or one of the secrets.
    async fn many<Q: Sync, T: Send>(
        self: &Arc<Self>,
        operation: &'static str,
        questions: &[Q],
        change: impl Fn(&Q) -> Option<Change> + Send,
        act: impl Fn(&Self, &Q) -> Result<T> + Send,
    ) -> Vec<Result<T>> {
        let all = |kind| {
            let error = |_: &Q| Err(self.error(kind, operation));
            questions.iter().map(error).collect::<Vec<Result<T>>>()
        };
        self.stage.gate(operation).await;
        let answers = match self.fate() {
            Fate::Pass => {
                let mut answers = Vec::with_capacity(questions.len());
                for question in questions {
                    answers.push(act(self, question));
                }
                self.lose_one(operation, &mut answers);
                answers
            }
            Fate::RequestLost => all(ErrorKind::Unavailable),
            Fate::Throttled => all(ErrorKind::Throttled),
            Fate::Denied => all(ErrorKind::Denied),
            Fate::ResponseLost => {
                for question in questions {
                    let _ = act(self, question);
                }
                all(ErrorKind::Unavailable)
            }
            Fate::Slow(time) => {
                let mut answers = Vec::with_capacity(questions.len());
                for question in questions {
                    answers.push(act(self, question));
                }
                tokio::time::sleep(time).await;
                answers
            }
            Fate::Late(time) => {
                for question in questions {
                    if let Some(change) = change(question) {
                        self.land_after(time, change);
                    }
                }
                std::future::pending().await
            }
        };
        self.stage.gate("answers").await;
        answers
    }

    fn lose_one<T>(&self, operation: &'static str, answers: &mut [Result<T>]) {
        let share = self.stage.weather().response_lost;
        if share > 0.0 && self.stage.dice().happens(share) {
            let at = self.stage.dice().below(answers.len() as u64);
            if let Some(answer) = usize::try_from(at).ok().and_then(|at| answers.get_mut(at)) {
                *answer = Err(self.error(ErrorKind::Unavailable, operation));
                self.stage.happened(Happening::Fault {
                    task: self.stage.current(),
                });
            }
        }
    }

    fn land_after(self: &Arc<Self>, time: Duration, change: Change) {
        let manager = self.clone();
        let (name, longest) = match &change {
            // What lands later than this meets a tombstone.
            Change::Put(_) => ("late put", Duration::from_hours(72)),
            _ => ("late change", Duration::from_mins(30)),
        };
        let landing = async move {
            tokio::time::sleep(time.min(longest)).await;
            let _ = manager.change(&change);
        };
        self.stage.arrives_later(name.to_owned(), Box::pin(landing));
    }

    fn change(&self, change: &Change) -> Result<()> {
        match change {
            Change::Put(request) => self.put_now(request).map(drop),
            Change::Delete(coordinate, mode, precondition) => self
                .delete_now(coordinate, *mode, precondition.as_ref())
                .map(drop),
            Change::Restore(coordinate) => at_once(self.inner.restore(coordinate)),
            Change::LiftExpiry(coordinate) => at_once(self.inner.lift_expiry(coordinate)),
            Change::Purge(mark, window, now) => self.purge_now(mark, *window, *now).map(drop),
        }
    }

    fn put_now(&self, request: &PutRequest) -> Result<PutOutcome> {
        let coordinate = &request.mark.coordinate;
        let before = self.inner.look(coordinate);
        let other = before.is_some_and(|(_, value)| value != request.value);
        let outcome = if other && mutant::on(Mutant::PutOverwrites) {
            let mark = Some(request.mark.clone());
            self.inner
                .write_past(coordinate, request.value.clone(), mark);
            Ok(PutOutcome::Created)
        } else {
            at_once(self.inner.put(request))
        };
        if other && outcome.is_ok() {
            self.stage.happened(Happening::Overwritten {
                key: self.key(coordinate),
            });
        }
        self.stage
            .tell(|| format!("manager: put {coordinate}: {outcome:?}"));
        outcome
    }

    fn delete_now(
        &self,
        coordinate: &Coordinate,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion> {
        if self.is_locked(coordinate) {
            return Err(self.error(ErrorKind::Denied, "delete"));
        }
        let before = self.inner.look(coordinate);
        let outcome = at_once(self.inner.delete(coordinate, mode, precondition));
        let due = match &outcome {
            Ok(Deletion::Scheduled { due }) => Some(*due),
            Ok(Deletion::Deleted) => Some(None),
            _ => None,
        };
        if let (Some((description, _)), Some(due)) = (before, due) {
            let lag = i64::try_from(self.capabilities.listing_lag.as_millis()).unwrap_or(0);
            let until = self.stage.truth() + lag;
            let mut ghosts = self.ghosts.lock().unwrap_or_else(PoisonError::into_inner);
            ghosts.push((until, description.clone()));
            self.stage.happened(Happening::Deleted {
                key: self.key(coordinate),
                due,
                description: Box::new(description),
            });
        }
        self.stage
            .tell(|| format!("manager: delete {coordinate} {mode:?}: {outcome:?}"));
        outcome
    }

    fn purge_now(&self, mark: &Mark, window: Duration, now: Timestamp) -> Result<bool> {
        let coordinate = &mark.coordinate;
        if self.is_locked(coordinate) {
            return Err(self.error(ErrorKind::Denied, "purge"));
        }
        let before = self.inner.look(coordinate);
        let outcome = at_once(self.inner.purge(mark, window, now));
        if let (Some((description, _)), Ok(true)) = (before, &outcome) {
            self.stage.happened(Happening::Deleted {
                key: self.key(coordinate),
                due: None,
                description: Box::new(description),
            });
        }
        self.stage
            .tell(|| format!("manager: purge {coordinate}: {outcome:?}"));
        outcome
    }

    /// Somebody in the console schedules the deletion of what is enabled. Whether it was.
    pub(crate) fn schedule_past(&self, coordinate: &Coordinate) -> bool {
        let enabled = self
            .inner
            .look(coordinate)
            .is_some_and(|(it, _)| it.state == SecretState::Enabled);
        let mode = DeleteMode::Recoverable(Duration::from_hours(30 * 24));
        enabled && at_once(self.inner.delete(coordinate, mode, None)).is_ok()
    }

    /// The whole listing as it looks just now, behind by as much as this manager's may be.
    fn listing(&self) -> Vec<Description> {
        let now = self.stage.truth();
        let lag = i64::try_from(self.capabilities.listing_lag.as_millis()).unwrap_or(0);
        let mut listing = self.inner.everything();
        listing.retain(|it| it.mark.is_some());
        if lag > 0 {
            let dice = self.stage.dice();
            listing.retain(|it| {
                let fresh = it.created.is_some_and(|at| at.as_millisecond() + lag > now);
                !fresh || dice.happens(0.5)
            });
            let mut ghosts = self.ghosts.lock().unwrap_or_else(PoisonError::into_inner);
            ghosts.retain(|(until, _)| *until > now);
            for (_, ghost) in ghosts.iter() {
                if ghost.mark.is_some() && dice.happens(0.5) {
                    listing.retain(|it| it.coordinate != ghost.coordinate);
                    listing.push(ghost.clone());
                }
            }
        }
        listing.sort_by(|one, other| one.coordinate.as_str().cmp(other.coordinate.as_str()));
        if self.capabilities.list_order == ListOrder::Unspecified {
            listing.reverse();
        }
        listing
    }

    fn page(&self, after: Option<&PageToken>) -> ListPage {
        let mut listing = self.listing();
        if let Some(after) = after {
            let reversed = self.capabilities.list_order == ListOrder::Unspecified;
            listing.retain(|it| {
                let behind = it.coordinate.as_str().cmp(&*after.0);
                behind
                    == if reversed {
                        Ordering::Less
                    } else {
                        Ordering::Greater
                    }
            });
        }
        let more = listing.len() > self.page;
        listing.truncate(self.page);
        let next = listing.last().filter(|_| more);
        let next = next.map(|last| PageToken(last.coordinate.as_str().into()));
        ListPage {
            secrets: listing,
            next,
        }
    }
}

/// The outcome of what never waits.
fn at_once<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let waits = || Error::new(ErrorKind::Unavailable, "ask the memory", "it made us wait");
    future.now_or_never().unwrap_or_else(|| Err(waits()))
}

/// A shared manager, as the code under test holds it.
pub(crate) struct Reached {
    pub(crate) manager: Arc<Manager>,
    /// The name that the configuration gives it: another's where two were swapped.
    pub(crate) id: BackendId,
}

#[async_trait]
impl SecretBackend for Reached {
    fn id(&self) -> &BackendId {
        &self.id
    }

    fn manager(&self) -> &str {
        self.manager.inner.manager()
    }

    fn capabilities(&self) -> &Capabilities {
        &self.manager.capabilities
    }

    fn purges(&self) -> Option<&dyn Purge> {
        self.manager.inner.purges().map(|_| self as &dyn Purge)
    }

    async fn put(&self, request: &PutRequest) -> Result<PutOutcome> {
        let change = Some(Change::Put(request.clone()));
        self.manager
            .one("put", change, |it| it.put_now(request))
            .await
    }

    async fn put_many(&self, requests: &[PutRequest]) -> Vec<Result<PutOutcome>> {
        let change = |request: &PutRequest| Some(Change::Put(request.clone()));
        self.manager
            .many("put many", requests, change, Manager::put_now)
            .await
    }

    async fn get(&self, coordinate: &Coordinate) -> Result<StoredSecret> {
        let act = |it: &Manager| at_once(it.inner.get(coordinate));
        self.manager.one("get", None, act).await
    }

    async fn get_many(&self, coordinates: &[Coordinate]) -> Vec<Result<StoredSecret>> {
        let act = |it: &Manager, coordinate: &Coordinate| at_once(it.inner.get(coordinate));
        self.manager
            .many("get many", coordinates, |_| None, act)
            .await
    }

    async fn describe(&self, coordinate: &Coordinate) -> Result<Description> {
        let act = |it: &Manager| at_once(it.inner.describe(coordinate));
        self.manager.one("describe", None, act).await
    }

    async fn describe_many(&self, coordinates: &[Coordinate]) -> Vec<Result<Description>> {
        let act = |it: &Manager, coordinate: &Coordinate| at_once(it.inner.describe(coordinate));
        self.manager
            .many("describe many", coordinates, |_| None, act)
            .await
    }

    async fn list(&self, page: Option<&PageToken>) -> Result<ListPage> {
        let listed = self.manager.one("list", None, |it| Ok(it.page(page))).await;
        self.manager.stage.happened(Happening::Listed {
            task: self.manager.stage.current(),
            whole: listed.is_ok(),
        });
        listed
    }

    async fn delete(
        &self,
        coordinate: &Coordinate,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion> {
        let change = Change::Delete(coordinate.clone(), mode, precondition.cloned());
        let act = |it: &Manager| it.delete_now(coordinate, mode, precondition);
        self.manager.one("delete", Some(change), act).await
    }

    async fn delete_many(
        &self,
        coordinates: &[Coordinate],
        mode: DeleteMode,
    ) -> Vec<Result<Deletion>> {
        let change = |it: &Coordinate| Some(Change::Delete(it.clone(), mode, None));
        let act = |it: &Manager, coordinate: &Coordinate| it.delete_now(coordinate, mode, None);
        self.manager
            .many("delete many", coordinates, change, act)
            .await
    }

    async fn restore(&self, coordinate: &Coordinate) -> Result<()> {
        let change = Change::Restore(coordinate.clone());
        let act = |it: &Manager| it.change(&Change::Restore(coordinate.clone()));
        self.manager.one("restore", Some(change), act).await
    }

    async fn lift_expiry(&self, coordinate: &Coordinate) -> Result<()> {
        let change = Change::LiftExpiry(coordinate.clone());
        let act = |it: &Manager| it.change(&Change::LiftExpiry(coordinate.clone()));
        self.manager.one("lift expiry", Some(change), act).await
    }
}

#[async_trait]
impl Purge for Reached {
    async fn purge(&self, mark: &Mark, window: Duration, now: Timestamp) -> Result<bool> {
        let change = Change::Purge(mark.clone(), window, now);
        let act = |it: &Manager| it.purge_now(mark, window, now);
        self.manager.one("purge", Some(change), act).await
    }

    /// A put writes mark and value at once here.
    async fn outlast_put(&self, _: &Mark, _: Duration) -> Result<Option<Timestamp>> {
        Ok(None)
    }
}
