//! The transaction of one document: its references and its blob as they will be.

use std::collections::BTreeMap;

use cloakroom_core::config::{Held, MAX_TEXT, node, parse_json};
use cloakroom_core::store::{MovedSecret, NewReference, StoredDocument, Switch};
use cloakroom_core::{Coordinate, Error, ErrorKind, Result};
use serde_json::Value;

use super::OPERATION;
use super::document::Route;
use crate::secrets::NewSecret;

/// Lets a document refer to what `homes` has in the place of what it refers to now. `returned` are
/// those among them that a move holds, `written` those that were put for this.
pub(super) fn switch(
    route: &Route<'_>,
    document: &StoredDocument,
    homes: &BTreeMap<Coordinate, Coordinate>,
    returned: &BTreeMap<Coordinate, Coordinate>,
    written: &[NewSecret],
) -> Result<Switch> {
    let here = |coordinate: &Coordinate| (route.entering.clone(), coordinate.clone());
    let home = |held: &Held| {
        (held.backend == *route.leaving)
            .then(|| homes.get(&held.coordinate))
            .flatten()
    };
    let mut blob = parse_json(OPERATION, document.blob.as_bytes())?;
    let mut references = Vec::with_capacity(document.references.len());
    for held in &document.references {
        let (backend, coordinate) = match home(held) {
            Some(to) => {
                rename(&mut blob, held, to).map_err(|error| error.with_coordinate(document.id))?;
                here(to)
            }
            None => (held.backend.clone(), held.coordinate.clone()),
        };
        references.push(NewReference {
            pointer: held.pointer.clone(),
            backend,
            coordinate,
            array_digest: held.array_digest.clone(),
        });
    }
    let blob = blob.to_string();
    if blob.len() > MAX_TEXT {
        let message = format!(
            "with the new coordinates it has {} bytes and may have {MAX_TEXT}",
            blob.len()
        );
        return Err(
            Error::new(ErrorKind::TooLarge, OPERATION, message).with_coordinate(document.id)
        );
    }
    Ok(Switch {
        id: route.id,
        way: route.way,
        document: document.id,
        revision: document.revision,
        blob,
        references,
        intended: written.iter().filter_map(NewSecret::intended).collect(),
        returned: returned.values().map(here).collect(),
        moved: homes
            .iter()
            .map(|(from, to)| MovedSecret {
                from: from.clone(),
                to: to.clone(),
            })
            .collect(),
    })
}

/// Puts a node for another coordinate in the place of a reference's node. What stood beside the old
/// coordinate goes with it: it was about that.
fn rename(blob: &mut Value, held: &Held, to: &Coordinate) -> Result<()> {
    let stands = node(&held.coordinate, held.kind);
    let is_its_node = |place: &&mut Value| {
        let members = stands.as_object().into_iter().flatten();
        let mut members = members.map(|(key, value)| (key, Some(value)));
        members.all(|(key, value)| place.get(key) == value)
    };
    let place = blob.pointer_mut(&held.pointer).filter(is_its_node);
    let place = place.ok_or_else(|| {
        let message = format!(
            "its stored blob has no node for the secret at {}; run verify-blobs, and put the whole \
             configuration again to repair it",
            held.pointer
        );
        Error::new(ErrorKind::Corrupt, OPERATION, message)
    })?;
    *place = node(to, held.kind);
    Ok(())
}
