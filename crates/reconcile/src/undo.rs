//! Undo: what a run deleted is restored where its manager can still give it back, and held.
//!
//! The manager first, then row and receipt in one transaction: what the ledger calls restored can be
//! read. A few at a time, so that the lease outlasts them; where it did not, nothing is written down. An
//! undo that was cut off is taken up again by the next one, and what was deleted again since. What the run
//! claimed and wrote no end of is judged by what the manager has, and so is what failed: nothing of it is
//! left for the next run to delete. What a run let go or adopted is held before one does.

mod deeds;
mod waits;

use std::collections::BTreeMap;
use std::time::Duration;

use cloakroom_core::ledger::{LedgerRow, RowState};
use cloakroom_core::platform::SecretName;
use cloakroom_core::store::{Job, Restored, words};
use cloakroom_core::{
    BackendId, Coordinate, Description, Error, ErrorKind, Result, RunId, SecretState, Timestamp,
};
use futures_util::future::join_all;
use serde::Serialize;
use tokio::sync::OnceCell;

use crate::ask::Describe;
use crate::epoch::Fence;
use crate::guard::GuardTrip;
use crate::observe::Silent;
use crate::rescue::refers;
use crate::settings::RunOptions;
use crate::survey::endangered;
use crate::{Pass, Reconciler, lease_name};

pub(crate) use deeds::last_words;
use deeds::{CLAIMED, Deeds};
pub(crate) use waits::{Ended, has_ended, longest_way};
use waits::{is_ahead, refuse_at_work};

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
    /// It is in use by its row, or on its way to be.
    InUse,
    /// The run did not delete it, and no other will.
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
    /// the run has neither receipt nor claim; `Unavailable` while the run or a request of its may still be under
    /// way, with the time to wait. Where a guard stops it each secret is looked at all the same.
    pub async fn undo(
        &self,
        run: RunId,
        options: &UndoOptions,
        each: &mut (dyn FnMut(&Undone) + Send),
    ) -> Result<UndoReport> {
        let page = self.settings.page.max(1);
        let deeds = Deeds::first(&*self.store, run, page).await?;
        let Some(backend) = deeds.backend().cloned() else {
            let message = "this database knows nothing that it deleted: there is no such run here, or it deleted \
                           nothing, or another run took on what it began, or the database is older than it; \
                           `reconciler status` shows the latest runs";
            return Err(Error::new(ErrorKind::Missing, OPERATION, message).with_coordinate(run));
        };
        let how = RunOptions {
            dry_run: options.dry_run,
            ..RunOptions::default()
        };
        let pass = self
            .prepare(Job::ExpireOrphans, &backend, &how, &Silent)
            .await?;
        let undone = pass.undo(run, deeds, options, each).await;
        pass.give_lease_back().await;
        undone
    }
}

/// What an undo looks at every secret with.
struct Terms<'a> {
    run: RunId,
    options: &'a UndoOptions,
    /// Until when a request of another run, which has ended, may be under way.
    deletes_until: Option<Timestamp>,
    /// Until when another run's purge may be.
    purges_until: Option<Timestamp>,
    /// Whether this undo has waited for whatever a clock that was ahead has dated.
    outlasted: &'a OnceCell<()>,
}

