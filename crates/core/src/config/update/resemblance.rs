//! Whether an edited element of an array has more in common with another element that stood there.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use serde_json::Value;

use crate::config::node;
use crate::config::numbers::Quantity;

/// A text, number or key that more elements had than this says nothing of which one it was. It also keeps the work
/// linear.
const MOST_ALIKE: usize = 64;

/// The texts, numbers and keys that the elements of a stored array had, each with where it stood in its element.
#[derive(Default)]
pub(super) struct Resemblance {
    hasher: RandomState,
    elements: HashMap<u64, Vec<usize>>,
}

impl Resemblance {
    /// Of the elements as they were.
    pub(super) fn of(before: &[Value]) -> Self {
        let mut resemblance = Self::default();
        for (index, element) in before.iter().enumerate() {
            for leaf in resemblance.leaves(element) {
                resemblance.elements.entry(leaf).or_default().push(index);
            }
        }
        resemblance
    }

    /// Whether what stands at `index` now shares more with an element that stood elsewhere than with the one that
    /// stood here.
    pub(super) fn is_of_another(&self, index: usize, element: &Value) -> bool {
        let mut shared: HashMap<usize, usize> = HashMap::new();
        for leaf in self.leaves(element) {
            let alike = self.elements.get(&leaf).map_or(&[][..], Vec::as_slice);
            if alike.len() <= MOST_ALIKE {
                for element in alike {
                    *shared.entry(*element).or_default() += 1;
                }
            }
        }
        let own = shared.get(&index).copied().unwrap_or_default();
        shared.values().any(|shared| *shared > own)
    }

    fn leaves(&self, element: &Value) -> HashSet<u64> {
        let mut leaves = HashSet::new();
        self.collect(element, 0, &mut leaves);
        leaves
    }

    /// Secrets are left out: nodes before, gaps after.
    fn collect(&self, value: &Value, at: u64, leaves: &mut HashSet<u64>) {
        match value {
            // A switch is turned as often as not.
            Value::Null | Value::Bool(_) => {}
            Value::String(text) if text.is_empty() => {}
            Value::String(_) => {
                leaves.insert(self.hasher.hash_one((at, value)));
            }
            Value::Number(number) => {
                leaves.insert(self.hasher.hash_one((at, Quantity::of(number))));
            }
            Value::Object(members) if node::is_node(members) => {}
            Value::Object(members) => {
                for (key, member) in members {
                    let below = self.hasher.hash_one((at, key));
                    // Of two elements one may have `pg` where the other has `my`, and nothing under either.
                    if !is_blank(member) {
                        leaves.insert(below);
                    }
                    self.collect(member, below, leaves);
                }
            }
            Value::Array(items) => {
                let within = self.hasher.hash_one(at);
                for item in items {
                    self.collect(item, within, leaves);
                }
            }
        }
    }
}

/// A secret, or the gap that one left: whether an element has one does not tell which element it is.
fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(members) => node::is_node(members),
        _ => false,
    }
}
