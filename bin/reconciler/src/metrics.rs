//! Metrics for Prometheus. Every counter exists from the start at 0; no id and no coordinate is
//! ever a label.

use std::time::Duration;

use anyhow::Context;
use cloakroom_core::ledger::{Reason, RowState};
use cloakroom_core::store::{FindingKind, Job, RunOutcome};
use cloakroom_core::{BackendId, Timestamp};
use cloakroom_reconcile::{DeletionCount, Guard, Report};
use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

const RUNS: &str = "cloakroom_runs_total";
const RUN_DURATION: &str = "cloakroom_run_duration_seconds";
const DELETIONS: &str = "cloakroom_deletions_total";
const FINDINGS: &str = "cloakroom_findings";
const SECRETS: &str = "cloakroom_secrets";
const RESCUES: &str = "cloakroom_rescues_total";
const GUARD_TRIPS: &str = "cloakroom_guard_trips_total";
const LAST_SUCCESS: &str = "cloakroom_job_last_success_timestamp_seconds";
const BUILD_INFO: &str = "cloakroom_build_info";

/// From a run with nothing to do to one over millions of secrets, in seconds.
const DURATION_BUCKETS: [f64; 12] = [
    0.01, 0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0,
];

const OUTCOMES: [RunOutcome; 4] = [
    RunOutcome::Done,
    RunOutcome::Partial,
    RunOutcome::Refused,
    RunOutcome::Failed,
];

/// This process's metrics.
pub struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
}

impl Metrics {
    /// Metrics for these backends, all at 0.
    pub fn new<'a>(backends: impl Iterator<Item = &'a BackendId>) -> anyhow::Result<Self> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Full(RUN_DURATION.into()), &DURATION_BUCKETS)
            .context("choose the metrics' buckets")?
            .build_recorder();
        let handle = recorder.handle();
        let metrics = Self { recorder, handle };
        metrics.within(describe);
        metrics.within(register_runs);
        for backend in backends {
            metrics.within(|| register_backend(backend));
        }
        Ok(metrics)
    }

    /// The text that Prometheus reads.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Clears out samples already counted; to be called now and then.
    pub fn run_upkeep(&self) {
        self.handle.run_upkeep();
    }

    /// Counts what a run did.
    pub fn record_run(&self, report: &Report, took: Duration) {
        self.within(|| {
            let (job, backend) = (report.job.as_str(), report.backend.to_string());
            counter!(RUNS, "job" => job, "outcome" => report.outcome.as_str()).increment(1);
            histogram!(RUN_DURATION, "job" => job).record(took.as_secs_f64());
            for (reason, count) in &report.deletions {
                for (outcome, number) in outcomes(count) {
                    let labels = [
                        ("backend", backend.clone()),
                        ("reason", reason.clone()),
                        ("outcome", outcome.into()),
                    ];
                    counter!(DELETIONS, &labels).increment(number);
                }
            }
            counter!(RESCUES, "backend" => backend.clone()).increment(report.rescued);
            for trip in &report.guards {
                counter!(GUARD_TRIPS, "backend" => backend.clone(), "guard" => trip.guard.as_str())
                    .increment(1);
            }
        });
        self.set_findings(report);
    }

    /// Says what a verify-blobs found; other jobs find nothing.
    pub fn set_findings(&self, report: &Report) {
        // One that was cut short has not seen the rest: what was known stays.
        if report.job != Job::VerifyBlobs || report.cut_short {
            return;
        }
        self.within(|| {
            for kind in FindingKind::ALL {
                let number = report.findings.get(&kind).copied().unwrap_or_default();
                gauge!(FINDINGS, "backend" => report.backend.to_string(), "kind" => kind.as_str())
                    .set(number as f64);
            }
        });
    }

    /// Counts a run that could not be carried out.
    pub fn record_failure(&self, job: Job, took: Duration) {
        self.within(|| {
            counter!(RUNS, "job" => job.as_str(), "outcome" => RunOutcome::Failed.as_str())
                .increment(1);
            histogram!(RUN_DURATION, "job" => job.as_str()).record(took.as_secs_f64());
        });
    }

    /// Says when a job last did all it was to do.
    pub fn set_last_success(&self, job: Job, at: Timestamp) {
        self.within(|| gauge!(LAST_SUCCESS, "job" => job.as_str()).set(at.as_second() as f64));
    }

    /// Says how many secrets a backend has in each state.
    pub fn set_secrets(&self, backend: &BackendId, counts: &[(RowState, u64)]) {
        self.within(|| {
            for state in RowState::ALL {
                let number = counts
                    .iter()
                    .find(|(of, _)| *of == state)
                    .map_or(0, |(_, number)| *number);
                gauge!(SECRETS, "backend" => backend.to_string(), "state" => state.as_str())
                    .set(number as f64);
            }
        });
    }

    fn within<T>(&self, record: impl FnOnce() -> T) -> T {
        metrics::with_local_recorder(&self.recorder, record)
    }
}

