//! Deleting, taking a deletion back, and removing what has passed.

use std::collections::HashMap;

use cloakroom_core::{Coordinate, DeleteMode, Deletion, ErrorKind, Precondition};

use crate::backend::{EmbeddedBackend, RECOVERY};
use crate::failure::Failure;
use crate::opening::missing;
use crate::row::{Passed, StateToken, Which};

/// Rows purged by one statement, so that none holds the database's write lock for long.
const PURGE: u32 = 1_000;

impl EmbeddedBackend {
    pub(crate) async fn try_delete(
        &self,
        which: &Which<'_>,
        mode: DeleteMode,
    ) -> Result<HashMap<Coordinate, Deletion>, Failure> {
        let deleted: HashMap<_, _> = match mode {
            DeleteMode::Final => {
                let removed = self.table.remove(which).await?;
                removed
                    .into_iter()
                    .map(|coordinate| (coordinate, Deletion::Deleted))
                    .collect()
            }
            DeleteMode::Recoverable(window) if window > RECOVERY.longest => {
                return Err(Failure::new(
                    ErrorKind::Unsupported,
                    "a deletion can be taken back for 365 days at most",
                ));
            }
            DeleteMode::Recoverable(window) => {
                let window = window.max(RECOVERY.shortest);
                let scheduled = self.table.schedule(which, window).await?;
                scheduled
                    .into_iter()
                    .map(|(coordinate, due)| (coordinate, Deletion::Scheduled { due: Some(due) }))
                    .collect()
            }
        };
        // More than one deletion adds, or what is left to purge would grow for ever where nobody lists.
        self.purge(2 * which.len() + 100).await;
        Ok(deleted)
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
        let rows = self.table.rows(std::slice::from_ref(coordinate)).await?;
        match (rows.first(), mode) {
            (None, _) => Ok(Deletion::AlreadyGone),
            // Whoever repeats a deletion whose answer was lost finds it done.
            (Some(row), DeleteMode::Recoverable(_)) if row.purge.is_some() => {
                Ok(Deletion::AlreadyGone)
            }
            (Some(_), _) => Err(Failure::new(
                ErrorKind::Conflict,
                "the secret has changed since it was described; it was left as it is",
            )),
        }
    }

    /// Removes at most `most` rows whose recovery window is over, and as many that have expired.
    /// Nothing depends on it, so its failure is nobody's: a database that is down shows in the call
    /// itself.
    pub(crate) async fn purge(&self, most: usize) {
        for passed in [Passed::Recovery, Passed::Expiry] {
            let _ = self.try_purge(passed, most).await;
        }
    }

    async fn try_purge(&self, passed: Passed, most: usize) -> Result<(), Failure> {
        let mut left = most;
        while left > 0 {
            let limit = u32::try_from(left).map_or(PURGE, |left| left.min(PURGE));
            let removed = self.table.purge(passed, limit).await?;
            if removed < u64::from(limit) {
                break;
            }
            left = left.saturating_sub(limit as usize);
        }
        Ok(())
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
