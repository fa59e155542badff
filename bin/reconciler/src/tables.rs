//! Reports as tables a person wants to read.

use cloakroom_core::store::RunOutcome;
use cloakroom_reconcile::{DeletionCount, Report};

use crate::listing::Listing;
use crate::namesakes;
use crate::output::count;

/// An entry a report: what was found, done and left.
pub fn reports(reports: &[Report]) -> Listing {
    let mut listing = Listing::new(&["JOB", "BACKEND", "FOUND", "DONE", "LEFT", "OUTCOME"]);
    for report in reports {
        listing.add([
            report.job.to_string(),
            report.backend.to_string(),
            found(report),
            done(report),
            left(report),
            outcome(report),
        ]);
    }
    listing
}

/// Sentences about what a person should look at: findings, guards, errors.
pub fn remarks(report: &Report) -> Vec<String> {
    let mut remarks = Vec::new();
    for trip in &report.guards {
        let verb = if trip.overridden {
            "was passed"
        } else {
            "stopped deletions"
        };
        let way = if trip.overridden || !trip.guard.can_be_passed() {
            String::new()
        } else {
            format!(
                "; `--override {}` lets one run past it on purpose",
                trip.guard
            )
        };
        remarks.push(format!(
            "guard {} {verb} on {}: {}{way}",
            trip.guard, report.backend, trip.saw
        ));
    }
    if report.has_findings() {
        let kinds: Vec<String> = report
            .findings
            .iter()
            .filter(|(_, number)| **number > 0)
            .map(|(kind, number)| format!("{number} {}", kind.as_str().replace('_', " ")))
            .collect();
        let more = if report.dry_run {
            String::new()
        } else {
            format!("; see `reconciler findings {}`", report.run)
        };
        remarks.push(format!(
            "{} on {} found {}{more}",
            report.job,
            report.backend,
            kinds.join(", ")
        ));
    }
    if report.quarantined > 0 {
        remarks.push(format!(
            "{} parked; see `reconciler quarantine list`",
            count(report.quarantined, "deletion was", "deletions were")
        ));
    }
    if report.namesakes > 0 {
        remarks.push(namesakes::in_words(report.namesakes, &report.backend));
    }
    if report.cut_short {
        remarks.push("the run ended before everything due was done; run it again".to_owned());
    }
    remarks.extend(report.error.as_ref().map(|error| format!("error: {error}")));
    remarks
}

fn found(report: &Report) -> String {
    let mut parts: Vec<String> = report
        .deletions
        .iter()
        .filter(|(_, count)| count.found > 0)
        .map(|(reason, count)| format!("{} {reason}", count.found))
        .collect();
    let findings: u64 = report.findings.values().sum();
    if findings > 0 {
        parts.push(count(findings, "finding", "findings"));
    }
    let nothing = if report.cut_short {
        "nothing amiss so far"
    } else {
        "nothing amiss"
    };
    joined(&parts, nothing)
}

fn done(report: &Report) -> String {
    let checked = &report.checked;
    let mut parts = Vec::new();
    let mut say = |number: u64, what: &str| {
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
    };
    let allowed = |count: &DeletionCount| count.found - count.refused.min(count.found);
    if report.dry_run {
        say(report.total(allowed), "would go");
    } else {
        say(report.total(|count| count.deleted), "deleted");
    }
    say(report.total(|count| count.scheduled), "handed to deletion");
    say(
        report.total(|count| count.already_gone),
        "not there any more",
    );
    say(report.to_purge, "would be purged");
    say(report.purged, "purged");
    say(report.unpurged, "not purged");
    say(report.rescued, "rescued");
    let mut say = |number: u64, one: &str, many: &str| {
        if number > 0 {
            parts.push(count(number, one, many));
        }
    };
    say(
        checked.references,
        "reference checked",
        "references checked",
    );
    say(checked.values, "value read", "values read");
    say(checked.documents, "document checked", "documents checked");
    joined(&parts, "nothing to do")
}

fn left(report: &Report) -> String {
    let mut parts = Vec::new();
    let mut say = |number: u64, what: &str| {
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
    };
    say(report.total(|count| count.refused), "refused by a guard");
    say(report.total(|count| count.spared), "not due any more");
    say(report.unrestored, "in use and not restored");
    let again = report.failed.saturating_sub(report.quarantined);
    say(again, "to be tried again");
    say(report.waiting, "begun before and waiting");
    say(report.quarantined + report.parked, "parked");
    let nothing = if report.cut_short {
        "what was not looked at"
    } else {
        "nothing"
    };
    joined(&parts, nothing)
}

fn outcome(report: &Report) -> String {
    let word = match report.outcome {
        RunOutcome::Done if report.has_findings() => "findings",
        outcome => outcome.as_str(),
    };
    if report.dry_run {
        format!("{word} (dry run)")
    } else {
        word.to_owned()
    }
}

fn joined(parts: &[String], nothing: &str) -> String {
    if parts.is_empty() {
        nothing.to_owned()
    } else {
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use cloakroom_core::RunId;
    use cloakroom_core::store::Job;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_parked_deletion_is_told_once() {
        let report: Report = serde_json::from_value(json!({
            "run": RunId(uuid::Uuid::nil()), "job": Job::ExpireOrphans, "backend": "main",
            "dry_run": false, "started": "2026-03-01T11:58:00Z",
            "finished": "2026-03-01T11:58:01Z", "outcome": "partial", "deletions": {},
            "failed": 3, "quarantined": 1, "rescued": 0, "findings": {}, "examples": [],
            "checked": {"references": 0, "values": 0, "documents": 0, "listed": 0},
            "guards": [], "cut_short": false, "error": null
        }))
        .unwrap();
        assert_eq!(left(&report), "2 to be tried again, 1 parked");
        let before = Report {
            waiting: 4,
            parked: 5,
            ..report
        };
        assert_eq!(
            left(&before),
            "2 to be tried again, 4 begun before and waiting, 6 parked"
        );
    }
}
