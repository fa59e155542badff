//! The jobs: scan, plan, guard, execute; and the single-flight driver that activates them.
// Its example needs a store and a backend, which this crate may not know: it runs where all are known,
// in bin/reconciler.
#![cfg_attr(not(doctest), doc = include_str!("../README.md"))]

mod apply;
mod ask;
mod causes;
mod delete;
mod driver;
mod epoch;
mod execute;
mod guard;
mod let_go;
mod listing;
mod observe;
mod plan;
mod platform;
mod purge;
mod report;
mod rescue;
mod settings;
mod survey;
mod sweep;
mod undo;
mod unfinished;
mod unknown;
mod verify;

use std::sync::{Arc, Mutex, PoisonError};

use cloakroom_core::ledger::{QuarantineRelease, Windows};
use cloakroom_core::mutant::{self, Mutant};
use cloakroom_core::store::{Finding, Job, Lease, NewRun, RunOutcome, Store, StoreIdentity};
use cloakroom_core::{
    BackendId, BackendSet, Error, ErrorKind, KeySource, Randomness, Result, RunId, SecretBackend,
    Timestamp,
};
use tokio_util::sync::CancellationToken;

pub use driver::{Activator, Driver, HeldUp, JobName, JobRunner, JobState, RunReport};
pub use epoch::{EpochAdoption, EpochReport, EpochStanding, epoch_mark, is_epoch_mark};
pub use guard::{Guard, GuardTrip};
pub use let_go::{LetGoOptions, LetGoReport, Missed, NamedStill};
pub use observe::{Observer, Phase, Silent};
pub use plan::{Plan, PlanHeader, PlanItem, PlanRescue, RescueReason};
pub use platform::{
    Age, AirbyteNaming, CleanCount, CleanCounted, CleanFailure, CleanGuard, CleanGuardTrip,
    CleanOptions, CleanReport, Cost, Neighbour, NextRun, PlannedFate, PlatformCleaner,
    PlatformFinding, PlatformFindingKind, PlatformMoveIssue, PlatformMoveReport, PlatformMoveStep,
    PlatformMoveStore, PlatformMover, PlatformObserver, PlatformPhase, PlatformPlan,
    PlatformPlanHeader, PlatformPlanItem, PlatformReader, PlatformReport, PlatformSettings,
    StandingCount, UnusedSecret, alone_at_platform, platform_lease_name,
};
pub use report::{Checked, DeletionCount, Report};
pub use settings::{RunOptions, Settings};
pub use sweep::{SweepFate, SweepOptions, SweepReport, Swept};
pub use undo::{UndoFate, UndoOptions, UndoReport, Undone};

const BEGIN: &str = "begin the run";

/// Whether a run did not begin because another one, here or on another replica, is at the same
/// backend: nothing failed.
pub fn is_busy(error: &Error) -> bool {
    error.kind() == ErrorKind::Unavailable && error.operation() == BEGIN
}

/// The lease that whoever is at a backend holds, under the id of its run.
pub fn lease_name(backend: &BackendId) -> String {
    format!("reconcile/{backend}")
}

/// The jobs over one store and its backends.
#[derive(Clone)]
pub struct Reconciler {
    store: Arc<dyn Store>,
    backends: BackendSet,
    keys: Arc<dyn KeySource>,
    randomness: Arc<dyn Randomness>,
    settings: Settings,
    stop: CancellationToken,
}

impl Reconciler {
    /// Jobs over `store` and `backends`. When `stop` is cancelled, no new batch begins, the batch
    /// under way finishes, and the run ends as [`RunOutcome::Partial`].
    pub fn new(
        store: Arc<dyn Store>,
        backends: BackendSet,
        keys: Arc<dyn KeySource>,
        randomness: Arc<dyn Randomness>,
        settings: Settings,
        stop: CancellationToken,
    ) -> Self {
        Self {
            store,
            backends,
            keys,
            randomness,
            settings,
            stop,
        }
    }

    /// The backends it reconciles.
    pub fn backends(&self) -> &BackendSet {
        &self.backends
    }

    /// How long things on a backend are left alone before a job may take them, the wait for the
    /// backup horizon included.
    pub fn windows(&self, backend: &BackendId) -> Result<Windows> {
        let backend = self.backends.get(backend)?;
        Ok(delete::windows(&self.settings, backend.capabilities()))
    }

