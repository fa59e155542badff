//! The sweep: secrets that bear this store's mark and have no row in the ledger. It deletes nothing;
//! what an operator adopts gets a row, and its whole time-to-live from now on.

use cloakroom_core::ledger::{LedgerRow, RowState};
use cloakroom_core::store::{Adoption, Job};
use cloakroom_core::{BackendId, Coordinate, Description, Mark, Result, RunId, Timestamp};
use serde::Serialize;

use crate::guard::GuardTrip;
use crate::listing::Listing;
use crate::observe::Observer;
use crate::settings::RunOptions;
use crate::{Pass, Phase, Reconciler};

/// What is asked of a sweep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SweepOptions {
    /// Write rows for what has none; otherwise it only looks.
    pub adopt: bool,
    /// Who does it, for the receipts.
    pub by: String,
}

/// What becomes of one secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SweepFate {
    /// It has no row and would get one; or its row is of a writer who is over, for another intent,
    /// and would be taken over.
    Unknown,
    /// It has a row from now on.
    Adopted,
    /// A writer is about to store a value of its own under its name, or somebody is at deleting what had
    /// the name before: it can be adopted once that is over.
    OtherValue,
    /// The ledger has it under another backend's name: a document may refer to it there. It is not
    /// adopted.
    OtherBackend,
}

/// A secret that the ledger did not write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Which one.
    pub coordinate: Coordinate,
    /// When it was made, by the manager's clock.
    pub created: Option<Timestamp>,
    /// Whether it waits for its deletion in the manager.
    pub waiting: bool,
    /// What becomes of it.
    pub fate: SweepFate,
    /// The backend under whose name the ledger has it, where it is another.
    pub known_as: Option<BackendId>,
}

/// What a sweep went through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SweepReport {
    /// Under which id the receipts are.
    pub run: RunId,
    /// On which backend.
    pub backend: BackendId,
    /// Whether it only looked.
    pub dry_run: bool,
    /// Secrets listed, whosever.
    pub listed: u64,
    /// Secrets of this store's without a row.
    pub unknown: u64,
    /// Rows written.
    pub adopted: u64,
    /// Secrets of this store's whose row is for another intent.
    pub other_value: u64,
    /// Secrets of this store's that the ledger has under another backend's name.
    pub other_backend: u64,
    /// The guard that stopped it, and what it saw: nothing was adopted.
    pub guard: Option<GuardTrip>,
    /// Whether it was told to stop before the listing ended.
    pub cut_short: bool,
}

impl Reconciler {
    /// Goes through a backend's listing, hands each secret that the ledger did not write to `each`,
    /// and adopts it if asked to; where the epoch or the database's place is not as it should be it only
    /// looks, and says which guard stopped it. `Unavailable` while a run is at the backend, and where a page of
    /// the listing failed: what was adopted until then stays adopted.
    pub async fn sweep(
        &self,
        backend: &BackendId,
        options: &SweepOptions,
        observer: &dyn Observer,
        each: &mut (dyn FnMut(&Swept) + Send),
    ) -> Result<SweepReport> {
        let run = RunOptions {
            dry_run: !options.adopt,
            ..RunOptions::default()
        };
        let pass = self
            .prepare(Job::ExpireOrphans, backend, &run, observer)
            .await?;
        let swept = pass.sweep(options, each).await;
        pass.give_lease_back().await;
        swept
    }
}

