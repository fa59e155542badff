//! Removing what a move makes superfluous, each once it was compared with its copy: written down first,
//! handed to deletion so that it can be brought back, or put off where it could not be, and with a
//! receipt, as a clean-up does it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use cloakroom_core::ledger::DeletionOutcome;
use cloakroom_core::platform::{
    CopyState, PlatformCopy, PlatformMove, PlatformTarget, RemovalEnd, RemovalItem,
    RemovalSettlement, SecretName, ShownPlan, Standing,
};
use cloakroom_core::store::{MoveState, RunOutcome};
use cloakroom_core::{DeleteMode, Deletion, Error, ErrorKind, Result, RunId};
use futures_util::future::join_all;
use sha2::{Digest as _, Sha256};

use super::super::ruling::Rules;
use super::super::{Pass, PlatformPhase, PlatformReport};
use super::ready::{Beside, Ready};
use super::report::{PlatformMoveReport, PlatformMoveStep};
use super::sides::Sides;
use super::whose::{Owners, Whose};
use super::{OPERATION, PlatformMover, Side};

/// Secrets under way at once. No more than twice as many values are in memory.
pub(super) const TOGETHER: usize = 16;

/// Secrets for which other platforms are asked once.
const ASKED_FOR: u32 = 500;

/// One run that removes.
pub(super) struct Removing<'a> {
    pub(super) mover: &'a PlatformMover,
    pub(super) pass: &'a Pass<'a>,
    pub(super) sides: Sides<'a>,
    /// What the pass before saw.
    seen: &'a PlatformReport,
    pub(super) report: PlatformMoveReport,
    by: String,
    /// The side that is removed, and the side that stays.
    pub(super) of: Side,
    pub(super) beside: Side,
    mode: DeleteMode,
    /// How long each waits in the ledger before it is removed, since it could not be brought back for
    /// long enough.
    pub(super) wait: Duration,
    /// The operator's word, as receipts name it.
    pub(super) plan: String,
    /// Whether a run was one of this move's.
    pub(super) runs: HashMap<RunId, bool>,
    /// What is to go, and the pass did not list.
    pub(super) unlisted: HashSet<SecretName>,
    /// What may go next.
    pub(super) ahead: Vec<SecretName>,
    /// What the database was found to mention.
    pub(super) mentioned: HashSet<SecretName>,
}

/// How it ended for one secret.
pub(super) enum End {
    /// It is gone, or about to go.
    Over(DeletionOutcome),
    /// It was left alone, and why.
    Spared(Error),
    Failed(Error),
}

impl<'a> Removing<'a> {
    /// `Unsupported` where the manager can neither give back what it deletes nor delete for good.
    pub(super) fn new(
        mover: &'a PlatformMover,
        pass: &'a Pass<'a>,
        sides: Sides<'a>,
        seen: &'a PlatformReport,
        report: PlatformMoveReport,
        by: &str,
    ) -> Result<Self> {
        let (of, beside) = match report.step {
            PlatformMoveStep::Reverse => (Side::New, Side::Old),
            PlatformMoveStep::Copy | PlatformMoveStep::Finish => (Side::Old, Side::New),
        };
        let backend = mover.backend_of(of);
        let rules = Rules::new(&mover.reader.settings, backend.capabilities());
        let (mode, wait) = rules.way(Standing::Superseded).ok_or_else(|| {
            let message = "this manager keeps what it deletes: delete it by hand once you are sure";
            let error = Error::new(ErrorKind::Unsupported, OPERATION, message);
            error.with_backend(backend.id())
        })?;
        Ok(Self {
            mover,
            pass,
            sides,
            seen,
            report,
            by: by.to_owned(),
            of,
            beside,
            mode,
            wait,
            plan: String::new(),
            runs: HashMap::new(),
            unlisted: HashSet::new(),
            ahead: Vec::new(),
            mentioned: HashSet::new(),
        })
    }

