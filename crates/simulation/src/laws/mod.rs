//! The promise as laws over what happened and what is there. Nothing here asks the code under test.

mod claims;
mod copies;
mod driven;
mod happened;
mod model;
mod quiet;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use cloakroom_core::ledger::RowState;
use cloakroom_core::{BackendId, SecretState};
use cloakroom_reconcile::Guard;

use crate::happening::{Happening, Key};
use crate::world::World;
pub(crate) use model::Model;

/// What must always hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Law {
    /// What a document refers to is there, enabled, ours and without expiry.
    InUse,
    /// What is read is what was written.
    RightValue,
    /// What nothing refers to is gone once it was due and a pass has been made.
    Unused,
    /// No write is lost, and none is reported that did not happen.
    Writes,
    /// A deletion that is written down happened, and leaves its receipt.
    Receipts,
    /// What was in use can be given back for the backup horizon.
    Horizon,
    /// Nothing is taken before its time.
    Grace,
    /// Nothing is claimed past a guard.
    Guards,
    /// One run at a backend at a time, one worker at a row.
    Alone,
    /// A run claims only in the database that it looked through.
    Database,
    /// A copy of the database deletes nothing before an operator says that it goes on.
    Copies,
    /// A coordinate names one value, for ever.
    Names,
    /// Ledger, documents, managers and findings agree.
    Agreement,
    /// What is not ours is left alone.
    NotOurs,
    /// No value anywhere but in its place.
    Leak,
    /// Who asks for a job gets a run that begins after that.
    Activations,
    /// Everything ends.
    Ends,
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InUse => "nothing in use is gone",
            Self::RightValue => "what is read is what was written",
            Self::Unused => "nothing unused stays",
            Self::Writes => "no write is lost or made up",
            Self::Receipts => "what is written down happened",
            Self::Horizon => "what was in use can be given back",
            Self::Grace => "nothing goes before its time",
            Self::Guards => "a guard stops deletions",
            Self::Alone => "one run at a time",
            Self::Database => "a run ends with its database",
            Self::Copies => "a copy deletes nothing unasked",
            Self::Names => "a name is given once",
            Self::Agreement => "ledger, documents and managers agree",
            Self::NotOurs => "what is not ours is left alone",
            Self::Leak => "no value leaves its place",
            Self::Activations => "who asks for a job gets a run",
            Self::Ends => "everything ends",
        })
    }
}

/// A law that was broken, and what was seen. Holds no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which law.
    pub law: Law,
    /// What was seen.
    pub saw: String,
}

pub(crate) type Verdict = Result<(), Violation>;

pub(crate) fn broken(law: Law, saw: impl Into<String>) -> Verdict {
    Err(Violation {
        law,
        saw: saw.into(),
    })
}

/// What the laws remember.
pub(crate) struct Laws {
    world: Arc<World>,
    pub(crate) model: Model,
    /// What is known to be in danger, and since when; the next whole pass without a fault saves it.
    pardoned: BTreeMap<Key, i64>,
    /// The same of everything in a backend, since the database was restored.
    all_pardoned: BTreeMap<BackendId, i64>,
    /// Whether the database was ever restored.
    pub(crate) restored: bool,
    /// Whether a person ever endangered something.
    accident: bool,
    /// Whether anybody ever confused two managers' names.
    mistyped: bool,
    /// What runs were told to pass.
    overriding: BTreeMap<usize, &'static [Guard]>,
    /// What each process saw in its present run.
    seen: BTreeMap<usize, Seen>,
    faulty: BTreeSet<usize>,
    /// What an undo brought back, and until when no job may touch it, by the store's clock.
    held: BTreeMap<Key, i64>,
    /// Of that, what a request took that was held up past every deadline.
    taken_late: BTreeSet<Key>,
    /// What a database that never used it deleted for good. One that did may be brought back after it.
    given_up: BTreeSet<Key>,
    /// How often the database was restored, and how often it had been when a run began.
    restores: u64,
    restores_before: BTreeMap<usize, u64>,
    /// What another copy of this database does, where one was made.
    copied: Option<copies::Copied>,
    /// Where each driver stands.
    driven: BTreeMap<usize, driven::Driven>,
}

#[derive(Default)]
struct Seen {
    refused: bool,
    listing_failed: bool,
    unknown: Option<Key>,
    references_missed: bool,
    /// Whether more than the allowed share would go.
    too_large: bool,
    /// How much of what was in use its guards saw due and it has not claimed yet.
    may_claim: Option<u64>,
    lease: Option<Lent>,
    /// Whether its lease is not in the database any more, which was restored to before it.
    bygone: bool,
}

/// The lease of a run.
#[derive(Clone, Copy)]
struct Lent {
    /// The turn at which it was taken.
    taken: u64,
    /// When it was last renewed, by the true time.
    renewed: i64,
}

