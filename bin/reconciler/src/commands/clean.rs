//! `clean`.

use std::time::Duration;

use cloakroom_core::store::RunOutcome;
use cloakroom_reconcile::{CleanOptions, CleanReport};
use tokio_util::sync::CancellationToken;

use crate::cli::CleanArgs;
use crate::exit::Exit;
use crate::listing::Listing;
use crate::output::{Console, count};
use crate::platform::{self, PlatformProgress, title};
use crate::signals;
use crate::wiring::Context;

/// Deletes what a platform left behind in its secrets manager.
pub(super) async fn clean(
    args: CleanArgs,
    context: &Context,
    console: &Console,
) -> anyhow::Result<Exit> {
    let stop = CancellationToken::new();
    signals::cancel_on_signal(stop.clone())?;
    let cleaner = platform::cleaner(context, args.platform.as_deref(), stop)?;
    let options = CleanOptions {
        dry_run: args.dry_run,
        overrides: args.overrides.into_iter().collect(),
    };
    let progress = PlatformProgress::new(console);
    let report = cleaner
        .clean(&options, &|phase, done| progress.show(phase, done))
        .await?;
    drop(progress);
    if console.is_json() {
        console.json(&report)?;
    } else {
        let horizon = context.configuration.reconcile.backup_horizon.0;
        print(&report, horizon, console)?;
    }
    Ok(exit(report.outcome))
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
    if let Some(put_off) = put_off(report.next.put_off, &report.platform, horizon) {
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

/// What could not be brought back for long enough, so that it waits first.
fn put_off(number: u64, platform: &str, horizon: Duration) -> Option<String> {
    let horizon = humantime::format_duration(horizon);
    (number > 0).then(|| {
        format!(
            "{} put off: what could not be brought back for the whole backup horizon ({horizon}) goes once it has \
             been unused for what is missing of that; `reconciler adopt {platform} --dry-run --file PLAN` writes \
             down when that is for each",
            count(number, "secret is", "secrets are")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_off_is_told_with_how_many_and_for_how_long() {
        assert_eq!(put_off(0, "production", Duration::ZERO), None);
        let told = put_off(3, "production", Duration::from_hours(7 * 24)).unwrap();
        for part in ["3 secrets are put off", "7days", "adopt production"] {
            assert!(told.contains(part), "{told}");
        }
    }
}