    /// Removes what is to go, and says where the move stands then.
    pub(super) async fn run(
        mut self,
        record: &PlatformMove,
        begun: MoveState,
        over: MoveState,
    ) -> Result<PlatformMoveReport> {
        let plan = self.plan_of(record).await?;
        self.plan.clone_from(&plan.id);
        if record.state == MoveState::Open && !self.all_stays(record).await? {
            return Ok(self.report);
        }
        if self.report.dry_run {
            self.go_through(record, None).await?;
            return Ok(self.report);
        }
        if !self.can_ask_all_others().await {
            return Ok(self.report);
        }
        let store = &self.mover.store;
        if record.state == MoveState::Open {
            let lease = self.pass.lease.held();
            let (from, to) = (MoveState::Open, begun);
            store.set_platform_move(&lease, record.id, from, to).await?;
            self.report.state = Some(begun);
        }
        // It takes the place of a plan that was confirmed for cleaning: that was made for the old
        // manager.
        store.show_plan(&record.platform, &plan).await?;
        store.confirm(&record.platform, &plan, &self.by).await?;
        let target = self.target();
        store
            .start_removals(self.pass.run, &target, &plan.id)
            .await?;
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

    async fn go_through(&mut self, record: &PlatformMove, run: Option<RunId>) -> Result<()> {
        let mut owners = Owners::new(self.pass, self.seen.started);
        let mut after: Option<SecretName> = None;
        loop {
            let page = self
                .mover
                .store
                .copies_after(record.id, after.as_ref(), ASKED_FOR)
                .await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.name.clone());
            let going = self.those_that_may_go(page, &mut owners).await?;
            let Some(mut left) = self.mentioned_by_no_other(going).await? else {
                return Ok(());
            };
            while !left.is_empty() {
                if self.mover.stop.is_cancelled() {
                    self.report.cut_short = true;
                    return Ok(());
                }
                let rest = left.split_off(left.len().min(TOGETHER));
                self.ahead = rest.iter().map(|it| it.name.clone()).collect();
                let going = self.waited(run, left).await?;
                match run {
                    Some(run) => self.remove(record, run, going).await?,
                    None => self.look(going).await?,
                }
                self.pass.keep_lease().await?;
                let done = self.report.removed;
                self.pass.progressed(PlatformPhase::Deleting, done);
                left = rest;
            }
            self.pass.keep_lease().await?;
        }
    }

    /// Counts the others.
    async fn those_that_may_go(
        &mut self,
        page: Vec<PlatformCopy>,
        owners: &mut Owners<'_>,
    ) -> Result<Vec<PlatformCopy>> {
        self.unlisted.clear();
        let mut going = Vec::with_capacity(page.len());
        for copy in page {
            if copy.state == CopyState::Removed {
                continue;
            }
            if !self.may_go(&copy) {
                self.report.left_alone += 1;
                continue;
            }
            let whose = match self.of {
                Side::Old => owners.of(&copy.source).await?,
                Side::New => Whose::Ours,
            };
            match whose {
                Whose::Ours => {}
                Whose::Unlisted => {
                    self.unlisted.insert(copy.source.clone());
                }
                Whose::AUsers => {
                    self.report.left_alone += 1;
                    continue;
                }
                Whose::PerhapsOthers => {
                    self.report.left_to_others += 1;
                    continue;
                }
                Whose::AnotherStoragesToo => {
                    self.report.of_other_storages += 1;
                    continue;
                }
            }
            going.push(copy);
        }
        Ok(going)
    }

    /// What has no name as the platform makes them, or an older release wrote without a version, stays,
    /// and so does what was there before the move.
    pub(super) fn may_go(&self, copy: &PlatformCopy) -> bool {
        let is_versioned = self.name(copy).coordinate().is_some();
        match self.of {
            Side::Old => {
                is_versioned && copy.state == CopyState::Copied && copy.name == copy.source
            }
            Side::New => is_versioned && copy.written,
        }
    }

