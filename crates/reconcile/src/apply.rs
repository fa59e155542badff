//! `plan` and `apply`: a plan is made and read first, then exactly it is executed, once.

use cloakroom_core::ledger::DueCursor;
use cloakroom_core::store::Job;
use cloakroom_core::{BackendId, Coordinate, Error, ErrorKind, Result};

use crate::delete::classes;
use crate::execute::{Flow, Item};
use crate::observe::Observer;
use crate::plan::{Plan, PlanHeader, PlanItem};
use crate::report::Report;
use crate::settings::RunOptions;
use crate::survey::Survey;
use crate::{Pass, Reconciler};

impl Reconciler {
    /// Makes the plan of a deletion job, at most `limit` candidates, changing nothing.
    /// `Unsupported` for verify-blobs, which deletes nothing: run it with `dry_run` instead.
    pub async fn plan(
        &self,
        job: Job,
        backend: &BackendId,
        limit: u32,
        observer: &dyn Observer,
    ) -> Result<Plan> {
        if job == Job::VerifyBlobs {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "plan",
                "verify-blobs deletes nothing, so there is nothing to plan; \
                 `run verify-blobs --dry-run` shows what it finds",
            ));
        }
        let options = RunOptions {
            dry_run: true,
            ..RunOptions::default()
        };
        let mut pass = self.begin(job, backend, &options, observer).await?;
        let survey = pass.survey().await?;
        if survey.stopped {
            return Err(Error::new(
                ErrorKind::Unavailable,
                "plan",
                "it was told to stop before the backend's listing ended",
            )
            .with_backend(backend));
        }
        let (_, census) = pass.guarded(&survey).await?;
        let (items, more) = pass.candidates(&survey, limit as usize).await?;
        let header = PlanHeader {
            format: 0,
            job,
            store: pass.identity.clone(),
            backend: backend.clone(),
            manager: pass.backend.manager().to_owned(),
            made: pass.report.started,
            windows: pass.windows(),
            census,
            listed: survey.listed,
            guards: std::mem::take(&mut pass.report.guards),
            more,
        };
        Plan::new(header, items)
    }

    /// Executes exactly what a plan holds, once. Each candidate is checked again; the guards look
    /// at what is due now. `Invalid` where the plan is of another store or manager, `Conflict`
    /// where it was applied before. An application that a guard refused altogether did not use the
    /// plan up.
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
        let applied = pass.apply_plan(plan).await;
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
    async fn apply_plan(&mut self, plan: &Plan) -> Result<()> {
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
    /// claimed and given back counts as begun, and no guard looks at that again.
    async fn as_planned(&mut self, items: &[Item]) -> Result<Vec<Item>> {
        let coordinates: Vec<Coordinate> =
            items.iter().map(|item| item.coordinate.clone()).collect();
        let rows = self.store().rows(self.backend_id(), &coordinates).await?;
        let mut planned = Vec::with_capacity(items.len());
        for (item, row) in items.iter().zip(rows) {
            if row.is_none_or(|row| row.once_referenced == item.once_referenced) {
                planned.push(item.clone());
            } else {
                let count = self.report.of(item.reason);
                count.found += 1;
                count.spared += 1;
            }
        }
        Ok(planned)
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
