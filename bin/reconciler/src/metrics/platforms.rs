//! Platforms: what their clean-ups did, and how their secrets stood when the last one began. A clean-up
//! counts among the jobs, under the name that [`job_name`] gives it.

use std::collections::BTreeMap;
use std::time::Duration;

use cloakroom_core::Timestamp;
use cloakroom_core::platform::Standing;
use cloakroom_core::store::RunOutcome;
use cloakroom_reconcile::{
    CleanCount, CleanGuard, CleanGuardTrip, CleanReport, PlatformFindingKind,
};
use metrics::{counter, describe_counter, describe_gauge, gauge, histogram};

use super::names::{AWAITED, BUSY, INTERVAL, LAST_SUCCESS, NEXT_RUN, RUN_DURATION, RUNS};
use super::runs::beyond;
use super::{Metrics, OUTCOMES};

const DELETIONS: &str = "cloakroom_platform_deletions_total";
const GUARD_TRIPS: &str = "cloakroom_platform_guard_trips_total";
const RESCUES: &str = "cloakroom_platform_rescues_total";
const SECRETS: &str = "cloakroom_platform_secrets";
const FINDINGS: &str = "cloakroom_platform_findings";
const COST: &str = "cloakroom_platform_leaked_monthly_cost_dollars";
const OUTCOME: &str = "cloakroom_platform_outcome";
const GUARDS: &str = "cloakroom_platform_guards";
const OBSTACLES: &str = "cloakroom_platform_obstacles";

/// What has been counted of one clean-up.
#[derive(Debug, Default)]
pub struct CountedCleaning {
    deletions: BTreeMap<Standing, CleanCount>,
    rescued: u64,
    guards: usize,
}

/// What a platform's clean-up is called beside the jobs.
pub fn job_name(platform: &str) -> String {
    format!("clean/{platform}")
}

impl Metrics {
    /// Brings everything about a platform into being, at 0; what a schedule alone has only where there
    /// is one.
    pub fn register_platform(&self, platform: &str, scheduled: bool) {
        self.own.record(|| {
            describe_counters();
            register_counters(platform);
            if scheduled {
                register_runs(platform);
            }
        });
        self.figures.record(|| {
            describe_figures();
            register_figures(platform);
            if scheduled {
                gauge!(LAST_SUCCESS, "job_name" => job_name(platform)).set(0.0);
                gauge!(AWAITED, "job_name" => job_name(platform)).set(0.0);
            }
        });
    }

    /// Counts what a clean-up has done beyond what has been counted of it.
    pub fn count_more_cleaned(&self, report: &CleanReport, counted: &mut CountedCleaning) {
        let platform = &report.platform;
        self.own.record(|| {
            for (standing, count) in &report.deletions {
                let before = counted.deletions.insert(*standing, *count);
                let before = outcomes(&before.unwrap_or_default());
                for ((outcome, number), (_, before)) in outcomes(count).into_iter().zip(before) {
                    let more = number.saturating_sub(before);
                    count_deletions(platform, *standing, outcome, more);
                }
            }
            counter!(RESCUES, "platform" => platform.clone())
                .increment(beyond(&mut counted.rescued, report.rescued));
            for trip in report.guards.iter().skip(counted.guards) {
                count_guard(platform, trip.guard, 1);
            }
        });
        counted.guards = report.guards.len();
    }

    /// Counts a clean-up that ended, or could not begin.
    pub fn record_cleaning(&self, platform: &str, outcome: RunOutcome, took: Duration) {
        let job = job_name(platform);
        self.own.record(|| {
            counter!(RUNS, "job_name" => job.clone(), "outcome" => outcome.as_str()).increment(1);
            histogram!(RUN_DURATION, "job_name" => job).record(took.as_secs_f64());
        });
    }

