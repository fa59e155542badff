//! A process that outlives the command that started it, and is only ever stopped as itself.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};
use serde::{Deserialize, Serialize};

use crate::{interrupt, process};

/// Every data folder is named so; nothing else is ever removed.
const PREFIX: &str = "cloakroom-";

const LOG: &str = "server.log";

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Daemon {
    pub(super) pid: i32,
    /// When the process started, in the kernel's ticks since this boot: with both, a process id
    /// that was given to another program is not mistaken for this one.
    started: String,
    boot: String,
    pub(super) port: u16,
    /// Where its data and its log are.
    pub(super) folder: PathBuf,
    /// What stops it in order.
    signal: i32,
    /// What tests read to find it.
    pub(super) variables: BTreeMap<String, String>,
}

/// How a server is started, and how one sees that it answers.
pub(super) struct Launch {
    pub(super) command: Command,
    /// Succeeds as soon as the server takes requests.
    pub(super) ready: Command,
    pub(super) within: Duration,
    pub(super) port: u16,
    pub(super) folder: PathBuf,
    pub(super) signal: Signal,
    pub(super) variables: BTreeMap<String, String>,
}

impl Daemon {
    pub(super) fn start(mut launch: Launch) -> Result<Self> {
        let log = File::create(launch.folder.join(LOG))?;
        let child = launch
            .command
            .current_dir(&launch.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C in the terminal is for the commands there, not for the server.
            .process_group(0)
            .spawn()
            .with_context(|| {
                format!("`{}` could not be started", process::shown(&launch.command))
            })?;
        let pid = i32::try_from(child.id()).context("a process id past 2^31")?;
        let daemon = Self {
            pid,
            started: start_time(pid).unwrap_or_default(),
            boot: boot()?,
            port: launch.port,
            folder: launch.folder,
            signal: launch.signal as i32,
            variables: launch.variables,
        };
        let since = Instant::now();
        let failed = loop {
            if process::read(&mut launch.ready).is_ok() {
                break None;
            }
            if !daemon.is_alive() {
                break Some("it ended at once".to_owned());
            }
            if since.elapsed() > launch.within {
                break Some(format!(
                    "no answer within {} seconds",
                    launch.within.as_secs()
                ));
            }
            if interrupt::requested() {
                break Some("interrupted".to_owned());
            }
            thread::sleep(Duration::from_millis(50));
        };
        if let Some(why) = failed {
            let log = tail(&daemon.folder.join(LOG));
            daemon.stop()?;
            bail!("{why}; its log ends with:\n{log}");
        }
        Ok(daemon)
    }

    /// Whether this very process still runs: not another one with its id, not a zombie.
    pub(super) fn is_alive(&self) -> bool {
        boot().is_ok_and(|it| it == self.boot)
            && start_time(self.pid).is_some_and(|it| it == self.started)
    }

    /// In order first, with force at last; its data goes with it.
    pub(super) fn stop(&self) -> Result<()> {
        let order = Signal::try_from(self.signal).unwrap_or(Signal::SIGTERM);
        for (signal, patience) in [
            (order, Duration::from_secs(20)),
            (Signal::SIGQUIT, Duration::from_secs(5)),
            (Signal::SIGKILL, Duration::from_secs(5)),
        ] {
            if !self.is_alive() {
                break;
            }
            kill(Pid::from_raw(self.pid), signal)
                .with_context(|| format!("process {} cannot be stopped", self.pid))?;
            let since = Instant::now();
            while self.is_alive() && since.elapsed() < patience {
                thread::sleep(Duration::from_millis(20));
            }
        }
        if self.is_alive() {
            bail!("process {} does not end, even when killed", self.pid);
        }
        self.clear()
    }

    pub(super) fn clear(&self) -> Result<()> {
        let ours = self
            .folder
            .file_name()
            .is_some_and(|it| it.to_string_lossy().starts_with(PREFIX));
        if ours && self.folder.is_dir() {
            fs::remove_dir_all(&self.folder)
                .with_context(|| format!("cannot remove {}", self.folder.display()))?;
        }
        Ok(())
    }
}

/// A new empty folder for a server's data, readable by nobody else. Not in the target directory,
/// which may be where the server's own user cannot go (below /root), and short enough a path for
/// a Unix socket.
pub(super) fn data_folder(name: &str) -> Result<PathBuf> {
    Ok(tempfile::Builder::new()
        .prefix(&format!("{PREFIX}{name}-"))
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in("/tmp")
        .context("no folder for the server's data could be made in /tmp")?
        .keep())
}

/// Another program may take a port between looking for it and opening it.
const ATTEMPTS: usize = 3;

/// Starts a server that wants a free port, once more where another program took that.
pub(super) fn attempt(name: &str, start: impl Fn() -> Result<Daemon>) -> Result<Daemon> {
    let mut attempt = 1;
    loop {
        match start() {
            Err(error) if attempt < ATTEMPTS && !interrupt::requested() => {
                eprintln!("{name}, attempt {attempt}: {error:#}");
                attempt += 1;
            }
            outcome => return outcome,
        }
    }
}

/// The user that a database's package made, with the folder given to it: databases refuse to run as
/// root. Nobody in particular where this is not root.
pub(super) fn unprivileged(folder: &Path, name: &str, package: &str) -> Result<Option<User>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let user = User::from_name(name)?.with_context(|| {
        format!("there is no user {name}; `apt-get install --reinstall {package}` makes it")
    })?;
    chown(folder, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
        .with_context(|| format!("cannot give {} to the user {name}", folder.display()))?;
    Ok(Some(user))
}

/// A port that was free a moment ago.
pub(super) fn free_port() -> Result<u16> {
    let listener =
        TcpListener::bind(("127.0.0.1", 0)).context("no loopback port could be opened")?;
    Ok(listener.local_addr()?.port())
}

fn boot() -> Result<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .context("this needs Linux's /proc")?;
    Ok(id.trim().to_owned())
}

fn start_time(pid: i32) -> Option<String> {
    start_time_in(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The 22nd field of `/proc/PID/stat`, nothing for a zombie. The second field, the program's
/// name in brackets, may itself hold blanks and brackets.
fn start_time_in(stat: &str) -> Option<String> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?;
    (!matches!(state, "Z" | "X")).then(|| fields.nth(18).map(str::to_owned))?
}

fn tail(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "4242 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20";

    #[test]
    fn the_start_time_is_read_past_any_name() {
        assert_eq!(start_time_in(STAT).as_deref(), Some("777"));
    }

    #[test]
    fn a_zombie_does_not_run() {
        assert_eq!(start_time_in(&STAT.replace(" S ", " Z ")), None);
    }

    #[test]
    fn a_recycled_process_id_is_left_alone() {
        let mut sleeper = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(sleeper.id()).unwrap();
        let stranger = Daemon {
            pid,
            started: "1".to_owned(),
            boot: boot().unwrap(),
            port: 0,
            folder: PathBuf::from("/nowhere"),
            signal: Signal::SIGTERM as i32,
            variables: BTreeMap::new(),
        };
        assert!(!stranger.is_alive());
        stranger.stop().unwrap();
        assert_eq!(sleeper.try_wait().unwrap(), None);
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
    }
}
