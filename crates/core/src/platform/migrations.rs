//! Secrets of a platform's fields taken from its database to a manager, or back, or from one manager to
//! another: what was switched, so that it can be switched back.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::Result;
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

/// Where a field's secret was taken last, as far as migrations took it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenTo {
    /// The migration that took it there.
    pub migration: MoveId,
    /// The place.
    pub place: String,
    /// The name that it had before; `None` in the database.
    pub from_name: Option<String>,
    /// The name that it has there; `None` in the database.
    pub to_name: Option<String>,
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

/// What the store keeps of migrations.
#[async_trait]
pub trait SecretMigrations: Send + Sync {
    /// Begins a migration, or goes on with the open one of the same platform, database and places.
    /// `Conflict` while another one of this platform is open or being taken back.
    async fn begin_migration(&self, new: &NewSecretMigration) -> Result<SecretMigration>;

    /// A migration by its id.
    async fn migration(&self, id: MoveId) -> Result<Option<SecretMigration>>;

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
    async fn taken_on(&self, id: MoveId, field: &MigratedField) -> Result<Option<TakenTo>>;

    /// The last migration of the same platform and database that began after this one, was not taken back, went to another
    /// place than this one, and says nothing of a field: what that was given since may be where this one never took it.
    async fn passed_by(&self, id: MoveId, field: &MigratedField) -> Result<Option<MoveId>>;

    /// Where the last migration of a platform's database took a field that was not taken back, nor this field of it. Two
    /// managers may give one name, so that the field itself does not tell.
    async fn taken_to(
        &self,
        platform: &str,
        database: &str,
        field: &MigratedField,
    ) -> Result<Option<TakenTo>>;

    /// Writes down the digest of a value that is about to be written under a name, in place of the one
    /// before. `Conflict` unless the migration is open.
    async fn note_copy(&self, id: MoveId, copy: &CopyName, digest: &Digest) -> Result<()>;

    /// The digest that was written down for a name last.
    async fn noted_copy(&self, copy: &CopyName) -> Result<Option<Digest>>;
}
