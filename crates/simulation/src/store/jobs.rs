//! What the jobs ask of the ledger and change in it.

use std::collections::BTreeMap;
use std::time::Duration;

use cloakroom_core::ledger::{
    Begun, Candidate, Census, Claim, ClaimItem, DeletionOutcome, DueClass, DueCursor, LedgerRow,
    OwnerCensus, QuarantineRelease, Reason, RowState, Settlement, Unused, Windows,
};
use cloakroom_core::mutant::{self, Mutant};
use cloakroom_core::store::Lease;
use cloakroom_core::{BackendId, Coordinate, ErrorKind, Result, RunId, Timestamp, WorkspaceId};

use super::state::{Row, State, length, past, reason_of, refusal};
use crate::happening::{Happening, Key};
use crate::stage::{Stage, moment};

const CLASSES: [DueClass; 4] = [
    DueClass::Resumable,
    DueClass::Expired,
    DueClass::Orphaned,
    DueClass::Superseded,
];

/// The time that makes a row of the class due.
fn time_of(class: DueClass, row: &LedgerRow) -> Option<Timestamp> {
    match class {
        DueClass::Resumable => row.next_attempt,
        DueClass::Expired => row.expires,
        DueClass::Orphaned | DueClass::Superseded if counts_from_creation(row) => {
            row.unreferenced_since.map(|_| row.created)
        }
        DueClass::Orphaned | DueClass::Superseded => row.unreferenced_since,
    }
}

fn counts_from_creation(row: &LedgerRow) -> bool {
    let unheld = row.state == RowState::Held && mutant::on(Mutant::HeldIgnored);
    unheld || mutant::on(Mutant::GraceFromCreation)
}

fn put_deadline(windows: &Windows) -> Duration {
    if mutant::on(Mutant::PutDeadlineIgnored) {
        Duration::ZERO
    } else {
        windows.put_deadline
    }
}

/// How many superseded versions of each base stay whatever their age.
fn kept_of_each(windows: &Windows) -> u64 {
    if mutant::on(Mutant::KeepIgnored) {
        0
    } else {
        windows.keep_superseded.into()
    }
}

impl State {
    /// How many newer superseded versions its base has.
    fn newer_superseded(&self, key: &Key) -> u64 {
        let newer = self.of_base(key).filter(|(other, row)| {
            other.1.version() > key.1.version()
                && matches!(row.ledger.state, RowState::Stored | RowState::Held)
                && row.ledger.superseded
                && row.ledger.unreferenced_since.is_some()
        });
        newer.count() as u64
    }

    fn is_due(&self, key: &Key, row: &LedgerRow, class: DueClass, w: &Windows, now: i64) -> bool {
        let settled = matches!(row.state, RowState::Stored | RowState::Held);
        let early = matches!(row.state, RowState::Intended | RowState::Stored);
        let (of_class, wait) = match class {
            DueClass::Resumable if mutant::on(Mutant::ClaimStolen) => {
                return row.state == RowState::Deleting;
            }
            DueClass::Resumable => (row.state == RowState::Deleting, Duration::ZERO),
            DueClass::Expired => (early && !row.once_referenced, put_deadline(w)),
            DueClass::Orphaned => (settled && !row.superseded, w.orphan_ttl),
            DueClass::Superseded => (
                settled && row.superseded && self.newer_superseded(key) >= kept_of_each(w),
                w.superseded_grace,
            ),
        };
        of_class && past(time_of(class, row), now, wait)
    }

