//! `plan` and `apply`: a plan is made and read first, then exactly it is executed, once.

use cloakroom_core::ledger::{Census, DueCursor, LedgerRow, Reason, RowState};
use cloakroom_core::mutant::{self, Mutant};
use cloakroom_core::store::{Finding, FindingKind, Job};
use cloakroom_core::{BackendId, Coordinate, Description, Error, ErrorKind, Result};

use crate::ask::Describe;
use crate::delete::classes;
use crate::execute::{Flow, Item};
use crate::observe::{Observer, Phase};
use crate::plan::{Plan, PlanContent, PlanHeader, PlanItem, PlanRescue};
use crate::report::Report;
use crate::rescue::DrawnUp;
use crate::settings::RunOptions;
use crate::survey::{Survey, endangered};
use crate::{Pass, Reconciler};

impl Reconciler {
    /// Makes the plan of a job, at most `limit` candidates, changing nothing. The candidates of a
    /// deletion job are deletions; those of verify-blobs are rescues, beside what it found (of which
    /// the plan holds at most `limit` as well).
    pub async fn plan(
        &self,
        job: Job,
        backend: &BackendId,
        limit: u32,
        observer: &dyn Observer,
    ) -> Result<Plan> {
        let options = RunOptions {
            dry_run: true,
            ..RunOptions::default()
        };
        let mut pass = self.begin(job, backend, &options, observer).await?;
        match job {
            Job::VerifyBlobs => pass.plan_rescues(limit as usize).await,
            Job::ExpireOrphans | Job::DeleteSuperseded => pass.plan_deletions(limit as usize).await,
        }
    }

    /// Executes exactly what a plan holds, once. Each candidate is checked again; the guards look
    /// at what is due now. `Invalid` where the plan is of another store or manager, `Conflict`
    /// where it was applied before. An application that a guard refused altogether did not use the
    /// plan up. Rescues pass no guard: they delete nothing.
    pub async fn apply(
        &self,
        plan: &Plan,
        options: &RunOptions,
        observer: &dyn Observer,
    ) -> Result<Report> {
        // A plan that is refused here was not applied: it can still be, where it belongs.
        plan.is_whole()?;
        self.accepts(plan).await?;
        let header = &plan.header;
        let mut pass = self
            .prepare(header.job, &header.backend, options, observer)
            .await?;
        pass.report.plan = Some(plan.id.clone());
        let applied = match header.job {
            Job::VerifyBlobs => pass.apply_rescues(plan).await,
            Job::ExpireOrphans | Job::DeleteSuperseded => pass.apply_deletions(plan).await,
        };
        pass.end(applied).await
    }

    async fn accepts(&self, plan: &Plan) -> Result<()> {
        let refuse =
            |message: String| Err(Error::new(ErrorKind::Invalid, "apply the plan", message));
        let (planned, here) = (plan.header.store.store, self.store.identity().await?.store);
        if planned != here {
            return refuse(format!(
                "it was made from store {planned} and this is store {here}"
            ));
        }
        let backend = self.backends.get(&plan.header.backend)?;
        if plan.header.manager != backend.manager() {
            return refuse(format!(
                "it was made for {} and backend {} is {} now",
                plan.header.manager,
                backend.id(),
                backend.manager()
            ));
        }
        Ok(())
    }
}