    /// Runs a job on one backend: scan, guard, execute. A dry run changes nothing anywhere and
    /// its report says what a run would find and do. `Unavailable` while another process is at
    /// the same backend.
    pub async fn run(
        &self,
        job: Job,
        backend: &BackendId,
        options: &RunOptions,
        observer: &dyn Observer,
    ) -> Result<Report> {
        let mut pass = self.begin(job, backend, options, observer).await?;
        let worked = match job {
            Job::VerifyBlobs => pass.verify().await,
            Job::ExpireOrphans | Job::DeleteSuperseded => pass.delete_due().await,
        };
        pass.end(worked).await
    }

    /// A run that is in the journal from the start.
    async fn begin<'a>(
        &'a self,
        job: Job,
        backend: &BackendId,
        options: &'a RunOptions,
        observer: &'a dyn Observer,
    ) -> Result<Pass<'a>> {
        let mut pass = self.prepare(job, backend, options, observer).await?;
        if let Err(error) = pass.start(None).await {
            pass.give_lease_back().await;
            return Err(error);
        }
        Ok(pass)
    }

    /// A run that holds its lease and is not in the journal yet.
    async fn prepare<'a>(
        &'a self,
        job: Job,
        backend: &BackendId,
        options: &'a RunOptions,
        observer: &'a dyn Observer,
    ) -> Result<Pass<'a>> {
        let backend = self.backends.get(backend)?.clone();
        let run = RunId(self.randomness.uuid());
        let pass = Pass {
            identity: self.store.identity().await?,
            report: Report::new(
                run,
                job,
                backend.id().clone(),
                options.dry_run,
                self.store.now().await?,
            ),
            reconciler: self,
            backend,
            options,
            observer,
            findings: Vec::new(),
            started: false,
            refused: false,
            allowance: u64::MAX,
            unsure: None,
            drawn_up: None,
            lease: Mutex::default(),
            fence: None,
        };
        if !options.dry_run {
            pass.take_lease().await?;
        }
        Ok(pass)
    }
}

/// One run of one job on one backend.
struct Pass<'a> {
    reconciler: &'a Reconciler,
    backend: Arc<dyn SecretBackend>,
    identity: StoreIdentity,
    options: &'a RunOptions,
    observer: &'a dyn Observer,
    report: Report,
    /// Findings on their way to the journal.
    findings: Vec<Finding>,
    /// Whether the run is in the journal.
    started: bool,
    /// Its plan was applied before: there is no such run.
    refused: bool,
    /// How many once-referenced secrets may still be claimed: as many as the guards saw.
    allowance: u64,
    /// The first question that got no answer although the backend is there.
    unsure: Option<Error>,
    /// What verify-blobs would do and say, where a plan of that is made.
    drawn_up: Option<rescue::DrawnUp>,
    /// The lease of a run that changes things.
    lease: Mutex<Option<Lease>>,
    /// What the run knows of the epoch, until it has been raised.
    fence: Option<epoch::Fence>,
}

