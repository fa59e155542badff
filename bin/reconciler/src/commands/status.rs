//! `status`.

use cloakroom_core::ledger::{Ledger, RowState};
use cloakroom_core::store::{DocumentStore, Job, Journal, RunOutcome, RunRecord};

use crate::cli::StatusArgs;
use crate::exit::Exit;
use crate::output::{Console, new_table};
use crate::wiring::Context;

/// Shows the store, its backends and the latest runs.
pub(super) async fn status(
    args: StatusArgs,
    context: &Context,
    console: &Console,
) -> anyhow::Result<Exit> {
    let identity = context.store.identity().await?;
    let now = context.store.now().await?;
    let runs = context.store.runs(args.runs).await?;
    let mut backends = Vec::new();
    for backend in context.backends.iter() {
        let counts = context.store.count_by_state(backend.id()).await?;
        backends.push((backend.id().clone(), backend.manager().to_owned(), counts));
    }
    let schedules = Job::ALL.map(|job| (job, context.configuration.jobs.of(job)));
    if console.is_json() {
        let backends: Vec<_> = backends
            .iter()
            .map(|(id, manager, counts)| {
                let secrets: serde_json::Map<String, serde_json::Value> = counts
                    .iter()
                    .map(|(state, number)| (state.as_str().to_owned(), (*number).into()))
                    .collect();
                serde_json::json!({"id": id, "manager": manager, "secrets": secrets})
            })
            .collect();
        let jobs: Vec<_> = schedules
            .iter()
            .map(|(job, schedule)| {
                let next = schedule.cron.next_after(now).filter(|_| schedule.enabled);
                serde_json::json!({
                    "job": job, "schedule": schedule.cron, "enabled": schedule.enabled, "next_run": next,
                })
            })
            .collect();
        console.json(&serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"), "store": identity, "now": now,
            "backends": backends, "jobs": jobs, "runs": runs,
        }))?;
        return Ok(Exit::Done);
    }
    console.line(format_args!(
        "store {} ({}), epoch {}",
        identity.store, identity.deployment, identity.epoch
    ))?;
    let mut table = new_table(&[
        "BACKEND", "MANAGER", "INTENDED", "STORED", "DELETING", "DELETED", "HELD", "PARKED",
    ]);
    for (id, manager, counts) in backends {
        let number = |state: RowState| {
            counts
                .iter()
                .find(|(of, _)| *of == state)
                .map_or(0, |(_, number)| *number)
                .to_string()
        };
        table.add_row(
            [id.to_string(), manager]
                .into_iter()
                .chain(RowState::ALL.map(number)),
        );
    }
    console.line("")?;
    console.table(&table)?;
    let mut table = new_table(&["JOB", "SCHEDULE (UTC)", "NEXT"]);
    for (job, schedule) in schedules {
        let next = schedule.cron.next_after(now).filter(|_| schedule.enabled);
        table.add_row([
            job.to_string(),
            schedule.cron.to_string(),
            next.map_or_else(|| "switched off".to_owned(), |next| next.to_string()),
        ]);
    }
    console.line("")?;
    console.table(&table)?;
    let mut table = new_table(&["RUN", "JOB", "BACKEND", "STARTED", "OUTCOME"]);
    for run in &runs {
        table.add_row([
            run.id.to_string(),
            run.job.to_string(),
            run.backend.to_string(),
            run.started.to_string(),
            outcome(run).to_owned(),
        ]);
    }
    console.line("")?;
    if runs.is_empty() {
        console.line("no job has run yet")?;
    } else {
        console.table(&table)?;
    }
    Ok(Exit::Done)
}

fn outcome(run: &RunRecord) -> &'static str {
    run.outcome
        .map_or("running, or its process died", RunOutcome::as_str)
}
