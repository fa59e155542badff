//! Runs, findings, leases, epochs, and what an operator changes in the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cloakroom_core::ledger::{LedgerRow, Reason, RowState};
use cloakroom_core::mutant::{self, Mutant};
use cloakroom_core::store::{
    Adoption, Epoch, EpochRaise, Finding, Home, Job, Lease, LetGo, NewRun, Restored, RunOutcome,
    RunRecord, telling_most, words,
};
use cloakroom_core::{BackendId, Coordinate, ErrorKind, Result, RunId, Timestamp, ValueKind};
use uuid::Uuid;

use super::state::{Row, Run, Standing, State, length, refusal};
use crate::happening::Key;
use crate::stage::moment;

/// As many runs of a job and backend keep their findings whatever they are.
const KEPT_RUNS: usize = 10;

impl State {
    pub(super) fn start_run(&mut self, new: &NewRun, now: i64) -> Result<()> {
        let applied = |run: &Run| new.plan.is_some() && run.new.plan == new.plan;
        if self.runs.contains_key(&new.id) || self.runs.values().any(applied) {
            let message = "its plan was applied before, or its id is taken";
            return Err(refusal(ErrorKind::Conflict, "start a run", message));
        }
        let seq = self.runs.len() + 1;
        self.runs.insert(
            new.id,
            Run {
                new: new.clone(),
                started: now,
                seq,
                finished: None,
                report: serde_json::Value::Null,
                findings: Vec::new(),
            },
        );
        self.prune(new.job, &new.backend);
        Ok(())
    }

    pub(super) fn finish_run(
        &mut self,
        run: RunId,
        outcome: RunOutcome,
        report: &serde_json::Value,
        now: i64,
    ) -> Result<()> {
        let refuse = |kind, message| Err(refusal(kind, "finish a run", message));
        match self.runs.get_mut(&run) {
            None => refuse(ErrorKind::Missing, "table runs has no such run"),
            Some(run) if run.finished.is_some() => {
                refuse(ErrorKind::Conflict, "the run has ended before")
            }
            Some(run) => {
                run.finished = Some((now, outcome));
                run.report = report.clone();
                Ok(())
            }
        }
    }

    /// Every run, newest first.
    pub(super) fn records(&self) -> Vec<RunRecord> {
        let mut runs: Vec<&Run> = self.runs.values().collect();
        runs.sort_by_key(|run| std::cmp::Reverse(run.seq));
        let record = |run: &Run| RunRecord {
            id: run.new.id,
            job: run.new.job,
            backend: run.new.backend.clone(),
            dry_run: run.new.dry_run,
            started: moment(run.started),
            finished: run.finished.map(|(at, _)| moment(at)),
            outcome: run.finished.map(|(_, outcome)| outcome),
            report: run.report.clone(),
        };
        runs.into_iter().map(record).collect()
    }

    /// The runs of a job on a backend that changed things and have ended, newest first.
    pub(super) fn finished(&self, job: Job, backend: &BackendId) -> Vec<RunRecord> {
        let mut runs = self.records();
        runs.retain(|run| {
            !run.dry_run && run.finished.is_some() && run.job == job && run.backend == *backend
        });
        runs
    }

    pub(super) fn applied_a_plan(&self, run: RunId) -> bool {
        let run = self.runs.get(&run);
        run.is_some_and(|run| run.new.plan.is_some())
    }

    pub(super) fn record_findings(&mut self, run: RunId, findings: &[Finding]) -> Result<()> {
        let Some(run) = self.runs.get_mut(&run) else {
            let message = "table runs has no such run";
            return Err(refusal(ErrorKind::Missing, "record findings", message));
        };
        run.findings.extend_from_slice(findings);
        let (job, backend) = (run.new.job, run.new.backend.clone());
        self.prune(job, &backend);
        Ok(())
    }

    pub(super) fn has_findings(&self, run: RunId) -> bool {
        let run = self.runs.get(&run);
        run.is_some_and(|run| !run.findings.is_empty())
    }

    pub(super) fn last_whole(&self, job: Job, backend: &BackendId) -> Option<RunRecord> {
        let mut runs = self.finished(job, backend).into_iter();
        runs.find(|run| {
            run.outcome != Some(RunOutcome::Failed)
                && run.report["cut_short"] != true
                && !self.applied_a_plan(run.id)
        })
    }

