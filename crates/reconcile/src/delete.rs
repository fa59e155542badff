//! expire-orphans and delete-superseded: what is due, in batches, as far as the guards allow.

use cloakroom_core::ledger::{Candidate, Census, DueClass, DueCursor, Reason, Windows};
use cloakroom_core::mutant::{self, Mutant};
use cloakroom_core::store::Job;
use cloakroom_core::{Capabilities, Result};

use crate::Pass;
use crate::execute::{Flow, Item};
use crate::guard::{self, Guard, GuardTrip};
use crate::settings::Settings;
use crate::survey::{Resurfaced, Survey};

/// What the guards leave of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stops {
    /// Nothing may be deleted.
    pub(crate) everything: bool,
    /// What was once referenced may not.
    pub(crate) once_referenced: bool,
}

impl Stops {
    pub(crate) fn any(self) -> bool {
        self.everything || self.once_referenced
    }

    pub(crate) fn stops(self, item: &Item) -> bool {
        self.everything || (self.once_referenced && item.once_referenced)
    }
}

/// The classes a job deletes, besides what was begun and cut off.
pub(crate) fn classes(job: Job) -> &'static [DueClass] {
    match job {
        Job::ExpireOrphans => &[DueClass::Expired, DueClass::Orphaned],
        Job::DeleteSuperseded => &[DueClass::Superseded],
        Job::VerifyBlobs => &[],
    }
}

/// Where a manager's longest recovery window is shorter than the backup horizon, what was once
/// referenced waits for the difference before it is deleted.
pub(crate) fn windows(settings: &Settings, capabilities: &Capabilities) -> Windows {
    let recoverable = capabilities
        .recovery
        .map(|recovery| recovery.longest)
        .unwrap_or_default();
    let horizon = settings.backup_horizon * u32::from(!mutant::on(Mutant::HorizonIgnored));
    let wait = horizon.saturating_sub(recoverable);
    Windows {
        orphan_ttl: settings.windows.orphan_ttl.max(wait),
        superseded_grace: settings.windows.superseded_grace.max(wait),
        ..settings.windows
    }
}

