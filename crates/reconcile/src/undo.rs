//! Undo: what a run deleted is restored where its manager can still give it back, and held.
//!
//! The manager first, then row and receipt in one transaction: what the ledger calls restored can be
//! read. A few at a time, so that the lease outlasts them; where it did not, nothing is written down. An
//! undo that was cut off is taken up again by the next one, and what was deleted again since.

use std::collections::BTreeMap;
use std::time::Duration;

use cloakroom_core::ledger::{LedgerRow, RowState};
use cloakroom_core::platform::SecretName;
use cloakroom_core::store::{Job, Receipt, Restored, Store, words};
use cloakroom_core::{
    BackendId, Coordinate, Description, Error, ErrorKind, Result, RunId, SecretState, Timestamp,
};
use futures_util::future::join_all;
use serde::Serialize;

use crate::ask::Describe;
use crate::epoch::Fence;
use crate::guard::GuardTrip;
use crate::observe::Silent;
use crate::settings::{RunOptions, Settings};
use crate::survey::{endangered, is_waiting};
use crate::{Pass, Reconciler, lease_name};

const OPERATION: &str = "undo the run";

/// Restored side by side and held together, between two renewals of the lease: three requests of each, for
/// which a claim has time and so has a lease.
pub(crate) const TOGETHER: usize = 8;

/// What is asked of an undo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndoOptions {
    /// Only look.
    pub dry_run: bool,
    /// How long no job touches what was brought back.
    pub hold: Duration,
    /// Who does it, for the receipts.
    pub by: String,
}

/// What became of one secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UndoFate {
    /// It can be read again, and its row is held.
    Restored,
    /// It can be restored; this undo only looked.
    Restorable,
    /// It was brought back before, its row is still held, and the manager still has it.
    Held,
    /// Its row says that it is stored: it is in use, or on its way to be.
    InUse,
    /// The run did not delete it: that failed, or is still to come.
    NotDeleted,
    /// The manager cannot give it back any more.
    Gone,
    /// It was not there when the run came to delete it.
    NotFound,
    /// Somebody else's secret has its name now.
    NotOurs,
    /// It could not be restored now; another undo may.
    Failed,
    /// It can be restored, and a guard stopped that.
    Refused,
}

impl UndoFate {
    /// The fate as a stable lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Restored => "restored",
            Self::Restorable => "restorable",
            Self::Held => "held",
            Self::InUse => "in_use",
            Self::NotDeleted => "not_deleted",
            Self::Gone => "gone",
            Self::NotFound => "not_found",
            Self::NotOurs => "not_ours",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }
}

/// One secret of the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Undone {
    /// Which one: its coordinate, or what its platform calls it.
    pub coordinate: SecretName,
    /// What became of it.
    pub fate: UndoFate,
    /// What that rests on, in words; no value.
    pub detail: String,
}

/// What an undo did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UndoReport {
    /// The run that was taken back.
    pub run: RunId,
    /// Under which id the receipts are.
    pub undo: RunId,
    /// On which backend.
    pub backend: BackendId,
    /// Whether it only looked.
    pub dry_run: bool,
    /// Secrets by what became of them.
    pub fates: BTreeMap<&'static str, u64>,
    /// The guard that stopped it, and what it saw: this may not be the database that the run was of.
    /// From then on nothing was restored.
    pub guard: Option<GuardTrip>,
    /// Whether it ended before its end, told to or by an error; another undo does the rest.
    pub cut_short: bool,
    /// What it could not get past, where that came after some were done.
    pub error: Option<String>,
}

impl UndoReport {
    /// Secrets that met this fate.
    pub fn of(&self, fate: UndoFate) -> u64 {
        self.fates.get(fate.as_str()).copied().unwrap_or_default()
    }
}

