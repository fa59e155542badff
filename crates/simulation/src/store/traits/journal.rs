//! Runs, leases, epochs and receipts.

use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::store::{
    Adoption, Epoch, EpochRaise, Epochs, Finding, Homes, Job, Journal, Lease, LetGo, NewRun,
    Receipt, Receipts, Restored, RunOutcome, RunRecord,
};
use cloakroom_core::{BackendId, Coordinate, Result, RunId, Timestamp};
use uuid::Uuid;

use crate::happening::{Happening, Key};
use crate::store::MemoryStore;

#[async_trait]
impl Journal for MemoryStore {
    async fn start_run(&self, run: &NewRun) -> Result<()> {
        self.transact("start run", |state, now| state.start_run(run, now))
            .await
    }

    async fn finish_run(
        &self,
        run: RunId,
        outcome: RunOutcome,
        report: &serde_json::Value,
    ) -> Result<()> {
        self.transact("finish run", |state, now| {
            self.stage
                .tell(|| format!("run ends {outcome:?}: {report}"));
            state.finish_run(run, outcome, report, now)
        })
        .await
    }

    async fn runs(&self, limit: u32) -> Result<Vec<RunRecord>> {
        self.transact("runs", |state, _| {
            Ok(state.records().into_iter().take(limit as usize).collect())
        })
        .await
    }

    async fn finished(&self, job: Job, backend: &BackendId, limit: u32) -> Result<Vec<RunRecord>> {
        self.transact("finished", |state, _| {
            let runs = state.finished(job, backend);
            Ok(runs.into_iter().take(limit as usize).collect())
        })
        .await
    }

    async fn first_started(&self, job: Job, backend: &BackendId) -> Result<Option<RunRecord>> {
        self.transact("first started", |state, _| {
            let mut runs = state.records();
            runs.retain(|run| !run.dry_run && run.job == job && run.backend == *backend);
            Ok(runs.pop())
        })
        .await
    }

    async fn last_complete(&self, job: Job, backend: &BackendId) -> Result<Option<RunRecord>> {
        self.transact("last complete", |state, _| {
            let runs = state.finished(job, backend).into_iter();
            let mut complete = runs.filter(|run| {
                run.outcome == Some(RunOutcome::Done) && !state.applied_a_plan(run.id)
            });
            Ok(complete.next())
        })
        .await
    }

    async fn last_whole(&self, job: Job, backend: &BackendId) -> Result<Option<RunRecord>> {
        self.transact("last whole", |state, _| Ok(state.last_whole(job, backend)))
            .await
    }

    async fn broken_off(
        &self,
        job: Job,
        backend: &BackendId,
        whole: Option<&RunRecord>,
        limit: u32,
    ) -> Result<Vec<RunRecord>> {
        self.transact("broken off", |state, _| {
            let runs = state
                .broken_off(job, backend, whole)
                .into_iter()
                .enumerate();
            let told = runs.filter(|(at, run)| *at < limit as usize || state.has_findings(run.id));
            Ok(told.map(|(_, run)| run).collect())
        })
        .await
    }

    async fn record_findings(&self, run: RunId, findings: &[Finding]) -> Result<()> {
        self.transact("record findings", |state, _| {
            let backend = state.runs.get(&run).map(|run| run.new.backend.clone());
            for finding in findings {
                self.stage.tell(|| format!("finds {finding:?}"));
                if let Some(backend) = &backend {
                    self.stage.happened(Happening::Found {
                        backend: backend.clone(),
                        finding: Box::new(finding.clone()),
                    });
                }
            }
            state.record_findings(run, findings)
        })
        .await
    }

    async fn findings(&self, run: RunId, after: u64, limit: u32) -> Result<Vec<Finding>> {
        self.transact("findings", |state, _| {
            let of_run = state.runs.get(&run).map(|run| run.findings.iter());
            let behind = usize::try_from(after).unwrap_or(usize::MAX);
            let page = of_run.into_iter().flatten().skip(behind);
            Ok(page.take(limit as usize).cloned().collect())
        })
        .await
    }

    async fn acquire_lease(
        &self,
        name: &str,
        holder: &str,
        ttl: Duration,
    ) -> Result<Option<Lease>> {
        self.transact("lease", |state, now| {
            let lease = state.acquire_lease(name, holder, ttl, now);
            self.stage.happened(Happening::Lease {
                task: self.stage.current(),
                granted: lease.is_some(),
            });
            Ok(lease)
        })
        .await
    }

    async fn renew_lease(&self, lease: &Lease, ttl: Duration) -> Result<Option<Lease>> {
        self.transact("renew lease", |state, now| {
            let renewed = state.renew_lease(lease, ttl, now);
            self.stage.happened(Happening::Lease {
                task: self.stage.current(),
                granted: renewed.is_some(),
            });
            Ok(renewed)
        })
        .await
    }

