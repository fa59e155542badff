//! The fields of a row that are to be taken along, and those that are where they are to be.

use cloakroom_core::config::{is_mask, parse_document};
use cloakroom_core::{Error, ErrorKind, Result, SecretValue};

use super::reading::{Held, held};
use super::two_values::Has;
use super::whereabouts::Whereabouts;
use super::{
    FieldPlace, MigrationReport, OPERATION, Place, Placed, ReferencePlace, SecretsMigration, Side,
};
use crate::entity::{About, EntityTable, each_text};
use crate::stored::{Reference, Stored};
use crate::writer::Target;

pub(super) const MASKED: &str = "the mask was saved in place of the secret; save it again";

/// What a row has.
#[derive(Default)]
pub(super) struct Found {
    pub(super) about: About,
    pub(super) fields: Vec<Field>,
    /// Pointers and ids of fields that were switched before.
    pub(super) there: Vec<(String, String)>,
    /// Pointers of fields whose values are where they are to be, in the database.
    values_there: Vec<(String, SecretValue)>,
    /// Those of fields that refer to what the deployment could have made on neither side, but in a third place.
    of_a_third: Vec<(String, String)>,
}

/// A field to be taken along.
pub(super) struct Field {
    pub(super) pointer: String,
    /// Its id where it is to be.
    pub(super) id: Option<String>,
    /// Its id where it is.
    pub(super) from: Option<String>,
    pub(super) holds: Stored,
}

impl SecretsMigration {
    /// The fields of a row that are to be taken along.
    pub(super) fn fields(
        &self,
        target: &Target,
        entities: &EntityTable,
        (row, text): (&str, &SecretValue),
        told: &mut MigrationReport,
    ) -> Found {
        let mut found = Found::default();
        let mut issues = Vec::new();
        let mut tell = |pointer: &str, id: Option<&str>, kind, message: &str| {
            let place = FieldPlace::at(target, row, pointer);
            let error = Error::new(kind, OPERATION, message.to_owned());
            issues.push(place.issue(id, &error));
        };
        let Ok(entity) = parse_document(text.expose()) else {
            let message = "it is no JSON, nested too deep, or too large";
            tell("", None, ErrorKind::Invalid, message);
            told.issues_of(issues);
            return found;
        };
        found.about = About::of(&entity);
        let keys = &self.ground.options.keys;
        let (mut own, mut elsewhere) = (Vec::new(), 0);
        each_text(&entity, |leaf| {
            let holds = match held(leaf, entities, keys) {
                None => return,
                Some(Held::Closed) => {
                    let message = keys.words_of_unopened();
                    return tell(leaf.pointer, None, ErrorKind::Corrupt, &message);
                }
                Some(Held::Prose) => {
                    elsewhere += 1;
                    return;
                }
                Some(Held::Stored(holds)) => holds,
            };
            let from = match (&self.from.side, &holds) {
                (Side::Database, Stored::Value(value)) => {
                    if value.expose_text().is_some_and(is_mask) {
                        return tell(leaf.pointer, None, ErrorKind::Invalid, MASKED);
                    }
                    None
                }
                (_, Stored::Reference(reference)) if self.is_there(reference) => {
                    found
                        .there
                        .push((leaf.pointer.to_owned(), reference.id().to_owned()));
                    return;
                }
                (_, Stored::Reference(reference)) if self.from.made(reference.id()) => {
                    Some(reference.id().to_owned())
                }
                (_, Stored::Reference(reference)) if self.made_somewhere(reference.id()) => {
                    let third = (leaf.pointer.to_owned(), reference.id().to_owned());
                    return found.of_a_third.push(third);
                }
                (_, Stored::Reference(_)) => {
                    return own.push(ReferencePlace::new(target, row, leaf.pointer));
                }
                (Side::Manager { .. }, Stored::Value(value))
                    if matches!(self.to.side, Side::Database) =>
                {
                    let there = (leaf.pointer.to_owned(), value.clone());
                    return found.values_there.push(there);
                }
                (_, Stored::Null) | (Side::Manager { .. }, Stored::Value(_)) => return,
            };
            let named = found.about.name.as_deref().filter(|_| !leaf.in_list);
            let ids = self.to.ids.as_ref();
            let id = match (ids, named) {
                (Some(ids), Some(name)) => entities.id(ids, name, leaf.path),
                (None, _) | (Some(_), None) => None,
            };
            if let Some(ids) = ids {
                let message = match &id {
                    None => "OpenMetadata has no id for what stands there; save the field anew",
                    Some(id) if ids.check(id).is_none() => {
                        "a service of a type that is not known here, or a field of whose name nothing is left in an \
                         id of the new place: nothing would bring its secret back"
                    }
                    Some(_) => "",
                };
                if !message.is_empty() {
                    let kind = ErrorKind::Unsupported;
                    return tell(leaf.pointer, from.as_deref(), kind, message);
                }
            }
            found.fields.push(Field {
                pointer: leaf.pointer.to_owned(),
                id,
                from,
                holds,
            });
        });
        told.own_ones(own);
        told.elsewhere += elsewhere;
        told.issues_of(issues);
        found
    }