impl Reconciler {
    /// Takes a run back, as far as its manager can; each secret is handed to `each`. `Missing` where
    /// the run has no receipt; `Unavailable` while the run or a request of its may still be under
    /// way, with the time to wait. Where a guard stops it each secret is looked at all the same.
    pub async fn undo(
        &self,
        run: RunId,
        options: &UndoOptions,
        each: &mut (dyn FnMut(&Undone) + Send),
    ) -> Result<UndoReport> {
        let page = self.settings.page.max(1);
        let first = self.store.receipts_of(run, 0, page).await?;
        let Some(receipt) = first.first() else {
            let message = "it deleted nothing; `reconciler status` shows the latest runs";
            return Err(Error::new(ErrorKind::Missing, OPERATION, message).with_coordinate(run));
        };
        let backend = receipt.backend.clone();
        let how = RunOptions {
            dry_run: options.dry_run,
            ..RunOptions::default()
        };
        let pass = self
            .prepare(Job::ExpireOrphans, &backend, &how, &Silent)
            .await?;
        let undone = pass.undo(run, first, options, each).await;
        pass.give_lease_back().await;
        undone
    }
}

/// What an undo looks at every secret with.
struct Terms<'a> {
    run: RunId,
    options: &'a UndoOptions,
    /// Until when another run's purge may be under way.
    purges_until: Option<Timestamp>,
}

