//! Asking a platform's database once more, right before or behind a deletion.

use cloakroom_core::Result;
use cloakroom_core::platform::{Judgement, PlatformIdentity, SecretName, Standing};

use super::Pass;

impl Pass<'_> {
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
