//! A moment of work by so many at a time.

use std::ops::AddAssign;
use std::time::{Duration, Instant};

use anyhow::Result;

/// Ours and the server's ceiling are measured in turn, so briefly that whatever else the machine does
/// falls on both.
const LONG: Duration = Duration::from_millis(250);

/// What was done in how long.
#[derive(Clone, Copy, Default)]
pub(crate) struct Slice {
    done: usize,
    took: Duration,
}

impl Slice {
    pub(crate) fn took(self) -> Duration {
        self.took
    }

    pub(crate) fn a_second(self) -> f64 {
        self.done as f64 / self.took.as_secs_f64()
    }
}

impl AddAssign for Slice {
    fn add_assign(&mut self, other: Self) {
        self.done += other.done;
        self.took += other.took;
    }
}

/// Each worker does its work again and again until the moment is over; what was begun is ended.
pub(crate) async fn run<W, F>(
    workers: &mut Vec<W>,
    work: impl Fn(W) -> F + Clone + Send + 'static,
) -> Result<Slice>
where
    W: Send + 'static,
    F: Future<Output = Result<W>> + Send + 'static,
{
    let begun = Instant::now();
    let tasks: Vec<_> = workers
        .drain(..)
        .map(|mut worker| {
            let work = work.clone();
            tokio::spawn(async move {
                let mut done = 0;
                while begun.elapsed() < LONG {
                    worker = work(worker).await?;
                    done += 1;
                }
                anyhow::Ok((worker, done))
            })
        })
        .collect();
    let mut done = 0;
    for task in tasks {
        let (worker, its) = task.await??;
        workers.push(worker);
        done += its;
    }
    Ok(Slice {
        done,
        took: begun.elapsed(),
    })
}
