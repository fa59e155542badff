//! `secret let-go`: secrets that no document refers to and that nobody let go.

use std::collections::BTreeSet;

use cloakroom_reconcile::{LetGoOptions, LetGoReport, Missed};
use tokio_util::sync::CancellationToken;

use super::one_by_one::{Kept, OneByOne};
use super::secret::{coordinate, tell_unreadable};
use crate::cli::LetGoArgs;
use crate::exit::Exit;
use crate::listing::{Listing, moment};
use crate::output::{Console, count};
use crate::signals;
use crate::wiring::Context;

/// Lists them, and lets them go if asked.
pub(super) async fn let_go(
    args: LetGoArgs,
    context: &Context,
    console: &Console,
) -> anyhow::Result<Exit> {
    let stop = CancellationToken::new();
    signals::cancel_on_signal(stop.clone())?;
    let backend = context.one_backend(args.backend.as_ref())?;
    let only = args.coordinates.iter().map(|text| coordinate(text));
    let options = LetGoOptions {
        apply: args.apply,
        only: only.collect::<anyhow::Result<BTreeSet<_>>>()?,
        by: args.by.name(),
    };
    let mut found = OneByOne::new(console);
    let reconciler = context.reconciler(stop);
    let report = reconciler
        .let_go(&backend, &options, &mut |missed| found.take(missed))
        .await;
    let found = found.kept()?;
    let report = report?;
    if console.is_json() {
        tell_unreadable(&report.unreadable_rows, console)?;
        for named in &report.named_still {
            console.json_line(named)?;
        }
    } else {
        print(&found, &report, console)?;
        if report.let_go > 0 {
            let windows = reconciler.windows(&backend)?;
            console.note(format_args!(
                "each is cleared {} from now, as after the removal of its document, unless it is put back \
                 until then; the receipts are those of {}",
                humantime::format_duration(windows.orphan_ttl),
                report.run
            ));
        }
    }
    Ok(exit(&report))
}

/// What nobody let go is amiss until somebody does.
fn exit(report: &LetGoReport) -> Exit {
    if report.guard.is_some() {
        return Exit::Refused;
    }
    let all_gone = report.missed == report.let_go
        && report.unreadable + report.named == 0
        && report.others.is_empty();
    Exit::of_work(report.cut_short, all_gone)
}

fn print(found: &Kept<Missed>, report: &LetGoReport, console: &Console) -> anyhow::Result<()> {
    if !found.is_empty() {
        let mut listing = Listing::new(&["COORDINATE", "CREATED", "NOW"]);
        for missed in found.iter() {
            let now = if missed.let_go { "let go" } else { "kept" };
            listing.add([
                missed.coordinate.to_string(),
                moment(missed.created),
                now.to_owned(),
            ]);
        }
        console.list(&listing)?;
    }
    found.note_more(report.missed, console);
    console.line(format_args!(
        "no document refers to {} on {} that nobody let go; {} let go",
        count(report.missed, "secret", "secrets"),
        report.backend,
        report.let_go,
    ))?;
    tell_unreadable(&report.unreadable_rows, console)?;
    if report.unreadable > 0 {
        console.line(format_args!(
            "{} cannot be read: nothing is let go there until they can",
            count(report.unreadable, "row", "rows")
        ))?;
    }
    for named in &report.named_still {
        console.line(format_args!(
            "{} is named by document {} whose recorded references lack it: somebody changed these; it is not let go. \
             Put the document again",
            named.coordinate, named.named_by
        ))?;
    }
    for other in &report.others {
        console.line(format_args!(
            "{other} is none of them: it is in use, was let go before, or is in no ledger"
        ))?;
    }
    if let Some(trip) = &report.guard {
        console.line(format_args!(
            "guard {} stopped it on {}: {}",
            trip.guard, report.backend, trip.saw
        ))?;
    }
    if report.dry_run && report.missed > 0 {
        console.note(
            "somebody changed the tables past this program, or half a backup was restored. If documents \
             are missing, bring them back first; `--apply` says that nothing needs these secrets any more",
        );
    }
    if report.cut_short {
        console.note("it was stopped before its end; run it again");
    }
    Ok(())
}
