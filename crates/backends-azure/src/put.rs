//! Putting values under free names in a vault that refuses no name.
//!
//! A put looks, sets a disabled version, and enables it once nobody else can: [`crate::claim`]. What
//! is enabled is never another value than the winner's. A version that lost stays disabled and is the
//! current one until the winner, or whoever lost, has put a copy of the winner's on top; until then a
//! reader that asks the vault for the name alone is refused, and [`AzureBackend::try_get`] asks for the
//! version.

use std::time::Duration;

use cloakroom_core::{ErrorKind, Mark, PutOutcome, PutRequest, SecretValue, Timestamp};

use crate::backend::{AzureBackend, MOST_BYTES};
use crate::failure::{Failure, Reason};
use crate::mark::{Tags, mark_in, tags_of};
use crate::sdk::{Held, NewVersion, Version};
use crate::standing::value_of;

impl AzureBackend {
    pub(crate) async fn try_put(&self, request: &PutRequest) -> Result<PutOutcome, Failure> {
        check(request)?;
        let put = Put {
            backend: self,
            request,
            name: self.secret_name(&request.mark.coordinate),
            tags: tags_of(&request.mark, &self.settings.tags)?,
        };
        match self.vault.current(&put.name).await {
            Ok(held) => put.compare(&held),
            Err(failure) if failure.is_missing() => put.claim().await,
            Err(failure) if failure.reason == Reason::Disabled => put.look_closer().await,
            Err(failure) => Err(failure),
        }
    }
}

/// One put on one name.
pub(crate) struct Put<'a> {
    pub(crate) backend: &'a AzureBackend,
    pub(crate) request: &'a PutRequest,
    pub(crate) name: String,
    /// Of the secret once it has the name.
    pub(crate) tags: Tags,
}

impl Put<'_> {
    /// The current version is disabled: by whom?
    async fn look_closer(&self) -> Result<PutOutcome, Failure> {
        let vault = &self.backend.vault;
        let versions = vault.versions(&self.name).await?;
        match value_of(&versions) {
            Some(value) if value.enabled => {
                let held = vault.version(&self.name, &value.id).await?;
                let outcome = self.compare(&held)?;
                // Whoever lost it has died before it was cleared up.
                self.put_on_top(&held.value, &held.version).await?;
                Ok(outcome)
            }
            Some(value) if self.is_same(value) => Ok(PutOutcome::AlreadyThere),
            Some(_) => Err(taken("the name is taken by a secret that is switched off")),
            None if versions.is_empty() => Err(Failure::new(
                ErrorKind::Unavailable,
                "the name is taken and freed all the time",
            )),
            None => {
                let rivals = self.rivals(&versions).next().is_some();
                if rivals && self.company(&versions).next().is_none() {
                    return Err(taken("somebody else puts there"));
                }
                // A claim that an earlier try left may be another process's, which may be about to
                // withdraw it: only one's own is enabled.
                self.claim().await
            }
        }
    }

    /// Whether what has the name is what was to be put there.
    fn compare(&self, held: &Held) -> Result<PutOutcome, Failure> {
        let Some(theirs) = mark_in(&held.version.tags)? else {
            return Err(taken("the name is taken by a secret that bears no mark"));
        };
        let ours = &self.request.mark;
        if theirs.coordinate != ours.coordinate {
            Err(taken(
                "the name is taken by the secret of another coordinate",
            ))
        } else if theirs.store != ours.store {
            let store = theirs.store;
            Err(taken(format!("the name is taken by store {store}")))
        } else if !theirs.is_of_intent(ours) {
            Err(taken(
                "the name is taken by what was put for another intent",
            ))
        } else if held.value != self.request.value {
            Err(taken("the name is taken by another value"))
        } else {
            Ok(PutOutcome::AlreadyThere)
        }
    }

    /// Whether a version has the very bytes, store, coordinate and intent of this put. The digest in the
    /// mark tells of the bytes, since a disabled version cannot be read.
    pub(crate) fn is_same(&self, version: &Version) -> bool {
        let ours = &self.request.mark;
        let same = |theirs: Mark| {
            theirs.store == ours.store
                && theirs.coordinate == ours.coordinate
                && theirs.digest == ours.digest
                && theirs.is_of_intent(ours)
        };
        mark_in(&version.tags).ok().flatten().is_some_and(same)
    }

    /// By the vault's own clock, which says when the claim was made.
    pub(crate) fn expiry(&self, claim: &Version) -> Option<Timestamp> {
        let wait = self.request.native_expiry?;
        // The vault keeps whole seconds.
        let wait = Duration::from_secs(wait.as_secs().saturating_add(1));
        claim.created?.checked_add(wait).ok()
    }
}

/// The same secret once more.
pub(crate) fn copy<'a>(value: &'a SecretValue, like: &Version) -> NewVersion<'a> {
    NewVersion {
        value,
        tags: like.tags.clone(),
        content_type: like.content_type.clone(),
        enabled: true,
        expires: like.expires,
        not_before: like.not_before,
    }
}

fn check(request: &PutRequest) -> Result<(), Failure> {
    let value = &request.value;
    if value.len() > MOST_BYTES {
        return Err(Failure::new(
            ErrorKind::TooLarge,
            format!(
                "the value has {} bytes, more than {MOST_BYTES}",
                value.len()
            ),
        ));
    }
    if value.expose_text().is_none() {
        return Err(Failure::new(
            ErrorKind::Invalid,
            "a key vault keeps text, and the value is not UTF-8",
        ));
    }
    Ok(())
}

pub(crate) fn taken(message: impl Into<std::borrow::Cow<'static, str>>) -> Failure {
    Failure::new(ErrorKind::Conflict, message)
}
