//! What a document held before this update.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use crate::config::pointer::{Pointer, index, lookup, step, tokens};
use crate::config::{CompiledSpec, Held, node};

/// The stored document an update replaces.
#[derive(Clone, Copy, Debug)]
pub struct Previous<'a> {
    /// The document as stored, with nodes. Members of a node that a platform wrote beside the
    /// coordinate stay with every secret that is kept.
    pub blob: &'a Value,
    /// The references recorded for it.
    pub held: &'a [Held],
    /// The spec that it was put under, where that is another.
    pub spec: Option<&'a CompiledSpec>,
}

/// The previous document, made quick to ask.
#[derive(Default)]
pub(super) struct Stored<'a> {
    pub(super) blob: Option<&'a Value>,
    pub(super) held: &'a [Held],
    spec: Option<&'a CompiledSpec>,
    /// For each of `held`, the arrays around it.
    pub(super) places: Vec<Place>,
    /// For each of `held`, the node that stands at its place.
    pub(super) nodes: Vec<Option<&'a Map<String, Value>>>,
    by_pointer: HashMap<&'a str, usize>,
    by_coordinate: HashMap<&'a str, usize>,
    /// By the id of a platform's row, as its node has it.
    by_reference: HashMap<&'a str, usize>,
    /// Arrays in which a node names another secret than the one recorded at its place, by pointer:
    /// somebody moved their elements.
    misplaced: HashSet<&'a str>,
    /// For each array how many elements it had at least, by the places that are recorded, by pointer.
    recorded: HashMap<&'a str, usize>,
}

/// The arrays around a place in a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// The pointer with `*` for each index; `None` outside arrays. Places with one scope are
    /// elements of one array, or of arrays at one place of one array's elements.
    pub(super) scope: Option<String>,
    /// For each array around it, outermost first, how much of the pointer is the array's own.
    pub(super) arrays: Vec<usize>,
}

impl Place {
    /// The arrays around it by their pointers, outermost first.
    pub(super) fn arrays_of<'p>(&self, pointer: &'p str) -> impl Iterator<Item = &'p str> {
        self.arrays.iter().map(move |length| &pointer[..*length])
    }
}

impl<'a> Stored<'a> {
    pub(super) fn new(previous: Option<Previous<'a>>) -> Self {
        let Some(Previous { blob, held, spec }) = previous else {
            return Self::default();
        };
        let numbered = || held.iter().enumerate();
        let (places, nodes): (Vec<_>, Vec<_>) = held
            .iter()
            .map(|held| place_of(blob, &held.pointer))
            .map(|(place, value)| (place, value.and_then(as_node)))
            .unzip();
        let by_reference = nodes
            .iter()
            .enumerate()
            .filter_map(|(index, node)| Some((node::reference_id((*node)?)?, index)))
            .collect();
        let misplaced = held
            .iter()
            .zip(&nodes)
            .zip(&places)
            .filter(|((held, node), _)| {
                let named = node.and_then(node::coordinate);
                named.is_some_and(|named| named != held.coordinate.as_str())
            })
            .flat_map(|((held, _), place)| place.arrays_of(&held.pointer))
            .collect();
        let mut recorded = HashMap::new();
        for (held, place) in held.iter().zip(&places) {
            for array in place.arrays_of(&held.pointer) {
                let number = element(array, &held.pointer).map_or(0, |index| index + 1);
                let most = recorded.entry(array).or_insert(0);
                *most = number.max(*most);
            }
        }
        Self {
            blob: Some(blob),
            held,
            spec,
            places,
            nodes,
            by_reference,
            misplaced,
            recorded,
            by_pointer: numbered()
                .map(|(index, held)| (held.pointer.as_str(), index))
                .collect(),
            by_coordinate: numbered()
                .map(|(index, held)| (held.coordinate.as_str(), index))
                .collect(),
        }
    }

    /// What was held at a place. Not by the pointer alone: `/a/0` may have been a member then and
    /// be an element now.
    pub(super) fn at(&self, pointer: &str, scope: Option<&str>) -> Option<usize> {
        let index = *self.by_pointer.get(pointer)?;
        (self.places[index].scope.as_deref() == scope).then_some(index)
    }

    /// Whether elements of an array were moved in the stored document, so that its indices say nothing.
    pub(super) fn is_misplaced(&self, array: &str) -> bool {
        self.misplaced.contains(array)
    }

    /// How many elements an array had at least, by the places that are recorded.
    pub(super) fn recorded(&self, array: &str) -> usize {
        self.recorded.get(array).copied().unwrap_or(0)
    }

    /// Whether a node stands at the place of a secret, whatever it names.
    pub(super) fn has_node(&self, held: usize) -> bool {
        self.nodes[held].is_some()
    }

