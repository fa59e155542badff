//! A backend that fails as networks and managers do, driven by a seed that replays.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::{
    BackendId, Capabilities, Coordinate, DeleteMode, Deletion, Description, Error, ErrorKind,
    ListPage, Mark, PageToken, Precondition, Purge, PutOutcome, PutRequest, Randomness as _,
    Result, SecretBackend, StoredSecret, Timestamp,
};

use crate::randomness::SeededRandomness;

/// What can go wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// It never arrives; the answer is `Unavailable`.
    RequestLost,
    /// The manager does it and its answer never arrives; the answer is `Unavailable`.
    ResponseLost,
    /// `Throttled`, with a retry-after of a second.
    Throttled,
    /// `Unavailable`, said by the manager.
    Unavailable,
    /// `Denied`.
    Denied,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 5] = [
        Self::RequestLost,
        Self::ResponseLost,
        Self::Throttled,
        Self::Unavailable,
        Self::Denied,
    ];

    fn error(self, operation: &'static str, backend: &BackendId) -> Error {
        let (kind, message) = match self {
            Self::RequestLost => (ErrorKind::Unavailable, "fault: the request was lost"),
            Self::ResponseLost => (ErrorKind::Unavailable, "fault: the response was lost"),
            Self::Throttled => (ErrorKind::Throttled, "fault: too many requests"),
            Self::Unavailable => (ErrorKind::Unavailable, "fault: the manager is down"),
            Self::Denied => (ErrorKind::Denied, "fault: the manager refused"),
        };
        let error = Error::new(kind, operation, message).with_backend(backend);
        match self {
            Self::Throttled => error.with_retry_after(Duration::from_secs(1)),
            _ => error,
        }
    }
}

/// How often each fault happens, as a share of the requests: 0.0 never, 1.0 always.
///
/// A page of a listing is lost like any other request.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FaultRates {
    /// [`Fault::RequestLost`]
    pub request_lost: f64,
    /// [`Fault::ResponseLost`]
    pub response_lost: f64,
    /// [`Fault::Throttled`]
    pub throttled: f64,
    /// [`Fault::Unavailable`]
    pub unavailable: f64,
    /// [`Fault::Denied`]
    pub denied: f64,
    /// [`Fault::RequestLost`], of pages only and beside the others.
    pub page_lost: f64,
}

impl FaultRates {
    /// Every passing fault with probability `share`, at most 0.2; never [`Fault::Denied`], which
    /// no retry helps.
    pub fn storm(share: f64) -> Self {
        Self {
            request_lost: share,
            response_lost: share,
            throttled: share,
            unavailable: share,
            denied: 0.0,
            page_lost: share,
        }
    }

    fn pick(&self, operation: &str, at: f64) -> Option<Fault> {
        let page_lost = if operation == "list" {
            self.page_lost
        } else {
            0.0
        };
        let mut reached = 0.0;
        [
            (self.request_lost + page_lost, Fault::RequestLost),
            (self.response_lost, Fault::ResponseLost),
            (self.throttled, Fault::Throttled),
            (self.unavailable, Fault::Unavailable),
            (self.denied, Fault::Denied),
        ]
        .into_iter()
        .find_map(|(share, fault)| {
            reached += share;
            (at < reached).then_some(fault)
        })
    }
}

/// A fault that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultRecord {
    /// During which operation.
    pub operation: &'static str,
    /// About what: a coordinate, a page, or a batch.
    pub subject: String,
    /// What went wrong.
    pub fault: Fault,
}

impl fmt::Display for FaultRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {:?}", self.operation, self.subject, self.fault)
    }
}

