//! SIGTERM, SIGINT and SIGHUP (a terminal that was closed): the first asks to stop, the second stops
//! at once. SIGUSR1 asks for work.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancels `stop` at the first SIGTERM, SIGINT or SIGHUP; a second one ends the process on the spot.
pub fn cancel_on_signal(stop: CancellationToken) -> std::io::Result<()> {
    let mut signals = Signals::new()?;
    tokio::spawn(async move {
        let name = signals.next().await;
        tracing::info!(
            signal.name = name,
            "stopping: no new work, the running item finishes"
        );
        stop.cancel();
        let name = signals.next().await;
        tracing::warn!(signal.name = name, "stopped at once by a second signal");
        std::process::exit(130);
    });
    Ok(())
}

/// Calls `act` at each SIGUSR1.
pub fn on_user_signal(act: impl Fn() + Send + 'static) -> std::io::Result<()> {
    let mut signals = signal(SignalKind::user_defined1())?;
    tokio::spawn(async move {
        while signals.recv().await.is_some() {
            tracing::info!(signal.name = "SIGUSR1", "every job is asked to run");
            act();
        }
    });
    Ok(())
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