    async fn lease_holder(&self, name: &str) -> Result<Option<String>> {
        self.transact("lease holder", |state, now| {
            let standing = state.leases.get(name).filter(|it| it.stands(now));
            Ok(standing.and_then(|it| it.holder.clone()))
        })
        .await
    }

    async fn count_leases(&self, prefix: &str) -> Result<u64> {
        self.transact("count leases", |state, now| {
            let leases = state.leases.iter();
            let held = leases.filter(|(name, it)| name.starts_with(prefix) && it.stands(now));
            Ok(held.count() as u64)
        })
        .await
    }

    async fn release_lease(&self, lease: &Lease) -> Result<()> {
        self.transact("release lease", |state, _| {
            state.release_lease(lease);
            Ok(())
        })
        .await
    }
}

#[async_trait]
impl Epochs for MemoryStore {
    async fn epoch(&self, backend: &BackendId) -> Result<Epoch> {
        self.transact("epoch", |state, _| Ok(state.epoch(backend)))
            .await
    }

    async fn homes(&self, backend: &BackendId) -> Result<Homes> {
        let here = self.home.clone();
        self.transact("homes", |state, _| {
            let known = state.known_home(backend);
            let manager = state.managers.get(backend).cloned();
            Ok(Homes {
                here,
                known,
                manager,
            })
        })
        .await
    }

    async fn raise_epoch(&self, backend: &BackendId, raise: &EpochRaise) -> Result<Epoch> {
        self.transact("raise epoch", |state, now| {
            let done = state.raise_epoch(backend, raise, now);
            self.stage.tell(|| format!("raises the epoch: {done:?}"));
            done
        })
        .await
    }

    async fn confirm_epoch(&self, backend: &BackendId, raise: Uuid) -> Result<()> {
        self.transact("confirm epoch", |state, _| {
            state.confirm_epoch(backend, raise);
            Ok(())
        })
        .await
    }
}

#[async_trait]
impl Receipts for MemoryStore {
    async fn receipts_of(&self, run: RunId, after: i64, limit: u32) -> Result<Vec<Receipt>> {
        self.transact("receipts", |state, _| {
            let receipts = state.receipts.iter();
            let these = receipts.filter(|it| it.run == run && it.seq > after);
            Ok(these.take(limit as usize).cloned().collect())
        })
        .await
    }

    async fn latest_receipt_of(&self, run: RunId) -> Result<Option<Timestamp>> {
        self.transact("latest receipt", |state, _| {
            let receipts = state.receipts.iter();
            Ok(receipts.filter(|it| it.run == run).map(|it| it.at).max())
        })
        .await
    }

    async fn claimed_by(
        &self,
        run: RunId,
        after: Option<&Coordinate>,
        limit: u32,
    ) -> Result<Vec<(BackendId, Coordinate)>> {
        self.transact("claims of a run", |state, _| {
            let holder = Some(run.to_string());
            let rows = state.rows.iter();
            let claimed = rows.filter(|(_, row)| row.ledger.claimed_by == holder);
            let after = after.map_or("", Coordinate::as_str);
            let behind = claimed.filter(|(key, _)| key.1.as_str() > after);
            let mut keys: Vec<Key> = behind.map(|(key, _)| key.clone()).collect();
            keys.sort_by(|one, other| one.1.as_str().cmp(other.1.as_str()));
            keys.truncate(limit as usize);
            Ok(keys)
        })
        .await
    }

    async fn adopt(
        &self,
        run: RunId,
        backend: &BackendId,
        adoptions: &[Adoption],
    ) -> Result<Vec<bool>> {
        self.transact("adopt", |state, now| {
            Ok(state.adopt(run, backend, adoptions, now))
        })
        .await
    }

    async fn rescued(&self, run: RunId, backend: &BackendId, restored: &[Restored]) -> Result<()> {
        self.transact("rescued", |state, now| {
            state.rescued(run, backend, restored, now);
            Ok(())
        })
        .await
    }

    async fn hold(
        &self,
        lease: &Lease,
        run: RunId,
        backend: &BackendId,
        restored: &[Restored],
        hold: Duration,
    ) -> Result<Vec<bool>> {
        self.transact("hold", |state, now| {
            let held = state.hold(lease, run, backend, restored, hold, now)?;
            for (restored, (_, until)) in restored.iter().zip(&held).filter(|(_, it)| it.0) {
                let key = (backend.clone(), restored.coordinate.clone());
                let until = *until;
                self.stage.happened(Happening::Held { key, until });
            }
            Ok(held.into_iter().map(|(held, _)| held).collect())
        })
        .await
    }

    async fn let_missed_go(
        &self,
        run: RunId,
        backend: &BackendId,
        items: &[LetGo],
    ) -> Result<Vec<bool>> {
        self.transact("let go", |state, now| {
            let gone = state.let_missed_go(run, backend, items, now);
            for (item, _) in items.iter().zip(&gone).filter(|(_, gone)| **gone) {
                let key = (backend.clone(), item.coordinate.clone());
                self.stage.happened(Happening::LetGo { key });
            }
            Ok(gone)
        })
        .await
    }
}
