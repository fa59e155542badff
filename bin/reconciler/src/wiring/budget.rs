//! The request budget of one backend, kept by tokio's clock: whoever has no right to send yet waits
//! in line, and not for ever.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cloakroom_core::budget::{Budget, RequestClass};
use cloakroom_core::{BackendId, Capabilities, Error, ErrorKind, Result};
use tokio::time::Instant;

use crate::metrics::BudgetFigures;

/// The budgets of every class of requests to one backend.
pub struct RequestBudget {
    backend: BackendId,
    began: Instant,
    patience: Duration,
    lines: [Line; RequestClass::ALL.len()],
}

/// One class: its budget, and who waits for it.
struct Line {
    class: RequestClass,
    /// Held by who is first in line; tokio hands it on in the order of asking.
    first: tokio::sync::Mutex<()>,
    budget: Mutex<Budget>,
    waited_millis: AtomicU64,
    exhausted: AtomicU64,
    ever_limited: AtomicBool,
}

impl RequestBudget {
    /// Full budgets for a backend: this share of what it publishes, 0.0 to 1.0. A request waits for
    /// its turn as long as `patience`, which is to be shorter than the deadline of a retried request:
    /// who waits in vain then hears that it was the budget.
    pub fn new(
        backend: BackendId,
        capabilities: &Capabilities,
        share: f64,
        patience: Duration,
    ) -> Self {
        let lines = RequestClass::ALL.map(|class| {
            let published = class.published(&capabilities.rates);
            Line {
                class,
                first: tokio::sync::Mutex::new(()),
                budget: Mutex::new(Budget::new(published, share)),
                waited_millis: AtomicU64::new(0),
                exhausted: AtomicU64::new(0),
                ever_limited: AtomicBool::new(false),
            }
        });
        Self {
            backend,
            began: Instant::now(),
            patience,
            lines,
        }
    }

    /// Which backend's it is.
    pub fn backend(&self) -> &BackendId {
        &self.backend
    }

    /// Waits until so many requests may be sent together. `Throttled` where that takes too long.
    pub async fn admit(&self, class: RequestClass, requests: u32) -> Result<()> {
        let line = self.line(class);
        let asked = Instant::now();
        let admitted = tokio::time::timeout(self.patience, self.wait_in(line, requests)).await;
        let waited = u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX);
        line.waited_millis.fetch_add(waited, Ordering::Relaxed);
        admitted.map_err(|_| {
            line.exhausted.fetch_add(1, Ordering::Relaxed);
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

    async fn wait_in(&self, line: &Line, requests: u32) {
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

    /// Says that the manager throttled a request, and for how long it asked to be left alone.
    pub fn throttled(&self, class: RequestClass, pause: Option<Duration>) {
        self.line(class).budget().throttled(self.now(), pause);
    }

    /// Says how many replicas share the manager's quota.
    pub fn set_replicas(&self, replicas: u32) {
        for line in &self.lines {
            line.budget().set_replicas(self.now(), replicas);
        }
    }

    /// Requests of a class that are presently allowed a second; `None` without limit.
    pub fn allowance(&self, class: RequestClass) -> Option<f64> {
        self.line(class).budget().allowance(self.now())
    }

    /// Where each class stands.
    pub fn figures(&self) -> impl Iterator<Item = BudgetFigures> {
        self.lines.iter().map(|line| {
            let (allowance, published) = {
                let budget = line.budget();
                (budget.allowance(self.now()), budget.published())
            };
            let limited = allowance.is_some();
            let ever = line.ever_limited.fetch_or(limited, Ordering::Relaxed);
            BudgetFigures {
                class: line.class,
                // A gauge that was shown cannot be taken back.
                allowance: allowance.or(ever.then_some(f64::INFINITY)),
                published,
                waited: Duration::from_millis(line.waited_millis.load(Ordering::Relaxed)),
                exhausted: line.exhausted.load(Ordering::Relaxed),
            }
        })
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn line(&self, class: RequestClass) -> &Line {
        &self.lines[class as usize]
    }
}

/// tokio's clock counts in milliseconds.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

impl Line {
    fn budget(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cloakroom_core::capabilities::Rates;
    use cloakroom_testkit::MemoryBackend;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn budget(rate: Option<f64>) -> Arc<RequestBudget> {
        let rates = Rates {
            delete: rate,
            ..Rates::default()
        };
        let capabilities = Capabilities {
            rates,
            ..MemoryBackend::CAPABILITIES
        };
        Arc::new(RequestBudget::new(
            "main".parse().unwrap(),
            &capabilities,
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
