//! Asking a platform's database once more, right before or behind a deletion.

use std::sync::Arc;

use cloakroom_core::platform::{Judgement, PlatformIdentity, PlatformSource, SecretName, Standing};
use cloakroom_core::{Error, ErrorKind, Result};

use super::Pass;

const ASK: &str = "ask another platform's database";

/// Another platform whose secrets are in the same manager: what its database mentions stays.
pub struct Neighbour {
    /// Its name in the configuration.
    pub platform: String,
    /// Its database, or why there is no way to it.
    pub source: Result<Arc<dyn PlatformSource>>,
}

impl Pass<'_> {
    /// Which of these the database of another platform mentions now. An error where it does not say, or is
    /// not the one that it was so far.
    pub(super) async fn mentioned_by_other(
        &self,
        neighbour: &Neighbour,
        names: &[String],
    ) -> Result<Vec<bool>> {
        self.ask_other(neighbour, names, false).await
    }

    /// The same, but of this pass's own database without what is known to be another storage's than the
    /// neighbour's: whose that is, the pass itself tells.
    pub(super) async fn read_by_other(
        &self,
        neighbour: &Neighbour,
        names: &[String],
    ) -> Result<Vec<bool>> {
        self.ask_other(neighbour, names, true).await
    }

    async fn ask_other(
        &self,
        neighbour: &Neighbour,
        names: &[String],
        tells_storages_apart: bool,
    ) -> Result<Vec<bool>> {
        let refuse = |message: String| Err(Error::new(ErrorKind::Unavailable, ASK, message));
        let source = match &neighbour.source {
            Ok(source) => source,
            Err(error) => return refuse(error.to_string()),
        };
        let known = self.sightings().platform(&neighbour.platform).await?;
        // On both sides of the scan: the address may have come to lead elsewhere.
        let before = source.identity().await?;
        let own = self.sightings().platform(self.platform()).await?;
        let is_own = own.is_some_and(|it| it.database == before.database);
        let mentioned = if is_own && tells_storages_apart {
            source.still_mentioned_here(names).await?
        } else {
            source.still_mentioned(names).await?
        };
        let after = source.identity().await?;
        let expected = known.map_or_else(|| before.database.clone(), |it| it.database);
        if [before, after].iter().any(|it| it.database != expected) {
            return refuse("its database is not the one of its earlier passes".to_owned());
        }
        if mentioned.len() != names.len() {
            return refuse("its database did not answer for every name".to_owned());
        }
        Ok(mentioned)
    }

    /// Which of these the database mentions now; `None` where it does not say, or is another one. What
    /// is not known to be unmentioned is not deleted.
    pub(super) async fn mentioned(&self, names: &[SecretName]) -> Result<Option<Vec<bool>>> {
        let source = &self.reader.source;
        let texts: Vec<String> = names.iter().map(ToString::to_string).collect();
        let ask = async {
            // On both sides of the scan: the address may have come to lead elsewhere.
            let before = source.identity().await?;
            let answer = source.still_mentioned(&texts).await?;
            Ok((before, answer, source.identity().await?))
        };
        let answer = self.lease.keep_during(ask).await;
        let answer = match answer {
            Ok((before, answer, after)) => self
                .is_known([before, after])
                .await?
                .then_some(answer)
                .filter(|answer| answer.len() == names.len()),
            Err(error) => {
                tracing::warn!(platform.name = self.platform(), error = %error, "the database was asked once more");
                None
            }
        };
        if answer.is_none() {
            tracing::warn!(
                platform.name = self.platform(),
                "whether secrets are mentioned by now is not known; the run ends here"
            );
        }
        Ok(answer)
    }

    /// Writes down which of these listed secrets turned out to be in use: they have not been seen unused.
    pub(super) async fn note_in_use(&self, names: &[SecretName], mentioned: &[bool]) -> Result<()> {
        let in_use = names
            .iter()
            .zip(mentioned)
            .filter(|(_, mentioned)| **mentioned);
        let judgements = in_use.map(|(name, _)| Judgement {
            name: name.to_string(),
            standing: Standing::InUse,
            unused: Some(false),
            anew: false,
        });
        let judgements: Vec<Judgement> = judgements.collect();
        let now = self.reader.store.now().await?;
        self.sightings()
            .judge(self.target(), now, &judgements)
            .await
    }

    /// Whether these are the database that the pass read.
    async fn is_known(&self, found: [PlatformIdentity; 2]) -> Result<bool> {
        let known = self.sightings().platform(self.platform()).await?;
        let is_known = |it: &PlatformIdentity| {
            known
                .as_ref()
                .is_some_and(|known| known.database == it.database)
        };
        Ok(found.iter().all(is_known))
    }
}