    fn all_due<'a>(
        &'a self,
        backend: &'a BackendId,
        class: DueClass,
        windows: &'a Windows,
        now: i64,
    ) -> impl Iterator<Item = (&'a Key, &'a LedgerRow)> {
        self.rows
            .iter()
            .filter(|(key, _)| key.0 == *backend)
            .map(|(key, row)| (key, &row.ledger))
            .filter(move |(key, row)| self.is_due(key, row, class, windows, now))
    }

    pub(super) fn due(
        &self,
        backend: &BackendId,
        class: DueClass,
        windows: &Windows,
        after: Option<&DueCursor>,
        limit: u32,
        now: i64,
    ) -> Vec<Candidate> {
        let candidate = |(key, row): (&Key, &LedgerRow)| {
            let highest = self.highest_referenced(key);
            let cursor = DueCursor {
                at: time_of(class, row)?,
                coordinate: key.1.clone(),
            };
            Some(Candidate {
                row: row.clone(),
                reason: reason_of(row),
                superseded_by: highest.filter(|it| it.version() > key.1.version()),
                cursor,
            })
        };
        let order = |cursor: &DueCursor| (cursor.at, cursor.coordinate.as_str().to_owned());
        let due = self.all_due(backend, class, windows, now);
        let mut due: Vec<Candidate> = due
            .filter_map(candidate)
            .filter(|it| after.is_none_or(|after| order(&it.cursor) > order(after)))
            .collect();
        due.sort_by_key(|it| order(&it.cursor));
        due.truncate(limit as usize);
        due
    }

    pub(super) fn census(
        &self,
        backend: &BackendId,
        classes: &[DueClass],
        windows: &Windows,
        share_from: u64,
        now: i64,
    ) -> Census {
        let any_live_reference = self.any_reference(backend);
        let in_use = |(key, row): (&Key, &Row)| {
            let row = &row.ledger;
            let kept = row.once_referenced && row.unreferenced_since.is_none();
            key.0 == *backend && row.state == RowState::Stored && kept
        };
        let mut census = Census {
            any_live_reference,
            references_missed: !any_live_reference && self.rows.iter().any(in_use),
            ..Census::default()
        };
        let mut owners: BTreeMap<WorkspaceId, u64> = BTreeMap::new();
        for class in classes {
            for (key, row) in self.all_due(backend, *class, windows, now) {
                if row.once_referenced {
                    census.due_once_referenced += 1;
                    if let Some(owner) = self.rows[key].owner {
                        *owners.entry(owner).or_default() += 1;
                    }
                } else {
                    census.due_never_referenced += 1;
                }
            }
        }
        if classes.is_empty() {
            return census;
        }
        let there = |owner: Option<WorkspaceId>| {
            let rows = self.rows.iter().filter(|(key, row)| {
                key.0 == *backend
                    && row.ledger.once_referenced
                    && !matches!(row.ledger.state, RowState::Intended | RowState::Deleted)
                    && (owner.is_none() || row.owner == owner)
            });
            rows.count() as u64
        };
        if census.due_once_referenced >= share_from {
            census.once_referenced = Some(there(None));
        }
        let large = owners.into_iter().filter(|(_, due)| *due >= share_from);
        let owner = |(owner, due): (WorkspaceId, u64)| OwnerCensus {
            owner: owner.0,
            due,
            once_referenced: there(Some(owner)),
        };
        census.owners = large.map(owner).collect();
        census
    }

    pub(super) fn count_due(
        &self,
        backend: &BackendId,
        windows: &Windows,
        now: i64,
    ) -> Vec<(Reason, u64)> {
        let due = CLASSES
            .iter()
            .flat_map(|class| self.all_due(backend, *class, windows, now));
        let reasons: Vec<Reason> = due.map(|(_, row)| reason_of(row)).collect();
        let count = |reason| reasons.iter().filter(|other| **other == reason).count() as u64;
        Reason::ALL
            .into_iter()
            .map(|reason| (reason, count(reason)))
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    pub(super) fn unused(&self, backend: &BackendId, windows: &Windows, now: i64) -> Unused {
        let due = CLASSES[1..]
            .iter()
            .flat_map(|class| self.all_due(backend, *class, windows, now))
            .map(|(_, row)| row);
        let begun = self.rows.iter().filter(|(key, row)| {
            let state = row.ledger.state;
            key.0 == *backend && matches!(state, RowState::Deleting | RowState::Quarantined)
        });
        let (superseded, others): (Vec<_>, Vec<_>) = due
            .chain(begun.map(|(_, row)| &row.ledger))
            .partition(|row| reason_of(row) == Reason::Superseded);
        let since = |row: &LedgerRow| row.unreferenced_since.or(row.expires);
        let oldest = others.iter().map(|row| since(row).unwrap_or(row.created));
        Unused {
            superseded: superseded.len() as u64,
            orphaned: others.len() as u64,
            oldest_orphan: oldest.min(),
        }
    }

    pub(super) fn begun(&self, backend: &BackendId, now: i64) -> Begun {
        let rows = self.rows.iter().filter(|(key, _)| key.0 == *backend);
        let rows: Vec<&LedgerRow> = rows.map(|(_, row)| &row.ledger).collect();
        let waits = |row: &LedgerRow| {
            let later = row.next_attempt.is_some_and(|next| next > moment(now));
            row.state == RowState::Deleting && later
        };
        let parked = |row: &LedgerRow| row.state == RowState::Quarantined;
        let failed = |row: &LedgerRow| row.claimed_by.is_none() && row.last_error.is_some();
        Begun {
            waiting: rows.iter().filter(|row| waits(row)).count() as u64,
            failed: rows.iter().filter(|row| waits(row) && failed(row)).count() as u64,
            parked: rows.iter().filter(|row| parked(row)).count() as u64,
        }
    }

    pub(super) fn is_held_by(&self, lease: &Lease) -> bool {
        self.leases.get(&lease.name).is_some_and(|standing| {
            standing.holder.as_deref() == Some(lease.holder.as_str())
                && standing.token == lease.token
        })
    }

    /// `Unavailable` where a lease does not stand as it was lent.
    pub(super) fn fence(&self, operation: &'static str, lease: &Lease, now: i64) -> Result<()> {
        let leased = self.is_held_by(lease);
        let unnoticed = mutant::on(Mutant::RestoreUnnoticed);
        let stands = leased && (unnoticed || self.stands_as_lent(lease, now));
        if stands || mutant::on(Mutant::FencingLeftOut) {
            return Ok(());
        }
        let message = "the lease does not stand as it was lent";
        Err(refusal(ErrorKind::Unavailable, operation, message))
    }

    fn stands_as_lent(&self, lease: &Lease, now: i64) -> bool {
        let standing = self.leases.get(&lease.name);
        self.is_as_lent(lease) && standing.is_some_and(|it| it.stands(now))
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the trait's, the stage and the time"
    )]
    pub(super) fn claim(
        &mut self,
        stage: &Stage,
        lease: &Lease,
        backend: &BackendId,
        items: &[ClaimItem],
        windows: &Windows,
        deadline: Duration,
        now: i64,
    ) -> Result<Vec<Claim>> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        self.fence("claim secrets for deletion", lease, now)?;
        let leased = self.is_held_by(lease);
        let mut taken = std::collections::BTreeSet::new();
        // What stays whatever its age is counted before anything is claimed.
        let kept: Vec<bool> = items
            .iter()
            .map(|item| {
                let key = (backend.clone(), item.coordinate.clone());
                let settled = self.rows.get(&key).is_some_and(|row| {
                    matches!(row.ledger.state, RowState::Stored | RowState::Held)
                });
                settled
                    && item.reason == Reason::Superseded
                    && self.newer_superseded(&key) < kept_of_each(windows)
            })
            .collect();
        let mut claims = Vec::with_capacity(items.len());
        for (item, kept) in items.iter().zip(kept) {
            let key = (backend.clone(), item.coordinate.clone());
            let referenced = self.is_referenced(&key) && !mutant::on(Mutant::RecheckLeftOut);
            let elsewhere = self.is_referenced_elsewhere(&key);
            let Some(row) = self.rows.get_mut(&key).filter(|_| taken.insert(key)) else {
                claims.push(Claim::Changed);
                continue;
            };
            if referenced {
                back_in_use(&mut row.ledger);
                claims.push(Claim::Referenced);
                continue;
            }
            if elsewhere {
                claims.push(Claim::Referenced);
                continue;
            }
            if kept || !holds(&row.ledger, item.reason, windows, now) {
                claims.push(Claim::Changed);
                continue;
            }
            stage.happened(Happening::Claimed {
                task: stage.current(),
                row: Box::new(row.ledger.clone()),
                reason: item.reason,
                now,
                leased,
            });
            if item.reason != Reason::Resurfaced {
                row.ledger.state = RowState::Deleting;
            }
            row.ledger.next_attempt = Some(moment(now.saturating_add(length(deadline))));
            row.ledger.claimed_by = Some(lease.holder.clone());
            row.claimed.insert(stage.current(), stage.truth());
            claims.push(Claim::Ready(Box::new(row.ledger.clone())));
        }
        Ok(claims)
    }

    pub(super) fn settle(
        &mut self,
        stage: &Stage,
        run: RunId,
        backend: &BackendId,
        settlements: &[Settlement],
        now: i64,
    ) -> Result<()> {
        for settlement in settlements {
            let key = (backend.clone(), settlement.coordinate.clone());
            match self.rows.get(&key).map(|row| row.ledger.state) {
                None => {
                    let message = "table secrets has no such row";
                    return Err(refusal(ErrorKind::Missing, "settle deletions", message));
                }
                Some(RowState::Intended | RowState::Stored) => {
                    let message = "its row is not claimed";
                    return Err(refusal(ErrorKind::Conflict, "settle deletions", message));
                }
                Some(_) => {}
            }
        }
        for settlement in settlements {
            let key = (backend.clone(), settlement.coordinate.clone());
            let leaves_receipt = !mutant::on(Mutant::ReceiptLeftOut);
            let Some(row) = self.rows.get_mut(&key) else {
                continue;
            };
            stage.happened(Happening::Settled {
                key: key.clone(),
                outcome: settlement.outcome.clone(),
                claimed_at: row.claimed.get(&stage.current()).copied(),
                receipt: leaves_receipt,
            });
            write_down(row, run, settlement, now);
            if leaves_receipt {
                let mut receipt = Self::blank_receipt(run, &key, now);
                settlement.reason.as_str().clone_into(&mut receipt.reason);
                receipt.evidence.clone_from(&settlement.evidence);
                settlement.outcome.as_str().clone_into(&mut receipt.outcome);
                self.append(receipt);
            }
        }
        Ok(())
    }

    pub(super) fn release(
        &mut self,
        lease: &Lease,
        backend: &BackendId,
        coordinates: &[Coordinate],
        now: i64,
    ) {
        for coordinate in coordinates {
            let key = (backend.clone(), coordinate.clone());
            let Some(row) = self.rows.get_mut(&key) else {
                continue;
            };
            let row = &mut row.ledger;
            if row.claimed_by.as_ref() != Some(&lease.holder) {
                continue;
            }
            row.next_attempt = match (row.state, row.next_attempt) {
                (RowState::Deleting, Some(_)) => Some(moment(now)),
                (RowState::Deleted, Some(_)) => None,
                (_, next) => next,
            };
        }
    }

    pub(super) fn release_quarantine(
        &mut self,
        backend: &BackendId,
        release: &QuarantineRelease,
        now: i64,
    ) -> u64 {
        let mut released = 0;
        let by_hand = !matches!(release, QuarantineRelease::OlderThan(_));
        for (key, row) in &mut self.rows {
            let old_enough = |age| {
                row.quarantined
                    .is_some_and(|at| at <= now.saturating_sub(length(age)))
            };
            let chosen = match release {
                QuarantineRelease::Coordinates(these) => these.contains(&key.1),
                QuarantineRelease::All => true,
                QuarantineRelease::OlderThan(age) => old_enough(*age),
            };
            if key.0 == *backend && row.ledger.state == RowState::Quarantined && chosen {
                row.ledger.state = RowState::Deleting;
                if by_hand {
                    row.ledger.attempts = 0;
                }
                row.ledger.next_attempt = Some(moment(now));
                row.quarantined = None;
                released += 1;
            }
        }
        released
    }
}