impl Laws {
    pub(crate) fn new(world: Arc<World>) -> Self {
        Self {
            world,
            model: Model::default(),
            pardoned: BTreeMap::new(),
            all_pardoned: BTreeMap::new(),
            restored: false,
            accident: false,
            mistyped: false,
            overriding: BTreeMap::new(),
            seen: BTreeMap::new(),
            faulty: BTreeSet::new(),
            held: BTreeMap::new(),
            taken_late: BTreeSet::new(),
            given_up: BTreeSet::new(),
            restores: 0,
            restores_before: BTreeMap::new(),
            copied: None,
            driven: BTreeMap::new(),
        }
    }

    /// A run that is told to pass these guards.
    pub(crate) fn passes_guards(&mut self, task: usize, guards: &'static [Guard]) {
        self.overriding.insert(task, guards);
    }

    fn passes(&self, task: usize, guard: Guard) -> bool {
        let told = self.overriding.get(&task);
        told.is_some_and(|guards| guards.contains(&guard))
    }

    /// Somebody in the manager's console schedules the deletion of this.
    pub(crate) fn accident(&mut self, key: Key) {
        self.accident = true;
        self.pardoned.insert(key, self.world.stage.truth());
    }

    /// Somebody confuses two managers' names.
    pub(crate) fn mistyped(&mut self) {
        self.mistyped = true;
    }

    /// Somebody took every document away behind the store's back: nobody let go of anything.
    pub(crate) fn emptied(&mut self) {
        self.model.emptied();
    }

    /// The database is as it was when `model` was, at that turn and true time.
    pub(crate) fn restored(&mut self, model: &Model, turn: u64, made: i64) {
        self.restored = true;
        self.restores += 1;
        for seen in self.seen.values_mut() {
            let later = |lent: Lent| lent.taken > turn || lent.renewed > made;
            seen.bygone |= seen.lease.is_some_and(later);
        }
        let truth = self.world.stage.truth();
        for manager in &self.world.managers {
            self.all_pardoned.insert(manager.id().clone(), truth);
        }
        self.model.restore(model, &self.world);
        // What was held since then is not held any more.
        let state = self.world.store.state();
        self.held.retain(|key, until| {
            let row = state.rows.get(key).map(|row| &row.ledger);
            let since = row.and_then(|row| row.unreferenced_since);
            since.is_some_and(|since| since.as_millisecond() == *until)
        });
    }

    /// Judges one step: what happened in it, and what is there now.
    pub(crate) fn judge(&mut self) -> Verdict {
        let mut changed = false;
        for happening in self.world.stage.take_happenings() {
            changed |= matters(&happening);
            self.judge_happening(happening)?;
        }
        if changed { self.judge_in_use() } else { Ok(()) }
    }

    /// Everything that a document refers to, wherever it is.
    pub(crate) fn judge_in_use(&self) -> Verdict {
        let state = self.world.store.state();
        for (id, document) in &state.documents {
            for reference in document.references.values() {
                let key = (reference.backend.clone(), reference.coordinate.clone());
                let row = state.rows.get(&key).map(|row| row.ledger.state);
                if row != Some(RowState::Stored) {
                    return broken(
                        Law::InUse,
                        format!("{} of {id} is in use and its row is {row:?}", key.1),
                    );
                }
                let expected = self.model.value(*id, &reference.pointer);
                self.judge_secret(&key, expected)?;
            }
        }
        Ok(())
    }

    fn judge_secret(&self, key: &Key, expected: Option<&str>) -> Verdict {
        let Some(manager) = self.world.manager(&key.0) else {
            return broken(Law::Agreement, format!("there is no manager {}", key.0));
        };
        let Some((there, value)) = manager.inner.look(&key.1) else {
            if self.is_lost_to_another(key) {
                return Ok(());
            }
            return broken(Law::InUse, format!("{} is in use and gone for good", key.1));
        };
        let ours = there.mark.as_ref().map(|mark| mark.store) == Some(self.world.store_id);
        if !ours {
            return broken(Law::InUse, format!("{} is in use and not ours", key.1));
        }
        if expected.map(str::as_bytes) != Some(value.expose()) {
            return broken(
                Law::RightValue,
                format!("{} holds another value than was written", key.1),
            );
        }
        if there.native_expiry.is_some() {
            return broken(Law::InUse, format!("{} is in use and expires", key.1));
        }
        if there.state != SecretState::Enabled && !self.is_pardoned(key) {
            return broken(
                Law::InUse,
                format!("{} is in use and {:?}", key.1, there.state),
            );
        }
        Ok(())
    }

    fn is_pardoned(&self, key: &Key) -> bool {
        self.pardoned.contains_key(key) || self.all_pardoned.contains_key(&key.0)
    }
}

/// Whether what is in use may be another thing now.
fn matters(happening: &Happening) -> bool {
    matches!(
        happening,
        Happening::Committed { .. }
            | Happening::Removed { .. }
            | Happening::Claimed { .. }
            | Happening::Settled { .. }
            | Happening::Overwritten { .. }
            | Happening::Deleted { .. }
            | Happening::Passed { .. }
    )
}
