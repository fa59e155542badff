//! Undo: what a run deleted of a platform's secrets is restored where its manager can still give it
//! back, and held. The manager first, then row and receipt in one transaction.

use std::collections::BTreeMap;

use cloakroom_core::ledger::RowState;
use cloakroom_core::platform::{
    BroughtBack, NamedSecret, PlatformRun, PlatformTarget, Removal, SecretName,
};
use cloakroom_core::store::{Receipt, words};
use cloakroom_core::{Error, ErrorKind, Result, RunId, SecretState, Timestamp};

use super::super::lease::{PlatformLease, platform_lease_name};
use super::PlatformCleaner;
use super::batch::describe;
use crate::undo::{UndoFate, UndoOptions, UndoReport, Undone, gone, has_ended, last_words};

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
        has_ended(&*self.reader.store, &self.settings, &lease, run.id).await?;
        let lease = self.reader.take_lease(undo).await?;
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
        let (store, target) = (&self.reader.store, run.target());
        let page = self.settings.page.max(1);
        let mut after = 0;
        loop {
            let receipts = store.receipts_of(run.id, after, page).await?;
            let Some(last) = receipts.last() else { break };
            after = last.seq;
            if self.stop.is_cancelled() {
                report.cut_short = true;
                break;
            }
            lease.keep().await?;
            let undone = self.undo_page(&target, undo, &receipts, options).await?;
            for undone in undone {
                *report.fates.entry(undone.fate.as_str()).or_default() += 1;
                each(&undone);
            }
        }
        if after == 0 {
            let message = "it deleted nothing".to_owned();
            return Err(refused(ErrorKind::Missing, message, run.id));
        }
        Ok(report)
    }

    async fn undo_page(
        &self,
        target: &PlatformTarget,
        undo: RunId,
        receipts: &[Receipt],
        options: &UndoOptions,
    ) -> Result<Vec<Undone>> {
        let outcomes = last_words(receipts);
        let names: Vec<SecretName> = outcomes.keys().copied().cloned().collect();
        let rows = self.store.removals(target, &names).await?;
        let now = self.reader.store.now().await?;
        let mut undone = Vec::with_capacity(names.len());
        let mut restored = Vec::new();
        for (name, row) in names.iter().zip(rows) {
            let (fate, detail) = self
                .undo_one(name, row, outcomes[name], now, options)
                .await?;
            if fate == UndoFate::Restored {
                let evidence = format!("taken back by {}; {detail}", options.by);
                restored.push(BroughtBack {
                    name: name.clone(),
                    evidence,
                });
            }
            undone.push(Undone {
                coordinate: name.clone(),
                fate,
                detail,
            });
        }
        self.store
            .hold_removals(undo, target, &restored, options.hold)
            .await?;
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
        match (row.state, row.until) {
            (RowState::Held, Some(until)) if until > now => {
                return Ok((UndoFate::Held, format!("held until {until}")));
            }
            (RowState::Deleted | RowState::Held, _) => {}
            (state, _) => {
                let detail = format!("it is {}, nothing was deleted", state.as_str());
                return Ok((UndoFate::NotDeleted, detail));
            }
        }
        let (named, request) = (self.reader.named()?, self.settings.request);
        let text = name.to_string();
        let found = request.run("describe the secret", || describe(named, &text));
        match found.await {
            Ok(found) if found.marked => {
                told(UndoFate::NotOurs, "its name is held by another secret")
            }
            Ok(found) => self.bring_back(&found, options).await,
            Err(error) if error.is_missing() => Ok(gone(outcome)),
            Err(error) => Ok((UndoFate::Failed, error.to_string())),
        }
    }

    async fn bring_back(
        &self,
        found: &NamedSecret,
        options: &UndoOptions,
    ) -> Result<(UndoFate, String)> {
        let detail = match found.state {
            SecretState::ScheduledForDeletion { due: Some(due) } => {
                format!("it waited for its deletion at {due}")
            }
            SecretState::ScheduledForDeletion { due: None } => "it waited".to_owned(),
            // Nothing is left to be brought back: the platform, or a person, wrote or restored it.
            SecretState::Enabled | SecretState::Disabled | SecretState::Destroyed => {
                let detail = "it is there: somebody wrote or restored it since".to_owned();
                return Ok((UndoFate::InUse, detail));
            }
        };
        if options.dry_run {
            return Ok((UndoFate::Restorable, detail));
        }
        let (named, request) = (self.reader.named()?, self.settings.request);
        let restored = request.run("restore the secret", || named.restore_named(&found.name));
        Ok(match restored.await {
            Ok(()) => (UndoFate::Restored, detail),
            Err(error) if error.is_missing() => {
                (UndoFate::Gone, "it went while it was restored".to_owned())
            }
            Err(error) => (UndoFate::Failed, error.to_string()),
        })
    }
}

fn refused(kind: ErrorKind, message: String, run: RunId) -> Error {
    Error::new(kind, OPERATION, message).with_coordinate(run)
}