/// A backend before which requests and answers get lost.
///
/// Which do follows from the seed, the operation, what it is about and how often that was asked,
/// so a run replays even where its requests overtake each other. Half of the faults of a batch
/// meet all of it, the others one question of it.
///
/// ```
/// # use std::sync::Arc;
/// # use cloakroom_core::SecretBackend;
/// use cloakroom_testkit::{FaultRates, FaultyBackend};
///
/// # async fn example(backend: Arc<dyn SecretBackend>) {
/// let faulty = FaultyBackend::new(backend, 7, FaultRates::storm(0.1));
/// let _ = faulty.list(None).await;
/// faulty.switch(false);
/// assert!(faulty.list(None).await.is_ok(), "{}", faulty.story());
/// # }
/// ```
pub struct FaultyBackend {
    inner: Arc<dyn SecretBackend>,
    seed: u64,
    random: SeededRandomness,
    rates: FaultRates,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    off: bool,
    asked: HashMap<String, u64>,
    scripted: VecDeque<(&'static str, Fault)>,
    record: Vec<FaultRecord>,
}

impl FaultyBackend {
    /// Stands before `inner`; switched on.
    pub fn new(inner: Arc<dyn SecretBackend>, seed: u64, rates: FaultRates) -> Self {
        let random = SeededRandomness::new(seed);
        Self {
            inner,
            seed,
            random,
            rates,
            state: Mutex::default(),
        }
    }

    /// Lets faults happen, or not.
    pub fn switch(&self, on: bool) {
        self.state().off = !on;
    }

    /// Lets the next call of `operation` (a method's name: `put`, `get_many`) meet `fault`,
    /// whatever the rates and the switch say. Several wait their turn.
    pub fn next(&self, operation: &'static str, fault: Fault) {
        self.state().scripted.push_back((operation, fault));
    }

    /// How many faults happened.
    pub fn count(&self) -> usize {
        self.state().record.len()
    }

    /// The faults that happened, in their order.
    pub fn record(&self) -> Vec<FaultRecord> {
        self.state().record.clone()
    }

    /// Seed and faults as text, for a failing test's message.
    pub fn story(&self) -> String {
        let mut story = format!("seed {}, {} faults", self.seed, self.count());
        for fault in self.record() {
            story.push_str("\n  ");
            story.push_str(&fault.to_string());
        }
        story
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fault that this request meets, if any; `part` (0.0 to 1.0) says which part of a batch.
    fn draw(&self, operation: &'static str, subject: &str) -> Option<(Fault, f64)> {
        let mut state = self.state();
        let key = format!("{operation} {subject}");
        let time = state.asked.entry(key.clone()).or_default();
        *time += 1;
        let random = self.random.stream(&format!("{key} {time}"));
        let draws = [random.fraction(), random.fraction()];
        let scripted = state
            .scripted
            .iter()
            .position(|(waiting, _)| *waiting == operation);
        let fault = match scripted.and_then(|at| state.scripted.remove(at)) {
            Some((_, fault)) => fault,
            None if state.off => return None,
            None => self.rates.pick(operation, draws[0])?,
        };
        state.record.push(FaultRecord {
            operation,
            subject: subject.to_owned(),
            fault,
        });
        Some((fault, draws[1]))
    }

    async fn one<T>(
        &self,
        operation: &'static str,
        subject: &str,
        request: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        match self.draw(operation, subject) {
            None => request.await,
            Some((Fault::ResponseLost, _)) => {
                // What the manager answered is nobody's to know.
                let _ = request.await;
                Err(Fault::ResponseLost.error(operation, self.inner.id()))
            }
            Some((fault, _)) => Err(fault.error(operation, self.inner.id())),
        }
    }
    async fn many<Q, T, F>(
        &self,
        operation: &'static str,
        questions: &[Q],
        first: Option<&Coordinate>,
        request: impl FnOnce(Vec<Q>) -> F + Send,
    ) -> Vec<Result<T>>
    where
        Q: Clone + Send + Sync,
        T: Send,
        F: Future<Output = Vec<Result<T>>> + Send,
    {
        let first = first.map_or("nothing", Coordinate::as_str);
        let subject = format!("{} from {first}", questions.len());
        let Some((fault, part)) = self.draw(operation, &subject) else {
            return request(questions.to_vec()).await;
        };
        let one = (part >= 0.5).then(|| index(part * 2.0 - 1.0, questions.len()));
        let meets = |at: usize| one.is_none_or(|one| one == at);
        let acts = fault == Fault::ResponseLost;
        let sent = questions.iter().enumerate();
        let sent = sent.filter(|(at, _)| acts || !meets(*at));
        let sent: Vec<Q> = sent.map(|(_, question)| question.clone()).collect();
        let mut answers = request(sent).await.into_iter();
        let answer_of = |at: usize| {
            let answer = if acts || !meets(at) {
                answers.next()
            } else {
                None
            };
            answer
                .filter(|_| !meets(at))
                .unwrap_or_else(|| Err(fault.error(operation, self.inner.id())))
        };
        (0..questions.len()).map(answer_of).collect()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share from 0 to 1 of a batch's length"
)]
fn index(share: f64, length: usize) -> usize {
    ((share * length as f64) as usize).min(length.saturating_sub(1))
}

#[async_trait]
impl SecretBackend for FaultyBackend {
    fn id(&self) -> &BackendId {
        self.inner.id()
    }

