//! Operations a second and calls an operation of every backend on its own server, beside what the
//! same server gives in the same moments to a plain HTTP load generator that sends the very same requests.
//!
//! Prints one line of JSON a figure. A server whose variable is not set is skipped by name;
//! `cargo xtask bench --backends` starts them and sets the variables.
#![expect(clippy::print_stdout, reason = "its figures go to standard output")]

mod azure;
mod capture;
mod ceiling;
mod slice;
mod targets;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use cloakroom_core::keys::Key;
use cloakroom_core::{
    Coordinate, Digest, Grammar, Mark, PutRequest, Randomness as _, Scope, SecretBackend,
    SecretValue, StoreId, SystemRandomness, ValueKind, Version,
};
use serde_json::json;

use ceiling::Generator;
use slice::Slice;
use targets::Target;

const IN_FLIGHT: [usize; 3] = [1, 8, 64];
/// Moments of each, ours and the load generator's in turn, after one that is not counted.
const ROUNDS: usize = 4;
/// No more of them after so long: on a busy machine what was begun takes its time to end.
const ENOUGH: Duration = Duration::from_secs(3);
/// Secrets that are read, described and listed.
const STANDING: usize = 200;
/// Secrets that a batch is about, one call's worth or not.
const BATCH: usize = 20;
/// Puts that are signed beforehand for the load generator: more than the fastest server takes.
const SIGNED: usize = 2_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Put,
    Get,
    Describe,
    List,
}

impl Operation {
    /// What writes comes last: the others are about what stood before.
    const ALL: [Self; 4] = [Self::List, Self::Describe, Self::Get, Self::Put];

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
            let unsent = match operation {
                Operation::Put if target.signs => {
                    capture::unsent_puts(target, &work, SIGNED).await?
                }
                _ => Vec::new(),
            };
            let mut generator = Generator::new(target, operation, &taken, unsent, in_flight)?;
            let (ours, ceiling) =
                side_by_side(&backend, operation, in_flight, &work, &mut generator).await?;
            let name = format!(
                "{}: {}, {in_flight} in flight",
                target.name,
                operation.name()
            );
            let told = format!(
                "{ours:.0}/s, {:.2} of the server's {ceiling:.0}/s",
                ours / ceiling
            );
            println!(
                "{}",
                json!({"figure": name, "value": 1.0 / ours, "unit": "seconds", "throughput": told})
            );
        }
    }
    Ok(())
}

/// Operations a second of ours and of the generator's, in turn.
async fn side_by_side(
    backend: &Arc<dyn SecretBackend>,
    operation: Operation,
    in_flight: usize,
    work: &Arc<Work>,
    generator: &mut Generator,
) -> Result<(f64, f64)> {
    let mut workers = vec![(); in_flight];
    let (mut ours, mut ceiling) = (Slice::default(), Slice::default());
    for round in 0..=ROUNDS {
        let (backend, work) = (Arc::clone(backend), Arc::clone(work));
        let once = move |()| {
            let (backend, work) = (Arc::clone(&backend), Arc::clone(&work));
            async move { work.once(&*backend, operation).await }
        };
        let of_ours = slice::run(&mut workers, once).await.context("ours")?;
        let of_server = generator.slice().await.context("the load generator")?;
        // The first opens the connections.
        if round > 0 {
            ours += of_ours;
            ceiling += of_server;
        }
        if ours.took() > ENOUGH {
            break;
        }
    }
    Ok((ours.a_second(), ceiling.a_second()))
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
                intent: None,
            },
            value,
            native_expiry: None,
        }
    }
}