impl Pass<'_> {
    async fn undo(
        &self,
        run: RunId,
        first: Vec<Receipt>,
        options: &UndoOptions,
        each: &mut (dyn FnMut(&Undone) + Send),
    ) -> Result<UndoReport> {
        let lease = lease_name(self.backend_id());
        has_ended(self.store(), self.settings(), &lease, run).await?;
        let mut fence = self.look_through_marks().await?;
        let mut report = UndoReport {
            run,
            undo: self.run(),
            backend: self.backend_id().clone(),
            dry_run: options.dry_run,
            fates: BTreeMap::new(),
            guard: self.stopped_by(&fence),
            cut_short: false,
            error: None,
        };
        let mut receipts = first;
        while !receipts.is_empty() {
            if self.told_to_stop() {
                report.cut_short = true;
                break;
            }
            match self
                .undo_next(fence, &mut receipts, options, &mut report, each)
                .await
            {
                Ok(looked) => fence = looked,
                Err(error) if report.fates.is_empty() => return Err(error),
                Err(error) => {
                    tracing::warn!(backend.id = %self.backend_id(), error = %error, "the undo ends here");
                    report.cut_short = true;
                    report.error = Some(error.to_string());
                    break;
                }
            }
        }
        Ok(report)
    }

    /// Takes back what these receipts are about, and reads those behind them. A database that was the
    /// right one when this began may not be it for long.
    async fn undo_next(
        &self,
        fence: Fence,
        receipts: &mut Vec<Receipt>,
        options: &UndoOptions,
        report: &mut UndoReport,
        each: &mut (dyn FnMut(&Undone) + Send),
    ) -> Result<Fence> {
        self.keep_lease().await?;
        let fence = self.look_again(fence).await?;
        if report.guard.is_none() {
            report.guard = self.stopped_by(&fence);
        }
        let refused = report.guard.is_some();
        let looks = UndoOptions {
            dry_run: options.dry_run || refused,
            ..options.clone()
        };
        let terms = Terms {
            run: report.run,
            options: &looks,
            purges_until: self.purges_until().await?,
        };
        // What the run rescued is in use: there is nothing to take back.
        let deletions = receipts.iter().filter(|it| it.reason != words::RESCUED);
        let deletions: Vec<Receipt> = deletions.cloned().collect();
        let outcomes: Vec<(&SecretName, &str)> = last_words(&deletions).into_iter().collect();
        for some in outcomes.chunks(TOGETHER) {
            if self.told_to_stop() {
                report.cut_short = true;
                return Ok(fence);
            }
            self.keep_lease().await?;
            for mut undone in self.undo_together(some, &terms).await? {
                if refused && undone.fate == UndoFate::Restorable {
                    undone.fate = UndoFate::Refused;
                }
                *report.fates.entry(undone.fate.as_str()).or_default() += 1;
                each(&undone);
            }
        }
        let after = receipts.last().map_or(0, |last| last.seq);
        let page = self.settings().page.max(1);
        *receipts = self.store().receipts_of(report.run, after, page).await?;
        Ok(fence)
    }

    /// A purge has no claim and no receipt: until then a request of one that ended may be under way. One
    /// that was killed is waited for with its lease.
    async fn purges_until(&self) -> Result<Option<Timestamp>> {
        if self.backend.purges().is_none() {
            return Ok(None);
        }
        let (store, backend) = (self.store(), self.backend_id());
        let last = store.last_finished(Job::ExpireOrphans, backend).await?;
        let ended = last.and_then(|last| last.finished);
        let request = self.settings().request.deadline;
        Ok(ended.and_then(|ended| ended.checked_add(request).ok()))
    }

    async fn undo_together(
        &self,
        outcomes: &[(&SecretName, &str)],
        terms: &Terms<'_>,
    ) -> Result<Vec<Undone>> {
        let coordinates = outcomes
            .iter()
            .map(|(name, _)| name.coordinate().ok_or_else(|| of_a_platform(name)))
            .collect::<Result<Vec<Coordinate>>>()?;
        let rows = self
            .store()
            .each_row(self.backend_id(), &coordinates)
            .await?;
        let described = self.ask(&Describe, &coordinates).await?;
        let now = self.store().now().await?;
        let found = rows.into_iter().zip(described).zip(outcomes);
        let fates = found.map(|((row, described), (_, outcome))| {
            self.undo_one(row, described, outcome, now, terms)
        });
        let fates = join_all(fates).await;
        let told = outcomes.iter().zip(fates);
        let mut undone: Vec<Undone> = told
            .map(|((name, _), (fate, detail))| Undone {
                coordinate: (*name).clone(),
                fate,
                detail,
            })
            .collect();
        self.hold_restored(&coordinates, &mut undone, terms).await?;
        Ok(undone)
    }

    async fn hold_restored(
        &self,
        coordinates: &[Coordinate],
        undone: &mut [Undone],
        terms: &Terms<'_>,
    ) -> Result<()> {
        // Without a lease nothing was restored.
        let Some(lease) = self.lease() else {
            return Ok(());
        };
        let (run, by, hold) = (terms.run, &terms.options.by, terms.options.hold);
        let is_restored = |undone: &Undone| undone.fate == UndoFate::Restored;
        let both = coordinates.iter().zip(&*undone);
        let restored: Vec<Restored> = both
            .filter(|(_, undone)| is_restored(undone))
            .map(|(coordinate, undone)| Restored {
                coordinate: coordinate.clone(),
                evidence: format!("run {run} taken back by {by}; {}", undone.detail),
            })
            .collect();
        let (store, backend) = (self.store(), self.backend_id());
        let held = store.hold(&lease, self.run(), backend, &restored, hold);
        let held = held.await?;
        let brought_back = undone.iter_mut().filter(|it| is_restored(it));
        for (undone, held) in brought_back.zip(held) {
            if !held {
                undone.has_moved_on();
            }
        }
        Ok(())
    }

    async fn undo_one(
        &self,
        row: Result<Option<LedgerRow>>,
        described: Result<Description>,
        outcome: &str,
        now: Timestamp,
        terms: &Terms<'_>,
    ) -> (UndoFate, String) {
        let row = match row {
            Ok(Some(row)) => row,
            Ok(None) => return (UndoFate::NotOurs, "the ledger has no row for it".to_owned()),
            Err(error) => return (UndoFate::Failed, error.to_string()),
        };
        match row.state {
            RowState::Deleted | RowState::Held => {}
            RowState::Stored | RowState::Intended => {
                let detail = format!("its row is {}", row.state.as_str());
                return (UndoFate::InUse, detail);
            }
            RowState::Deleting | RowState::Quarantined => {
                let detail = format!("its row is {}, nothing was deleted", row.state.as_str());
                return (UndoFate::NotDeleted, detail);
            }
        }
        if let Some(until) = row.next_attempt.filter(|until| *until > now) {
            return under_way("asked for its deletion", until);
        }
        match described {
            Ok(described) if !self.is_of(&described, &row) => {
                let detail = "its name is held by another secret".to_owned();
                (UndoFate::NotOurs, detail)
            }
            Ok(described) => match held_until(&described, &row, now) {
                Some(until) => (UndoFate::Held, format!("held until {until}")),
                None => self.bring_back(&described, now, terms).await,
            },
            Err(error) if error.is_missing() => gone(outcome),
            Err(error) => (UndoFate::Failed, error.to_string()),
        }
    }

    async fn bring_back(
        &self,
        described: &Description,
        now: Timestamp,
        terms: &Terms<'_>,
    ) -> (UndoFate, String) {
        let waits = is_waiting(described);
        let found = match &described.state {
            SecretState::Enabled => "it could be read".to_owned(),
            SecretState::Disabled => "it is switched off in the manager".to_owned(),
            SecretState::Destroyed => return destroyed(),
            SecretState::ScheduledForDeletion { due } => {
                let purges = terms.purges_until.filter(|until| *until > now);
                if let Some(until) = purges
                    && due.is_none_or(|due| due <= now)
                {
                    return under_way("ended its recovery window", until);
                }
                due.map_or_else(
                    || "it waited".to_owned(),
                    |due| format!("it waited for its deletion at {due}"),
                )
            }
        };
        if terms.options.dry_run {
            return (UndoFate::Restorable, found);
        }
        match self.restore(described, waits).await {
            Ok(()) => (UndoFate::Restored, found),
            Err(error) if error.is_missing() => {
                (UndoFate::Gone, "it went while it was restored".to_owned())
            }
            Err(error) => (UndoFate::Failed, error.to_string()),
        }
    }
}

