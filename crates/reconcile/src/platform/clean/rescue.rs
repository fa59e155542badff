//! Rescue: what the database mentions and the manager is about to delete is brought back.

use cloakroom_core::platform::{RemovalEnd, RemovalSettlement, SecretName, Standing};
use cloakroom_core::{Result, SecretState};

use super::super::Judged;
use super::batch::describe;
use super::run::{Run, spared};

impl Run<'_> {
    /// Brings back a mentioned secret that was listed as waiting. A run that may not change anything
    /// counts it.
    pub(super) async fn rescue_listed(&mut self, judged: &Judged) -> Result<()> {
        match self.pass.touched(judged.name()) {
            Some(name) if self.changes() => self.rescue(&name, judged.standing).await,
            // Whoever gave it a name of their own looks after it: the report tells.
            _ => {
                self.report.endangered += 1;
                Ok(())
            }
        }
    }

    /// Brings back what is in use, was not listed and waits for its deletion.
    pub(super) async fn rescue_unlisted(&mut self) -> Result<()> {
        if !self.changes() {
            return Ok(());
        }
        for name in self.pass.waiting_unlisted().await? {
            // Whoever gave it a name of their own looks after it: the report tells.
            if let Some(name) = self.pass.touched(&name) {
                self.rescue(&name, Standing::InUse).await?;
            }
        }
        Ok(())
    }

    /// Brings a mentioned secret back, where it waits.
    pub(super) async fn rescue(&mut self, name: &SecretName, standing: Standing) -> Result<()> {
        let named = self.pass.named()?;
        let request = self.cleaner.settings.request;
        let text = name.to_string();
        let found = request.run("describe the secret", || describe(named, &text));
        let restored = match found.await {
            Ok(found) if matches!(found.state, SecretState::ScheduledForDeletion { .. }) => {
                request
                    .run("restore the secret", || named.restore_named(&text))
                    .await
            }
            // A listing, or the answer to the deletion, was behind.
            Ok(_) => return self.forget(name, standing).await,
            Err(error) => Err(error),
        };
        match restored {
            Ok(()) => {
                self.report.rescued += 1;
                tracing::warn!(
                    platform.name = self.report.platform,
                    secret.name = text,
                    "a mentioned secret waited for its deletion and was brought back"
                );
                let settlement = RemovalSettlement {
                    evidence: "the platform mentions it, and it waited for its deletion".to_owned(),
                    end: RemovalEnd::Rescued,
                    ..spared(name.clone(), standing)
                };
                self.settle(vec![settlement]).await
            }
            Err(error) if error.is_missing() => {
                tracing::error!(
                    platform.name = self.report.platform,
                    secret.name = text,
                    "a secret came to be mentioned while it was deleted for good"
                );
                self.report.lost.push(text);
                Ok(())
            }
            Err(error) => {
                tracing::error!(platform.name = self.report.platform, secret.name = text, error = %error, "a mentioned secret waits for its deletion and could not be brought back");
                self.report.endangered += 1;
                Ok(())
            }
        }
    }

    /// Nothing is left to be done about a secret that is there.
    async fn forget(&self, name: &SecretName, standing: Standing) -> Result<()> {
        let rows = self
            .cleaner
            .store
            .removals(self.target(), std::slice::from_ref(name));
        if rows.await?.into_iter().flatten().next().is_none() {
            return Ok(());
        }
        self.settle(vec![spared(name.clone(), standing)]).await
    }
}
