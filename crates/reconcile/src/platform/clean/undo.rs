//! Undo: what a run deleted of a platform's secrets is restored where its manager can still give it
//! back, and held. The manager first, then row and receipt in one transaction; a few at a time, so that the
//! lease outlasts them.

use std::collections::BTreeMap;

use cloakroom_core::ledger::RowState;
use cloakroom_core::platform::{
    BroughtBack, NamedSecret, PlatformRun, PlatformTarget, Removal, SecretName,
};
use cloakroom_core::store::words;
use cloakroom_core::{Error, ErrorKind, Result, RunId, SecretState, Timestamp};
use futures_util::future::join_all;

use super::super::answers::{DESCRIBE, describe_one};
use super::super::expiry::{takes_away, takes_away_at};
use super::super::lease::{PlatformLease, platform_lease_name};
use super::PlatformCleaner;
use crate::undo::{
    Ended, TOGETHER, UndoFate, UndoOptions, UndoReport, Undone, destroyed, gone, has_ended,
    last_words, longest_way,
};

const OPERATION: &str = "undo the run";

impl PlatformCleaner {
    /// Takes a run back, as far as the manager can; each secret is handed to `each`. `Missing` where
    /// the run has no receipt; `Unavailable` while the run or a request of its may still be under way,
    /// with the time to wait; `Invalid` where it was of another platform or manager.
    pub async fn undo(
        &self,
        run: &PlatformRun,
        options: &UndoOptions,
        each: &mut (dyn FnMut(&Undone) + Send),
    ) -> Result<UndoReport> {
        if run.target() != self.reader.settings.target {
            let message = format!(
                "it was of platform {} and backend {}, which this is not",
                run.platform, run.backend
            );
            return Err(refused(ErrorKind::Invalid, message, run.id));
        }
        let undo = RunId(self.reader.randomness.uuid());
        let lease = platform_lease_name(self.platform());
        let ended = has_ended(&*self.reader.store, &self.settings, &lease, run.id).await?;
        let lease = self.reader.take_lease(undo).await?;
        if ended == Ended::ByAnotherClock && !options.dry_run {
            let wait = async {
                tokio::time::sleep(longest_way(&self.settings)).await;
                Ok(())
            };
            lease.keep_during(wait).await?;
        }
        let undone = self.undo_within(run, undo, &lease, options, each).await;
        lease.give_back().await;
        undone
    }

    async fn undo_within(
        &self,
        run: &PlatformRun,
        undo: RunId,
        lease: &PlatformLease,
        options: &UndoOptions,
        each: &mut (dyn FnMut(&Undone) + Send),
    ) -> Result<UndoReport> {
        let mut report = UndoReport {
            run: run.id,
            undo,
            backend: run.backend.clone(),
            dry_run: options.dry_run,
            fates: BTreeMap::new(),
            guard: None,
            cut_short: false,
            error: None,
        };
        let target = run.target();
        let page = self.settings.page.max(1);
        let mut after = 0;
        loop {
            let receipts = self.reader.store.receipts_of(run.id, after, page);
            let receipts = receipts.await?;
            let Some(last) = receipts.last() else { break };
            after = last.seq;
            let outcomes: Vec<_> = last_words(&receipts).into_iter().collect();
            for some in outcomes.chunks(TOGETHER) {
                if self.stop.is_cancelled() {
                    report.cut_short = true;
                    return Ok(report);
                }
                lease.keep().await?;
                let undone = self.undo_together(&target, undo, lease, some, options);
                for undone in undone.await? {
                    *report.fates.entry(undone.fate.as_str()).or_default() += 1;
                    each(&undone);
                }
            }
        }
        if after == 0 {
            let message = "it deleted nothing".to_owned();
            return Err(refused(ErrorKind::Missing, message, run.id));
        }
        Ok(report)
    }

    async fn undo_together(
        &self,
        target: &PlatformTarget,
        undo: RunId,
        lease: &PlatformLease,
        outcomes: &[(&SecretName, &str)],
        options: &UndoOptions,
    ) -> Result<Vec<Undone>> {
        let names: Vec<SecretName> = outcomes.iter().map(|(name, _)| (*name).clone()).collect();
        let rows = self.store.removals(target, &names).await?;
        let now = self.reader.store.now().await?;
        let asked = outcomes.iter().zip(rows);
        let fates =
            asked.map(|((name, outcome), row)| self.undo_one(name, row, outcome, now, options));
        let mut undone = Vec::with_capacity(names.len());
        for (name, fate) in names.into_iter().zip(join_all(fates).await) {
            let (fate, detail) = fate?;
            undone.push(Undone {
                coordinate: name,
                fate,
                detail,
            });
        }
        let is_restored = |undone: &Undone| undone.fate == UndoFate::Restored;
        let restored = undone.iter().filter(|it| is_restored(it));
        let restored: Vec<BroughtBack> = restored
            .map(|undone| BroughtBack {
                name: undone.coordinate.clone(),
                evidence: format!("taken back by {}; {}", options.by, undone.detail),
            })
            .collect();
        let lease = lease.held();
        let held = self
            .store
            .hold_removals(&lease, undo, target, &restored, options.hold)
            .await?;
        let brought_back = undone.iter_mut().filter(|it| is_restored(it));
        for (undone, held) in brought_back.zip(held) {
            if !held {
                undone.has_moved_on();
            }
        }
        Ok(undone)
    }

