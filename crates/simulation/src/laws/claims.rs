//! Laws of claims that ask whether a row was due at all, by what the writers meant.

use cloakroom_core::SecretState;
use cloakroom_core::ledger::{LedgerRow, Reason, RowState};

use super::{Law, Laws, Verdict, broken};
use crate::happening::Key;
use crate::store::state::past;

impl Laws {
    /// What is claimed for a reason has that reason. `row` is as it was before.
    pub(super) fn judge_due(&self, row: &LedgerRow, reason: Reason, now: i64) -> Verdict {
        let coordinate = &row.coordinate;
        let key = (row.backend.clone(), coordinate.clone());
        let early = matches!(row.state, RowState::Intended | RowState::Stored);
        let put = self.world.setting.jobs.windows.put_deadline;
        if early && !row.once_referenced && !past(row.expires, now, put) {
            let saw = format!("{coordinate} was claimed while its put may still land");
            return broken(Law::Grace, saw);
        }
        let settled = matches!(row.state, RowState::Stored | RowState::Held);
        if settled && reason == Reason::Superseded && self.is_to_be_kept(&key) {
            let saw = format!("{coordinate} is among the versions to be kept and was claimed");
            return broken(Law::Grace, saw);
        }
        // What was adopted, held or overtaken by a move is an orphan until the next edit says otherwise.
        let moves = self.world.setting.trouble.moves;
        let known = !self.restored && !self.is_copied() && !self.held.contains_key(&key) && !moves;
        if settled && known && reason == Reason::Orphaned && self.has_successor(&key) {
            let saw = format!("{coordinate} has a successor in use and was claimed as an orphan");
            return broken(Law::Grace, saw);
        }
        Ok(())
    }

    /// Whether fewer newer versions than asked for would be left. What was claimed together with it, or
    /// before, still counts.
    fn is_to_be_kept(&self, key: &Key) -> bool {
        let state = self.world.store.state();
        let there = [RowState::Stored, RowState::Held, RowState::Deleting];
        let newer = state.rows.iter().filter(|(other, row)| {
            other.0 == key.0
                && other.1.base() == key.1.base()
                && other.1.version() > key.1.version()
                && row.ledger.superseded
                && there.contains(&row.ledger.state)
        });
        newer.count() < self.world.setting.jobs.windows.keep_superseded as usize
    }

    fn has_successor(&self, key: &Key) -> bool {
        self.model.in_use().iter().any(|other| {
            other.0 == key.0
                && other.1.base() == key.1.base()
                && other.1.version() > key.1.version()
        })
    }

    /// What was in use and landed again although its row says deleted, or may seem to where a listing
    /// lags: it is due without being counted by the store.
    pub(super) fn landed_late(&self) -> u64 {
        let state = self.world.store.state();
        let is_listed = |key: &Key| {
            let manager = self.world.manager(&key.0);
            manager.is_some_and(|manager| {
                let there = manager.inner.look(&key.1);
                let enabled = there.is_some_and(|(it, _)| it.state == SecretState::Enabled);
                enabled || !manager.capabilities.listing_lag.is_zero()
            })
        };
        let late = state.rows.iter().filter(|(key, row)| {
            let row = &row.ledger;
            row.once_referenced && row.state == RowState::Deleted && is_listed(key)
        });
        late.count() as u64
    }

    /// A run claims no more of what was in use than its guards saw.
    pub(super) fn count_claim(&mut self, task: usize, row: &LedgerRow) -> Verdict {
        let settled = matches!(row.state, RowState::Stored | RowState::Held);
        let seen = self.seen.entry(task).or_default();
        let Some(left) = seen.may_claim.filter(|_| settled && row.once_referenced) else {
            return Ok(());
        };
        seen.may_claim = left.checked_sub(1);
        if seen.may_claim.is_none() {
            let saw = format!(
                "{} fell due behind the guards and was claimed",
                row.coordinate
            );
            return broken(Law::Guards, saw);
        }
        Ok(())
    }
}
