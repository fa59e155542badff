//! From schemas to a deterministic plan: a state is the set of all schemas that may apply to one
//! place. A schema that refers to itself has finitely many such sets.

use std::collections::{BTreeSet, HashMap};

use super::OPERATION;
use super::kinds::Kinds;
use super::pattern::Match;
use super::plan::{NOWHERE, Patterned, Plan, SCATTERED, SECRET, State, StateId, Tried};
use super::reach::unreached;
use super::reader::{Arena, Schema, SchemaId};
use crate::error::{Error, ErrorKind, Result};

/// The most states; real specs have a few hundred.
const MAX_STATES: usize = 20_000;

/// The most steps from one state to another: bounds the memory of a plan.
const MAX_EDGES: usize = 200_000;

/// The most work one spec may cause, counted in schemas looked at.
const MAX_WORK: usize = 5_000_000;

/// What trying a pattern counts as.
const PATTERN_WORK: usize = 100;

/// Builds the plan.
pub(super) fn determine(arena: &Arena) -> Result<Plan> {
    let mut subsets = Subsets {
        arena,
        ids: HashMap::new(),
        sets: Vec::new(),
        seen: vec![0; arena.schemas.len()],
        round: 0,
        work: MAX_WORK,
        edges: MAX_EDGES,
    };
    // The three states that have no schemas keep their numbers.
    let mut states = vec![State::default(), State::default(), State::scattered()];
    subsets.sets.resize_with(states.len(), Default::default);
    let start = subsets.state_of(&[0])?;
    while let Some(set) = subsets.sets.get(states.len()).cloned() {
        states.push(subsets.expand(&set)?);
    }
    let start = prune(&mut states, start);
    Ok(Plan {
        tried: Tried::of(&states, &arena.patterns),
        states,
        patterns: arena.patterns.clone(),
        start,
    })
}

/// The schemas that may apply to one place and say something about it or about places below, and the
/// kinds of values that these and all others have in mind.
type Subset = (Vec<SchemaId>, Kinds);

struct Subsets<'a> {
    arena: &'a Arena,
    ids: HashMap<Subset, StateId>,
    /// That of each state.
    sets: Vec<Subset>,
    /// In which round a schema was last met.
    seen: Vec<u32>,
    round: u32,
    work: usize,
    edges: usize,
}

impl Subsets<'_> {
    fn spend(&mut self, work: usize) -> Result<()> {
        self.work = self.work.checked_sub(work).ok_or_else(too_complex)?;
        Ok(())
    }

    fn edge(&mut self, schemas: &[SchemaId]) -> Result<StateId> {
        self.edges = self.edges.checked_sub(1).ok_or_else(too_complex)?;
        self.state_of(schemas)
    }

    /// The state of a place to which `schemas` apply, with everything that applies beside them.
    fn state_of(&mut self, schemas: &[SchemaId]) -> Result<StateId> {
        self.round += 1;
        let mut left = schemas.to_vec();
        let mut set = Vec::new();
        let mut kinds = Kinds::NONE;
        // By schemas that leave it to others what such a value holds.
        let mut left_to_others = Kinds::NONE;
        let mut leads_in = Kinds::NONE;
        while let Some(id) = left.pop() {
            self.spend(1)?;
            if std::mem::replace(&mut self.seen[id as usize], self.round) == self.round {
                continue;
            }
            let schema = &self.arena.schemas[id as usize];
            if schema.secret {
                // The whole value is the secret: what is below does not matter.
                return Ok(SECRET);
            }
            if schema.in_place().next().is_some() {
                left_to_others = left_to_others | schema.kinds();
            } else {
                kinds = kinds | schema.kinds();
            }
            leads_in = leads_in | schema.leads_in;
            if !schema.is_inert() {
                set.push(id);
            }
            let before = left.len();
            left.extend(schema.in_place());
            self.spend(left.len() - before)?;
        }
        if set.is_empty() {
            return Ok(NOWHERE);
        }
        set.sort_unstable();
        let kinds = kinds | left_to_others.without(unreached(leads_in));
        let set = (set, kinds);
        if let Some(known) = self.ids.get(&set) {
            return Ok(*known);
        }
        let id = self.sets.len();
        if id >= MAX_STATES {
            return Err(too_complex());
        }
        let state = StateId::try_from(id).map_err(|_| too_complex())?;
        self.ids.insert(set.clone(), state);
        self.sets.push(set);
        Ok(state)
    }

    fn expand(&mut self, (set, kinds): &Subset) -> Result<State> {
        let arena = self.arena;
        let schemas: Vec<_> = set.iter().map(|id| &arena.schemas[*id as usize]).collect();
        let mut state = State {
            kinds: *kinds,
            ..State::default()
        };

        let names: BTreeSet<_> = schemas
            .iter()
            .flat_map(|schema| schema.properties.keys())
            .collect();
        for name in names {
            let mut below = Vec::new();
            for schema in &schemas {
                self.spend(1 + schema.patterns.len() * PATTERN_WORK)?;
                self.add_named(schema, name, &mut below);
            }
            let below = self.edge(&below)?;
            state.named.insert(name.as_str().into(), below);
        }

        let plain = schemas.iter().filter(|schema| schema.patterns.is_empty());
        let other: Vec<_> = plain
            .flat_map(|schema| &schema.other_members)
            .copied()
            .collect();
        state.other = self.edge(&other)?;
        for schema in schemas.iter().filter(|schema| !schema.patterns.is_empty()) {
            let mut patterns = Vec::new();
            for (pattern, below) in &schema.patterns {
                patterns.push((*pattern, self.edge(&[*below])?));
            }
            let other = self.edge(&schema.other_members)?;
            state.patterned.push(Patterned { patterns, other });
        }

        let tuples = schemas.iter().flat_map(|schema| &schema.tuples);
        let longest = tuples.map(Vec::len).max().unwrap_or(0);
        for index in 0..=longest {
            let mut below = Vec::new();
            for schema in &schemas {
                self.spend(1 + schema.tuples.len())?;
                add_element(schema, index, &mut below);
            }
            let below = self.edge(&below)?;
            state.elements.push(below);
        }
        // Behind the longest tuple every index is alike.
        state.other_elements = state.elements.pop().unwrap_or(NOWHERE);
        Ok(state)
    }

    /// What applies to a member of that name, patterns decided now rather than in each walk.
    fn add_named(&self, schema: &Schema, name: &str, below: &mut Vec<SchemaId>) {
        let property = schema.properties.get(name);
        below.extend(property);
        let mut named = property.is_some();
        for (pattern, target) in &schema.patterns {
            let matched = self.arena.patterns[*pattern].matches(name);
            named |= matched == Match::Yes;
            if matched != Match::No {
                below.push(*target);
            }
        }
        if !named {
            below.extend(&schema.other_members);
        }
    }
}

