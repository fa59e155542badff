//! `undo`.

use cloakroom_core::platform::Removals as _;
use cloakroom_reconcile::{UndoFate, UndoOptions, UndoReport, Undone};
use tokio_util::sync::CancellationToken;

use super::one_by_one::{Kept, OneByOne};
use crate::cli::UndoArgs;
use crate::exit::Exit;
use crate::listing::Listing;
use crate::output::{Console, count};
use crate::platform::{self, refuse_if_held};
use crate::signals;
use crate::wiring::Context;

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
    let mut printed = OneByOne::new(console);
    let mut each = |undone: &Undone| printed.take(undone);
    let platforms = context.store.removal_run(args.run).await?;
    let whose = if platforms.is_some() {
        Whose::Platforms
    } else {
        Whose::Ours
    };
    let report = if let Some(run) = platforms {
        refuse_if_held(context, Some(&run.platform)).await?;
        let cleaner = platform::cleaner(context, Some(&run.platform), stop)?;
        cleaner.undo(&run, &options, &mut each).await
    } else {
        let reconciler = context.reconciler(stop);
        reconciler.undo(args.run, &options, &mut each).await
    };
    let printed = printed.kept()?;
    let report = report?;
    if !console.is_json() {
        print(&printed, &report, whose, console)?;
    }
    Ok(exit(&report))
}

/// Who wrote the secrets that come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Ours,
    Platforms,
}

/// What is to be done with secrets that came back.
fn next_step(whose: Whose) -> &'static str {
    match whose {
        Whose::Ours => {
            "nothing refers to them: `reconciler secret show COORDINATE --reveal` prints a value for the \
             document that needs it; what is not put again while it is held is cleared again"
        }
        Whose::Platforms => {
            "nothing is known to refer to them: the platform reads a secret by its name again at once, and \
             the manager itself shows its value; what the platform's database does not mention when they \
             are held no longer is cleared again"
        }
    }
}

/// What a guard stopped waits for an operator; what may still come back is to be done; what cannot is
/// amiss.
fn exit(report: &UndoReport) -> Exit {
    if report.guard.is_some() {
        Exit::Refused
    } else if report.cut_short || report.of(UndoFate::Failed) > 0 {
        Exit::Partial
    } else if report.of(UndoFate::Gone) + report.of(UndoFate::NotOurs) > 0 {
        Exit::Findings
    } else {
        Exit::Done
    }
}

fn print(
    printed: &Kept<Undone>,
    report: &UndoReport,
    whose: Whose,
    console: &Console,
) -> anyhow::Result<()> {
    let mut listing = Listing::new(&["COORDINATE", "NOW", "DETAIL"]);
    for undone in printed.iter() {
        listing.add([
            undone.coordinate.to_string(),
            words(undone.fate).to_owned(),
            undone.detail.clone(),
        ]);
    }
    console.list(&listing)?;
    let all: u64 = report.fates.values().sum();
    printed.note_more(all, console);
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
    if let Some(others) = others(report) {
        console.line(format_args!("not restored: {others}"))?;
    }
    if !report.dry_run && back > 0 {
        console.note(format_args!("the receipts are those of {}", report.undo));
        console.note(next_step(whose));
    }
    if let Some(trip) = &report.guard {
        console.line(format_args!(
            "guard {} stopped it on {}: {}",
            trip.guard, report.backend, trip.saw
        ))?;
    }
    if let Some(error) = &report.error {
        console.line(format_args!("error: {error}"))?;
    }
    if report.of(UndoFate::Failed) > 0 || report.cut_short {
        console.note("not everything was done; undo the run again");
    }
    Ok(())
}

/// The secrets that stay as they are, by reason.
fn others(report: &UndoReport) -> Option<String> {
    let others = [
        UndoFate::Refused,
        UndoFate::Failed,
        UndoFate::Gone,
        UndoFate::NotOurs,
        UndoFate::NotFound,
        UndoFate::NotDeleted,
        UndoFate::InUse,
        UndoFate::Held,
    ];
    let told: Vec<String> = others
        .into_iter()
        .filter(|fate| report.of(*fate) > 0)
        .map(|fate| format!("{} {}", report.of(fate), words(fate)))
        .collect();
    (!told.is_empty()).then(|| told.join(", "))
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
        UndoFate::Refused => "stopped by a guard",
    }
}

#[cfg(test)]
mod tests {
    use cloakroom_core::RunId;
    use cloakroom_reconcile::{Guard, GuardTrip};
    use uuid::Uuid;

    use super::*;

    fn report(fates: &[(UndoFate, u64)]) -> UndoReport {
        UndoReport {
            run: RunId(Uuid::from_u128(1)),
            undo: RunId(Uuid::from_u128(2)),
            backend: "a".parse().unwrap(),
            dry_run: false,
            fates: fates
                .iter()
                .map(|(fate, count)| (fate.as_str(), *count))
                .collect(),
            guard: None,
            cut_short: false,
            error: None,
        }
    }

    #[test]
    fn the_status_tells_whether_anything_is_left_to_do() {
        use UndoFate::{Failed, Gone, Held, InUse, NotFound, Restored};

        let of = |fates: &[(UndoFate, u64)]| exit(&report(fates));
        assert_eq!(
            of(&[(Restored, 3), (Held, 1), (InUse, 1), (NotFound, 1)]),
            Exit::Done
        );
        assert_eq!(of(&[(Restored, 3), (Gone, 1)]), Exit::Findings);
        assert_eq!(of(&[(Restored, 3), (Gone, 1), (Failed, 1)]), Exit::Partial);
        let cut = UndoReport {
            cut_short: true,
            ..report(&[(Restored, 3)])
        };
        assert_eq!(exit(&cut), Exit::Partial);
        let stopped = UndoReport {
            guard: Some(GuardTrip {
                guard: Guard::Epoch,
                saw: "another copy".to_owned(),
                overridden: false,
            }),
            ..cut
        };
        assert_eq!(exit(&stopped), Exit::Refused);
    }

    #[test]
    fn nobody_is_sent_to_the_ledger_for_a_platforms_secret() {
        assert!(next_step(Whose::Ours).contains("secret show"));
        assert!(!next_step(Whose::Platforms).contains("secret show"));
    }

    #[test]
    fn what_is_not_restored_is_summed_up_by_reason() {
        let some = report(&[
            (UndoFate::Restored, 3),
            (UndoFate::Gone, 2),
            (UndoFate::Failed, 1),
        ]);
        assert_eq!(others(&some).as_deref(), Some("1 failed, 2 gone for good"));
        assert_eq!(others(&report(&[(UndoFate::Restored, 3)])), None);
    }
}
