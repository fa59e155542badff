//! The request budget of one backend, kept by tokio's clock: whoever has no right to send yet waits
//! in line, and not for ever.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cloakroom_core::budget::{Budget, RequestClass};
use cloakroom_core::capabilities::{Rates, Sent};
use cloakroom_core::{BackendId, Error, ErrorKind, Result};
use tokio::time::Instant;

use crate::metrics::BudgetFigures;

/// The budgets of every class of requests to one backend.
pub struct RequestBudget {
    backend: BackendId,
    patience: Duration,
    quota: Arc<Quota>,
    waits: [Waits; RequestClass::ALL.len()],
}

/// What one quota of a manager's lets through, for every backend that it counts together.
struct Quota {
    began: Instant,
    rates: Rates,
    /// By class; of those that are counted together the first in [`QUEUES`] has the line of all.
    lines: [Line; RequestClass::ALL.len()],
}

/// In which order several lines are queued in, so that nobody waits for somebody who waits for him: the
/// scarcest first, since who is first in one line keeps it while he waits in the next.
const QUEUES: [RequestClass; RequestClass::ALL.len()] = [
    RequestClass::Write,
    RequestClass::Delete,
    RequestClass::List,
    RequestClass::Describe,
    RequestClass::Read,
];

/// The budget of one class, or of several that are counted together, and who waits for it.
struct Line {
    /// Held by who is first in line; tokio hands it on in the order of asking.
    first: tokio::sync::Mutex<()>,
    budget: Mutex<Budget>,
    ever_limited: AtomicBool,
}

/// What the requests of one backend and class came to.
#[derive(Default)]
struct Waits {
    sent: AtomicU64,
    millis: AtomicU64,
    in_vain: AtomicU64,
}

impl RequestBudget {
    /// Full budgets for a backend: this share of the rates it is allowed, 0.0 to 1.0. A request waits for
    /// its turn as long as `patience`, which is to be shorter than the deadline of a retried request:
    /// who waits in vain then hears that it was the budget.
    pub fn new(backend: BackendId, rates: &Rates, share: f64, patience: Duration) -> Self {
        let lines = RequestClass::ALL.map(|class| {
            let published = class.published(rates);
            Line {
                first: tokio::sync::Mutex::new(()),
                budget: Mutex::new(Budget::new(published, share)),
                ever_limited: AtomicBool::new(false),
            }
        });
        Self {
            backend,
            patience,
            quota: Arc::new(Quota {
                began: Instant::now(),
                rates: *rates,
                lines,
            }),
            waits: Default::default(),
        }
    }

    /// The budgets of another backend whose requests the manager counts against the same quota: the
    /// two wait in one line and have one allowance.
    pub fn beside(&self, backend: BackendId) -> Self {
        Self {
            backend,
            patience: self.patience,
            quota: self.quota.clone(),
            waits: Default::default(),
        }
    }

