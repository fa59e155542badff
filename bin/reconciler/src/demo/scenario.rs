//! Twelve days of a deployment, lived through in seconds: documents are made, edited and removed,
//! checks are abandoned, writers die, and in the end a few things are damaged.

mod damage;
mod dying;
mod writers;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use cloakroom_core::store::{Job, SpecId, StoredDocument};
use cloakroom_core::{Clock, DocumentId, Randomness, Timestamp, WorkspaceId};
use cloakroom_documents::Documents;
use cloakroom_reconcile::{RunOptions, Silent};

use super::connector::Connector;
use super::deployment::Deployment;
use super::generator::{Dice, Serial, Source};
use super::tally::{Deadline, Tally};
use dying::DyingBackend;

/// Documents looked at together; nothing is kept of a page when the next one is read.
const PAGE: u32 = 100;

/// Is told how far the scenario has come.
pub(crate) trait Watcher: Send + Sync {
    /// `steps` more of all steps are done; `what` is going on.
    fn stepped(&self, what: &'static str, steps: u64);
}

/// What is to be lived through.
pub(crate) struct Scenario<'a> {
    deployment: &'a Deployment,
    connectors: &'a [Connector],
    documents: Documents,
    dying: Arc<DyingBackend>,
    dice: Dice<'a>,
    serial: Serial,
    workspaces: [WorkspaceId; 3],
    specs: HashMap<SpecId, usize>,
    deadline: Deadline,
    watcher: &'a dyn Watcher,
    tally: Tally,
}

/// What happens to a document on the way, told from its id so that nothing has to be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// A secret is changed, the rest sent in clear.
    Changed,
    /// Saved from a form in which everything was left masked.
    Masked,
    /// A secret is changed in a form, the rest left masked.
    ChangedInForm,
    /// Saved again as it is.
    Unchanged,
    /// Another configuration altogether.
    Replaced,
    /// A writer dies while it changes it; changed for good later.
    DiedFirst,
    /// Changed three days before the end.
    ChangedLater,
    /// Changed in the last day.
    ChangedLately,
    /// Removed early.
    Removed,
    /// Removed in the last hours.
    RemovedLately,
    /// Nothing.
    Quiet,
}

impl Fate {
    fn of(id: DocumentId) -> Self {
        match id.0.as_u128() % 100 {
            0..10 => Self::Changed,
            10..22 => Self::Masked,
            22..28 => Self::ChangedInForm,
            28..36 => Self::Unchanged,
            36..39 => Self::Replaced,
            39..41 => Self::DiedFirst,
            41..49 => Self::ChangedLater,
            49..57 => Self::ChangedLately,
            57..62 => Self::Removed,
            62..64 => Self::RemovedLately,
            _ => Self::Quiet,
        }
    }
}

/// What happens to a document in one pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Change,
    SaveMasked,
    ChangeInForm,
    SaveUnchanged,
    Replace,
    DieChanging,
    Remove,
    /// Somebody checks a configuration of its connector and never comes back.
    Check,
}

impl Event {
    fn of(pass: usize, id: DocumentId) -> Option<Self> {
        Some(match (pass, Fate::of(id)) {
            (0, Fate::Changed)
            | (2, Fate::ChangedLater | Fate::DiedFirst)
            | (3, Fate::ChangedLately) => Self::Change,
            (0, Fate::Masked) => Self::SaveMasked,
            (0, Fate::ChangedInForm) | (2, Fate::Masked) => Self::ChangeInForm,
            (0, Fate::Unchanged) | (2, Fate::Changed) => Self::SaveUnchanged,
            (0, Fate::Replaced) => Self::Replace,
            (0, Fate::DiedFirst) => Self::DieChanging,
            (1, Fate::Removed) | (3, Fate::RemovedLately) => Self::Remove,
            (2 | 3, Fate::Quiet) if id.0.as_u128().is_multiple_of(13) => Self::Check,
            _ => return None,
        })
    }
}

impl Event {
    /// Whether secrets may lose their last reference by it.
    fn lets_go(self) -> bool {
        matches!(
            self,
            Self::Change | Self::ChangeInForm | Self::Replace | Self::Remove
        )
    }
}

/// A stretch of the twelve days, in hours before the end.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    what: &'static str,
    from: f64,
    to: f64,
}

const CREATION: Stretch = Stretch {
    what: "documents are made",
    from: 264.0,
    to: 228.0,
};

/// Every pass over the documents after they were made.
const PASSES: [Stretch; 4] = [
    Stretch {
        what: "documents are edited",
        from: 226.0,
        to: 194.0,
    },
    Stretch {
        what: "documents are removed",
        from: 190.0,
        to: 172.0,
    },
    Stretch {
        what: "documents are edited again",
        from: 70.0,
        to: 40.0,
    },
    Stretch {
        what: "the last day",
        from: 1.5,
        to: 0.25,
    },
];

impl<'a> Scenario<'a> {
    /// A scenario in `deployment` that ends at its clock's present moment.
    pub(crate) fn new(
        deployment: &'a Deployment,
        connectors: &'a [Connector],
        randomness: &'a dyn Randomness,
        watcher: &'a dyn Watcher,
    ) -> Result<Self> {
        let dying = Arc::new(DyingBackend::new(deployment.backend.clone()));
        let documents = deployment.documents(dying.clone())?;
        Ok(Self {
            deadline: deployment.deadline(),
            workspaces: [randomness.uuid(), randomness.uuid(), randomness.uuid()].map(WorkspaceId),
            dice: Dice::new(randomness),
            serial: Serial::new(),
            specs: HashMap::new(),
            tally: Tally::default(),
            deployment,
            connectors,
            documents,
            dying,
            watcher,
        })
    }

