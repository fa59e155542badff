//! Laws of two copies of one database, both at work on the same managers. Neither knows what the other
//! refers to, so not everything can be promised: here stands what can.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cloakroom_core::Timestamp;
use cloakroom_core::ledger::RowState;

use super::{Law, Laws, Verdict, broken};
use crate::happening::Key;
use crate::world::World;

/// What one copy remembers of the other's deletions.
#[derive(Clone, Default)]
pub(super) struct Copied {
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
            copied: Some(copied),
            ..Self::new(world)
        }
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

    /// Whether another copy deleted this, and the time to give it back is over.
    pub(super) fn is_lost_to_a_copy(&self, key: &Key) -> bool {
        let handed = self.copied.as_ref().and_then(|it| it.handed.get(key));
        let now = self.world.stage.truth();
        handed.is_some_and(|due| due.is_none_or(|due| due.as_millisecond() <= now))
    }
}
