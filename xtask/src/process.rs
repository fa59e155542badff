//! Running commands: in the foreground, for their output, or watched line by line.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::interrupt;

const TICK: Duration = Duration::from_millis(100);
/// What a stopped command gets before it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// The command as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        let _ = write!(text, " {}", argument.to_string_lossy());
    }
    text
}

/// Runs a command on this terminal; anything but success is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| could_not_start(command))?;
    if !status.success() {
        bail!("`{}` failed ({status})", shown(command));
    }
    Ok(())
}

/// What a command wrote to its standard output.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| could_not_start(command))?;
    if !output.status.success() {
        bail!(
            "`{}` failed ({}): {}",
            shown(command),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("`{}` printed bytes that are not UTF-8", shown(command)))
}

/// How long a watched command may take.
#[derive(Clone, Copy)]
pub(crate) enum Limit {
    None,
    /// From its start to its end.
    Whole(Duration),
    /// From one line that it prints to the next.
    Silence(Duration),
}

impl Limit {
    /// What a command did that is past it.
    fn passed(self, started: Instant, heard: Instant) -> Option<String> {
        match self {
            Self::Whole(most) if started.elapsed() > most => {
                Some(format!("did not end within {} seconds", most.as_secs()))
            }
            Self::Silence(most) if heard.elapsed() > most => {
                Some(format!("printed nothing for {} seconds", most.as_secs()))
            }
            _ => None,
        }
    }
}

/// Runs a command with both its outputs on one pipe, so that their order is kept, and hands over
/// line after line. It is stopped on Ctrl-C and past the limit, with all that it started.
pub(crate) fn watch(
    command: &mut Command,
    limit: Limit,
    mut on_line: impl FnMut(&str),
) -> Result<ExitStatus> {
    let text = shown(command);
    let (reader, writer) = std::io::pipe().context("a pipe could not be opened")?;
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0);
    let mut child = command.spawn().with_context(|| could_not_start(command))?;
    // The command keeps its writing ends open, and the pipe would never end.
    command.stdout(Stdio::null()).stderr(Stdio::null());

    let (send, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
            if send
                .send(String::from_utf8_lossy(&line).into_owned())
                .is_err()
            {
                break;
            }
        }
    });

    let group = Pid::from_raw(i32::try_from(child.id()).context("a process id past 2^31")?);
    let started = Instant::now();
    let mut heard = started;
    let mut stopping: Option<(Instant, String)> = None;
    let mut ended: Option<Instant> = None;
    loop {
        match lines.recv_timeout(TICK) {
            Ok(line) => {
                heard = Instant::now();
                on_line(&line);
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                if ended.is_none() && child.try_wait()?.is_some() {
                    ended = Some(Instant::now());
                }
                // Something it left behind holds the pipe: its own output is complete.
                if ended.is_some_and(|it| it.elapsed() > Duration::from_secs(2)) {
                    break;
                }
            }
        }
        match &stopping {
            None => {
                let why = if interrupt::requested() {
                    Some("interrupted".to_owned())
                } else {
                    limit
                        .passed(started, heard)
                        .map(|it| format!("{it} and was stopped"))
                };
                if let Some(why) = why {
                    let _ = killpg(group, Signal::SIGTERM);
                    stopping = Some((Instant::now(), why));
                }
            }
            Some((since, _)) if since.elapsed() > GRACE => {
                let _ = killpg(group, Signal::SIGKILL);
            }
            Some(_) => {}
        }
    }
    let status = child.wait()?;
    if let Some((_, why)) = stopping {
        bail!("`{text}` {why}");
    }
    Ok(status)
}

fn could_not_start(command: &Command) -> String {
    format!(
        "`{}` could not be started; is it installed and on the PATH?",
        command.get_program().to_string_lossy()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn what_falls_silent_is_stopped_with_all_it_started() {
        // The one in the background holds the pipe too: were it left, the watch would not return.
        let ended = watch(
            &mut shell("tail -f /dev/null & tail -f /dev/null"),
            Limit::Silence(Duration::from_millis(100)),
            |_| {},
        );
        assert!(ended.unwrap_err().to_string().contains("printed nothing"));
    }

    #[test]
    fn what_ends_says_how() {
        let status = watch(&mut shell("exit 3"), Limit::None, |_| {}).unwrap();
        assert_eq!(status.code(), Some(3));
    }
}