impl Pass<'_> {
    pub(crate) fn windows(&self) -> Windows {
        windows(self.settings(), self.backend.capabilities())
    }

    pub(crate) async fn delete_due(&mut self) -> Result<()> {
        let survey = self.survey().await?;
        if survey.stopped {
            return Ok(());
        }
        let (stops, census) = self.guarded(&survey).await?;
        if !self.options.dry_run && !stops.everything {
            self.release_quarantine().await?;
        }
        let begun = self.store().begun(self.backend_id()).await?;
        (self.report.waiting, self.report.parked) = (begun.waiting, begun.parked);
        self.report.failed_before = begun.failed;
        let job = self.report.job;
        // What was begun passed the guards of its own run.
        let begun = Stops {
            once_referenced: false,
            everything: stops.everything && !mutant::on(Mutant::BegunUnguarded),
        };
        if !mutant::on(Mutant::ResumeLeftOut)
            && self.delete_class(DueClass::Resumable, begun).await? == Flow::Stop
        {
            return Ok(());
        }
        if !mutant::on(Mutant::AllowanceIgnored) {
            self.allowance = census.due_once_referenced;
        }
        for &class in classes(job) {
            if self.delete_class(class, stops).await? == Flow::Stop {
                return Ok(());
            }
        }
        if job == Job::ExpireOrphans {
            if self.delete_resurfaced(survey.resurfaced, stops).await? == Flow::Stop {
                return Ok(());
            }
            self.purge_overdue(&survey.overdue, stops).await?;
        }
        Ok(())
    }

    /// Lets every guard look, and writes down those that step in. Gives back the counts they saw:
    /// what the run takes on may not be more.
    pub(crate) async fn guarded(&mut self, survey: &Survey) -> Result<(Stops, Census)> {
        let census = self.census(survey).await?;
        self.note_manager(survey).await?;
        let fence = self
            .look_at_epoch(survey.epochs.clone(), survey.failure.is_none())
            .await?;
        let mut stops = Stops::default();
        let (backend, settings) = (self.backend_id(), self.settings());
        let trips = guard::trips(backend, &census, survey, &fence.verdict, settings);
        for (guard, saw) in trips {
            let overridden = guard.can_be_passed() && self.options.overrides.contains(&guard);
            self.tripped(guard, saw, overridden);
            if !overridden {
                stops.everything |= !guard.spares_never_referenced();
                stops.once_referenced = true;
            }
        }
        self.fence = Some(fence);
        Ok((stops, census))
    }

    /// The store's counts and, where the job takes them, what landed late: its rows say deleted, so
    /// the store counts them nowhere. Somebody may have brought it back because a document needs it.
    async fn census(&self, survey: &Survey) -> Result<Census> {
        let late = match self.report.job {
            Job::ExpireOrphans => survey
                .resurfaced
                .iter()
                .filter(|it| it.once_referenced)
                .count() as u64,
            _ => 0,
        };
        let classes = classes(self.report.job);
        let share_from = self.settings().share_from.saturating_sub(late);
        let mut census = self
            .store()
            .census(self.backend_id(), classes, &self.windows(), share_from)
            .await?;
        census.references_missed |= !census.any_live_reference && late > 0;
        census.due_once_referenced += late;
        census.once_referenced = census.once_referenced.map(|of| of + late);
        Ok(census)
    }

    fn tripped(&mut self, guard: Guard, saw: String, overridden: bool) {
        tracing::warn!(
            backend.id = %self.backend_id(),
            guard.name = %guard,
            guard.overridden = overridden,
            saw,
            "a guard stepped in"
        );
        self.report.guards.push(GuardTrip {
            guard,
            saw,
            overridden,
        });
    }

    async fn delete_class(&mut self, class: DueClass, stops: Stops) -> Result<Flow> {
        let windows = self.windows();
        let mut after: Option<DueCursor> = None;
        loop {
            let due = self
                .store()
                .due(
                    self.backend_id(),
                    class,
                    &windows,
                    after.as_ref(),
                    self.settings().batch,
                )
                .await?;
            let Some(last) = due.last() else {
                return Ok(Flow::Continue);
            };
            after = Some(last.cursor.clone());
            if self
                .take_on(due.into_iter().map(Item::from).collect(), stops)
                .await?
                == Flow::Stop
            {
                return Ok(Flow::Stop);
            }
        }
    }

    async fn delete_resurfaced(
        &mut self,
        resurfaced: Vec<Resurfaced>,
        stops: Stops,
    ) -> Result<Flow> {
        for batch in resurfaced.chunks(self.settings().batch.max(1) as usize) {
            let items = batch.iter().cloned().map(Item::resurfaced).collect();
            if self.take_on(items, stops).await? == Flow::Stop {
                return Ok(Flow::Stop);
            }
        }
        Ok(Flow::Continue)
    }

    /// Counts a batch and deletes what no guard stops. What fell due since the guards looked is
    /// the next run's: they did not see it.
    pub(crate) async fn take_on(&mut self, items: Vec<Item>, stops: Stops) -> Result<Flow> {
        for item in &items {
            self.report.of(item.reason).found += 1;
        }
        let (refused, mut allowed): (Vec<Item>, Vec<Item>) =
            items.into_iter().partition(|item| stops.stops(item));
        for item in &refused {
            self.report.of(item.reason).refused += 1;
        }
        if self.told_to_stop() {
            self.report.cut_short = true;
            return Ok(Flow::Stop);
        }
        if self.options.dry_run {
            return Ok(Flow::Continue);
        }
        // In parts: what a claim spares leaves its place to another.
        loop {
            let now = self.within_allowance(&mut allowed);
            if now.is_empty() {
                for item in &allowed {
                    self.report.of(item.reason).spared += 1;
                }
                return Ok(Flow::Continue);
            }
            self.pass_the_fence().await?;
            if self.execute(now).await? == Flow::Stop {
                return Ok(Flow::Stop);
            }
        }
    }

    /// Takes out what the guards' counts cover, in its order.
    fn within_allowance(&self, items: &mut Vec<Item>) -> Vec<Item> {
        let mut left = self.allowance;
        let (now, later) = items.drain(..).partition(|item: &Item| {
            let covered = !item.once_referenced || left > 0;
            left = left.saturating_sub(u64::from(item.once_referenced));
            covered
        });
        *items = later;
        now
    }
}

impl From<Candidate> for Item {
    fn from(candidate: Candidate) -> Self {
        Self {
            evidence: evidence(&candidate),
            coordinate: candidate.row.coordinate,
            reason: candidate.reason,
            once_referenced: candidate.row.once_referenced,
        }
    }
}

fn evidence(candidate: &Candidate) -> String {
    let row = &candidate.row;
    match candidate.reason {
        Reason::Abandoned | Reason::Ephemeral => format!(
            "intended {}, expired {}, never referenced",
            row.created,
            row.expires
                .map_or_else(|| "at an unknown time".to_owned(), |at| at.to_string())
        ),
        Reason::Orphaned | Reason::Superseded => {
            let since = row.unreferenced_since.map_or_else(
                || "since an unknown time".to_owned(),
                |at| format!("since {at}"),
            );
            match &candidate.superseded_by {
                Some(higher) => format!("unreferenced {since}, {higher} is referenced"),
                None => format!("unreferenced {since}, no higher version is referenced"),
            }
        }
        Reason::Resurfaced => "listed although its row says deleted".to_owned(),
    }
}
