//! The plan: a deterministic automaton over keys and indices. A walk does one look-up a key,
//! however many branches the schema has.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::kinds::Kinds;
use super::pattern::{Match, Pattern};
use crate::config::bounds::MAX_DEPTH;
use crate::config::pointer::Pointer;

/// Index of a state in the plan.
pub(super) type StateId = u32;

/// Nothing here or below is secret.
pub(super) const NOWHERE: StateId = 0;

/// What is here is secret as a whole.
pub(super) const SECRET: StateId = 1;

/// What is here does not fit the spec: each of its parts is secret.
pub(super) const SCATTERED: StateId = 2;

/// The most states one position may be in. Only keys that many patterns match get anywhere near;
/// beyond it the whole value counts as secret.
const MAX_STATES: usize = 64;

const MAX_FIELDS: usize = 10_000;

pub(super) struct Plan {
    pub(super) states: Vec<State>,
    pub(super) patterns: Vec<Pattern>,
    pub(super) tried: Tried,
    pub(super) start: StateId,
}

/// How many patterns lead somewhere, so that a walk may try them on a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tried {
    pub(super) patterns: usize,
    /// Those of them that may go back in a key and try again.
    pub(super) backing: usize,
}

impl Tried {
    pub(super) fn of(states: &[State], patterns: &[Pattern]) -> Self {
        let schemas = states.iter().flat_map(|state| &state.patterned);
        let used: BTreeSet<usize> = schemas
            .flat_map(|schema| schema.patterns.iter().map(|(pattern, _)| *pattern))
            .collect();
        let backing = used.iter().filter(|it| patterns[**it].backs());
        Self {
            backing: backing.count(),
            patterns: used.len(),
        }
    }
}

#[derive(Default)]
pub(super) struct State {
    /// The kinds of values that its schemas have in mind.
    pub(super) kinds: Kinds,
    pub(super) named: HashMap<Box<str>, StateId>,
    /// For a key not in `named`, whatever it is.
    pub(super) other: StateId,
    /// For a key not in `named`, by the patterns it matches: one entry for each schema that has
    /// patterns.
    pub(super) patterned: Vec<Patterned>,
    pub(super) elements: Vec<StateId>,
    /// For an index behind `elements`.
    pub(super) other_elements: StateId,
}

impl State {
    /// What [`SCATTERED`] does: every part of an object or array is like the whole.
    pub(super) fn scattered() -> Self {
        Self {
            kinds: Kinds::OBJECT | Kinds::ARRAY,
            other: SCATTERED,
            other_elements: SCATTERED,
            ..Self::default()
        }
    }
}

/// The patterns of one schema.
pub(super) struct Patterned {
    pub(super) patterns: Vec<(usize, StateId)>,
    /// For a key that none of them matches.
    pub(super) other: StateId,
}

/// Where in the plan a walk is: nearly always in one state.
#[derive(Clone, Debug, Default)]
pub(in crate::config) struct Position {
    first: StateId,
    more: Vec<StateId>,
}

impl Position {
    pub(in crate::config) fn is_secret(&self) -> bool {
        self.first == SECRET
    }

    /// Whether nothing here or below is secret by the spec.
    pub(in crate::config) fn is_nowhere(&self) -> bool {
        self.first == NOWHERE
    }

    fn of(first: StateId) -> Self {
        Self {
            first,
            more: Vec::new(),
        }
    }

    fn add(&mut self, state: StateId) {
        if state == NOWHERE || self.first == SECRET || self.first == state {
            return;
        }
        if self.first == NOWHERE {
            self.first = state;
        } else if state == SECRET || self.more.len() + 1 >= MAX_STATES {
            self.first = SECRET;
            self.more = Vec::new();
        } else if !self.more.contains(&state) {
            self.more.push(state);
        }
    }

    fn states(&self) -> impl Iterator<Item = StateId> {
        std::iter::once(self.first).chain(self.more.iter().copied())
    }
}

