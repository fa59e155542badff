//! `undo`.

use cloakroom_reconcile::{UndoFate, UndoOptions, UndoReport, Undone};
use tokio_util::sync::CancellationToken;

use crate::cli::UndoArgs;
use crate::exit::Exit;
use crate::listing::Listing;
use crate::output::{Console, count};
use crate::signals;
use crate::wiring::Context;

/// Secrets printed one by one; what is more is counted.
const MOST_PRINTED: usize = 1_000;

/// Takes a run back.
pub(super) async fn undo(
    args: UndoArgs,
    context: &Context,
    console: &Console,
) -> anyhow::Result<Exit> {
    let stop = CancellationToken::new();
    signals::cancel_on_signal(stop.clone())?;
    let options = UndoOptions {
        dry_run: args.dry_run,
        hold: args.hold_for,
        by: args.by.name(),
    };
    let mut told = Ok(());
    let mut printed: Vec<Undone> = Vec::new();
    let report = context
        .reconciler(stop)
        .undo(args.run, &options, &mut |undone| {
            // As JSON they are printed as they come, however many there are.
            if console.is_json() && told.is_ok() {
                told = console.json_line(undone);
            } else if printed.len() < MOST_PRINTED {
                printed.push(undone.clone());
            }
        })
        .await;
    told?;
    let report = report?;
    if !console.is_json() {
        print(&printed, &report, console)?;
    }
    Ok(if report.cut_short || report.of(UndoFate::Failed) > 0 {
        Exit::Partial
    } else {
        Exit::Done
    })
}

fn print(printed: &[Undone], report: &UndoReport, console: &Console) -> anyhow::Result<()> {
    let mut listing = Listing::new(&["COORDINATE", "NOW", "DETAIL"]);
    for undone in printed {
        listing.add([
            undone.coordinate.to_string(),
            words(undone.fate).to_owned(),
            undone.detail.clone(),
        ]);
    }
    console.list(&listing)?;
    let all: u64 = report.fates.values().sum();
    let more = all - printed.len() as u64;
    if more > 0 {
        console.note(format_args!("{more} more; `--output json` tells them all"));
    }
    let (back, what) = if report.dry_run {
        (report.of(UndoFate::Restorable), "can be restored")
    } else {
        (report.of(UndoFate::Restored), "restored and held")
    };
    console.line(format_args!(
        "{} of run {}: {back} {what}",
        count(all, "secret", "secrets"),
        report.run
    ))?;
    if !report.dry_run && back > 0 {
        console.note(format_args!("the receipts are those of {}", report.undo));
        console.note(
            "no document refers to them: put the documents back while they are held, or they are \
             cleared again",
        );
    }
    if report.of(UndoFate::Failed) > 0 || report.cut_short {
        console.note("not everything was done; undo the run again");
    }
    Ok(())
}

fn words(fate: UndoFate) -> &'static str {
    match fate {
        UndoFate::Restored => "restored",
        UndoFate::Restorable => "can be restored",
        UndoFate::Held => "held already",
        UndoFate::InUse => "in use",
        UndoFate::NotDeleted => "was not deleted",
        UndoFate::Gone => "gone for good",
        UndoFate::NotFound => "was not there",
        UndoFate::NotOurs => "not ours",
        UndoFate::Failed => "failed",
    }
}
