//! The clean-ups of platforms that `serve` starts: what their driver runs, measured, and how they stand
//! in the database.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::ledger::Ledger as _;
use cloakroom_core::platform::{Adoptions as _, Removals as _};
use cloakroom_core::store::RunOutcome;
use cloakroom_core::{Error, ErrorKind, Result, Timestamp};
use cloakroom_reconcile::{Activator, CleanCounted, CleanOptions, CleanReport, JobRunner, is_busy};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::configuration::CronLine;
use crate::http::Look;
use crate::last_success::Ahead;
use crate::metrics::{CountedCleaning, Metrics, cleaning_job_name};
use crate::platform;
use crate::wiring::Context;

/// The clean-up of the platform of this name, called as metrics call it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CleanUp(pub String);

impl fmt::Display for CleanUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&cleaning_job_name(&self.0))
    }
}

/// Activates clean-ups, and tells where they stand.
pub type CleanUps = Activator<CleanUp, CleanReport>;

/// When `serve` cleans each platform; `None` where it does not.
pub type CleaningSchedules = BTreeMap<String, Option<CronLine>>;

/// Cleans platforms and counts what was done.
pub struct CleaningRunner {
    context: Context,
    schedules: CleaningSchedules,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
    /// What somebody asked for since its last run began.
    by_hand: Mutex<BTreeSet<String>>,
}

impl CleaningRunner {
    /// Cleans the platforms of `context`. Cancelling `stop` ends a run after the batch under way, and
    /// at once where nothing has been changed yet.
    pub fn new(
        context: Context,
        schedules: CleaningSchedules,
        metrics: Arc<Metrics>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            context,
            schedules,
            metrics,
            stop,
            by_hand: Mutex::default(),
        }
    }

    /// Lets the next run clean a platform though its schedule has not come since the last.
    pub fn ask_by_hand(&self, platform: &str) {
        self.by_hand().insert(platform.to_owned());
    }

    fn by_hand(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.by_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cleans a platform, unless nobody has confirmed a plan for it, or another replica has cleaned it
    /// since its schedule last asked for that and nobody else did.
    async fn clean(&self, platform: &str) -> Result<Option<CleanReport>> {
        let asked_for = self.by_hand().remove(platform);
        let store = &self.context.store;
        if store.confirmation(platform).await?.is_none() {
            self.metrics.count_unconfirmed(platform);
            tracing::warn!(
                platform.name = platform,
                "not cleaned: nobody has confirmed a plan; `reconciler adopt` shows one"
            );
            return Ok(None);
        }
        if !asked_for && self.is_done(platform).await? {
            tracing::debug!(platform.name = platform, "cleaned meanwhile");
            return Ok(None);
        }
        let counted = Mutex::new(CountedCleaning::default());
        let count = |report: &CleanReport| {
            let mut counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
            self.metrics.count_more_cleaned(report, &mut counted);
        };
        let cleaned = self.run(platform, &CleanOptions::default(), &count).await;
        if asked_for && cleaned.as_ref().is_err_and(is_busy) {
            self.ask_by_hand(platform);
        }
        cleaned.map(Some)
    }

    async fn run(
        &self,
        platform: &str,
        options: &CleanOptions,
        counted: CleanCounted<'_>,
    ) -> Result<CleanReport> {
        // Made for each run, so that it goes by the database's credentials as they are now.
        let cleaner = platform::cleaner(&self.context, Some(platform), self.stop.clone());
        let cleaner = cleaner.map_err(|error| {
            Error::new(ErrorKind::Invalid, "clean a platform", format!("{error:#}"))
                .with_coordinate(platform)
        })?;
        cleaner.clean_counted(options, &|_, _| {}, counted).await
    }

    async fn is_done(&self, platform: &str) -> Result<bool> {
        let Some(Some(schedule)) = self.schedules.get(platform) else {
            return Ok(false);
        };
        let store = &self.context.store;
        let Some(last) = store.last_removal_run(platform, None).await? else {
            return Ok(false);
        };
        let now = store.now().await?;
        // One from the future says nothing.
        let next = schedule.next_after(last.started);
        Ok(last.started <= now && next.is_some_and(|due| due > now))
    }
}

