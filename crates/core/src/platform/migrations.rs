//! Secrets of a platform's fields taken from its database to a manager, or back, or from one manager to
//! another: what was switched, so that it can be switched back.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::MoveId;
use crate::store::MoveState;

/// A migration as it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSecretMigration {
    /// Its id, unless it goes on with one that is open.
    pub id: MoveId,
    /// The platform's name in the configuration.
    pub platform: String,
    /// Which database, as the platform's identity tells it.
    pub database: String,
    /// Where secrets are taken from: a backend, or the word for the platform's own database.
    pub from: String,
    /// Where to.
    pub to: String,
}

/// A migration as the store has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretMigration {
    /// Its id.
    pub id: MoveId,
    /// The platform's name in the configuration.
    pub platform: String,
    /// Which database.
    pub database: String,
    /// Where secrets were taken from.
    pub from: String,
    /// Where to.
    pub to: String,
    /// `Open`, `Finished`, `Reversing` or `Reversed`.
    pub state: MoveState,
    /// When it began, by the store's clock.
    pub started: Timestamp,
}

/// One field that a migration switches. No value of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigratedField {
    /// Its table, as `schema.table`.
    pub table: String,
    /// What tells the row from the others of its table.
    pub row: String,
    /// Where in the row's JSON.
    pub pointer: String,
    /// The secret's name where it was taken from; `None` in the database.
    pub from: Option<String>,
    /// Its name where it was taken to; `None` in the database.
    pub to: Option<String>,
    /// A keyed digest of the value; `None` where the field holds nothing.
    pub digest: Option<Digest>,
    /// Whether a way back brought it back, or found it so.
    pub taken_back: bool,
}

/// Which field of a platform's database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldPlace<'a> {
    /// Its table, as `schema.table`.
    pub table: &'a str,
    /// What tells the row from the others of its table.
    pub row: &'a str,
    /// Where in the row's JSON.
    pub pointer: &'a str,
}

/// Where a migration, or its way back, took a field's secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenTo {
    /// The migration.
    pub migration: MoveId,
    /// Whether its way back took it there.
    pub is_back: bool,
    /// Where it was before.
    pub from: String,
    /// The place.
    pub place: String,
    /// The name that it had before; `None` in the database.
    pub from_name: Option<String>,
    /// The name that it has there; `None` in the database.
    pub to_name: Option<String>,
}

/// Where a platform keeps its secrets, as it was told to or as an operator said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAt {
    /// A backend, or the word for the platform's own database.
    pub place: String,
    /// The migration that left nothing to be done there, forth or back; `None` where an operator said so.
    pub by: Option<MoveId>,
}

/// A name under which migrations of one platform write. No value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyName {
    /// The platform's name in the configuration.
    pub platform: String,
    /// Which database, as the platform's identity tells it.
    pub database: String,
    /// The backend that is written to.
    pub to: String,
    /// The secret's name there.
    pub name: String,
}

impl MigratedField {
    /// Which field it is.
    #[must_use]
    pub fn place(&self) -> FieldPlace<'_> {
        FieldPlace {
            table: &self.table,
            row: &self.row,
            pointer: &self.pointer,
        }
    }
}

impl SecretMigration {
    /// Whether it is open or being taken back, so that no other one of its platform can begin.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        matches!(self.state, MoveState::Open | MoveState::Reversing)
    }

    /// `Conflict` for whoever comes while it is under way; `database` is the one that is asked for.
    #[must_use]
    pub fn in_the_way(&self, operation: &'static str, database: &str) -> Error {
        let Self {
            id,
            platform,
            from,
            to,
            ..
        } = self;
        let what = if self.state == MoveState::Reversing {
            format!("migration {id} of {platform} from {from} to {to} is being taken back")
        } else {
            format!("migration {id} of {platform} from {from} to {to} is open")
        };
        let instead = if self.database != database {
            format!(
                ", in another database than the one that is configured now: {}; otherwise give this one a name of its own under \
                 `platforms`",
                self.if_it_is_the_same()
            )
        } else if self.state == MoveState::Reversing {
            format!(": end that first (`--reverse {id}`)")
        } else {
            format!(
                ": end it first (`--from {from} --to {to}`), or take it back (`--reverse {id}`)"
            )
        };
        Error::new(ErrorKind::Conflict, operation, format!("{what}{instead}"))
    }

    /// What somebody does whose platform has another database since, which is this one's all the same.
    #[must_use]
    pub fn if_it_is_the_same(&self) -> String {
        format!(
            "where it is that one, restored from a backup or moved, say so first (`reconciler migrate-secrets --platform {} \
             --restored`)",
            self.platform
        )
    }
}

