//! Replicas of the service, and passes by hand: killed, frozen past their leases, started again.

use std::fs::File;
use std::net::Ipv4Addr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use cloakroom_testkit::SeededRandomness;
use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Options;
use super::deployment::Deployment;
use super::drawing::{below, between};
use super::process::{self, Fate};
use super::server::free_port;

/// Longer than a lease: who sleeps so long wakes up with its work taken over.
const FROZEN: (u64, u64) = (12_000, 16_000);
/// How long a replica may take to end after SIGTERM: the configuration's deadline and a bit.
const ENDS_WITHIN: Duration = Duration::from_secs(20);

/// Starts the replicas. They are harmed until `calm` and run on until `stop`.
pub(crate) fn start(
    options: &Options,
    deployment: &Arc<Deployment>,
    random: &SeededRandomness,
    calm: &CancellationToken,
    stop: &CancellationToken,
) -> JoinSet<()> {
    let mut keepers = JoinSet::new();
    for number in 0..options.replicas {
        let deployment = deployment.clone();
        let random = random.stream(&format!("replica {number}"));
        let (calm, stop) = (calm.clone(), stop.clone());
        keepers.spawn(async move {
            if let Err(error) = keep(&deployment, number, &random, &calm, &stop).await {
                deployment
                    .tally
                    .problem(format!("replica {number}: {error:#}"));
            }
        });
    }
    keepers
}

/// Keeps one replica running as an orchestrator would.
async fn keep(
    deployment: &Deployment,
    number: usize,
    random: &SeededRandomness,
    calm: &CancellationToken,
    stop: &CancellationToken,
) -> Result<()> {
    while !stop.is_cancelled() {
        let port = free_port()?;
        let mut child = serve(deployment, number, port)?;
        let whole = between(random, 1_500, 9_000);
        tokio::select! {
            ended = child.wait() => {
                ended?;
                deployment.tally.count("replicas that ended by themselves");
                sleep(Duration::from_millis(300)).await;
                continue;
            }
            () = sleep(whole), if !calm.is_cancelled() => {}
            () = calm.cancelled() => {}
        }
        if calm.is_cancelled() {
            tokio::select! {
                ended = child.wait() => {
                    ended?;
                    deployment.tally.count("replicas that ended by themselves");
                    continue;
                }
                () = stop.cancelled() => {}
            }
            look(deployment, number, port, &child).await;
            return end(deployment, number, child).await;
        }
        if random.happens(0.5) {
            look(deployment, number, port, &child).await;
        }
        if random.happens(0.2) {
            process::signal(&child, Signal::SIGSTOP);
            sleep(between(random, FROZEN.0, FROZEN.1)).await;
            process::signal(&child, Signal::SIGCONT);
            deployment.tally.count("frozen: replica");
            sleep(between(random, 0, 1_000)).await;
        }
        child.kill().await?;
        deployment.tally.killed("replica");
    }
    Ok(())
}

fn serve(deployment: &Deployment, number: usize, port: u16) -> Result<Child> {
    let log = deployment
        .folder()
        .join(format!("logs/replica-{number}.log"));
    let log = File::options().create(true).append(true).open(log)?;
    deployment
        .command(&["serve", "--listen", &format!("127.0.0.1:{port}")])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .context("a replica could not be started")
}

/// Writes down what a replica tells on its port and what the system tells of it, for the search.
async fn look(deployment: &Deployment, number: usize, port: u16, child: &Child) {
    let mut seen = Vec::new();
    for path in ["/metrics", "/status", "/readyz", "/"] {
        if let Ok(Ok(answer)) = timeout(Duration::from_secs(12), get(port, path)).await {
            seen.extend(answer);
        }
    }
    if let Some(id) = child.id() {
        for file in ["cmdline", "environ"] {
            seen.extend(std::fs::read(format!("/proc/{id}/{file}")).unwrap_or_default());
        }
    }
    let mark = deployment.tally.kills();
    let place = format!("seen/replica-{number}-{mark}");
    let _ = std::fs::write(deployment.folder().join(place), seen);
}

async fn get(port: u16, path: &str) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}

/// Ends a replica in order.
async fn end(deployment: &Deployment, number: usize, mut child: Child) -> Result<()> {
    process::signal(&child, Signal::SIGTERM);
    let tally = &deployment.tally;
    if let Ok(status) = timeout(ENDS_WITHIN, child.wait()).await {
        let code = status?.code();
        if code != Some(0) {
            tally.problem(format!("replica {number} ended with {code:?}"));
        }
        return Ok(());
    }
    tally.problem(format!("replica {number} does not end after SIGTERM"));
    child.kill().await?;
    Ok(())
}

/// Passes by hand beside the replicas, most of them killed in the middle.
pub(crate) async fn passes(
    deployment: Arc<Deployment>,
    random: SeededRandomness,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let fate = if random.happens(0.8) {
            Fate::Killed(below(&random, Duration::from_millis(1_500)))
        } else {
            Fate::Unharmed
        };
        match deployment
            .run(&["run", "all", "--output", "json"], b"", fate)
            .await
        {
            Ok(ended) if ended.code.is_none() && matches!(fate, Fate::Killed(_)) => {
                deployment.tally.killed("pass by hand");
            }
            Ok(_) => deployment.tally.count("passes by hand"),
            Err(error) => deployment
                .tally
                .problem(format!("a pass by hand: {error:#}")),
        }
        sleep(between(&random, 500, 2_500)).await;
    }
}
