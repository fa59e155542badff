//! What is allowed and hardly ever meant: settings that take a protection away.

use std::time::Duration;

use humantime::format_duration;

use super::Configuration;
use super::duration::Span;

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// From here on a share stops next to nothing.
const NEARLY_ALL: f64 = 0.9;
/// A share that is first looked at behind this many is looked at never.
const MANY: u64 = 10_000;

impl Configuration {
    /// Settings that take a protection away, each as a sentence that begins with its key.
    pub fn doubts(&self) -> Vec<String> {
        let reconcile = &self.reconcile;
        let windows = &reconcile.windows;
        let short = |key: &str, is: &Span, least: Duration, then: &str| {
            (is.0 < least).then(|| format!("{key} is {}: {then}", format_duration(is.0)))
        };
        let guards = &reconcile.guards;
        let all = [
            short(
                "reconcile.backup_horizon",
                &reconcile.backup_horizon,
                DAY,
                "a database that is restored from an older backup refers to secrets that are gone for good",
            ),
            short(
                "reconcile.windows.orphan_ttl",
                &windows.orphan_ttl,
                HOUR,
                "a removal by mistake takes its secrets along at once",
            ),
            short(
                "reconcile.windows.superseded_grace",
                &windows.superseded_grace,
                HOUR,
                "who reads a document while it is edited may find its secrets gone",
            ),
            (guards.largest_share >= NEARLY_ALL).then(|| {
                format!(
                    "reconcile.guards.largest_share is {}: a run may delete nearly everything",
                    guards.largest_share
                )
            }),
            (guards.share_from > MANY).then(|| {
                format!(
                    "reconcile.guards.share_from is {}: the share is not looked at below that",
                    guards.share_from
                )
            }),
            (reconcile.lease.0 > HOUR).then(|| {
                format!(
                    "reconcile.lease is {}: where a run is killed, no other one begins before that is over",
                    format_duration(reconcile.lease.0)
                )
            }),
        ];
        all.into_iter().flatten().collect()
    }

    /// Says in the log what is doubtful. For whatever is about to delete.
    pub fn log_doubts(&self) {
        for doubt in self.doubts() {
            tracing::warn!("{doubt}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_default_is_not_doubted() {
        assert_eq!(Configuration::default().doubts(), [""; 0]);
    }

    #[test]
    fn each_protection_that_is_taken_away_is_named() {
        let mut configuration = Configuration::default();
        let reconcile = &mut configuration.reconcile;
        reconcile.backup_horizon = Span(Duration::from_mins(7));
        reconcile.windows.orphan_ttl = Span(Duration::ZERO);
        reconcile.windows.superseded_grace = Span(Duration::ZERO);
        reconcile.guards.largest_share = 1.0;
        reconcile.guards.share_from = u64::MAX;
        reconcile.lease = Span(DAY * 365);
        let doubts = configuration.doubts();
        let keys: Vec<&str> = doubts
            .iter()
            .filter_map(|it| it.split(' ').next())
            .collect();
        assert_eq!(
            keys,
            [
                "reconcile.backup_horizon",
                "reconcile.windows.orphan_ttl",
                "reconcile.windows.superseded_grace",
                "reconcile.guards.largest_share",
                "reconcile.guards.share_from",
                "reconcile.lease",
            ]
        );
        assert!(doubts[0].contains("is 7m"), "{doubts:?}");
    }
}
