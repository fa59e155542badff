//! Marks that no value of a kind can reach: what a schema says of members says nothing of elements, and the other
//! way round, whatever its `type` allows.

use super::kinds::Kinds;
use super::reader::{Arena, Schema, SchemaId};

/// Notes for each schema in what kinds of values it leads to a mark below.
pub(super) fn note_leading(arena: &mut Arena) {
    let leads = leading(arena);
    let leads = |id: SchemaId| leads[id as usize];
    let kinds: Vec<Kinds> = arena
        .schemas
        .iter()
        .map(|schema| {
            let of = |leads, kind| if leads { kind } else { Kinds::NONE };
            of(schema.of_members().any(leads), Kinds::OBJECT)
                | of(schema.of_elements().any(leads), Kinds::ARRAY)
        })
        .collect();
    for (schema, kinds) in arena.schemas.iter_mut().zip(kinds) {
        schema.leads_in = kinds;
    }
}

/// The kinds that schemas which lead to marks in `kinds` do not have in mind although a `type` names them: an
/// array where only members lead to a mark, an object where only elements do.
pub(super) fn unreached(kinds: Kinds) -> Kinds {
    match kinds {
        Kinds::OBJECT => Kinds::ARRAY,
        Kinds::ARRAY => Kinds::OBJECT,
        _ => Kinds::NONE,
    }
}

/// Which schemas mark their place or one below.
fn leading(arena: &Arena) -> Vec<bool> {
    let mut origins: Vec<Vec<usize>> = vec![Vec::new(); arena.schemas.len()];
    for (origin, schema) in arena.schemas.iter().enumerate() {
        for next in following(schema) {
            origins[next as usize].push(origin);
        }
    }
    let mut leads = vec![false; arena.schemas.len()];
    let secret = |id: &usize| arena.schemas[*id].secret;
    let mut left: Vec<usize> = (0..leads.len()).filter(secret).collect();
    while let Some(id) = left.pop() {
        if !std::mem::replace(&mut leads[id], true) {
            left.append(&mut origins[id]);
        }
    }
    leads
}

fn following(schema: &Schema) -> impl Iterator<Item = SchemaId> {
    let below = schema.of_members().chain(schema.of_elements());
    below.chain(schema.in_place())
}
