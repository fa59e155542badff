//! Whether a job should have run by now.

use std::time::Duration;

use cloakroom_core::Timestamp;
use cloakroom_reconcile::{JobName, JobState};

use crate::configuration::CronLine;

/// On top of the second missed start: a run has to begin and end.
const ALLOWANCE: Duration = Duration::from_mins(1);

/// And this much longer while a run is at work: a hundred thousand deletions take hours where the
/// manager's quota is small, and one that hangs is noticed all the same.
pub(super) const LONG_RUN: Duration = Duration::from_hours(24);

/// How much later than at its second missed start each job is overdue: by the jitter, and by a long run
/// where it is running itself, or is in the queue behind one that is.
pub(super) fn allowances<J: JobName, R>(
    states: &[JobState<J, R>],
    jitter: Duration,
) -> impl Fn(&JobState<J, R>) -> Duration + use<J, R> {
    let at_work = states.iter().any(|state| state.running);
    move |state| {
        if state.running || (state.waiting && at_work) {
            jitter + LONG_RUN
        } else {
            jitter
        }
    }
}

/// Whether a job on this schedule, of which a run last ended at `last`, has missed two starts by more
/// than its allowance: one may fall into a restart or a busy moment.
pub(super) fn is_overdue(
    cron: &CronLine,
    last: Timestamp,
    allowance: Duration,
    now: Timestamp,
) -> bool {
    let missed_twice = cron
        .next_after(last)
        .and_then(|missed| cron.next_after(missed));
    missed_twice.is_some_and(|missed| now > missed + allowance + ALLOWANCE)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use cloakroom_core::store::Job;
    use cloakroom_core::{Result, SystemRandomness};
    use cloakroom_reconcile::{Driver, JobRunner, Report};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::last_success::Ahead;

    /// A run of it takes two hours.
    struct Slow;

    #[async_trait]
    impl JobRunner for Slow {
        async fn now(&self) -> Result<Timestamp> {
            Ok(Timestamp::UNIX_EPOCH)
        }

        async fn run_job(&self, _: Job) -> Vec<Result<Report>> {
            tokio::time::sleep(Duration::from_hours(2)).await;
            Vec::new()
        }
    }

    /// Neither the job at work nor those in the queue behind it are late by that, for a day.
    #[tokio::test(start_paused = true)]
    async fn a_long_run_makes_nothing_overdue() {
        let jitter = Duration::from_secs(10);
        let (random, stop) = (Arc::new(SystemRandomness), CancellationToken::new());
        let driver = Driver::start(Arc::new(Slow), random, Duration::ZERO, stop);
        let told = || {
            let states = driver.states();
            let allowances = allowances(&states, jitter);
            let of = |job| states.iter().find(|state| state.job == job).unwrap();
            [Job::ExpireOrphans, Job::DeleteSuperseded, Job::VerifyBlobs]
                .map(|job| (allowances(of(job)), of(job).busy()))
        };
        assert_eq!(told(), [(jitter, None); 3]);
        driver.activate(Job::ExpireOrphans);
        tokio::time::sleep(Duration::from_mins(30)).await;
        driver.activate(Job::DeleteSuperseded);
        tokio::time::sleep(Duration::from_mins(30)).await;
        let busy = |minutes| Some(Duration::from_mins(minutes));
        let long = jitter + LONG_RUN;
        assert_eq!(told(), [(long, busy(60)), (long, busy(30)), (jitter, None)]);
        // Its wait counts as its own time at work.
        tokio::time::sleep(Duration::from_mins(90)).await;
        assert_eq!(told(), [(jitter, None), (long, busy(120)), (jitter, None)]);
        tokio::time::sleep(Duration::from_hours(2)).await;
        assert_eq!(told(), [(jitter, None); 3]);
    }

    #[test]
    fn two_missed_starts_are_overdue() {
        let cron: CronLine = "*/15 * * * *".parse().unwrap();
        let overdue = |now: &str| {
            let last = "2026-01-31T12:07:00Z".parse().unwrap();
            is_overdue(&cron, last, Duration::from_secs(10), now.parse().unwrap())
        };
        assert!(!overdue("2026-01-31T12:07:00Z"));
        assert!(!overdue("2026-01-31T12:29:59Z"));
        assert!(!overdue("2026-01-31T12:31:10Z"));
        assert!(overdue("2026-01-31T12:31:11Z"));
        assert!(overdue("2026-02-01T12:00:00Z"));
        // A clock that went back makes nothing overdue.
        assert!(!overdue("2026-01-30T12:00:00Z"));
    }

    /// Two starts after the clock was set back a job is overdue, and not once that clock would be there again.
    #[test]
    fn two_starts_missed_since_the_clock_was_set_back_are_overdue() {
        let cron: CronLine = "*/15 * * * *".parse().unwrap();
        let (at, ahead) = (
            |text: &str| text.parse::<Timestamp>().unwrap(),
            Ahead::default(),
        );
        let overdue = |now: &str| {
            let last = ahead.settled("job", at("2026-02-05T12:07:00Z"), at(now));
            is_overdue(&cron, last, Duration::from_secs(10), at(now))
        };
        for (now, is) in [
            ("2026-01-31T12:07:00Z", false),
            ("2026-01-31T12:31:10Z", false),
            ("2026-01-31T12:31:11Z", true),
            ("2026-02-05T12:06:59Z", true),
            ("2026-02-05T12:07:00Z", false),
        ] {
            assert_eq!(overdue(now), is, "{now}");
        }
    }
}
