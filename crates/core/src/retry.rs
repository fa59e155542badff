//! Retries with a count and a deadline, with jitter, for errors that a retry can help.

use std::future::Future;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

use crate::error::{Error, ErrorKind, Result};

/// How often and how long a request is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries after the first.
    pub retries: usize,
    /// Pause before the first retry; it doubles from there.
    pub first_pause: Duration,
    /// Longest pause.
    pub longest_pause: Duration,
    /// All tries and pauses together. A try under way then is given up as `Unavailable`.
    pub deadline: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            retries: 4,
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
            deadline: Duration::from_secs(30),
        }
    }
}

impl RetryPolicy {
    /// Runs `attempt` until it succeeds, fails for good, or count or deadline is used up.
    /// A manager's retry-after is kept to; where it points past the deadline the error is given back.
    pub async fn run<T, F>(
        &self,
        operation: &'static str,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let started = tokio::time::Instant::now();
        let mut pauses = ExponentialBuilder::default()
            .with_min_delay(self.first_pause)
            .with_max_delay(self.longest_pause)
            .with_max_times(self.retries)
            .with_jitter()
            .build();
        loop {
            let left = self.deadline.saturating_sub(started.elapsed());
            let error = match tokio::time::timeout(left, attempt()).await {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(error)) => error,
                Err(_) => {
                    return Err(Error::new(
                        ErrorKind::Unavailable,
                        operation,
                        format!("no answer within {} s", self.deadline.as_secs_f32()),
                    ));
                }
            };
            let Some(pause) = pauses.next().filter(|_| error.is_retryable()) else {
                return Err(error);
            };
            let pause = error.retry_after().map_or(pause, |asked| asked.max(pause));
            if started.elapsed() + pause >= self.deadline {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn error(kind: ErrorKind) -> Error {
        Error::new(kind, "test", "no")
    }

    #[tokio::test(start_paused = true)]
    async fn retries_stop_at_the_count() {
        let tries = Cell::new(0);
        let policy = RetryPolicy::default();
        let outcome: Result<()> = policy
            .run("test", || async {
                tries.set(tries.get() + 1);
                Err(error(ErrorKind::Unavailable))
            })
            .await;
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(tries.get(), policy.retries + 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_time_does_not_change_is_not_asked_again() {
        let tries = Cell::new(0);
        let outcome: Result<()> = RetryPolicy::default()
            .run("test", || async {
                tries.set(tries.get() + 1);
                Err(error(ErrorKind::Denied))
            })
            .await;
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Denied);
        assert_eq!(tries.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_is_kept_to_and_never_outlives_the_deadline() {
        let started = tokio::time::Instant::now();
        let outcome: Result<()> = RetryPolicy::default()
            .run("test", || async {
                Err(error(ErrorKind::Throttled).with_retry_after(Duration::from_secs(12)))
            })
            .await;
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Throttled);
        assert_eq!(started.elapsed().as_secs(), 24);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_at_the_deadline_as_unavailable() {
        let policy = RetryPolicy::default();
        let outcome: Result<()> = policy.run("test", std::future::pending).await;
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Unavailable);
    }
}
