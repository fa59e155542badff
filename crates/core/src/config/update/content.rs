//! What elements of arrays hold beside their secrets, as hashes: tells whether one moved.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use serde_json::Value;

use crate::config::node;
use crate::config::numbers::Quantity;
use crate::config::pointer::Pointer;
use crate::config::spec::{CompiledSpec, Position};

/// By the pointer of each array.
pub(super) type Contents = HashMap<String, Elements>;

/// What the elements of one array hold.
#[derive(Default)]
pub(super) struct Elements {
    pub(super) elements: Vec<u64>,
    /// The same, to be looked up.
    pub(super) set: HashSet<u64>,
}

/// What a secret, and the gap it left, count as.
const BLANK: u64 = 0;

/// Hashes the elements of every array in a document. Hashes made with one hasher can be compared.
pub(super) fn contents(spec: &CompiledSpec, value: &Value, hasher: &RandomState) -> Contents {
    let mut reader = Reader {
        spec,
        hasher,
        pointer: Pointer::default(),
        contents: HashMap::new(),
    };
    reader.visit(value, &spec.start());
    reader.contents
}

struct Reader<'a> {
    spec: &'a CompiledSpec,
    hasher: &'a RandomState,
    pointer: Pointer,
    contents: Contents,
}

impl Reader<'_> {
    fn visit(&mut self, value: &Value, position: &Position) -> u64 {
        let position = &*self.spec.meet(position, value);
        if position.is_secret() {
            return BLANK;
        }
        match value {
            // In a new document null may be the gap that a secret left.
            Value::Null => BLANK,
            Value::Number(number) => self.hasher.hash_one(Quantity::of(number)),
            Value::Bool(_) | Value::String(_) => self.hasher.hash_one(value),
            Value::Object(members) if node::is_node(members) => BLANK,
            Value::Object(members) => {
                // A sum, since the order of members means nothing; a blank member counts as absent,
                // since whether an element has a secret does not tell which one it is.
                let mut sum = 1_u64;
                for (key, member) in members {
                    let length = self.pointer.push_key(key);
                    let content = self.visit(member, &self.spec.member(position, key));
                    self.pointer.pop_to(length);
                    if content != BLANK {
                        sum = sum.wrapping_add(self.hasher.hash_one((key, content)));
                    }
                }
                self.hasher.hash_one(sum)
            }
            Value::Array(items) => {
                let mut elements = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    let length = self.pointer.push_index(index);
                    elements.push(self.visit(item, &self.spec.element(position, index)));
                    self.pointer.pop_to(length);
                }
                let hash = self.hasher.hash_one(&elements);
                let set = elements.iter().copied().collect();
                let pointer = self.pointer.as_str().to_owned();
                self.contents.insert(pointer, Elements { elements, set });
                hash
            }
        }
    }
}
