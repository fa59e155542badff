//! Work that nothing more comes of: no answer, and no word that there will be none.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// What `work` gives; `None` once nothing has happened to it for so long. It may take as long as it likes
/// while it goes on.
pub async fn unless_silent<T>(longest: Duration, work: impl Future<Output = T>) -> Option<T> {
    let ear = Arc::new(Ear {
        heard: AtomicBool::new(true),
        task: Mutex::new(Waker::noop().clone()),
    });
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

/// Tells a task that is woken for the work from one that is woken for whatever else it waits for.
struct Ear {
    heard: AtomicBool,
    task: Mutex<Waker>,
}

impl Ear {
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

    const LONGEST: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn work_that_goes_on_may_take_long() {
        let work = async {
            for _ in 0..5 {
                tokio::time::sleep(LONGEST * 9 / 10).await;
            }
            7
        };
        assert_eq!(unless_silent(LONGEST, work).await, Some(7));
    }

    /// What the task does besides is no word of the work.
    #[tokio::test(start_paused = true)]
    async fn silent_work_is_given_up_whatever_goes_on_beside_it() {
        let mut silent = pin!(unless_silent(LONGEST, std::future::pending::<()>()));
        let began = tokio::time::Instant::now();
        let given_up = loop {
            tokio::select! {
                biased;
                done = &mut silent => break done,
                () = tokio::time::sleep(LONGEST / 3) => {}
            }
        };
        assert_eq!((given_up, began.elapsed()), (None, LONGEST));
    }
}