    async fn undo_one(
        &self,
        name: &SecretName,
        row: Option<Removal>,
        outcome: &str,
        now: Timestamp,
        options: &UndoOptions,
    ) -> Result<(UndoFate, String)> {
        let told = |fate, detail: &str| Ok((fate, detail.to_owned()));
        if outcome == words::RESTORED {
            let detail = "the run itself brought it back, or took its expiry off; that stays so";
            return told(UndoFate::InUse, detail);
        }
        let Some(row) = row else {
            return told(UndoFate::InUse, "it has come to be in use since");
        };
        if !matches!(row.state, RowState::Deleted | RowState::Held) {
            let detail = format!("it is {}, nothing was deleted", row.state.as_str());
            return Ok((UndoFate::NotDeleted, detail));
        }
        let is_held = |until: &Timestamp| row.state == RowState::Held && *until > now;
        let held = row.until.filter(is_held);
        let (named, request) = (self.reader.named()?, self.settings.request);
        let text = name.to_string();
        let found = request.run(DESCRIBE, || describe_one(named, &text));
        match found.await {
            Ok(found) if found.marked => {
                told(UndoFate::NotOurs, "its name is held by another secret")
            }
            Ok(found) => self.bring_back(&found, held, options).await,
            Err(error) if error.is_missing() => Ok(gone(outcome)),
            Err(error) => Ok((UndoFate::Failed, error.to_string())),
        }
    }

    async fn bring_back(
        &self,
        found: &NamedSecret,
        held: Option<Timestamp>,
        options: &UndoOptions,
    ) -> Result<(UndoFate, String)> {
        let expiry = takes_away_at(self.backend(), found);
        let detail = match (&found.state, held) {
            (SecretState::Destroyed, _) => return Ok(destroyed()),
            (SecretState::Enabled | SecretState::Disabled, held) if let Some(at) = expiry => {
                let held = held.map_or_else(String::new, |until| format!("held until {until}; "));
                format!("{held}it expires at {at}, unless the manager takes that off")
            }
            (SecretState::Enabled | SecretState::Disabled, Some(until)) => {
                return Ok((UndoFate::Held, format!("held until {until}")));
            }
            // The platform, a person, or an undo that was cut off wrote or restored it.
            (SecretState::Enabled | SecretState::Disabled, None) => "it is there".to_owned(),
            (SecretState::ScheduledForDeletion { due: None }, _) => "it waited".to_owned(),
            (SecretState::ScheduledForDeletion { due: Some(due) }, _) => {
                format!("it waited for its deletion at {due}")
            }
        };
        if options.dry_run {
            return Ok((UndoFate::Restorable, detail));
        }
        Ok(match self.let_stay(found).await {
            Ok(()) => (UndoFate::Restored, detail),
            Err(error) if error.is_missing() => {
                (UndoFate::Gone, "it went while it was restored".to_owned())
            }
            Err(error) => (UndoFate::Failed, error.to_string()),
        })
    }

    async fn let_stay(&self, found: &NamedSecret) -> Result<()> {
        let waits = found.state.is_waiting();
        let (named, request) = (self.reader.named()?, self.settings.request);
        if waits {
            let restored = request.run("restore the secret", || named.restore_named(&found.name));
            restored.await?;
        }
        // What is brought back may carry an expiry again.
        let may_expire = waits || found.native_expiry.is_some();
        if !may_expire || !takes_away(self.backend()) {
            return Ok(());
        }
        let lifted = request.run("lift the expiry", || named.lift_expiry_named(&found.name));
        match lifted.await {
            // What the manager takes off of no platform's secret is no reason not to hold it.
            Err(error) if error.kind() == ErrorKind::Unsupported => Ok(()),
            lifted => lifted,
        }
    }
}

fn refused(kind: ErrorKind, message: String, run: RunId) -> Error {
    Error::new(kind, OPERATION, message).with_coordinate(run)
}
