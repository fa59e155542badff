//! Where OpenMetadata keeps its secrets: each run that leaves nothing to be done leads it elsewhere, and the next one has to
//! begin or end there. What a reference leads to would not be known otherwise.

use cloakroom_core::platform::KeptAt;
use cloakroom_core::{Error, ErrorKind, MoveId, Result};

use super::{OPERATION, Place, SecretsMigration};

/// Where it keeps them.
pub(super) struct Kept {
    pub(super) at: KeptAt,
    /// Whether it is written down; in a dry run what an operator says is not.
    pub(super) is_noted: bool,
}

impl SecretsMigration {
    /// `None` where no run was through yet, and nobody said so.
    pub(super) async fn kept(&self) -> Result<Option<&Kept>> {
        let asked = self.kept.get_or_try_init(async || {
            let (journal, platform) = (&self.ground.journal, &self.ground.platform);
            let known = journal.kept_at(platform, &self.database().await?).await?;
            let set_to = self.ground.set_to.clone();
            let is_known = known.as_ref().map(|it| &it.place) == set_to.as_ref();
            Ok::<_, Error>(match set_to {
                Some(place) if !is_known => Some(Kept {
                    at: KeptAt { place, by: None },
                    is_noted: false,
                }),
                _ => known.map(|at| Kept { at, is_noted: true }),
            })
        });
        Ok(asked.await?.as_ref())
    }

    pub(super) async fn is_kept_at(&self, place: &Place) -> Result<bool> {
        let kept = self.kept().await?;
        Ok(kept.is_some_and(|it| it.at.place == place.side.word()))
    }

    /// Refuses a run between two places of which OpenMetadata keeps its secrets in neither; otherwise writes down what an
    /// operator said of that.
    pub(super) async fn refuse_out_of_order(
        &self,
        way_back: Option<MoveId>,
        dry_run: bool,
    ) -> Result<()> {
        let [from, to] = [&self.from, &self.to].map(|it| it.side.word());
        let is_a_side = |place: &str| place == from || place == to;
        let failed = |message| Err(Error::new(ErrorKind::Conflict, OPERATION, message));
        if let Some(place) = self.ground.set_to.as_deref()
            && !is_a_side(place)
        {
            return failed(format!(
                "`--set-to` says that OpenMetadata keeps its secrets in {place}, and this is between {from} and {to}"
            ));
        }
        let Some(kept) = self.kept().await? else {
            return self.note_set_to(dry_run).await;
        };
        if is_a_side(&kept.at.place) {
            return self.note_set_to(dry_run).await;
        }
        let place = &kept.at.place;
        let whose = match kept.at.by {
            Some(run) => format!("migration {run} left OpenMetadata with {place}"),
            None => format!("OpenMetadata was said to keep its secrets in {place}"),
        };
        let instead = match way_back {
            Some(_) => self.to_be_taken_back_first(&kept.at).await?,
            None => format!("take its secrets from there (`--from {place}`)"),
        };
        failed(format!(
            "{whose}, and this is between {from} and {to}: {instead}; where it was set to another place by now without \
             this command, say to which with `--set-to PLACE`"
        ))
    }

    async fn to_be_taken_back_first(&self, kept: &KeptAt) -> Result<String> {
        if let Some(run) = kept.by
            && let Some(record) = self.ground.journal.migration(run).await?
            && record.to == kept.place
        {
            return Ok(format!(
                "take that one back first (`--reverse {run}`), or what it has now along by a migration of its own \
                 (`--from {}`)",
                kept.place
            ));
        }
        Ok(format!(
            "take back first what led on to {0}, or take along what it has now by a migration of its own (`--from {0}`)",
            kept.place
        ))
    }

    async fn note_set_to(&self, dry_run: bool) -> Result<()> {
        let unnoted = self.kept().await?.filter(|it| !it.is_noted && !dry_run);
        match unnoted {
            Some(kept) => self.note_kept(&kept.at).await,
            None => Ok(()),
        }
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