    /// The runs since the last whole one that were no executions of plans, newest first.
    pub(super) fn broken_off(
        &self,
        job: Job,
        backend: &BackendId,
        whole: Option<&RunRecord>,
    ) -> Vec<RunRecord> {
        let mut runs = self.finished(job, backend);
        if let Some(whole) = whole {
            let settled = runs.iter().position(|run| run.id == whole.id);
            runs.truncate(settled.unwrap_or_default());
        }
        runs.retain(|run| !self.applied_a_plan(run.id));
        runs
    }

    /// Forgets the findings of runs before the last ten of a job and backend, unless they are not settled.
    fn prune(&mut self, job: Job, backend: &BackendId) {
        let of_these = |run: &&Run| run.new.job == job && run.new.backend == *backend;
        let mut runs: Vec<&Run> = self.runs.values().filter(of_these).collect();
        runs.sort_by_key(|run| std::cmp::Reverse(run.seq));
        let old = runs.into_iter().skip(KEPT_RUNS);
        let old = old.filter(|run| !run.findings.is_empty());
        let mut old: Vec<RunId> = old.map(|run| run.new.id).collect();
        if old.is_empty() {
            return;
        }
        let whole = self.last_whole(job, backend);
        let mut since = self.broken_off(job, backend, whole.as_ref());
        since.retain(|run| self.has_findings(run.id));
        let telling = telling_most(&since);
        let whole = whole.map(|run| run.id);
        old.retain(|run| Some(*run) != whole && !telling.contains(run));
        for run in old {
            if let Some(run) = self.runs.get_mut(&run) {
                run.findings.clear();
            }
        }
    }

    pub(super) fn acquire_lease(
        &mut self,
        name: &str,
        holder: &str,
        ttl: Duration,
        now: i64,
    ) -> Option<Lease> {
        let expires = now.saturating_add(length(ttl));
        let token = match self.leases.get(name) {
            None => 1,
            Some(standing) if standing.holder.as_deref() == Some(holder) => standing.token,
            Some(standing) if standing.stands(now) => return None,
            Some(standing) => standing.token + 1,
        };
        self.leases.insert(
            name.to_owned(),
            Standing {
                holder: Some(holder.to_owned()),
                token,
                acquired: now,
                expires,
            },
        );
        Some(Lease {
            name: name.to_owned(),
            holder: holder.to_owned(),
            token,
            renewed: moment(now),
        })
    }

    pub(super) fn renew_lease(&mut self, lease: &Lease, ttl: Duration, now: i64) -> Option<Lease> {
        if mutant::on(Mutant::RestoreUnnoticed) {
            let taken = self.acquire_lease(&lease.name, &lease.holder, ttl, now);
            return taken.filter(|taken| taken.token == lease.token);
        }
        if !self.is_as_lent(lease) {
            return None;
        }
        self.acquire_lease(&lease.name, &lease.holder, ttl, now)
    }

    /// Whether a lease is still its holder's, in a database no older than its last renewal.
    pub(super) fn is_as_lent(&self, lease: &Lease) -> bool {
        let standing = self.leases.get(&lease.name);
        self.is_held_by(lease)
            && standing.is_some_and(|it| it.acquired >= lease.renewed.as_millisecond())
    }

    pub(super) fn release_lease(&mut self, lease: &Lease) {
        if self.is_held_by(lease)
            && let Some(standing) = self.leases.get_mut(&lease.name)
        {
            standing.holder = None;
            standing.expires = 0;
        }
    }

    pub(crate) fn epoch(&self, backend: &BackendId) -> Epoch {
        self.epochs.get(backend).copied().unwrap_or_default()
    }

