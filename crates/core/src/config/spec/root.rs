//! What a spec says of a whole configuration: nearly always that it is an object.

use super::kinds::Kinds;
use super::reader::Arena;

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
    let mut seen = vec![false; arena.schemas.len()];
    let mut left = vec![0];
    let mut object = false;
    while let Some(id) = left.pop() {
        if std::mem::replace(&mut seen[id as usize], true) {
            continue;
        }
        let schema = &arena.schemas[id as usize];
        let otherwise = schema.types.is_some_and(Kinds::go_beyond_objects);
        if schema.secret || otherwise || schema.describes_elements() {
            return false;
        }
        object |= schema
            .types
            .is_some_and(|types| types.contain(Kinds::OBJECT))
            || schema.describes_members();
        left.extend(schema.in_place());
    }
    object
}
