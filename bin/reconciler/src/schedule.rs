//! Schedules: tokio-cron-scheduler only signals the driver, since it spawns what it runs and keeps
//! no handle on it.

use anyhow::Context;
use cloakroom_core::store::Job;
use cloakroom_reconcile::Activator;
use tokio_cron_scheduler::{Job as Tick, JobScheduler};

use crate::configuration::Jobs;

/// Begins to activate every enabled job on its schedule. The schedules end with
/// [`JobScheduler::shutdown`].
pub async fn start(jobs: &Jobs, activator: &Activator) -> anyhow::Result<JobScheduler> {
    let scheduler = JobScheduler::new().await.context("start the scheduler")?;
    for job in Job::ALL {
        let schedule = jobs.of(job);
        if !schedule.enabled {
            tracing::info!(job.name = %job, "the schedule of this job is switched off");
            continue;
        }
        let activator = activator.clone();
        let tick = Tick::new(schedule.cron.with_seconds(), move |_, _| {
            tracing::debug!(job.name = %job, "activated by its schedule");
            activator.activate(job);
        });
        let tick = tick.with_context(|| format!("schedule {job} at `{}`", schedule.cron))?;
        scheduler
            .add(tick)
            .await
            .with_context(|| format!("schedule {job}"))?;
    }
    scheduler.start().await.context("start the scheduler")?;
    Ok(scheduler)
}
