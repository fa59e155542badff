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
        let purged = self.purge_in_parts(purge, overdue).await;
        if let Some(reason) = &self.report.unpurged_because {
            tracing::warn!(backend.id = %self.backend_id(), secrets.unpurged = self.report.unpurged, reason, "secrets whose recovery window is over were not purged; the next run tries again");
        }
        if self.report.purged > 0 {
            tracing::info!(backend.id = %self.backend_id(), secrets.purged = self.report.purged, "recovery windows were over");
        }
        purged
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
            self.report.unpurged += failed.len() as u64;
            let because = &mut self.report.unpurged_because;
            because.get_or_insert_with(|| error.to_string());
            if failed.len() == unused.len() && failed.iter().all(Error::is_retryable) {
                return Ok(());
            }
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
        let referenced = store.referenced(backend, &coordinates).await?;
        let of_marks = marks.iter().zip(rows).zip(elsewhere);
        let unused = of_marks.filter(|((mark, row), elsewhere)| {
            let deleted = row
                .as_ref()
                .is_some_and(|row| row.state == RowState::Deleted);
            deleted && elsewhere.is_none() && !referenced.contains(&mark.coordinate)
        });
        Ok(unused.map(|((mark, _), _)| mark).collect())
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