impl Pass<'_> {
    async fn plan_deletions(&mut self, limit: usize) -> Result<Plan> {
        let survey = self.survey().await?;
        if survey.stopped {
            return Err(self.stopped_early("before the backend's listing ended"));
        }
        let (stops, census) = self.guarded(&survey).await?;
        let (items, more) = self.candidates(&survey, limit).await?;
        if self.report.job == Job::ExpireOrphans {
            self.purge_overdue(&survey.overdue, stops).await?;
        }
        let header = PlanHeader {
            census,
            listed: survey.listed,
            guards: std::mem::take(&mut self.report.guards),
            more,
            to_purge: self.report.to_purge,
            ..self.header()
        };
        let content = PlanContent {
            items,
            ..PlanContent::default()
        };
        Plan::new(header, content)
    }

    async fn plan_rescues(&mut self, limit: usize) -> Result<Plan> {
        self.drawn_up = Some(DrawnUp::new(limit));
        self.verify().await?;
        if self.report.cut_short {
            return Err(self.stopped_early("before everything was looked at"));
        }
        let Some(DrawnUp { content, more, .. }) = self.drawn_up.take() else {
            return Err(self.stopped_early("before it began"));
        };
        let (windows, share_from) = (self.windows(), self.settings().share_from);
        let census = self
            .store()
            .census(self.backend_id(), &[], &windows, share_from)
            .await?;
        let header = PlanHeader {
            census,
            listed: self.report.checked.listed,
            more,
            ..self.header()
        };
        Plan::new(header, content)
    }

    fn header(&self) -> PlanHeader {
        PlanHeader {
            format: 0,
            job: self.report.job,
            store: self.identity.clone(),
            backend: self.backend_id().clone(),
            manager: self.backend.manager().to_owned(),
            made: self.report.started,
            windows: self.windows(),
            census: Census::default(),
            listed: 0,
            guards: Vec::new(),
            more: false,
            to_purge: 0,
        }
    }

    fn stopped_early(&self, when: &str) -> Error {
        let message = format!("it was told to stop {when}");
        Error::new(ErrorKind::Unavailable, "plan", message).with_backend(self.backend_id())
    }

    /// Restores what the plan names and is still in use or held, and in danger.
    async fn apply_rescues(&mut self, plan: &Plan) -> Result<()> {
        self.start(Some(plan.id.clone())).await?;
        for batch in plan.rescues.chunks(self.settings().batch.max(1) as usize) {
            if self.told_to_stop() {
                self.report.cut_short = true;
                return Ok(());
            }
            self.keep_lease().await?;
            let coordinates: Vec<Coordinate> = batch
                .iter()
                .map(|rescue| rescue.coordinate.clone())
                .collect();
            let described = self.ask(&Describe, &coordinates).await?;
            for (rescue, described) in batch.iter().zip(described) {
                self.apply_rescue(rescue, described).await?;
            }
            self.report.checked.references += batch.len() as u64;
            self.progressed(Phase::References, self.report.checked.references);
        }
        self.flush_findings().await
    }

    async fn apply_rescue(
        &mut self,
        rescue: &PlanRescue,
        described: Result<Description>,
    ) -> Result<()> {
        match described {
            Ok(described) if self.is_ours(&described) && endangered(&described) => {
                if !self.rescue_if_referenced(&described).await? {
                    self.rescue_if_held(&described).await?;
                }
                Ok(())
            }
            // Safe again, or somebody else's by now.
            Ok(_) => Ok(()),
            Err(error) if error.is_retryable() => Err(error),
            Err(error) => {
                self.report.unrestored += 1;
                self.found(Finding {
                    kind: FindingKind::Endangered,
                    document: rescue.document,
                    pointer: rescue.pointer.clone(),
                    coordinate: Some(rescue.coordinate.clone()),
                    detail: why_unrestored(&error),
                })
                .await
            }
        }
    }

    async fn apply_deletions(&mut self, plan: &Plan) -> Result<()> {
        let survey = self.survey().await?;
        if survey.stopped {
            return Ok(());
        }
        let (stops, census) = self.guarded(&survey).await?;
        let items: Vec<Item> = plan.items.iter().cloned().map(Item::from).collect();
        // The journal takes a plan once. One of which nothing may go is not used up by that, so
        // that it can be applied again, with the guard passed on purpose.
        let lets_through = items.is_empty() || items.iter().any(|item| !stops.stops(item));
        self.start(lets_through.then(|| plan.id.clone())).await?;
        self.flush_findings().await?;
        self.allowance = census.due_once_referenced;
        for batch in items.chunks(self.settings().batch.max(1) as usize) {
            let items = self.as_planned(batch).await?;
            if self.take_on(items, stops).await? == Flow::Stop {
                break;
            }
        }
        Ok(())
    }

    /// Spares what is not what the plan told the guards. Looked at before the claim: what was
    /// claimed and given back counts as begun, and no guard looks at that again. `Conflict` where
    /// there is no row at all: none ever goes, so this database is older than the plan.
    async fn as_planned(&mut self, items: &[Item]) -> Result<Vec<Item>> {
        let coordinates: Vec<Coordinate> =
            items.iter().map(|item| item.coordinate.clone()).collect();
        let rows = self
            .store()
            .each_row(self.backend_id(), &coordinates)
            .await?;
        let mut planned = Vec::with_capacity(items.len());
        for (item, row) in items.iter().zip(rows) {
            let Ok(row) = row else {
                self.spare(item.reason);
                continue;
            };
            let Some(row) = row else {
                let message = "the ledger has no row of what the plan names: the database was \
                               restored from a backup since; make a new plan";
                return Err(Error::new(ErrorKind::Conflict, "apply the plan", message)
                    .with_backend(self.backend_id())
                    .with_coordinate(item.coordinate.as_str()));
            };
            if is_as_planned(&row, item) || mutant::on(Mutant::RecheckLeftOut) {
                planned.push(item.clone());
            } else {
                self.spare(item.reason);
            }
        }
        Ok(planned)
    }

    fn spare(&mut self, reason: Reason) {
        let count = self.report.of(reason);
        count.found += 1;
        count.spared += 1;
    }

    /// What the job would delete, at most `limit`, and whether there is more.
    async fn candidates(&self, survey: &Survey, limit: usize) -> Result<(Vec<PlanItem>, bool)> {
        let mut items: Vec<PlanItem> = Vec::new();
        for &class in classes(self.report.job) {
            let mut after: Option<DueCursor> = None;
            while items.len() <= limit {
                let due = self
                    .store()
                    .due(
                        self.backend_id(),
                        class,
                        &self.windows(),
                        after.as_ref(),
                        self.settings().page,
                    )
                    .await?;
                let Some(last) = due.last() else { break };
                after = Some(last.cursor.clone());
                items.extend(
                    due.into_iter()
                        .map(|candidate| PlanItem::from(Item::from(candidate))),
                );
            }
        }
        if self.report.job == Job::ExpireOrphans {
            let resurfaced = survey.resurfaced.iter().cloned().map(Item::resurfaced);
            items.extend(resurfaced.map(PlanItem::from));
        }
        let more = items.len() > limit;
        items.truncate(limit);
        Ok((items, more))
    }
}