    /// Whether the requests of both wait in one line.
    pub fn is_beside(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.quota, &other.quota)
    }

    /// Which backend's it is.
    pub fn backend(&self) -> &BackendId {
        &self.backend
    }

    /// Waits until all that an operation sends for so many secrets may go together. `Throttled` where that
    /// takes too long; then nothing was taken. The wait is told of the class that is named first.
    pub async fn admit(&self, sent: &[Sent], secrets: usize) -> Result<()> {
        let Some(chief) = sent.first() else {
            return Ok(());
        };
        let asked = Instant::now();
        let turn = self.quota.turn(sent, secrets);
        let admitted = tokio::time::timeout(self.patience, turn).await;
        let waits = &self.waits[chief.class as usize];
        let waited = u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX);
        waits.millis.fetch_add(waited, Ordering::Relaxed);
        if admitted.is_err() {
            waits.in_vain.fetch_add(1, Ordering::Relaxed);
            return Err(self.refused());
        }
        self.tell(sent, secrets);
        Ok(())
    }

    /// Counts what was sent without a turn, since nobody knew before how much that would be. Whoever comes
    /// next waits for it.
    pub fn count(&self, sent: &[Sent], secrets: usize) {
        for it in sent {
            let mut budget = self.quota.line(it.class).budget();
            budget.count(self.quota.now(), it.requests_for(secrets));
        }
        self.tell(sent, secrets);
    }

    fn tell(&self, sent: &[Sent], secrets: usize) {
        for it in sent {
            let requests = u64::from(it.requests_for(secrets));
            let waits = &self.waits[it.class as usize];
            waits.sent.fetch_add(requests, Ordering::Relaxed);
        }
    }

    /// What is told to whoever waited in vain.
    pub fn refused(&self) -> Error {
        let message = format!(
            "its turn did not come within {}; a larger backends.{}.request_share lets more through",
            humantime::format_duration(self.patience),
            self.backend
        );
        Error::new(ErrorKind::Throttled, "wait for the request budget", message)
            .with_backend(&self.backend)
    }

    /// Says that the manager throttled one of these requests, and for how long it asked to be left alone.
    /// It does not say which.
    pub fn throttled(&self, sent: &[Sent], pause: Option<Duration>) {
        let quota = &*self.quota;
        for it in sent {
            quota.line(it.class).budget().throttled(quota.now(), pause);
        }
    }

    /// Says how many replicas share the manager's quota.
    pub fn set_replicas(&self, replicas: u32) {
        for line in &self.quota.lines {
            line.budget().set_replicas(self.quota.now(), replicas);
        }
    }

    /// Requests of a class that are presently allowed a second; `None` without limit.
    pub fn allowance(&self, class: RequestClass) -> Option<f64> {
        self.quota.line(class).budget().allowance(self.quota.now())
    }

    /// How long sending all that an operation sends for so many secrets takes, where this replica sends
    /// nothing else; `None` without limit.
    pub fn time_for(&self, sent: &[Sent], secrets: usize) -> Option<Duration> {
        let times = self
            .quota
            .needs(sent, secrets)
            .filter_map(|(line, requests)| {
                let allowance = line.budget().allowance(self.quota.now())?;
                let time = Duration::try_from_secs_f64(f64::from(requests) / allowance);
                Some(time.unwrap_or(Duration::MAX))
            });
        times.max()
    }

    /// Where each class stands.
    pub fn figures(&self) -> impl Iterator<Item = BudgetFigures> {
        RequestClass::ALL.into_iter().map(|class| {
            let (line, waits) = (self.quota.line(class), &self.waits[class as usize]);
            let (allowance, published) = {
                let budget = line.budget();
                (budget.allowance(self.quota.now()), budget.published())
            };
            let limited = allowance.is_some();
            let ever = line.ever_limited.fetch_or(limited, Ordering::Relaxed);
            BudgetFigures {
                class,
                // A gauge that was shown cannot be taken back.
                allowance: allowance.or(ever.then_some(f64::INFINITY)),
                published,
                sent: waits.sent.load(Ordering::Relaxed),
                waited: Duration::from_millis(waits.millis.load(Ordering::Relaxed)),
                exhausted: waits.in_vain.load(Ordering::Relaxed),
            }
        })
    }
}

/// tokio's clock counts in milliseconds.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

impl Quota {
    /// Waits in every line until all may be sent together, and takes that right.
    async fn turn(&self, sent: &[Sent], secrets: usize) {
        let needs: Vec<_> = self.needs(sent, secrets).collect();
        let mut firsts = Vec::with_capacity(needs.len());
        for at in 0..needs.len() {
            firsts.push(needs[at].0.first.lock().await);
            let all = at + 1 == needs.len();
            // The wait may be for an allowance that is lower, or higher, by its end.
            while let Err(wait) = self.ready(&needs[..=at], all) {
                tokio::time::sleep(wait.max(SHORTEST_WAIT)).await;
            }
        }
    }

    /// Whether these may be sent together now, and takes the right to that where it is wanted; or after how
    /// long to ask again.
    fn ready(&self, needs: &[(&Line, u32)], take: bool) -> std::result::Result<(), Duration> {
        let now = self.now();
        // Locked in the order of the queues, like everything.
        let budgets = needs
            .iter()
            .map(|(line, requests)| (line.budget(), *requests));
        let mut budgets: Vec<_> = budgets.collect();
        let waits = budgets.iter_mut();
        let waits = waits.filter_map(|(budget, requests)| budget.ready(now, *requests).err());
        if let Some(longest) = waits.max() {
            return Err(longest);
        }
        if take {
            for (budget, requests) in &mut budgets {
                budget.count(now, *requests);
            }
        }
        Ok(())
    }

