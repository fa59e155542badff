//! Moves of platforms, each method handed to the store it is.

use async_trait::async_trait;
use cloakroom_core::platform::{
    MoveManagers, NewPlatformMove, PlatformCopy, PlatformMove, PlatformMoves, SecretName,
};
use cloakroom_core::store::{Lease, MoveState};
use cloakroom_core::{MoveId, Result, Timestamp};

use crate::DbStore;
use crate::store::of_either;

#[async_trait]
impl PlatformMoves for DbStore {
    async fn begin_platform_move(
        &self,
        lease: &Lease,
        new: &NewPlatformMove,
    ) -> Result<PlatformMove> {
        of_either!(self, inner => inner.begin_platform_move(lease, new).await)
    }

    async fn platform_move_under_way(&self, platform: &str) -> Result<Option<PlatformMove>> {
        of_either!(self, inner => inner.platform_move_under_way(platform).await)
    }

    async fn note_managers(
        &self,
        lease: &Lease,
        id: MoveId,
        managers: &MoveManagers,
    ) -> Result<()> {
        of_either!(self, inner => inner.note_managers(lease, id, managers).await)
    }

    async fn platform_move(&self, id: MoveId) -> Result<Option<PlatformMove>> {
        of_either!(self, inner => inner.platform_move(id).await)
    }

    async fn set_platform_move(
        &self,
        lease: &Lease,
        id: MoveId,
        from: MoveState,
        to: MoveState,
    ) -> Result<()> {
        of_either!(self, inner => inner.set_platform_move(lease, id, from, to).await)
    }

    async fn compared(&self, lease: &Lease, id: MoveId, newest: Option<Timestamp>) -> Result<()> {
        of_either!(self, inner => inner.compared(lease, id, newest).await)
    }

    async fn copies(&self, id: MoveId, names: &[SecretName]) -> Result<Vec<Option<PlatformCopy>>> {
        of_either!(self, inner => inner.copies(id, names).await)
    }

    async fn copies_after(
        &self,
        id: MoveId,
        after: Option<&SecretName>,
        limit: u32,
    ) -> Result<Vec<PlatformCopy>> {
        of_either!(self, inner => inner.copies_after(id, after, limit).await)
    }

    async fn write_copies(&self, lease: &Lease, id: MoveId, copies: &[PlatformCopy]) -> Result<()> {
        of_either!(self, inner => inner.write_copies(lease, id, copies).await)
    }
}