    /// Counts a clean-up that did not begin, since nobody has confirmed a plan.
    pub fn count_unconfirmed(&self, platform: &str) {
        self.record_cleaning(platform, RunOutcome::Refused, Duration::ZERO);
        self.own
            .record(|| count_guard(platform, CleanGuard::NotAdopted, 1));
    }

    /// Says how a platform's secrets stood when a clean-up began.
    pub fn set_platform(&self, report: &CleanReport) {
        self.figures.record(|| {
            let platform = &report.platform;
            for standing in Standing::ALL {
                let number = report.secrets.get(&standing).map_or(0, |it| it.total());
                gauge!(SECRETS, "platform" => platform.clone(), "standing" => standing.as_str())
                    .set(number as f64);
            }
            for kind in PlatformFindingKind::ALL {
                let number = report.findings.get(&kind).copied().unwrap_or_default();
                gauge!(FINDINGS, "platform" => platform.clone(), "kind" => kind.as_str())
                    .set(number as f64);
            }
            gauge!(COST, "platform" => platform.clone()).set(report.cost.leaked);
            gauge!(OBSTACLES, "platform" => platform.clone()).set(report.obstacles.len() as f64);
        });
    }

    /// Says how a platform's last clean-up ended, and which guards stopped it; `None` where there was
    /// none.
    pub fn set_last_outcome(
        &self,
        platform: &str,
        outcome: Option<RunOutcome>,
        guards: &[CleanGuardTrip],
    ) {
        self.figures.record(|| {
            for other in OUTCOMES {
                let is = u8::from(outcome == Some(other));
                gauge!(OUTCOME, "platform" => platform.to_owned(), "outcome" => other.as_str())
                    .set(is);
            }
            for guard in CleanGuard::ALL {
                let stopped = |trip: &CleanGuardTrip| trip.guard == guard && !trip.overridden;
                let is = u8::from(guards.iter().any(stopped));
                gauge!(GUARDS, "platform" => platform.to_owned(), "guard" => guard.as_str())
                    .set(is);
            }
        });
    }

    /// Says when a clean-up last did all it was to do, as far as that is known, and since when one is
    /// awaited.
    pub fn set_last_cleaning(&self, platform: &str, at: Option<Timestamp>, since: Timestamp) {
        let job = job_name(platform);
        self.set_last_success(&job, at);
        self.set_awaited(&job, since);
    }

    /// Says when a platform is cleaned next and how far apart the starts are.
    pub fn set_cleaning_schedule(
        &self,
        platform: &str,
        next: Option<Timestamp>,
        interval: Option<Duration>,
    ) {
        self.own
            .record(|| set_schedule(job_name(platform), next, interval));
    }
}

/// Says when a job comes next, and how far apart its starts are.
pub(super) fn set_schedule(job: String, next: Option<Timestamp>, interval: Option<Duration>) {
    gauge!(NEXT_RUN, "job_name" => job.clone()).set(next.map_or(0, Timestamp::as_second) as f64);
    gauge!(INTERVAL, "job_name" => job).set(interval.unwrap_or_default().as_secs_f64());
}

