//! What a spec says of a whole configuration: nearly always that it is an object, with these members.

use std::collections::HashSet;

use super::kinds::Kinds;
use super::pattern::{Match, Pattern};
use super::reader::{Arena, Schema};

/// The members of a whole configuration that a spec says something of.
pub(super) struct Known {
    names: HashSet<String>,
    patterns: Vec<Pattern>,
    /// Any, where one schema is for all the others.
    all: bool,
}

impl Known {
    pub(super) fn of(arena: &Arena) -> Self {
        let mut known = Self {
            names: HashSet::new(),
            patterns: Vec::new(),
            all: false,
        };
        each_at_the_root(arena, |schema| {
            known.names.extend(schema.properties.keys().cloned());
            let patterns = schema.patterns.iter();
            let patterns = patterns.map(|(pattern, _)| arena.patterns[*pattern].clone());
            known.patterns.extend(patterns);
            // `true` allows any and says nothing of it.
            let mut others = schema.other_members.iter();
            known.all |=
                schema.secret || others.any(|other| arena.schemas[*other as usize].says_anything());
            true
        });
        known
    }

    pub(super) fn has(&self, member: &str) -> bool {
        let mut patterns = self.patterns.iter();
        self.all
            || self.names.contains(member)
            || patterns.any(|pattern| pattern.matches(member) != Match::No)
    }
}

/// Whether the spec describes anything but an object: of one it could not tell what is secret.
pub(super) fn is_never_an_object(arena: &Arena) -> bool {
    let root = arena.schemas.first();
    root.is_some_and(|root| {
        !root.secret
            && root
                .types
                .is_some_and(|types| !types.contain(Kinds::OBJECT))
    })
}

/// Whether the spec describes an object and nothing else. A document that is none has no field that
/// could be secret.
pub(super) fn is_an_object(arena: &Arena) -> bool {
    let Some(root) = arena.schemas.first() else {
        return false;
    };
    if root.types == Some(Kinds::OBJECT) && !root.secret {
        return true;
    }
    let mut object = false;
    each_at_the_root(arena, |schema| {
        let otherwise = schema.types.is_some_and(Kinds::go_beyond_objects);
        if schema.secret || otherwise || schema.describes_elements() {
            return false;
        }
        object |= schema
            .types
            .is_some_and(|types| types.contain(Kinds::OBJECT))
            || schema.describes_members();
        true
    }) && object
}

/// Visits every schema that may apply to the whole configuration, until one is enough; tells whether none was.
fn each_at_the_root<'a>(arena: &'a Arena, mut visit: impl FnMut(&'a Schema) -> bool) -> bool {
    let mut seen = vec![false; arena.schemas.len()];
    let mut left = vec![0];
    while let Some(id) = left.pop() {
        if std::mem::replace(&mut seen[id as usize], true) {
            continue;
        }
        let schema = &arena.schemas[id as usize];
        if !visit(schema) {
            return false;
        }
        left.extend(schema.in_place());
    }
    true
}