impl Pass<'_> {
    async fn sweep(
        &self,
        options: &SweepOptions,
        each: &mut (dyn FnMut(&Swept) + Send),
    ) -> Result<SweepReport> {
        let guard = self.guard_of_marks(options.adopt).await?;
        let adopts = options.adopt && guard.is_none();
        let mut report = SweepReport {
            run: self.run(),
            backend: self.backend_id().clone(),
            dry_run: !options.adopt,
            listed: 0,
            unknown: 0,
            adopted: 0,
            other_value: 0,
            other_backend: 0,
            guard,
            cut_short: false,
        };
        let mut listing = Listing::new(self.backend.clone(), self.settings().request);
        while let Some(page) = listing.next_page().await? {
            if self.told_to_stop() {
                report.cut_short = true;
                break;
            }
            self.keep_lease().await?;
            let mut strangers = self.strangers(&page).await?;
            if adopts {
                self.adopt_strangers(&mut strangers, options).await?;
            }
            for (swept, _) in &strangers {
                match swept.fate {
                    SweepFate::Unknown => report.unknown += 1,
                    SweepFate::Adopted => {
                        report.unknown += 1;
                        report.adopted += 1;
                    }
                    SweepFate::OtherValue => report.other_value += 1,
                    SweepFate::OtherBackend => report.other_backend += 1,
                }
                each(swept);
            }
            report.listed = listing.listed();
            self.progressed(Phase::Listing, report.listed);
        }
        Ok(report)
    }

    /// What of a page the ledger did not write, with its marks.
    async fn strangers(&self, page: &[Description]) -> Result<Vec<(Swept, Mark)>> {
        let ours: Vec<&Description> = page
            .iter()
            .filter(|listed| !crate::is_epoch_mark(&listed.coordinate) && self.is_ours(listed))
            .collect();
        let coordinates: Vec<Coordinate> = ours
            .iter()
            .map(|listed| listed.coordinate.clone())
            .collect();
        let rows = self
            .store()
            .each_row(self.backend_id(), &coordinates)
            .await?;
        let now = self.store().now().await?;
        let mut strangers = Vec::new();
        for (listed, row) in ours.into_iter().zip(rows) {
            // What has a row is known, whether or not that can be read.
            let Ok(row) = row else { continue };
            let fate = match row {
                None => SweepFate::Unknown,
                Some(row) if self.is_of(listed, &row) => continue,
                Some(row) if is_over(&row, now) => SweepFate::Unknown,
                Some(_) => SweepFate::OtherValue,
            };
            let Some(mark) = &listed.mark else { continue };
            let swept = Swept {
                coordinate: listed.coordinate.clone(),
                created: listed.created,
                waiting: listed.state.is_waiting(),
                fate,
                known_as: None,
            };
            strangers.push((swept, mark.clone()));
        }
        self.tell_whose(&mut strangers).await?;
        Ok(strangers)
    }

    /// What another backend's name leads to as well is that backend's.
    async fn tell_whose(&self, strangers: &mut [(Swept, Mark)]) -> Result<()> {
        let marks: Vec<Mark> = strangers.iter().map(|(_, mark)| mark.clone()).collect();
        let known = self.known_elsewhere(&marks).await?;
        for ((swept, _), known) in strangers.iter_mut().zip(known) {
            if known.is_some() {
                swept.fate = SweepFate::OtherBackend;
                swept.known_as = known;
            }
        }
        Ok(())
    }

    async fn adopt_strangers(
        &self,
        strangers: &mut [(Swept, Mark)],
        options: &SweepOptions,
    ) -> Result<()> {
        let unknown: Vec<usize> = (0..strangers.len())
            .filter(|&at| strangers[at].0.fate == SweepFate::Unknown)
            .collect();
        let adoptions: Vec<Adoption> = unknown
            .iter()
            .map(|&at| {
                let (swept, mark) = &strangers[at];
                Adoption {
                    coordinate: swept.coordinate.clone(),
                    digest: mark.digest.clone(),
                    intent: mark.intent,
                    evidence: format!(
                        "adopted by {}; it bears this store's mark and the ledger did not know it",
                        options.by
                    ),
                }
            })
            .collect();
        let written = self
            .store()
            .adopt(self.run(), self.backend_id(), &adoptions)
            .await?;
        for (at, written) in unknown.into_iter().zip(written) {
            if written {
                strangers[at].0.fate = SweepFate::Adopted;
            }
        }
        Ok(())
    }
}

/// Whether nobody is at a row: no document refers to it, its writer cannot attach it any more, and no
/// deletion of it is under way. What was begun and given up is over as well: the guard that a stranger
/// under its name trips would let no run go on with it.
fn is_over(row: &LedgerRow, now: Timestamp) -> bool {
    match row.state {
        RowState::Deleted | RowState::Quarantined => true,
        RowState::Deleting => row.next_attempt.is_none_or(|lapses| lapses <= now),
        RowState::Intended => row.expires.is_some_and(|expires| expires <= now),
        RowState::Stored => row.unreferenced_since.is_some(),
        RowState::Held => row.unreferenced_since.is_some_and(|until| until <= now),
    }
}
