//! How writers that meet on one name agree on the one that has it.
//!
//! Each sets a *claim*, a disabled version of its own, and then lists the versions. It enables its
//! claim only where such a listing shows the claim of nobody else with other bytes, or only withdrawn
//! ones; and whoever has withdrawn never enables. So no two with different bytes enable: each would
//! have to be absent from a listing that the other made after it had set, and neither can have set
//! last.
//!
//! Who withdraws is no matter of safety, only of somebody's winning: all but the claim with the
//! smallest version id, an order on which every listing agrees and no clock has a say. The smallest
//! waits for the others. One that neither withdraws nor enables has died, or may be about to enable:
//! nobody can know, so after a while the one that waits withdraws too, and the name is left to the
//! reconciler's deletion.

use std::time::Duration;

use cloakroom_core::{ErrorKind, PutOutcome, SecretValue};

use crate::failure::Failure;
use crate::mark::{Standing, beside, is_beside, is_claim, is_open_claim};
use crate::put::{Put, copy, taken};
use crate::sdk::{Change, NewVersion, Version};
use crate::standing::value_of;

/// Between the first two looks at what the others do.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// What a listing that holds one's own claim means for it.
enum Turn {
    /// Nobody else can have the name.
    Enable {
        /// The same bytes have it already.
        was_there: bool,
    },
    /// Somebody else has it.
    Lost(Vec<Version>),
    /// Somebody else comes first.
    Withdraw {
        /// Another writer has claimed it for the same bytes, and may get it.
        with_company: bool,
    },
}

impl Put<'_> {
    /// Sets a claim and settles it with whoever else has one.
    pub(crate) async fn claim(&self) -> Result<PutOutcome, Failure> {
        let new = NewVersion {
            value: &self.request.value,
            tags: beside(self.tags.clone(), Standing::Claim),
            content_type: None,
            enabled: false,
            expires: None,
            not_before: None,
        };
        let claim = self.backend.vault.set(&self.name, &new).await?;
        self.backend.learn(&claim);
        let turn = self
            .backend
            .look_until(FIRST_PAUSE, || self.turn(&claim))
            .await?;
        match turn {
            Some(Turn::Enable { was_there }) => self.enable(&claim, was_there).await,
            Some(Turn::Lost(versions)) => {
                self.give_way(&versions).await;
                Err(taken("somebody else puts there"))
            }
            Some(Turn::Withdraw { with_company }) => {
                self.withdraw(&claim).await?;
                if with_company && self.is_won_by_the_same().await? {
                    return Ok(PutOutcome::AlreadyThere);
                }
                Err(taken("somebody else puts there"))
            }
            None => {
                self.withdraw(&claim).await?;
                Err(taken(
                    "somebody else puts there and does not come to an end",
                ))
            }
        }
    }

    /// `None` where the others have to move first.
    async fn turn(&self, claim: &Version) -> Result<Option<Turn>, Failure> {
        let versions = self.backend.vault.versions(&self.name).await?;
        if !versions.iter().any(|version| version.id == claim.id) {
            return Err(Failure::new(
                ErrorKind::Unavailable,
                "the vault does not show what was just set; it may be deleting it",
            ));
        }
        if self.others(&versions).any(|it| !is_beside(&it.tags)) {
            return Ok(Some(Turn::Lost(versions)));
        }
        let was_there = value_of(&versions).is_some_and(|value| value.enabled);
        let first_rival = self.rivals(&versions).map(|it| &it.id).min();
        let (Some(first_rival), false) = (first_rival, was_there) else {
            return Ok(Some(Turn::Enable { was_there }));
        };
        let first_of_ours = self.company(&versions).map(|it| &it.id).min();
        if first_of_ours.is_some_and(|ours| ours < first_rival) {
            return Ok(None);
        }
        let with_company = self.company(&versions).any(|it| it.id != claim.id);
        Ok(Some(Turn::Withdraw { with_company }))
    }

    async fn enable(&self, claim: &Version, was_there: bool) -> Result<PutOutcome, Failure> {
        let change = Change {
            enabled: Some(true),
            tags: Some(self.tags.clone()),
            expires: self.expiry(claim),
        };
        let enabled = self.change(claim, change).await?;

        let versions = self.backend.vault.versions(&self.name).await?;
        if self.others(&versions).any(|it| !is_beside(&it.tags)) {
            return Err(taken("somebody else has set the secret meanwhile"));
        }
        // It may be on top; the time of its creation is too coarse to tell.
        if versions.iter().any(|it| is_claim(&it.tags)) {
            self.put_on_top(&self.request.value, &enabled).await?;
        }
        Ok(if was_there {
            PutOutcome::AlreadyThere
        } else {
            PutOutcome::Created
        })
    }

    /// From here on the claim is never enabled, also where the answer is lost.
    async fn withdraw(&self, claim: &Version) -> Result<(), Failure> {
        let change = Change {
            tags: Some(beside(self.tags.clone(), Standing::Withdrawn)),
            ..Change::default()
        };
        self.change(claim, change).await.map(|_| ())
    }

    /// Whether another writer of the same bytes gets the name, as long as one may.
    async fn is_won_by_the_same(&self) -> Result<bool, Failure> {
        let look = || async {
            let versions = self.backend.vault.versions(&self.name).await?;
            let lost = self.others(&versions).any(|it| !is_beside(&it.tags));
            let won = value_of(&versions).is_some_and(|value| value.enabled);
            let open = self.company(&versions).next().is_some();
            Ok((lost || won || !open).then_some(won && !lost))
        };
        let seen = self.backend.look_until(FIRST_PAUSE, look).await?;
        Ok(seen.unwrap_or_default())
    }

    /// Makes the winner's value the current one again. Whatever comes of it, this put has lost; a
    /// reader of ours finds the winner's value without it.
    async fn give_way(&self, versions: &[Version]) {
        let Some(winner) = value_of(versions).filter(|version| version.enabled) else {
            return;
        };
        if let Ok(held) = self.backend.vault.version(&self.name, &winner.id).await {
            let _ = self.put_on_top(&held.value, &held.version).await;
        }
    }

    pub(crate) async fn put_on_top(
        &self,
        value: &SecretValue,
        like: &Version,
    ) -> Result<Version, Failure> {
        self.backend.vault.set(&self.name, &copy(value, like)).await
    }

    async fn change(&self, claim: &Version, change: Change) -> Result<Version, Failure> {
        let vault = &self.backend.vault;
        match vault.change(&self.name, &claim.id, change).await {
            Err(failure) if failure.is_missing() => Err(Failure::new(
                ErrorKind::Unavailable,
                "the secret was deleted while it was put",
            )),
            answer => answer,
        }
    }

    fn others<'a>(&'a self, versions: &'a [Version]) -> impl Iterator<Item = &'a Version> {
        versions.iter().filter(|version| !self.is_same(version))
    }

    /// Claims of other bytes that may still be enabled.
    pub(crate) fn rivals<'a>(
        &'a self,
        versions: &'a [Version],
    ) -> impl Iterator<Item = &'a Version> {
        self.others(versions).filter(|it| is_open_claim(&it.tags))
    }

    /// Claims of the same bytes that may still be enabled, one's own among them.
    pub(crate) fn company<'a>(
        &'a self,
        versions: &'a [Version],
    ) -> impl Iterator<Item = &'a Version> {
        let same = versions.iter().filter(|version| self.is_same(version));
        same.filter(|version| is_open_claim(&version.tags))
    }
}
