//! Schedules: tokio-cron-scheduler only signals the driver, since it spawns what it runs and keeps
//! no handle on it.

use anyhow::Context;
use cloakroom_core::store::Job;
use cloakroom_reconcile::{Activator, JobName, RunReport};
use tokio_cron_scheduler::{Job as Tick, JobScheduler};

use crate::cleaning::{CleanUps, CleaningSchedules};
use crate::configuration::{CronLine, Jobs};

/// Begins to activate every enabled job, and the clean-up of every platform that has a schedule, on
/// it. The schedules end with [`JobScheduler::shutdown`].
pub async fn start(
    jobs: &Jobs,
    activator: &Activator,
    platforms: &CleaningSchedules,
    clean_ups: &CleanUps,
) -> anyhow::Result<JobScheduler> {
    let scheduler = JobScheduler::new().await.context("start the scheduler")?;
    for job in Job::ALL {
        let schedule = jobs.of(job);
        if !schedule.enabled {
            tracing::info!(job.name = %job, "the schedule of this job is switched off");
            continue;
        }
        add(&scheduler, &schedule.cron, job, activator).await?;
    }
    for (platform, schedule) in platforms {
        if let Some(schedule) = schedule {
            add(&scheduler, schedule, platform.clone(), clean_ups).await?;
        } else {
            tracing::info!(platform.name = platform, "this platform has no schedule");
        }
    }
    scheduler.start().await.context("start the scheduler")?;
    Ok(scheduler)
}

async fn add<J: JobName, R: RunReport>(
    scheduler: &JobScheduler,
    schedule: &CronLine,
    job: J,
    activator: &Activator<J, R>,
) -> anyhow::Result<()> {
    let (name, activator) = (job.to_string(), activator.clone());
    let tick = Tick::new(schedule.with_seconds(), move |_, _| {
        tracing::debug!(job.name = %job, "activated by its schedule");
        activator.activate(job.clone());
    });
    let tick = tick.with_context(|| format!("schedule {name} at `{schedule}`"))?;
    let added = scheduler.add(tick).await;
    added.with_context(|| format!("schedule {name}"))?;
    Ok(())
}
