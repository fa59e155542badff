//! Other platforms whose secrets are in the same manager: what one of them mentions stays.

use cloakroom_core::platform::Obstacle;
use cloakroom_core::{Error, Result};

use super::batch::Candidate;
use super::run::Run;

impl Run<'_> {
    /// Those that no other platform mentions; `None` where one cannot be asked.
    pub(super) async fn mentioned_by_no_other(
        &mut self,
        mut batch: Vec<Candidate>,
    ) -> Result<Option<Vec<Candidate>>> {
        for neighbour in self.cleaner.neighbours.iter() {
            let names: Vec<String> = batch.iter().map(|it| it.name.to_string()).collect();
            let asked = self.pass.mentioned_by_other(neighbour, &names);
            let mentioned = match self.pass.lease.keep_during(asked).await {
                Ok(mentioned) => mentioned,
                Err(error) => {
                    self.could_not_ask(&neighbour.platform, &error);
                    return Ok(None);
                }
            };
            let (kept, others): (Vec<_>, Vec<_>) = batch
                .into_iter()
                .zip(mentioned)
                .partition(|(_, mentioned)| *mentioned);
            self.keep_for(&neighbour.platform, &kept);
            batch = others.into_iter().map(|(candidate, _)| candidate).collect();
        }
        Ok(Some(batch))
    }

    fn keep_for(&mut self, platform: &str, kept: &[(Candidate, bool)]) {
        for (candidate, _) in kept {
            self.report.of(candidate.standing).spared += 1;
        }
        if !kept.is_empty() {
            let of_platform = self.report.kept_by_others.entry(platform.to_owned());
            *of_platform.or_default() += kept.len() as u64;
        }
    }

    fn could_not_ask(&mut self, platform: &str, error: &Error) {
        tracing::warn!(
            platform.name = self.report.platform,
            platform.other = platform,
            error = %error,
            "whether another platform of this manager mentions secrets is not known; the run ends here"
        );
        self.report.obstacles.push(Obstacle {
            subject: format!("platform {platform}"),
            detail: format!(
                "it has secrets in the same manager, and whether it uses what could go is not known: {error}"
            ),
        });
    }
}
