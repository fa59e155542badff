//! What a manager could not give back for as long as the backup horizon: each secret waits in the ledger
//! for what is left of that, and is compared again before it goes.

use cloakroom_core::ledger::RowState;
use cloakroom_core::platform::{PlatformCopy, Removal, SecretName};
use cloakroom_core::{Result, RunId, Timestamp};

use super::remove::{End, Removing};

impl Removing<'_> {
    /// Those that need not wait, or have. The others are counted, and begin to wait where they do not
    /// yet, unless this only looks (no run).
    pub(super) async fn waited(
        &mut self,
        run: Option<RunId>,
        going: Vec<PlatformCopy>,
    ) -> Result<Vec<PlatformCopy>> {
        if self.wait.is_zero() || going.is_empty() {
            return Ok(going);
        }
        let now = self.pass.reader.store.now().await?;
        let names: Vec<SecretName> = going.iter().map(|it| self.name(it).clone()).collect();
        let rows = self.mover.store.removals(&self.target(), &names).await?;
        let (mut over, mut new) = (Vec::new(), Vec::new());
        for (copy, row) in going.into_iter().zip(rows) {
            match self.wait_of(row).await? {
                None => new.push(copy),
                Some(until) if until > now => self.report.put_off(until),
                Some(_) => over.push(copy),
            }
        }
        over.extend(self.begin_to_wait(run, new, now).await?);
        Ok(over)
    }

    /// Until when a secret waits that a run of this move took on; `None` where none did.
    async fn wait_of(&mut self, row: Option<Removal>) -> Result<Option<Timestamp>> {
        let Some(row) = row.filter(|row| row.state == RowState::Deleting) else {
            return Ok(None);
        };
        let is_ours = if let Some(known) = self.runs.get(&row.run) {
            *known
        } else {
            let run = self.mover.store.removal_run(row.run).await?;
            run.is_some_and(|run| run.plan == self.plan)
        };
        self.runs.insert(row.run, is_ours);
        Ok(row.until.filter(|_| is_ours))
    }

    /// Compares first, so that whatever differs is told at once. What is gone already need not wait.
    async fn begin_to_wait(
        &mut self,
        run: Option<RunId>,
        new: Vec<PlatformCopy>,
        now: Timestamp,
    ) -> Result<Vec<PlatformCopy>> {
        if new.is_empty() {
            return Ok(new);
        }
        let ready = self.ready(&new).await?;
        let (mut same, mut gone) = (Vec::new(), Vec::new());
        for (copy, ready) in new.into_iter().zip(ready) {
            match ready {
                Ok(_) => same.push(copy),
                Err(End::Over(_)) => gone.push(copy),
                Err(End::Spared(error) | End::Failed(error)) => {
                    self.report.take_error(self.name(&copy).as_str(), &error);
                }
            }
        }
        if let Some(run) = run {
            same = self.claim(run, same, self.wait).await?;
        }
        let until = now.checked_add(self.wait).unwrap_or(Timestamp::MAX);
        for _ in same {
            self.report.put_off(until);
        }
        Ok(gone)
    }
}
