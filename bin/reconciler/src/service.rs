//! The service: schedules activate the driver, HTTP tells about it, a signal ends both in time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use cloakroom_core::ledger::Ledger as _;
use cloakroom_core::store::Job;
use cloakroom_core::{SystemClock, SystemRandomness};
use cloakroom_reconcile::{CleanReport, Driver};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::backlog::Backlogs;
use crate::cleaning::{CleanUp, CleaningFigures, CleaningRunner, CleaningSchedules};
use crate::configuration::Jobs;
use crate::exit::Exit;
use crate::figures::Figures;
use crate::http::{self, App, Counts, DryRuns, Limits, Token};
use crate::last_success::Ahead;
use crate::metrics::Metrics;
use crate::presence::{BEAT, Presence};
use crate::runner::MeasuredRunner;
use crate::schedule::Schedules;
use crate::signals::UserSignal;
use crate::wiring::{Connection, Context, Refreshed, RequestBudget};

/// A database that is not the one that was opened is looked at only by a start: its schema, its identity and
/// its epoch.
const ELSEWHERE: &str = "store.postgres.url names another server, database or search path than the one this \
                         process has open; it ends here, and a start goes there";

/// How the service runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// When each job runs; `None` schedules nothing.
    pub jobs: Option<Jobs>,
    /// How long the running item may take to finish once told to stop.
    pub shutdown_deadline: Duration,
    /// What a client may take up.
    pub limits: Limits,
    /// Who may start jobs and see ids.
    pub token: Token,
}

/// Serves until `stop` is cancelled, then lets the running item finish, and says whether that was in time.
/// Every job is asked to run at each of the `wishes`.
pub async fn serve(
    listener: TcpListener,
    context: &Context,
    metrics: Arc<Metrics>,
    settings: Settings,
    wishes: UserSignal,
    stop: CancellationToken,
) -> anyhow::Result<Exit> {
    let reconciler = context.reconciler(stop.clone());
    let platforms = platforms(context);
    let started = context.store.now().await?;
    let mut upkeep = Upkeep {
        presence: Presence::new(context.store.clone(), &SystemRandomness),
        figures: Figures::new(context, reconciler.clone(), metrics.clone(), started),
        platforms: CleaningFigures::new(
            context.clone(),
            platforms.clone(),
            metrics.clone(),
            started,
        ),
        budgets: context.budgets.clone(),
        jobs: settings.jobs.clone(),
        intervals: BTreeMap::new(),
        store: context.store.clone(),
        metrics: metrics.clone(),
        connection: context.connection(),
    };
    // The first scrape finds what is true.
    if Box::pin(upkeep.once()).await == Refreshed::Elsewhere {
        bail!(ELSEWHERE);
    }
    let jitter = settings
        .jobs
        .as_ref()
        .map_or(Duration::ZERO, |jobs| jobs.jitter.0);
    let runner = MeasuredRunner::new(reconciler.clone(), context.store.clone(), metrics.clone());
    let runner = runner.with_budgets(context.budgets.clone());
    let driver = Driver::start(
        Arc::new(runner),
        Arc::new(SystemRandomness),
        jitter,
        stop.clone(),
    );
    let cleaner = Arc::new(CleaningRunner::new(
        context.clone(),
        platforms.clone(),
        metrics.clone(),
        stop.clone(),
    ));
    let cleaning = clean_ups(&platforms, &cleaner, jitter, &stop);
    let activator = driver.activator();
    wishes.on_each({
        let activator = activator.clone();
        move || Job::ALL.into_iter().for_each(|job| activator.activate(job))
    });
    let app = Arc::new(App {
        metrics,
        activator: activator.clone(),
        clean_ups: cleaning.activator(),
        clean_up_dry_runs: DryRuns::new(cleaner.clone()),
        cleaner,
        platforms: platforms.clone(),
        backlogs: Backlogs::new(context, reconciler.clone()),
        counts: Counts::new(context),
        dry_runs: DryRuns::new(Arc::new(reconciler)),
        jobs: settings.jobs.clone(),
        store: context.store.clone(),
        key_file: context.key_file(),
        budgets: context.budgets.clone(),
        token: settings.token,
        timeout: settings.limits.timeout,
        started,
        ahead: Ahead::default(),
        stop: stop.clone(),
    });
    let schedules = settings.jobs.map(|jobs| Schedules {
        jobs,
        activator,
        platforms,
        clean_ups: cleaning.activator(),
    });
    let scheduled = match schedules {
        Some(schedules) => Box::pin(schedules.start(SystemClock, stop.clone())).await?,
        None => tokio::spawn(async {}),
    };
    let address = listener.local_addr().context("ask for the address")?;
    tracing::info!(http.address = %address, "listening");
    if !address.ip().is_loopback() {
        tracing::warn!(http.address = %address, "metrics and status are open to whoever can reach this address");
    }
    let router = http::router(app);
    let server = tokio::spawn(http::serve(listener, router, settings.limits, stop.clone()));
    let upkeep = tokio::spawn(upkeep.until(stop.clone()));

    stop.cancelled().await;
    let stopped = async {
        driver.join().await;
        cleaning.join().await;
        let served = server.await;
        (upkeep.await, scheduled.await.and(served))
    };
    let Ok((place, served)) = tokio::time::timeout(settings.shutdown_deadline, stopped).await
    else {
        // A request that waits for its answer may still do its work: until it cannot, the lease keeps
        // others out.
        tracing::error!(
            "the running item did not finish within {}; its claims and its lease lapse and the next run \
             takes it up",
            humantime::format_duration(settings.shutdown_deadline)
        );
        return Ok(Exit::NotStoppedInTime);
    };
    served.context("end the HTTP server")??;
    if place.context("end the upkeep")? == Refreshed::Elsewhere {
        bail!(ELSEWHERE);
    }
    tracing::info!("stopped");
    Ok(Exit::Done)
}

