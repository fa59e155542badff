//! Execute: claim, look once more, delete, write down. One bad item never holds up the rest.

use std::time::Duration;

use cloakroom_core::ledger::{Claim, ClaimItem, DeletionOutcome, LedgerRow, Reason, Settlement};
use cloakroom_core::mutant::{self, Mutant};
use cloakroom_core::store::Lease;
use cloakroom_core::{
    Coordinate, DeleteMode, Deletion, Description, Error, ErrorKind, Result, SecretState, Timestamp,
};
use tokio::time::Instant;

use crate::Pass;
use crate::ask::{Delete, Describe};
use crate::observe::Phase;
use crate::survey::Resurfaced;

/// Whether a run goes on behind a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Continue,
    Stop,
}

/// One secret to be deleted.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) coordinate: Coordinate,
    pub(crate) reason: Reason,
    pub(crate) evidence: String,
    pub(crate) once_referenced: bool,
}

impl Item {
    pub(crate) fn resurfaced(late: Resurfaced) -> Self {
        Self {
            coordinate: late.coordinate,
            reason: Reason::Resurfaced,
            evidence: "listed although its row says deleted".to_owned(),
            once_referenced: late.once_referenced,
        }
    }
}

/// Added to the evidence where nothing of ours was there and the name was taken all the same.
const HELD_BY_ANOTHER: &str = "; the name is held by somebody else's secret, which was left alone";

/// An item whose claim is ours.
pub(crate) struct Claimed {
    item: Item,
    row: LedgerRow,
}