    /// The lines in which an operation queues, in their order, and for how many requests.
    fn needs(&self, sent: &[Sent], secrets: usize) -> impl Iterator<Item = (&Line, u32)> {
        QUEUES.into_iter().filter_map(move |class| {
            let here = sent.iter().filter(|it| self.queue(it.class) == class);
            let requests = here.map(|it| it.requests_for(secrets));
            let requests = requests.reduce(u32::saturating_add)?;
            Some((&self.lines[class as usize], requests))
        })
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn line(&self, class: RequestClass) -> &Line {
        &self.lines[self.queue(class) as usize]
    }

    /// The class in whose line another one queues.
    fn queue(&self, class: RequestClass) -> RequestClass {
        let together = |other: &RequestClass| self.rates.with(class).any(|it| it == *other);
        QUEUES.into_iter().find(together).unwrap_or(class)
    }
}

impl Line {
    fn budget(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn budget(rate: Option<f64>) -> Arc<RequestBudget> {
        let rates = Rates {
            delete: rate,
            ..Rates::default()
        };
        Arc::new(RequestBudget::new(
            "main".parse().unwrap(),
            &rates,
            0.5,
            PATIENCE,
        ))
    }

    fn figures(budget: &RequestBudget, class: RequestClass) -> BudgetFigures {
        budget.figures().find(|it| it.class == class).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_first_goes_first_and_the_rate_is_kept() {
        let budget = budget(Some(4.0));
        let began = Instant::now();
        let mut waiting = Vec::new();
        for at in 0..12u64 {
            let budget = budget.clone();
            waiting.push(tokio::spawn(async move {
                budget
                    .admit(&[Sent::one(RequestClass::Delete)], 1)
                    .await
                    .unwrap();
                (at, began.elapsed())
            }));
            tokio::task::yield_now().await;
        }
        for waiting in waiting {
            let (at, went) = waiting.await.unwrap();
            // Two at once, then one each half second.
            let earliest =
                Duration::from_millis(500) * u32::try_from(at.saturating_sub(1)).unwrap();
            assert!(went >= earliest, "{at}: {went:?}");
            assert!(
                went < earliest + Duration::from_millis(20),
                "{at}: {went:?}"
            );
        }
        let seen = figures(&budget, RequestClass::Delete);
        assert_eq!(
            (seen.allowance, seen.published, seen.exhausted),
            (Some(2.0), Some(4.0), 0)
        );
        assert!(seen.waited > Duration::from_secs(25), "{seen:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends() {
        let budget = budget(Some(0.02));
        budget
            .admit(&[Sent::one(RequestClass::Delete)], 1)
            .await
            .unwrap();
        let began = Instant::now();
        let error = budget
            .admit(&[Sent::one(RequestClass::Delete)], 1)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Throttled);
        assert!(error.is_retryable());
        assert_eq!(began.elapsed(), PATIENCE);
        assert_eq!(figures(&budget, RequestClass::Delete).exhausted, 1);
        // Who gave up took nothing.
        tokio::time::advance(Duration::from_secs(91)).await;
        budget
            .admit(&[Sent::one(RequestClass::Delete)], 1)
            .await
            .unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn one_class_does_not_hold_up_another() {
        let budget = budget(Some(0.02));
        budget
            .admit(&[Sent::one(RequestClass::Delete)], 1)
            .await
            .unwrap();
        let began = Instant::now();
        for _ in 0..1000 {
            budget
                .admit(&[Sent::one(RequestClass::Read)], 1)
                .await
                .unwrap();
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert_eq!(figures(&budget, RequestClass::Read).allowance, None);
    }

    #[tokio::test(start_paused = true)]
    async fn replicas_and_throttles_change_the_pace_of_who_waits() {
        let budget = budget(Some(20.0));
        budget.set_replicas(10);
        assert_eq!(budget.allowance(RequestClass::Delete), Some(1.0));
        budget
            .admit(&[Sent::one(RequestClass::Delete)], 1)
            .await
            .unwrap();
        let began = Instant::now();
        budget.throttled(
            &[Sent::one(RequestClass::Delete)],
            Some(Duration::from_secs(3)),
        );
        budget
            .admit(&[Sent::one(RequestClass::Delete)], 1)
            .await
            .unwrap();
        assert!(
            began.elapsed() >= Duration::from_secs(3),
            "{:?}",
            began.elapsed()
        );
        assert_eq!(budget.allowance(RequestClass::Delete), Some(0.5));
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_quota_counts_keeps_to_it_together() {
        let first = budget(Some(4.0));
        let second = first.beside("other".parse().unwrap());
        assert_eq!(second.backend().as_str(), "other");
        let began = Instant::now();
        for _ in 0..3 {
            first
                .admit(&[Sent::one(RequestClass::Delete)], 1)
                .await
                .unwrap();
            second
                .admit(&[Sent::one(RequestClass::Delete)], 1)
                .await
                .unwrap();
        }
        // Two at once, then four at two a second.
        let took = began.elapsed();
        let expected = Duration::from_secs(2);
        assert!(
            took >= expected && took < expected + Duration::from_millis(20),
            "{took:?}"
        );
        // What the manager says to one is meant for both; who waited is each one's own affair.
        second.throttled(&[Sent::one(RequestClass::Delete)], None);
        for it in [&*first, &second] {
            assert_eq!(it.allowance(RequestClass::Delete), Some(1.0));
            assert!(figures(it, RequestClass::Delete).waited < took);
        }
        second.set_replicas(2);
        assert_eq!(first.allowance(RequestClass::Delete), Some(0.5));
        // The turn of one that gave up is not the other's.
        let in_vain = first.beside("third".parse().unwrap());
        in_vain.throttled(&[Sent::one(RequestClass::Delete)], Some(PATIENCE * 2));
        assert!(
            in_vain
                .admit(&[Sent::one(RequestClass::Delete)], 1)
                .await
                .is_err()
        );
        assert_eq!(figures(&in_vain, RequestClass::Delete).exhausted, 1);
        assert_eq!(figures(&first, RequestClass::Delete).exhausted, 0);
    }

    /// Writes and deletions count together, descriptions alone: two and four a second.
    fn together() -> RequestBudget {
        let rates = Rates {
            write: Some(4.0),
            delete: Some(4.0),
            describe: Some(8.0),
            together: &[&[RequestClass::Write, RequestClass::Delete]],
            ..Rates::NONE
        };
        RequestBudget::new("main".parse().unwrap(), &rates, 0.5, PATIENCE)
    }

    #[tokio::test(start_paused = true)]
    async fn classes_that_are_counted_together_use_up_one_rate() {
        let budget = together();
        let began = Instant::now();
        for _ in 0..3 {
            budget
                .admit(&[Sent::one(RequestClass::Write)], 1)
                .await
                .unwrap();
            budget
                .admit(&[Sent::one(RequestClass::Delete)], 1)
                .await
                .unwrap();
        }
        let (took, expected) = (began.elapsed(), Duration::from_secs(2));
        assert!(
            took >= expected && took < expected + Duration::from_millis(20),
            "{took:?}"
        );
        budget.throttled(&[Sent::one(RequestClass::Delete)], None);
        assert_eq!(budget.allowance(RequestClass::Write), Some(1.0));
        assert_eq!(budget.allowance(RequestClass::Describe), Some(4.0));
        for class in [RequestClass::Write, RequestClass::Delete] {
            assert_eq!(figures(&budget, class).sent, 3);
        }
    }

    /// Three deletions and three descriptions at once, then what the slower of the two lets through; who
    /// describes meanwhile does not wait for deletions.
    #[tokio::test(start_paused = true)]
    async fn an_operation_waits_for_every_rate_it_counts_against_and_holds_up_no_other() {
        let budget = Arc::new(together());
        let deletion = [
            Sent::one(RequestClass::Delete),
            Sent::one(RequestClass::Describe),
        ];
        let began = Instant::now();
        let deletions = tokio::spawn({
            let budget = budget.clone();
            async move {
                for _ in 0..6 {
                    budget.admit(&deletion, 1).await.unwrap();
                }
                began.elapsed()
            }
        });
        tokio::task::yield_now().await;
        for _ in 0..6 {
            budget
                .admit(&[Sent::one(RequestClass::Describe)], 1)
                .await
                .unwrap();
        }
        let described = began.elapsed();
        assert!(described <= Duration::from_millis(1_600), "{described:?}");
        let deleted = deletions.await.unwrap();
        assert!(deleted >= Duration::from_secs(2), "{deleted:?}");
        assert!(deleted < Duration::from_millis(2_600), "{deleted:?}");
        let four = budget.time_for(&deletion, 4);
        assert_eq!(four, Some(Duration::from_secs(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_sent_in_any_case_is_waited_for_by_whoever_comes_next() {
        let budget = together();
        budget.count(&[Sent::one(RequestClass::Describe)], 12);
        let began = Instant::now();
        budget
            .admit(&[Sent::one(RequestClass::Describe)], 1)
            .await
            .unwrap();
        assert!(began.elapsed() >= Duration::from_millis(2_250));
        assert_eq!(figures(&budget, RequestClass::Describe).sent, 13);
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_is_gone_is_told_to_be_gone() {
        let budget = budget(None);
        budget.throttled(&[Sent::one(RequestClass::Write)], None);
        assert!(figures(&budget, RequestClass::Write).allowance.unwrap() < 2.0);
        tokio::time::advance(Duration::from_mins(2)).await;
        assert_eq!(
            figures(&budget, RequestClass::Write).allowance,
            Some(f64::INFINITY)
        );
    }
}