impl Undone {
    /// Somebody changed its row before it could be held.
    pub(crate) fn has_moved_on(&mut self) {
        self.fate = UndoFate::InUse;
        "its row has changed meanwhile".clone_into(&mut self.detail);
    }
}

/// Until when a row is held, where the manager has the secret as it was brought back. What is held no
/// longer is as good as deleted: the next run may take it.
fn held_until(described: &Description, row: &LedgerRow, now: Timestamp) -> Option<Timestamp> {
    let stays = !endangered(described) && described.state != SecretState::Destroyed;
    let held = row.state == RowState::Held && stays;
    row.unreferenced_since.filter(|until| held && *until > now)
}

/// A request that may arrive yet would delete what comes back now.
fn under_way(what: &str, until: Timestamp) -> (UndoFate, String) {
    let detail = format!(
        "another run {what}, and its request may still be under way; try again from {until} on"
    );
    (UndoFate::Failed, detail)
}

/// What became of a secret whose value nobody can give back.
pub(crate) fn destroyed() -> (UndoFate, String) {
    let detail = "its value was destroyed in the manager".to_owned();
    (UndoFate::Gone, detail)
}

/// A request that was sent under a claim may arrive until claim and request have lapsed: what was
/// restored before that would be deleted again. `Unavailable` until then, and while the run still has
/// its lease.
pub(crate) async fn has_ended(
    store: &dyn Store,
    settings: &Settings,
    lease: &str,
    run: RunId,
) -> Result<()> {
    let refused = |message: String| {
        Error::new(ErrorKind::Unavailable, OPERATION, message).with_coordinate(run)
    };
    if store.lease_holder(lease).await? == Some(run.to_string()) {
        let message = "it is still at work; try again when it has ended";
        return Err(refused(message.to_owned()));
    }
    let wait = settings.claim_deadline + settings.request.deadline;
    let latest = store.latest_receipt_of(run).await?;
    let Some(until) = latest.and_then(|latest| latest.checked_add(wait).ok()) else {
        return Ok(());
    };
    let left = until.duration_since(store.now().await?);
    match Duration::try_from(left) {
        Ok(left) if !left.is_zero() => {
            let message =
                format!("a request of its may still be under way; try again from {until} on");
            Err(refused(message).with_retry_after(left))
        }
        _ => Ok(()),
    }
}

/// How it last ended for each secret of these receipts.
pub(crate) fn last_words(receipts: &[Receipt]) -> BTreeMap<&SecretName, &str> {
    receipts
        .iter()
        .map(|receipt| (&receipt.coordinate, receipt.outcome.as_str()))
        .collect()
}

fn of_a_platform(name: &SecretName) -> Error {
    let message = "a receipt of a run of ours names what is no coordinate; `reconciler audit verify` \
                   tells whether it was changed";
    Error::new(ErrorKind::Corrupt, OPERATION, message).with_coordinate(name)
}

/// What became of a secret that the manager does not have any more.
pub(crate) fn gone(outcome: &str) -> (UndoFate, String) {
    match outcome {
        "already_gone" => (
            UndoFate::NotFound,
            "it was not there when the run came to delete it".to_owned(),
        ),
        "scheduled" => (
            UndoFate::Gone,
            "its time to be restored has passed".to_owned(),
        ),
        _ => (UndoFate::Gone, "it was deleted for good".to_owned()),
    }
}