impl Pass<'_> {
    pub(crate) async fn execute(&mut self, items: Vec<Item>) -> Result<Flow> {
        let begun = Instant::now();
        let mut claimed = self.claim(items).await?;
        if claimed.is_empty() {
            return Ok(Flow::Continue);
        }
        let outcomes = self.look_and_delete(&mut claimed, begun).await?;
        let mut settlements = Vec::with_capacity(claimed.len());
        let mut unreached = Vec::new();
        for (Claimed { item, .. }, outcome) in claimed.into_iter().zip(outcomes) {
            match outcome {
                Some(outcome) => settlements.push(Settlement {
                    coordinate: item.coordinate,
                    reason: item.reason,
                    evidence: item.evidence,
                    outcome,
                }),
                None => unreached.push(item.coordinate),
            }
        }
        let unreachable = settlements
            .iter()
            .all(|settlement| is_unreachable(&settlement.outcome));
        self.store()
            .settle(self.run(), self.backend_id(), &settlements)
            .await?;
        for settlement in &settlements {
            self.report.count(settlement.reason, &settlement.outcome);
        }
        self.progressed(Phase::Deleting, self.report.deleted());
        if !unreached.is_empty() {
            tracing::warn!(backend.id = %self.backend_id(), deletions.left = unreached.len(), "the backend is slow; the next run deletes the rest");
            self.store()
                .release(&self.held_lease()?, self.backend_id(), &unreached)
                .await?;
            self.report.cut_short = true;
        }
        let is_parked = |it: &Settlement| {
            matches!(
                it.outcome,
                DeletionOutcome::Failed {
                    quarantine: true,
                    ..
                }
            )
        };
        if mutant::on(Mutant::ParkedStopsRun) && settlements.iter().any(is_parked) {
            return Ok(Flow::Stop);
        }
        if unreachable {
            tracing::warn!(backend.id = %self.backend_id(), "the backend does not answer; the run ends here");
            self.report.cut_short = true;
            return Ok(Flow::Stop);
        }
        Ok(Flow::Continue)
    }

    async fn claim(&mut self, items: Vec<Item>) -> Result<Vec<Claimed>> {
        let asked: Vec<ClaimItem> = items
            .iter()
            .map(|item| ClaimItem {
                coordinate: item.coordinate.clone(),
                reason: item.reason,
            })
            .collect();
        let lease = self.held_lease()?;
        let deadline = self.settings().claim_deadline;
        let claims = self
            .store()
            .claim(&lease, self.backend_id(), &asked, &self.windows(), deadline)
            .await?;
        let mut claimed = Vec::with_capacity(items.len());
        for (item, claim) in items.into_iter().zip(claims) {
            match claim {
                Claim::Ready(row) => {
                    // Only what goes uses the allowance up: what a claim spares leaves its place
                    // to another.
                    let counted = u64::from(row.once_referenced);
                    self.allowance = self.allowance.saturating_sub(counted);
                    claimed.push(Claimed { item, row: *row });
                }
                Claim::Referenced | Claim::Changed => self.report.of(item.reason).spared += 1,
            }
        }
        Ok(claimed)
    }

    fn held_lease(&self) -> Result<Lease> {
        let message = "a run without a lease claims nothing";
        self.lease()
            .ok_or_else(|| Error::new(ErrorKind::Invalid, "claim secrets", message))
    }

    /// Asks the backend about each once more, and deletes what is there and ours. `None` where the
    /// claim would have lapsed under the request, or the backend went away before its turn.
    async fn look_and_delete(
        &self,
        claimed: &mut [Claimed],
        begun: Instant,
    ) -> Result<Vec<Option<DeletionOutcome>>> {
        let coordinates: Vec<Coordinate> = claimed
            .iter()
            .map(|claimed| claimed.item.coordinate.clone())
            .collect();
        let seen = self.ask_while_claimed(&Describe, &coordinates, begun).await;
        let mut outcomes: Vec<Option<DeletionOutcome>> = Vec::with_capacity(claimed.len());
        let held = self.held_by_another(claimed, &seen).await?;
        for ((claimed, seen), held) in claimed.iter_mut().zip(&seen).zip(held) {
            if held {
                claimed.item.evidence.push_str(HELD_BY_ANOTHER);
            }
            let outcome = match seen {
                Some(_) if held && !mutant::on(Mutant::StrangerDeleted) => {
                    Some(DeletionOutcome::AlreadyGone)
                }
                seen => seen
                    .as_ref()
                    .and_then(|seen| self.without_deleting(claimed, seen)),
            };
            outcomes.push(outcome);
        }
        self.outlast_puts(claimed, &seen, &mut outcomes, begun)
            .await;
        for recoverable in [true, false] {
            let group: Vec<usize> = (0..claimed.len())
                .filter(|&at| {
                    seen[at].is_some()
                        && outcomes[at].is_none()
                        && self.is_recoverable(&claimed[at], seen[at].as_ref()) == recoverable
                })
                .collect();
            let answers = self
                .delete_group(&group, &coordinates, &seen, recoverable, begun)
                .await;
            for (at, answer) in group.into_iter().zip(answers) {
                let (Some(answer), Some(before)) = (answer, &seen[at]) else {
                    continue;
                };
                let renewed = recoverable && self.renews(before);
                let vanished = was_there(before) && is_already_gone(&answer);
                let again = if renewed || vanished {
                    let alone = std::slice::from_ref(&coordinates[at]);
                    let again = self.ask_while_claimed(&Describe, alone, begun).await;
                    again.into_iter().next().flatten()
                } else {
                    None
                };
                outcomes[at] = Some(if vanished {
                    went(again)
                } else {
                    let again = again.filter(Result::is_ok);
                    let waits = Some(again.as_ref().unwrap_or(before));
                    self.outcome(&claimed[at], waits.filter(|_| renewed), answer)
                });
            }
        }
        Ok(outcomes)
    }

    /// Which names are held by something else than what their rows were written for. What is known by its
    /// value or name alone may be what a document has under another backend's name.
    async fn held_by_another(
        &self,
        claimed: &[Claimed],
        seen: &[Option<Result<Description>>],
    ) -> Result<Vec<bool>> {
        let mut held = vec![false; claimed.len()];
        let (mut doubtful, mut marks) = (Vec::new(), Vec::new());
        for (at, (claimed, seen)) in claimed.iter().zip(seen).enumerate() {
            let Some(Ok(described)) = seen else { continue };
            held[at] = !self.is_of(described, &claimed.row);
            if let Some(mark) = &described.mark
                && !held[at]
                && !self.is_surely_of(described, &claimed.row)
            {
                doubtful.push(at);
                marks.push(mark.clone());
            }
        }
        let known = self.known_elsewhere(&marks).await?;
        for (at, known) in doubtful.into_iter().zip(known) {
            held[at] = known.is_some();
        }
        Ok(held)
    }

    /// What is known without deleting: gone, waiting, or no answer.
    fn without_deleting(
        &self,
        claimed: &Claimed,
        seen: &Result<Description>,
    ) -> Option<DeletionOutcome> {
        match seen {
            Ok(Description {
                state: SecretState::ScheduledForDeletion { due },
                ..
            }) if self.backend.purges().is_none()
                && !mutant::on(Mutant::ScheduledReadAsMissing) =>
            {
                Some(DeletionOutcome::Scheduled { due: *due })
            }
            Ok(_) => None,
            Err(error) => match error.kind() {
                ErrorKind::Missing => Some(DeletionOutcome::AlreadyGone),
                _ if mutant::on(Mutant::ErrorReadAsMissing) => Some(DeletionOutcome::AlreadyGone),
                ErrorKind::ScheduledForDeletion => Some(DeletionOutcome::Scheduled { due: None }),
                _ => Some(self.failed(claimed, error)),
            },
        }
    }

    async fn delete_group(
        &self,
        group: &[usize],
        coordinates: &[Coordinate],
        seen: &[Option<Result<Description>>],
        recoverable: bool,
        begun: Instant,
    ) -> Vec<Option<Result<Deletion>>> {
        let mode = self.mode(recoverable);
        let backend = &self.backend;
        let coordinates: Vec<Coordinate> =
            group.iter().map(|&at| coordinates[at].clone()).collect();
        let capabilities = backend.capabilities();
        // A backend that deletes many in one call is asked so: the rows are claimed, and nobody
        // else writes under their names.
        if capabilities.delete_batch > 1 || !capabilities.delete_precondition {
            let mut answers = self
                .ask_while_claimed(&Delete(mode), &coordinates, begun)
                .await;
            if capabilities.delete_batch > 1 && coordinates.len() > 1 {
                self.ask_each_alone(mode, &coordinates, &mut answers, begun)
                    .await;
            }
            return answers;
        }
        let request = self.settings().request;
        let mut answers = Vec::with_capacity(group.len());
        for (coordinate, &at) in coordinates.iter().zip(group) {
            if !self.claims_outlast_a_request(begun) {
                answers.push(None);
                continue;
            }
            let precondition = seen[at]
                .as_ref()
                .and_then(|seen| seen.as_ref().ok())
                .and_then(|described| described.precondition.as_ref());
            let answer = request.run("delete the secret", || {
                backend.delete(coordinate, mode, precondition)
            });
            answers.push(Some(answer.await));
        }
        answers
    }

    /// A call that deletes many fails for all of them where one cannot be deleted: each is tried
    /// alone, so that the one holds up no other. A manager that is away is not asked again.
    async fn ask_each_alone(
        &self,
        mode: DeleteMode,
        coordinates: &[Coordinate],
        answers: &mut [Option<Result<Deletion>>],
        begun: Instant,
    ) {
        for (coordinate, answer) in coordinates.iter().zip(answers) {
            let failed = |answer: &Result<Deletion>| {
                answer.as_ref().is_err_and(|error| !error.is_retryable())
            };
            if answer.as_ref().is_some_and(failed) {
                let alone = std::slice::from_ref(coordinate);
                let again = self.ask_while_claimed(&Delete(mode), alone, begun).await;
                *answer = again.into_iter().next().flatten();
            }
        }
    }

    /// What was once referenced can be brought back for the backup horizon, as far as the manager
    /// goes; what it does not cover was waited for before.
    fn mode(&self, recoverable: bool) -> DeleteMode {
        let recoverable = recoverable && !mutant::on(Mutant::DeletedForGood);
        match self.window() {
            // Under purge protection what was never in use waits as well.
            Some(window) if recoverable || !self.backend.capabilities().final_deletion => {
                DeleteMode::Recoverable(window)
            }
            _ => DeleteMode::Final,
        }
    }

    /// For how long what is deleted recoverably can be brought back, where it can be at all.
    pub(crate) fn window(&self) -> Option<Duration> {
        let recovery = self.backend.capabilities().recovery?;
        let horizon = self.settings().backup_horizon;
        Some(horizon.clamp(recovery.shortest, recovery.longest))
    }

    /// Whether something waits whose window a run has to end: it is deleted once more, so that it has
    /// an end, and one that leaves the whole window.
    fn renews(&self, seen: &Result<Description>) -> bool {
        self.backend.purges().is_some() && seen.as_ref().is_ok_and(|seen| seen.state.is_waiting())
    }

    /// What was never in use goes for good, also where it expired or somebody deleted it; an end that
    /// somebody gave it stands.
    fn is_recoverable(&self, claimed: &Claimed, seen: Option<&Result<Description>>) -> bool {
        let has_end = |seen: &Result<Description>| self.renews(seen) && due(seen).is_some();
        claimed.row.once_referenced || seen.is_some_and(has_end)
    }

    fn outcome(
        &self,
        claimed: &Claimed,
        waited: Option<&Result<Description>>,
        answer: Result<Deletion>,
    ) -> DeletionOutcome {
        match (answer, waited) {
            (Ok(Deletion::AlreadyGone), Some(seen)) => {
                DeletionOutcome::Scheduled { due: due(seen) }
            }
            (answer, _) => self.outcome_of(claimed, answer),
        }
    }

    fn outcome_of(&self, claimed: &Claimed, answer: Result<Deletion>) -> DeletionOutcome {
        match answer {
            Ok(Deletion::Deleted) => DeletionOutcome::Deleted,
            Ok(Deletion::Scheduled { due }) => DeletionOutcome::Scheduled { due },
            Ok(Deletion::AlreadyGone) => DeletionOutcome::AlreadyGone,
            Err(error) if error.kind() == ErrorKind::Missing => DeletionOutcome::AlreadyGone,
            Err(error) => self.failed(claimed, &error),
        }
    }

    pub(crate) fn failed(&self, claimed: &Claimed, error: &Error) -> DeletionOutcome {
        let fraction = self.reconciler.randomness.fraction();
        self.settings()
            .failure(error, claimed.row.attempts, fraction)
    }
}

