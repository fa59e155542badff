//! Deleting, purging, restoring and lifting expiries. A vault does the first three in the background:
//! each waits until the vault shows it.

use std::future::Future;
use std::time::Duration;

use cloakroom_core::{Coordinate, DeleteMode, Deletion, ErrorKind};

use crate::backend::AzureBackend;
use crate::failure::{Failure, Reason};
use crate::mark::{Standing, beside};
use crate::put::copy;
use crate::read::{marked, missing};
use crate::sdk::{Change, NewVersion, Retention, Version};
use crate::standing::standing;

/// Between the first two looks at a deletion that is under way.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

const DAY: Duration = Duration::from_hours(24);

impl AzureBackend {
    pub(crate) async fn try_delete(
        &self,
        name: &str,
        mode: DeleteMode,
    ) -> Result<Deletion, Failure> {
        if let DeleteMode::Recoverable(window) = mode {
            allow_window(self.configured(), window)?;
        } else if self.settings.purge_protection {
            return Err(protected());
        }
        // The settings may be wrong, and after the deletion it is too late to find out.
        if self.retention().is_none() {
            self.look(name).await?;
        }
        if let Some(retention) = self.retention() {
            match mode {
                DeleteMode::Recoverable(window) => allow_window(retention, window)?,
                DeleteMode::Final if !retention.purgeable => return Err(protected()),
                DeleteMode::Final => {}
            }
        }
        let deleted = match self.vault.delete(name).await {
            Ok(version) => Some(version),
            Err(failure) if failure.is_missing() => None,
            Err(failure) if failure.reason == Reason::InTransition => None,
            Err(failure) => return Err(failure),
        };
        match mode {
            DeleteMode::Recoverable(_) => self.schedule(name, deleted).await,
            DeleteMode::Final => self.purge(name, deleted.is_some()).await,
        }
    }

    async fn schedule(&self, name: &str, deleted: Option<Version>) -> Result<Deletion, Failure> {
        let Some(deleted) = deleted else {
            return Ok(Deletion::AlreadyGone);
        };
        // It is deleted already; that it does not show yet is no failure.
        let _ = self.wait(|| self.is_deleted(name)).await;
        Ok(Deletion::Scheduled { due: deleted.due })
    }

    /// Purges what waits, which a deletion just begun may not do yet.
    async fn purge(&self, name: &str, just_deleted: bool) -> Result<Deletion, Failure> {
        let purged = self
            .wait(|| async {
                match self.vault.purge(name).await {
                    Ok(()) => Ok(Some(true)),
                    Err(failure) if failure.is_missing() && !just_deleted => Ok(Some(false)),
                    Err(failure) if failure.is_missing() => Ok(None),
                    Err(failure) if failure.reason == Reason::InTransition => Ok(None),
                    Err(failure) => Err(failure),
                }
            })
            .await?;
        if !purged {
            return Ok(Deletion::AlreadyGone);
        }
        // Until then the name is taken and the secret still listed.
        self.wait(|| async { Ok((!self.is_waiting(name).await?).then_some(())) })
            .await?;
        Ok(Deletion::Deleted)
    }

    pub(crate) async fn try_restore(&self, name: &str) -> Result<(), Failure> {
        match self.vault.recover(name).await {
            Ok(()) => {}
            Err(failure) if failure.reason == Reason::InTransition => {}
            Err(failure) if failure.is_missing() || failure.kind == ErrorKind::Conflict => {
                let there = !self.vault.versions(name).await?.is_empty();
                return if there { Ok(()) } else { Err(missing()) };
            }
            Err(failure) => return Err(failure),
        }
        self.wait(|| async {
            let back = !self.vault.versions(name).await?.is_empty();
            Ok(back.then_some(()))
        })
        .await
    }

    /// A vault never forgets an expiry, so the secret gets a new version without one. That would make
    /// anew what was deleted meanwhile, and so is taken back there.
    pub(crate) async fn try_lift_expiry(&self, coordinate: &Coordinate) -> Result<(), Failure> {
        let name = self.secret_name(coordinate);
        let versions = self.vault.versions(&name).await?;
        let Some(version) = standing(&versions) else {
            // It says whether it is missing or waits.
            return match self.vault.deleted(&name).await {
                Ok(_) => Err(Failure::new(
                    ErrorKind::ScheduledForDeletion,
                    "the secret is deleted; restore it first",
                )),
                Err(failure) => Err(failure),
            };
        };
        // Its mark may be damaged: taking an expiry off harms nobody.
        if marked(&self.settings.prefix, version).is_none() {
            return Err(missing());
        }
        if version.expires.is_none() {
            return Ok(());
        }
        let held = self.vault.version(&name, &version.id).await?;
        let without = NewVersion {
            expires: None,
            ..copy(&held.value, &held.version)
        };
        self.vault.set(&name, &without).await?;
        let change = Change {
            tags: Some(beside(held.version.tags, Standing::Superseded)),
            ..Change::default()
        };
        match self.vault.change(&name, &version.id, change).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.is_missing() => {
                self.vault.delete(&name).await?;
                Err(failure)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Asks the vault about a name, for what it says about itself.
    async fn look(&self, name: &str) -> Result<(), Failure> {
        if let Some(version) = self.vault.versions(name).await?.first() {
            self.learn(version);
        }
        Ok(())
    }

    fn configured(&self) -> Retention {
        Retention {
            days: self.settings.retention_days,
            purgeable: !self.settings.purge_protection,
        }
    }

    async fn is_deleted(&self, name: &str) -> Result<Option<()>, Failure> {
        Ok(self.is_waiting(name).await?.then_some(()))
    }

    async fn is_waiting(&self, name: &str) -> Result<bool, Failure> {
        match self.vault.deleted(name).await {
            Ok(_) => Ok(true),
            Err(failure) if failure.reason != Reason::Other => Ok(true),
            Err(failure) if failure.is_missing() => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    async fn wait<T, F>(&self, look: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<Option<T>, Failure>>,
    {
        let seen = self.look_until(FIRST_PAUSE, look).await?;
        seen.ok_or_else(|| {
            Failure::new(
                ErrorKind::Unavailable,
                "the vault is not through with it yet; try again later",
            )
        })
    }
}

fn protected() -> Failure {
    Failure::new(
        ErrorKind::Unsupported,
        "the vault has purge protection: nothing is gone for good before its retention is over; \
         nothing was changed",
    )
}

fn allow_window(retention: Retention, window: Duration) -> Result<(), Failure> {
    let days = retention.days;
    if window <= DAY * u32::from(days) {
        return Ok(());
    }
    Err(Failure::new(
        ErrorKind::Unsupported,
        format!("this vault keeps what is deleted for {days} days and no longer"),
    ))
}