/// Why nothing was restored: whoever restored it was asked nothing yet.
fn why_unrestored(error: &Error) -> String {
    match error.kind() {
        ErrorKind::Corrupt => format!(
            "it was in danger when the plan was made, and its mark cannot be read, so that this plan restores \
             nothing there: {error}; a run of expire-orphans does"
        ),
        ErrorKind::Missing => {
            "it was in danger when the plan was made, and the manager does not have it any more"
                .to_owned()
        }
        _ => format!(
            "it was in danger when the plan was made, and how it is now cannot be seen: {error}"
        ),
    }
}

/// Whether a row is still the one that the plan told of: not used by anybody, not gone. Whether it is
/// old enough is for the claim to say.
fn is_as_planned(row: &LedgerRow, item: &Item) -> bool {
    let in_use = row.once_referenced && row.unreferenced_since.is_none();
    let gone = row.state == RowState::Deleted;
    row.once_referenced == item.once_referenced
        && match item.reason {
            Reason::Resurfaced => gone,
            _ => !gone && !in_use,
        }
}

impl From<Item> for PlanItem {
    fn from(item: Item) -> Self {
        Self {
            coordinate: item.coordinate,
            reason: item.reason,
            once_referenced: item.once_referenced,
            evidence: item.evidence,
        }
    }
}

impl From<PlanItem> for Item {
    fn from(item: PlanItem) -> Self {
        Self {
            coordinate: item.coordinate,
            reason: item.reason,
            once_referenced: item.once_referenced,
            evidence: item.evidence,
        }
    }
}