/// Whether it was neither gone nor waiting when it was looked at.
fn was_there(seen: &Result<Description>) -> bool {
    seen.as_ref().is_ok_and(|seen| !seen.state.is_waiting())
}

fn is_already_gone(answer: &Result<Deletion>) -> bool {
    match answer {
        Ok(answer) => *answer == Deletion::AlreadyGone,
        Err(error) => error.kind() == ErrorKind::Missing,
    }
}

/// What became of a secret that was there before the request, and that the answer calls gone: an earlier
/// try was carried out, and its answer was lost.
fn went(again: Option<Result<Description>>) -> DeletionOutcome {
    match again {
        Some(Ok(seen)) => match seen.state {
            SecretState::ScheduledForDeletion { due } => DeletionOutcome::Scheduled { due },
            // Somebody put or restored it.
            SecretState::Enabled | SecretState::Disabled | SecretState::Destroyed => {
                DeletionOutcome::AlreadyGone
            }
        },
        Some(Err(error)) if error.kind() == ErrorKind::ScheduledForDeletion => {
            DeletionOutcome::Scheduled { due: None }
        }
        _ => DeletionOutcome::Deleted,
    }
}

fn due(seen: &Result<Description>) -> Option<Timestamp> {
    match seen.as_ref().ok()?.state {
        SecretState::ScheduledForDeletion { due } => due,
        SecretState::Enabled | SecretState::Disabled | SecretState::Destroyed => None,
    }
}

pub(crate) fn is_unreachable(outcome: &DeletionOutcome) -> bool {
    matches!(
        outcome,
        DeletionOutcome::Failed {
            kind: ErrorKind::Unavailable | ErrorKind::Throttled,
            ..
        }
    )
}