    /// Whether another spec marked the place of a secret as a whole, whatever stood there.
    pub(super) fn was_a_whole(&self, held: usize) -> bool {
        let marks =
            |spec: &CompiledSpec| spec.marks_as_a_whole(self.blob, &self.held[held].pointer);
        self.spec.is_some_and(marks)
    }

    /// Whether the node of a secret stands at its place and names it.
    pub(super) fn is_named(&self, held: usize) -> bool {
        let named = self.nodes[held].and_then(node::coordinate);
        named == Some(self.held[held].coordinate.as_str())
    }

    /// Whether a mask can stand for a secret whose node the stored document lost. Not within an array: an
    /// element is known by the node in it alone. Where the array is gone too, its index looks like a key.
    pub(super) fn a_mask_keeps(&self, held: usize) -> bool {
        let mut tokens = tokens(&self.held[held].pointer).into_iter().flatten();
        !tokens.any(|token| index(&token).is_some())
    }

    /// Whether anything was held at a pointer.
    pub(super) fn holds(&self, pointer: &str) -> bool {
        self.by_pointer.contains_key(pointer)
    }

    /// What a node names: by its coordinate, or by a platform's id where it has no coordinate.
    pub(super) fn named_by(&self, members: &Map<String, Value>) -> Option<usize> {
        match node::coordinate(members) {
            Some(coordinate) => self.by_coordinate.get(coordinate),
            None => self.by_reference.get(node::reference_id(members)?),
        }
        .copied()
    }

    /// What stood at a pointer of the stored document.
    pub(super) fn value(&self, pointer: &str) -> Option<&'a Value> {
        lookup(self.blob?, pointer)
    }

    /// What stood at a place of the stored document; see [`Stored::at`].
    pub(super) fn value_at(&self, pointer: &str, scope: Option<&str>) -> Option<&'a Value> {
        let (place, value) = place_of(self.blob?, pointer);
        value.filter(|_| place.scope.as_deref() == scope)
    }
}

/// The index in an array that a pointer leads through.
pub(super) fn element(array: &str, pointer: &str) -> Option<usize> {
    pointer[array.len() + 1..].split('/').next()?.parse().ok()
}

fn as_node(value: &Value) -> Option<&Map<String, Value>> {
    value.as_object().filter(|members| node::is_node(members))
}

/// Follows a pointer to tell indices from keys that look like one; and what stands there.
fn place_of<'v>(blob: &'v Value, pointer: &str) -> (Place, Option<&'v Value>) {
    let mut place = Place::default();
    let mut walked = Walked::default();
    let Some(tokens) = tokens(pointer) else {
        return (place, None);
    };
    let mut at = Some(blob);
    for token in tokens {
        match (at, index(&token)) {
            (Some(Value::Array(_)), Some(index)) => walked.push_index(index),
            _ => walked.push_key(&token),
        };
        at = at.and_then(|value| step(value, &token));
    }
    if !walked.arrays.is_empty() {
        place.scope = Some(walked.scope.as_str().to_owned());
        place.arrays = walked.arrays;
    }
    (place, at)
}

/// A way down a document: its pointer and the arrays around.
#[derive(Default)]
pub(super) struct Walked {
    pub(super) pointer: Pointer,
    pub(super) scope: Pointer,
    pub(super) arrays: Vec<usize>,
}

/// How to come back.
pub(super) struct Mark {
    pointer: usize,
    scope: usize,
    arrays: usize,
}

impl Walked {
    pub(super) fn push_key(&mut self, key: &str) -> Mark {
        let arrays = self.arrays.len();
        let pointer = self.pointer.push_key(key);
        // `~2` is no escape of JSON Pointer's: a key `*` must not look like any index.
        let scope = if key == "*" {
            self.scope.push_raw("~2")
        } else {
            self.scope.push_key(key)
        };
        Mark {
            pointer,
            scope,
            arrays,
        }
    }

    pub(super) fn push_index(&mut self, index: usize) -> Mark {
        let arrays = self.arrays.len();
        let pointer = self.pointer.push_index(index);
        self.arrays.push(pointer);
        Mark {
            pointer,
            scope: self.scope.push_any(),
            arrays,
        }
    }

    pub(super) fn pop_to(&mut self, mark: &Mark) {
        self.pointer.pop_to(mark.pointer);
        self.scope.pop_to(mark.scope);
        self.arrays.truncate(mark.arrays);
    }

    /// The pointer with `*` for each index, in arrays or not.
    pub(super) fn pattern(&self) -> &str {
        self.scope.as_str()
    }

    pub(super) fn scope(&self) -> Option<&str> {
        (!self.arrays.is_empty()).then(|| self.scope.as_str())
    }

    pub(super) fn place(&self) -> Place {
        Place {
            scope: self.scope().map(str::to_owned),
            arrays: self.arrays.clone(),
        }
    }
}
