//! Secrets that nobody let go: their rows say that a document refers to them, and none does, since somebody
//! changed the tables past this program. They are never due. It lists them, and an operator who knows
//! better lets them go; it deletes nothing.

use std::collections::{BTreeSet, HashMap};

use cloakroom_core::config::{nodes, parse_json};
use cloakroom_core::ledger::LedgerRow;
use cloakroom_core::store::{DocumentRow, Job, LetGo, UnreadableRow};
use cloakroom_core::{
    BackendId, Coordinate, DocumentId, Error, ErrorKind, Result, RunId, Timestamp,
};
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

/// A secret that a document names though no reference of its is recorded: somebody changed these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NamedStill {
    /// Which one.
    pub coordinate: Coordinate,
    /// The document, or one of them.
    pub named_by: DocumentId,
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
    /// Those that no reference is recorded of and that a document names all the same. They are not let go.
    pub named: u64,
    /// The first thousand of these.
    pub named_still: Vec<NamedStill>,
    /// What was named and is not among them: it is in use, was let go before, or the ledger has no row.
    pub others: BTreeSet<Coordinate>,
    /// The guard that stopped it, and what it saw: nothing was let go.
    pub guard: Option<GuardTrip>,
    /// Whether it was told to stop before it had seen everything.
    pub cut_short: bool,
}

/// Rows that a report holds of each kind; what is more is counted.
const MOST_TOLD: usize = 1_000;

impl LetGoOptions {
    fn asks_about(&self, coordinate: Option<&Coordinate>) -> bool {
        self.only.is_empty() || coordinate.is_some_and(|it| self.only.contains(it))
    }
}

impl LetGoReport {
    fn take_named(&mut self, coordinate: Coordinate, named_by: DocumentId) {
        self.others.remove(&coordinate);
        self.named += 1;
        if self.named_still.len() < MOST_TOLD {
            self.named_still.push(NamedStill {
                coordinate,
                named_by,
            });
        }
    }

    fn take_unreadable(&mut self, row: UnreadableRow, options: &LetGoOptions) {
        if !options.asks_about(row.coordinate.as_ref()) {
            return;
        }
        if let Some(coordinate) = &row.coordinate {
            self.others.remove(coordinate);
        }
        self.unreadable += 1;
        if self.unreadable_rows.len() < MOST_TOLD {
            self.unreadable_rows.push(row);
        }
    }
}

/// Of a document that is damaged, its text is looked through.
fn note_names(document: &DocumentRow, named: &mut HashMap<Coordinate, Option<DocumentId>>) {
    let blob = parse_json("read the document", document.blob.as_bytes());
    match blob.and_then(|blob| nodes(&blob)) {
        Ok(nodes) => {
            let names = nodes
                .iter()
                .filter_map(|(_, name)| Coordinate::from_stored(name).ok());
            for name in names {
                if let Some(named_by) = named.get_mut(&name) {
                    *named_by = Some(document.id);
                }
            }
        }
        Err(_) => {
            for (name, named_by) in named {
                if document.blob.contains(name.as_str()) {
                    *named_by = Some(document.id);
                }
            }
        }
    }
}

/// What of a document cannot be read may have named any of them.
fn refuse_unreadable(document: &DocumentRow) -> Result<()> {
    let Some(why) = document.unreadable.first() else {
        return Ok(());
    };
    let message =
        format!("nothing is let go while what a document refers to cannot be read: {why}");
    Err(Error::new(ErrorKind::Corrupt, "let secrets go", message).with_coordinate(document.id))
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
        let guard = self.guard_of_marks(options.apply).await?;
        let mut report = LetGoReport {
            run: self.run(),
            backend: self.backend_id().clone(),
            dry_run: !options.apply,
            missed: 0,
            let_go: 0,
            unreadable: 0,
            unreadable_rows: Vec::new(),
            named: 0,
            named_still: Vec::new(),
            others: options.only.clone(),
            guard,
            cut_short: false,
        };
        let mut named = self.named_by_documents(options).await?;
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
            let mut rows = found.rows;
            rows.retain(|row| {
                let named_by = named.remove(&row.coordinate).flatten();
                if let Some(document) = named_by {
                    report.take_named(row.coordinate.clone(), document);
                }
                named_by.is_none() && options.asks_about(Some(&row.coordinate))
            });
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

    /// Of what no reference is recorded of, what a document names: its references were changed by somebody, and
    /// it was not.
    async fn named_by_documents(
        &self,
        options: &LetGoOptions,
    ) -> Result<HashMap<Coordinate, Option<DocumentId>>> {
        let mut named = self.missed_of(options).await?;
        let mut after: Option<DocumentId> = None;
        while !named.is_empty() && !self.told_to_stop() {
            self.keep_lease().await?;
            let page = self.settings().page.max(1);
            let documents = self.store().documents(after, page).await?;
            let Some(last) = documents.last() else { break };
            after = Some(last.id);
            for document in &documents {
                refuse_unreadable(document)?;
                note_names(document, &mut named);
            }
        }
        Ok(named)
    }

    async fn missed_of(
        &self,
        options: &LetGoOptions,
    ) -> Result<HashMap<Coordinate, Option<DocumentId>>> {
        let mut missed = HashMap::new();
        let mut after: Option<Coordinate> = None;
        loop {
            let page = self.settings().page.max(1);
            let found = self
                .store()
                .missed(self.backend_id(), after.as_ref(), page)
                .await?;
            let rows = found.rows.into_iter().map(|row| row.coordinate);
            let asked = rows.filter(|it| options.asks_about(Some(it)));
            missed.extend(asked.map(|it| (it, None)));
            after = found.next.map(|(_, coordinate)| coordinate);
            if after.is_none() || self.told_to_stop() {
                return Ok(missed);
            }
        }
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
