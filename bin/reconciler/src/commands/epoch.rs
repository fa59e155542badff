//! `epoch show|adopt`.

use std::io::{BufRead, IsTerminal};

use anyhow::bail;
use cloakroom_core::BackendId;
use cloakroom_reconcile::{EpochAdoption, EpochReport, EpochStanding};
use tokio_util::sync::CancellationToken;

use crate::cli::{AdoptEpochArgs, EpochCommand, ShowEpochArgs};
use crate::exit::Exit;
use crate::listing::{Listing, moment, or_nothing};
use crate::output::Console;
use crate::wiring::Context;

/// Runs one of them.
pub(super) async fn epoch(
    command: EpochCommand,
    context: &Context,
    console: &Console,
) -> anyhow::Result<Exit> {
    match command {
        EpochCommand::Show(args) => show(&args, context, console).await,
        EpochCommand::Adopt(args) => adopt(&args, context, console).await,
    }
}

async fn show(args: &ShowEpochArgs, context: &Context, console: &Console) -> anyhow::Result<Exit> {
    let backends: Vec<BackendId> = match &args.backend {
        Some(id) => vec![context.backends.get(id)?.id().clone()],
        None => context.backends.iter().map(|it| it.id().clone()).collect(),
    };
    let reconciler = context.reconciler(CancellationToken::new());
    let mut reports = Vec::new();
    for backend in &backends {
        reports.push(reconciler.epoch(backend).await?);
    }
    print(&reports, console)?;
    let stopped = reports.iter().any(|it| it.standing.guard().is_some());
    Ok(if stopped { Exit::Refused } else { Exit::Done })
}

async fn adopt(
    args: &AdoptEpochArgs,
    context: &Context,
    console: &Console,
) -> anyhow::Result<Exit> {
    let backend = context.one_backend(args.backend.as_ref())?;
    let reconciler = context.reconciler(CancellationToken::new());
    let before = reconciler.epoch(&backend).await?;
    if before.standing.guard().is_none() {
        print(&[before], console)?;
        console.note("nothing is to be adopted");
        return Ok(Exit::Done);
    }
    if !args.yes {
        confirm(&before, args.take_over, context, console)?;
    }
    let adoption = EpochAdoption {
        take_over: args.take_over,
        manager: args.manager,
        by: args.by.name(),
    };
    let after = reconciler.adopt_epoch(&backend, &adoption).await?;
    print(&[after], console)?;
    console.note(
        "this database goes on from here. Run `reconciler run verify-blobs` and `reconciler sweep` \
         next: what was written since may be unknown to it",
    );
    Ok(Exit::Done)
}

/// Has the operator type the deployment's name.
fn confirm(
    before: &EpochReport,
    take_over: bool,
    context: &Context,
    console: &Console,
) -> anyhow::Result<()> {
    let name = &context.configuration.deployment.name;
    console.note(before.saw.as_deref().unwrap_or_default());
    console.note(means(before, take_over));
    if !std::io::stdin().is_terminal() {
        bail!("nobody is there to ask; `--yes` says that you mean it");
    }
    console.note(format_args!(
        "type the deployment's name ({name}) to go on:"
    ));
    let mut typed = String::new();
    std::io::stdin().lock().read_line(&mut typed)?;
    if typed.trim() != name {
        bail!("that is not its name; nothing was changed");
    }
    Ok(())
}

fn means(before: &EpochReport, take_over: bool) -> &'static str {
    if before.standing == EpochStanding::Foreign {
        if take_over {
            "taking over means: that other store stops deleting for good, and what it wrote stays in \
             the backend, unknown to this one, until somebody clears it by hand"
        } else {
            "adopting does not take over from another store; see `--take-over`"
        }
    } else {
        "adopting means: this database decides from now on what goes, and every other copy of it \
         stops deleting. If another copy is still written to, its secrets are safe only as long as \
         this one does not know them"
    }
}

fn print(reports: &[EpochReport], console: &Console) -> anyhow::Result<()> {
    if console.is_json() {
        return reports.iter().try_for_each(|it| console.json_line(it));
    }
    let mut listing = Listing::new(&["BACKEND", "STORE", "RAISED", "MARK", "STANDING"]);
    for report in reports {
        listing.add([
            report.backend.to_string(),
            report.store.number.to_string(),
            or_nothing(report.store.raised.map(moment)),
            or_nothing(report.mark),
            words(report.standing).to_owned(),
        ]);
    }
    console.list(&listing)?;
    for report in reports {
        if let Some(saw) = &report.saw {
            console.line(format_args!("{}: {saw}", report.backend))?;
        }
        if !report.untold.is_empty() {
            console.note(format_args!(
                "{}: where this database is can be told in part only (not here: {}); a copy that takes its \
                 place may show in the epoch alone",
                report.backend,
                report.untold.join(", ")
            ));
        }
    }
    Ok(())
}

fn words(standing: EpochStanding) -> &'static str {
    match standing {
        EpochStanding::Fresh => "never raised",
        EpochStanding::Current => "agreed",
        EpochStanding::Unfinished => "being raised; the next run finishes it",
        EpochStanding::Behind => "this database is behind",
        EpochStanding::Copied => "another copy of this database is at work",
        EpochStanding::Lost => "the mark is lost",
        EpochStanding::Elsewhere => "this database is a copy, or was moved",
        EpochStanding::OtherManager => "the backend is another manager",
        EpochStanding::Foreign => "another store's",
    }
}
