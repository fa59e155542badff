//! Laws over single happenings.

use std::time::Duration;

use cloakroom_core::ledger::{Census, DeletionOutcome, LedgerRow, Reason, RowState};
use cloakroom_core::store::{Expected, Finding, FindingKind};
use cloakroom_core::{BackendId, Description, DocumentId, SecretJson, SecretState, Timestamp};
use cloakroom_reconcile::{Guard, is_epoch_mark};

use super::model::number_of;
use super::{Law, Laws, Lent, Seen, Verdict, broken};
use crate::happening::{Happening, Key};
use crate::store::state::length;

/// How far the store's clock may have been ahead when it took something for old.
const CLOCK: Duration = Duration::from_hours(6);

impl Laws {
    pub(super) fn judge_happening(&mut self, happening: Happening) -> Verdict {
        match happening {
            Happening::Intended { key, reused } => {
                self.given_up.remove(&key);
                if reused {
                    broken(Law::Names, format!("{} was intended twice", key.1))
                } else {
                    Ok(())
                }
            }
            Happening::Committed {
                id,
                expected,
                previous,
                revision,
            } => {
                let saw = match expected {
                    Expected::Absent => None,
                    Expected::At(revision) => Some(revision),
                };
                if saw != previous {
                    return broken(
                        Law::Writes,
                        format!(
                            "{id} at {previous:?} was written over as if at {saw:?}, to {revision}"
                        ),
                    );
                }
                self.model.committed(&self.world, id)
            }
            Happening::Removed { id } => {
                self.model.removed(&self.world, id);
                Ok(())
            }
            Happening::Begins { task } => {
                self.seen.remove(&task);
                self.restores_before.insert(task, self.restores);
                self.faulty.remove(&task);
                Ok(())
            }
            Happening::Claimed {
                task,
                row,
                reason,
                now,
                leased,
            } => {
                if !leased {
                    let saw = "a run claimed whose lease another one had taken";
                    return broken(Law::Alone, saw);
                }
                self.judge_claim(task, &row, reason, now)?;
                self.judge_due(&row, reason, now)?;
                self.count_claim(task, &row)
            }
            Happening::Settled {
                key,
                outcome,
                claimed_at,
                receipt,
            } => self.judge_settlement(&key, &outcome, claimed_at, receipt),
            Happening::Lease { task, granted } => {
                let turn = self.world.stage.trace().steps;
                let renewed = self.world.stage.truth();
                let seen = self.seen.entry(task).or_default();
                seen.refused = !granted;
                let taken = seen.lease.map_or(turn, |lent| lent.taken);
                seen.lease = granted.then_some(Lent { taken, renewed });
                Ok(())
            }
            Happening::Unknown { task, key } => {
                self.seen.entry(task).or_default().unknown = Some(key);
                Ok(())
            }
            Happening::Found { backend, finding } => self.judge_finding(&backend, &finding),
            Happening::Held { key, until } => {
                self.held.insert(key, until);
                Ok(())
            }
            Happening::LetGo { key } => self.model.let_go(&self.world, key),
            Happening::Counted { task, census } => {
                let too_large = self.is_too_large(&census);
                let seen_due = census.due_once_referenced + self.landed_late();
                let seen = self.seen.entry(task).or_default();
                seen.references_missed = census.references_missed;
                seen.too_large = too_large;
                seen.may_claim = Some(seen_due);
                Ok(())
            }
            Happening::Listed { task, whole } => {
                let seen = self.seen.entry(task).or_default();
                seen.listing_failed = !whole;
                if seen.refused {
                    broken(Law::Alone, "a run that was refused the lease went on")
                } else {
                    Ok(())
                }
            }
            Happening::Fault { task } => {
                self.faulty.insert(task);
                Ok(())
            }
            Happening::Overwritten { key } => {
                broken(Law::Names, format!("{} was given to another value", key.1))
            }
            Happening::Deleted {
                key,
                due,
                description,
            } => self.judge_deletion(&key, due, &description),
            Happening::Written {
                id,
                attempt,
                revision,
            } => {
                let written = self.model.attempts.get(&attempt);
                let right = |it: &super::model::Attempt| it.id == id && it.revision == revision;
                if written.is_some_and(right) {
                    Ok(())
                } else {
                    broken(Law::Writes, format!("attempt {attempt} was not written"))
                }
            }
            Happening::Read { id, began, config } => self.judge_read(id, began, &config),
            Happening::Hole { id, began } => self.judge_hole(id, began),
            Happening::Checked { right } => {
                if right {
                    Ok(())
                } else {
                    broken(Law::RightValue, "a check was given another configuration")
                }
            }
            Happening::Passed {
                task,
                backend,
                began,
            } => {
                self.pass_ended(task, &backend, began);
                Ok(())
            }
            Happening::Activated { task, job } => {
                self.activated(task, job);
                Ok(())
            }
            Happening::JobBegan { task, job } => self.job_began(task, job),
            Happening::JobEnded { task } => {
                self.job_ended(task);
                Ok(())
            }
            Happening::DriverEnded { task } => self.driver_ended(task),
            Happening::Said { text } => {
                if text.contains(&self.world.flock) {
                    broken(Law::Leak, "a value was said")
                } else {
                    Ok(())
                }
            }
        }
    }

