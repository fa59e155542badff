//! Metrics for Prometheus. Every counter exists from the start at 0; no id and no coordinate is
//! ever a label. What the database tells is kept apart: one replica alone renders it, so that a sum
//! over replicas is right.

mod figures;
mod names;
mod platforms;
mod requests;
mod runs;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use cloakroom_core::store::{Job, RunOutcome};
use cloakroom_core::{BackendId, Timestamp};
use metrics::{counter, gauge};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use tokio::time::Instant;

pub use figures::MoveKind;
pub use platforms::{CountedCleaning, job_name as cleaning_job_name};
pub use requests::{BudgetFigures, Request};
pub use runs::Counted;

use crate::standard_error;
use names::{BUILD_INFO, LEADER, LOG_LINES_DROPPED, REQUEST_DURATION, RUN_DURATION, UNAUTHORIZED};

/// From a run with nothing to do to one over millions of secrets, in seconds.
const RUN_BUCKETS: [f64; 12] = [
    0.01, 0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0,
];

/// From a database on the same machine to a manager that is far away and busy, in seconds.
const REQUEST_BUCKETS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

const OUTCOMES: [RunOutcome; 4] = [
    RunOutcome::Done,
    RunOutcome::Partial,
    RunOutcome::Refused,
    RunOutcome::Failed,
];

/// This process's metrics.
pub struct Metrics {
    own: Registry,
    figures: Registry,
    /// Until when this replica is the one that tells the database's figures.
    leading_until: Mutex<Option<Instant>>,
}

impl Metrics {
    /// Metrics for these backends, all at 0.
    pub fn new<'a>(backends: impl Iterator<Item = &'a BackendId>) -> anyhow::Result<Self> {
        let metrics = Self {
            own: Registry::new()?,
            figures: Registry::new()?,
            leading_until: Mutex::new(None),
        };
        metrics.own.record(|| {
            names::describe_own();
            gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
            runs::register();
            counter!(UNAUTHORIZED).increment(0);
            counter!(LOG_LINES_DROPPED).increment(0);
        });
        metrics.figures.record(|| {
            names::describe_figures();
            figures::register();
        });
        for backend in backends {
            metrics.own.record(|| {
                runs::register_backend(backend);
                requests::register(backend);
            });
            metrics
                .figures
                .record(|| figures::register_backend(backend));
        }
        Ok(metrics)
    }

    /// The text that Prometheus reads.
    pub fn render(&self) -> String {
        let leads = self.leads();
        self.own.record(|| {
            gauge!(LEADER).set(if leads { 1.0 } else { 0.0 });
            counter!(LOG_LINES_DROPPED).absolute(standard_error::dropped());
        });
        let mut text = self.own.handle.render();
        if leads {
            text.push_str(&self.figures.handle.render());
        }
        text
    }

    /// Whether this replica tells the database's figures now.
    pub fn leads(&self) -> bool {
        let until = *self.leading_until();
        until.is_some_and(|until| Instant::now() < until)
    }

    /// From now until then this replica tells the database's figures; `None` for no longer.
    pub fn lead_until(&self, until: Option<Instant>) {
        *self.leading_until() = until;
    }

    fn leading_until(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        // Replaced whole; a panic elsewhere leaves it valid.
        self.leading_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Clears out samples already counted; to be called now and then.
    pub fn run_upkeep(&self) {
        self.own.handle.run_upkeep();
        self.figures.handle.run_upkeep();
    }

    /// Says how many requests were refused for want of the token since the start.
    pub fn set_unauthorized(&self, total: u64) {
        self.own.record(|| counter!(UNAUTHORIZED).absolute(total));
    }

    /// Says when a job comes next and how far apart its starts are; `None` where no schedule
    /// starts it.
    pub fn set_schedule(&self, job: Job, next: Option<Timestamp>, interval: Option<Duration>) {
        self.own
            .record(|| platforms::set_schedule(job.to_string(), next, interval));
    }
}

/// A recorder that nobody else records to.
struct Registry {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
}

impl Registry {
    fn new() -> anyhow::Result<Self> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Full(RUN_DURATION.into()), &RUN_BUCKETS)
            .and_then(|builder| {
                let requests = Matcher::Full(REQUEST_DURATION.into());
                builder.set_buckets_for_metric(requests, &REQUEST_BUCKETS)
            })
            .context("choose the metrics' buckets")?
            .build_recorder();
        let handle = recorder.handle();
        Ok(Self { recorder, handle })
    }

    fn record<T>(&self, record: impl FnOnce() -> T) -> T {
        metrics::with_local_recorder(&self.recorder, record)
    }
}

#[cfg(test)]
mod tests;