impl Pass<'_> {
    async fn undo(
        &self,
        run: RunId,
        mut deeds: Deeds,
        options: &UndoOptions,
        each: &mut (dyn FnMut(&Undone) + Send),
    ) -> Result<UndoReport> {
        let lease = lease_name(self.backend_id());
        let outlasted = OnceCell::new();
        if deeds.are_adoptions() {
            refuse_at_work(self.store(), &lease, run).await?;
        } else if has_ended(self.store(), self.settings(), &lease, run).await?
            == Ended::ByAnotherClock
        {
            self.outlast_requests(&outlasted).await?;
        }
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
        while !deeds.is_empty() {
            if self.told_to_stop() {
                report.cut_short = true;
                break;
            }
            match self
                .undo_next(fence, &mut deeds, options, &outlasted, &mut report, each)
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

    /// Takes this page back, and reads the one behind it. A database that was the right one when this
    /// began may not be it for long.
    async fn undo_next(
        &self,
        fence: Fence,
        deeds: &mut Deeds,
        options: &UndoOptions,
        outlasted: &OnceCell<()>,
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
            deletes_until: self.deletes_until(outlasted).await?,
            purges_until: self.purges_until(outlasted).await?,
            outlasted,
        };
        for some in deeds.outcomes()?.chunks(TOGETHER) {
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
        let page = self.settings().page.max(1);
        *deeds = deeds.next(self.store(), report.run, page).await?;
        Ok(fence)
    }

    async fn undo_together(
        &self,
        outcomes: &[(Coordinate, String)],
        terms: &Terms<'_>,
    ) -> Result<Vec<Undone>> {
        let coordinates = outcomes.iter().map(|(coordinate, _)| coordinate.clone());
        let coordinates: Vec<Coordinate> = coordinates.collect();
        let rows = self
            .store()
            .each_row(self.backend_id(), &coordinates)
            .await?;
        let (now, claim) = (self.store().now().await?, self.settings().claim_deadline);
        let mut read = rows.iter().filter_map(|row| row.as_ref().ok()?.as_ref());
        if read.any(|row| is_ahead(claimed_until(row), now, claim)) {
            self.outlast_requests(terms.outlasted).await?;
        }
        let described = self.ask(&Describe, &coordinates).await?;
        let now = self.store().now().await?;
        let found = rows.into_iter().zip(described).zip(outcomes);
        let fates = found.map(|((row, described), (_, outcome))| {
            self.undo_one(row, described, outcome, now, terms)
        });
        let fates = join_all(fates).await;
        let told = coordinates.iter().zip(fates);
        let mut undone: Vec<Undone> = told
            .map(|(coordinate, (fate, detail))| Undone {
                coordinate: coordinate.into(),
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
        match self.why_in_use(&row).await {
            Ok(None) => {}
            Ok(Some(detail)) => return (UndoFate::InUse, detail),
            Err(error) => return (UndoFate::Failed, error.to_string()),
        }
        let claim = self.settings().claim_deadline;
        let asked = asked_until(&row, terms).filter(|until| *until > now);
        if let Some(until) = asked.filter(|until| !is_ahead(Some(*until), now, claim)) {
            return under_way("asked for its deletion", until);
        }
        match described {
            Ok(described) if !self.is_of(&described, &row) => {
                let detail = "its name is held by another secret".to_owned();
                (UndoFate::NotOurs, detail)
            }
            Ok(described) => match held_until(&described, &row, now) {
                Some(until) if is_longer(terms.options.hold, until, now) => {
                    let fate = if terms.options.dry_run {
                        UndoFate::Restorable
                    } else {
                        UndoFate::Restored
                    };
                    (
                        fate,
                        format!("it was held until {until}, and is held longer"),
                    )
                }
                Some(until) => (UndoFate::Held, format!("held until {until}")),
                None => self.bring_back(&described, now, terms).await,
            },
            Err(error) if error.is_missing() && outcome == CLAIMED => {
                let detail =
                    "the run did not write down what became of it, and it is not there any more";
                (UndoFate::Gone, detail.to_owned())
            }
            Err(error) if error.is_missing() => gone(outcome),
            Err(error) => (UndoFate::Failed, error.to_string()),
        }
    }

    /// Why it is in use, or on its way to be. What was let go is stored as well, and the next to be deleted; its
    /// references may have come back by a hand that left the row as it was.
    async fn why_in_use(&self, row: &LedgerRow) -> Result<Option<String>> {
        match row.state {
            RowState::Deleting | RowState::Deleted | RowState::Held | RowState::Quarantined => {
                Ok(None)
            }
            RowState::Stored if row.unreferenced_since.is_some() => {
                let (store, backend) = (self.store(), self.backend_id());
                let referrers = store.referrers(backend, &row.coordinate, 1).await?;
                let first = referrers.into_iter().next();
                Ok(first.map(|(document, pointer)| refers(document, &pointer)))
            }
            RowState::Intended | RowState::Stored => {
                Ok(Some(format!("its row is {}", row.state.as_str())))
            }
        }
    }

    async fn bring_back(
        &self,
        described: &Description,
        now: Timestamp,
        terms: &Terms<'_>,
    ) -> (UndoFate, String) {
        let waits = described.state.is_waiting();
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
            if waits && self.is_without_value(&described.coordinate).await {
                return nothing_to_restore();
            }
            return (UndoFate::Restorable, found);
        }
        match self.restore(described, waits).await {
            Ok(()) => (UndoFate::Restored, found),
            Err(error) if error.is_missing() => nothing_to_restore(),
            Err(error) => (UndoFate::Failed, error.to_string()),
        }
    }

    /// Whether what waits is a mark alone, whose value never came: where mark and value are two requests a
    /// description does not tell, and asking for the value does. What waits gives none away.
    async fn is_without_value(&self, coordinate: &Coordinate) -> bool {
        if self.backend.purges().is_none() {
            return false;
        }
        let (backend, policy) = (&self.backend, self.settings().request);
        let value = policy.run("look for the value", || backend.get(coordinate));
        value.await.is_err_and(|error| error.is_missing())
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

/// The same hold, asked for again a while later, is no longer one.
const LONGER: Duration = Duration::from_hours(1);

fn is_longer(hold: Duration, held: Timestamp, now: Timestamp) -> bool {
    let left = Duration::try_from(held.duration_since(now));
    left.is_ok_and(|left| hold > left.saturating_add(LONGER))
}

/// Until when a deletion that was asked for may arrive yet: until its claim is over, or where it failed,
/// until what asked for it is.
fn asked_until(row: &LedgerRow, terms: &Terms<'_>) -> Option<Timestamp> {
    let failed = row.next_attempt.is_some() || row.state == RowState::Quarantined;
    let failed_until = terms.deletes_until.filter(|_| failed);
    claimed_until(row).or(failed_until.filter(|_| row.claimed_by.is_none()))
}

fn claimed_until(row: &LedgerRow) -> Option<Timestamp> {
    row.next_attempt.filter(|_| row.claimed_by.is_some())
}

/// A request that may arrive yet would delete what comes back now.
fn under_way(what: &str, until: Timestamp) -> (UndoFate, String) {
    let detail = format!(
        "another run {what}, and its request may still be under way; try again from {until} on"
    );
    (UndoFate::Failed, detail)
}

/// What the manager shows, and has no value of.
fn nothing_to_restore() -> (UndoFate, String) {
    let detail = "the manager has no value of it that could be restored".to_owned();
    (UndoFate::Gone, detail)
}

/// What became of a secret whose value nobody can give back.
pub(crate) fn destroyed() -> (UndoFate, String) {
    let detail = "its value was destroyed in the manager".to_owned();
    (UndoFate::Gone, detail)
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
        words::ADOPTED => (
            UndoFate::Gone,
            "the manager does not have it any more".to_owned(),
        ),
        _ => (UndoFate::Gone, "it was deleted for good".to_owned()),
    }
}
