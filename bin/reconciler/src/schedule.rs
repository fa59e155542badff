//! Schedules: tokio-cron-scheduler only signals the driver, since it spawns what it runs and keeps
//! no handle on it. It keeps the next start of each job as a moment of the machine's clock: where that is
//! set back, nothing would start until it is there again, so that the schedules begin anew.

use std::time::Duration;

use anyhow::Context;
use cloakroom_core::store::Job;
use cloakroom_core::{Clock, Timestamp};
use cloakroom_reconcile::{Activator, JobName, RunReport};
use jiff::SignedDuration;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_cron_scheduler::{Job as Tick, JobScheduler};
use tokio_util::sync::CancellationToken;

use crate::cleaning::{CleanUp, CleanUps, CleaningSchedules};
use crate::configuration::{CronLine, Jobs};

/// How often the clock is looked at.
const LOOK: Duration = Duration::from_secs(10);

/// A clock that is put right little by little was not set back.
const LITTLE: SignedDuration = SignedDuration::from_secs(5);

/// Every enabled job, and the clean-up of every platform that has a schedule.
pub struct Schedules {
    /// When each job runs.
    pub jobs: Jobs,
    /// What is asked to run them.
    pub activator: Activator,
    /// When each platform is cleaned.
    pub platforms: CleaningSchedules,
    /// What is asked to clean them.
    pub clean_ups: CleanUps,
}

impl Schedules {
    /// Begins to activate them, goes by `clock`, the machine's, as it is set, and ends with `stop`.
    pub async fn start(
        self,
        clock: impl Clock + 'static,
        stop: CancellationToken,
    ) -> anyhow::Result<JoinHandle<()>> {
        let mut scheduler = self.begin().await?;
        let mut watched = Watched::new(clock);
        let kept = async move {
            while let Some(by) = stop.run_until_cancelled(watched.set_back()).await {
                tracing::warn!(
                    "the machine's clock was set back by {}: the schedules begin anew by what it says now",
                    humantime::format_duration(by)
                );
                match self.begin().await {
                    Ok(anew) => end(std::mem::replace(&mut scheduler, anew)).await,
                    Err(error) => {
                        tracing::error!(error = %format_args!("{error:#}"), "the schedules do not begin anew");
                    }
                }
            }
            end(scheduler).await;
        };
        Ok(tokio::spawn(kept))
    }

    async fn begin(&self) -> anyhow::Result<JobScheduler> {
        let scheduler = JobScheduler::new().await.context("start the scheduler")?;
        for job in Job::ALL {
            let schedule = self.jobs.of(job);
            if !schedule.enabled {
                tracing::info!(job.name = %job, "the schedule of this job is switched off");
                continue;
            }
            add(&scheduler, &schedule.cron, job, &self.activator).await?;
        }
        for (platform, schedule) in &self.platforms {
            if let Some(schedule) = schedule {
                let clean_up = CleanUp(platform.clone());
                add(&scheduler, schedule, clean_up, &self.clean_ups).await?;
            } else {
                tracing::info!(platform.name = platform, "this platform has no schedule");
            }
        }
        scheduler.start().await.context("start the scheduler")?;
        Ok(scheduler)
    }
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

async fn end(mut scheduler: JobScheduler) {
    if let Err(error) = scheduler.shutdown().await {
        tracing::warn!(error = %error, "the scheduler ended badly");
    }
}

/// A clock beside one that nobody sets.
struct Watched<C> {
    clock: C,
    /// What both said last.
    wall: Timestamp,
    steady: Instant,
}

impl<C: Clock> Watched<C> {
    fn new(clock: C) -> Self {
        Self {
            wall: clock.now(),
            steady: Instant::now(),
            clock,
        }
    }

    /// Waits until the clock is set back, and tells how far.
    async fn set_back(&mut self) -> Duration {
        loop {
            tokio::time::sleep(LOOK).await;
            let (steady, wall) = (Instant::now(), self.clock.now());
            let passed = SignedDuration::try_from(steady - self.steady).unwrap_or_default();
            let by = passed.saturating_sub(wall.duration_since(self.wall));
            (self.steady, self.wall) = (steady, wall);
            if by > LITTLE {
                let rounded = by.saturating_add(SignedDuration::from_millis(500));
                return Duration::from_secs(rounded.as_secs().unsigned_abs());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use cloakroom_testkit::ManualClock;

    use super::*;

    /// Each time that the clock is set back is told once, whatever else it does.
    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_back_is_noticed_each_time() {
        let (clock, told) = (ManualClock::default(), RefCell::new(Vec::<Duration>::new()));
        let mut watched = Watched::new(clock.clone());
        let watched = async {
            loop {
                let by = watched.set_back().await;
                told.borrow_mut().push(by);
            }
        };
        // The clock goes in the middle between two looks, so often.
        let passes = async |often: u32, wall: i64| {
            for _ in 0..often {
                clock.set(clock.now() + SignedDuration::from_secs(wall));
                tokio::time::sleep(LOOK).await;
            }
        };
        let life = async {
            const DAY: i64 = 24 * 3600;
            tokio::time::sleep(LOOK / 2).await;
            passes(60, 10).await;
            // A little too slow, and put right.
            passes(60, 7).await;
            passes(60, 13).await;
            // Ahead for a while, and right again.
            passes(1, 5 * DAY).await;
            passes(60, 10).await;
            assert!(told.take().is_empty());
            passes(1, 10 - 5 * DAY).await;
            passes(60, 10).await;
            let days = told.take();
            assert_eq!(days, [Duration::from_hours(5 * 24)]);
            passes(3, 10 - 60).await;
            passes(60, 10).await;
            assert_eq!(told.take(), [Duration::from_mins(1); 3]);
        };
        tokio::select! {
            () = watched => unreachable!("it watches for ever"),
            () = life => {}
        }
    }
}
