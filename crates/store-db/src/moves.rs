//! Moves, each method handed to the store it is.

use async_trait::async_trait;
use cloakroom_core::store::{
    CommitOutcome, Lease, MoveRecord, MoveSize, MoveState, MovedSecret, Moves, NewMove, Switch,
};
use cloakroom_core::{BackendId, DocumentId, MoveId, Result, WorkspaceId};

use crate::DbStore;
use crate::store::of_either;

#[async_trait]
impl Moves for DbStore {
    async fn begin_move(&self, lease: &Lease, new: &NewMove) -> Result<MoveRecord> {
        of_either!(self, inner => inner.begin_move(lease, new).await)
    }

    async fn move_record(&self, id: MoveId) -> Result<Option<MoveRecord>> {
        of_either!(self, inner => inner.move_record(id).await)
    }

    async fn moves(&self, limit: u32) -> Result<Vec<MoveRecord>> {
        of_either!(self, inner => inner.moves(limit).await)
    }

    async fn set_move_state(
        &self,
        lease: &Lease,
        id: MoveId,
        from: MoveState,
        to: MoveState,
    ) -> Result<()> {
        of_either!(self, inner => inner.set_move_state(lease, id, from, to).await)
    }

    async fn documents_to_move(
        &self,
        backend: &BackendId,
        workspaces: &[WorkspaceId],
        after: Option<DocumentId>,
        limit: u32,
    ) -> Result<Vec<DocumentId>> {
        of_either!(self, inner => {
            inner.documents_to_move(backend, workspaces, after, limit).await
        })
    }

    async fn count_to_move(
        &self,
        backend: &BackendId,
        workspaces: &[WorkspaceId],
    ) -> Result<MoveSize> {
        of_either!(self, inner => inner.count_to_move(backend, workspaces).await)
    }

    async fn moved_documents(
        &self,
        id: MoveId,
        after: Option<DocumentId>,
        limit: u32,
    ) -> Result<Vec<DocumentId>> {
        of_either!(self, inner => inner.moved_documents(id, after, limit).await)
    }

    async fn moved_secrets(&self, id: MoveId, document: DocumentId) -> Result<Vec<MovedSecret>> {
        of_either!(self, inner => inner.moved_secrets(id, document).await)
    }

    async fn count_moved(&self, id: MoveId) -> Result<MoveSize> {
        of_either!(self, inner => inner.count_moved(id).await)
    }

    async fn switch(&self, lease: &Lease, switch: &Switch) -> Result<CommitOutcome> {
        of_either!(self, inner => inner.switch(lease, switch).await)
    }

    async fn let_go(&self, lease: &Lease, id: MoveId, documents: &[DocumentId]) -> Result<u64> {
        of_either!(self, inner => inner.let_go(lease, id, documents).await)
    }
}
