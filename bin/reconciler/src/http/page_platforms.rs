//! What the page tells of platforms.

use cloakroom_core::Timestamp;
use cloakroom_core::store::RunOutcome;
use cloakroom_reconcile::{CleanReport, PlatformFindingKind};

use super::page::{Attention, JobCard, Level, ago, hence, waits};
use super::platforms::{CleaningStatus, PlatformStatus};
use crate::metrics::cleaning_job_name;
use crate::output::count;

/// What a platform asks a person to look at.
pub(super) fn attention(platform: &PlatformStatus) -> Vec<Attention> {
    let name = &platform.platform;
    let mut items = Vec::new();
    let mut add = |level, text| items.push(Attention { level, text });
    if platform.schedule.is_some() && platform.confirmed.is_none() {
        add(
            Level::Warn,
            format!(
                "{name} is not cleaned: nobody has confirmed a plan (reconciler adopt {name})."
            ),
        );
    }
    if platform.overdue {
        add(
            Level::Bad,
            format!("Cleaning {name} is overdue: it has missed two starts."),
        );
    }
    for error in &platform.errors {
        add(Level::Bad, format!("Cleaning {name} failed: {error}"));
    }
    let Some(report) = platform.report.as_ref().map(CleaningStatus::report) else {
        return items;
    };
    if let Some(error) = &report.error {
        add(Level::Bad, format!("Cleaning {name} failed: {error}"));
    }
    for obstacle in &report.obstacles {
        let (subject, detail) = (&obstacle.subject, &obstacle.detail);
        add(
            Level::Bad,
            format!("Nothing of {name} may go. {subject}: {detail}"),
        );
    }
    for trip in report.guards.iter().filter(|trip| !trip.overridden) {
        let (guard, saw) = (trip.guard, &trip.saw);
        add(
            Level::Bad,
            format!("The guard {guard} stopped the cleaning of {name}: {saw}"),
        );
    }
    for (level, number, what) in [
        (Level::Bad, report.lost.len() as u64, "lost"),
        (
            Level::Bad,
            report.endangered,
            "in use and about to be deleted",
        ),
        (Level::Warn, report.rescued, "in use and brought back"),
        (
            Level::Warn,
            report.taken_on,
            "left to a run before it that was cut off",
        ),
        (
            Level::Warn,
            report.unchecked,
            "deleted, and not known not to be mentioned since",
        ),
        (
            Level::Warn,
            // An older report has no causes.
            report.total(|it| it.failed) * u64::from(report.failures.is_empty()),
            "not deleted, since that failed",
        ),
    ] {
        if number > 0 {
            let secrets = count(number, "secret", "secrets");
            add(
                level,
                format!("{secrets} of {name} {what}, by the last clean-up."),
            );
        }
    }
    for failure in &report.failures {
        let secrets = count(failure.secrets, "secret", "secrets");
        let cause = &failure.cause;
        add(
            Level::Warn,
            format!("{secrets} of {name} could not be deleted, by the last clean-up: {cause}"),
        );
    }
    if report.cut_short {
        add(
            Level::Warn,
            format!("Cleaning {name} ended before all was done."),
        );
    }
    for (kind, found) in report.findings.iter().filter(|(_, found)| **found > 0) {
        let level = match kind {
            PlatformFindingKind::Dangling
            | PlatformFindingKind::Endangered
            | PlatformFindingKind::ClearText => Level::Bad,
            _ => Level::Warn,
        };
        let kind = kind.as_str().replace('_', " ");
        add(
            level,
            format!("{found} × {kind} in {name}, by the last clean-up."),
        );
    }
    items
}

impl JobCard {
    pub(super) fn of_platform(platform: &PlatformStatus, now: Timestamp) -> Self {
        let findings = platform.report.iter().any(|it| {
            let found = &it.report().findings;
            found.values().any(|number| *number > 0)
        });
        let next_run = match platform.next_run {
            _ if platform.waits_for.is_some() => waits(platform.waits_for.as_deref()),
            _ if platform.waiting => "now".to_owned(),
            Some(_) if platform.confirmed.is_none() => "once a plan is confirmed".to_owned(),
            Some(next) => hence(next, now),
            None => "only by hand".to_owned(),
        };
        let (level, state) = Self::state(
            platform.running,
            platform.overdue,
            platform.outcome,
            findings,
        );
        Self {
            name: cleaning_job_name(&platform.platform),
            level,
            state,
            last_run: ago(platform.last_run, now),
            last_success: ago(platform.last_success, now),
            next_run,
            schedule: platform
                .schedule
                .clone()
                .unwrap_or_else(|| "none".to_owned()),
            did: did(platform.report.as_ref().map(CleaningStatus::report)),
            more: leaked(platform.report.as_ref().map(CleaningStatus::report)),
        }
    }
}

/// What of it was leaked when the last clean-up began, and what that costs.
fn leaked(report: Option<&CleanReport>) -> Vec<(&'static str, String)> {
    let Some(report) = report else {
        return Vec::new();
    };
    let leaked = report.secrets.iter().filter(|(it, _)| it.is_leaked());
    let leaked = count(
        leaked.map(|(_, there)| there.total()).sum(),
        "secret",
        "secrets",
    );
    let cost = report.cost.leaked;
    vec![("Found leaked", format!("{leaked}, ${cost:.2} a month"))]
}

/// What the last clean-up did, in a few words.
fn did(report: Option<&CleanReport>) -> String {
    let Some(report) = report else {
        return "–".to_owned();
    };
    let mut words = Vec::new();
    for (number, what) in [
        (report.total(|it| it.deleted), "deleted"),
        (report.total(|it| it.scheduled), "handed to deletion"),
        (report.total(|it| it.spared), "spared"),
    ] {
        if number > 0 {
            words.push(format!("{what} {number}"));
        }
    }
    if words.is_empty() && report.outcome == RunOutcome::Done {
        words.push("nothing was to be done".to_owned());
    }
    words.push(format!(
        "{} listed",
        count(report.listed, "secret", "secrets")
    ));
    words.join(", ")
}
