//! Deciding what becomes of each field, in time linear in fields and held secrets.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::ambiguity::{Ambiguity, Doubt};
use super::collect::{Collected, Content, Found, external};
use super::forms::Forms;
use super::losses::refuse_unseen_losses;
use super::previous::Stored;
use super::strays::refuse_strays;
use super::take::take;
use super::{Action, Field, Options, Slot, array_digest, refused};
use crate::config::Held;
use crate::config::mask::is_mask;
use crate::config::node::{external_name, is_foreign, nodes};
use crate::config::spec::CompiledSpec;
use crate::digest::Digest;
use crate::error::Result;
use crate::ids::KeyId;
use crate::keys::KeyRing;
use crate::secret::{SecretValue, ValueKind};

/// What was decided.
pub(super) struct Outcome {
    pub(super) fields: Vec<Field>,
    pub(super) unreferenced: Vec<usize>,
    pub(super) unmarked: Vec<usize>,
    pub(super) slots: Vec<Slot>,
    /// The fields whose text has to be put back into the document.
    pub(super) restored: Vec<usize>,
}

/// Decides about every field.
pub(super) fn decide(
    spec: &CompiledSpec,
    config: &Value,
    collected: Collected,
    stored: &Stored<'_>,
    keys: &KeyRing,
    scope: &str,
    options: &Options,
) -> Result<Outcome> {
    let Collected {
        found,
        strays,
        unmarked,
    } = collected;
    let mut decider = Decider {
        keeps: vec![None; found.len()],
        taken: vec![false; stored.held.len()],
        recalled: HashMap::new(),
        found,
        stored,
        keys,
        scope,
    };
    // Each step leaves to the next what it could not settle.
    decider.keep_nodes()?;
    decider.keep_equal_in_place();
    decider.keep_masked(options)?;
    decider.keep_equal_in_array();
    decider.refuse_masks_of_values_that_moved()?;
    decider.refuse_ambiguous_masks(spec, config)?;
    let losses = decider.losses();
    refuse_unseen_losses(config, &losses, stored)?;
    refuse_strays(&strays, &losses, stored)?;
    let outcome = decider.into_outcome()?;
    Ok(Outcome {
        unmarked,
        ..outcome
    })
}

/// What a mask stands for where no secret was held.
enum Recalled {
    External(String),
    Value(SecretValue, ValueKind),
}

struct Decider<'a> {
    found: Vec<Found>,
    /// For each field, which held secret it keeps.
    keeps: Vec<Option<usize>>,
    /// For each held secret, whether a field keeps it. One keeps it at most.
    taken: Vec<bool>,
    /// For masks that stand for something else than a held secret, what that is.
    recalled: HashMap<usize, Recalled>,
    stored: &'a Stored<'a>,
    keys: &'a KeyRing,
    scope: &'a str,
}

