//! Recorded secrets that the spec of an update does not find: another connector's spec, or one that was misspelt.

use std::collections::{BTreeSet, HashSet};
use std::mem::discriminant;
use std::ops::Bound;

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
    scopes: BTreeSet<&'a str>,
    /// The places and scopes of what was a secret as a whole while the spec marks parts of it.
    in_parts: HashSet<&'a str>,
    /// The places and scopes of those whose nodes are there: what the stored document lost is told as that.
    nodes: BTreeSet<&'a str>,
    scopes_of_nodes: BTreeSet<&'a str>,
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
            in_parts: Vec::new(),
            only_nodes: (0..stored.held.len()).all(|held| stored.has_node(held)),
        };
        finder.visit(blob, &spec.start());
        let held = finder.unmarked;
        if !held.contains(&true) {
            return Self::default();
        }
        let mut unmarked = Self::default();
        for index in finder.in_parts {
            unmarked.in_parts.insert(&stored.held[index].pointer);
            let scope = stored.places[index].scope.as_deref();
            unmarked.in_parts.extend(scope);
        }
        for index in (0..held.len()).filter(|index| held[*index]) {
            let scope = stored.places[index].scope.as_deref();
            unmarked.scopes.extend(scope);
            if stored.has_node(index) {
                unmarked.nodes.insert(&stored.held[index].pointer);
                unmarked.scopes_of_nodes.extend(scope);
            }
        }
        Self { held, ..unmarked }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub(super) fn has(&self, held: usize) -> bool {
        self.held.get(held).copied().unwrap_or(false)
    }

    /// Whether this was a secret as a whole and the spec marks parts of it, which may be others than it has.
    pub(super) fn is_in_parts(&self, walked: &Walked) -> bool {
        let is_one = |place: &str| self.in_parts.contains(place);
        !self.in_parts.is_empty()
            && (is_one(walked.pointer.as_str()) || walked.scope().is_some_and(is_one))
    }

    /// Whether one was below a place that now holds something of another shape: a list made an object of, or the
    /// elements of a list written in one text.
    pub(super) fn has_below_another_shape(
        &self,
        walked: &Walked,
        value: &Value,
        stored: &Stored<'_>,
    ) -> bool {
        let pointer = walked.pointer.as_str();
        let stood = || stored.value(pointer).map(discriminant);
        if below(&self.nodes, pointer).is_some()
            && stood().is_some_and(|it| it != discriminant(value))
        {
            return true;
        }
        // Of an element that is new the others of its array tell.
        let expected = walked
            .scope()
            .and_then(|it| below(&self.scopes_of_nodes, it));
        expected.is_some_and(|rest| match value {
            Value::Null => false,
            Value::Array(_) => !is_any_index(rest),
            Value::Object(_) => is_any_index(rest),
            _ => true,
        })
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

/// The rest of a place that lies below another one, the first of them.
fn below<'p>(places: &BTreeSet<&'p str>, place: &str) -> Option<&'p str> {
    let within = format!("{place}/");
    let from = (Bound::Included(within.as_str()), Bound::Unbounded);
    let first = places.range::<str, _>(from).next()?;
    first.strip_prefix(within.as_str())
}

fn is_any_index(rest: &str) -> bool {
    rest == "*" || rest.starts_with("*/")
}

/// Walks over the stored document by the spec.
struct Finder<'a> {
    spec: &'a CompiledSpec,
    stored: &'a Stored<'a>,
    walked: Walked,
    unmarked: Vec<bool>,
    in_parts: Vec<usize>,
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
            let marks = self.marks(position, self.stored.held[held].kind);
            let in_parts = marks && !position.is_secret() && self.stored.was_a_whole(held);
            self.in_parts.extend(in_parts.then_some(held));
            self.unmarked[held] = !marks || in_parts;
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

    /// Whether what stood there before its node would be a secret, of whichever kind it was.
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