    fn judge_claim(&self, task: usize, row: &LedgerRow, reason: Reason, now: i64) -> Verdict {
        let coordinate = &row.coordinate;
        let key = (row.backend.clone(), coordinate.clone());
        self.judge_by_copying("claimed", &key)?;
        let passes_unknown = self.passes(task, Guard::UnknownMarked);
        let passes_zero = self.passes(task, Guard::ZeroReferences);
        let nothing = Seen::default();
        let seen = self.seen.get(&task).unwrap_or(&nothing);
        if seen.refused {
            return broken(Law::Alone, "a run that was refused the lease claimed");
        }
        if seen.listing_failed {
            let saw = format!("{coordinate} was claimed behind a listing that failed");
            return broken(Law::Guards, saw);
        }
        if let Some((_, unknown)) = seen.unknown.as_ref().filter(|_| !passes_unknown) {
            let saw = format!("{coordinate} was claimed although {unknown} is unknown");
            return broken(Law::Guards, saw);
        }
        if seen.bygone {
            let saw = format!("{coordinate} was claimed in a database older than the run's lease");
            return broken(Law::Database, saw);
        }
        let (known, borne) = self.epochs(&key.0);
        let may_miss = self.may_miss_the_epoch(task) || self.may_be_overtaken(&key.0, now);
        if borne > known && !may_miss {
            return broken(
                Law::Guards,
                format!("{coordinate} was claimed in epoch {known} and the backend bears {borne}"),
            );
        }
        let settled = matches!(row.state, RowState::Stored | RowState::Held);
        if settled && row.once_referenced && seen.references_missed && !passes_zero {
            let saw = format!("{coordinate} was claimed although references are missed");
            return broken(Law::Guards, saw);
        }
        let passes_share = self.passes(task, Guard::Share);
        if settled && row.once_referenced && seen.too_large && !passes_share {
            let saw = format!("{coordinate} was claimed although a large share would go");
            return broken(Law::Guards, saw);
        }
        if self.held.get(&key).is_some_and(|until| now < *until) {
            return broken(Law::Grace, format!("{coordinate} was held and was claimed"));
        }
        let busy = |next: Timestamp| next.as_millisecond() > now;
        if row.state == RowState::Deleting && row.next_attempt.is_some_and(busy) {
            return broken(Law::Alone, format!("{coordinate} was claimed twice"));
        }
        if settled
            && let Some((_, lost)) = self.model.lost.get(&key)
            && now - lost < length(self.wait(&key.0, reason))
        {
            let hours = (now - lost) as f64 / 3_600_000.0;
            return broken(
                Law::Grace,
                format!("{coordinate} was claimed as {reason:?} {hours:.3} h after its last use"),
            );
        }
        Ok(())
    }