impl Pass<'_> {
    /// Writes the run down, with the plan it applies. A dry run is in no journal.
    async fn start(&mut self, plan: Option<String>) -> Result<()> {
        if self.options.dry_run || self.started {
            return Ok(());
        }
        let new = NewRun {
            id: self.run(),
            job: self.report.job,
            backend: self.backend_id().clone(),
            dry_run: false,
            plan,
        };
        let started = self.store().start_run(&new).await;
        self.started = started.is_ok();
        self.refused = started
            .as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::Conflict);
        started
    }

    fn store(&self) -> &dyn Store {
        &*self.reconciler.store
    }

    fn settings(&self) -> &Settings {
        &self.reconciler.settings
    }

    fn run(&self) -> RunId {
        self.report.run
    }

    fn backend_id(&self) -> &BackendId {
        self.backend.id()
    }

    fn told_to_stop(&self) -> bool {
        self.reconciler.stop.is_cancelled()
    }

    fn progressed(&self, phase: Phase, done: u64) {
        self.observer
            .progressed(self.report.job, self.backend_id(), phase, done);
        self.observer.counted(&self.report);
    }

    /// Takes the right to work on this backend. Every run has a holder name of its own, so that two
    /// runs in one process keep each other out as well.
    async fn take_lease(&self) -> Result<()> {
        let holder = self.run().to_string();
        let name = lease_name(self.backend_id());
        let lasts = self.settings().lease;
        let lease = self.store().acquire_lease(&name, &holder, lasts).await?;
        let ignored = mutant::on(Mutant::LeaseIgnored).then_some(Lease {
            name,
            holder,
            token: 0,
            renewed: Timestamp::UNIX_EPOCH,
        });
        let lease = lease.or(ignored).ok_or_else(|| {
            Error::new(
                ErrorKind::Unavailable,
                BEGIN,
                format!(
                    "another run is at this backend, or its process died and its lease (of {} s by \
                     this configuration) has not run out; try again when it has ended",
                    lasts.as_secs()
                ),
            )
            .with_backend(self.backend_id())
        })?;
        self.hold(lease);
        Ok(())
    }

    /// Renews the lease of a run that changes things. `Unavailable` where another run has had it
    /// meanwhile, whether or not that one has ended, and where the database was restored from a
    /// backup: what this one knows is from before.
    pub(crate) async fn keep_lease(&self) -> Result<()> {
        let Some(held) = self.lease() else {
            return Ok(());
        };
        let lasts = self.settings().lease;
        match self.store().renew_lease(&held, lasts).await? {
            Some(renewed) => {
                self.hold(renewed);
                Ok(())
            }
            None if mutant::on(Mutant::FencingLeftOut) || mutant::on(Mutant::LeaseIgnored) => {
                Ok(())
            }
            None => {
                let message = "another run was at this backend while this one slept, or the \
                               database was restored beneath it; it ends here";
                Err(
                    Error::new(ErrorKind::Unavailable, "renew the lease", message)
                        .with_backend(self.backend_id()),
                )
            }
        }
    }

    /// The lease as it was last taken or renewed; `None` in a run that only looks.
    pub(crate) fn lease(&self) -> Option<Lease> {
        let lease = self.lease.lock();
        lease.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn hold(&self, lease: Lease) {
        let mut held = self.lease.lock().unwrap_or_else(PoisonError::into_inner);
        *held = Some(lease);
    }

    async fn give_lease_back(&self) {
        let Some(lease) = self.lease() else {
            return;
        };
        if let Err(error) = self.store().release_lease(&lease).await {
            tracing::warn!(backend.id = %self.backend_id(), error = %error, "the lease lapses by itself");
        }
    }

    /// Puts what was parked long enough ago back to work.
    async fn release_quarantine(&self) -> Result<u64> {
        if mutant::on(Mutant::ParkedForGood) {
            return Ok(0);
        }
        let release = QuarantineRelease::OlderThan(self.settings().quarantine);
        self.store()
            .release_quarantine(self.backend_id(), &release)
            .await
    }

    async fn end(mut self, worked: Result<()>) -> Result<Report> {
        self.report.finished = self.store().now().await.unwrap_or(self.report.started);
        self.conclude(&worked);
        let nothing_happened = self.report.rescued == 0 && self.report.findings.is_empty();
        let mut written = Ok(());
        if self.refused && nothing_happened {
            self.give_lease_back().await;
        } else if !self.options.dry_run {
            // One that ended before it applied its plan did and found things all the same.
            let started = self.start(None).await;
            // What was found before a failure was found all the same.
            let flushed = self.flush_findings().await;
            let journalled = self.journal().await;
            self.give_lease_back().await;
            written = started.and(flushed).and(journalled);
        }
        let ended = worked.and(written);
        self.conclude(&ended);
        self.log();
        self.observer.ended(&self.report);
        ended.map(|()| self.report)
    }

    fn conclude(&mut self, worked: &Result<()>) {
        if let Err(error) = worked {
            self.report.outcome = RunOutcome::Failed;
            self.report.error = Some(error.to_string());
        } else {
            self.report.outcome = self.report.judged();
        }
    }

    async fn journal(&self) -> Result<()> {
        let report = serde_json::to_value(&self.report).map_err(|error| {
            Error::new(
                ErrorKind::Invalid,
                "write the journal",
                "the report is not JSON",
            )
            .with_source(error)
        })?;
        self.store()
            .finish_run(self.run(), self.report.outcome, &report)
            .await
    }

    fn log(&self) {
        let report = &self.report;
        tracing::info!(
            run.id = %report.run,
            job.name = %report.job,
            backend.id = %report.backend,
            run.dry = report.dry_run,
            run.outcome = report.outcome.as_str(),
            deletions.done = report.deleted(),
            deletions.failed = report.failed,
            findings.total = report.findings.values().sum::<u64>(),
            guards.tripped = report.guards.len(),
            "run ended"
        );
    }
}