impl Plan {
    pub(super) fn len(&self) -> usize {
        self.states.len()
    }

    pub(super) fn start(&self) -> Position {
        Position::of(self.start)
    }

    pub(super) fn meet<'p>(&self, position: &'p Position, value: &Value) -> Cow<'p, Position> {
        let fits = position.is_nowhere() || position.is_secret() || {
            let mut states = position.states();
            states.any(|state| self.states[state as usize].kinds.include(value))
        };
        if fits {
            return Cow::Borrowed(position);
        }
        Cow::Owned(Position::of(match value {
            Value::Object(_) | Value::Array(_) => SCATTERED,
            _ => SECRET,
        }))
    }

    pub(super) fn member(&self, position: &Position, key: &str) -> Position {
        let mut below = Position::default();
        if position.is_nowhere() {
            return below;
        }
        // Each pattern is tried once, in however many schemas it stands. Most keys meet none, and a hash
        // map takes its random state even so.
        let mut known: BTreeMap<usize, Match> = BTreeMap::new();
        for state in position.states() {
            let state = &self.states[state as usize];
            if let Some(named) = state.named.get(key) {
                below.add(*named);
                continue;
            }
            below.add(state.other);
            for patterned in &state.patterned {
                let mut named = false;
                for (pattern, target) in &patterned.patterns {
                    let tried = || self.patterns[*pattern].matches(key);
                    let matched = *known.entry(*pattern).or_insert_with(tried);
                    named |= matched == Match::Yes;
                    if matched != Match::No {
                        below.add(*target);
                    }
                }
                if !named {
                    below.add(patterned.other);
                }
            }
        }
        below
    }

    pub(super) fn element(&self, position: &Position, index: usize) -> Position {
        let mut below = Position::default();
        if position.is_nowhere() {
            return below;
        }
        for state in position.states() {
            let state = &self.states[state as usize];
            below.add(*state.elements.get(index).unwrap_or(&state.other_elements));
        }
        below
    }

    pub(super) fn secret_fields(&self) -> Vec<String> {
        let mut lister = Lister {
            plan: self,
            open: vec![false; self.states.len()],
            pointer: Pointer::default(),
            levels: MAX_DEPTH,
            steps: MAX_FIELDS * 100,
            found: BTreeSet::new(),
        };
        lister.visit(self.start);
        lister.found.into_iter().collect()
    }
}

/// Lists the paths to what is secret.
struct Lister<'p> {
    plan: &'p Plan,
    /// The states on the way from the start: meeting one again means a repetition.
    open: Vec<bool>,
    pointer: Pointer,
    levels: usize,
    /// A schema can have more paths than anybody can list.
    steps: usize,
    found: BTreeSet<String>,
}

impl Lister<'_> {
    fn visit(&mut self, id: StateId) {
        self.steps = self.steps.saturating_sub(1);
        if id == SECRET && self.found.len() < MAX_FIELDS {
            self.found.insert(self.pointer.as_str().to_owned());
            return;
        }
        let done = self.levels == 0 || self.steps == 0;
        if id <= SECRET || self.open[id as usize] || done {
            return;
        }
        self.levels -= 1;
        self.open[id as usize] = true;
        let plan = self.plan;
        let state = &plan.states[id as usize];
        for (key, below) in &state.named {
            let length = self.pointer.push_key(key);
            self.visit(*below);
            self.pointer.pop_to(length);
        }
        for (index, below) in state.elements.iter().enumerate() {
            let length = self.pointer.push_index(index);
            self.visit(*below);
            self.pointer.pop_to(length);
        }
        let patterned = state.patterned.iter().flat_map(|it| {
            it.patterns
                .iter()
                .map(|(_, below)| *below)
                .chain([it.other])
        });
        let length = self.pointer.push_any();
        for below in patterned.chain([state.other, state.other_elements]) {
            self.visit(below);
        }
        self.pointer.pop_to(length);
        self.open[id as usize] = false;
        self.levels += 1;
    }
}
