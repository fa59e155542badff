//! Removing what a move makes superfluous, each once it was compared with its copy: written down first,
//! handed to deletion so that it can be brought back, and with a receipt, as a clean-up does it.

use std::collections::BTreeMap;

use cloakroom_core::ledger::DeletionOutcome;
use cloakroom_core::platform::{
    CopyState, NamedSecret, PlatformCopy, PlatformMove, PlatformScope, PlatformTarget, RemovalEnd,
    RemovalItem, RemovalSettlement, SecretName, ShownPlan, Standing,
};
use cloakroom_core::store::{MoveState, RunOutcome};
use cloakroom_core::{
    DeleteMode, Deletion, Error, ErrorKind, Result, RunId, SecretState, SecretValue,
};
use futures_util::future::join_all;
use sha2::{Digest as _, Sha256};

use super::super::naming::touched;
use super::super::standing::last_changed;
use super::super::{Pass, PlatformPhase};
use super::compare::in_milliseconds;
use super::report::{PlatformMoveReport, PlatformMoveStep};
use super::sides::Sides;
use super::{OPERATION, PlatformMover, Side};

/// Secrets under way at once. No more than twice as many values are in memory.
const TOGETHER: u32 = 16;

/// One run that removes.
pub(super) struct Removing<'a> {
    mover: &'a PlatformMover,
    pass: &'a Pass<'a>,
    sides: Sides<'a>,
    report: PlatformMoveReport,
    by: String,
    /// The side that is removed, and the side that stays.
    of: Side,
    beside: Side,
    mode: DeleteMode,
}

/// Why two values, as they were read, are not known to be the same.
fn difference(values: (Result<SecretValue>, Result<SecretValue>)) -> Option<Error> {
    match values {
        (Ok(ours), Ok(theirs)) if ours == theirs => None,
        (Ok(_), Ok(_)) => {
            let message = "the two managers have different values";
            Some(Error::new(ErrorKind::Conflict, OPERATION, message))
        }
        (Err(error), _) | (_, Err(error)) => Some(error),
    }
}

/// How it ended for one secret.
enum End {
    /// It is gone, or about to go.
    Over(DeletionOutcome),
    /// It was left alone, and why.
    Spared(Error),
    Failed(Error),
}

impl<'a> Removing<'a> {
    /// `Unsupported` where the manager could not give back what is deleted.
    pub(super) fn new(
        mover: &'a PlatformMover,
        pass: &'a Pass<'a>,
        sides: Sides<'a>,
        report: PlatformMoveReport,
        by: &str,
    ) -> Result<Self> {
        let (of, beside) = match report.step {
            PlatformMoveStep::Reverse => (Side::New, Side::Old),
            PlatformMoveStep::Copy | PlatformMoveStep::Finish => (Side::Old, Side::New),
        };
        let backend = mover.backend_of(of);
        let Some(recovery) = backend.capabilities().recovery else {
            let message = "this manager cannot give back what it deletes, so nothing is deleted there: \
                           delete it by hand once you are sure";
            let error = Error::new(ErrorKind::Unsupported, OPERATION, message);
            return Err(error.with_backend(backend.id()));
        };
        let horizon = mover.settings.backup_horizon;
        let window = horizon.clamp(recovery.shortest, recovery.longest);
        Ok(Self {
            mover,
            pass,
            sides,
            report,
            by: by.to_owned(),
            of,
            beside,
            mode: DeleteMode::Recoverable(window),
        })
    }

    /// Removes what is to go, and says where the move stands then.
    pub(super) async fn run(
        mut self,
        record: &PlatformMove,
        begun: MoveState,
        over: MoveState,
    ) -> Result<PlatformMoveReport> {
        if self.report.dry_run {
            self.go_through(record, None).await?;
            return Ok(self.report);
        }
        let store = &self.mover.store;
        if record.state == MoveState::Open {
            let lease = self.pass.lease.held();
            let (from, to) = (MoveState::Open, begun);
            store.set_platform_move(&lease, record.id, from, to).await?;
            self.report.state = Some(begun);
        }
        let plan = self.confirm(record).await?;
        let target = self.target();
        store.start_removals(self.pass.run, &target, &plan).await?;
        let gone = self.go_through(record, Some(self.pass.run)).await;
        let outcome = match &gone {
            Err(_) => RunOutcome::Failed,
            Ok(()) if self.report.is_complete() => RunOutcome::Done,
            Ok(()) => RunOutcome::Partial,
        };
        let told = serde_json::to_value(&self.report).unwrap_or_default();
        store.finish_removals(self.pass.run, outcome, &told).await?;
        gone?;
        if self.report.is_complete() {
            let lease = self.pass.lease.held();
            store
                .set_platform_move(&lease, record.id, begun, over)
                .await?;
            self.report.state = Some(over);
        }
        Ok(self.report)
    }

