//! A batch: ask the database once more, take the secrets on, look at each once more, delete, write
//! down, and ask the database again.

use cloakroom_core::ledger::DeletionOutcome;
use cloakroom_core::platform::{
    NamedSecret, NamedSecrets, RemovalEnd, RemovalItem, RemovalSettlement, SecretName, Standing,
};
use cloakroom_core::{DeleteMode, Deletion, Error, Result, Timestamp};
use futures_util::{StreamExt as _, stream};
use tokio::time::Instant;

use super::super::answers::{DESCRIBE, only};
use super::super::standing::{is_past, last_changed};
use super::super::{Judged, PlatformPhase};
use super::run::{Run, spared};
use crate::execute::{Flow, is_unreachable};

/// Secrets looked at and deleted at the same time.
const IN_FLIGHT: usize = 8;

/// A secret that could go.
pub(super) struct Candidate {
    pub(super) name: SecretName,
    pub(super) standing: Standing,
    mode: DeleteMode,
    /// When the manager said that it was last changed, where it said so.
    changed: Option<Timestamp>,
    unused_since: Option<Timestamp>,
    /// Failed deletions so far.
    attempts: u32,
}

impl Candidate {
    pub(super) fn new(name: SecretName, judged: &Judged, mode: DeleteMode, attempts: u32) -> Self {
        Self {
            name,
            standing: judged.standing,
            mode,
            changed: judged.evidence.secret.changed,
            unused_since: judged.evidence.unused_since,
            attempts,
        }
    }

    fn item(&self) -> RemovalItem {
        RemovalItem {
            name: self.name.clone(),
            standing: self.standing,
        }
    }

    fn evidence(&self) -> String {
        let told = |at: Option<Timestamp>| {
            at.map_or_else(|| "an unknown time".to_owned(), |at| at.to_string())
        };
        format!(
            "{}, seen unused since {}, last changed {}, and mentioned nowhere right before",
            self.standing,
            told(self.unused_since),
            told(self.changed)
        )
    }
}

/// What a last look and a deletion came to.
enum End {
    /// Nothing was asked of the manager that could change it.
    Spared,
    /// There was no time left under the claim.
    Unreached,
    /// It was not there any more.
    Gone,
    Asked(DeletionOutcome),
}