    pub(super) fn raise_epoch(
        &mut self,
        backend: &BackendId,
        raise: &EpochRaise,
        now: i64,
    ) -> Result<Epoch> {
        let refuse = |kind, message| Err(refusal(kind, "raise the epoch", message));
        if raise.from < 0 || raise.to <= raise.from {
            return refuse(ErrorKind::Invalid, "an epoch only grows");
        }
        let stands = self.epoch(backend);
        if stands.number != raise.from {
            return refuse(ErrorKind::Conflict, "somebody else raised it");
        }
        let raised = Epoch {
            number: raise.to,
            raise: raise.raise,
            raised: Some(moment(now)),
            marked: false,
        };
        self.epochs.insert(backend.clone(), raised);
        if raise.adopted.is_some() {
            self.managers.remove(backend);
        }
        self.note_manager(backend, &raise.manager);
        self.homes.insert(backend.clone(), raise.home.clone());
        self.identity.epoch = self.identity.epoch.max(raise.to);
        if let Some(adopted) = &raise.adopted {
            let key = (backend.clone(), adopted.mark.clone());
            self.write_receipt(adopted.run, &key, words::EPOCH, words::RAISED, now);
            self.settle_home(&raise.home);
        }
        Ok(raised)
    }

    pub(super) fn confirm_epoch(&mut self, backend: &BackendId, raise: Uuid) {
        if let Some(epoch) = self.epochs.get_mut(backend)
            && epoch.raise == raise
        {
            epoch.marked = true;
        }
    }

    pub(super) fn note_manager(&mut self, backend: &BackendId, manager: &str) -> String {
        let known = self.managers.entry(backend.clone());
        known.or_insert_with(|| manager.to_owned()).clone()
    }

    fn settle_home(&mut self, home: &Home) {
        let backends = self.rows.keys().map(|key| &key.0).chain(self.epochs.keys());
        let mut known = backends.map(|backend| self.known_home(backend));
        if known.all(|known| home.is_still(&known)) {
            self.home = home.clone();
        }
    }

    pub(super) fn missed(
        &self,
        backend: &BackendId,
        after: Option<&Coordinate>,
        limit: u32,
    ) -> Vec<LedgerRow> {
        let behind =
            |row: &LedgerRow| after.is_none_or(|after| row.coordinate.as_str() > after.as_str());
        let missed = self.rows.iter().filter(|(key, row)| {
            key.0 == *backend && is_in_use(&row.ledger) && self.is_missed(key)
        });
        let mut missed: Vec<LedgerRow> = missed.map(|(_, row)| row.ledger.clone()).collect();
        missed.retain(behind);
        missed.sort_by(|one, other| one.coordinate.as_str().cmp(other.coordinate.as_str()));
        missed.truncate(limit as usize);
        missed
    }

    fn is_missed(&self, key: &Key) -> bool {
        !self.is_referenced(key) || mutant::on(Mutant::MissedUnchecked)
    }

    pub(super) fn let_missed_go(
        &mut self,
        run: RunId,
        backend: &BackendId,
        items: &[LetGo],
        now: i64,
    ) -> Vec<bool> {
        let keys = items
            .iter()
            .map(|item| (backend.clone(), item.coordinate.clone()));
        let mut keys: BTreeSet<Key> = keys.collect();
        let living = self.living(keys.iter());
        keys.retain(|key| living.get(key).is_some_and(|row| is_in_use(&row.ledger)));
        let now = self.lasting(now);
        let taken = keys.iter().filter(|key| self.is_missed(key)).cloned();
        let mut lost: BTreeSet<Coordinate> = taken.map(|(_, coordinate)| coordinate).collect();
        self.settle_references(&living, &keys, now);
        let mut gone = Vec::with_capacity(items.len());
        for item in items {
            let this = lost.remove(&item.coordinate);
            if this {
                let key = (backend.clone(), item.coordinate.clone());
                self.write_receipt(run, &key, Reason::Orphaned.as_str(), words::ADOPTED, now);
            }
            gone.push(this);
        }
        gone
    }

    pub(super) fn adopt(
        &mut self,
        run: RunId,
        backend: &BackendId,
        adoptions: &[Adoption],
        now: i64,
    ) -> Vec<bool> {
        let now = self.lasting(now);
        let mut adopted = Vec::with_capacity(adoptions.len());
        for adoption in adoptions {
            let key = (backend.clone(), adoption.coordinate.clone());
            let referenced = self.is_referenced(&key);
            let new = self.rows.get(&key).is_none_or(|row| {
                let row = &row.ledger;
                let passed = |until: Timestamp| until <= moment(now);
                let over = match row.state {
                    RowState::Deleted | RowState::Quarantined => true,
                    RowState::Deleting => row.next_attempt.is_none_or(passed),
                    RowState::Intended => row.expires.is_some_and(passed),
                    RowState::Stored => row.unreferenced_since.is_some(),
                    RowState::Held => row.unreferenced_since.is_some_and(passed),
                };
                let other_intent = adoption.intent.is_some() && row.intent != adoption.intent;
                let other_value = row.digest != adoption.digest && !row.once_referenced;
                over && !referenced && (other_value || other_intent)
            });
            let elsewhere = self.known_elsewhere(&key, &adoption.digest, adoption.intent);
            let new = new && elsewhere.is_none();
            if new {
                let known = self.rows.get(&key).map(|row| row.owner);
                let mut row = adopted_row(&key, adoption, now);
                row.owner = known.unwrap_or(row.owner);
                self.rows.insert(key.clone(), row);
                self.write_receipt(run, &key, words::UNKNOWN_MARKED, words::ADOPTED, now);
            }
            adopted.push(new);
        }
        adopted
    }

