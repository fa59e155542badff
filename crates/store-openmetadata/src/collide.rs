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
    /// Whether the secrets are one already.
    pub sharing: Sharing,
    /// The field that was read first.
    pub first: Place,
    /// The other one.
    pub second: Place,
}

/// How two fields share an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sharing {
    /// Both refer to it.
    Now,
    /// One of them, or both, will with the next value that is saved there.
    NextSave,
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
        let first = format!(
            "{} of {} ({})",
            self.first.pointer,
            self.first
                .title
                .as_deref()
                .unwrap_or("a row without a name"),
            self.first.column
        );
        let id = &self.id;
        let detail = match self.sharing {
            Sharing::Now => format!(
                "the secret of this field and of {first} is one, {id}: saving either overwrites the other's; give one \
                 of them another name"
            ),
            Sharing::NextSave => format!(
                "the next value that is saved in this field or in {first} overwrites the other's: OpenMetadata writes \
                 it under {id}, which is the other's id as well, though not both refer to it yet; give one of them \
                 another name"
            ),
        };
        Defect {
            kind: DefectKind::Collision,
            column,
            row,
            title,
            workspace: None,
            tombstone: false,
            pointer: Some(pointer),
            detail,
        }
    }
}

/// As many collisions as are told; more are only counted.
const MOST_TOLD: usize = 1000;

/// The ids of a field, which are one where nothing was renamed since it was saved.
pub(crate) struct FieldIds {
    /// The one it refers to.
    pub(crate) now: Option<String>,
    /// The one under which the next value is saved that it is given.
    pub(crate) next: Option<String>,
}

/// Every id that was met, by half its digest, with the field that has it.
pub(crate) struct Collisions {
    seen: HashMap<[u8; 16], Seen>,
    /// The fields that are held against others, each once.
    fields: Vec<Place>,
    /// As many of them as there may be.
    most: usize,
    pub(crate) told: Vec<Collision>,
    pub(crate) count: u64,
    /// Fields that were not held against the others.
    pub(crate) unseen: u64,
}

/// Whose an id is.
#[derive(Clone, Copy)]
struct Seen {
    /// By index.
    field: usize,
    sharing: Sharing,
}

impl Collisions {
    pub(crate) fn new(most: u32) -> Self {
        Self {
            seen: HashMap::new(),
            fields: Vec::new(),
            most: most as usize,
            told: Vec::new(),
            count: 0,
            unseen: 0,
        }
    }

    /// Holds a field against all others by both its ids. Two fields are one collision, whichever ids they share.
    pub(crate) fn add(&mut self, ids: FieldIds, place: Place) {
        let FieldIds { now, next } = ids;
        let next = next.filter(|it| now.as_ref() != Some(it));
        let of_both = [(now, Sharing::Now), (next, Sharing::NextSave)];
        let of_both = of_both
            .into_iter()
            .filter_map(|(id, sharing)| Some((id?, sharing)));
        let (mut new, mut told_with) = (Vec::new(), None);
        for (id, sharing) in of_both {
            let digest = half_digest(&id);
            let Some(first) = self.seen.get(&digest).copied() else {
                new.push((digest, sharing));
                continue;
            };
            if told_with.replace(first.field) != Some(first.field) {
                self.tell(id, first, sharing, &place);
            }
        }
        if new.is_empty() {
            return;
        }
        if self.fields.len() >= self.most {
            self.unseen += 1;
            return;
        }
        let field = self.fields.len();
        self.fields.push(place);
        let seen = |(digest, sharing)| (digest, Seen { field, sharing });
        self.seen.extend(new.into_iter().map(seen));
    }

    fn tell(&mut self, id: String, first: Seen, sharing: Sharing, second: &Place) {
        self.count += 1;
        if self.told.len() < MOST_TOLD {
            self.told.push(Collision {
                id,
                sharing: first.sharing.max(sharing),
                first: self.fields[first.field].clone(),
                second: second.clone(),
            });
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

    fn ids(now: &str, next: &str) -> FieldIds {
        let some = |id: &str| (!id.is_empty()).then(|| id.to_owned());
        FieldIds {
            now: some(now),
            next: some(next),
        }
    }

    fn told(collisions: &Collisions) -> Vec<(&str, &str, Sharing)> {
        let told = collisions.told.iter();
        told.map(|it| (&*it.first.pointer, &*it.second.pointer, it.sharing))
            .collect()
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
            collisions.add(ids(id, ""), place(pointer));
        }
        let pairs = [("/1", "/3", Sharing::Now), ("/1", "/5", Sharing::Now)];
        assert_eq!(told(&collisions), pairs);
        assert_eq!((collisions.count, collisions.unseen), (2, 1));
    }

    #[test]
    fn two_fields_are_one_collision_by_whichever_ids() {
        for (first, second, sharing) in [
            (ids("a", "b"), ids("a", "b"), Some(Sharing::Now)),
            (ids("a", "b"), ids("b", "a"), Some(Sharing::NextSave)),
            (ids("a", "b"), ids("c", "b"), Some(Sharing::NextSave)),
            (ids("a", "b"), ids("c", "a"), Some(Sharing::NextSave)),
            (ids("a", "a"), ids("", "a"), Some(Sharing::NextSave)),
            (ids("", "a"), ids("a", "c"), Some(Sharing::NextSave)),
            (ids("a", "a"), ids("a", "a"), Some(Sharing::Now)),
            (ids("a", "b"), ids("c", "d"), None),
        ] {
            let mut collisions = Collisions::new(10);
            collisions.add(first, place("/1"));
            collisions.add(second, place("/2"));
            let expected: Vec<_> = sharing.iter().map(|it| ("/1", "/2", *it)).collect();
            assert_eq!(told(&collisions), expected);
            assert_eq!(
                (collisions.count, collisions.unseen),
                (expected.len() as u64, 0)
            );
        }
    }

    #[test]
    fn a_field_may_collide_with_two() {
        let mut collisions = Collisions::new(10);
        for (field, pointer) in [
            (ids("a", "a"), "/1"),
            (ids("b", "b"), "/2"),
            (ids("a", "b"), "/3"),
        ] {
            collisions.add(field, place(pointer));
        }
        let pairs = [("/1", "/3", Sharing::Now), ("/2", "/3", Sharing::NextSave)];
        assert_eq!(told(&collisions), pairs);
    }
}
