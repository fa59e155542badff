//! `plan`.

use cloakroom_core::store::Job;
use cloakroom_reconcile::Plan;
use tokio_util::sync::CancellationToken;

use crate::cli::PlanArgs;
use crate::exit::Exit;
use crate::output::{Console, count};
use crate::progress::Progress;
use crate::signals;
use crate::wiring::Context;

/// Prints a plan; what it holds is said beside it, so that the plan itself can be piped.
pub(super) async fn plan(
    args: PlanArgs,
    context: &Context,
    console: &Console,
) -> anyhow::Result<Exit> {
    let stop = CancellationToken::new();
    signals::cancel_on_signal(stop.clone())?;
    let backend = context.one_backend(args.backend.as_ref())?;
    let progress = Progress::new(console);
    let plan = context
        .reconciler(stop)
        .plan(args.job, &backend, args.limit, &progress)
        .await?;
    drop(progress);
    console.json(&plan)?;
    let more = if plan.header.more {
        ", and more is due than it holds"
    } else {
        ""
    };
    console.note(format_args!(
        "plan {}: {} of {} on {backend}{more}",
        &plan.id[..plan.id.len().min(12)],
        candidates(&plan),
        args.job,
    ));
    for trip in &plan.header.guards {
        console.note(format_args!(
            "guard {} would step in: {}",
            trip.guard, trip.saw
        ));
    }
    let over = plan.header.to_purge;
    if over > 0 {
        let secrets = count(over, "secret", "secrets");
        console.note(format_args!(
            "{secrets} handed to deletion before, whose recovery window is over: a run removes them for good, applying a plan does not"
        ));
    }
    if plan.is_empty() {
        console.note("nothing is to be done; applying it does nothing");
    } else {
        console.note("`reconciler apply FILE` carries out exactly this, once");
    }
    // Of deletions a plan only tells; findings stand, whether or not it is applied.
    Ok(if plan.findings.is_empty() {
        Exit::Done
    } else {
        Exit::Findings
    })
}

fn candidates(plan: &Plan) -> String {
    let deletions = count(plan.items.len() as u64, "deletion", "deletions");
    let rescues = count(plan.rescues.len() as u64, "rescue", "rescues");
    let findings = count(plan.findings.len() as u64, "finding", "findings");
    match plan.header.job {
        Job::VerifyBlobs => format!("{rescues} and {findings}"),
        Job::ExpireOrphans | Job::DeleteSuperseded => deletions,
    }
}