/// What the store keeps of migrations.
#[async_trait]
pub trait SecretMigrations: Send + Sync {
    /// Begins a migration, or goes on with the open one of the same platform, database and places.
    /// `Conflict` while another one of this platform is open or being taken back.
    async fn begin_migration(&self, new: &NewSecretMigration) -> Result<SecretMigration>;

    /// A migration by its id.
    async fn migration(&self, id: MoveId) -> Result<Option<SecretMigration>>;

    /// Migrations of a platform, whichever database they were of, the newest first, at most `limit`.
    async fn migrations(&self, platform: &str, limit: u32) -> Result<Vec<SecretMigration>>;

    /// Says where a migration stands; `Conflict` unless it stood at one of `from`.
    async fn set_migration(&self, id: MoveId, from: &[MoveState], to: MoveState) -> Result<()>;

    /// Writes down fields that are about to be switched; one that was written down before is replaced.
    /// `Conflict` unless the migration is open.
    async fn write_fields(&self, id: MoveId, fields: &[MigratedField]) -> Result<()>;

    /// Fields of a migration in the order of table, row and pointer, behind `after`, at most `limit`.
    async fn migrated_fields(
        &self,
        id: MoveId,
        after: Option<&MigratedField>,
        limit: u32,
    ) -> Result<Vec<MigratedField>>;

    /// How many fields a migration has, taken back or not; 0 of one that is not known.
    async fn count_fields(&self, id: MoveId) -> Result<u64>;

    /// Writes down that these fields of a migration were taken back, and that what an earlier one left where they are now
    /// stands again. `Conflict` unless it is being taken back.
    async fn note_back(&self, id: MoveId, fields: &[MigratedField]) -> Result<()>;

    /// Where the last migration of the same platform and database took a field that began after this one and was not taken
    /// back, nor this field of it: what the field holds may have been changed since, there.
    async fn taken_on(&self, id: MoveId, place: FieldPlace<'_>) -> Result<Option<TakenTo>>;

    /// The last migration of the same platform and database that began after this one, was not taken back, went to another
    /// place than this one, and says nothing of a field: what that was given since may be where this one never took it.
    async fn passed_by(&self, id: MoveId, place: FieldPlace<'_>) -> Result<Option<MoveId>>;

    /// The last migration of the same platform and database that began after this one, led to a place, and was not taken
    /// back as a whole, nor in all of its fields.
    async fn led_on(&self, id: MoveId, place: &str) -> Result<Option<MoveId>>;

    /// Writes down where a platform keeps all its secrets from now on; a migration that led where they were already changes
    /// nothing, but an operator's word does. `Conflict` while another migration of it is under way than the one that led
    /// there.
    async fn keep_at(&self, platform: &str, database: &str, kept: &KeptAt) -> Result<()>;

    /// What was written down last of where a platform keeps its secrets; `None` before the first migration is through.
    async fn kept_at(&self, platform: &str, database: &str) -> Result<Option<KeptAt>>;

    /// Where a field was taken last, forth by a migration or back, since it was written down where the platform keeps its
    /// secrets, or by the migration that led there. Two managers may give one name, so that the field itself does not tell.
    async fn taken_since(
        &self,
        platform: &str,
        database: &str,
        place: FieldPlace<'_>,
    ) -> Result<Option<TakenTo>>;

    /// Where a field was taken last, forth by a migration or back, whatever was written down since.
    async fn taken_last(
        &self,
        platform: &str,
        database: &str,
        place: FieldPlace<'_>,
    ) -> Result<Option<TakenTo>>;

    /// Lets what was written down of other databases of a platform count for this one, which is that one, restored or moved:
    /// its migrations, the copies they wrote, and, unless that is known of this one, where it keeps its secrets; of several
    /// what was written down last. Gives back how many migrations.
    async fn take_over(&self, platform: &str, database: &str) -> Result<u64>;

    /// Writes down the digest of a value that is about to be written under a name, in place of the one
    /// before. `Conflict` unless the migration is open.
    async fn note_copy(&self, id: MoveId, copy: &CopyName, digest: &Digest) -> Result<()>;

    /// The digest that was written down for a name last.
    async fn noted_copy(&self, copy: &CopyName) -> Result<Option<Digest>>;
}