/// When each platform is cleaned.
fn platforms(context: &Context) -> CleaningSchedules {
    let known = context.configuration.platforms.iter();
    known
        .map(|(name, platform)| (name.clone(), platform.schedule().cloned()))
        .collect()
}

/// What cleans the platforms, one after the other. Reading somebody else's database may take long, and
/// the jobs do not wait for that.
fn clean_ups(
    platforms: &CleaningSchedules,
    cleaner: &Arc<CleaningRunner>,
    jitter: Duration,
    stop: &CancellationToken,
) -> Driver<CleanUp, CleanReport> {
    Driver::of(
        platforms.keys().cloned().map(CleanUp),
        cleaner.clone(),
        Arc::new(SystemRandomness),
        jitter,
        stop.clone(),
    )
}

/// What has to be done now and then whether or not anybody asks.
struct Upkeep {
    presence: Presence,
    figures: Figures,
    platforms: CleaningFigures,
    budgets: Vec<Arc<RequestBudget>>,
    jobs: Option<Jobs>,
    /// Looked for once: to find the longest takes thousands of looks at a schedule.
    intervals: BTreeMap<Job, Option<Duration>>,
    store: Arc<cloakroom_store_db::DbStore>,
    metrics: Arc<Metrics>,
    connection: Option<Connection>,
}

impl Upkeep {
    /// Works until told to stop, and stops the whole process where the database is another one by now.
    async fn until(mut self, stop: CancellationToken) -> Refreshed {
        let mut place = Refreshed::Here;
        while place == Refreshed::Here {
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(BEAT) => place = self.once().await,
            }
        }
        if place == Refreshed::Elsewhere {
            tracing::warn!("{ELSEWHERE}");
        }
        stop.cancel();
        self.presence.leave().await;
        place
    }

    async fn once(&mut self) -> Refreshed {
        self.metrics.run_upkeep();
        match self.connection.as_mut().map(Connection::refresh) {
            Some(Ok(Refreshed::Elsewhere)) => return Refreshed::Elsewhere,
            Some(Err(error)) => {
                tracing::warn!(error = %format_args!("{error:#}"), "the last database URL stays in force");
            }
            Some(Ok(Refreshed::Here)) | None => {}
        }
        // What is open of a file that is gone answers all the same: nothing is told of it.
        match self.store.check_place().await {
            Ok(()) => self.beat().await,
            Err(error) => tracing::warn!(error = %error, "the database is not where it was opened"),
        }
        self.tell_schedules().await;
        if self.jobs.is_some() {
            self.platforms.tell_schedules().await;
        }
        Refreshed::Here
    }

    async fn beat(&mut self) {
        match self.presence.beat().await {
            Ok(beat) => {
                for budget in &self.budgets {
                    budget.set_replicas(beat.replicas);
                }
                if beat.figures_until.is_some() {
                    self.figures.tell(beat.replicas).await;
                    self.platforms.tell().await;
                }
                self.metrics.lead_until(beat.figures_until);
            }
            Err(error) => {
                tracing::warn!(error = %error, "the other replicas do not hear of this one");
            }
        }
    }

    async fn tell_schedules(&mut self) {
        let (Some(jobs), Ok(now)) = (&self.jobs, self.store.now().await) else {
            return;
        };
        for job in Job::ALL {
            let schedule = jobs.of(job);
            if schedule.enabled {
                let next = schedule.cron.next_after(now);
                let look = || schedule.cron.longest_interval(now);
                let interval = *self.intervals.entry(job).or_insert_with(look);
                self.metrics.set_schedule(job, next, interval);
            }
        }
    }
}
