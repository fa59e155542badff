//! The survey before any deletion: the backend's whole listing against the ledger. It rescues what
//! is in use, finds what landed late, and tells whether the ledger knows everything that is ours.

use std::collections::BTreeMap;

use cloakroom_core::ledger::{LedgerRow, RowState};
use cloakroom_core::mutant::{self, Mutant};
use cloakroom_core::store::{Finding, FindingKind};
use cloakroom_core::{
    BackendId, Coordinate, Description, Error, Mark, Result, SecretState, Timestamp,
};

use crate::Pass;
use crate::epoch::SeenMarks;
use crate::listing::Listing;
use crate::observe::Phase;

/// Late arrivals one run takes on; the next run takes the rest.
const MOST_RESURFACED: usize = 10_000;
/// Windows one run ends; the next run ends the rest.
const MOST_OVERDUE: usize = 10_000;

/// A secret of ours that the manager lists although its row says deleted.
#[derive(Clone, Debug)]
pub(crate) struct Resurfaced {
    pub(crate) coordinate: Coordinate,
    /// Whether a document ever referred to it: it may have been brought back by hand.
    pub(crate) once_referenced: bool,
}

/// What the listing showed.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// When it began, by the store's clock.
    pub(crate) begun: Timestamp,
    /// Secrets listed, whosever.
    pub(crate) listed: u64,
    /// Secrets of ours that are surely what their rows were written for.
    certain: u64,
    /// Secrets of ours whose row says deleted.
    pub(crate) resurfaced: Vec<Resurfaced>,
    /// The marks of what waits although its row says deleted, and whose window is over or has no end,
    /// where the manager itself ends none.
    pub(crate) overdue: Vec<Mark>,
    /// What of a page is in danger and of no use by its row.
    doubtful: Vec<Description>,
    /// What of a page can be read although its row says deleted.
    landed: Vec<Resurfaced>,
    /// Secrets of ours without a row.
    pub(crate) unknown: u64,
    /// How many of them the ledger has under another backend's name.
    pub(crate) elsewhere: BTreeMap<BackendId, u64>,
    /// Secrets that are another backend's, under coordinates that the ledger has a row of this one's for:
    /// this is that backend's manager.
    pub(crate) exchanged: BTreeMap<BackendId, u64>,
    /// Secrets of another store that had this deployment's name.
    pub(crate) namesakes: u64,
    /// The epoch marks among what was listed.
    pub(crate) epochs: SeenMarks,
    /// Whether the run was told to stop before the listing ended.
    pub(crate) stopped: bool,
    /// Why the listing is incomplete, if it is.
    pub(crate) failure: Option<String>,
}

impl Survey {
    /// Whether this is surely the manager that the backend's name means: the whole listing was seen, something in
    /// it is of this backend's rows, and nothing is another backend's. An empty one may be any.
    pub(crate) fn shows_its_manager(&self) -> bool {
        let whole = self.failure.is_none() && !self.stopped;
        whole && self.certain > 0 && self.elsewhere.is_empty() && self.exchanged.is_empty()
    }
}

