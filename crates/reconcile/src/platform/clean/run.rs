//! One run: a pass, what earlier runs left, rescue, guards, and then deletions in batches.

use cloakroom_core::ledger::RowState;
use cloakroom_core::platform::{
    PlatformTarget, Removal, RemovalEnd, RemovalSettlement, SecretName, Standing,
};
use cloakroom_core::store::RunOutcome;
use cloakroom_core::{Error, ErrorKind, Result};

use super::super::ruling::Ruling;
use super::super::standing::is_to_be_brought_back;
use super::super::{Judged, Pass, PlatformObserver, PlatformReport};
use super::batch::Candidate;
use super::report::{CleanGuard, CleanGuardTrip, CleanReport};
use super::share::Census;
use super::{CleanOptions, PlatformCleaner};
use crate::execute::Flow;

impl PlatformCleaner {
    /// Cleans the platform's manager. A dry run changes nothing there and its report says what a run
    /// would do. `Unavailable` while another pass or run is at this platform.
    pub async fn clean(
        &self,
        options: &CleanOptions,
        observer: PlatformObserver<'_>,
    ) -> Result<CleanReport> {
        self.clean_counted(options, observer, &|_| {}).await
    }

    /// The same, and tells what the run has done by now: after every batch, and once more when it ends,
    /// whether or not it fails. The counts only grow.
    pub async fn clean_counted(
        &self,
        options: &CleanOptions,
        observer: PlatformObserver<'_>,
        counted: CleanCounted<'_>,
    ) -> Result<CleanReport> {
        let pass = self.reader.begin(observer).await?;
        let cleaned = self.clean_within(&pass, options, counted).await;
        pass.lease.give_back().await;
        cleaned
    }

    async fn clean_within(
        &self,
        pass: &Pass<'_>,
        options: &CleanOptions,
        counted: CleanCounted<'_>,
    ) -> Result<CleanReport> {
        let seen = self.until_stopped(pass.work()).await?;
        let mut run = Run {
            cleaner: self,
            pass,
            options,
            adopted: self.adopted(&seen).await?,
            report: CleanReport::new(seen, options.dry_run),
            counted,
        };
        let worked = run.work().await;
        run.end(worked).await
    }

    /// A pass may take long and changes nothing, so it is given up when the run is told to stop.
    async fn until_stopped<T>(&self, pass: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {
                let message = "it was told to stop before anything was changed";
                Err(Error::new(ErrorKind::Unavailable, crate::BEGIN, message))
            }
            done = pass => done,
        }
    }

    /// Whether a plan was confirmed for what the pass saw.
    async fn adopted(&self, seen: &PlatformReport) -> Result<Adopted> {
        let Some(confirmed) = self.confirmation().await? else {
            let saw = format!(
                "nobody has confirmed a plan for {}: `reconciler adopt {}` shows one",
                seen.platform, seen.platform
            );
            return Ok(Adopted::No(CleanGuard::NotAdopted, saw));
        };
        let scope = self.reader.scope(&seen.database).await?;
        let differences = confirmed.scope.differences(&scope);
        if differences.is_empty() {
            return Ok(Adopted::Under(confirmed.plan));
        }
        let saw = format!(
            "{} confirmed a plan for another {} on {}: look at a new one with `reconciler adopt {}`",
            confirmed.by,
            differences.join(", another "),
            confirmed.at,
            seen.platform
        );
        Ok(Adopted::No(CleanGuard::ScopeChanged, saw))
    }
}

/// Is told what a run has done by now.
pub type CleanCounted<'a> = &'a (dyn Fn(&CleanReport) + Send + Sync);

/// Whether a platform may be cleaned.
enum Adopted {
    /// Under this confirmed plan.
    Under(String),
    /// Nobody confirmed a plan, or it was for something else.
    No(CleanGuard, String),
}

/// One run under way.
pub(super) struct Run<'a> {
    pub(super) cleaner: &'a PlatformCleaner,
    pub(super) pass: &'a Pass<'a>,
    options: &'a CleanOptions,
    adopted: Adopted,
    pub(super) report: CleanReport,
    pub(super) counted: CleanCounted<'a>,
}

