//! `run`.

use cloakroom_core::BackendId;
use cloakroom_reconcile::RunOptions;
use tokio_util::sync::CancellationToken;

use super::outcome::Runs;
use crate::cli::RunArgs;
use crate::exit::Exit;
use crate::output::Console;
use crate::progress::Progress;
use crate::signals;
use crate::unconfigured::unconfigured;
use crate::wiring::Context;

/// Runs jobs now, on every backend or on one.
pub(super) async fn run(
    args: RunArgs,
    context: &Context,
    console: &Console,
) -> anyhow::Result<Exit> {
    let stop = CancellationToken::new();
    signals::cancel_on_signal_within(stop.clone(), context.configuration.shutdown.deadline.0)?;
    context.configuration.log_doubts();
    context.log_doubt().await?;
    let reconciler = context.reconciler(stop.clone());
    let backends: Vec<BackendId> = match args.backend {
        Some(ref id) => vec![context.backends.get(id)?.id().clone()],
        None => context.backends.ids().cloned().collect(),
    };
    let options = RunOptions {
        dry_run: args.dry_run,
        read_values: args.read_values,
        overrides: args.overrides.into_iter().collect(),
    };
    let mut runs = Runs::default();
    if args.backend.is_none() {
        runs.leave(
            &unconfigured(&context.store, context.backends.ids()).await?,
            console,
        );
    }
    for job in args.target.jobs() {
        for backend in &backends {
            let progress = Progress::new(console);
            let outcome = reconciler.run(job, backend, &options, &progress).await;
            drop(progress);
            runs.take(job, backend, outcome, console);
        }
        if stop.is_cancelled() {
            break;
        }
    }
    let exit = runs.print(console)?;
    Ok(if stop.is_cancelled() {
        exit.and(Exit::Partial)
    } else {
        exit
    })
}
