//! A server of our own: started, paused, killed and started again, stopped with everything.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, User};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// How long a server may take until it answers.
const STARTS_WITHIN: Duration = Duration::from_mins(1);

/// A server, and how it is started.
pub(crate) struct Server {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
    folder: PathBuf,
    log: PathBuf,
    /// Whom it runs as, where not as whoever started the torture.
    user: Option<User>,
    pub(crate) port: u16,
    child: Option<Child>,
}

impl Server {
    pub(crate) fn new(
        name: &'static str,
        program: PathBuf,
        arguments: Vec<String>,
        folder: &Path,
        port: u16,
    ) -> Self {
        Self {
            name,
            program,
            arguments,
            folder: folder.to_owned(),
            log: folder.with_file_name("logs").join(format!("{name}.log")),
            user: None,
            port,
            child: None,
        }
    }

    /// The same server as another user.
    pub(crate) fn run_by(mut self, user: Option<User>) -> Self {
        self.user = user;
        self
    }

    /// Starts it and waits until its port is open. One that ends at once is started again: what it
    /// left when it was killed may not be cleared away yet.
    pub(crate) async fn start(&mut self) -> Result<()> {
        let began = Instant::now();
        loop {
            let mut child = self.spawn()?;
            loop {
                if child.try_wait()?.is_some() {
                    break;
                }
                if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))
                    .await
                    .is_ok()
                {
                    self.child = Some(child);
                    return Ok(());
                }
                sleep(Duration::from_millis(20)).await;
                if began.elapsed() > STARTS_WITHIN {
                    break;
                }
            }
            if began.elapsed() > STARTS_WITHIN {
                let said = fs::read_to_string(&self.log).unwrap_or_default();
                let last = said.lines().next_back().unwrap_or_default();
                bail!("{} does not start: {last}", self.name);
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Kills it as a crash of the machine's kernel would not: with what it had written left.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().await?;
        }
        Ok(())
    }

    /// Stops every process of it from running, without a word to anyone.
    pub(crate) fn pause(&self) {
        self.signal_all(Signal::SIGSTOP);
    }

    pub(crate) fn resume(&self) {
        self.signal_all(Signal::SIGCONT);
    }

    /// Stops it in order, with force where it does not listen.
    pub(crate) async fn stop(&mut self, order: Signal) -> Result<()> {
        self.resume();
        if let Some(child) = &mut self.child {
            super::process::signal(child, order);
            if timeout(Duration::from_secs(10), child.wait())
                .await
                .is_err()
            {
                child.kill().await?;
            }
        }
        self.child = None;
        Ok(())
    }

    fn spawn(&self) -> Result<Child> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .current_dir(&self.folder)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", &self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C in the terminal is for the torture, which stops its servers itself.
            .process_group(0)
            .kill_on_drop(true);
        if let Some(user) = &self.user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
            .spawn()
            .with_context(|| format!("`{}` could not be started", self.program.display()))
    }

    /// PostgreSQL's processes are each in a group of their own.
    fn signal_all(&self, what: Signal) {
        let own = self.child.as_ref().and_then(Child::id);
        let Some(own) = own.and_then(|id| i32::try_from(id).ok()) else {
            return;
        };
        for pid in std::iter::once(own).chain(children(own)) {
            let _ = kill(Pid::from_raw(pid), what);
        }
    }
}

/// The processes that this one started.
fn children(parent: i32) -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| parent_of(*pid) == Some(parent))
        .collect()
}

fn parent_of(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(1)?.parse().ok()
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

/// Whom PostgreSQL can run as; it refuses the superuser.
pub(crate) fn postgres_user() -> Result<Option<User>> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    let user = User::from_name("postgres")?.context("there is no user postgres")?;
    Ok(Some(user))
}
