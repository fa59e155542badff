//! Secrets that nobody let go: their rows say that a document refers to them, and none does, since somebody
//! changed the tables past this program. They are never due. It lists them, and an operator who knows
//! better lets them go; it deletes nothing.

use std::collections::BTreeSet;

use cloakroom_core::ledger::LedgerRow;
use cloakroom_core::store::{Job, LetGo, UnreadableRow};
use cloakroom_core::{BackendId, Coordinate, Error, ErrorKind, Result, RunId, Timestamp};
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
    /// Rows that may be such ones and cannot be read. Nothing is let go there.
    pub unreadable: u64,
    /// The first thousand of these.
    pub unreadable_rows: Vec<UnreadableRow>,
    /// What was named and is not among them: it is in use, was let go before, or the ledger has no row.
    pub others: BTreeSet<Coordinate>,
    /// The guard that stopped it, and what it saw: nothing was let go.
    pub guard: Option<GuardTrip>,
    /// Whether it was told to stop before it had seen everything.
    pub cut_short: bool,
}

/// Rows that a report holds; what is more is counted.
const MOST_UNREADABLE: usize = 1_000;

impl LetGoOptions {
    fn asks_about(&self, coordinate: Option<&Coordinate>) -> bool {
        self.only.is_empty() || coordinate.is_some_and(|it| self.only.contains(it))
    }
}

impl LetGoReport {
    fn take_unreadable(&mut self, row: UnreadableRow, options: &LetGoOptions) {
        if !options.asks_about(row.coordinate.as_ref()) {
            return;
        }
        if let Some(coordinate) = &row.coordinate {
            self.others.remove(coordinate);
        }
        self.unreadable += 1;
        if self.unreadable_rows.len() < MOST_UNREADABLE {
            self.unreadable_rows.push(row);
        }
    }
}

/// The row that cannot be read and that a row which can is locked with.
fn beside(row: &LedgerRow, error: &Error) -> UnreadableRow {
    UnreadableRow {
        coordinate: Some(row.coordinate.clone()),
        unreadable: error.subject().unwrap_or_default().to_owned(),
        error: error.message().to_owned(),
    }
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
            unreadable: 0,
            unreadable_rows: Vec::new(),
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
            let found = self
                .store()
                .missed(self.backend_id(), after.as_ref(), page)
                .await?;
            let rows = found.rows.into_iter();
            let rows: Vec<LedgerRow> = rows
                .filter(|row| options.asks_about(Some(&row.coordinate)))
                .collect();
            for row in found.unreadable {
                report.take_unreadable(row, options);
            }
            let gone = if options.apply && report.guard.is_none() {
                self.let_these_go(&rows, options, &mut report).await?
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
            after = found.next.map(|(_, coordinate)| coordinate);
            if after.is_none() {
                break;
            }
        }
        Ok(report)
    }

    /// Lets go of all of them together. Where a row beside one of them cannot be read, one by one: it holds
    /// up no other.
    async fn let_these_go(
        &self,
        rows: &[LedgerRow],
        options: &LetGoOptions,
        report: &mut LetGoReport,
    ) -> Result<Vec<bool>> {
        match self.let_go_of(rows, &options.by).await {
            Err(error) if error.kind() == ErrorKind::Corrupt => {}
            done => return done,
        }
        let mut gone = Vec::with_capacity(rows.len());
        for row in rows {
            match self.let_go_of(std::slice::from_ref(row), &options.by).await {
                Ok(one) => gone.extend(one),
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    gone.push(false);
                    report.take_unreadable(beside(row, &error), options);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(gone)
    }

    async fn let_go_of(&self, rows: &[LedgerRow], by: &str) -> Result<Vec<bool>> {
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
