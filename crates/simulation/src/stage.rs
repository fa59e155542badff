//! What everything in one run stands on: simulated time, the turns of the tasks, the dice of each,
//! the weather, and a record of what happened for the laws to judge.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use cloakroom_core::{Clock, Timestamp};
use cloakroom_testkit::SeededRandomness;
use tokio::time::Instant;

use crate::happening::Happening;

/// A future that the scheduler polls.
pub(crate) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Noon on 1 January 2030 UTC, in milliseconds.
const BEGIN: i64 = 1_893_499_200_000;

/// How often each fault meets a request, as a share of the requests.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Weather {
    pub(crate) request_lost: f64,
    pub(crate) response_lost: f64,
    pub(crate) throttled: f64,
    pub(crate) denied: f64,
    /// The answer takes long; some take longer than any deadline.
    pub(crate) slow: f64,
    /// The request arrives when nobody waits for it any more.
    pub(crate) late: f64,
    /// The store's answer or the question to it is lost.
    pub(crate) store_lost: f64,
}

/// The common ground of one run.
pub(crate) struct Stage {
    pub(crate) random: SeededRandomness,
    /// `None` where time passes only when it is told to.
    began: Option<Instant>,
    /// Time that passed for everybody while every process stood still, in milliseconds.
    slept: Arc<AtomicI64>,
    /// How far the store's clock is ahead of the truth, in milliseconds.
    store_ahead: AtomicI64,
    /// The latest time that the store's clock may have shown, in milliseconds since 1970.
    store_latest: AtomicI64,
    current: AtomicUsize,
    inner: Mutex<Inner>,
    /// The stage of another deployment, whose tasks take turns with these.
    aside: OnceLock<Arc<Self>>,
}

#[derive(Default)]
struct Inner {
    dice: HashMap<usize, SeededRandomness>,
    weather: Weather,
    happenings: Vec<Happening>,
    arriving: Vec<(String, Work)>,
    /// Tasks that loiter until something befalls.
    loitering: BTreeMap<usize, Waker>,
    /// How likely a task loiters at an await point.
    loiters: f64,
    trace: Trace,
}

/// What a run did, as a number that two equal runs share and, where asked for, in words.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    pub(crate) hash: u64,
    pub(crate) steps: u64,
    pub(crate) story: Option<Vec<String>>,
}

impl Default for Trace {
    fn default() -> Self {
        Self {
            hash: 0xcbf2_9ce4_8422_2325,
            steps: 0,
            story: None,
        }
    }
}

impl Trace {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

impl Stage {
    /// A stage in tokio's time, which has to be paused.
    pub(crate) fn new(random: SeededRandomness, with_story: bool) -> Self {
        let stage = Self::begun(random, Some(Instant::now()));
        if with_story {
            stage.inner().trace.story = Some(Vec::new());
        }
        stage
    }

    /// A stage where time passes only while everybody sleeps.
    pub(crate) fn still(random: SeededRandomness) -> Self {
        Self::begun(random, None)
    }

    fn begun(random: SeededRandomness, began: Option<Instant>) -> Self {
        Self {
            random,
            began,
            slept: Arc::default(),
            store_ahead: AtomicI64::new(0),
            store_latest: AtomicI64::new(BEGIN),
            current: AtomicUsize::new(0),
            inner: Mutex::default(),
            aside: OnceLock::new(),
        }
    }

