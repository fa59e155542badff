//! Purging: ends the recovery windows of a manager that ends none itself. It is the last step of
//! expire-orphans, behind the rescue, the guards and the fence.

use cloakroom_core::ledger::RowState;
use cloakroom_core::{BackendId, Coordinate, Error, Mark, Purge, Result, SecretState};
use futures_util::future::join_all;

use crate::Pass;
use crate::delete::Stops;
use crate::observe::Phase;

/// Purged between two looks at lease, epoch, ledger and documents.
const TOGETHER: usize = 8;

impl Pass<'_> {
    /// Purges what the survey found over its window, unless a guard stops anything. One that fails is
    /// the next run's, and so is the rest once the backend is away.
    /// A dry run counts them.
    pub(crate) async fn purge_overdue(&mut self, overdue: &[Mark], stops: Stops) -> Result<()> {
        let backend = self.backend.clone();
        let Some(purge) = backend.purges() else {
            return Ok(());
        };
        if stops.any() {
            return Ok(());
        }
        if self.options.dry_run {
            self.report.to_purge = self.count_purgeable(overdue).await?;
            return Ok(());
        }
        let purged = self.purge_in_parts(purge, overdue).await;
        if let Some(reason) = &self.report.unpurged_because {
            tracing::warn!(backend.id = %self.backend_id(), secrets.unpurged = self.report.unpurged, reason, "secrets whose recovery window is over were not purged; the next run tries again");
        }
        if self.report.purged > 0 {
            tracing::info!(backend.id = %self.backend_id(), secrets.purged = self.report.purged, "recovery windows were over");
        }
        purged
    }

    /// How many of these a run would remove for good.
    pub(crate) async fn count_purgeable(&mut self, overdue: &[Mark]) -> Result<u64> {
        let mut purgeable = 0;
        for marks in overdue.chunks(self.settings().batch.max(1) as usize) {
            purgeable += self.unused(marks).await?.len() as u64;
        }
        Ok(purgeable)
    }

    async fn purge_in_parts(&mut self, purge: &dyn Purge, overdue: &[Mark]) -> Result<()> {
        for marks in overdue.chunks(TOGETHER) {
            if self.told_to_stop() {
                self.report.cut_short = true;
                return Ok(());
            }
            self.pass_the_fence().await?;
            let unused = self.unused(marks).await?;
            let failed = self.purge_together(purge, &unused).await?;
            let Some(error) = failed.first() else {
                continue;
            };
            self.not_purged(failed.len(), || error.to_string());
            if failed.len() == unused.len() && failed.iter().all(Error::is_retryable) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// What this ledger still has as deleted, and no document refers to, be it under another backend's
    /// name. A copy that a move made has the same coordinate, and is another secret.
    async fn unused<'a>(&mut self, marks: &'a [Mark]) -> Result<Vec<&'a Mark>> {
        let coordinates: Vec<Coordinate> =
            marks.iter().map(|mark| mark.coordinate.clone()).collect();
        let (store, backend) = (self.store(), self.backend_id());
        let rows = store.each_row(backend, &coordinates).await?;
        let elsewhere = store.known_elsewhere(backend, marks).await?;
        let referenced = store.referenced(backend, &coordinates).await?;
        let mut unused = Vec::with_capacity(marks.len());
        for ((mark, row), elsewhere) in marks.iter().zip(rows).zip(elsewhere) {
            let deleted = matches!(row, Ok(Some(row)) if row.state == RowState::Deleted);
            if !deleted || referenced.contains(&mark.coordinate) {
                continue;
            }
            let doubt = match elsewhere {
                None => None,
                // It is the very secret that the other name leads to.
                Some(_) if mark.intent.is_some() => continue,
                Some(other) => self.may_be_of(mark, &other).await,
            };
            match doubt {
                None => unused.push(mark),
                Some(doubt) => self.not_purged(1, || doubt),
            }
        }
        Ok(unused)
    }

    /// Why a secret whose mark names no intent may be what the ledger has under another backend's name.
    /// One that waits here and can be read there is in two places, and what was made of it by a move is
    /// the other. `None` where that is so.
    async fn may_be_of(&self, mark: &Mark, other: &BackendId) -> Option<String> {
        let why = |what: String| {
            let coordinate = &mark.coordinate;
            Some(format!(
                "{coordinate} is of a version whose marks name no intent and may be the one that the \
                 ledger has under backend `{other}`'s name: {what}"
            ))
        };
        let Ok(backend) = self.reconciler.backends.get(other) else {
            return why("configure that backend again, and the next run asks there".to_owned());
        };
        let policy = self.settings().request;
        let there = policy.run("describe the secret", || backend.describe(&mark.coordinate));
        match there.await {
            Ok(there)
                if there.state == SecretState::Enabled && there.mark.as_ref() == Some(mark) =>
            {
                None
            }
            Ok(_) => why("what is there is not the same and in use".to_owned()),
            Err(error) => why(error.to_string()),
        }
    }

    fn not_purged(&mut self, number: usize, because: impl FnOnce() -> String) {
        self.report.unpurged += number as u64;
        self.report.unpurged_because.get_or_insert_with(because);
    }

    /// Counts what went, and gives back the failures.
    async fn purge_together(&mut self, purge: &dyn Purge, marks: &[&Mark]) -> Result<Vec<Error>> {
        let Some(window) = self.window() else {
            return Ok(Vec::new());
        };
        let (policy, now) = (self.settings().request, self.store().now().await?);
        let requests = marks
            .iter()
            .map(|mark| policy.run("purge the secret", move || purge.purge(mark, window, now)));
        let answers = join_all(requests).await;
        let mut failed = Vec::new();
        for answer in answers {
            match answer {
                Ok(went) => self.report.purged += u64::from(went),
                Err(error) => failed.push(error),
            }
        }
        self.progressed(Phase::Deleting, self.report.deleted());
        Ok(failed)
    }
}