    pub(super) fn rescued(
        &mut self,
        run: RunId,
        backend: &BackendId,
        restored: &[Restored],
        now: i64,
    ) {
        if restored.is_empty() {
            return;
        }
        let now = self.lasting(now);
        for restored in restored {
            let key = (backend.clone(), restored.coordinate.clone());
            self.write_receipt(run, &key, words::RESCUED, words::RESTORED, now);
        }
    }

    pub(super) fn hold(
        &mut self,
        lease: &Lease,
        run: RunId,
        backend: &BackendId,
        restored: &[Restored],
        hold: Duration,
        now: i64,
    ) -> Result<Vec<(bool, i64)>> {
        if restored.is_empty() {
            return Ok(Vec::new());
        }
        self.fence("hold secrets", lease, now)?;
        let until = self.lasting(now).saturating_add(length(hold));
        let mut held = Vec::with_capacity(restored.len());
        let mut named = BTreeSet::new();
        for restored in restored {
            let key = (backend.clone(), restored.coordinate.clone());
            let referenced = self.is_referenced(&key);
            let row = self.rows.get_mut(&key).filter(|row| {
                let gone = [RowState::Deleting, RowState::Deleted];
                let parked = [RowState::Quarantined, RowState::Held];
                let let_go = row.ledger.unreferenced_since.is_some() && !referenced;
                let next = row.ledger.state == RowState::Stored && let_go;
                gone.contains(&row.ledger.state) || parked.contains(&row.ledger.state) || next
            });
            let row = row.filter(|_| named.insert(key.clone()));
            let before = row.as_ref().filter(|it| it.ledger.state == RowState::Held);
            let before = before.and_then(|it| it.ledger.unreferenced_since);
            let until = before.map_or(until, |it| until.max(it.as_millisecond()));
            held.push((row.is_some(), until));
            if let Some(row) = row {
                row.ledger.state = RowState::Held;
                row.ledger.unreferenced_since = Some(moment(until));
                row.ledger.superseded = false;
                row.ledger.expires = None;
                row.ledger.attempts = 0;
                row.ledger.next_attempt = None;
                row.ledger.last_error = None;
                row.quarantined = None;
                self.write_receipt(run, &key, words::UNDONE, words::RESTORED, now);
            }
        }
        Ok(held)
    }

    fn write_receipt(&mut self, run: RunId, key: &Key, reason: &str, outcome: &str, now: i64) {
        let mut receipt = Self::blank_receipt(run, key, now);
        reason.clone_into(&mut receipt.reason);
        outcome.clone_into(&mut receipt.outcome);
        self.append(receipt);
    }
}

/// Whether the row says that a document refers to it.
fn is_in_use(row: &LedgerRow) -> bool {
    row.state == RowState::Stored && row.once_referenced && row.unreferenced_since.is_none()
}

fn adopted_row(key: &Key, adoption: &Adoption, now: i64) -> Row {
    Row {
        ledger: LedgerRow {
            backend: key.0.clone(),
            coordinate: key.1.clone(),
            kind: ValueKind::Text,
            state: RowState::Stored,
            digest: adoption.digest.clone(),
            intent: adoption.intent,
            once_referenced: true,
            created: moment(now),
            expires: None,
            unreferenced_since: Some(moment(now)),
            superseded: false,
            attempts: 0,
            next_attempt: None,
            claimed_by: None,
            last_error: None,
            damage: None,
        },
        owner: adoption.workspace(),
        quarantined: None,
        claimed: BTreeMap::new(),
    }
}