#[async_trait]
impl JobRunner<CleanUp, CleanReport> for CleaningRunner {
    async fn now(&self) -> Result<Timestamp> {
        self.context.store.now().await
    }

    async fn run_job(&self, CleanUp(platform): CleanUp) -> Vec<Result<CleanReport>> {
        let began = Instant::now();
        let cleaned = Box::pin(self.clean(&platform)).await;
        match &cleaned {
            Ok(Some(report)) => {
                let outcome = report.outcome;
                self.metrics
                    .record_cleaning(&platform, outcome, began.elapsed());
                self.metrics.set_platform(report);
            }
            Ok(None) => {}
            Err(error) if is_busy(error) => {}
            Err(_) => {
                let failed = RunOutcome::Failed;
                self.metrics
                    .record_cleaning(&platform, failed, began.elapsed());
            }
        }
        cleaned.transpose().into_iter().collect()
    }
}

#[async_trait]
impl Look<String, CleanReport> for CleaningRunner {
    async fn look(&self, platform: &String) -> Vec<Result<CleanReport>> {
        let options = CleanOptions {
            dry_run: true,
            ..CleanOptions::default()
        };
        vec![Box::pin(self.run(platform, &options, &|_| {})).await]
    }
}

/// The gauges of platforms, brought to what the journal says.
pub struct CleaningFigures {
    context: Context,
    schedules: CleaningSchedules,
    metrics: Arc<Metrics>,
    /// When this process began.
    started: Timestamp,
    ahead: Ahead,
    /// Looked for once: to find the longest takes thousands of looks at a schedule.
    intervals: BTreeMap<String, Option<Duration>>,
}

impl CleaningFigures {
    /// The figures of these platforms, for these metrics, of a process that `started` then; all of them
    /// at 0.
    pub fn new(
        context: Context,
        schedules: CleaningSchedules,
        metrics: Arc<Metrics>,
        started: Timestamp,
    ) -> Self {
        for (platform, schedule) in &schedules {
            metrics.register_platform(platform, schedule.is_some());
        }
        Self {
            context,
            schedules,
            metrics,
            started,
            ahead: Ahead::default(),
            intervals: BTreeMap::new(),
        }
    }

    /// Reads everything anew. What cannot be read stays as it was.
    pub async fn tell(&self) {
        for (platform, schedule) in &self.schedules {
            if let Err(error) = self.tell_platform(platform, schedule.is_some()).await {
                tracing::warn!(platform.name = platform, error = %error, "could not read the figures of a platform");
            }
        }
    }

    async fn tell_platform(&self, platform: &str, scheduled: bool) -> Result<()> {
        let store = &self.context.store;
        let last = store.last_removal_run(platform, None).await?;
        // A report of an older version may lack what this one has.
        let outcome = last.as_ref().and_then(|run| run.outcome);
        let report = last.and_then(|run| serde_json::from_value::<CleanReport>(run.report).ok());
        let guards = report.as_ref().map(|report| &*report.guards);
        self.metrics
            .set_last_outcome(platform, outcome, guards.unwrap_or_default());
        if let Some(report) = report {
            self.metrics.set_platform(&report);
        }
        let complete = store.last_removal_run(platform, Some(RunOutcome::Done));
        let finished = complete.await?.and_then(|run| run.finished);
        if scheduled {
            let now = store.now().await?;
            let since = finished.unwrap_or(self.started);
            let since = self.ahead.settled(platform, since, now);
            let known = finished.filter(|at| *at <= now);
            self.metrics.set_last_cleaning(platform, known, since);
        }
        Ok(())
    }

    /// Says when the schedules come next.
    pub async fn tell_schedules(&mut self) {
        let Ok(now) = self.context.store.now().await else {
            return;
        };
        for (platform, schedule) in &self.schedules {
            if let Some(schedule) = schedule {
                let look = || schedule.longest_interval(now);
                let interval = *self.intervals.entry(platform.clone()).or_insert_with(look);
                let next = schedule.next_after(now);
                self.metrics.set_cleaning_schedule(platform, next, interval);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_calls_it_as_metrics_do() {
        let clean_up = CleanUp("production".to_owned());
        assert_eq!(clean_up.to_string(), "clean/production");
    }
}
