//! Where the secret of a field is, as far as runs tell: two managers may give one id, so that the reference does not.

use cloakroom_core::platform::{FieldPlace, TakenTo};
use cloakroom_core::{Error, ErrorKind, MoveId, Result};

use super::kept::Known;
use super::{OPERATION, Place, SecretsMigration};

/// Where the secret is that a field refers to.
pub(super) enum Whereabouts {
    /// A run took it there, or back there, and was not through.
    Taken(TakenTo),
    /// Where OpenMetadata keeps its secrets.
    Kept(String),
    /// No run tells.
    Unknown,
}

impl Whereabouts {
    pub(super) fn is_at(&self, place: &Place) -> bool {
        match self {
            Self::Taken(TakenTo { place: at, .. }) | Self::Kept(at) => *at == place.side.word(),
            Self::Unknown => false,
        }
    }

    /// `Conflict` where it is at another place than these.
    pub(super) fn refuse_elsewhere(&self, places: &[&Place], name: &str) -> Result<()> {
        if places.iter().any(|place| self.is_at(place)) {
            return Ok(());
        }
        let message = match self {
            Self::Unknown => return Ok(()),
            Self::Kept(place) => format!(
                "OpenMetadata keeps its secrets in {place}, where it has the same id: take the secret from there"
            ),
            Self::Taken(taken) if taken.is_back => format!(
                "the way back of migration {} took the secret to {}: take it from there first",
                taken.migration, taken.place
            ),
            Self::Taken(taken) => format!(
                "a migration took the secret to {}: take that one back first (`--reverse {}`); where OpenMetadata never \
                 went there, say where it keeps its secrets with `--set-to PLACE`",
                taken.place, taken.migration
            ),
        };
        Err(Error::new(ErrorKind::Conflict, OPERATION, message).with_coordinate(name))
    }
}

impl SecretsMigration {
    /// Whether more than one kind of manager could have given an id.
    pub(super) fn is_an_id_of_many(&self, id: &str) -> bool {
        let kinds = self.everywhere.iter().filter(|ids| ids.check(id).is_some());
        kinds.count() > 1
    }

    /// Where the secret is that a field refers to by this name. Where a run left the field under another one, it was saved
    /// since, where OpenMetadata keeps its secrets.
    pub(super) async fn whereabouts(
        &self,
        place: FieldPlace<'_>,
        name: &str,
    ) -> Result<Whereabouts> {
        let kept = self.kept().await?;
        let taken = if kept.is_none_or(|it| it.known != Known::Said) {
            let (journal, platform) = (&self.ground.journal, &self.ground.platform);
            let database = self.database().await?;
            journal.taken_since(platform, &database, place).await?
        } else {
            None
        };
        if let Some(taken) = taken.filter(|it| it.to_name.as_deref() == Some(name)) {
            return Ok(Whereabouts::Taken(taken));
        }
        let mut sides = [&self.from, &self.to].into_iter();
        let kept = kept.filter(|it| it.known != Known::Configured);
        Ok(match kept.map(|it| &it.at.place) {
            Some(kept) if sides.any(|it| it.side.word() == *kept && it.made(name)) => {
                Whereabouts::Kept(kept.clone())
            }
            _ => Whereabouts::Unknown,
        })
    }

    /// Where no run tells where OpenMetadata keeps its secrets: `Conflict` where one since went on to another place than the
    /// one that took a secret where it is said to be, and says nothing of it. It may have been saved there under the same id.
    /// The run that is asked for does not count.
    pub(super) async fn refuse_passed_by(
        &self,
        asked_for: Option<MoveId>,
        place: FieldPlace<'_>,
        (secret, id): (&Whereabouts, &str),
    ) -> Result<Result<()>> {
        let kept = self.kept().await?;
        let Whereabouts::Taken(taken) = secret else {
            return Ok(Ok(()));
        };
        if kept.is_some_and(|it| it.known != Known::Configured) || !self.is_an_id_of_many(id) {
            return Ok(Ok(()));
        }
        let journal = &self.ground.journal;
        let later = journal.passed_by(taken.migration, place).await?;
        let Some(later) = later.filter(|it| Some(*it) != asked_for) else {
            return Ok(Ok(()));
        };
        let message = format!(
            "migration {later} went on to another place and says nothing of the field: it may have been saved there since \
             under the same id; take that one back first (`--reverse {later}`), or say where OpenMetadata keeps its secrets \
             with `--set-to PLACE`"
        );
        let refused = Error::new(ErrorKind::Conflict, OPERATION, message);
        Ok(Err(refused.with_coordinate(id)))
    }
}