fn back_in_use(row: &mut LedgerRow) {
    let settled = matches!(row.state, RowState::Stored | RowState::Held);
    if settled && row.unreferenced_since.is_some() {
        row.state = RowState::Stored;
        row.unreferenced_since = None;
        row.superseded = false;
    }
}

/// Whether what the scan saw is still so.
fn holds(row: &LedgerRow, reason: Reason, windows: &Windows, now: i64) -> bool {
    if mutant::on(Mutant::RecheckLeftOut) {
        return true;
    }
    let free = row
        .next_attempt
        .is_none_or(|next| next.as_millisecond() <= now);
    let free = free || mutant::on(Mutant::ClaimStolen);
    let lost = |class| time_of(class, row);
    match (row.state, reason) {
        (RowState::Deleted, Reason::Resurfaced) => free,
        (_, Reason::Resurfaced) => false,
        (RowState::Deleting, _) => free,
        (RowState::Intended | RowState::Stored, Reason::Abandoned | Reason::Ephemeral) => {
            !row.once_referenced
                && reason_of(row) == reason
                && past(row.expires, now, put_deadline(windows))
        }
        (RowState::Stored | RowState::Held, Reason::Orphaned) => {
            !row.superseded && past(lost(DueClass::Orphaned), now, windows.orphan_ttl)
        }
        (RowState::Stored | RowState::Held, Reason::Superseded) => {
            row.superseded && past(lost(DueClass::Superseded), now, windows.superseded_grace)
        }
        _ => false,
    }
}