    /// Whether the share of what was in use that would go, of a backend or a workspace, is more than
    /// is allowed.
    fn is_too_large(&self, census: &Census) -> bool {
        let jobs = &self.world.setting.jobs;
        let large = |due: u64, of: u64| {
            due >= jobs.share_from && due as f64 > jobs.largest_share * of as f64
        };
        let whole = census.once_referenced;
        whole.is_some_and(|of| large(census.due_once_referenced, of))
            || census
                .owners
                .iter()
                .any(|it| large(it.due, it.once_referenced))
    }

    /// Whether the mark may have gone past a run that looked at it: a restore beneath it can bring back
    /// what it knew. One to before its lease is another law's.
    fn may_miss_the_epoch(&self, task: usize) -> bool {
        let before = self.restores_before.get(&task).copied();
        self.restores > before.unwrap_or_default()
    }

    /// The epoch that the store knows of a backend, and the one that the backend bears.
    fn epochs(&self, backend: &BackendId) -> (i64, i64) {
        let known = self.world.store.state().epoch(backend).number;
        let marks = self.world.manager(backend).map(|it| it.inner.everything());
        let ours = |it: &Description| {
            let store = it.mark.as_ref().map(|mark| mark.store);
            store == Some(self.world.store_id)
                && it.state == SecretState::Enabled
                && is_epoch_mark(&it.coordinate)
        };
        let marks = marks.unwrap_or_default();
        let borne = marks.iter().filter(|it| ours(it));
        let highest = borne.map(|it| it.coordinate.version().get()).max();
        (known, highest.unwrap_or_default())
    }

    /// How long something is left alone once nothing refers to it.
    fn wait(&self, backend: &BackendId, reason: Reason) -> Duration {
        let jobs = &self.world.setting.jobs;
        let recovery = self
            .world
            .manager(backend)
            .and_then(|it| it.capabilities.recovery)
            .map(|it| it.longest)
            .unwrap_or_default();
        let horizon = jobs.backup_horizon.saturating_sub(recovery);
        match reason {
            Reason::Superseded => jobs.windows.superseded_grace.max(horizon),
            Reason::Orphaned => jobs.windows.orphan_ttl.max(horizon),
            _ => Duration::ZERO,
        }
    }

    fn judge_settlement(
        &self,
        key: &Key,
        outcome: &DeletionOutcome,
        claimed_at: Option<i64>,
        receipt: bool,
    ) -> Verdict {
        if !receipt {
            let saw = format!("{} was settled without a receipt", key.1);
            return broken(Law::Receipts, saw);
        }
        let there = self
            .world
            .manager(&key.0)
            .and_then(|it| it.inner.look(&key.1));
        let (Some((there, _)), Some(claimed_at)) = (there, claimed_at) else {
            return Ok(());
        };
        let state = self.world.store.state();
        let row = state.rows.get(key).map(|row| &row.ledger);
        // The same value under the same number may have been meant in a copy, by another intent.
        let same = there.mark.as_ref().zip(row).is_some_and(|(mark, row)| {
            let meant = row.once_referenced || mark.intent == row.intent;
            mark.store == self.world.store_id && mark.digest == row.digest && meant
        });
        let untouched = |at: Timestamp| at.as_millisecond() < claimed_at;
        let untouched = same && there.changed.is_some_and(untouched);
        let waits = there.state != SecretState::Enabled;
        let made_up = match outcome {
            DeletionOutcome::Deleted | DeletionOutcome::AlreadyGone => untouched,
            DeletionOutcome::Scheduled { .. } => untouched && !waits,
            DeletionOutcome::Failed { .. } => false,
        };
        if made_up {
            broken(
                Law::Receipts,
                format!(
                    "{} is {:?} and was settled as {outcome:?}",
                    key.1, there.state
                ),
            )
        } else {
            Ok(())
        }
    }

