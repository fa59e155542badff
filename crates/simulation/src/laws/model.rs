//! What was written and what was let go, by what the writers meant.

use std::collections::{BTreeMap, BTreeSet};

use cloakroom_core::{DocumentId, Revision};
use serde_json::Value;

use super::{Law, Verdict, broken};
use crate::happening::Key;
use crate::world::{FIELDS, LIST, MASK, World};

/// One document as it stands.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(super) attempt: u64,
    /// The configuration with every value in clear.
    pub(super) config: Value,
    /// The turn at which it was written.
    pub(super) at: u64,
    pub(super) references: BTreeSet<Key>,
}

/// An attempt that became a document.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) id: DocumentId,
    pub(super) revision: Revision,
    pub(super) config: Value,
    /// The turn at which another took its place.
    pub(super) replaced: Option<u64>,
}

/// What should be there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(super) documents: BTreeMap<DocumentId, Written>,
    pub(super) attempts: BTreeMap<u64, Attempt>,
    /// What was ever in use, as far as the present database knows.
    pub(super) once: BTreeSet<Key>,
    /// What is no longer, and since when, by the true time and by the store's.
    pub(super) lost: BTreeMap<Key, (i64, i64)>,
}

impl Model {
    /// The value that a place of a document should have.
    pub(super) fn value(&self, id: DocumentId, pointer: &str) -> Option<&str> {
        self.documents.get(&id)?.config.pointer(pointer)?.as_str()
    }

    /// What some document refers to, to be endangered or to be imitated.
    pub(crate) fn in_use(&self) -> Vec<Key> {
        let all = self.documents.values().flat_map(|it| &it.references);
        all.cloned().collect::<BTreeSet<_>>().into_iter().collect()
    }

    pub(super) fn is_in_use(&self, key: &Key) -> bool {
        self.documents
            .values()
            .any(|it| it.references.contains(key))
    }

    /// A document was written: which attempt is it, and is it all there?
    pub(super) fn committed(&mut self, world: &World, id: DocumentId) -> Verdict {
        let (revision, blob, places) = {
            let state = world.store.state();
            let Some(document) = state.documents.get(&id) else {
                return broken(Law::Writes, format!("{id} was written and is not there"));
            };
            let places: BTreeMap<String, Key> = document
                .references
                .values()
                .map(|it| {
                    let key = (it.backend.clone(), it.coordinate.clone());
                    (it.pointer.clone(), key)
                })
                .collect();
            (document.revision, document.blob.clone(), places)
        };
        if blob.contains(&world.flock) {
            return broken(
                Law::Leak,
                format!("the blob of {id} holds a value in clear"),
            );
        }
        let Some((attempt, mut config)) = attempt_of(world, &blob) else {
            return broken(Law::Writes, format!("nobody wrote what {id} is now"));
        };
        let before = self.documents.get(&id);
        unmask(&mut config, before.map(|it| &it.config));
        let recorded: BTreeSet<&str> = places.keys().map(String::as_str).collect();
        let secret = pointers(&config);
        if recorded != secret.iter().map(String::as_str).collect() {
            return broken(
                Law::Agreement,
                format!("{id} has secrets at {secret:?} and references at {recorded:?}"),
            );
        }
        let at = world.stage.trace().steps;
        if let Some(before) = before
            && let Some(replaced) = self.attempts.get_mut(&before.attempt)
        {
            replaced.replaced = Some(at);
        }
        self.attempts.insert(
            attempt,
            Attempt {
                id,
                revision,
                config: config.clone(),
                replaced: None,
            },
        );
        let written = Written {
            attempt,
            config,
            at,
            references: places.into_values().collect(),
        };
        let dropped = self.documents.insert(id, written);
        self.noticed(world, dropped);
        Ok(())
    }

    pub(super) fn removed(&mut self, world: &World, id: DocumentId) {
        let dropped = self.documents.remove(&id);
        if let Some(dropped) = &dropped
            && let Some(replaced) = self.attempts.get_mut(&dropped.attempt)
        {
            replaced.replaced = Some(world.stage.trace().steps);
        }
        self.noticed(world, dropped);
    }

    fn noticed(&mut self, world: &World, dropped: Option<Written>) {
        let now = (world.stage.truth(), world.stage.store_time());
        for key in dropped.into_iter().flat_map(|it| it.references) {
            if !self.is_in_use(&key) {
                self.lost.insert(key, now);
            }
        }
        for key in self.in_use() {
            self.lost.remove(&key);
            self.once.insert(key);
        }
    }

    /// A document's secrets are elsewhere from now on.
    pub(crate) fn moved(&mut self, world: &World, id: DocumentId, references: BTreeSet<Key>) {
        let Some(written) = self.documents.get_mut(&id) else {
            return;
        };
        let left = written.clone();
        written.references = references;
        self.noticed(world, Some(left));
    }

    /// The documents are gone, and nothing was let go of.
    pub(super) fn emptied(&mut self) {
        self.documents.clear();
    }

    /// Somebody says that nothing needs this any more: it may go once its time is over.
    pub(super) fn let_go(&mut self, world: &World, key: Key) -> Verdict {
        if self.is_in_use(&key) {
            let saw = format!("{} is in use and was let go", key.1);
            return broken(Law::InUse, saw);
        }
        let now = (world.stage.truth(), world.stage.store_time());
        self.lost.insert(key, now);
        Ok(())
    }

    /// The documents are as they were; what was ever tried stays known.
    pub(super) fn restore(&mut self, earlier: &Self, world: &World) {
        let now = (world.stage.truth(), world.stage.store_time());
        let before = self.in_use();
        self.documents.clone_from(&earlier.documents);
        for key in before {
            if !self.is_in_use(&key) {
                self.lost.insert(key, now);
            }
        }
        // A database from when it had been let go of knows no use since.
        let known = earlier.lost.iter().map(|(key, lost)| (key.clone(), *lost));
        self.lost.extend(known);
        for key in self.in_use() {
            self.lost.remove(&key);
        }
        let state = world.store.state();
        let once = state
            .rows
            .iter()
            .filter(|(_, row)| row.ledger.once_referenced);
        self.once = once.map(|(key, _)| key.clone()).collect();
    }
}

/// The attempt that a configuration or blob names, with the configuration that was sent.
pub(super) fn attempt_of(world: &World, text: &str) -> Option<(u64, Value)> {
    let blob: Value = serde_json::from_str(text).ok()?;
    let attempt = number_of(&blob)?;
    let config = world.attempts().configs.get(&attempt)?.clone();
    Some((attempt, config))
}

pub(super) fn number_of(config: &Value) -> Option<u64> {
    config["host"]
        .as_str()?
        .strip_prefix("attempt-")?
        .parse()
        .ok()
}

/// Puts in place of each mask what stood there before.
fn unmask(config: &mut Value, before: Option<&Value>) {
    for field in FIELDS {
        let masked = config.get(field).and_then(Value::as_str) == Some(MASK);
        if masked && let Some(kept) = before.and_then(|before| before.get(field)) {
            config[field] = kept.clone();
        }
    }
}

fn pointers(config: &Value) -> BTreeSet<String> {
    let fields = FIELDS.iter().filter(|field| config.get(**field).is_some());
    let fields = fields.map(|field| format!("/{field}"));
    let listed = config[LIST].as_array().map_or(0, Vec::len);
    let listed = (0..listed).map(|at| format!("/{LIST}/{at}"));
    fields.chain(listed).collect()
}