    /// The operator's word, as receipts name it. It takes the place of a plan that was confirmed for
    /// cleaning: that was made for the old manager.
    async fn confirm(&self, record: &PlatformMove) -> Result<String> {
        let parts = [
            ("move", record.id.to_string()),
            ("backend", self.mover.id_of(self.of).to_string()),
        ];
        let scope = parts.map(|(part, it)| (part.to_owned(), it));
        let text = format!("{} of {}", record.platform, record.id);
        let plan = ShownPlan {
            id: hex::encode(Sha256::digest(text)),
            scope: PlatformScope(BTreeMap::from(scope)),
        };
        let store = &self.mover.store;
        store.show_plan(&record.platform, &plan).await?;
        store.confirm(&record.platform, &plan, &self.by).await?;
        Ok(plan.id)
    }

    async fn go_through(&mut self, record: &PlatformMove, run: Option<RunId>) -> Result<()> {
        let mut after: Option<SecretName> = None;
        loop {
            if self.mover.stop.is_cancelled() {
                self.report.cut_short = true;
                return Ok(());
            }
            let page = self
                .mover
                .store
                .copies_after(record.id, after.as_ref(), TOGETHER)
                .await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.name.clone());
            let mut going = Vec::with_capacity(page.len());
            for copy in page {
                if copy.state == CopyState::Removed {
                    continue;
                }
                if self.may_go(&copy) {
                    going.push(copy);
                } else {
                    self.report.left_alone += 1;
                }
            }
            match run {
                Some(run) => self.remove(record, run, going).await?,
                None => self.look(going).await,
            }
            self.pass.keep_lease().await?;
            let done = self.report.removed;
            self.pass.progressed(PlatformPhase::Deleting, done);
        }
    }

    /// What a user made, or an older release wrote without a version, stays, and so does what was there
    /// before the move.
    fn may_go(&self, copy: &PlatformCopy) -> bool {
        let naming = &*self.pass.reader.settings.naming;
        let removable = touched(naming, self.name(copy).as_str()).is_some();
        match self.of {
            Side::Old => removable && copy.state == CopyState::Copied && copy.name == copy.source,
            Side::New => removable && copy.written,
        }
    }

    fn name<'c>(&self, copy: &'c PlatformCopy) -> &'c SecretName {
        match self.of {
            Side::Old => &copy.source,
            Side::New => &copy.name,
        }
    }

    fn other_name<'c>(&self, copy: &'c PlatformCopy) -> &'c SecretName {
        match self.of {
            Side::Old => &copy.name,
            Side::New => &copy.source,
        }
    }

    /// Says what removing would come to.
    async fn look(&mut self, going: Vec<PlatformCopy>) {
        for (copy, ready) in going.iter().zip(self.ready(&going).await) {
            match ready {
                Ok(_) => self.report.removed += 1,
                Err(End::Over(_)) => {}
                Err(End::Spared(error) | End::Failed(error)) => {
                    self.report.take_error(self.name(copy).as_str(), &error);
                }
            }
        }
    }

    async fn remove(
        &mut self,
        record: &PlatformMove,
        run: RunId,
        going: Vec<PlatformCopy>,
    ) -> Result<()> {
        let going = self.claim(run, going).await?;
        let ready = self.ready(&going).await;
        let ends = join_all(
            going
                .iter()
                .zip(ready)
                .map(|(copy, ready)| self.delete(copy, ready)),
        );
        let ends = ends.await;
        let mut removed = Vec::with_capacity(going.len());
        let mut settlements = Vec::with_capacity(going.len());
        for (copy, end) in going.iter().zip(ends) {
            let name = self.name(copy);
            let end = match end {
                End::Over(outcome) => {
                    self.report.removed += 1;
                    removed.push(PlatformCopy {
                        state: CopyState::Removed,
                        ..copy.clone()
                    });
                    RemovalEnd::Asked(outcome)
                }
                End::Spared(error) => {
                    self.report.take_error(name.as_str(), &error);
                    RemovalEnd::Spared
                }
                End::Failed(error) => {
                    self.report.take_error(name.as_str(), &error);
                    let fraction = self.pass.reader.randomness.fraction();
                    RemovalEnd::Asked(self.mover.settings.failure(&error, 0, fraction))
                }
            };
            settlements.push(RemovalSettlement {
                name: name.clone(),
                standing: Standing::Superseded,
                evidence: format!(
                    "move {}: compared with {}, which has the same",
                    record.id,
                    self.mover.id_of(self.beside)
                ),
                end,
            });
        }
        let (store, target) = (&self.mover.store, self.target());
        store.settle_removals(run, &target, &settlements).await?;
        let lease = self.pass.lease.held();
        store.write_copies(&lease, record.id, &removed).await
    }

    /// Writes down that these are about to be deleted, before the manager is asked.
    async fn claim(&mut self, run: RunId, going: Vec<PlatformCopy>) -> Result<Vec<PlatformCopy>> {
        let items: Vec<RemovalItem> = going
            .iter()
            .map(|copy| RemovalItem {
                name: self.name(copy).clone(),
                standing: Standing::Superseded,
            })
            .collect();
        let (lease, target) = (self.pass.lease.held(), self.target());
        let deadline = self.mover.settings.claim_deadline;
        let store = &self.mover.store;
        let taken = store
            .claim_removals(&lease, run, &target, &items, deadline)
            .await?;
        let mut claimed = Vec::with_capacity(going.len());
        for (copy, taken) in going.into_iter().zip(taken) {
            if taken {
                claimed.push(copy);
            } else {
                let message = "it is held, or a run that was cut off may still be at it: run this again \
                               in a few minutes";
                let name = self.name(&copy).to_string();
                self.report
                    .take_issue(&name, ErrorKind::Unavailable, message.to_owned());
            }
        }
        Ok(claimed)
    }

    /// Those that are as they were copied, and the same on both sides; how it ended for the others.
    async fn ready(&self, going: &[PlatformCopy]) -> Vec<Result<NamedSecret, End>> {
        let names: Vec<String> = going.iter().map(|it| self.name(it).to_string()).collect();
        let others: Vec<String> = going
            .iter()
            .map(|it| self.other_name(it).to_string())
            .collect();
        let found = self.sides.describe(self.of, &names).await;
        let beside = self.sides.describe(self.beside, &others).await;
        let mut ready = Vec::with_capacity(going.len());
        for (copy, (found, beside)) in going.iter().zip(found.into_iter().zip(beside)) {
            ready.push(self.is_as_copied(copy, found, beside));
        }
        let left: Vec<usize> = (0..going.len()).filter(|&at| ready[at].is_ok()).collect();
        let pick = |names: &[String]| -> Vec<String> {
            left.iter().map(|&at| names[at].clone()).collect()
        };
        let ours = self.sides.read(self.of, &pick(&names)).await;
        let theirs = self.sides.read(self.beside, &pick(&others)).await;
        for (at, values) in left.into_iter().zip(ours.into_iter().zip(theirs)) {
            if let Some(error) = difference(values) {
                ready[at] = Err(End::Spared(error));
            }
        }
        ready
    }

    fn is_as_copied(
        &self,
        copy: &PlatformCopy,
        found: Result<NamedSecret>,
        beside: Result<NamedSecret>,
    ) -> Result<NamedSecret, End> {
        let spare = |message: &'static str| {
            let error = Error::new(ErrorKind::Conflict, OPERATION, message);
            Err(End::Spared(error))
        };
        let found = match found {
            Ok(found) => found,
            Err(error) if error.is_missing() => {
                return Err(End::Over(DeletionOutcome::AlreadyGone));
            }
            Err(error) => return Err(End::Spared(error)),
        };
        match found.state {
            SecretState::ScheduledForDeletion { due } => {
                return Err(End::Over(DeletionOutcome::Scheduled { due }));
            }
            SecretState::Disabled => return spare("it is switched off, so it cannot be compared"),
            SecretState::Enabled => {}
        }
        let changed = last_changed(&found).map(in_milliseconds);
        if found.marked || (self.of == Side::Old && changed != copy.changed) {
            return spare("it was changed since it was copied");
        }
        let beside = beside.map_err(End::Spared)?;
        // What the move wrote was not there before: that shows that there are two managers.
        let same = (found.created, found.changed) == (beside.created, beside.changed);
        if !copy.written && same {
            return spare(
                "both managers tell the same times of it: the two backends may lead to one manager, and \
                 this may be the only copy",
            );
        }
        Ok(found)
    }

    async fn delete(&self, copy: &PlatformCopy, ready: Result<NamedSecret, End>) -> End {
        let found = match ready {
            Ok(found) => found,
            Err(end) => return end,
        };
        let capabilities = self.mover.backend_of(self.of).capabilities();
        let takes_one = capabilities.delete_precondition;
        let precondition = found.precondition.as_ref().filter(|_| takes_one);
        let name = self.name(copy).to_string();
        let named = self.sides.of(self.of);
        let request = self.sides.request();
        let deleted = request.run("delete the secret", || {
            named.delete_named(&name, self.mode, precondition)
        });
        match deleted.await {
            Ok(Deletion::Deleted) => End::Over(DeletionOutcome::Deleted),
            Ok(Deletion::Scheduled { due }) => End::Over(DeletionOutcome::Scheduled { due }),
            Ok(Deletion::AlreadyGone) => End::Over(DeletionOutcome::AlreadyGone),
            Err(error) if error.is_missing() => End::Over(DeletionOutcome::AlreadyGone),
            Err(error) => End::Failed(error),
        }
    }

    fn target(&self) -> PlatformTarget {
        PlatformTarget {
            platform: self.report.platform.clone(),
            backend: self.mover.id_of(self.of).clone(),
        }
    }
}
