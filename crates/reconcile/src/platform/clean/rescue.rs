//! Rescue: what the database mentions and the manager is about to take away is brought back, and its
//! expiry taken off.

use cloakroom_core::platform::{
    NamedSecret, NamedSecrets, RemovalEnd, RemovalSettlement, SecretName, Standing,
};
use cloakroom_core::{Error, Result, Timestamp};

use super::super::Judged;
use super::super::answers::{DESCRIBE, describe_one};
use super::super::expiry::takes_away_at;
use super::run::{Run, spared};

/// What was done to a secret so that it stays.
struct Saved {
    /// Whether it waited for its deletion.
    waited: bool,
    /// When it would have expired.
    expiry: Option<Timestamp>,
    /// Why not all of it could be done.
    left: Option<Error>,
}

impl Run<'_> {
    /// Rescues a mentioned secret that was listed as going. A run that may not change anything counts
    /// it.
    pub(super) async fn rescue_listed(&mut self, judged: &Judged) -> Result<()> {
        match self.pass.touched(judged.name()) {
            Some(name) if self.changes() => self.rescue(&name, judged.standing).await,
            // Whoever gave it a name of their own may have meant its expiry: the report tells.
            None if !judged.evidence.secret.state.is_waiting() => Ok(()),
            _ => {
                self.report.endangered += 1;
                Ok(())
            }
        }
    }

    /// Rescues what is in use, was not listed and is going; counts it where nothing may be changed.
    pub(super) async fn rescue_unlisted(&mut self) -> Result<()> {
        if self.changes() {
            self.pass.make_up_for_the_listing().await?;
        }
        for name in self.pass.going_unlisted() {
            match self.pass.touched(&name) {
                Some(name) if self.changes() => self.rescue(&name, Standing::InUse).await?,
                Some(_) => self.report.endangered += 1,
                // Whoever gave it a name of their own looks after it: the report tells.
                None => {}
            }
        }
        Ok(())
    }

    /// Brings a mentioned secret back where it waits, and takes its expiry off.
    pub(super) async fn rescue(&mut self, name: &SecretName, standing: Standing) -> Result<()> {
        let text = name.to_string();
        match self.save(&text).await {
            // A listing, or the answer to the deletion, was behind.
            Ok(None) => self.forget(name, standing).await,
            Ok(Some(saved)) => {
                if let Some(error) = &saved.left {
                    self.still_endangered(&text, error);
                }
                self.saved(name, standing, &saved).await
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
                self.still_endangered(&text, &error);
                Ok(())
            }
        }
    }

    /// `None` where nothing was to be done.
    async fn save(&self, name: &str) -> Result<Option<Saved>> {
        let named = self.pass.named()?;
        let mut found = self.describe(named, name).await?;
        if found.marked || !self.pass.is_going(&found) {
            return Ok(None);
        }
        let mut saved = Saved {
            waited: found.state.is_waiting(),
            expiry: None,
            left: None,
        };
        let request = self.cleaner.settings.request;
        if saved.waited {
            let restored = request.run("restore the secret", || named.restore_named(name));
            restored.await?;
            // What is brought back may carry an expiry again.
            match self.describe(named, name).await {
                Ok(again) => found = again,
                Err(error) => {
                    saved.left = Some(error);
                    return Ok(Some(saved));
                }
            }
        }
        let Some(expiry) = takes_away_at(self.cleaner.backend(), &found) else {
            return Ok(Some(saved));
        };
        let lifted = request.run("lift the expiry", || named.lift_expiry_named(name));
        match lifted.await {
            Ok(()) => saved.expiry = Some(expiry),
            Err(error) if saved.waited => saved.left = Some(error),
            Err(error) => return Err(error),
        }
        Ok(Some(saved))
    }

    async fn describe(&self, named: &dyn NamedSecrets, name: &str) -> Result<NamedSecret> {
        let request = self.cleaner.settings.request;
        let found = request.run(DESCRIBE, || describe_one(named, name));
        found.await
    }

    fn still_endangered(&mut self, name: &str, error: &Error) {
        tracing::error!(platform.name = self.report.platform, secret.name = name, error = %error, "a mentioned secret waits for its deletion or expires, and could not be rescued");
        self.report.endangered += 1;
    }

    async fn saved(&mut self, name: &SecretName, standing: Standing, saved: &Saved) -> Result<()> {
        self.report.rescued += 1;
        let why = match standing {
            Standing::Deployed => "what the platform deployed may refer to it",
            _ => "the platform mentions it",
        };
        let mut evidence = vec![why.to_owned()];
        if saved.waited {
            evidence.push("it waited for its deletion".to_owned());
        }
        if let Some(at) = saved.expiry {
            evidence.push(format!("it would have expired at {at}"));
        }
        let evidence = evidence.join("; ");
        tracing::warn!(
            platform.name = self.report.platform,
            secret.name = %name,
            evidence,
            "a secret was rescued"
        );
        let settlement = RemovalSettlement {
            evidence,
            end: RemovalEnd::Rescued,
            ..spared(name.clone(), standing)
        };
        self.settle(vec![settlement]).await
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
