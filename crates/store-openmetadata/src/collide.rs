//! Fields that share an id, and so overwrite each other's secret.

use std::collections::HashMap;

use cloakroom_core::platform::{Defect, DefectKind};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// A field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Place {
    /// The table and column, as `schema.table.column`.
    pub column: String,
    /// The row's id, where it has one that is a UUID.
    pub row: Option<Uuid>,
    /// What the row is called.
    pub title: Option<String>,
    /// Where in the column's JSON.
    pub pointer: String,
}

/// Two fields and the one id they have. Of three there are two collisions, each with the first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Collision {
    /// The id.
    pub id: String,
    /// The field that was read first.
    pub first: Place,
    /// The other one.
    pub second: Place,
}

impl Collision {
    /// The same as a defect of the second field.
    pub(crate) fn defect(&self) -> Defect {
        let Place {
            column,
            row,
            title,
            pointer,
        } = self.second.clone();
        let first = &self.first;
        Defect {
            kind: DefectKind::Collision,
            column,
            row,
            title,
            workspace: None,
            tombstone: false,
            pointer: Some(pointer),
            detail: format!(
                "the secret of this field and of {} of {} ({}) is one, {}: saving either overwrites the \
                 other's; give one of them another name",
                first.pointer,
                first.title.as_deref().unwrap_or("a row without a name"),
                first.column,
                self.id
            ),
        }
    }
}

/// As many collisions as are told; more are only counted.
const MOST_TOLD: usize = 1000;

/// Every id that was met, by half its digest, with the field that has it.
pub(crate) struct Collisions {
    seen: HashMap<[u8; 16], Place>,
    /// As many fields as are held against each other.
    most: usize,
    pub(crate) told: Vec<Collision>,
    pub(crate) count: u64,
    /// Fields that were not held against the others.
    pub(crate) unseen: u64,
}

impl Collisions {
    pub(crate) fn new(most: u32) -> Self {
        Self {
            seen: HashMap::new(),
            most: most as usize,
            told: Vec::new(),
            count: 0,
            unseen: 0,
        }
    }

    pub(crate) fn add(&mut self, id: String, place: Place) {
        let digest = half_digest(&id);
        if let Some(first) = self.seen.get(&digest) {
            self.count += 1;
            if self.told.len() < MOST_TOLD {
                self.told.push(Collision {
                    id,
                    first: first.clone(),
                    second: place,
                });
            }
        } else if self.seen.len() < self.most {
            self.seen.insert(digest, place);
        } else {
            self.unseen += 1;
        }
    }
}

/// Half of a text's digest, which is as good as the text for telling it from others.
pub(crate) fn half_digest(id: &str) -> [u8; 16] {
    let digest: [u8; 32] = Sha256::digest(id.as_bytes()).into();
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    half
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(pointer: &str) -> Place {
        Place {
            column: "public.dbservice_entity.json".to_owned(),
            row: None,
            title: None,
            pointer: pointer.to_owned(),
        }
    }

    #[test]
    fn both_fields_are_told() {
        let mut collisions = Collisions::new(2);
        for (id, pointer) in [
            ("a", "/1"),
            ("b", "/2"),
            ("a", "/3"),
            ("c", "/4"),
            ("a", "/5"),
        ] {
            collisions.add(id.to_owned(), place(pointer));
        }
        let told = collisions.told.iter();
        let pairs: Vec<_> = told
            .map(|it| (&*it.first.pointer, &*it.second.pointer))
            .collect();
        assert_eq!(pairs, [("/1", "/3"), ("/1", "/5")]);
        assert_eq!((collisions.count, collisions.unseen), (2, 1));
    }
}
