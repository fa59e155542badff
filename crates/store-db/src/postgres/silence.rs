//! A server that is not heard of any more: no answer, and no word that the connection is broken.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use cloakroom_core::{Error, ErrorKind, Result};
use sqlx::{Executor as _, Row as _};

use super::shared::Store;
use crate::options::Options;

/// The server ends a statement by itself after `statement_timeout`, and a connection is waited for no
/// longer than `acquire_timeout`: no operation that goes on hears nothing for longer than both.
pub(super) fn longest(options: &Options) -> Duration {
    options
        .acquire_timeout
        .saturating_add(options.statement_timeout)
}

impl Store {
    /// What `work` gives, `Unavailable` where the server is silent. `call` is it as the source has it.
    pub(crate) async fn unless_silent<T>(
        &self,
        call: &'static str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        match self.longest_silence {
            Some(longest) => unless_silent(longest, work)
                .await
                .unwrap_or_else(|| Err(told(call, longest))),
            None => work.await,
        }
    }
}

/// How long a connection that nobody uses may take to answer. Half of the wait for a connection leaves
/// whoever waits the other half to make a new one.
pub(super) fn longest_ping(options: &Options) -> Duration {
    options.acquire_timeout / 2
}

/// What `work` gives; `None` once nothing has happened to it for so long. It may take as long as it likes
/// while it goes on: an operation of many statements is not told from one of few.
async fn unless_silent<T>(longest: Duration, work: impl Future<Output = T>) -> Option<T> {
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

/// What is told of a silent server. `call` is the call as the source has it.
pub(crate) fn told(call: &'static str, longest: Duration) -> Error {
    let method = call.split(['.', '(']).nth(1).unwrap_or(call);
    let message = format!(
        "PostgreSQL has not answered `{}` for {longest:?}, and nothing says that the connection is broken: \
         what was being written may be there or not. Look at the server and at the network, load \
         balancer or pooler between; the next operation uses another connection",
        method.trim().replace('_', " ")
    );
    Error::new(ErrorKind::Unavailable, "ask the database", message)
}

/// Whether a connection that comes back answers, asked before the driver asks without end, and is in no
/// transaction: one whose `BEGIN` was answered too late is in one that nobody would end.
pub(super) async fn is_sound(
    conn: &mut sqlx::PgConnection,
    longest: Duration,
) -> sqlx::Result<bool> {
    // Of the simple protocol, which poolers take: nothing is prepared.
    const OUTSIDE: &str = "SELECT transaction_timestamp() = statement_timestamp()";
    let asked = async { conn.fetch_one(sqlx::raw_sql(OUTSIDE)).await?.try_get(0) };
    in_time(longest, asked).await
}

/// Gives a connection up that takes longer.
pub(super) async fn in_time<T>(
    longest: Duration,
    asked: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    tokio::time::timeout(longest, asked)
        .await
        .unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))
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

    #[test]
    fn the_operation_is_named() {
        let call = "inner.renew_lease(lease, ttl).await";
        let error = told(call, LONGEST).to_string();
        assert!(error.contains("`renew lease` for 1s"), "{error}");
        assert!(
            told("{ inner.a_b(c).await }", LONGEST)
                .to_string()
                .contains("`a b`")
        );
    }
}
