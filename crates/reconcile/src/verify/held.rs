//! Everything that is held against the backend: no document refers to what an undo brought back or a move
//! left, and somebody may want it all the same. It has to be there until the hold ends.

use cloakroom_core::ledger::{LedgerRow, RowState};
use cloakroom_core::store::{Finding, FindingKind, SecretFilter, UnreadableRow};
use cloakroom_core::{Coordinate, Description, Error, ErrorKind, Result, SecretState, Timestamp};

use crate::Pass;
use crate::listing::Listing;
use crate::rescue::{Need, held_until};
use crate::survey::{endangered, unreadable_row};

impl Pass<'_> {
    pub(crate) async fn verify_held(&mut self) -> Result<()> {
        let filter = SecretFilter {
            backend: Some(self.backend_id().clone()),
            state: Some(RowState::Held),
            ..SecretFilter::default()
        };
        let mut listing = None;
        let mut after = None;
        loop {
            if self.told_to_stop() {
                self.report.cut_short = true;
                return Ok(());
            }
            self.keep_lease().await?;
            let store = &self.reconciler.store;
            let size = self.settings().page;
            let page = store.list_secrets(&filter, after, size).await?;
            for row in page.unreadable {
                self.tell_unreadable(row).await?;
            }
            // A listing is asked for once, and only where there is something to look for.
            if !page.rows.is_empty() && listing.is_none() {
                listing = Some(self.ordered_listing());
            }
            if let Some(listing) = &mut listing {
                self.verify_held_page(page.rows, listing).await?;
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    async fn verify_held_page(
        &mut self,
        rows: Vec<LedgerRow>,
        listing: &mut Option<Listing>,
    ) -> Result<()> {
        let names: Vec<Coordinate> = rows.iter().map(|row| row.coordinate.clone()).collect();
        // What a document refers to was looked at with the references.
        let referenced = self.store().referenced(self.backend_id(), &names).await?;
        let now = self.store().now().await?;
        let held: Vec<(LedgerRow, Timestamp)> = rows
            .into_iter()
            .filter(|row| !referenced.contains(&row.coordinate))
            .filter_map(|row| {
                let until = end_of_hold(&row).filter(|until| *until > now)?;
                Some((row, until))
            })
            .collect();
        let names: Vec<&Coordinate> = held.iter().map(|(row, _)| &row.coordinate).collect();
        let described = self.describe_all(&names, listing).await?;
        for ((row, until), described) in held.iter().zip(described) {
            match described {
                Ok(described) => self.judge_held(row, *until, &described).await?,
                Err(error) => self.judge_held_failure(row, *until, error).await?,
            }
        }
        Ok(())
    }

    async fn judge_held(
        &mut self,
        row: &LedgerRow,
        until: Timestamp,
        described: &Description,
    ) -> Result<()> {
        if !self.is_of(described, row) {
            let what = "its name is held by another secret in the manager";
            return self
                .held_amiss(FindingKind::NotOurs, row, until, what)
                .await;
        }
        if endangered(described) {
            self.rescue_if_held(described).await?;
        }
        match described.state {
            SecretState::Destroyed => {
                let what = "its value was destroyed in the manager";
                self.held_amiss(FindingKind::LedgerMismatch, row, until, what)
                    .await
            }
            SecretState::Disabled => {
                let what = "it is switched off in the manager; enable it there";
                self.held_amiss(FindingKind::Disabled, row, until, what)
                    .await
            }
            SecretState::Enabled | SecretState::ScheduledForDeletion { .. } => Ok(()),
        }
    }

    async fn judge_held_failure(
        &mut self,
        row: &LedgerRow,
        until: Timestamp,
        error: Error,
    ) -> Result<()> {
        match error.kind() {
            ErrorKind::Missing if self.held_now(&row.coordinate).await?.is_some() => {
                let what = "the manager does not have it";
                self.held_amiss(FindingKind::LedgerMismatch, row, until, what)
                    .await
            }
            ErrorKind::Missing => Ok(()),
            ErrorKind::Corrupt => {
                let what = format!("the manager has it and cannot give it back: {error}");
                self.held_amiss(FindingKind::Unreadable, row, until, &what)
                    .await
            }
            _ if error.is_retryable() => Err(error),
            _ => {
                self.unsure.get_or_insert(error);
                Ok(())
            }
        }
    }

    /// Rescues what is held now and this.
    pub(crate) async fn rescue_if_held(&mut self, endangered: &Description) -> Result<()> {
        let held = self.held_now(&endangered.coordinate).await?;
        match held {
            Some((row, until)) if self.is_of(endangered, &row) => {
                self.rescue(endangered, Need::Held { until }).await?;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The row, and until when it is held. A move may have let go of it since it was read, or taken it back into
    /// use.
    async fn held_now(&self, coordinate: &Coordinate) -> Result<Option<(LedgerRow, Timestamp)>> {
        let one = std::slice::from_ref(coordinate);
        let rows = self.store().each_row(self.backend_id(), one).await?;
        let now = self.store().now().await?;
        let row = rows.into_iter().flatten().flatten().next();
        Ok(row.and_then(|row| {
            let until = end_of_hold(&row).filter(|until| *until > now)?;
            (row.state == RowState::Held).then_some((row, until))
        }))
    }

    async fn held_amiss(
        &mut self,
        kind: FindingKind,
        row: &LedgerRow,
        until: Timestamp,
        what: &str,
    ) -> Result<()> {
        self.found(Finding {
            kind,
            document: None,
            pointer: None,
            coordinate: Some(row.coordinate.clone()),
            detail: format!("{what}; {}", held_until(until)),
        })
        .await
    }

    async fn tell_unreadable(&mut self, row: UnreadableRow) -> Result<()> {
        self.found(Finding {
            kind: FindingKind::LedgerMismatch,
            document: None,
            pointer: None,
            detail: unreadable_row(&format!("{} ({})", row.error, row.unreadable)),
            coordinate: row.coordinate,
        })
        .await
    }
}

/// For a held row, the date on which it would begin to be of no use.
fn end_of_hold(row: &LedgerRow) -> Option<Timestamp> {
    row.unreferenced_since
}
