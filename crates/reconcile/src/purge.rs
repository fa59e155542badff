//! Purging: ends the recovery windows of a manager that ends none itself. It is the last step of
//! expire-orphans, behind the rescue, the guards and the fence.

use cloakroom_core::ledger::RowState;
use cloakroom_core::{Coordinate, Error, Mark, Purge, Result};
use futures_util::future::join_all;

use crate::Pass;
use crate::delete::Stops;
use crate::observe::Phase;

/// Purged between two looks at lease, epoch, ledger and documents.
const TOGETHER: usize = 8;

impl Pass<'_> {
    /// Purges what the survey found over its window, unless a guard stops anything. One that fails is
    /// the next run's, and so is the rest once the backend is away.
    pub(crate) async fn purge_overdue(&mut self, overdue: &[Mark], stops: Stops) -> Result<()> {
        if self.options.dry_run || stops.any() {
            return Ok(());
        }
        let backend = self.backend.clone();
        let Some(purge) = backend.purges() else {
            return Ok(());
        };
        for marks in overdue.chunks(TOGETHER) {
            if self.told_to_stop() {
                self.report.cut_short = true;
                return Ok(());
            }
            self.pass_the_fence().await?;
            let unused = self.unused(marks).await?;
            let failed = self.purge_together(purge, &unused).await?;
            let is_away = failed.len() == unused.len() && failed.iter().all(Error::is_retryable);
            self.report.unpurged += failed.len() as u64;
            if let Some(error) = failed.first() {
                tracing::warn!(backend.id = %self.backend_id(), secrets.unpurged = failed.len(), error = %error, "secrets whose recovery window is over were not purged; the next run tries again");
            }
            if is_away && !unused.is_empty() {
                return Ok(());
            }
        }
        if self.report.purged > 0 {
            tracing::info!(backend.id = %self.backend_id(), secrets.purged = self.report.purged, "recovery windows were over");
        }
        Ok(())
    }

    /// What this ledger still has as deleted, and no document refers to, be it under another backend's
    /// name. A copy that a move made has the same coordinate, and is another secret.
    async fn unused<'a>(&self, marks: &'a [Mark]) -> Result<Vec<&'a Mark>> {
        let coordinates: Vec<Coordinate> =
            marks.iter().map(|mark| mark.coordinate.clone()).collect();
        let (store, backend) = (self.store(), self.backend_id());
        let rows = store.rows(backend, &coordinates).await?;
        let elsewhere = store.known_elsewhere(backend, marks).await?;
        let mut unused = Vec::with_capacity(marks.len());
        for ((mark, row), elsewhere) in marks.iter().zip(rows).zip(elsewhere) {
            let deleted = row.is_some_and(|row| row.state == RowState::Deleted);
            if !deleted || elsewhere.is_some() {
                continue;
            }
            let referrers = store.referrers(backend, &mark.coordinate, 1).await?;
            if referrers.is_empty() {
                unused.push(mark);
            }
        }
        Ok(unused)
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