impl Run<'_> {
    async fn work(&mut self) -> Result<()> {
        match &self.adopted {
            Adopted::Under(plan) => self.report.plan = Some(plan.clone()),
            Adopted::No(guard, saw) => self.report.guards.push(CleanGuardTrip {
                guard: *guard,
                saw: saw.clone(),
                overridden: false,
            }),
        }
        if self.changes() {
            let plan = self.report.plan.clone().unwrap_or_default();
            let store = &self.cleaner.store;
            store
                .start_removals(self.report.run, self.target(), &plan)
                .await?;
            self.resume().await?;
        }
        let census = self.survey().await?;
        self.rescue_unlisted().await?;
        let overridden = self.options.overrides.contains(&CleanGuard::Share);
        let share = census.trip(&self.cleaner.settings, overridden);
        self.report.guards.extend(share);
        for trip in &self.report.guards {
            tracing::warn!(
                platform.name = self.report.platform,
                guard.name = %trip.guard,
                guard.overridden = trip.overridden,
                saw = trip.saw,
                "a guard stepped in"
            );
        }
        if self.changes() && !self.report.is_stopped() {
            self.release_parked().await?;
            self.delete_due().await?;
        }
        Ok(())
    }

    /// Whether this run may change anything at all.
    pub(super) fn changes(&self) -> bool {
        !self.options.dry_run && matches!(self.adopted, Adopted::Under(_))
    }

    pub(super) fn target(&self) -> &PlatformTarget {
        self.pass.target()
    }

    async fn release_parked(&self) -> Result<()> {
        let rest = self.cleaner.settings.quarantine;
        let store = &self.cleaner.store;
        store.release_removals(self.target(), rest).await?;
        Ok(())
    }

    /// Goes through everything that was listed: rescues what is mentioned and going, and counts what
    /// could go.
    async fn survey(&mut self) -> Result<Census> {
        let mut census = Census::default();
        let mut after: Option<String> = None;
        while let Some(page) = self.next_page(&mut after).await? {
            let rows = self.rows_of(&page).await?;
            let now = self.pass.reader.store.now().await?;
            for (judged, row) in page.iter().zip(rows) {
                if self.is_to_be_rescued(judged, row.as_ref()) {
                    self.rescue_listed(judged).await?;
                }
                let ruling = self.pass.ruling(judged, self.report.started);
                let due = matches!(ruling, Some(Ruling::Due(_)));
                census.add(self.pass, judged, due);
                if due {
                    self.report.of(judged.standing).found += 1;
                }
                // Taken on by a run that was cut off, and no longer unused.
                if let Some(row) =
                    row.filter(|row| is_begun(row) && !row.rests(now) && ruling.is_none())
                    && self.changes()
                {
                    self.settle(vec![spared(row.name, judged.standing)]).await?;
                }
            }
            self.pass.keep_lease().await?;
        }
        Ok(census)
    }

    async fn next_page(&self, after: &mut Option<String>) -> Result<Option<Vec<Judged>>> {
        let page = self
            .pass
            .page(after.as_deref(), self.report.started)
            .await?;
        let Some(last) = page.last() else {
            return Ok(None);
        };
        *after = Some(last.name().to_owned());
        Ok(Some(page))
    }

    /// What became of the secrets of a page, in their order.
    async fn rows_of(&self, page: &[Judged]) -> Result<Vec<Option<Removal>>> {
        let names: Vec<Option<SecretName>> = page
            .iter()
            .map(|judged| self.pass.touched(judged.name()))
            .collect();
        let known: Vec<SecretName> = names.iter().flatten().cloned().collect();
        let store = &self.cleaner.store;
        let mut rows = store.removals(self.target(), &known).await?.into_iter();
        let row = |name: Option<SecretName>| name.and_then(|_| rows.next().flatten());
        Ok(names.into_iter().map(row).collect())
    }

    async fn delete_due(&mut self) -> Result<()> {
        let most = self.cleaner.settings.batch.max(1) as usize;
        let mut batch: Vec<Candidate> = Vec::new();
        let mut after: Option<String> = None;
        while let Some(page) = self.next_page(&mut after).await? {
            let now = self.pass.reader.store.now().await?;
            let rows = self.rows_of(&page).await?;
            for (judged, row) in page.into_iter().zip(rows) {
                let Some(Ruling::Due(mode)) = self.pass.ruling(&judged, self.report.started) else {
                    continue;
                };
                if let Some(row) = row.as_ref().filter(|row| row.rests(now)) {
                    self.rest(&judged, row);
                    continue;
                }
                let attempts = row.filter(is_begun).map_or(0, |row| row.attempts);
                let name = self.pass.touched(judged.name());
                batch.extend(name.map(|name| Candidate::new(name, &judged, mode, attempts)));
                if batch.len() == most
                    && self.execute(std::mem::take(&mut batch)).await? == Flow::Stop
                {
                    return Ok(());
                }
            }
        }
        self.execute(batch).await.map(|_| ())
    }

    fn rest(&mut self, judged: &Judged, row: &Removal) {
        self.report.of(judged.standing).resting += 1;
        if let Some(error) = &row.last_error {
            self.report.add_failure(judged.name(), error);
        } else if is_begun(row) {
            self.report.add_taken_on(row.until);
        }
    }

    /// Whether something keeps a secret that is going. What only removed rows hold is brought back where
    /// this program deleted it, or where those rows can be brought back too; what only deployed jobs refer to, where
    /// there are any.
    fn is_to_be_rescued(&self, judged: &Judged, row: Option<&Removal>) -> bool {
        let secret = &judged.evidence.secret;
        let is_deleted_here = row.is_some() && secret.state.is_waiting();
        self.pass.is_going(secret)
            && match judged.standing {
                Standing::InUse => {
                    is_deleted_here || is_to_be_brought_back(self.pass.naming(), &judged.evidence)
                }
                Standing::Tombstoned => row.is_some() || self.pass.naming().brings_back(),
                Standing::Deployed => self.pass.has_deployed_jobs(),
                _ => false,
            }
    }

    pub(super) async fn settle(&self, settlements: Vec<RemovalSettlement>) -> Result<()> {
        self.cleaner
            .store
            .settle_removals(self.report.run, self.target(), &settlements)
            .await
    }

    async fn end(mut self, worked: Result<()>) -> Result<CleanReport> {
        let now = self.pass.reader.store.now().await;
        self.report.finished = now.unwrap_or(self.report.started);
        self.report.outcome = match &worked {
            Ok(()) => self.report.judged(),
            Err(_) => RunOutcome::Failed,
        };
        self.report.error = worked.as_ref().err().map(ToString::to_string);
        let journalled = self.journal().await;
        (self.counted)(&self.report);
        let report = &self.report;
        tracing::info!(
            run.id = %report.run,
            platform.name = report.platform,
            run.dry = report.dry_run,
            run.outcome = report.outcome.as_str(),
            deletions.done = report.deleted(),
            deletions.failed = report.total(|it| it.failed),
            secrets.rescued = report.rescued,
            guards.tripped = report.guards.len(),
            obstacles.total = report.obstacles.len(),
            "clean-up of a platform ended"
        );
        worked.and(journalled).map(|()| self.report)
    }

    async fn journal(&self) -> Result<()> {
        if !self.changes() {
            return Ok(());
        }
        let report = serde_json::to_value(&self.report).map_err(|error| {
            let message = "the report is not JSON";
            Error::new(ErrorKind::Invalid, "write the journal", message).with_source(error)
        })?;
        let (run, outcome) = (self.report.run, self.report.outcome);
        let store = &self.cleaner.store;
        store.finish_removals(run, outcome, &report).await
    }
}

/// Whether an earlier run took it on and nothing ended it.
fn is_begun(row: &Removal) -> bool {
    row.state == RowState::Deleting
}

/// It is as if it had never been taken on.
pub(super) fn spared(name: SecretName, standing: Standing) -> RemovalSettlement {
    RemovalSettlement {
        name,
        standing,
        evidence: String::new(),
        end: RemovalEnd::Spared,
    }
}