impl Decider<'_> {
    fn keep(&mut self, field: usize, held: usize) -> bool {
        let free = !std::mem::replace(&mut self.taken[held], true);
        if free {
            self.keeps[field] = Some(held);
        }
        free
    }

    fn held_at(&self, field: usize) -> Option<usize> {
        let Found { pointer, place, .. } = &self.found[field];
        self.stored.at(pointer, place.scope.as_deref())
    }

    fn keep_nodes(&mut self) -> Result<()> {
        for field in 0..self.found.len() {
            if let Content::Node(held) = self.found[field].content
                && !self.keep(field, held)
            {
                return Err(refused(
                    &self.found[field].pointer,
                    "the same node a second time; send the value for one of them",
                ));
            }
        }
        Ok(())
    }

    fn keep_equal_in_place(&mut self) {
        for field in 0..self.found.len() {
            if let Content::Value(value, kind) = &self.found[field].content
                && let Some(held) = self.held_at(field)
                && !self.taken[held]
                && is_value_of(
                    &self.stored.held[held],
                    &Forms::of(value, *kind),
                    *kind,
                    self.keys,
                )
            {
                self.keep(field, held);
            }
        }
    }

    fn keep_masked(&mut self, options: &Options) -> Result<()> {
        for field in 0..self.found.len() {
            if !matches!(self.found[field].content, Content::Mask) {
                continue;
            }
            let pointer = &self.found[field].pointer;
            if let Some(held) = self.held_at(field) {
                if self.taken[held] {
                    return Err(refused(pointer, AMBIGUOUS));
                }
                self.keep(field, held);
                continue;
            }
            let recalled = self.recall(field, options)?;
            self.recalled.insert(field, recalled);
        }
        Ok(())
    }

    /// What a mask stands for where no secret was held: an external one, or a value that stood there
    /// in clear, since the spec did not mark it then.
    fn recall(&self, field: usize, options: &Options) -> Result<Recalled> {
        let Found { pointer, place, .. } = &self.found[field];
        let nothing = || {
            refused(
                pointer,
                "a mask, and nothing is stored that it could stand for",
            )
        };
        let stood = self
            .stored
            .value_at(pointer, place.scope.as_deref())
            .ok_or_else(nothing)?;
        if let Some(name) = stood.as_str().and_then(external_name) {
            external(name, pointer, options)?;
            return Ok(Recalled::External(name.to_owned()));
        }
        let empty = stood.is_null()
            || stood
                .as_str()
                .is_some_and(|it| it.is_empty() || is_mask(it));
        if empty || !nodes(stood)?.is_empty() {
            return Err(nothing());
        }
        let (value, kind) = take(&mut stood.clone())?;
        Ok(Recalled::Value(value, kind))
    }

    /// Finds values that moved within their array by digest: comparing each with each would take
    /// the product of both lengths.
    fn keep_equal_in_array(&mut self) {
        let left = |field: &usize| {
            matches!(self.found[*field].content, Content::Value(..))
                && self.keeps[*field].is_none()
                && self.found[*field].place.scope.is_some()
        };
        let left: Vec<_> = (0..self.found.len()).filter(left).collect();
        if left.is_empty() {
            return;
        }
        let mut free: HashMap<&Digest, Vec<usize>> = HashMap::new();
        // Digests differ by key, so each array is asked under every key that it has digests of.
        let mut keys: HashMap<&str, HashSet<&KeyId>> = HashMap::new();
        let stored = self.stored;
        for (index, held) in stored.held.iter().enumerate().rev() {
            if let Some(digest) = &held.array_digest
                && let Some(scope) = &stored.places[index].scope
                && !self.taken[index]
                && !held.damaged
            {
                // Reversed, so that of equal values the first is taken first.
                free.entry(digest).or_default().push(index);
                keys.entry(scope).or_default().insert(digest.key());
            }
        }
        for field in left {
            let Found {
                content: Content::Value(value, kind),
                place,
                ..
            } = &self.found[field]
            else {
                continue;
            };
            let Some(scope) = place.scope.as_deref() else {
                continue;
            };
            let forms = Forms::of(value, *kind);
            let moved = keys.get(scope).into_iter().flatten().find_map(|id| {
                let key = self.keys.find(id)?;
                forms.iter().find_map(|form| {
                    let digest = count(array_digest(key, self.scope, scope, *kind, form));
                    let held = free.get_mut(&digest)?.pop()?;
                    is_value_of(&stored.held[held], &forms, *kind, self.keys).then_some(held)
                })
            });
            if let Some(held) = moved {
                self.keep(field, held);
            }
        }
    }

    /// Refuses a mask that keeps a secret whose value came to stand elsewhere in its array while another
    /// of that array goes: the mask was meant for that one as likely as not.
    fn refuse_masks_of_values_that_moved(&self) -> Result<()> {
        let scope_of = |held: usize| self.stored.places[held].scope.as_deref();
        let going: HashSet<&str> = (0..self.taken.len())
            .filter(|held| !self.taken[*held])
            .filter_map(scope_of)
            .collect();
        let mut masked: HashMap<&Digest, usize> = HashMap::new();
        for (field, kept) in self.keeps.iter().enumerate() {
            if let Some(held) = *kept
                && matches!(self.found[field].content, Content::Mask)
                && scope_of(held).is_some_and(|scope| going.contains(scope))
                && let Some(digest) = &self.stored.held[held].array_digest
            {
                masked.insert(digest, field);
            }
        }
        let keys: HashSet<&KeyId> = masked.keys().map(|digest| digest.key()).collect();
        for (found, kept) in self.found.iter().zip(&self.keeps) {
            let (Content::Value(value, kind), None) = (&found.content, kept) else {
                continue;
            };
            let scope = found.place.scope.as_deref();
            let Some(scope) = scope.filter(|it| going.contains(it)) else {
                continue;
            };
            let forms = Forms::of(value, *kind);
            for key in keys.iter().filter_map(|id| self.keys.find(id)) {
                for form in forms.iter() {
                    let digest = count(array_digest(key, self.scope, scope, *kind, form));
                    if let Some(mask) = masked.get(&digest) {
                        return Err(refused(&self.found[*mask].pointer, AMBIGUOUS));
                    }
                }
            }
        }
        Ok(())
    }

    fn refuse_ambiguous_masks(&self, spec: &CompiledSpec, config: &Value) -> Result<()> {
        let mut ambiguity = None;
        for (field, found) in self.found.iter().enumerate() {
            if !matches!(found.content, Content::Mask) || found.place.arrays.is_empty() {
                continue;
            }
            let ambiguity = ambiguity.get_or_insert_with(|| {
                Ambiguity::new(spec, config, &self.found, &self.keeps, self.stored)
            });
            match ambiguity.doubt(found, self.keeps[field]) {
                Some(Doubt::Moved) => return Err(refused(&found.pointer, AMBIGUOUS)),
                Some(Doubt::Gone) => return Err(refused(&found.pointer, GONE)),
                Some(Doubt::Lost) => return Err(refused(&found.pointer, LOST)),
                None => {}
            }
        }
        Ok(())
    }

    /// The held secrets that no field keeps and in whose places no other value comes, by index.
    fn losses(&self) -> Vec<usize> {
        let fields = self.found.iter().zip(&self.keeps);
        let replaced: HashSet<&str> = fields
            .filter(|(_, kept)| kept.is_none())
            .map(|(found, _)| found.pointer.as_str())
            .collect();
        let held = self.stored.held.iter().zip(&self.taken).enumerate();
        held.filter(|(_, (held, taken))| !**taken && !replaced.contains(held.pointer.as_str()))
            .map(|(index, _)| index)
            .collect()
    }

    fn into_outcome(mut self) -> Result<Outcome> {
        let mut outcome = Outcome {
            fields: Vec::with_capacity(self.found.len()),
            unreferenced: Vec::new(),
            unmarked: Vec::new(),
            slots: Vec::with_capacity(self.found.len()),
            restored: Vec::new(),
        };
        let replaced: Vec<_> = (0..self.found.len())
            .map(|field| self.held_at(field))
            .collect();
        for (field, found) in self.found.into_iter().enumerate() {
            let kept = self.keeps[field];
            let action = match (found.content, kept) {
                (_, Some(held)) => Action::Keep { held },
                (Content::Value(value, kind), None) => {
                    match replaced[field].filter(|held| !self.taken[*held]) {
                        Some(held) => Action::Raise { held, value, kind },
                        None => Action::New { value, kind },
                    }
                }
                (Content::External(name), None) => Action::External { name },
                // Every node keeps what it names, so this is a mask.
                (Content::Mask | Content::Node(_), None) => match self.recalled.remove(&field) {
                    Some(Recalled::Value(value, kind)) => Action::New { value, kind },
                    Some(Recalled::External(name)) => {
                        outcome.restored.push(field);
                        Action::External { name }
                    }
                    None => return Err(refused(&found.pointer, AMBIGUOUS)),
                },
            };
            let (kind, node) = match &action {
                Action::Keep { held } => {
                    (Some(self.stored.held[*held].kind), self.stored.nodes[*held])
                }
                Action::Raise { kind, .. } | Action::New { kind, .. } => (Some(*kind), None),
                Action::External { .. } => (None, None),
            };
            outcome.slots.extend(kind.map(|kind| Slot {
                pointer: found.pointer.clone(),
                kind,
                kept: node.filter(|node| is_foreign(node)).cloned(),
            }));
            outcome.fields.push(Field {
                pointer: found.pointer,
                action,
                array_scope: found.place.scope,
            });
        }
        let unreferenced = self.taken.iter().enumerate().filter(|(_, taken)| !**taken);
        outcome.unreferenced = unreferenced.map(|(index, _)| index).collect();
        Ok(outcome)
    }
}

const AMBIGUOUS: &str = "a mask in an array that changed: which secret it stands for is not known; send values or nodes";

const GONE: &str = "a mask for an element that is gone from the stored array: which secret it stands for is not known; send its value, or null to let it go";

const LOST: &str = "a mask in an array for a secret whose node the stored document lost: whether it is this element's is not known; send its value, or null to let it go";

/// Whether this is the value stored under a coordinate, as far as can be told: not if the key of
/// its digest is gone, nor if what is stored was reported damaged.
fn is_value_of(held: &Held, forms: &Forms<'_>, kind: ValueKind, keys: &KeyRing) -> bool {
    let Some(key) = keys.find(held.digest.key()).filter(|_| !held.damaged) else {
        return false;
    };
    let mut forms = forms.iter();
    forms.any(|form| held.digest == count(Digest::of(key, held.coordinate.base(), kind, form)))
}

#[cfg(not(test))]
fn count(digest: Digest) -> Digest {
    digest
}

#[cfg(test)]
use tests::count;

#[cfg(test)]
mod tests;
