//! Documents that are moved from one manager to the other, and whoever confuses the two's names since.

use std::collections::{BTreeMap, BTreeSet};

use cloakroom_core::ledger::RowState;
use cloakroom_core::{BackendId, DocumentId, IntentId, Mark, Randomness as _, SecretState};

use crate::happening::Key;
use crate::run::{LONGEST_WAIT, Run};
use crate::store::state::Row;

impl Run {
    /// Somebody moves documents and ends the move at once. Those that cannot be moved as they are stay.
    pub(crate) fn move_documents(&mut self) {
        let managers = &self.world.managers;
        let turned = self.dice.happens(0.3);
        let (Some(one), Some(other)) = (managers.first(), managers.get(1)) else {
            return;
        };
        let (from, to) = if turned { (other, one) } else { (one, other) };
        let (from, to) = (from.id().clone(), to.id().clone());
        let documents: Vec<DocumentId> = {
            let state = self.world.store.state();
            state.documents.keys().copied().collect()
        };
        for id in documents {
            let keys = self.keys_of(id);
            let to_move = keys.iter().filter(|key| key.0 == from);
            let pairs: BTreeMap<Key, Key> = to_move
                .map(|key| (key.clone(), (to.clone(), key.1.clone())))
                .collect();
            if pairs.iter().all(|(from, to)| self.can_move(from, to)) {
                self.move_document(id, &pairs);
            }
        }
    }

    fn keys_of(&self, id: DocumentId) -> BTreeSet<Key> {
        let state = self.world.store.state();
        let references = state.documents.get(&id).map(|it| it.references.values());
        let references = references.into_iter().flatten();
        references
            .map(|it| (it.backend.clone(), it.coordinate.clone()))
            .collect()
    }

    fn can_move(&self, from: &Key, to: &Key) -> bool {
        let state = self.world.store.state();
        let stored = |row: &Row| row.ledger.state == RowState::Stored;
        let there = |key: &Key| {
            let manager = self.world.manager(&key.0);
            manager.and_then(|manager| manager.inner.look(&key.1))
        };
        state.rows.get(from).is_some_and(stored)
            && !state.rows.contains_key(to)
            && there(from).is_some_and(|(it, _)| it.state == SecretState::Enabled)
            && there(to).is_none()
    }

    fn move_document(&mut self, id: DocumentId, pairs: &BTreeMap<Key, Key>) {
        let mut copies = BTreeMap::new();
        for (from, to) in pairs {
            let intent = IntentId(self.dice.uuid());
            self.copy_secret(from, to, intent);
            self.moved.insert(to.clone());
            copies.insert(from.clone(), (to.clone(), intent));
        }
        let now = self.world.stage.store_time();
        self.world.store.state().switch(id, &copies, now);
        let references = self.keys_of(id);
        self.laws.model.moved(&self.world, id, references);
    }

    fn copy_secret(&self, from: &Key, to: &Key, intent: IntentId) {
        let there = |key: &Key| self.world.manager(&key.0);
        let (Some(source), Some(target)) = (there(from), there(to)) else {
            return;
        };
        if let Some((description, value)) = source.inner.look(&from.1)
            && let Some(mark) = description.mark
        {
            let mark = Mark {
                intent: Some(intent),
                ..mark
            };
            target.inner.write_past(&to.1, value, Some(mark));
        }
    }

    /// Somebody gives two managers each other's names, once what was moved may go. Gives back whose name
    /// they are sure of, if they are: one whose secrets in use were moved to the manager that has it now.
    pub(crate) fn mistype(&mut self, sure: bool) -> Option<BackendId> {
        self.world.stage.sleep(LONGEST_WAIT);
        self.laws.mistyped();
        let in_use = self.laws.model.in_use();
        let moved = in_use.iter().find(|key| self.moved.contains(*key))?;
        let mut managers = self.world.managers.iter();
        let left = managers.find(|manager| *manager.id() != moved.0)?;
        sure.then(|| left.id().clone())
    }
}