    /// Whether a reference leads to where secrets are taken, and not to where they come from.
    fn is_there(&self, reference: &Reference) -> bool {
        self.to.made(reference.id()) && !self.from.made(reference.id())
    }

    /// What references do not tell where two managers give one id, or could have given each other's.
    pub(super) async fn by_whereabouts(
        &self,
        target: &Target,
        row: &str,
        found: Found,
        told: &mut MigrationReport,
    ) -> Result<Found> {
        let mut sorted = Found {
            about: found.about,
            ..Found::default()
        };
        for field in found.fields {
            let Some(id) = &field.from else {
                sorted.fields.push(field);
                continue;
            };
            let place = FieldPlace::at(target, row, &field.pointer);
            let secret = self.whereabouts(place, id).await?;
            // By the same way, and under another id than it had: of one id on both sides the values tell.
            let went_there = matches!(&secret, Whereabouts::Taken(it)
                if it.from == self.from.side.word() && it.from_name.as_ref() != Some(id));
            if went_there && secret.is_at(&self.to) {
                match self.refuse_two_values(id).await {
                    Ok(()) => sorted.there.push((field.pointer.clone(), id.clone())),
                    Err(error) => told.issue(place.issue(Some(id), &error)),
                }
                continue;
            }
            let refused = match secret.refuse_elsewhere(&[&self.from, &self.to], id) {
                Ok(()) => self.refuse_what_is_gone_from_there(&secret, id).await?,
                refused => refused,
            };
            match refused {
                Ok(()) => sorted.fields.push(field),
                Err(error) => told.issue(place.issue(Some(id), &error)),
            }
        }
        for (pointer, id) in found.there {
            let place = FieldPlace::at(target, row, &pointer);
            let secret = self.whereabouts(place, &id).await?;
            let refused = match secret.refuse_elsewhere(&[&self.to], &id) {
                Ok(()) => {
                    let has = Has::Reference(&id);
                    self.refuse_what_came_from_elsewhere(place, has).await
                }
                refused => refused,
            };
            match refused {
                Ok(()) => sorted.there.push((pointer, id)),
                Err(error) => told.issue(place.issue(Some(&id), &error)),
            }
        }
        for (pointer, value) in found.values_there {
            let place = FieldPlace::at(target, row, &pointer);
            let has = Has::Value(&value);
            if let Err(error) = self.refuse_what_came_from_elsewhere(place, has).await {
                told.issue(place.issue(None, &error));
            }
        }
        for (pointer, id) in found.of_a_third {
            let place = FieldPlace::at(target, row, &pointer);
            match self
                .refuse_of_a_third(place, &id, [&self.from, &self.to])
                .await
            {
                Ok(()) => told.own_ones(vec![ReferencePlace::new(target, row, &pointer).to(&id)]),
                Err(error) => told.issue(place.issue(Some(&id), &error)),
            }
        }
        Ok(sorted)
    }

    /// `Missing` where OpenMetadata keeps its secrets where they are taken, a run took this one there, and it is gone: it may
    /// have been another one by then than the one that is still where it came from.
    async fn refuse_what_is_gone_from_there(
        &self,
        secret: &Whereabouts,
        id: &str,
    ) -> Result<Result<()>> {
        let Whereabouts::Taken(taken) = secret else {
            return Ok(Ok(()));
        };
        let was_taken = secret.is_at(&self.to) && taken.from_name.as_deref() == Some(id);
        if !was_taken || !self.is_kept_at(&self.to).await? || self.to.has(id).await? {
            return Ok(Ok(()));
        }
        let [from, to] = [&self.from, &self.to].map(|it| it.side.word());
        let run = taken.migration;
        let message = format!(
            "migration {run} took this to {to}, and it is gone from there; {from} has what it was by then: bring it back in \
             {to}, or enter its value anew; where what {from} has is right, give this command with `--set-to {from}`"
        );
        let gone = Error::new(ErrorKind::Missing, OPERATION, message);
        Ok(Err(gone.with_coordinate(id)))
    }

    /// `Missing` where a field refers to what the deployment could have made in a third place, unless the manager that
    /// OpenMetadata comes from has it: there the user made it.
    pub(super) async fn refuse_of_a_third(
        &self,
        place: FieldPlace<'_>,
        id: &str,
        [left, there]: [&Place; 2],
    ) -> Result<()> {
        let secret = self.whereabouts(place, id).await?;
        secret.refuse_elsewhere(&[left, there], id)?;
        if matches!(left.side, Side::Manager { .. }) && left.has(id).await? {
            return Ok(());
        }
        let message = format!(
            "the field refers to a secret of another manager, which {} does not have: take it to {} from that one first, \
             or enter its value anew",
            there.side.word(),
            left.side.word()
        );
        Err(Error::new(ErrorKind::Missing, OPERATION, message).with_coordinate(id))
    }
}
