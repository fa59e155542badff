//! Where OpenMetadata keeps its secrets: each run that leaves nothing to be done leads it elsewhere, and the next one has to
//! begin or end there. What a reference leads to would not be known otherwise.

use cloakroom_core::platform::KeptAt;
use cloakroom_core::{Error, ErrorKind, MoveId, Result};

use super::{OPERATION, Place, SecretsMigration};

/// Where it keeps them.
pub(super) struct Kept {
    pub(super) at: KeptAt,
    pub(super) known: Known,
}

/// Whence that is known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// It was written down.
    Noted,
    /// An operator says so, now.
    Said,
    /// The configuration says so, and no run was through yet.
    Configured,
}

impl SecretsMigration {
    /// `None` where nobody says so.
    pub(super) async fn kept(&self) -> Result<Option<&Kept>> {
        let asked = self.kept.get_or_try_init(async || {
            let kept_as = |known| move |at| Kept { at, known };
            let at = |place: &String| KeptAt {
                place: place.clone(),
                by: None,
            };
            if let Some(place) = &self.ground.set_to {
                return Ok(Some(at(place)).map(kept_as(Known::Said)));
            }
            let (journal, platform) = (&self.ground.journal, &self.ground.platform);
            let noted = journal.kept_at(platform, &self.database().await?).await?;
            if noted.is_none() {
                self.refuse_what_is_known_of_another_database().await?;
            }
            let configured = self.ground.configured.as_ref().map(at);
            Ok::<_, Error>(match noted {
                Some(noted) => Some(noted).map(kept_as(Known::Noted)),
                None => configured.map(kept_as(Known::Configured)),
            })
        });
        Ok(asked.await?.as_ref())
    }

    /// Whether runs, or an operator, say that it keeps them there.
    pub(super) async fn is_kept_at(&self, place: &Place) -> Result<bool> {
        let kept = self.kept().await?;
        let kept = kept.filter(|it| it.known != Known::Configured);
        Ok(kept.is_some_and(|it| it.at.place == place.side.word()))
    }

    /// `Conflict` where all that runs say is of another database of the platform, which may have been this one before it was
    /// restored or moved.
    async fn refuse_what_is_known_of_another_database(&self) -> Result<()> {
        let (database, runs) = (self.database().await?, self.runs().await?);
        let Some(run) = runs.first() else {
            return Ok(());
        };
        if runs.iter().any(|it| it.database == database) {
            return Ok(());
        }
        let message = format!(
            "all migrations of {} were of another database than the one that is configured now: {}; otherwise say where this \
             OpenMetadata keeps its secrets with `--set-to PLACE`",
            run.platform,
            run.if_it_is_the_same()
        );
        Err(Error::new(ErrorKind::Conflict, OPERATION, message))
    }

    /// Refuses a run between two places of which OpenMetadata keeps its secrets in neither.
    pub(super) async fn refuse_out_of_order(&self, way_back: Option<MoveId>) -> Result<()> {
        let [from, to] = [&self.from, &self.to].map(|it| it.side.word());
        let Some(kept) = self.kept().await? else {
            return Ok(());
        };
        if kept.at.place == from || kept.at.place == to {
            return Ok(());
        }
        let instead = match way_back {
            Some(id) => self.to_be_taken_back_first(id, &kept.at).await?,
            None => format!("take its secrets from there (`--from {}`)", kept.at.place),
        };
        let message = format!(
            "{}, and this is between {from} and {to}: {instead}; {}",
            kept.words(&self.ground.platform),
            kept.if_it_is_elsewhere()
        );
        Err(Error::new(ErrorKind::Conflict, OPERATION, message))
    }

    /// Writes down what an operator said, once nothing refuses the run any more.
    pub(super) async fn note_what_is_said(&self) -> Result<()> {
        match self.kept().await? {
            Some(kept) if kept.known == Known::Said => self.note_kept(&kept.at).await,
            _ => Ok(()),
        }
    }

    async fn to_be_taken_back_first(&self, id: MoveId, kept: &KeptAt) -> Result<String> {
        let place = &kept.place;
        let later = self.ground.journal.led_on(id, place).await?;
        let along = format!("what it has now along by a migration of its own (`--from {place}`)");
        Ok(match later {
            Some(later) => {
                format!("take migration {later} back first (`--reverse {later}`), or {along}")
            }
            None => format!("take {along}"),
        })
    }

    /// Writes down that nothing is left to be done, and OpenMetadata is to be set to a place.
    pub(super) async fn lead_to(&self, place: &Place, by: MoveId) -> Result<()> {
        let kept = KeptAt {
            place: place.side.word(),
            by: Some(by),
        };
        self.note_kept(&kept).await
    }

    async fn note_kept(&self, kept: &KeptAt) -> Result<()> {
        let (journal, platform) = (&self.ground.journal, &self.ground.platform);
        journal
            .keep_at(platform, &self.database().await?, kept)
            .await
    }
}

impl Kept {
    fn words(&self, platform: &str) -> String {
        let KeptAt { place, by } = &self.at;
        match (self.known, by) {
            (Known::Configured, _) => format!(
                "platforms.{platform} says that OpenMetadata keeps its secrets in {place} (`provider`, `backend`)"
            ),
            (Known::Said, _) => {
                format!("`--set-to` says that OpenMetadata keeps its secrets in {place}")
            }
            (Known::Noted, Some(run)) => {
                format!("migration {run} left OpenMetadata with its secrets in {place}")
            }
            (Known::Noted, None) => {
                format!("OpenMetadata was said to keep its secrets in {place}")
            }
        }
    }

    fn if_it_is_elsewhere(&self) -> &'static str {
        match self.known {
            Known::Configured => {
                "where it keeps them elsewhere, correct that, or say where with `--set-to PLACE`"
            }
            Known::Said => "or say the place that it has them in",
            Known::Noted => {
                "where it was never set to that, or is set to another place by now, say where it keeps them with \
                 `--set-to PLACE`"
            }
        }
    }
}
