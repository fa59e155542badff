//! Migrations of a platform's secrets, each method handed to the store it is.

use async_trait::async_trait;
use cloakroom_core::platform::{
    CopyName, FieldPlace, KeptAt, MigratedField, NewSecretMigration, SecretMigration,
    SecretMigrations, TakenTo,
};
use cloakroom_core::store::MoveState;
use cloakroom_core::{Digest, MoveId, Result};

use crate::DbStore;
use crate::store::of_either;

#[async_trait]
impl SecretMigrations for DbStore {
    async fn begin_migration(&self, new: &NewSecretMigration) -> Result<SecretMigration> {
        of_either!(self, inner => inner.begin_migration(new).await)
    }

    async fn migration(&self, id: MoveId) -> Result<Option<SecretMigration>> {
        of_either!(self, inner => inner.migration(id).await)
    }

    async fn migrations(&self, platform: &str, limit: u32) -> Result<Vec<SecretMigration>> {
        of_either!(self, inner => inner.migrations(platform, limit).await)
    }

    async fn set_migration(&self, id: MoveId, from: &[MoveState], to: MoveState) -> Result<()> {
        of_either!(self, inner => inner.set_migration(id, from, to).await)
    }

    async fn write_fields(&self, id: MoveId, fields: &[MigratedField]) -> Result<()> {
        of_either!(self, inner => inner.write_fields(id, fields).await)
    }

    async fn migrated_fields(
        &self,
        id: MoveId,
        after: Option<&MigratedField>,
        limit: u32,
    ) -> Result<Vec<MigratedField>> {
        of_either!(self, inner => inner.migrated_fields(id, after, limit).await)
    }

    async fn count_fields(&self, id: MoveId) -> Result<u64> {
        of_either!(self, inner => inner.count_fields(id).await)
    }

    async fn note_back(&self, id: MoveId, fields: &[MigratedField]) -> Result<()> {
        of_either!(self, inner => inner.note_back(id, fields).await)
    }

    async fn taken_on(&self, id: MoveId, place: FieldPlace<'_>) -> Result<Option<TakenTo>> {
        of_either!(self, inner => inner.taken_on(id, place).await)
    }

    async fn passed_by(&self, id: MoveId, place: FieldPlace<'_>) -> Result<Option<MoveId>> {
        of_either!(self, inner => inner.passed_by(id, place).await)
    }

    async fn led_on(&self, id: MoveId, place: &str) -> Result<Option<MoveId>> {
        of_either!(self, inner => inner.led_on(id, place).await)
    }

    async fn keep_at(&self, platform: &str, database: &str, kept: &KeptAt) -> Result<()> {
        of_either!(self, inner => inner.keep_at(platform, database, kept).await)
    }

    async fn kept_at(&self, platform: &str, database: &str) -> Result<Option<KeptAt>> {
        of_either!(self, inner => inner.kept_at(platform, database).await)
    }

    async fn taken_since(
        &self,
        platform: &str,
        database: &str,
        place: FieldPlace<'_>,
    ) -> Result<Option<TakenTo>> {
        of_either!(self, inner => inner.taken_since(platform, database, place).await)
    }

    async fn taken_last(
        &self,
        platform: &str,
        database: &str,
        place: FieldPlace<'_>,
    ) -> Result<Option<TakenTo>> {
        of_either!(self, inner => inner.taken_last(platform, database, place).await)
    }

    async fn take_over(&self, platform: &str, database: &str) -> Result<u64> {
        of_either!(self, inner => inner.take_over(platform, database).await)
    }

    async fn note_copy(&self, id: MoveId, copy: &CopyName, digest: &Digest) -> Result<()> {
        of_either!(self, inner => inner.note_copy(id, copy, digest).await)
    }

    async fn noted_copy(&self, copy: &CopyName) -> Result<Option<Digest>> {
        of_either!(self, inner => inner.noted_copy(copy).await)
    }
}
