//! Work that waits for somebody who may never be heard of again: no answer, and no word that none will come.

use std::fmt::Display;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::{Error, ErrorKind, Result};

/// What `work` gives; `None` once nothing has happened to it for so long. It may take as long as it likes
/// while it goes on: an operation of many statements is not told from one of few.
pub async fn unless_silent<T>(longest: Duration, work: impl Future<Output = T>) -> Option<T> {
    let ear = Arc::new(Ear::new());
    let waker = Waker::from(Arc::clone(&ear));
    let mut work = pin!(work);
    let mut silence = pin!(tokio::time::sleep(longest));
    poll_fn(|context| {
        if ear.has_heard(context.waker()) {
            silence.set(tokio::time::sleep(longest));
            let polled = work.as_mut().poll(&mut Context::from_waker(&waker));
            if let Poll::Ready(done) = polled {
                return Poll::Ready(Some(done));
            }
        }
        silence.as_mut().poll(context).map(|()| None)
    })
    .await
}

/// What a server at `place` answers; `Unavailable` once nothing has come from there for so long.
///
/// # Errors
/// Those of `asked`, and that one.
pub fn answer_of<T>(
    operation: &'static str,
    place: impl Display,
    longest: Duration,
    asked: impl Future<Output = Result<T>>,
) -> impl Future<Output = Result<T>> {
    // On the heap, where it makes no caller's future larger.
    let asked = Box::pin(asked);
    async move {
        unless_silent(longest, asked).await.unwrap_or_else(|| {
            let message = format!(
                "nothing has come from it for {} s, and nothing says that the connection is broken: look at the \
                 server, and at the network, load balancer or pooler between",
                longest.as_secs()
            );
            let silent = Error::new(ErrorKind::Unavailable, operation, message);
            Err(silent.with_coordinate(format_args!("at {place}")))
        })
    }
}

/// Tells a task that is woken for the work from one that is woken for whatever else it waits for.
struct Ear {
    heard: AtomicBool,
    task: Mutex<Waker>,
}

impl Ear {
    fn new() -> Self {
        Self {
            heard: AtomicBool::new(true),
            task: Mutex::new(Waker::noop().clone()),
        }
    }

    /// Whether there was something since the last call; `task` is woken for what comes next.
    fn has_heard(&self, task: &Waker) -> bool {
        self.task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_from(task);
        self.heard.swap(false, Ordering::AcqRel)
    }
}

impl Wake for Ear {
    fn wake(self: Arc<Self>) {
        self.heard.store(true, Ordering::Release);
        let task = self
            .task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        task.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(1);

    async fn steps(number: u32, each: Duration) {
        for _ in 0..number {
            tokio::time::sleep(each).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_goes_on_may_take_as_long_as_it_likes() {
        let just_in_time = LONGEST.saturating_sub(Duration::from_millis(1));
        let done = unless_silent(LONGEST, steps(1000, just_in_time)).await;
        assert!(done.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_goes_on_and_then_stops_is_given_up() {
        let begun = tokio::time::Instant::now();
        let stops = async {
            steps(3, LONGEST / 2).await;
            std::future::pending::<()>().await;
        };
        assert!(unless_silent(LONGEST, stops).await.is_none());
        assert_eq!(begun.elapsed().as_millis(), 2500);
    }

    /// A task that does something else beside it is woken for that too.
    #[tokio::test(start_paused = true)]
    async fn what_happens_beside_it_is_no_answer() {
        let silent = unless_silent(LONGEST, std::future::pending::<()>());
        tokio::select! {
            biased;
            given_up = silent => assert!(given_up.is_none()),
            () = steps(1000, LONGEST / 3) => panic!("it hangs"),
        }
    }
}
