//! `clean`.

use std::time::Duration;

use cloakroom_core::store::RunOutcome;
use cloakroom_reconcile::{CleanFailure, CleanOptions, CleanReport, NextRun};
use tokio_util::sync::CancellationToken;

use crate::cli::CleanArgs;
use crate::exit::Exit;
use crate::harmless::harmless;
use crate::listing::{Listing, moment};
use crate::output::{Console, count};
use crate::platform::{self, Holder, PlatformProgress, Work, title};
use crate::signals;
use crate::wiring::{Context, job_settings};

/// Deletes what a platform left behind in its secrets manager.
pub(super) async fn clean(
    args: CleanArgs,
    context: &Context,
    console: &Console,
) -> anyhow::Result<Exit> {
    let stop = CancellationToken::new();
    signals::cancel_on_signal(stop.clone())?;
    let asked = args.platform.as_deref();
    let cleaner = platform::cleaner(context, asked, stop)?;
    let holder = Holder::of_chosen(context, asked, work(args.dry_run)).await?;
    if holder.follow(context).await? {
        let rests = job_settings(&context.configuration.reconcile).claim_deadline;
        console.note(format_args!(
            "a clean-up died at this a moment ago: what it had taken on rests for {} and is left to a \
             run after that",
            humantime::format_duration(rests)
        ));
    }
    let cleaner = cleaner.as_run(holder.id());
    let options = CleanOptions {
        dry_run: args.dry_run,
        overrides: args.overrides.into_iter().collect(),
    };
    let progress = PlatformProgress::new(console);
    let report = cleaner
        .clean(&options, &|phase, done| progress.show(phase, done))
        .await?;
    drop((progress, holder));
    if console.is_json() {
        console.json(&report)?;
    } else {
        let horizon = context.configuration.reconcile.backup_horizon.0;
        print(&report, horizon, console)?;
    }
    Ok(exit(report.outcome))
}

fn work(dry_run: bool) -> Work {
    if dry_run {
        Work::reading("clean --dry-run")
    } else {
        Work::writing("clean")
    }
}

fn exit(outcome: RunOutcome) -> Exit {
    match outcome {
        RunOutcome::Done => Exit::Done,
        RunOutcome::Partial => Exit::Partial,
        RunOutcome::Refused => Exit::Refused,
        RunOutcome::Failed => Exit::Failed,
    }
}

fn print(report: &CleanReport, horizon: Duration, console: &Console) -> anyhow::Result<()> {
    for obstacle in &report.obstacles {
        console.line(format_args!("! {}: {}", obstacle.subject, obstacle.detail))?;
    }
    for trip in &report.guards {
        let passed = if trip.overridden { " (passed)" } else { "" };
        console.line(format_args!("guard {}{passed}: {}", trip.guard, trip.saw))?;
    }
    let mut listing = Listing::new(&[
        "SECRETS", "FOUND", "DELETED", "WAITING", "GONE", "SPARED", "RESTING", "FAILED",
    ]);
    for (standing, number) in &report.deletions {
        listing.add([
            title(*standing).to_owned(),
            number.found.to_string(),
            number.deleted.to_string(),
            number.scheduled.to_string(),
            number.already_gone.to_string(),
            number.spared.to_string(),
            number.resting.to_string(),
            number.failed.to_string(),
        ]);
    }
    if !listing.is_empty() {
        console.list(&listing)?;
    }
    for failure in &report.failures {
        console.line(failed(failure))?;
    }
    if let Some(until) = report.taken_on_until {
        console.line(format_args!(
            "! {} taken on by a run that was cut off, and could go from {} on: run again then",
            count(report.taken_on, "secret was", "secrets were"),
            moment(until)
        ))?;
    }
    for (platform, number) in &report.kept_by_others {
        let secrets = count(*number, "secret stays", "secrets stay");
        console.line(format_args!("{secrets}: platform {platform} mentions them"))?;
    }
    for (number, what) in [
        (
            report.rescued,
            "mentioned and about to be deleted or to expire: rescued",
        ),
        (
            report.endangered,
            "mentioned and about to be deleted or to expire: see to it in the manager, or run again",
        ),
        (report.resumed, "taken on by a run that was cut off"),
        (
            report.unchecked,
            "deleted, and the database could not be asked behind it: run again",
        ),
    ] {
        if number > 0 {
            console.line(format_args!("{number} {what}"))?;
        }
    }
    if let Some(put_off) = put_off(&report.next, &report.platform, horizon) {
        console.line(put_off)?;
    }
    for name in &report.lost {
        console.line(format_args!(
            "! {name}: came to be mentioned while it was deleted for good; enter the secret anew"
        ))?;
    }
    let (number, done) = if report.dry_run {
        (report.total(|it| it.found), "could go")
    } else {
        (report.deleted(), "deleted")
    };
    console.line(format_args!(
        "{} {done} by run {}",
        count(number, "secret", "secrets"),
        report.run
    ))
}

/// Why something that could go is still there.
fn failed(failure: &CleanFailure) -> String {
    format!(
        "! {} still there, {} for one: {}; a later run tries again",
        count(failure.secrets, "secret is", "secrets are"),
        harmless(&failure.example),
        harmless(&failure.cause)
    )
}

/// What could not be brought back for long enough, so that it waits first.
fn put_off(next: &NextRun, platform: &str, horizon: Duration) -> Option<String> {
    let horizon = humantime::format_duration(horizon);
    (next.put_off > 0).then(|| {
        format!(
            "{} put off: what could not be brought back for the whole backup horizon ({horizon}) goes once it has \
             been unused for what is missing of that, {}; `reconciler adopt {platform} --dry-run --file PLAN` \
             writes down when that is for each",
            count(next.put_off, "secret is", "secrets are"),
            platform::put_off(next)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_off_is_told_with_how_many_and_for_how_long() {
        let mut next = NextRun::default();
        assert_eq!(put_off(&next, "production", Duration::ZERO), None);
        next.put_off = 3;
        next.put_off_until = Some("2026-05-04T03:02:01Z".parse().unwrap());
        next.put_off_from = next.put_off_until;
        let told = put_off(&next, "production", Duration::from_hours(7 * 24)).unwrap();
        for part in [
            "3 secrets are put off",
            "7days",
            "from 2026-05-04T03:02:01Z on",
            "adopt production",
        ] {
            assert!(told.contains(part), "{told}");
        }
    }
}
