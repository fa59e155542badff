//! Reading, describing and listing.

use cloakroom_core::{
    Coordinate, Description, ErrorKind, ListPage, Mark, PageToken, SecretState, StoredSecret,
};

use crate::backend::AzureBackend;
use crate::failure::{Failure, Reason};
use crate::mark::{Tags, coordinate_in, is_beside, is_claim, mark_in};
use crate::name::name_of;
use crate::sdk::{Held, Listing, Version};
use crate::standing::{standing, value_of};

impl AzureBackend {
    pub(crate) async fn try_get(&self, coordinate: &Coordinate) -> Result<StoredSecret, Failure> {
        let name = self.secret_name(coordinate);
        let held = match self.vault.current(&name).await {
            Err(failure) if failure.is_missing() => return Err(self.absent(&name).await?),
            Err(failure) if failure.reason == Reason::Disabled => {
                self.below_claims(&name, failure).await?
            }
            held => held?,
        };
        Ok(StoredSecret {
            mark: mark_in(&held.version.tags)?,
            value: held.value,
        })
    }

    /// What is there when the newest version is disabled: the value below a claim, where a writer
    /// lost the name and died before it could clear up, or nothing, where no put is through yet.
    async fn below_claims(&self, name: &str, disabled: Failure) -> Result<Held, Failure> {
        let versions = self.vault.versions(name).await?;
        let any = |is: fn(&Tags) -> bool| versions.iter().any(|version| is(&version.tags));
        match value_of(&versions) {
            Some(value) if value.enabled && any(is_beside) => {
                self.vault.version(name, &value.id).await
            }
            None if any(is_claim) => Err(missing()),
            _ => Err(disabled),
        }
    }

    /// Why nothing is there: missing, or waiting for its deletion.
    pub(crate) async fn absent(&self, name: &str) -> Result<Failure, Failure> {
        match self.waiting(name).await {
            Ok(version) => {
                let until = version.due.map(|due| format!(" until {due}"));
                Ok(Failure::new(
                    ErrorKind::ScheduledForDeletion,
                    format!(
                        "the secret is deleted and can be restored{}",
                        until.unwrap_or_default()
                    ),
                ))
            }
            Err(failure) if failure.is_missing() => Ok(missing()),
            Err(failure) => Err(failure),
        }
    }

    pub(crate) async fn try_describe(
        &self,
        coordinate: &Coordinate,
    ) -> Result<Description, Failure> {
        let (version, waits) = self.look_up(&self.secret_name(coordinate)).await?;
        let mark = mark_in(&version.tags)?;
        Ok(description(coordinate.clone(), mark, &version, waits))
    }

    /// What stands under a name, as old as its oldest version, and whether it waits for its deletion.
    pub(crate) async fn look_up(&self, name: &str) -> Result<(Version, bool), Failure> {
        let versions = self.vault.versions(name).await?;
        if let Some(version) = standing(&versions) {
            self.learn(version);
            let oldest = versions.iter().filter_map(|it| it.created).min();
            let version = Version {
                created: oldest.or(version.created),
                ..version.clone()
            };
            return Ok((version, false));
        }
        let waiting = self.waiting(name).await?;
        self.learn(&waiting);
        Ok((waiting, true))
    }

    /// What waits for its deletion under a name, described by whatever the vault says of it.
    async fn waiting(&self, name: &str) -> Result<Version, Failure> {
        match self.vault.deleted(name).await {
            // The listing tells what one that was disabled, or one who may only list, is refused.
            Err(failure) if failure.kind == ErrorKind::Denied => self.find_deleted(name).await,
            answer => answer,
        }
    }

    async fn find_deleted(&self, name: &str) -> Result<Version, Failure> {
        let mut next = None;
        loop {
            let (page, link) = self.vault.page(Listing::Deleted, next.as_deref()).await?;
            if let Some(found) = page.into_iter().find(|version| version.name == name) {
                return Ok(found);
            }
            if link.is_none() {
                return Err(missing());
            }
            next = link;
        }
    }

    pub(crate) async fn try_list(&self, page: Option<&PageToken>) -> Result<ListPage, Failure> {
        let (listing, versions, next) = self.page(page).await?;
        let secrets = listed(&self.settings.prefix, listing, &versions);
        Ok(ListPage { secrets, next })
    }

    /// A page of everybody's: the living first, then the deleted.
    pub(crate) async fn page(
        &self,
        page: Option<&PageToken>,
    ) -> Result<(Listing, Vec<Version>, Option<PageToken>), Failure> {
        let (listing, link) = match page {
            None => (Listing::Living, None),
            Some(token) => place(token)?,
        };
        let (versions, next) = self.vault.page(listing, link).await?;
        let next = match (next, listing) {
            (Some(link), listing) => Some(token(listing, &link)),
            (None, Listing::Living) => Some(token(Listing::Deleted, "")),
            (None, Listing::Deleted) => None,
        };
        Ok((listing, versions, next))
    }
}

/// What of a page is ours.
pub(crate) fn listed(prefix: &str, listing: Listing, versions: &[Version]) -> Vec<Description> {
    let waits = listing == Listing::Deleted;
    let described = versions.iter().filter_map(|version| {
        let (coordinate, mark) = marked(prefix, version)?;
        Some(description(coordinate, mark, version, waits))
    });
    described.collect()
}

/// The mark of what stands under the very name its coordinate has here. A secret of another prefix,
/// or a copy under another name, is none of this namespace.
pub(crate) fn ours(prefix: &str, version: &Version) -> Option<Mark> {
    marked(prefix, version)?.1
}

/// The same with its coordinate, which may be readable where the mark as a whole is not.
pub(crate) fn marked(prefix: &str, version: &Version) -> Option<(Coordinate, Option<Mark>)> {
    if !version.name.starts_with(prefix) {
        return None;
    }
    let (coordinate, mark) = match mark_in(&version.tags) {
        Ok(mark) => (mark.as_ref()?.coordinate.clone(), mark),
        Err(_) => (coordinate_in(&version.tags)?, None),
    };
    (name_of(prefix, &coordinate) == version.name).then_some((coordinate, mark))
}

pub(crate) fn missing() -> Failure {
    Failure::new(ErrorKind::Missing, "there is no such secret")
}

fn description(
    coordinate: Coordinate,
    mark: Option<Mark>,
    version: &Version,
    waits: bool,
) -> Description {
    Description {
        coordinate,
        mark,
        state: state_of(version, waits),
        native_expiry: version.expires,
        created: version.created,
        changed: version.updated.max(version.created),
        accessed: None,
        precondition: None,
    }
}

pub(crate) fn state_of(version: &Version, waits: bool) -> SecretState {
    if waits {
        SecretState::ScheduledForDeletion { due: version.due }
    } else if version.enabled {
        SecretState::Enabled
    } else {
        SecretState::Disabled
    }
}

fn token(listing: Listing, link: &str) -> PageToken {
    let listing = match listing {
        Listing::Living => "living",
        Listing::Deleted => "deleted",
    };
    PageToken(format!("{listing} {link}").into())
}

fn place(token: &PageToken) -> Result<(Listing, Option<&str>), Failure> {
    let (listing, link) = token.0.split_once(' ').unwrap_or_default();
    let listing = match listing {
        "living" => Listing::Living,
        "deleted" => Listing::Deleted,
        _ => {
            return Err(Failure::new(
                ErrorKind::Invalid,
                "the page token is none of ours",
            ));
        }
    };
    Ok((listing, Some(link).filter(|link| !link.is_empty())))
}
