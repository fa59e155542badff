//! A command of the program: run, frozen or killed, and what it said.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Longer than any command but a pass may take, whatever is paused meanwhile.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// The same for a pass, which works off what is due no faster than its share of a manager's rate:
/// thousands of deletions take minutes.
pub(crate) const PATIENCE_WITH_A_PASS: Duration = Duration::from_mins(15);

/// What is done to a command while it runs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    /// Nothing.
    Unharmed,
    /// It is killed this long after its start.
    Killed(Duration),
    /// It is frozen this long after its start, for as long as the second says.
    Frozen(Duration, Duration),
}

/// How a command ended.
pub(crate) struct Ended {
    /// Its exit status; `None` where it was killed.
    pub(crate) code: Option<i32>,
    /// What it printed, whole or not.
    pub(crate) stdout: Vec<u8>,
    /// Whether it had to be killed because it did not end.
    pub(crate) hung: bool,
}

/// Runs a command with `input`, its standard error going to `log`.
pub(crate) async fn run(
    mut command: Command,
    input: &[u8],
    log: &Path,
    fate: Fate,
    patience: Duration,
) -> Result<Ended> {
    let log = File::options().create(true).append(true).open(log)?;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .context("the program could not be started")?;
    if let Some(mut stdin) = child.stdin.take() {
        // It may have been refused before it read anything.
        let _ = stdin.write_all(input).await;
    }
    let mut stdout = Vec::new();
    let mut output = child.stdout.take().context("its output is not a pipe")?;
    let reading = output.read_to_end(&mut stdout);
    let waiting = suffer(&mut child, fate, patience);
    let (read, ended) = tokio::join!(reading, waiting);
    read.context("read what the program printed")?;
    let (code, hung) = ended?;
    Ok(Ended { code, stdout, hung })
}

/// Lets the fate happen and waits for the end: the exit status, and whether it hung.
async fn suffer(child: &mut Child, fate: Fate, patience: Duration) -> Result<(Option<i32>, bool)> {
    let before = match fate {
        Fate::Unharmed => None,
        Fate::Killed(after) | Fate::Frozen(after, _) => Some(after),
    };
    if let Some(after) = before
        && let Ok(status) = timeout(after, child.wait()).await
    {
        return Ok((status?.code(), false));
    }
    match fate {
        Fate::Unharmed => {}
        Fate::Killed(_) => child.start_kill()?,
        Fate::Frozen(_, how_long) => {
            signal(child, Signal::SIGSTOP);
            tokio::time::sleep(how_long).await;
            signal(child, Signal::SIGCONT);
        }
    }
    if let Ok(status) = timeout(patience, child.wait()).await {
        return Ok((status?.code(), false));
    }
    child.kill().await?;
    Ok((None, true))
}

/// Sends a signal to a child that was not waited for yet.
pub(crate) fn signal(child: &Child, what: Signal) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(pid) = pid {
        // One that ended meanwhile is a zombie until it is waited for, so nobody else is met.
        let _ = kill(Pid::from_raw(pid), what);
    }
}
