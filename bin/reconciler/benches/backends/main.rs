//! Operations a second and calls an operation of every backend on its own server, beside what the
//! same server answers a plain HTTP load generator that sends the very same requests.
//!
//! Prints one line of JSON a figure. A server whose variable is not set is skipped by name;
//! `cargo xtask bench --backends` starts them and sets the variables.
#![expect(clippy::print_stdout, reason = "its figures go to standard output")]

mod azure;
mod capture;
mod ceiling;
mod targets;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use cloakroom_core::keys::Key;
use cloakroom_core::{
    Coordinate, Digest, Grammar, Mark, PutRequest, Randomness as _, Scope, SecretBackend,
    SecretValue, StoreId, SystemRandomness, ValueKind, Version,
};
use serde_json::json;

use targets::Target;

const IN_FLIGHT: [usize; 3] = [1, 8, 64];
/// How long each operation is measured, and as long the load generator.
pub(crate) const LONG: Duration = Duration::from_secs(1);
/// Secrets that are read, described and listed.
const STANDING: usize = 200;
/// Secrets that a batch is about, one call's worth or not.
const BATCH: usize = 20;
/// Puts that are signed beforehand for the load generator: more than the slowest server takes.
const SIGNED: usize = 1_500;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Put,
    Get,
    Describe,
    List,
}

impl Operation {
    const ALL: [Self; 4] = [Self::Put, Self::Get, Self::Describe, Self::List];

    fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get of 20",
            Self::Describe => "describe",
            Self::List => "list a page",
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    // `cargo test --benches` only wants to see that it builds and starts.
    if std::env::args().any(|it| it == "--test") {
        return Ok(());
    }
    if azure::is_wanted() {
        return azure::serve().await;
    }
    for target in targets::all() {
        match target {
            Ok(target) => measure(&target).await.with_context(|| target.name)?,
            Err(skipped) => println!("skipped: {skipped}"),
        }
    }
    Ok(())
}

async fn measure(target: &Target) -> Result<()> {
    let backend = target.connect(&target.url).await?;
    let writer = Writer::default();
    let mut standing = Vec::new();
    for _ in 0..STANDING {
        let request = writer.request();
        backend.put(&request).await?;
        standing.push(request.mark.coordinate);
    }
    let work = Arc::new(Work { writer, standing });
    for operation in Operation::ALL {
        let taken = capture::requests(target, operation, &work).await?;
        let calls = taken.len();
        println!(
            "{}",
            json!({
                "figure": format!("{}: calls of one {}", target.name, operation.name()),
                "value": calls, "unit": "count",
            })
        );
        for in_flight in IN_FLIGHT {
            let rate = rate(&backend, operation, in_flight, &work).await?;
            let name = format!(
                "{}: {}, {in_flight} in flight",
                target.name,
                operation.name()
            );
            let unsent = match operation {
                Operation::Put if target.signs => {
                    capture::unsent_puts(target, &work, SIGNED).await?
                }
                _ => Vec::new(),
            };
            let sent = if unsent.is_empty() { &taken } else { &unsent };
            let ceiling = ceiling::calls_a_second(target, operation, sent, in_flight)?;
            let told = format!(
                "{rate:.0}/s, {:.2} of the server's {:.0}/s",
                rate * calls as f64 / ceiling,
                ceiling / calls as f64,
            );
            println!(
                "{}",
                json!({"figure": name, "value": 1.0 / rate, "unit": "seconds", "throughput": told})
            );
        }
    }
    Ok(())
}

/// Operations a second with so many under way.
async fn rate(
    backend: &Arc<dyn SecretBackend>,
    operation: Operation,
    in_flight: usize,
    work: &Arc<Work>,
) -> Result<f64> {
    let done = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let tasks: Vec<_> = (0..in_flight)
        .map(|_| {
            let (backend, work, done) = (backend.clone(), work.clone(), done.clone());
            tokio::spawn(async move {
                while begun.elapsed() < LONG {
                    work.once(&*backend, operation).await?;
                    done.fetch_add(1, Ordering::Relaxed);
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64())
}

/// What is done, and to what.
pub(crate) struct Work {
    writer: Writer,
    standing: Vec<Coordinate>,
}

impl Work {
    /// One operation.
    pub(crate) async fn once(
        &self,
        backend: &dyn SecretBackend,
        operation: Operation,
    ) -> Result<()> {
        match operation {
            Operation::Put => {
                backend.put(&self.writer.request()).await?;
            }
            Operation::Get => {
                let from = self.writer.next() % (self.standing.len() - BATCH + 1);
                for answer in backend.get_many(&self.standing[from..from + BATCH]).await {
                    answer?;
                }
            }
            Operation::Describe => {
                let at = self.writer.next() % self.standing.len();
                backend.describe(&self.standing[at]).await?;
            }
            Operation::List => {
                backend.list(None).await?;
            }
        }
        Ok(())
    }
}

/// One store that puts secrets.
struct Writer {
    store: StoreId,
    key: Key,
    count: AtomicUsize,
}

impl Default for Writer {
    fn default() -> Self {
        Self {
            store: StoreId(SystemRandomness.uuid()),
            key: Key::derive([7; 32]),
            count: AtomicUsize::new(0),
        }
    }
}

impl Writer {
    fn next(&self) -> usize {
        self.count.fetch_add(1, Ordering::Relaxed)
    }

    fn request(&self) -> PutRequest {
        let random = SystemRandomness;
        let coordinate = Grammar::default().managed(
            Scope::Workspace,
            random.uuid(),
            random.uuid(),
            Version::FIRST,
        );
        let value = SecretValue::from(format!("a password of some length, {}", self.next()));
        PutRequest {
            mark: Mark {
                store: self.store,
                deployment: "bench".to_owned(),
                digest: Digest::of(&self.key, coordinate.base(), ValueKind::Text, &value),
                coordinate,
            },
            value,
            native_expiry: None,
        }
    }
}