    fn manager(&self) -> &str {
        self.inner.manager()
    }

    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    fn purges(&self) -> Option<&dyn Purge> {
        self.inner.purges().map(|_| self as &dyn Purge)
    }

    async fn put(&self, request: &PutRequest) -> Result<PutOutcome> {
        let subject = request.mark.coordinate.as_str();
        self.one("put", subject, self.inner.put(request)).await
    }

    async fn put_many(&self, requests: &[PutRequest]) -> Vec<Result<PutOutcome>> {
        let first = requests.first().map(|request| &request.mark.coordinate);
        let request = |sent: Vec<PutRequest>| async move { self.inner.put_many(&sent).await };
        self.many("put_many", requests, first, request).await
    }

    async fn get(&self, coordinate: &Coordinate) -> Result<StoredSecret> {
        self.one("get", coordinate.as_str(), self.inner.get(coordinate))
            .await
    }

    async fn get_many(&self, coordinates: &[Coordinate]) -> Vec<Result<StoredSecret>> {
        let request = |asked: Vec<Coordinate>| async move { self.inner.get_many(&asked).await };
        self.many("get_many", coordinates, coordinates.first(), request)
            .await
    }

    async fn describe(&self, coordinate: &Coordinate) -> Result<Description> {
        self.one(
            "describe",
            coordinate.as_str(),
            self.inner.describe(coordinate),
        )
        .await
    }

    async fn describe_many(&self, coordinates: &[Coordinate]) -> Vec<Result<Description>> {
        let request =
            |asked: Vec<Coordinate>| async move { self.inner.describe_many(&asked).await };
        self.many("describe_many", coordinates, coordinates.first(), request)
            .await
    }

    async fn list(&self, page: Option<&PageToken>) -> Result<ListPage> {
        let subject = page.map_or("first page", |token| &token.0);
        self.one("list", subject, self.inner.list(page)).await
    }

    async fn delete(
        &self,
        coordinate: &Coordinate,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion> {
        let request = self.inner.delete(coordinate, mode, precondition);
        self.one("delete", coordinate.as_str(), request).await
    }

    async fn delete_many(
        &self,
        coordinates: &[Coordinate],
        mode: DeleteMode,
    ) -> Vec<Result<Deletion>> {
        let request =
            |asked: Vec<Coordinate>| async move { self.inner.delete_many(&asked, mode).await };
        self.many("delete_many", coordinates, coordinates.first(), request)
            .await
    }

    async fn restore(&self, coordinate: &Coordinate) -> Result<()> {
        self.one(
            "restore",
            coordinate.as_str(),
            self.inner.restore(coordinate),
        )
        .await
    }

    async fn lift_expiry(&self, coordinate: &Coordinate) -> Result<()> {
        self.one(
            "lift_expiry",
            coordinate.as_str(),
            self.inner.lift_expiry(coordinate),
        )
        .await
    }
}

#[async_trait]
impl Purge for FaultyBackend {
    async fn purge(&self, mark: &Mark, window: Duration, now: Timestamp) -> Result<bool> {
        match self.inner.purges() {
            Some(inner) => {
                let call = inner.purge(mark, window, now);
                self.one("purge", mark.coordinate.as_str(), call).await
            }
            None => Ok(false),
        }
    }

    async fn outlast_put(&self, mark: &Mark, window: Duration) -> Result<Option<Timestamp>> {
        match self.inner.purges() {
            Some(inner) => {
                let call = inner.outlast_put(mark, window);
                self.one("outlast_put", mark.coordinate.as_str(), call)
                    .await
            }
            None => Ok(None),
        }
    }
}