fn write_down(row: &mut Row, run: RunId, settlement: &Settlement, now: i64) {
    let state = row.ledger.state;
    let ledger = &mut row.ledger;
    if ledger.claimed_by == Some(run.to_string()) {
        ledger.claimed_by = None;
    }
    match &settlement.outcome {
        DeletionOutcome::Failed {
            kind,
            message,
            pause,
            quarantine,
        } => {
            let late = settlement.reason == Reason::Resurfaced && state == RowState::Deleted;
            if state != RowState::Deleting && !late {
                return;
            }
            if mutant::on(Mutant::FailureReadAsDone) {
                ledger.state = RowState::Deleted;
                return;
            }
            let counted = !matches!(kind, ErrorKind::Unavailable | ErrorKind::Throttled);
            ledger.attempts += u32::from(counted);
            ledger.last_error = Some(format!("{kind}: {message}"));
            if *quarantine {
                ledger.state = RowState::Quarantined;
                ledger.next_attempt = None;
                row.quarantined = Some(now);
            } else {
                ledger.next_attempt = Some(moment(now.saturating_add(length(*pause))));
            }
        }
        _ if state == RowState::Held => {}
        _ => {
            ledger.state = RowState::Deleted;
            ledger.next_attempt = None;
            ledger.claimed_by = None;
            ledger.last_error = None;
            row.quarantined = None;
        }
    }
}
