//! The request budget of one backend, kept by tokio's clock: whoever has no right to send yet waits
//! in line, and not for ever.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cloakroom_core::budget::{Budget, RequestClass};
use cloakroom_core::capabilities::Rates;
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
    lines: [Line; RequestClass::ALL.len()],
}

/// One class: its budget, and who waits for it.
struct Line {
    /// Held by who is first in line; tokio hands it on in the order of asking.
    first: tokio::sync::Mutex<()>,
    budget: Mutex<Budget>,
    ever_limited: AtomicBool,
}

/// What the requests of one backend and class had to wait.
#[derive(Default)]
struct Waits {
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

    /// Which backend's it is.
    pub fn backend(&self) -> &BackendId {
        &self.backend
    }

    /// Waits until so many requests may be sent together. `Throttled` where that takes too long.
    pub async fn admit(&self, class: RequestClass, requests: u32) -> Result<()> {
        let asked = Instant::now();
        let turn = self.quota.turn(class, requests);
        let admitted = tokio::time::timeout(self.patience, turn).await;
        let waits = &self.waits[class as usize];
        let waited = u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX);
        waits.millis.fetch_add(waited, Ordering::Relaxed);
        admitted.map_err(|_| {
            waits.in_vain.fetch_add(1, Ordering::Relaxed);
            self.refused()
        })
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

    /// Says that the manager throttled a request, and for how long it asked to be left alone.
    pub fn throttled(&self, class: RequestClass, pause: Option<Duration>) {
        let quota = &*self.quota;
        quota.line(class).budget().throttled(quota.now(), pause);
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
                waited: Duration::from_millis(waits.millis.load(Ordering::Relaxed)),
                exhausted: waits.in_vain.load(Ordering::Relaxed),
            }
        })
    }
}

/// tokio's clock counts in milliseconds.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

impl Quota {
    /// Waits in line until so many requests may be sent together.
    async fn turn(&self, class: RequestClass, requests: u32) {
        let line = self.line(class);
        let _first = line.first.lock().await;
        loop {
            // The wait may be for an allowance that is lower, or higher, by its end.
            let taken = line.budget().take(self.now(), requests);
            match taken {
                Ok(()) => return,
                Err(wait) => tokio::time::sleep(wait.max(SHORTEST_WAIT)).await,
            }
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn line(&self, class: RequestClass) -> &Line {
        &self.lines[class as usize]
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
                budget.admit(RequestClass::Delete, 1).await.unwrap();
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
        budget.admit(RequestClass::Delete, 1).await.unwrap();
        let began = Instant::now();
        let error = budget.admit(RequestClass::Delete, 1).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Throttled);
        assert!(error.is_retryable());
        assert_eq!(began.elapsed(), PATIENCE);
        assert_eq!(figures(&budget, RequestClass::Delete).exhausted, 1);
        // Who gave up took nothing.
        tokio::time::advance(Duration::from_secs(91)).await;
        budget.admit(RequestClass::Delete, 1).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn one_class_does_not_hold_up_another() {
        let budget = budget(Some(0.02));
        budget.admit(RequestClass::Delete, 1).await.unwrap();
        let began = Instant::now();
        for _ in 0..1000 {
            budget.admit(RequestClass::Read, 1).await.unwrap();
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert_eq!(figures(&budget, RequestClass::Read).allowance, None);
    }

    #[tokio::test(start_paused = true)]
    async fn replicas_and_throttles_change_the_pace_of_who_waits() {
        let budget = budget(Some(20.0));
        budget.set_replicas(10);
        assert_eq!(budget.allowance(RequestClass::Delete), Some(1.0));
        budget.admit(RequestClass::Delete, 1).await.unwrap();
        let began = Instant::now();
        budget.throttled(RequestClass::Delete, Some(Duration::from_secs(3)));
        budget.admit(RequestClass::Delete, 1).await.unwrap();
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
            first.admit(RequestClass::Delete, 1).await.unwrap();
            second.admit(RequestClass::Delete, 1).await.unwrap();
        }
        // Two at once, then four at two a second.
        let took = began.elapsed();
        let expected = Duration::from_secs(2);
        assert!(
            took >= expected && took < expected + Duration::from_millis(20),
            "{took:?}"
        );
        // What the manager says to one is meant for both; who waited is each one's own affair.
        second.throttled(RequestClass::Delete, None);
        for it in [&*first, &second] {
            assert_eq!(it.allowance(RequestClass::Delete), Some(1.0));
            assert!(figures(it, RequestClass::Delete).waited < took);
        }
        second.set_replicas(2);
        assert_eq!(first.allowance(RequestClass::Delete), Some(0.5));
        // The turn of one that gave up is not the other's.
        let in_vain = first.beside("third".parse().unwrap());
        in_vain.throttled(RequestClass::Delete, Some(PATIENCE * 2));
        assert!(in_vain.admit(RequestClass::Delete, 1).await.is_err());
        assert_eq!(figures(&in_vain, RequestClass::Delete).exhausted, 1);
        assert_eq!(figures(&first, RequestClass::Delete).exhausted, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_is_gone_is_told_to_be_gone() {
        let budget = budget(None);
        budget.throttled(RequestClass::Write, None);
        assert!(figures(&budget, RequestClass::Write).allowance.unwrap() < 2.0);
        tokio::time::advance(Duration::from_mins(2)).await;
        assert_eq!(
            figures(&budget, RequestClass::Write).allowance,
            Some(f64::INFINITY)
        );
    }
}