impl Run<'_> {
    pub(super) async fn execute(&mut self, batch: Vec<Candidate>) -> Result<Flow> {
        if batch.is_empty() {
            return Ok(Flow::Continue);
        }
        if self.cleaner.stop.is_cancelled() {
            self.report.cut_short = true;
            return Ok(Flow::Stop);
        }
        let Some(batch) = self.mentioned_by_no_other(batch).await? else {
            return Ok(Flow::Stop);
        };
        let Some(batch) = self.still_unused(batch).await? else {
            return Ok(Flow::Stop);
        };
        self.pass.keep_lease().await?;
        let claimed = self.claim(batch).await?;
        let ends = self.delete(&claimed).await?;
        let flow = self.write_down(&claimed, &ends).await?;
        (self.counted)(&self.report);
        let asked = claimed.iter().zip(&ends);
        let asked = asked.filter(|(_, end)| matches!(end, End::Asked(_)));
        let asked: Vec<&Candidate> = asked.map(|(candidate, _)| candidate).collect();
        if self.look_again(&asked).await? == Flow::Stop {
            return Ok(Flow::Stop);
        }
        let done = self.report.deleted();
        self.pass.progressed(PlatformPhase::Deleting, done);
        Ok(flow)
    }

    /// Those that the database still does not mention, and that are not our own; `None` where it cannot
    /// be asked, or is another one now.
    async fn still_unused(&mut self, batch: Vec<Candidate>) -> Result<Option<Vec<Candidate>>> {
        let names: Vec<SecretName> = batch.iter().map(|it| it.name.clone()).collect();
        let Some(mentioned) = self.pass.mentioned(&names).await? else {
            self.report.cut_short = true;
            return Ok(None);
        };
        let texts: Vec<&str> = names.iter().map(SecretName::as_str).collect();
        let ours = self.pass.are_ours(&texts).await?;
        self.pass.note_in_use(&names, &mentioned).await?;
        let mut unused = Vec::with_capacity(batch.len());
        for ((candidate, mentioned), ours) in batch.into_iter().zip(mentioned).zip(ours) {
            if mentioned || ours {
                self.report.of(candidate.standing).spared += 1;
            } else {
                unused.push(candidate);
            }
        }
        Ok(Some(unused))
    }

    /// Writes down that these are about to be deleted, before the manager is asked.
    async fn claim(&mut self, batch: Vec<Candidate>) -> Result<Vec<Candidate>> {
        let items: Vec<RemovalItem> = batch.iter().map(Candidate::item).collect();
        let lease = self.pass.lease.held();
        let deadline = self.cleaner.settings.claim_deadline;
        let store = &self.cleaner.store;
        let taken = store
            .claim_removals(&lease, self.report.run, self.target(), &items, deadline)
            .await?;
        let mut claimed = Vec::with_capacity(batch.len());
        for (candidate, taken) in batch.into_iter().zip(taken) {
            if taken {
                claimed.push(candidate);
            } else {
                self.report.of(candidate.standing).resting += 1;
            }
        }
        Ok(claimed)
    }

    async fn delete(&self, claimed: &[Candidate]) -> Result<Vec<End>> {
        let begun = Instant::now();
        let named = self.pass.named()?;
        let now = self.pass.reader.store.now().await?;
        // Collected first: a stream that makes them as it goes could not be sent to another thread.
        let looks: Vec<_> = claimed
            .iter()
            .map(|candidate| self.look_and_delete(named, candidate, now, begun))
            .collect();
        Ok(stream::iter(looks).buffered(IN_FLIGHT).collect().await)
    }

    async fn look_and_delete(
        &self,
        named: &dyn NamedSecrets,
        candidate: &Candidate,
        now: Timestamp,
        begun: Instant,
    ) -> End {
        let settings = &self.cleaner.settings;
        let request = settings.request;
        // No request begins that could outlast the claim.
        if begun.elapsed() + request.deadline * 2 > settings.claim_deadline {
            return End::Unreached;
        }
        let name = candidate.name.to_string();
        let described = request.run(DESCRIBE, || describe_with_tags(named, &name));
        let described = match described.await {
            Ok(described) => described,
            Err(error) if error.is_missing() => return End::Gone,
            Err(error) => return End::Asked(self.failed(candidate, &error)),
        };
        if !self.is_as_judged(candidate, &described, now) {
            return End::Spared;
        }
        let takes_one = self.cleaner.backend().capabilities().delete_precondition;
        let precondition = described.precondition.as_ref().filter(|_| takes_one);
        let deleted = request.run("delete the secret", || {
            named.delete_named(&name, candidate.mode, precondition)
        });
        End::Asked(match deleted.await {
            Ok(Deletion::Deleted) => DeletionOutcome::Deleted,
            Ok(Deletion::Scheduled { due }) => DeletionOutcome::Scheduled { due },
            Ok(Deletion::AlreadyGone) => DeletionOutcome::AlreadyGone,
            Err(error) if error.is_missing() => DeletionOutcome::AlreadyGone,
            Err(error) => self.failed(candidate, &error),
        })
    }

    /// Whether a secret is still what the pass judged: nobody marked, scheduled or changed it since, and
    /// nothing that only a description tells shows that it is another deployment's.
    fn is_as_judged(&self, candidate: &Candidate, found: &NamedSecret, now: Timestamp) -> bool {
        let grace = self.pass.rules.grace(candidate.standing, candidate.mode);
        let waits = found.state.is_waiting();
        // Where a listing does not tell, a description alone does.
        // What was written down of it has no more than milliseconds.
        let moment = |at: Option<Timestamp>| at.map(Timestamp::as_millisecond);
        let unchanged =
            candidate.changed.is_none() || moment(candidate.changed) == moment(found.changed);
        found.name == candidate.name.as_str()
            && !found.marked
            && !self.pass.naming().is_foreign(found)
            && !self.pass.naming().is_of_deployed_jobs(&found.name)
            && !waits
            && unchanged
            && is_past(last_changed(found), grace, now)
    }

    fn failed(&self, candidate: &Candidate, error: &Error) -> DeletionOutcome {
        let settings = &self.cleaner.settings;
        let fraction = self.pass.reader.randomness.fraction();
        settings.failure(error, candidate.attempts, fraction)
    }

    async fn write_down(&mut self, claimed: &[Candidate], ends: &[End]) -> Result<Flow> {
        let mut settlements = Vec::with_capacity(claimed.len());
        let (mut answered, mut asked) = (false, false);
        for (candidate, end) in claimed.iter().zip(ends) {
            if let End::Asked(DeletionOutcome::Failed { kind, message, .. }) = end {
                // As the store keeps it for the runs after this one.
                let told = format!("{kind}: {message}");
                self.report.add_failure(candidate.name.as_str(), &told);
            }
            let count = self.report.of(candidate.standing);
            let end = match end {
                End::Gone => {
                    count.already_gone += 1;
                    answered = true;
                    RemovalEnd::Asked(DeletionOutcome::AlreadyGone)
                }
                End::Asked(outcome) => {
                    count.add(outcome);
                    asked = true;
                    answered |= !is_unreachable(outcome);
                    RemovalEnd::Asked(outcome.clone())
                }
                End::Spared => {
                    count.spared += 1;
                    answered = true;
                    RemovalEnd::Spared
                }
                End::Unreached => {
                    self.report.cut_short = true;
                    RemovalEnd::Spared
                }
            };
            settlements.push(RemovalSettlement {
                evidence: candidate.evidence(),
                end,
                ..spared(candidate.name.clone(), candidate.standing)
            });
        }
        self.settle(settlements).await?;
        if asked && !answered {
            tracing::warn!(backend.id = %self.report.backend, "the manager does not answer; the run ends here");
            self.report.cut_short = true;
            return Ok(Flow::Stop);
        }
        Ok(Flow::Continue)
    }

    /// Asks the database again for what the manager was asked to delete, and brings back what it
    /// mentions by now.
    async fn look_again(&mut self, asked: &[&Candidate]) -> Result<Flow> {
        if asked.is_empty() {
            return Ok(Flow::Continue);
        }
        let names: Vec<SecretName> = asked.iter().map(|it| it.name.clone()).collect();
        let Some(mentioned) = self.pass.mentioned(&names).await? else {
            self.report.unchecked += names.len() as u64;
            self.report.cut_short = true;
            return Ok(Flow::Stop);
        };
        self.pass.note_in_use(&names, &mentioned).await?;
        for (candidate, mentioned) in asked.iter().zip(mentioned) {
            if mentioned {
                self.rescue(&candidate.name, candidate.standing).await?;
            }
        }
        Ok(Flow::Continue)
    }
}

/// Tags may tell that it is another deployment's.
async fn describe_with_tags(named: &dyn NamedSecrets, name: &str) -> Result<NamedSecret> {
    only(DESCRIBE, named.describe_named(&[name.to_owned()]).await)
}
