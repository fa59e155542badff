//! `plan`.

use tokio_util::sync::CancellationToken;

use crate::cli::PlanArgs;
use crate::exit::Exit;
use crate::output::Console;
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
        "plan {}: {} candidates of {} on {backend}{more}",
        &plan.id[..plan.id.len().min(12)],
        plan.items.len(),
        args.job,
    ));
    for trip in &plan.header.guards {
        console.note(format_args!(
            "guard {} would step in: {}",
            trip.guard, trip.saw
        ));
    }
    if plan.items.is_empty() {
        console.note("nothing is due; applying it does nothing");
    } else {
        console.note("`reconciler apply FILE` carries out exactly this, once");
    }
    Ok(Exit::Done)
}
