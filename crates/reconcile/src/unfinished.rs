//! Marks without a value, of puts whose writer's time is over. Where mark and value are two requests the
//! second may still be under way: without the mark it would make a secret that nobody knows.

use cloakroom_core::ledger::DeletionOutcome;
use cloakroom_core::{Description, Mark, Purge, Result, SecretState};
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::Pass;
use crate::execute::Claimed;

/// Marks left at the same time.
const TOGETHER: usize = 8;

impl Pass<'_> {
    /// Lets what is a mark and no more wait for its deletion instead of deleting it, so that a value that
    /// lands late lands under it and is deleted again.
    pub(crate) async fn outlast_puts(
        &self,
        claimed: &[Claimed],
        seen: &[Option<Result<Description>>],
        outcomes: &mut [Option<DeletionOutcome>],
        begun: Instant,
    ) {
        let (Some(purge), Some(_)) = (self.backend.purges(), self.window()) else {
            return;
        };
        let is_open =
            |at: &usize| outcomes[*at].is_none() && unfinished(seen[*at].as_ref()).is_some();
        let open: Vec<usize> = (0..claimed.len()).filter(is_open).collect();
        for together in open.chunks(TOGETHER) {
            if !self.claims_outlast_a_request(begun) {
                return;
            }
            let asked = together.iter().filter_map(|&at| {
                let mark = unfinished(seen[at].as_ref())?;
                Some(self.outlast_put(purge, &claimed[at], mark))
            });
            let answers = join_all(asked.collect::<Vec<_>>()).await;
            for (&at, answer) in together.iter().zip(answers) {
                outcomes[at] = answer;
            }
        }
    }

    /// `None` where it is no mark alone, and has to be deleted.
    async fn outlast_put(
        &self,
        purge: &dyn Purge,
        claimed: &Claimed,
        mark: &Mark,
    ) -> Option<DeletionOutcome> {
        let (policy, window) = (self.settings().request, self.window()?);
        let left = policy.run("leave the mark", || purge.outlast_put(mark, window));
        match left.await {
            Ok(due) => due.map(|due| DeletionOutcome::Scheduled { due: Some(due) }),
            Err(error) => Some(self.failed(claimed, &error)),
        }
    }
}

fn unfinished(seen: Option<&Result<Description>>) -> Option<&Mark> {
    let described = seen?.as_ref().ok()?;
    let is_off = described.state == SecretState::Disabled;
    described.mark.as_ref().filter(|_| is_off)
}