fn outcomes(count: &DeletionCount) -> [(&'static str, u64); 6] {
    [
        ("deleted", count.deleted),
        ("scheduled", count.scheduled),
        ("already_gone", count.already_gone),
        ("spared", count.spared),
        ("failed", count.failed),
        ("refused", count.refused),
    ]
}

fn describe() {
    describe_counter!(RUNS, "Runs of each job, one a backend, by how they ended.");
    describe_histogram!(RUN_DURATION, Unit::Seconds, "How long each run took.");
    describe_counter!(
        DELETIONS,
        "Secrets due for deletion, by reason and by what became of them."
    );
    describe_gauge!(FINDINGS, "What the latest verify-blobs found amiss.");
    describe_gauge!(SECRETS, "Rows of the ledger by state.");
    describe_counter!(
        RESCUES,
        "Secrets in use that waited for deletion or carried an expiry, and were restored."
    );
    describe_counter!(GUARD_TRIPS, "Guards that stepped in.");
    describe_gauge!(
        LAST_SUCCESS,
        "When each job last did all it was to do; 0 for never."
    );
    describe_gauge!(BUILD_INFO, "The version that is running.");
}

fn register_runs() {
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    for job in Job::ALL {
        gauge!(LAST_SUCCESS, "job" => job.as_str()).set(0.0);
        // One that has recorded nothing yet is rendered as well.
        let _ = histogram!(RUN_DURATION, "job" => job.as_str());
        for outcome in OUTCOMES {
            counter!(RUNS, "job" => job.as_str(), "outcome" => outcome.as_str()).increment(0);
        }
    }
}

fn register_backend(backend: &BackendId) {
    let backend = backend.to_string();
    counter!(RESCUES, "backend" => backend.clone()).increment(0);
    for guard in Guard::ALL {
        counter!(GUARD_TRIPS, "backend" => backend.clone(), "guard" => guard.as_str()).increment(0);
    }
    for kind in FindingKind::ALL {
        gauge!(FINDINGS, "backend" => backend.clone(), "kind" => kind.as_str()).set(0.0);
    }
    for state in RowState::ALL {
        gauge!(SECRETS, "backend" => backend.clone(), "state" => state.as_str()).set(0.0);
    }
    for reason in Reason::ALL {
        for (outcome, _) in outcomes(&DeletionCount::default()) {
            let labels = [
                ("backend", backend.clone()),
                ("reason", reason.as_str().into()),
                ("outcome", outcome.into()),
            ];
            counter!(DELETIONS, &labels).increment(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_there_at_zero_from_the_start() {
        let backend: BackendId = "main".parse().unwrap();
        let text = Metrics::new([&backend].into_iter()).unwrap().render();
        for line in [
            "cloakroom_runs_total{job=\"verify-blobs\",outcome=\"done\"} 0",
            "cloakroom_guard_trips_total{backend=\"main\",guard=\"share\"} 0",
            "cloakroom_deletions_total{backend=\"main\",reason=\"orphaned\",outcome=\"deleted\"} 0",
            "cloakroom_secrets{backend=\"main\",state=\"stored\"} 0",
            "cloakroom_findings{backend=\"main\",kind=\"dangling\"} 0",
            "cloakroom_rescues_total{backend=\"main\"} 0",
            "cloakroom_run_duration_seconds_count{job=\"verify-blobs\"} 0",
            "cloakroom_job_last_success_timestamp_seconds{job=\"expire-orphans\"} 0",
        ] {
            assert!(
                text.lines().any(|other| other == line),
                "{line} is not in\n{text}"
            );
        }
        assert!(text.contains("cloakroom_build_info{version="), "{text}");
    }
}
