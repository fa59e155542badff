//! `move`.

use cloakroom_core::platform::PlatformMoves as _;
use cloakroom_core::store::{MoveSize, MoveState};
use cloakroom_documents::{MoveObserver, MoveOrder, MoveReport, MoveSettings, MoveStep, Mover};
use serde::Serialize;

use super::bar::Bar;
use super::moving_platform;
use crate::cli::MoveArgs;
use crate::exit::Exit;
use crate::listing::Listing;
use crate::output::{Console, count};
use crate::wiring::Context;

/// Documents printed one by one; `--output json` tells of more.
const MOST_PRINTED: usize = 20;

/// Moves secrets, takes a move back or finishes it.
pub(super) async fn moving(
    args: MoveArgs,
    context: &Context,
    console: &Console,
) -> anyhow::Result<Exit> {
    if let Some(platform) = args.platform.clone() {
        return Box::pin(moving_platform::moving(args, &platform, context, console)).await;
    }
    refuse_a_platforms(&args, context).await?;
    let watch = Bar::new(console, "documents ({elapsed}, {eta} left)")?;
    let mover = Mover::new(
        context.documents.clone(),
        context.store.clone(),
        MoveSettings::default(),
    );
    let report = step(args, &mover, &watch).await;
    drop(watch);
    let (report, sending) = report?;
    let told = Told {
        next: next_steps(&report, &sending),
        still_sending: sending,
        report: &report,
    };
    if console.is_json() {
        console.json(&told)?;
    } else {
        print(&told, console)?;
    }
    Ok(exit(&report))
}

/// A platform's move has an id like any other.
async fn refuse_a_platforms(args: &MoveArgs, context: &Context) -> anyhow::Result<()> {
    let Some(id) = args.finish.or(args.reverse) else {
        return Ok(());
    };
    if let Some(record) = context.store.platform_move(id).await? {
        let platform = record.platform;
        anyhow::bail!("move {id} is of platform {platform}: say --platform {platform} too");
    }
    Ok(())
}

/// Takes the step that was asked for; beside its report, what of the configuration still sends new
/// secrets to the backend that a dry run would leave.
async fn step(
    args: MoveArgs,
    mover: &Mover,
    watch: &Bar,
) -> anyhow::Result<(MoveReport, Vec<String>)> {
    let dry_run = args.dry_run;
    if let Some(id) = args.finish {
        return Ok((mover.finish(id, dry_run, watch).await?, Vec::new()));
    }
    if let Some(id) = args.reverse {
        let report = mover.reverse(id, dry_run, watch).await?;
        let sending = mover.still_sending(&report.to, &report.workspaces)?;
        return Ok((report, sending));
    }
    let (Some(from), Some(to)) = (args.from, args.to) else {
        anyhow::bail!("say where from and where to: --from ID --to ID");
    };
    let order = MoveOrder {
        from,
        to,
        workspaces: args.workspaces,
    };
    let report = mover.copy(&order, dry_run, watch).await?;
    let sending = mover.still_sending(&order.from, &order.workspaces)?;
    Ok((report, sending))
}

/// A report with what the operator may do about it.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    report: &'a MoveReport,
    /// What of the configuration still sends new secrets to the backend that is left.
    still_sending: Vec<String>,
    /// What to do next, in order.
    next: Vec<String>,
}

/// 0: all of it is done. 3: something is left, or would be. 5: it was told to stop.
fn exit(report: &MoveReport) -> Exit {
    Exit::of_work(report.cut_short, report.is_complete())
}

fn next_steps(report: &MoveReport, sending: &[String]) -> Vec<String> {
    let MoveReport { from, to, .. } = report;
    let (left, entered) = match report.step {
        MoveStep::Reverse => (to, from),
        MoveStep::Copy | MoveStep::Finish => (from, to),
    };
    let mut next = Vec::new();
    if !sending.is_empty() && report.dry_run {
        next.push(format!(
            "new secrets still go to {left}: set {} to {entered} in the configuration of everything \
             that writes documents, and restart it",
            sending.join(" and ")
        ));
    }
    if report.failures() > 0 || report.cut_short {
        next.push("see to what was in the way, and run the same command again".to_owned());
        return next;
    }
    let id = report.id.map(|id| id.to_string()).unwrap_or_default();
    match (report.step, report.state) {
        (_, _) if report.dry_run => next.push("run it without --dry-run".to_owned()),
        (MoveStep::Copy, _) if report.left != MoveSize::default() => {
            next.push("documents were written meanwhile: run the same command again".to_owned());
        }
        (MoveStep::Copy, Some(MoveState::Open)) => {
            next.push(format!(
                "run the jobs as ever, and `reconciler run verify-blobs --backend {to}` now"
            ));
            next.push(format!(
                "back: `reconciler move --reverse {id}`; for good: `reconciler move --finish {id}`"
            ));
        }
        (MoveStep::Finish, Some(MoveState::Open)) => next.push(format!(
            "{} still refer to {from}: run `reconciler move --from {from} --to {to}` again",
            count(report.left.documents, "document", "documents")
        )),
        (MoveStep::Finish, _) => next.push(format!(
            "expire-orphans deletes the old copies recoverably in their time. Where they are many of \
             what is in {from} the guard `share` stops that: let one run past it with `reconciler run \
             expire-orphans --backend {from} --override share`"
        )),
        (MoveStep::Reverse | MoveStep::Copy, _) => {}
    }
    next
}

fn print(told: &Told<'_>, console: &Console) -> anyhow::Result<()> {
    let report = told.report;
    if !report.issues.is_empty() {
        let mut listing = Listing::new(&["DOCUMENT", "KIND", "IN THE WAY"]);
        for issue in report.issues.iter().take(MOST_PRINTED) {
            listing.add([
                issue.document.to_string(),
                issue.kind.to_string(),
                issue.message.clone(),
            ]);
        }
        console.list(&listing)?;
        if report.issues.len() > MOST_PRINTED {
            console.note("more is in the way; `--output json` tells it all");
        }
    }
    console.line(summary(report))?;
    if let (Some(id), Some(state)) = (report.id, report.state) {
        console.line(format_args!(
            "move {id} from {} to {}: {}",
            report.from,
            report.to,
            state.as_str()
        ))?;
    }
    for step in &told.next {
        console.note(format_args!("next: {step}"));
    }
    Ok(())
}

fn summary(report: &MoveReport) -> String {
    let mut parts = Vec::new();
    let documents = count(report.documents, "document", "documents");
    let would = if report.dry_run { "would be " } else { "" };
    if report.step != MoveStep::Finish {
        parts.push(format!("{documents} {would}switched"));
        parts.push(format!("{} {would}copied", secrets(report.copied)));
    }
    parts.push(format!("{} verified", report.verified));
    for (number, what) in [
        (report.returned, "old copies in use again"),
        (report.already_there, "taken along by earlier runs"),
        (report.released, "old copies let go"),
        (report.differing, "not what was stored"),
    ] {
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
    }
    for (kind, number) in &report.failed {
        let documents = count(*number, "document stands", "documents stand");
        parts.push(format!("{documents} as before ({kind})"));
    }
    if report.left != MoveSize::default() {
        parts.push(format!(
            "{} of {} left in {}",
            secrets(report.left.references),
            count(report.left.documents, "document", "documents"),
            report.from
        ));
    }
    parts.join(", ")
}

fn secrets(number: u64) -> String {
    count(number, "secret", "secrets")
}

impl MoveObserver for Bar {
    fn progressed(&self, done: u64, of: u64) {
        self.show(done, of);
    }

    fn told_to_stop(&self) -> bool {
        Bar::told_to_stop(self)
    }
}
