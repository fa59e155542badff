//! What earlier runs took on and did not end: a process died at it, or a deletion failed.

use cloakroom_core::ledger::{DeletionOutcome, RowState};
use cloakroom_core::platform::{Removal, RemovalEnd, RemovalSettlement, SecretName};
use cloakroom_core::{Result, SecretState};

use super::super::answers::{DESCRIBE, describe_one};
use super::run::{Run, spared};

impl Run<'_> {
    /// Writes down how it ended, where the manager tells. What is still there goes the way of
    /// everything unused, if it still is.
    pub(super) async fn resume(&mut self) -> Result<()> {
        let page = self.cleaner.settings.page.max(1);
        let mut after: Option<SecretName> = None;
        loop {
            let store = &self.cleaner.store;
            let state = RowState::Deleting;
            let begun = store
                .removals_in(self.target(), state, after.as_ref(), page)
                .await?;
            let Some(last) = begun.last() else {
                return Ok(());
            };
            after = Some(last.name.clone());
            let now = self.pass.reader.store.now().await?;
            let mut ended = Vec::new();
            for removal in begun {
                // A request of whoever took it on may still be under way.
                if !removal.rests(now) {
                    ended.extend(self.how_it_ended(&removal).await?);
                }
                self.pass.keep_lease().await?;
            }
            self.write_down_resumed(ended).await?;
        }
    }

    async fn how_it_ended(&self, removal: &Removal) -> Result<Option<RemovalSettlement>> {
        let named = self.pass.named()?;
        let request = self.cleaner.settings.request;
        let name = removal.name.to_string();
        let found = request.run(DESCRIBE, || describe_one(named, &name));
        let outcome = match found.await {
            Ok(found) => match found.state {
                SecretState::ScheduledForDeletion { due } => DeletionOutcome::Scheduled { due },
                SecretState::Enabled | SecretState::Disabled | SecretState::Destroyed => {
                    return Ok(None);
                }
            },
            Err(error) if error.is_missing() => DeletionOutcome::AlreadyGone,
            // Not known: the row stays as it is.
            Err(_) => return Ok(None),
        };
        Ok(Some(RemovalSettlement {
            evidence: format!("run {} had taken it on and was cut off", removal.run),
            end: RemovalEnd::Asked(outcome),
            ..spared(removal.name.clone(), removal.standing)
        }))
    }

    async fn write_down_resumed(&mut self, ended: Vec<RemovalSettlement>) -> Result<()> {
        if ended.is_empty() {
            return Ok(());
        }
        let names: Vec<SecretName> = ended.iter().map(|it| it.name.clone()).collect();
        let standings: Vec<_> = ended.iter().map(|it| it.standing).collect();
        self.report.resumed += names.len() as u64;
        self.settle(ended).await?;
        // The run that was cut off did not come to ask again.
        let Some(mentioned) = self.pass.mentioned(&names).await? else {
            self.report.unchecked += names.len() as u64;
            return Ok(());
        };
        for ((name, standing), mentioned) in names.iter().zip(standings).zip(mentioned) {
            if mentioned {
                self.rescue(name, standing).await?;
            }
        }
        Ok(())
    }
}
