//! What runs do. It is counted while they last, so that a long one is seen at work, and what one did that
//! failed in the end is counted all the same. A process that is killed takes its counters with it, but for
//! what Prometheus had read of them by then.

use std::collections::BTreeMap;
use std::time::Duration;

use cloakroom_core::BackendId;
use cloakroom_core::ledger::Reason;
use cloakroom_core::store::{Job, RunOutcome};
use cloakroom_reconcile::{DeletionCount, Guard, Report};
use metrics::{counter, gauge, histogram};

use super::names::{
    BUSY, DELETIONS, GUARD_TRIPS, INTERVAL, NEXT_RUN, RESCUES, RUN_DURATION, RUNS, UNPURGED,
    UNRESTORED,
};
use super::{Metrics, OUTCOMES};

/// What has been counted of one run.
#[derive(Debug, Default)]
pub struct Counted {
    deletions: BTreeMap<String, DeletionCount>,
    rescued: u64,
    unrestored: u64,
    unpurged: u64,
    guards: usize,
}

impl Metrics {
    /// Counts what a run has done beyond what has been counted of it.
    pub fn count_more(&self, report: &Report, counted: &mut Counted) {
        let backend = report.backend.to_string();
        self.own.record(|| {
            for (reason, count) in &report.deletions {
                let before = counted.deletions.insert(reason.clone(), *count);
                let before = outcomes(&before.unwrap_or_default());
                for ((outcome, number), (_, before)) in outcomes(count).into_iter().zip(before) {
                    let labels = [
                        ("backend", backend.clone()),
                        ("reason", reason.clone()),
                        ("outcome", outcome.into()),
                    ];
                    counter!(DELETIONS, &labels).increment(number.saturating_sub(before));
                }
            }
            counter!(RESCUES, "backend" => backend.clone())
                .increment(beyond(&mut counted.rescued, report.rescued));
            counter!(UNRESTORED, "backend" => backend.clone())
                .increment(beyond(&mut counted.unrestored, report.unrestored));
            counter!(UNPURGED, "backend" => backend.clone())
                .increment(beyond(&mut counted.unpurged, report.unpurged));
            for trip in report.guards.iter().skip(counted.guards) {
                counter!(GUARD_TRIPS, "backend" => backend.clone(), "guard" => trip.guard.as_str())
                    .increment(1);
            }
        });
        counted.guards = report.guards.len();
    }

    /// Counts a run that ended, or could not begin.
    pub fn record_run(&self, job: Job, outcome: RunOutcome, took: Duration) {
        self.own.record(|| {
            counter!(RUNS, "job_name" => job.as_str(), "outcome" => outcome.as_str()).increment(1);
            histogram!(RUN_DURATION, "job_name" => job.as_str()).record(took.as_secs_f64());
        });
    }

    /// Says for how long a job has been at work, by the name it has among the metrics.
    pub fn set_busy(&self, job: &str, busy: Option<Duration>) {
        let busy = busy.unwrap_or_default().as_secs_f64();
        self.own
            .record(|| gauge!(BUSY, "job_name" => job.to_owned()).set(busy));
    }
}

pub(super) fn beyond(counted: &mut u64, now: u64) -> u64 {
    now.saturating_sub(std::mem::replace(counted, now))
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

pub(super) fn register() {
    for job in Job::ALL {
        for gauge in [NEXT_RUN, INTERVAL, BUSY] {
            gauge!(gauge, "job_name" => job.as_str()).set(0.0);
        }
        // One that has recorded nothing yet is rendered as well.
        let _ = histogram!(RUN_DURATION, "job_name" => job.as_str());
        for outcome in OUTCOMES {
            counter!(RUNS, "job_name" => job.as_str(), "outcome" => outcome.as_str()).increment(0);
        }
    }
}

pub(super) fn register_backend(backend: &BackendId) {
    let backend = backend.to_string();
    counter!(RESCUES, "backend" => backend.clone()).increment(0);
    counter!(UNRESTORED, "backend" => backend.clone()).increment(0);
    counter!(UNPURGED, "backend" => backend.clone()).increment(0);
    for guard in Guard::ALL {
        counter!(GUARD_TRIPS, "backend" => backend.clone(), "guard" => guard.as_str()).increment(0);
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

    /// However often a run tells what it has done, each thing is counted once.
    #[test]
    fn what_a_run_does_is_counted_once_and_while_it_lasts() {
        let backend: BackendId = "main".parse().unwrap();
        let metrics = Metrics::new([&backend].into_iter()).unwrap();
        let has = |line: &str| {
            let text = metrics.render();
            assert!(text.lines().any(|it| it == line), "{line}: {text}");
        };
        let mut report: Report = serde_json::from_value(serde_json::json!({
            "run": uuid::Uuid::nil(), "job": "expire-orphans", "backend": "main", "dry_run": false,
            "started": "2026-01-01T00:00:00Z", "finished": "2026-01-01T00:00:00Z",
            "outcome": "done", "deletions": {}, "failed": 0, "quarantined": 0, "rescued": 1,
            "findings": {}, "examples": [], "cut_short": false, "error": null,
            "checked": {"references": 0, "values": 0, "documents": 0, "listed": 0}, "guards": [],
        }))
        .unwrap();
        let mut counted = Counted::default();
        let deleted = |number| {
            format!(
                "cloakroom_deletions_total{{backend=\"main\",reason=\"orphaned\",outcome=\"deleted\"}} {number}"
            )
        };
        for (so_far, rescued) in [(2, 1), (2, 1), (5, 3)] {
            let count = report.deletions.entry("orphaned".to_owned()).or_default();
            count.deleted = so_far;
            report.rescued = rescued;
            report.unpurged = rescued;
            metrics.count_more(&report, &mut counted);
            has(&deleted(so_far));
            has(&format!(
                "cloakroom_rescues_total{{backend=\"main\"}} {rescued}"
            ));
            has(&format!(
                "cloakroom_unpurged_total{{backend=\"main\"}} {rescued}"
            ));
        }
        // Another run begins anew.
        metrics.count_more(&report, &mut Counted::default());
        has(&deleted(10));
        metrics.record_run(Job::ExpireOrphans, RunOutcome::Failed, Duration::ZERO);
        has("cloakroom_runs_total{job_name=\"expire-orphans\",outcome=\"failed\"} 1");
        metrics.set_busy("expire-orphans", Some(Duration::from_mins(2)));
        has("cloakroom_job_busy_seconds{job_name=\"expire-orphans\"} 120");
        metrics.set_busy("expire-orphans", None);
        has("cloakroom_job_busy_seconds{job_name=\"expire-orphans\"} 0");
    }
}