fn add_element(schema: &Schema, index: usize, below: &mut Vec<SchemaId>) {
    below.extend(&schema.elements);
    below.extend(schema.tuples.iter().filter_map(|tuple| tuple.get(index)));
    let inside = !schema.tuples.is_empty() && schema.tuples.iter().all(|tuple| index < tuple.len());
    if !inside {
        below.extend(&schema.other_elements);
    }
}

/// Sends every edge from which no secret can be reached to [`NOWHERE`], so that walks stop looking
/// there. Returns where the walk starts now.
fn prune(states: &mut [State], start: StateId) -> StateId {
    let mut origins: Vec<Vec<StateId>> = vec![Vec::new(); states.len()];
    for (origin, state) in (0..).zip(states.iter()) {
        for below in edges(state) {
            origins[below as usize].push(origin);
        }
    }
    let mut leads = vec![false; states.len()];
    let mut left = vec![SECRET, SCATTERED];
    for state in &left {
        leads[*state as usize] = true;
    }
    while let Some(state) = left.pop() {
        for origin in std::mem::take(&mut origins[state as usize]) {
            if !std::mem::replace(&mut leads[origin as usize], true) {
                left.push(origin);
            }
        }
    }
    let kept = |id: StateId| if leads[id as usize] { id } else { NOWHERE };
    for (state, leads) in states.iter_mut().zip(&leads) {
        if !leads {
            *state = State::default();
            continue;
        }
        state.other = kept(state.other);
        state.other_elements = kept(state.other_elements);
        state
            .elements
            .iter_mut()
            .for_each(|below| *below = kept(*below));
        for patterned in &mut state.patterned {
            patterned.other = kept(patterned.other);
            patterned
                .patterns
                .iter_mut()
                .for_each(|(_, below)| *below = kept(*below));
        }
        let leads_anyhow = |it: &Patterned| {
            it.other != NOWHERE || it.patterns.iter().any(|(_, below)| *below != NOWHERE)
        };
        state.patterned.retain(leads_anyhow);
        // A name that leads nowhere still has to keep its key from the others.
        let alone = state.other == NOWHERE && state.patterned.is_empty();
        state
            .named
            .values_mut()
            .for_each(|below| *below = kept(*below));
        state.named.retain(|_, below| !alone || *below != NOWHERE);
        state.named.shrink_to_fit();
    }
    kept(start)
}

fn edges(state: &State) -> impl Iterator<Item = StateId> {
    let patterned = state.patterned.iter();
    let patterned =
        patterned.flat_map(|it| it.patterns.iter().map(|(_, id)| *id).chain([it.other]));
    let named = state.named.values().copied();
    let elements = state.elements.iter().copied();
    named
        .chain(elements)
        .chain(patterned)
        .chain([state.other, state.other_elements])
}

fn too_complex() -> Error {
    Error::new(
        ErrorKind::Invalid,
        OPERATION,
        "the schema is too complex: its alternatives combine in too many ways",
    )
}
