//! Whether a job should have run by now.

use std::time::Duration;

use cloakroom_core::Timestamp;

use crate::configuration::CronLine;

/// On top of the second missed start: a run has to begin and end.
const ALLOWANCE: Duration = Duration::from_mins(1);

/// Whether a job on this schedule, of which a run last ended at `last`, has missed two starts: one
/// may fall into a restart or a busy moment.
pub(super) fn is_overdue(
    cron: &CronLine,
    last: Timestamp,
    jitter: Duration,
    now: Timestamp,
) -> bool {
    let missed_twice = cron
        .next_after(last)
        .and_then(|missed| cron.next_after(missed));
    missed_twice.is_some_and(|missed| now > missed + jitter + ALLOWANCE)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
