//! Recorded secrets that the spec of an update does not find: another connector's spec, or one that was misspelt.

use std::collections::HashSet;
use std::mem::discriminant;

use serde_json::{Value, json};

use super::previous::{Stored, Walked};
use crate::config::node;
use crate::config::spec::{CompiledSpec, Position};
use crate::secret::ValueKind;

/// What is recorded as a secret and is none by the spec.
#[derive(Default)]
pub(super) struct Unmarked<'a> {
    /// By index into what was held; empty where all are found.
    held: Vec<bool>,
    /// Where in arrays: elements move, so that places alone do not tell where those secrets are.
    scopes: HashSet<&'a str>,
}

impl<'a> Unmarked<'a> {
    pub(super) fn of(spec: &CompiledSpec, stored: &'a Stored<'_>) -> Self {
        let Some(blob) = stored.blob.filter(|_| !stored.held.is_empty()) else {
            return Self::default();
        };
        let mut finder = Finder {
            spec,
            stored,
            walked: Walked::default(),
            unmarked: vec![true; stored.held.len()],
            only_nodes: (0..stored.held.len()).all(|held| stored.has_node(held)),
        };
        finder.visit(blob, &spec.start());
        let held = finder.unmarked;
        if !held.contains(&true) {
            return Self::default();
        }
        let places = held.iter().zip(&stored.places);
        let scopes = places
            .filter(|(unmarked, _)| **unmarked)
            .filter_map(|(_, place)| place.scope.as_deref())
            .collect();
        Self { held, scopes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub(super) fn has(&self, held: usize) -> bool {
        self.held.get(held).copied().unwrap_or(false)
    }

    /// Whether one was below a place that now holds something of another shape: a list made an object of, or the
    /// elements of a list written in one text.
    pub(super) fn has_below_another_shape(
        &self,
        pointer: &str,
        value: &Value,
        stored: &Stored<'_>,
    ) -> bool {
        // What the stored document lost is told as that.
        let is_below = |held: &usize| {
            let rest = stored.held[*held].pointer.strip_prefix(pointer);
            stored.has_node(*held) && rest.is_some_and(|rest| rest.starts_with('/'))
        };
        let mut unmarked = (0..self.held.len()).filter(|it| self.held[*it]);
        unmarked.any(|held| is_below(&held))
            && stored
                .value(pointer)
                .is_some_and(|stood| discriminant(stood) != discriminant(value))
    }

    /// By index, all whose place is in the stored document: of the others nothing can be told.
    pub(super) fn seen(&self, stored: &Stored<'_>) -> Vec<usize> {
        let is_there = |held: &usize| stored.value(&stored.held[*held].pointer).is_some();
        let all = (0..self.held.len()).filter(|held| self.held[*held]);
        all.filter(is_there).collect()
    }

    pub(super) fn has_scope(&self, scope: &str) -> bool {
        self.scopes.contains(scope)
    }
}

/// Walks over the stored document by the spec.
struct Finder<'a> {
    spec: &'a CompiledSpec,
    stored: &'a Stored<'a>,
    walked: Walked,
    unmarked: Vec<bool>,
    /// Whether every secret has its node, so that nothing else has to be looked at.
    only_nodes: bool,
}

impl Finder<'_> {
    fn visit(&mut self, value: &Value, position: &Position) {
        if position.is_nowhere() {
            return;
        }
        let pointer = self.walked.pointer.as_str();
        if let Some(held) = self.stored.at(pointer, self.walked.scope()) {
            self.unmarked[held] = !self.marks(position, self.stored.held[held].kind);
        }
        let position = &*self.spec.meet(position, value);
        if position.is_secret() {
            return;
        }
        match value {
            Value::Object(members) if node::is_node(members) => {}
            Value::Object(members) => {
                for (key, member) in members {
                    if self.says_nothing(member) {
                        continue;
                    }
                    let below = self.spec.member(position, key);
                    let mark = self.walked.push_key(key);
                    self.visit(member, &below);
                    self.walked.pop_to(&mark);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    if self.says_nothing(item) {
                        continue;
                    }
                    let below = self.spec.element(position, index);
                    let mark = self.walked.push_index(index);
                    self.visit(item, &below);
                    self.walked.pop_to(&mark);
                }
            }
            _ => {}
        }
    }

    fn says_nothing(&self, value: &Value) -> bool {
        self.only_nodes && !value.is_object() && !value.is_array()
    }

    /// Whether what stood there before its node would be a secret, of whichever kind it was. (An object or a list
    /// is one as a whole only where everything is, or the spec now marks parts of it and says itself which.)
    fn marks(&self, position: &Position, kind: ValueKind) -> bool {
        if position.is_secret() {
            return true;
        }
        let alike = match kind {
            ValueKind::Text => vec![json!("")],
            ValueKind::Json => vec![json!(0), json!(0.5), json!(false)],
        };
        let mut alike = alike.iter();
        alike.all(|value| self.spec.meet(position, value).is_secret())
    }
}
