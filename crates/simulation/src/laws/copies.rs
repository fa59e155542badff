//! Laws of two copies of one database, both at work on the same managers. Neither knows what the other
//! refers to, so not everything can be promised: here stands what can.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::ledger::RowState;
use cloakroom_core::{BackendId, Timestamp};

use super::{Law, Laws, Verdict, broken};
use crate::happening::Key;
use crate::store::state::length;
use crate::world::World;

/// How long a raise of the epoch counts.
const A_RAISE: Duration = Duration::from_mins(10);

/// What one copy remembers of the other's deletions.
#[derive(Clone, Default)]
pub(super) struct Copied {
    /// Whether this is the copy, and whether an operator has said that it goes on.
    is_the_copy: bool,
    adopted: bool,
    /// What the ledger knew when the copy was made.
    shared: BTreeSet<Key>,
    /// What of that a writer had begun and nothing referred to yet.
    begun: BTreeSet<Key>,
    /// What was in use here and was handed to deletion there, and until when it can be given back.
    handed: BTreeMap<Key, Option<Timestamp>>,
    /// What this copy deleted and the other was not told of yet.
    untold: Vec<(Key, Option<Timestamp>)>,
}

impl Laws {
    /// The laws of a copy of this database, which is made now.
    pub(crate) fn of_a_copy(&mut self, world: Arc<World>) -> Self {
        let state = self.world.store.state();
        let begun = state.rows.iter();
        let begun = begun.filter(|(_, row)| row.ledger.state == RowState::Intended);
        let copied = Copied {
            shared: state.rows.keys().cloned().collect(),
            begun: begun.map(|(key, _)| key.clone()).collect(),
            ..Copied::default()
        };
        drop(state);
        self.copied = Some(copied.clone());
        Self {
            model: self.model.clone(),
            pardoned: self.pardoned.clone(),
            held: self.held.clone(),
            taken_late: self.taken_late.clone(),
            given_up: self.given_up.clone(),
            copied: Some(Copied {
                is_the_copy: true,
                ..copied
            }),
            ..Self::new(world)
        }
    }

    /// An operator says that this copy goes on.
    pub(crate) fn adopts(&mut self) {
        if let Some(copied) = &mut self.copied {
            copied.adopted = true;
        }
    }

    /// A copy deletes nothing before somebody said that it goes on.
    pub(super) fn judge_by_copying(&self, doing: &str, key: &Key) -> Verdict {
        let waits = |it: &Copied| it.is_the_copy && !it.adopted;
        if self.copied.as_ref().is_some_and(waits) {
            let saw = format!("a copy that nobody adopted {doing} {}", key.1);
            return broken(Law::Copies, saw);
        }
        Ok(())
    }

    /// Whether another copy, or a manager under another's name, may have been adopted while the last raise here
    /// still counts.
    pub(super) fn may_be_overtaken(&self, backend: &BackendId, now: i64) -> bool {
        let raised = self.world.store.state().epoch(backend).raised;
        let counts = length(A_RAISE + self.world.setting.jobs.lease);
        let may_be = self.is_copied() || self.mistyped;
        may_be && raised.is_some_and(|raised| now - raised.as_millisecond() < counts)
    }

    /// Whether there is or was another copy of this database.
    pub(crate) fn is_copied(&self) -> bool {
        self.copied.is_some()
    }

    pub(super) fn deleted_beside_a_copy(&mut self, key: &Key, due: Option<Timestamp>) {
        if let Some(copied) = &mut self.copied {
            copied.untold.push((key.clone(), due));
        }
    }

    /// Judges what the other copy deleted by what this one refers to. What was written since the copy
    /// was made is left alone. What both had waits to be given back, and the next pass does that; for
    /// good goes only what the other did not use for as long as the horizon, as its own laws tell, and
    /// what a writer had begun.
    pub(crate) fn judge_copy(&mut self, other: &mut Self) -> Verdict {
        let untold = match &mut other.copied {
            Some(copied) => std::mem::take(&mut copied.untold),
            None => return Ok(()),
        };
        let now = self.world.stage.truth();
        for (key, due) in untold {
            let used = self.model.is_in_use(&key);
            let Some(copied) = self.copied.as_mut().filter(|_| used) else {
                continue;
            };
            if !copied.shared.contains(&key) {
                let saw = format!(
                    "{} is in use here and a copy that never knew it deleted it",
                    key.1
                );
                return broken(Law::NotOurs, saw);
            }
            let lost = other.model.lost.contains_key(&key);
            if due.is_none() && !lost && !copied.begun.contains(&key) {
                let saw = format!("{} is in use here and a copy deleted it for good", key.1);
                return broken(Law::InUse, saw);
            }
            copied.handed.insert(key.clone(), due);
            self.pardoned.insert(key, now);
        }
        Ok(())
    }

    /// Whether another database than this deleted it, be it this one as it was brought back for a while, and the
    /// time to give it back is over.
    pub(super) fn is_lost_to_another(&self, key: &Key) -> bool {
        self.given_up.contains(key) || self.is_lost_to_a_copy(key)
    }

    fn is_lost_to_a_copy(&self, key: &Key) -> bool {
        let handed = self.copied.as_ref().and_then(|it| it.handed.get(key));
        let now = self.world.stage.truth();
        handed.is_some_and(|due| due.is_none_or(|due| due.as_millisecond() <= now))
    }
}