/// What becomes of a secret that could go. What rests was not for this run.
fn outcomes(count: &CleanCount) -> [(&'static str, u64); 5] {
    [
        ("deleted", count.deleted),
        ("scheduled", count.scheduled),
        ("already_gone", count.already_gone),
        ("spared", count.spared),
        ("failed", count.failed),
    ]
}

fn count_deletions(platform: &str, reason: Standing, outcome: &'static str, number: u64) {
    let labels = [
        ("platform", platform.to_owned()),
        ("reason", reason.as_str().into()),
        ("outcome", outcome.into()),
    ];
    counter!(DELETIONS, &labels).increment(number);
}

fn count_guard(platform: &str, guard: CleanGuard, number: u64) {
    counter!(GUARD_TRIPS, "platform" => platform.to_owned(), "guard" => guard.as_str())
        .increment(number);
}

fn register_runs(platform: &str) {
    let job = job_name(platform);
    set_schedule(job.clone(), None, None);
    gauge!(BUSY, "job_name" => job.clone()).set(0.0);
    // One that has recorded nothing yet is rendered as well.
    let _ = histogram!(RUN_DURATION, "job_name" => job.clone());
    for outcome in OUTCOMES {
        counter!(RUNS, "job_name" => job.clone(), "outcome" => outcome.as_str()).increment(0);
    }
}

fn register_counters(platform: &str) {
    counter!(RESCUES, "platform" => platform.to_owned()).increment(0);
    for guard in CleanGuard::ALL {
        count_guard(platform, guard, 0);
    }
    for reason in Standing::ALL.into_iter().filter(|it| it.is_unused()) {
        for (outcome, _) in outcomes(&CleanCount::default()) {
            count_deletions(platform, reason, outcome, 0);
        }
    }
}

fn register_figures(platform: &str) {
    let platform = platform.to_owned();
    for standing in Standing::ALL {
        gauge!(SECRETS, "platform" => platform.clone(), "standing" => standing.as_str()).set(0.0);
    }
    for kind in PlatformFindingKind::ALL {
        gauge!(FINDINGS, "platform" => platform.clone(), "kind" => kind.as_str()).set(0.0);
    }
    gauge!(COST, "platform" => platform.clone()).set(0.0);
    gauge!(OBSTACLES, "platform" => platform.clone()).set(0.0);
    for outcome in OUTCOMES {
        gauge!(OUTCOME, "platform" => platform.clone(), "outcome" => outcome.as_str()).set(0.0);
    }
    for guard in CleanGuard::ALL {
        gauge!(GUARDS, "platform" => platform.clone(), "guard" => guard.as_str()).set(0.0);
    }
}

fn describe_counters() {
    describe_counter!(
        DELETIONS,
        "Secrets of a platform that could go, by how they stood and by what became of them."
    );
    describe_counter!(
        GUARD_TRIPS,
        "Guards that stepped in while a platform was cleaned."
    );
    describe_counter!(
        RESCUES,
        "Secrets that a platform mentions and that waited for their deletion or carried an expiry, and were rescued."
    );
}

fn describe_figures() {
    describe_gauge!(
        SECRETS,
        "Secrets in a platform's manager by how they stood when its last clean-up began."
    );
    describe_gauge!(
        FINDINGS,
        "What was amiss with a platform when its last clean-up began."
    );
    describe_gauge!(
        COST,
        "What the secrets that a platform left behind cost a month, estimated from list prices."
    );
    describe_gauge!(
        OUTCOME,
        "1 for how the last clean-up of a platform ended, 0 for the other ways."
    );
    describe_gauge!(
        GUARDS,
        "1 for each guard that stopped the last clean-up of a platform, 0 for the others."
    );
    describe_gauge!(
        OBSTACLES,
        "What kept the last clean-up of a platform from deleting anything; 0 where it saw everything."
    );
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    /// However often a clean-up tells what it has done, and however it ends.
    #[test]
    fn what_a_clean_up_does_is_counted_once_and_while_it_lasts() {
        let metrics = Metrics::new(std::iter::empty()).unwrap();
        metrics.register_platform("production", true);
        let mut report: CleanReport = serde_json::from_value(serde_json::json!({
            "run": uuid::Uuid::nil(), "platform": "production", "backend": "main", "dry_run": false,
            "plan": "p", "started": "2026-01-01T00:00:00Z", "finished": "2026-01-01T00:00:00Z",
            "outcome": "done", "error": null, "obstacles": [], "guards": [], "listed": 0,
            "secrets": {}, "next": {"due": 0, "second_sighting": 0, "within_grace": 0, "put_off": 0, "waiting": 0}, "deletions": {},
            "resumed": 0, "rescued": 0, "endangered": 0, "lost": [], "unchecked": 0,
            "cut_short": false,
        }))
        .unwrap();
        let mut counted = CountedCleaning::default();
        for (deleted, rescued) in [(2, 0), (2, 1), (5, 3), (5, 3)] {
            let count = report.deletions.entry(Standing::Superseded).or_default();
            count.deleted = deleted;
            report.rescued = rescued;
            metrics.count_more_cleaned(&report, &mut counted);
            let text = metrics.render();
            for line in [
                format!(
                    "cloakroom_platform_deletions_total{{platform=\"production\",reason=\"superseded\",outcome=\"deleted\"}} {deleted}"
                ),
                format!("cloakroom_platform_rescues_total{{platform=\"production\"}} {rescued}"),
            ] {
                assert!(text.lines().any(|it| it == line), "{line}: {text}");
            }
        }
        metrics.record_cleaning("production", RunOutcome::Failed, Duration::ZERO);
        let failed = "cloakroom_runs_total{job_name=\"clean/production\",outcome=\"failed\"} 1";
        assert!(metrics.render().lines().any(|it| it == failed));
    }

    #[test]
    fn a_platform_is_there_at_zero_from_the_start() {
        let metrics = Metrics::new(std::iter::empty()).unwrap();
        metrics.register_platform("production", true);
        metrics.register_platform("by-hand", false);
        metrics.lead_until(Some(Instant::now() + Duration::from_mins(1)));
        let text = metrics.render();
        for line in [
            "cloakroom_runs_total{job_name=\"clean/production\",outcome=\"done\"} 0",
            "cloakroom_run_duration_seconds_count{job_name=\"clean/production\"} 0",
            "cloakroom_job_last_success_timestamp_seconds{job_name=\"clean/production\"} 0",
            "cloakroom_job_interval_seconds{job_name=\"clean/production\"} 0",
            "cloakroom_platform_deletions_total{platform=\"production\",reason=\"ephemeral\",outcome=\"scheduled\"} 0",
            "cloakroom_platform_guard_trips_total{platform=\"by-hand\",guard=\"scope-changed\"} 0",
            "cloakroom_platform_rescues_total{platform=\"production\"} 0",
            "cloakroom_platform_secrets{platform=\"by-hand\",standing=\"superseded\"} 0",
            "cloakroom_platform_findings{platform=\"production\",kind=\"dangling\"} 0",
            "cloakroom_platform_leaked_monthly_cost_dollars{platform=\"production\"} 0",
            "cloakroom_platform_obstacles{platform=\"production\"} 0",
            "cloakroom_platform_outcome{platform=\"production\",outcome=\"failed\"} 0",
            "cloakroom_platform_guards{platform=\"by-hand\",guard=\"share\"} 0",
            "cloakroom_job_busy_seconds{job_name=\"clean/production\"} 0",
            "cloakroom_job_awaited_since_timestamp_seconds{job_name=\"clean/production\"} 0",
        ] {
            assert!(
                text.lines().any(|other| other == line),
                "{line} is not in\n{text}"
            );
        }
        assert!(!text.contains("clean/by-hand"), "{text}");
        let trip = |guard, overridden| CleanGuardTrip {
            guard,
            saw: String::new(),
            overridden,
        };
        let trips = [
            trip(CleanGuard::Share, false),
            trip(CleanGuard::ScopeChanged, true),
        ];
        metrics.set_last_outcome("production", Some(RunOutcome::Refused), &trips);
        let text = metrics.render();
        for line in [
            "cloakroom_platform_outcome{platform=\"production\",outcome=\"refused\"} 1",
            "cloakroom_platform_outcome{platform=\"production\",outcome=\"done\"} 0",
            "cloakroom_platform_guards{platform=\"production\",guard=\"share\"} 1",
            "cloakroom_platform_guards{platform=\"production\",guard=\"scope-changed\"} 0",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}: {text}");
        }
        metrics.lead_until(None);
        let text = metrics.render();
        assert!(!text.contains("cloakroom_platform_secrets"), "{text}");
    }
}
