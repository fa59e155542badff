//! `apply`.

use anyhow::Context as _;
use cloakroom_reconcile::{Plan, RunOptions};
use tokio_util::sync::CancellationToken;

use super::input;
use super::outcome::Runs;
use crate::cli::ApplyArgs;
use crate::exit::Exit;
use crate::output::Console;
use crate::progress::Progress;
use crate::signals;
use crate::wiring::Context;

/// The most bytes a plan may have: some 400 a candidate.
const MOST_BYTES: usize = 512 * 1024 * 1024;

/// Carries out a plan.
pub(super) async fn apply(
    args: ApplyArgs,
    context: &Context,
    console: &Console,
) -> anyhow::Result<Exit> {
    let text = input::text(&args.plan, MOST_BYTES)
        .with_context(|| input::describe("the plan", &args.plan))?;
    let plan = Plan::read(&text)?;
    let stop = CancellationToken::new();
    signals::cancel_on_signal(stop.clone())?;
    let options = RunOptions {
        dry_run: args.dry_run,
        overrides: args.overrides.into_iter().collect(),
        ..RunOptions::default()
    };
    context.configuration.log_doubts();
    let progress = Progress::new(console);
    let outcome = context
        .reconciler(stop)
        .apply(&plan, &options, &progress)
        .await;
    drop(progress);
    let mut runs = Runs::default();
    runs.take(plan.header.job, &plan.header.backend, outcome, console);
    runs.print(console)
}
