//! Secrets that nobody let go: their rows say that a document refers to them, and none does, since somebody
//! changed the tables past this program. They are never due. It lists them, and an operator who knows
//! better lets them go; it deletes nothing.

use std::collections::BTreeSet;

use cloakroom_core::ledger::LedgerRow;
use cloakroom_core::store::{Job, LetGo};
use cloakroom_core::{BackendId, Coordinate, Result, RunId, Timestamp};
use serde::Serialize;

use crate::guard::GuardTrip;
use crate::observe::Silent;
use crate::settings::RunOptions;
use crate::{Pass, Reconciler};

/// What is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetGoOptions {
    /// Let go of them; otherwise it only looks.
    pub apply: bool,
    /// Only of these; of all where there is none.
    pub only: BTreeSet<Coordinate>,
    /// Who does it, for the receipts.
    pub by: String,
}

/// A secret that nobody let go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missed {
    /// Which one.
    pub coordinate: Coordinate,
    /// When it was intended.
    pub created: Timestamp,
    /// Whether it is let go from now on.
    pub let_go: bool,
}

/// What was found and done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LetGoReport {
    /// Under which id the receipts are.
    pub run: RunId,
    /// On which backend.
    pub backend: BackendId,
    /// Whether it only looked.
    pub dry_run: bool,
    /// Secrets that nobody let go, of those that were asked about.
    pub missed: u64,
    /// Those that are let go now.
    pub let_go: u64,
    /// What was named and is not among them: it is in use, was let go before, or the ledger has no row.
    pub others: BTreeSet<Coordinate>,
    /// The guard that stopped it, and what it saw: nothing was let go.
    pub guard: Option<GuardTrip>,
    /// Whether it was told to stop before it had seen everything.
    pub cut_short: bool,
}

impl Reconciler {
    /// Goes through what a backend's rows say is in use and hands each that no document refers to to
    /// `each`. Asked to, it lets go of them: each then waits out its time as if its document had been
    /// removed now. `Unavailable` while a run is at the backend; where the epoch or the database's place
    /// is not as it should be it only looks, and says which guard stopped it.
    pub async fn let_go(
        &self,
        backend: &BackendId,
        options: &LetGoOptions,
        each: &mut (dyn FnMut(&Missed) + Send),
    ) -> Result<LetGoReport> {
        let how = RunOptions {
            dry_run: !options.apply,
            ..RunOptions::default()
        };
        let pass = self
            .prepare(Job::ExpireOrphans, backend, &how, &Silent)
            .await?;
        let done = pass.let_go(options, each).await;
        pass.give_lease_back().await;
        done
    }
}

impl Pass<'_> {
    async fn let_go(
        &self,
        options: &LetGoOptions,
        each: &mut (dyn FnMut(&Missed) + Send),
    ) -> Result<LetGoReport> {
        let guard = if options.apply {
            self.stopped_by(&self.look_through_marks().await?)
        } else {
            None
        };
        let mut report = LetGoReport {
            run: self.run(),
            backend: self.backend_id().clone(),
            dry_run: !options.apply,
            missed: 0,
            let_go: 0,
            others: options.only.clone(),
            guard,
            cut_short: false,
        };
        let page = self.settings().page.max(1);
        let mut after: Option<Coordinate> = None;
        loop {
            if self.told_to_stop() {
                report.cut_short = true;
                break;
            }
            self.keep_lease().await?;
            let rows = self
                .store()
                .missed(self.backend_id(), after.as_ref(), page)
                .await?;
            let Some(last) = rows.last() else { break };
            after = Some(last.coordinate.clone());
            let asked =
                |row: &LedgerRow| options.only.is_empty() || options.only.contains(&row.coordinate);
            let rows: Vec<LedgerRow> = rows.into_iter().filter(asked).collect();
            let gone = if options.apply && report.guard.is_none() {
                self.let_these_go(&rows, &options.by).await?
            } else {
                vec![false; rows.len()]
            };
            for (row, let_go) in rows.into_iter().zip(gone) {
                report.missed += 1;
                report.let_go += u64::from(let_go);
                report.others.remove(&row.coordinate);
                each(&Missed {
                    coordinate: row.coordinate,
                    created: row.created,
                    let_go,
                });
            }
        }
        Ok(report)
    }

    async fn let_these_go(&self, rows: &[LedgerRow], by: &str) -> Result<Vec<bool>> {
        let evidence =
            format!("let go by {by}; no document referred to it, and nobody had let go of it");
        let items: Vec<LetGo> = rows
            .iter()
            .map(|row| LetGo {
                coordinate: row.coordinate.clone(),
                evidence: evidence.clone(),
            })
            .collect();
        let store = self.store();
        store
            .let_missed_go(self.run(), self.backend_id(), &items)
            .await
    }
}
