//! `sweep`.

use cloakroom_reconcile::{SweepFate, SweepOptions, SweepReport, Swept};
use tokio_util::sync::CancellationToken;

use super::one_by_one::{Kept, OneByOne};
use crate::cli::SweepArgs;
use crate::exit::Exit;
use crate::listing::{Listing, moment, or_nothing};
use crate::output::{Console, count};
use crate::progress::Progress;
use crate::signals;
use crate::wiring::Context;

/// Lists what the ledger does not know, and adopts it if asked.
pub(super) async fn sweep(
    args: SweepArgs,
    context: &Context,
    console: &Console,
) -> anyhow::Result<Exit> {
    let stop = CancellationToken::new();
    signals::cancel_on_signal(stop.clone())?;
    let backend = context.one_backend(args.backend.as_ref())?;
    let options = SweepOptions {
        adopt: args.adopt,
        by: args.by.name(),
    };
    let progress = Progress::new(console);
    let mut found = OneByOne::new(console);
    let report = context
        .reconciler(stop)
        .sweep(&backend, &options, &progress, &mut |swept| {
            found.take(swept);
        })
        .await;
    drop(progress);
    let found = found.kept()?;
    let report = report?;
    if !console.is_json() {
        print(&found, &report, console)?;
    }
    Ok(exit(&report))
}

/// What a guard stopped waits for an operator; something unknown that was left is amiss.
fn exit(report: &SweepReport) -> Exit {
    if report.guard.is_some() {
        return Exit::Refused;
    }
    let all_known =
        report.unknown <= report.adopted && report.other_value == 0 && report.other_backend == 0;
    Exit::of_work(report.cut_short, all_known)
}

fn print(found: &Kept<Swept>, report: &SweepReport, console: &Console) -> anyhow::Result<()> {
    if !found.is_empty() {
        let mut listing = Listing::new(&["COORDINATE", "CREATED", "IN THE MANAGER", "HERE"]);
        for swept in found.iter() {
            let here = words(swept);
            let there = if swept.waiting {
                "waits for its deletion"
            } else {
                "living"
            };
            listing.add([
                swept.coordinate.to_string(),
                or_nothing(swept.created.map(moment)),
                there.to_owned(),
                here,
            ]);
        }
        console.list(&listing)?;
    }
    let all = report.unknown + report.other_value + report.other_backend;
    found.note_more(all, console);
    console.line(format_args!(
        "{} of {} listed on {} unknown to the ledger; {} adopted",
        count(report.unknown, "secret", "secrets"),
        report.listed,
        report.backend,
        report.adopted,
    ))?;
    if report.other_value > 0 {
        console.line(format_args!(
            "{} of a name that a writer or a deletion is at: sweep again once that is over, after \
             `documents.expires_in` at the latest",
            count(report.other_value, "secret", "secrets")
        ))?;
    }
    if report.other_backend > 0 {
        console.line(format_args!(
            "{} that the ledger has under another backend's name: two names lead to one manager, or the \
             backend was renamed. They are not adopted; give the backend that one name again",
            count(report.other_backend, "secret", "secrets")
        ))?;
    }
    if let Some(trip) = &report.guard {
        console.line(format_args!(
            "guard {} stopped it on {}: {}",
            trip.guard, report.backend, trip.saw
        ))?;
    }
    if report.dry_run && report.unknown > 0 {
        console.note(
            "`--adopt` writes rows for them; each then waits out the orphan time-to-live before a \
             job clears it",
        );
    }
    if report.adopted > 0 {
        console.note(format_args!("the receipts are those of {}", report.run));
    }
    if report.cut_short {
        console.note("the sweep was stopped before its end; sweep again");
    }
    Ok(())
}

fn words(swept: &Swept) -> String {
    match (swept.fate, &swept.known_as) {
        (SweepFate::OtherBackend, Some(other)) => format!("backend {other}'s"),
        (SweepFate::OtherBackend, None) => "another backend's".to_owned(),
        (SweepFate::Unknown, _) => "unknown".to_owned(),
        (SweepFate::Adopted, _) => "adopted".to_owned(),
        (SweepFate::OtherValue, _) => "its name is being written or cleared".to_owned(),
    }
}