    /// How many steps it takes for `documents` documents.
    pub(crate) fn steps(documents: u64) -> u64 {
        documents.saturating_mul(1 + PASSES.len() as u64)
    }

    /// Lives through it. The clock stands at the end afterwards.
    pub(crate) async fn live(mut self, documents: u64) -> Result<Tally> {
        self.deployment.forget_the_disk(true).await?;
        self.late_puts(documents)
            .await
            .context("let puts land late")?;
        for made in 0..documents {
            self.at(CREATION, made, documents);
            self.make_one(made).await?;
            self.watcher.stepped(CREATION.what, 1);
        }
        for (pass, stretch) in PASSES.into_iter().enumerate() {
            self.pass(pass, stretch, documents)
                .await
                .context(stretch.what)?;
        }
        self.deployment.clock.set(self.deadline.now);
        self.damage().await.context("damage a few things")?;
        self.deployment.forget_the_disk(false).await?;
        Ok(self.tally)
    }

    /// Writers died long ago, their rows are reaped, and only then their puts land.
    async fn late_puts(&mut self, documents: u64) -> Result<()> {
        self.deployment.clock.set(self.hours_before(288.0));
        let late = self.intend_only(2 + documents / 200).await?;
        self.deployment.clock.advance(Duration::from_hours(3));
        let reconciler = self.deployment.reconciler()?;
        let backend = self.deployment.backend.id();
        reconciler
            .run(Job::ExpireOrphans, backend, &RunOptions::default(), &Silent)
            .await?;
        self.land(late).await
    }

    async fn make_one(&mut self, made: u64) -> Result<()> {
        let workspace = self.workspaces[usize::try_from(made % 3).unwrap_or(0)];
        // The first documents cover every connector, the others come as they come.
        let count = self.connectors.len();
        let at = usize::try_from(made).ok().filter(|made| *made < count);
        let connector = at.unwrap_or_else(|| self.dice.below(count));
        self.make(workspace, connector).await?;
        if made.is_multiple_of(12) {
            self.check(connector).await?;
        }
        if made.is_multiple_of(40) {
            self.die_making(workspace, connector).await?;
        }
        Ok(())
    }

    async fn pass(&mut self, pass: usize, stretch: Stretch, documents: u64) -> Result<()> {
        let mut after = None;
        let mut seen = 0;
        loop {
            let page = self.deployment.store.documents(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            for document in &page {
                self.at(stretch, seen, documents);
                seen += 1;
                self.meet(pass, document.id).await?;
            }
            self.watcher.stepped(stretch.what, page.len() as u64);
        }
        // Removed documents are steps that nobody has to take.
        self.watcher
            .stepped(stretch.what, documents.saturating_sub(seen));
        Ok(())
    }

    /// What happens to a document in a pass; most are left alone most of the time, and the whole
    /// document is read for the others only.
    async fn meet(&mut self, pass: usize, id: DocumentId) -> Result<()> {
        let Some(event) = Event::of(pass, id) else {
            return Ok(());
        };
        let document = self.deployment.store.document(id).await?;
        let document = &document.context("a document went on its own")?;
        if event.lets_go() && !self.may_let_go(document) {
            return Ok(());
        }
        match event {
            Event::Change => self.change(document).await,
            Event::SaveMasked => self.save_masked(document).await,
            Event::ChangeInForm => self.change_in_form(document).await,
            Event::SaveUnchanged => self.save_unchanged(document).await,
            Event::Replace => self.replace(document).await,
            Event::DieChanging => self.die_changing(document).await,
            Event::Remove => self.remove(document).await,
            Event::Check => {
                let connector = self.connector_of(document).await?;
                self.check(connector).await?;
                if id.0.as_u128().is_multiple_of(5) {
                    self.die_making(document.workspace, connector).await?;
                }
                Ok(())
            }
        }
    }

    /// Whether no job would refuse to delete what the document holds now. Where each has a secret or two, all that
    /// fate has in store for them would be more than the guards let pass.
    fn may_let_go(&self, document: &StoredDocument) -> bool {
        let held = document.references.len() as u64;
        let settings = cloakroom_reconcile::Settings::default();
        let shares = &self.tally.shares;
        !self.deadline.may_be_due(self.now()) || shares.allow(document.workspace, held, &settings)
    }

    fn at(&self, stretch: Stretch, step: u64, steps: u64) {
        let part = step as f64 / steps.max(1) as f64;
        let hours = stretch.from + (stretch.to - stretch.from) * part.min(1.0);
        self.deployment.clock.set(self.hours_before(hours));
    }

    fn hours_before(&self, hours: f64) -> Timestamp {
        self.deadline.now - Duration::from_secs_f64(hours * 3_600.0)
    }

    fn now(&self) -> Timestamp {
        self.deployment.clock.now()
    }

    fn source(&self) -> Source<'_> {
        Source {
            dice: self.dice,
            serial: &self.serial,
        }
    }

    /// Which connector a document was made with, by its spec.
    async fn connector_of(&mut self, document: &StoredDocument) -> Result<usize> {
        if let Some(&known) = self.specs.get(&document.spec) {
            return Ok(known);
        }
        let text = self.deployment.store.spec_text(&document.spec).await?;
        let found = self
            .connectors
            .iter()
            .position(|connector| connector.text == text);
        let found = found.context("a document has a spec that is none of the connectors'")?;
        self.specs.insert(document.spec.clone(), found);
        Ok(found)
    }
}
