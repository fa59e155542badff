//! SIGTERM, SIGINT and SIGHUP (a terminal that was closed): the first asks to stop, the second stops
//! at once. SIGUSR1 asks for work.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancels `stop` at the first SIGTERM, SIGINT or SIGHUP; a second one ends the process on the spot.
pub fn cancel_on_signal(stop: CancellationToken) -> std::io::Result<()> {
    let mut signals = Signals::new()?;
    tokio::spawn(async move {
        let name = signals.next().await;
        // First of all: what is told may not arrive anywhere.
        stop.cancel();
        tracing::info!(
            signal.name = name,
            "stopping: no new work, the running item finishes"
        );
        let name = signals.next().await;
        tracing::warn!(signal.name = name, "stopped at once by a second signal");
        std::process::exit(130);
    });
    Ok(())
}

/// SIGUSR1. From the moment there is one of these the signal does not end the process, and one that comes
/// before anything can be done about it is kept.
#[derive(Debug)]
pub struct UserSignal(Signal);

impl UserSignal {
    /// Listens from now on.
    pub fn listen() -> std::io::Result<Self> {
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
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.hangup.recv() => "SIGHUP",
        }
    }
}
