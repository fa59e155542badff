//! Schemas that lead back to themselves at the same place: they describe nothing, and what stands
//! there would be stored in clear although the spec means to say something about it.

use super::invalid;
use super::reader::{Arena, SchemaId};
use crate::error::Result;

/// Refuses such a schema by the reference that leads back. One that goes on at a place below is a
/// tree, and allowed.
pub(super) fn refuse(arena: &Arena) -> Result<()> {
    let endless = endless(arena);
    let Some(start) = endless.iter().position(|endless| *endless) else {
        return Ok(());
    };
    let pointer = reference_of_the_loop(arena, &endless, start).unwrap_or_default();
    Err(invalid(
        pointer,
        "leads back to itself at the same place, so that nothing says what belongs there; \
         refer to a schema that does",
    ))
}

/// Which schemas can be followed for ever without going to a place below.
fn endless(arena: &Arena) -> Vec<bool> {
    let mut origins: Vec<Vec<usize>> = vec![Vec::new(); arena.schemas.len()];
    let mut ways = vec![0_usize; arena.schemas.len()];
    for (origin, ways) in ways.iter_mut().enumerate() {
        for (next, _) in steps(arena, origin) {
            origins[next].push(origin);
            *ways += 1;
        }
    }
    // What leads nowhere is taken away until nothing else does.
    let mut left: Vec<usize> = (0..ways.len()).filter(|&id| ways[id] == 0).collect();
    while let Some(id) = left.pop() {
        for &origin in &origins[id] {
            ways[origin] -= 1;
            if ways[origin] == 0 {
                left.push(origin);
            }
        }
    }
    ways.into_iter().map(|ways| ways > 0).collect()
}

/// Where the first reference stands on the loop that `start` leads into. Only references lead back,
/// so there is one.
fn reference_of_the_loop<'a>(arena: &'a Arena, endless: &[bool], start: usize) -> Option<&'a str> {
    let mut met: Vec<Option<usize>> = vec![None; endless.len()];
    let mut way = Vec::new();
    let mut at = start;
    while met[at].is_none() {
        met[at] = Some(way.len());
        let (next, reference) = steps(arena, at).find(|(next, _)| endless[*next])?;
        way.push(reference);
        at = next;
    }
    way[met[at]?..].iter().find_map(|reference| *reference)
}

/// The schemas that surely apply to the same place, with the pointer of the reference that says so.
fn steps(arena: &Arena, id: usize) -> impl Iterator<Item = (usize, Option<&str>)> {
    let schema = &arena.schemas[id];
    let beside = schema.beside.iter().map(|next| (index(*next), None));
    // Where a name may mean several schemas, each is looked at and none is certain.
    let references = schema
        .references
        .iter()
        .filter(|reference| reference.targets.len() == 1)
        .map(|reference| {
            (
                index(reference.targets[0]),
                Some(reference.pointer.as_str()),
            )
        });
    beside.chain(references)
}

fn index(id: SchemaId) -> usize {
    id as usize
}