impl Pass<'_> {
    pub(crate) async fn survey(&mut self) -> Result<Survey> {
        let mut survey = Survey {
            begun: self.store().now().await?,
            ..Survey::default()
        };
        let mut listing = Listing::new(self.backend.clone(), self.settings().request);
        loop {
            if self.told_to_stop() {
                survey.stopped = true;
                self.report.cut_short = true;
                break;
            }
            match listing.next_page().await {
                Ok(Some(page)) => self.survey_page(&page, &mut survey).await?,
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(backend.id = %self.backend_id(), error = %error, "listing failed");
                    survey.failure =
                        (!mutant::on(Mutant::PartialListAccepted)).then(|| error.to_string());
                    break;
                }
            }
            survey.listed = listing.listed();
            self.progressed(Phase::Listing, survey.listed);
            self.keep_lease().await?;
        }
        self.report.checked.listed = survey.listed;
        self.report.namesakes = survey.namesakes;
        if survey.namesakes > 0 {
            tracing::warn!(
                backend.id = %self.backend_id(),
                secrets.namesakes = survey.namesakes,
                "secrets bear the mark of another store that had this deployment's name: a database was \
                 lost and made anew, or two deployments share a name; no run of this one touches them"
            );
        }
        if survey.failure.is_some() {
            self.rescue_without_listing().await?;
            survey.stopped = self.report.cut_short;
        }
        self.flush_findings().await?;
        Ok(survey)
    }

    async fn survey_page(&mut self, page: &[Description], survey: &mut Survey) -> Result<()> {
        self.survey_unreadable(page).await?;
        let ours: Vec<&Description> = page
            .iter()
            .filter(|listed| !self.notes_epoch_mark(listed, &mut survey.epochs))
            .inspect(|listed| survey.namesakes += u64::from(self.is_of_a_namesake(listed)))
            .filter(|listed| self.is_ours(listed))
            .collect();
        let coordinates: Vec<Coordinate> = ours
            .iter()
            .map(|listed| listed.coordinate.clone())
            .collect();
        let rows = self
            .store()
            .each_row(self.backend_id(), &coordinates)
            .await?;
        let mut strangers = Vec::new();
        for (listed, row) in ours.into_iter().zip(rows) {
            let row = match row {
                Ok(row) => row,
                Err(error) => {
                    self.survey_unreadable_row(listed, &error).await?;
                    continue;
                }
            };
            match row {
                Some(row) if self.is_surely_of(listed, &row) => {
                    survey.certain += 1;
                    self.survey_known(listed, &row, survey).await?;
                }
                row => strangers.push((listed, row)),
            }
        }
        self.survey_strangers(strangers, survey).await?;
        self.rescue_referenced(std::mem::take(&mut survey.doubtful))
            .await?;
        self.survey_landed(survey).await
    }

    /// What a document refers to has not landed late: its documents came from a backup, and the ledger did
    /// not. No run deletes it, and no guard counts it.
    async fn survey_landed(&self, survey: &mut Survey) -> Result<()> {
        let landed = std::mem::take(&mut survey.landed);
        if landed.is_empty() {
            return Ok(());
        }
        let names: Vec<Coordinate> = landed.iter().map(|it| it.coordinate.clone()).collect();
        let referenced = self.store().referenced(self.backend_id(), &names).await?;
        let unused = landed
            .into_iter()
            .filter(|it| !referenced.contains(&it.coordinate));
        let room = MOST_RESURFACED.saturating_sub(survey.resurfaced.len());
        survey.resurfaced.extend(unused.take(room));
        Ok(())
    }

    /// What its row says is of no use, or is not there, a document may refer to all the same: its documents
    /// came from a backup, and the ledger did not.
    async fn rescue_referenced(&mut self, endangered: Vec<Description>) -> Result<()> {
        if endangered.is_empty() {
            return Ok(());
        }
        let names: Vec<Coordinate> = endangered.iter().map(|it| it.coordinate.clone()).collect();
        let referenced = self.store().referenced(self.backend_id(), &names).await?;
        for listed in &endangered {
            if referenced.contains(&listed.coordinate) {
                self.rescue_if_referenced(listed).await?;
            }
        }
        Ok(())
    }

    /// Whose mark cannot be read is touched by nothing, but where it is in danger under a name that is in use:
    /// restoring it harms nobody.
    async fn survey_unreadable(&mut self, page: &[Description]) -> Result<()> {
        let unreadable = page.iter().filter(|it| endangered_unmarked(it));
        self.rescue_referenced(unreadable.cloned().collect()).await
    }

    /// The same of one that was listed elsewhere.
    pub(crate) async fn rescue_unreadable(&mut self, listed: &Description) -> Result<()> {
        if endangered_unmarked(listed) {
            self.rescue_if_referenced(listed).await?;
        }
        Ok(())
    }

    /// What the ledger has a row for that cannot be read is known, counts as in use, and is deleted by
    /// nothing; it holds up nothing else.
    async fn survey_unreadable_row(&mut self, listed: &Description, error: &Error) -> Result<()> {
        if endangered(listed) {
            self.rescue_if_referenced(listed).await?;
        }
        self.found(Finding {
            kind: FindingKind::LedgerMismatch,
            document: None,
            pointer: None,
            coordinate: Some(listed.coordinate.clone()),
            detail: unreadable_row(error.message()),
        })
        .await
    }

    /// What a row of this backend's was written for.
    async fn survey_known(
        &mut self,
        listed: &Description,
        row: &LedgerRow,
        survey: &mut Survey,
    ) -> Result<()> {
        if resurfaced(listed, row) {
            survey.landed.push(Resurfaced {
                coordinate: listed.coordinate.clone(),
                once_referenced: row.once_referenced,
            });
        } else if endangered(listed) && may_be_in_use(row) {
            self.rescue_if_referenced(listed).await?;
        } else {
            if endangered(listed) {
                survey.doubtful.push(listed.clone());
            }
            if row.state == RowState::Deleted && self.is_overdue(listed, survey) {
                survey.overdue.extend(listed.mark.clone());
            }
        }
        Ok(())
    }

    /// What is another backend's, what the ledger does not know, and what is known by its name or value
    /// alone.
    async fn survey_strangers(
        &mut self,
        strangers: Vec<(&Description, Option<LedgerRow>)>,
        survey: &mut Survey,
    ) -> Result<()> {
        let marks = strangers
            .iter()
            .filter_map(|(listed, _)| listed.mark.clone());
        let known = self.known_elsewhere(&marks.collect::<Vec<_>>()).await?;
        for ((listed, row), known) in strangers.into_iter().zip(known) {
            match (row, known) {
                (Some(row), None) if self.is_of(listed, &row) || may_be_in_use(&row) => {
                    self.survey_known(listed, &row, survey).await?;
                }
                (row, known) => {
                    self.tell_of_unknown(listed, row.is_some(), known, survey)
                        .await?;
                }
            }
        }
        Ok(())
    }

    fn is_overdue(&self, listed: &Description, survey: &Survey) -> bool {
        let over = match listed.state {
            SecretState::ScheduledForDeletion { due } => due.is_none_or(|due| due <= survey.begun),
            SecretState::Enabled | SecretState::Disabled | SecretState::Destroyed => false,
        };
        over && self.backend.purges().is_some() && survey.overdue.len() < MOST_OVERDUE
    }

    /// Whether a secret is what a ledger row was written for. What was put for another intent is not
    /// that row's, be the value the same: a clone of the database and its original share the manager, the
    /// ledger is older than the manager's content, or the backends' names are swapped and it is the copy
    /// that a move made. Marks of older versions name no intent; there the value has to do, and the name
    /// alone where a document once referred to it, since a person may have repaired the value.
    pub(crate) fn is_of(&self, described: &Description, row: &LedgerRow) -> bool {
        let same = described.mark.as_ref().is_some_and(|mark| {
            let unnamed = mark.intent.is_none() || ignores_intent(row);
            (unnamed || mark.intent == row.intent)
                && (row.once_referenced || mark.digest == row.digest)
        });
        self.is_ours(described) && same
    }

    /// The same, where mark and row name one intent, or neither names any. Otherwise it may be another
    /// backend's.
    pub(crate) fn is_surely_of(&self, described: &Description, row: &LedgerRow) -> bool {
        let mark = described.mark.as_ref();
        let one = mark.is_some_and(|mark| mark.intent == row.intent);
        self.is_of(described, row) && (one || ignores_intent(row))
    }

    /// Whether a secret bears another store's mark that names this deployment.
    fn is_of_a_namesake(&self, described: &Description) -> bool {
        described.mark.as_ref().is_some_and(|mark| {
            mark.store != self.identity.store && mark.deployment == self.identity.deployment
        })
    }

    /// Whether a secret bears our store's mark, under its own coordinate.
    pub(crate) fn is_ours(&self, described: &Description) -> bool {
        described.mark.as_ref().is_some_and(|mark| {
            (mark.store == self.identity.store || mutant::on(Mutant::NeighbourTaken))
                && mark.coordinate == described.coordinate
        })
    }
}

fn ignores_intent(row: &LedgerRow) -> bool {
    let of_used = row.once_referenced && mutant::on(Mutant::IntentOfUsedIgnored);
    of_used || mutant::on(Mutant::IntentIgnored)
}

/// What is to be said of a row of the ledger that cannot be read.
pub(crate) fn unreadable_row(message: &str) -> String {
    format!("its ledger row cannot be read, and until it can no run deletes it: {message}")
}

fn resurfaced(listed: &Description, row: &LedgerRow) -> bool {
    row.state == RowState::Deleted
        && !listed.state.is_waiting()
        && !mutant::on(Mutant::SweepLeftOut)
}

pub(crate) fn endangered(described: &Description) -> bool {
    described.state.is_waiting() || described.native_expiry.is_some()
}

/// Whether a listing shows a mark that cannot be read on what is in danger.
fn endangered_unmarked(listed: &Description) -> bool {
    listed.mark.is_none() && endangered(listed)
}

fn may_be_in_use(row: &LedgerRow) -> bool {
    row.once_referenced && row.unreferenced_since.is_none()
}