    pub(super) fn name<'c>(&self, copy: &'c PlatformCopy) -> &'c SecretName {
        match self.of {
            Side::Old => &copy.source,
            Side::New => &copy.name,
        }
    }

    pub(super) fn other_name<'c>(&self, copy: &'c PlatformCopy) -> &'c SecretName {
        match self.of {
            Side::Old => &copy.name,
            Side::New => &copy.source,
        }
    }

    /// Says what removing would come to.
    async fn look(&mut self, going: Vec<PlatformCopy>) -> Result<()> {
        for (copy, ready) in going.iter().zip(self.ready(&going).await?) {
            match ready {
                Ok(_) => self.report.removed += 1,
                Err(End::Over(DeletionOutcome::AlreadyGone)) => self.report.gone += 1,
                Err(End::Over(_)) => {}
                Err(End::Spared(error) | End::Failed(error)) => {
                    self.report.take_error(self.name(copy).as_str(), &error);
                }
            }
        }
        Ok(())
    }

    async fn remove(
        &mut self,
        record: &PlatformMove,
        run: RunId,
        going: Vec<PlatformCopy>,
    ) -> Result<()> {
        let deadline = self.mover.settings.claim_deadline;
        let going = self.claim(run, going, deadline).await?;
        let ready = self.ready(&going).await?;
        let evidence: Vec<String> = ready.iter().map(|it| self.evidence(record, it)).collect();
        let ends = join_all(
            going
                .iter()
                .zip(ready)
                .map(|(copy, ready)| self.delete(copy, ready)),
        );
        let ends = ends.await;
        let mut removed = Vec::with_capacity(going.len());
        let mut settlements = Vec::with_capacity(going.len());
        for ((copy, end), evidence) in going.iter().zip(ends).zip(evidence) {
            let name = self.name(copy);
            let end = match end {
                End::Over(outcome) => {
                    match outcome {
                        DeletionOutcome::AlreadyGone => self.report.gone += 1,
                        _ => self.report.removed += 1,
                    }
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
                evidence,
                end,
            });
        }
        let (store, target) = (&self.mover.store, self.target());
        store.settle_removals(run, &target, &settlements).await?;
        let lease = self.pass.lease.held();
        store.write_copies(&lease, record.id, &removed).await
    }

    /// Writes down that these are about to be deleted, before the manager is asked.
    /// Nobody else takes them on until `deadline` has passed.
    pub(super) async fn claim(
        &mut self,
        run: RunId,
        going: Vec<PlatformCopy>,
        deadline: Duration,
    ) -> Result<Vec<PlatformCopy>> {
        let items: Vec<RemovalItem> = going
            .iter()
            .map(|copy| RemovalItem {
                name: self.name(copy).clone(),
                standing: Standing::Superseded,
            })
            .collect();
        let (lease, target) = (self.pass.lease.held(), self.target());
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

    fn evidence(&self, record: &PlatformMove, ready: &Result<Ready, End>) -> String {
        let beside = self.mover.id_of(self.beside);
        let saw = match ready {
            Ok(Ready {
                beside: Beside::Nothing,
                ..
            }) => format!("the database mentions it no more, and {beside} has let it go"),
            Ok(Ready {
                beside: Beside::Amiss(_),
                ..
            }) => format!(
                "the database mentions it no more, and {beside} is not known to have the same"
            ),
            _ => format!("compared with {beside}, which has the same"),
        };
        format!("move {}: {saw}", record.id)
    }

    async fn delete(&self, copy: &PlatformCopy, ready: Result<Ready, End>) -> End {
        let found = match ready {
            Ok(ready) => ready.found,
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

    /// The operator's word that what is superfluous in a manager may go. Beside that it is for what the
    /// platform is configured to use, so that nothing else looks changed to whoever cleans that.
    async fn plan_of(&self, record: &PlatformMove) -> Result<ShownPlan> {
        let mut scope = self.pass.reader.scope(&self.seen.database).await?;
        let stays = self.mover.backend_of(self.beside);
        let purpose = format!(
            "purpose (move {} has taken the place of the plan)",
            record.id
        );
        for (part, it) in [
            ("backend", stays.id().to_string()),
            ("manager", stays.manager().to_owned()),
            (&purpose, self.mover.id_of(self.of).to_string()),
        ] {
            scope.0.insert(part.to_owned(), it);
        }
        let text = format!("{} of {}", record.platform, record.id);
        Ok(ShownPlan {
            id: hex::encode(Sha256::digest(text)),
            scope,
        })
    }

    pub(super) fn target(&self) -> PlatformTarget {
        PlatformTarget {
            platform: self.report.platform.clone(),
            backend: self.mover.id_of(self.of).clone(),
        }
    }
}
