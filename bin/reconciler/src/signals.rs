//! SIGTERM, SIGINT and SIGHUP (a terminal that was closed): the first asks to stop, the second stops
//! at once, and so does a stop that takes too long. A service goes on at SIGHUP. SIGUSR1 asks for work.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit::{Exit, STOPPED_AT_ONCE};
use crate::standard_error;

/// How long after its deadline a process that was to stop still gets: what ends it from within comes
/// first.
const LEEWAY: Duration = Duration::from_secs(5);

/// Cancels `stop` at the first SIGTERM, SIGINT or SIGHUP; a second one ends the process on the spot.
pub fn cancel_on_signal(stop: CancellationToken) -> io::Result<()> {
    listen(stop, None, Hangup::Stops)
}

/// The same; and where the process has not ended a little after `deadline`, it is ended as it is.
pub fn cancel_on_signal_within(stop: CancellationToken, deadline: Duration) -> io::Result<()> {
    listen(stop, Some(deadline), Hangup::Stops)
}

/// The same for a service, which goes on at SIGHUP: sent to it, that asks for a reload, and whoever starts it
/// again after failures alone would leave it off.
pub fn serve_until_signal(stop: CancellationToken, deadline: Duration) -> io::Result<()> {
    listen(stop, Some(deadline), Hangup::GoesOn)
}

/// What SIGHUP does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hangup {
    Stops,
    GoesOn,
}

/// On a thread with a runtime of its own: that of the work may have no thread left that is not held up.
fn listen(stop: CancellationToken, deadline: Option<Duration>, hangup: Hangup) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let signals = {
        let _within = runtime.enter();
        Signals::new(hangup)?
    };
    let thread = std::thread::Builder::new().name("signals".to_owned());
    thread.spawn(move || runtime.block_on(obey(signals, stop, deadline)))?;
    Ok(())
}

async fn obey(mut signals: Signals, stop: CancellationToken, deadline: Option<Duration>) {
    let name = signals.next().await;
    // First of all: what is told may not arrive anywhere.
    stop.cancel();
    standard_error::hurry();
    tracing::info!(
        signal.name = name,
        "stopping: no new work, the running item finishes"
    );
    tokio::select! {
        _ = signals.next() => end(STOPPED_AT_ONCE),
        deadline = overdue(deadline) => {
            tracing::error!(
                "it did not stop within {} and is ended as it is; its claims lapse and the next run takes \
                 them up",
                humantime::format_duration(deadline)
            );
            end(Exit::NotStoppedInTime.code());
        }
    }
}

/// Comes back when the deadline is over and the leeway with it; never where there is none.
async fn overdue(deadline: Option<Duration>) -> Duration {
    let Some(deadline) = deadline else {
        return std::future::pending().await;
    };
    tokio::time::sleep(deadline.saturating_add(LEEWAY)).await;
    deadline
}

fn end(status: u8) {
    standard_error::flush();
    std::process::exit(status.into());
}

/// SIGUSR1. From the moment there is one of these the signal does not end the process, and one that comes
/// before anything can be done about it is kept.
#[derive(Debug)]
pub struct UserSignal(Signal);

impl UserSignal {
    /// Listens from now on.
    pub fn listen() -> io::Result<Self> {
        signal(SignalKind::user_defined1()).map(Self)
    }

    /// Calls `act` at each that has come or comes.
    pub fn on_each(mut self, act: impl Fn() + Send + 'static) {
        tokio::spawn(async move {
            while self.0.recv().await.is_some() {
                tracing::info!(signal.name = "SIGUSR1", "every job is asked to run");
                act();
            }
        });
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    at_hangup: Hangup,
}

impl Signals {
    fn new(at_hangup: Hangup) -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            at_hangup,
        })
    }

    /// The next that asks to stop.
    async fn next(&mut self) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hangup.recv() => {
                    if self.at_hangup == Hangup::Stops {
                        return "SIGHUP";
                    }
                    tracing::info!(
                        signal.name = "SIGHUP",
                        "it goes on and nothing is reloaded: a changed configuration takes a restart"
                    );
                }
            }
        }
    }
}
