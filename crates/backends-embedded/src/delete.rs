//! Deleting, taking a deletion back, and purging. What was deleted recoverably is kept until it is
//! purged or deleted for good; nothing else removes a row.

use std::collections::HashMap;
use std::time::Duration;

use cloakroom_core::{Coordinate, DeleteMode, Deletion, ErrorKind, Mark, Precondition, Timestamp};

use crate::backend::{EmbeddedBackend, RECOVERY};
use crate::failure::Failure;
use crate::opening::missing;
use crate::row::{StateToken, Which};

impl EmbeddedBackend {
    pub(crate) async fn try_delete(
        &self,
        which: &Which<'_>,
        mode: DeleteMode,
    ) -> Result<HashMap<Coordinate, Deletion>, Failure> {
        match mode {
            DeleteMode::Final => {
                let removed = self.table.remove(which).await?;
                Ok(removed
                    .into_iter()
                    .map(|coordinate| (coordinate, Deletion::Deleted))
                    .collect())
            }
            DeleteMode::Recoverable(window) if window > RECOVERY.longest => Err(Failure::new(
                ErrorKind::Unsupported,
                "a deletion can be taken back for 365 days at most",
            )),
            DeleteMode::Recoverable(window) => {
                let window = window.max(RECOVERY.shortest);
                let scheduled = self.table.schedule(which, window).await?;
                Ok(scheduled
                    .into_iter()
                    .map(|(coordinate, due)| (coordinate, Deletion::Scheduled { due: Some(due) }))
                    .collect())
            }
        }
    }

    /// A deletion with a precondition, or why it did not hold.
    pub(crate) async fn try_delete_if(
        &self,
        coordinate: &Coordinate,
        mode: DeleteMode,
        precondition: &Precondition,
    ) -> Result<Deletion, Failure> {
        let Some(state) = StateToken::of(precondition) else {
            return Err(Failure::new(
                ErrorKind::Invalid,
                "the precondition is none of ours",
            ));
        };
        let done = self
            .try_delete(&Which::Only(coordinate, &state), mode)
            .await?;
        if let Some(deletion) = done.get(coordinate) {
            return Ok(*deletion);
        }
        let mut rows = self.table.rows(std::slice::from_ref(coordinate)).await?;
        let Some((_, row)) = rows.pop() else {
            return Ok(Deletion::AlreadyGone);
        };
        match (row?.purge, mode) {
            // Whoever repeats a deletion whose answer was lost finds it done.
            (Some(_), DeleteMode::Recoverable(_)) => Ok(Deletion::AlreadyGone),
            _ => Err(Failure::new(
                ErrorKind::Conflict,
                "the secret has changed since it was described; it was left as it is",
            )),
        }
    }

    pub(crate) async fn try_purge(
        &self,
        mark: &Mark,
        window: Duration,
        now: Timestamp,
    ) -> Result<bool, Failure> {
        if self.table.purge(mark, window, now).await? {
            return Ok(true);
        }
        let window = window.clamp(RECOVERY.shortest, RECOVERY.longest);
        self.table.give_end(mark, window).await?;
        Ok(false)
    }

    /// Fails unless such a row is there.
    async fn must_be_there(&self, coordinate: &Coordinate) -> Result<(), Failure> {
        let rows = self.table.rows(std::slice::from_ref(coordinate)).await?;
        rows.first().map(|_| ()).ok_or_else(missing)
    }

    pub(crate) async fn try_restore(&self, coordinate: &Coordinate) -> Result<(), Failure> {
        if self.table.restore(coordinate).await? {
            return Ok(());
        }
        self.must_be_there(coordinate).await
    }

    pub(crate) async fn try_lift_expiry(&self, coordinate: &Coordinate) -> Result<(), Failure> {
        if self.table.lift_expiry(coordinate).await? {
            return Ok(());
        }
        self.must_be_there(coordinate).await
    }
}