    fn judge_finding(&self, backend: &BackendId, finding: &Finding) -> Verdict {
        let named = finding.coordinate.clone();
        let named = named.map(|coordinate| (backend.clone(), coordinate));
        let is_taken = named
            .as_ref()
            .is_some_and(|key| self.taken_late.contains(key));
        let expected = match finding.kind {
            FindingKind::Endangered | FindingKind::LedgerMismatch if is_taken => true,
            FindingKind::Endangered => {
                self.restored || self.accident || self.is_copied() || self.mistyped
            }
            FindingKind::UnknownMarked => self.restored || self.is_copied() || self.mistyped,
            // Under the other name is another secret, or none: in the place of what is in use, or held.
            FindingKind::Dangling
            | FindingKind::Altered
            | FindingKind::NotOurs
            | FindingKind::LedgerMismatch
                if self.mistyped =>
            {
                true
            }
            FindingKind::Dangling => named.is_some_and(|key| self.is_lost_to_another(&key)),
            _ => false,
        };
        if expected {
            Ok(())
        } else {
            broken(
                Law::Agreement,
                format!("{backend}: nothing is amiss and this was found: {finding:?}"),
            )
        }
    }

    fn judge_deletion(
        &mut self,
        key: &Key,
        due: Option<Timestamp>,
        description: &Description,
    ) -> Verdict {
        let ours = description.mark.as_ref().map(|mark| mark.store);
        if ours != Some(self.world.store_id) {
            let saw = format!("{} was somebody else's and was deleted", key.1);
            return broken(Law::NotOurs, saw);
        }
        self.judge_by_copying("deleted", key)?;
        if is_epoch_mark(&key.1) {
            return Ok(());
        }
        self.deleted_beside_a_copy(key, due);
        let now = self.world.stage.truth();
        if self.held.get(key).is_some_and(|until| now < *until) {
            self.taken_late.insert(key.clone());
        }
        if self.restored && due.is_none() && !self.model.once.contains(key) {
            self.given_up.insert(key.clone());
        }
        if self.restored && self.model.is_in_use(key) && due.is_some() {
            // By somebody who claimed it in the database as it was before.
            self.pardoned.insert(key.clone(), now);
        }
        let Some((lost, _)) = self.model.lost.get(key) else {
            return Ok(());
        };
        let until = due.map_or(now, Timestamp::as_millisecond);
        let allowed = if self.world.setting.trouble.clock {
            length(CLOCK)
        } else {
            0
        };
        let kept = until - lost + allowed;
        if self.model.once.contains(key) && kept < length(self.world.setting.jobs.backup_horizon) {
            let hours = (until - lost) as f64 / 3_600_000.0;
            return broken(
                Law::Horizon,
                format!(
                    "{} can be given back for {hours:.3} h after its last use",
                    key.1
                ),
            );
        }
        Ok(())
    }

    fn judge_read(&self, id: DocumentId, began: u64, config: &SecretJson) -> Verdict {
        let config = config.expose();
        let attempt = number_of(config).and_then(|it| self.model.attempts.get(&it));
        let Some(attempt) = attempt.filter(|it| it.id == id && it.config == *config) else {
            let saw = format!("a reader of {id} was given what nobody wrote");
            return broken(Law::RightValue, saw);
        };
        let stale = attempt.replaced.is_some_and(|replaced| replaced < began);
        if stale && !self.restored {
            broken(
                Law::RightValue,
                format!("a reader of {id} was given what had been replaced"),
            )
        } else {
            Ok(())
        }
    }

    fn judge_hole(&self, id: DocumentId, began: u64) -> Verdict {
        let stood = self.model.documents.get(&id);
        let excused = self.restored || self.accident || self.is_copied();
        if stood.is_some_and(|it| it.at < began) && !excused {
            broken(Law::InUse, format!("a reader of {id} met a hole"))
        } else {
            Ok(())
        }
    }

    /// Whatever was in danger when a whole pass began is safe when it ends.
    fn pass_ended(&mut self, task: usize, backend: &BackendId, began: i64) {
        if self.faulty.contains(&task) {
            return;
        }
        let lag = self
            .world
            .manager(backend)
            .map(|it| length(it.capabilities.listing_lag));
        let began = began - lag.unwrap_or_default();
        self.pardoned
            .retain(|key, since| key.0 != *backend || *since >= began);
        self.all_pardoned
            .retain(|id, since| id != backend || *since >= began);
    }
}
