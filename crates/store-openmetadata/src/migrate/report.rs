//! What a run tells of what it did.

use cloakroom_core::MoveId;
use cloakroom_core::platform::{MigratedField, Obstacle};
use serde::Serialize;

use crate::collide::Collision;
use crate::writer::{RowKey, Target};

/// As many issues as are told one by one.
const MOST_TOLD: usize = 10_000;

/// What was done, or would be. Holds no value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MigrationReport {
    /// Its id, for taking it back; none in a dry run.
    pub id: Option<MoveId>,
    /// Fields that were switched, or would be. Where both managers have one id for a secret, the field
    /// stays as it is.
    pub moved: u64,
    /// The same one by one; at most ten thousand.
    pub items: Vec<MigrationItem>,
    /// Values read behind the writing of them and found equal.
    pub verified: u64,
    /// Fields that held nothing in the manager, and hold nothing now.
    pub nothing: u64,
    /// References that are none of the deployment's, to secrets that the user made: they stay as they are, and are
    /// in nobody's way.
    pub own: u64,
    /// Where they are; at most ten thousand. Into the database they have to be taken by hand.
    pub own_references: Vec<ReferencePlace>,
    /// Texts of other properties than secrets' that begin as references do, in clear: they stay.
    pub elsewhere: u64,
    /// Fields of a migration that are gone, or back already.
    pub gone: u64,
    /// Fields of a migration that hold something else since, which stays. Nothing is left to be done with them.
    pub edited: u64,
    /// Which they are, and what they hold; at most ten thousand.
    pub edited_fields: Vec<EditedField>,
    /// Beside a way back's own fields, those that refer to secrets of the place that was left: other migrations', or
    /// saved since.
    pub left: u64,
    /// Where they are; at most ten thousand.
    pub left_references: Vec<ReferencePlace>,
    /// Beside the own fields of a way back to a manager, those whose values the database holds.
    pub values: u64,
    /// Fields that stand as before, and why; at most ten thousand.
    pub issues: Vec<MigrationIssue>,
    /// How many there are.
    pub issue_count: u64,
    /// Fields that share an id where they are taken to; at most a thousand. Of equal values both go there,
    /// and from then on saving either overwrites the other's.
    pub shared: Vec<Collision>,
    /// How many there are.
    pub shared_count: u64,
    /// What else of the database refers to secrets of the old side. It is not switched: what it refers to
    /// has to stay there for as long as it is needed.
    pub outside: Vec<OutsideReferences>,
    /// What was not looked at, and why.
    pub obstacles: Vec<Obstacle>,
    /// Whether it was told to stop.
    pub cut_short: bool,
}

/// A column that goes on referring to secrets of the old side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OutsideReferences {
    /// As `schema.table.column`.
    pub column: String,
    /// How many secrets it refers to.
    pub secrets: u64,
    /// The id of one of them.
    pub example: String,
}

/// A field that was switched, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MigrationItem {
    /// Its table.
    pub table: String,
    /// Its row.
    pub row: String,
    /// Where in the row's JSON.
    pub pointer: String,
    /// The id that it referred to; `None` where the database held the value.
    pub from: Option<String>,
    /// The id that it refers to; `None` where the database holds the value.
    pub to: Option<String>,
}

/// What a field holds that was edited since it was migrated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Holds {
    /// A value in the database, which every provider takes from there.
    Value,
    /// Nothing.
    Nothing,
    /// A reference to a secret of the user's own.
    OwnReference,
    /// What a later migration took to the old side, which is where the way back leads.
    BroughtBack,
}

impl Holds {
    /// As a person reads it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Value => "a value in the database",
            Self::Nothing => "nothing",
            Self::OwnReference => "a reference to a secret of your own",
            Self::BroughtBack => "what a later migration took back already",
        }
    }
}

/// A field that was edited since it was migrated, and stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EditedField {
    /// Its table.
    pub table: String,
    /// Its row.
    pub row: String,
    /// Where in the row's JSON.
    pub pointer: String,
    /// What it holds now.
    pub holds: Holds,
}

/// A field with a reference that is not the migration's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReferencePlace {
    /// Its table.
    pub table: String,
    /// Its row.
    pub row: String,
    /// Where in the row's JSON.
    pub pointer: String,
    /// What it refers to, where the deployment could have made that in some manager; what begins as a reference
    /// does may be a password.
    pub id: Option<String>,
}

/// A field that stands as before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MigrationIssue {
    /// Its table.
    pub table: String,
    /// Its row.
    pub row: String,
    /// Where in the row's JSON; empty where it is the row.
    pub pointer: String,
    /// The secret's id, where there is one.
    pub id: Option<String>,
    /// What kind of error.
    pub kind: &'static str,
    /// What was in the way.
    pub message: String,
}

impl MigrationReport {
    /// Whether nothing is left to be done.
    pub fn is_complete(&self) -> bool {
        self.issue_count == 0 && self.obstacles.is_empty() && !self.cut_short && self.left == 0
    }

    /// One more field that was switched, in this direction.
    pub(super) fn switched(
        &mut self,
        field: &MigratedField,
        from: Option<&String>,
        to: Option<&String>,
    ) {
        self.moved += 1;
        if self.items.len() < MOST_TOLD {
            self.items.push(MigrationItem {
                table: field.table.clone(),
                row: RowKey::shown(&field.row),
                pointer: field.pointer.clone(),
                from: from.cloned(),
                to: to.cloned(),
            });
        }
    }

    pub(super) fn edited(&mut self, field: &MigratedField, holds: Holds) {
        self.edited += 1;
        if self.edited_fields.len() < MOST_TOLD {
            self.edited_fields.push(EditedField {
                table: field.table.clone(),
                row: RowKey::shown(&field.row),
                pointer: field.pointer.clone(),
                holds,
            });
        }
    }

    pub(super) fn left_one(&mut self, place: ReferencePlace) {
        self.left += 1;
        if self.left_references.len() < MOST_TOLD {
            self.left_references.push(place);
        }
    }

    pub(super) fn own_ones(&mut self, own: Vec<ReferencePlace>) {
        self.own += own.len() as u64;
        let room = MOST_TOLD.saturating_sub(self.own_references.len());
        self.own_references.extend(own.into_iter().take(room));
    }

    /// Whether something was told of a field already.
    pub(super) fn has_issue_at(&self, place: &ReferencePlace) -> bool {
        self.issues.iter().any(|it| {
            (&it.table, &it.row, &it.pointer) == (&place.table, &place.row, &place.pointer)
        })
    }

    pub(super) fn issues_of(&mut self, issues: Vec<MigrationIssue>) {
        for issue in issues {
            self.issue(issue);
        }
    }

    pub(super) fn issue(&mut self, issue: MigrationIssue) {
        self.issue_count += 1;
        if self.issues.len() < MOST_TOLD {
            self.issues.push(issue);
        }
    }
}

impl ReferencePlace {
    /// A place whose reference is not repeated.
    pub(super) fn new(target: &Target, row: &str, pointer: &str) -> Self {
        Self {
            table: target.shown.clone(),
            row: RowKey::shown(row),
            pointer: pointer.to_owned(),
            id: None,
        }
    }

    pub(super) fn to(self, id: &str) -> Self {
        Self {
            id: Some(id.to_owned()),
            ..self
        }
    }
}
