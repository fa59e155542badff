//! Laws at the end of quiet time, when everything due was due before a whole pass.

use cloakroom_core::SecretState;
use cloakroom_core::ledger::RowState;
use cloakroom_core::store::words;
use cloakroom_reconcile::is_epoch_mark;

use super::{Law, Laws, Verdict, broken};
use crate::happening::Key;
use crate::store::State;

impl Laws {
    /// Nothing is in danger any more once a pass has been made.
    pub(crate) fn judge_rescues(&self) -> Verdict {
        // What a pass met within the lag of its listing it may have saved without having begun later.
        let is_settled = |key: &Key| self.is_enabled(key) || self.is_lost_to_another(key);
        let endangered = self.pardoned.keys().find(|key| !is_settled(key));
        let named = endangered.map(|key| key.1.to_string());
        let all = self.all_pardoned.keys().next().map(ToString::to_string);
        match named.or(all) {
            Some(what) => broken(Law::InUse, format!("no pass has saved {what}")),
            None => self.judge_in_use(),
        }
    }

    fn is_enabled(&self, key: &Key) -> bool {
        let manager = self.world.manager(&key.0);
        let there = manager.and_then(|manager| manager.inner.look(&key.1));
        there.is_some_and(|(there, _)| there.state == SecretState::Enabled)
    }

    /// Nothing unused stays, and every record agrees with every other.
    pub(crate) fn judge_quiet(&self) -> Verdict {
        self.judge_in_use()?;
        let state = self.world.store.state();
        self.judge_rows(&state)?;
        self.judge_managers(&state)?;
        Self::judge_receipts(&state)?;
        self.judge_leaks(&state)
    }

    fn judge_rows(&self, state: &State) -> Verdict {
        for (key, row) in &state.rows {
            let row = &row.ledger;
            let used = state.is_referenced(key);
            let right = match row.state {
                RowState::Stored => used || self.is_kept(state, key),
                RowState::Deleted => !used,
                RowState::Deleting | RowState::Quarantined => !used && self.is_locked(key),
                _ => false,
            };
            if !right {
                return broken(
                    Law::Unused,
                    format!(
                        "in quiet the row of {} is {} (in use: {used}, unreferenced since {:?})",
                        key.1,
                        row.state.as_str(),
                        row.unreferenced_since
                    ),
                );
            }
        }
        Ok(())
    }

    fn is_locked(&self, key: &Key) -> bool {
        let manager = self.world.manager(&key.0);
        manager.is_some_and(|manager| manager.is_locked(&key.1))
    }

    /// Whether it is among the superseded versions that stay.
    fn is_kept(&self, state: &State, key: &Key) -> bool {
        let newer = state.rows.iter().filter(|(other, row)| {
            other.0 == key.0
                && other.1.base() == key.1.base()
                && other.1.version() > key.1.version()
                && row.ledger.state == RowState::Stored
                && row.ledger.superseded
        });
        let superseded = state.rows.get(key).is_some_and(|row| row.ledger.superseded);
        let keep = self.world.setting.jobs.windows.keep_superseded;
        superseded && newer.count() < keep as usize
    }

    fn judge_managers(&self, state: &State) -> Verdict {
        for manager in &self.world.managers {
            for there in manager.inner.everything() {
                let ours = there.mark.as_ref().map(|mark| mark.store) == Some(self.world.store_id);
                if !ours || there.state != SecretState::Enabled || is_epoch_mark(&there.coordinate)
                {
                    continue;
                }
                let key = (manager.id().clone(), there.coordinate.clone());
                let row = state.rows.get(&key);
                let row = row.map(|row| row.ledger.state);
                if row != Some(RowState::Stored) && !self.is_locked(&key) {
                    return broken(
                        Law::Unused,
                        format!("in quiet {} is there and its row is {row:?}", key.1),
                    );
                }
            }
        }
        Ok(())
    }

    fn judge_receipts(state: &State) -> Verdict {
        let mut previous = "0".repeat(64);
        for receipt in &state.receipts {
            if receipt.previous_hash != previous || receipt.hash != receipt.expected_hash() {
                return broken(Law::Receipts, "the chain of receipts is broken");
            }
            previous.clone_from(&receipt.hash);
        }
        let ends = ["deleted", "scheduled", "already_gone"];
        let begins = [words::ADOPTED, words::RESTORED];
        for (key, row) in &state.rows {
            // What was adopted or taken back begins anew; a rescue leaves its row as it is. A run that
            // slept may write down its failure after another one has deleted.
            let mut receipts = state.receipts.iter().rev().filter(|it| {
                let moves = ends.contains(&it.outcome.as_str()) || begins.contains(&&*it.outcome);
                let moves = moves && it.reason != words::RESCUED;
                it.coordinate == key.1 && it.backend == key.0 && moves
            });
            let ended = receipts
                .next()
                .is_some_and(|it| ends.contains(&it.outcome.as_str()));
            if (row.ledger.state == RowState::Deleted) != ended {
                let saw = format!(
                    "{} is {:?} and its receipts say other",
                    key.1, row.ledger.state
                );
                return broken(Law::Receipts, saw);
            }
        }
        Ok(())
    }

    fn judge_leaks(&self, state: &State) -> Verdict {
        let runs = state.runs.values();
        let reports = runs.map(|run| format!("{}{:?}", run.report, run.findings));
        let receipts = state.receipts.iter().map(|receipt| format!("{receipt:?}"));
        let rows = state.rows.values().map(|row| format!("{:?}", row.ledger));
        let specs = state.specs.values().cloned();
        let mut texts = reports.chain(receipts).chain(rows).chain(specs);
        match texts.find(|text| text.contains(&self.world.flock)) {
            Some(_) => broken(Law::Leak, "the database holds a value in clear"),
            None => Ok(()),
        }
    }
}