    /// A stage beside this one, in the same time: what happens there is told apart, the weather there
    /// is fair, and its store has a clock of its own.
    pub(crate) fn beside(&self, random: SeededRandomness) -> Arc<Self> {
        let aside = self.aside.get_or_init(|| {
            let aside = Self {
                slept: self.slept.clone(),
                ..Self::begun(random, self.began)
            };
            aside.inner().trace.steps = self.inner().trace.steps;
            Arc::new(aside)
        });
        aside.clone()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The true time, in milliseconds since 1970.
    pub(crate) fn truth(&self) -> i64 {
        let passed = self.began.map_or(Duration::ZERO, |began| began.elapsed());
        let passed = i64::try_from(passed.as_millis()).unwrap_or(i64::MAX);
        BEGIN + passed + self.slept.load(Ordering::Relaxed)
    }

    /// The store's time, in milliseconds since 1970.
    pub(crate) fn store_time(&self) -> i64 {
        self.truth() + self.store_ahead.load(Ordering::Relaxed)
    }

    /// Time passes while every process stands still: no deadline of theirs comes nearer.
    pub(crate) fn sleep(&self, time: Duration) {
        let time = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        self.slept.fetch_add(time, Ordering::Relaxed);
    }

    /// Sets how far the store's clock is ahead of the truth.
    pub(crate) fn set_store_ahead(&self, ahead: Duration) {
        let shown = self.store_time();
        self.store_latest.fetch_max(shown, Ordering::Relaxed);
        let ahead = i64::try_from(ahead.as_millis()).unwrap_or(i64::MAX);
        self.store_ahead.store(ahead, Ordering::Relaxed);
    }

    /// How long until the store's clock shows again what it has shown already.
    pub(crate) fn until_store_time_is_new(&self) -> Duration {
        let behind = self.store_latest.load(Ordering::Relaxed) - self.store_time();
        Duration::from_millis(u64::try_from(behind).unwrap_or_default())
    }

    /// An await point: whoever else can go on may go on first, and this task may be cut here.
    pub(crate) async fn gate(&self, name: &str) {
        let mut passed = false;
        std::future::poll_fn(|context| {
            if passed {
                return Poll::Ready(());
            }
            passed = true;
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        self.inner().trace.add(name.as_bytes());
        let share = self.inner().loiters;
        if share > 0.0 && self.dice().happens(share) {
            self.loiter().await;
        }
    }

    /// Does nothing until something befalls, or for long: whoever is slow meets what others did.
    pub(crate) async fn loiter(&self) {
        let task = self.current();
        let mut began = false;
        std::future::poll_fn(|context| {
            let mut inner = self.inner();
            let over = began && !inner.loitering.contains_key(&task);
            if over || inner.loiters == 0.0 {
                inner.loitering.remove(&task);
                return Poll::Ready(());
            }
            began = true;
            inner.loitering.insert(task, context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// How likely tasks loiter from here on; with 0 none does any more.
    pub(crate) fn set_loiters(&self, share: f64) {
        self.inner().loiters = share;
        if share == 0.0 {
            self.stir(1.0);
        }
    }

    /// Something befell: this share of those that loiter go on.
    pub(crate) fn stir(&self, share: f64) {
        let mut inner = self.inner();
        let loitering: Vec<usize> = inner.loitering.keys().copied().collect();
        for task in loitering {
            if self.random.happens(share)
                && let Some(waker) = inner.loitering.remove(&task)
            {
                waker.wake();
            }
        }
    }

    pub(crate) fn is_loitering(&self, task: usize) -> bool {
        self.inner().loitering.contains_key(&task)
    }

    pub(crate) fn turn_of(&self, task: usize) {
        if let Some(aside) = self.aside.get() {
            aside.turn_of(task);
        }
        self.current.store(task, Ordering::Relaxed);
        let mut inner = self.inner();
        inner.trace.steps += 1;
        inner.trace.add(&task.to_le_bytes());
    }

    /// The task that is being polled.
    pub(crate) fn current(&self) -> usize {
        self.current.load(Ordering::Relaxed)
    }

    /// The dice of the task that is being polled: what one draws moves nobody else's.
    pub(crate) fn dice(&self) -> SeededRandomness {
        let task = self.current();
        let mut inner = self.inner();
        let dice = inner.dice.entry(task);
        dice.or_insert_with(|| self.random.stream(&format!("task {task}")))
            .clone()
    }

    pub(crate) fn weather(&self) -> Weather {
        self.inner().weather
    }

    pub(crate) fn set_weather(&self, weather: Weather) {
        self.inner().weather = weather;
    }

    /// Something that the laws want to know.
    pub(crate) fn happened(&self, happening: Happening) {
        self.inner().happenings.push(happening);
    }

    pub(crate) fn take_happenings(&self) -> Vec<Happening> {
        std::mem::take(&mut self.inner().happenings)
    }

    /// A request on its way that nobody waits for.
    pub(crate) fn arrives_later(&self, name: String, work: Work) {
        self.inner().arriving.push((name, work));
    }

    pub(crate) fn take_arriving(&self) -> Vec<(String, Work)> {
        std::mem::take(&mut self.inner().arriving)
    }

    /// A line of the story, told only where somebody listens.
    pub(crate) fn tell(&self, line: impl FnOnce() -> String) {
        let truth = self.truth();
        let task = self.current();
        if let Some(story) = &mut self.inner().trace.story {
            let passed = Duration::from_millis((truth - BEGIN).unsigned_abs());
            let hours = passed.as_secs_f64() / 3600.0;
            story.push(format!("{hours:>10.4} h  [{task}] {}", line()));
        }
    }

    pub(crate) fn trace(&self) -> Trace {
        self.inner().trace.clone()
    }
}

/// The manager's clock, which is right.
pub(crate) struct TrueClock(pub(crate) Arc<Stage>);

impl Clock for TrueClock {
    fn now(&self) -> Timestamp {
        moment(self.0.truth())
    }
}

/// The moment of so many milliseconds since 1970.
pub(crate) fn moment(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX)
}
