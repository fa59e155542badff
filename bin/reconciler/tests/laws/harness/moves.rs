//! The store's moves decorated: each call can be lost on its way there or back.

use async_trait::async_trait;
use cloakroom_core::store::{
    CommitOutcome, Lease, MoveRecord, MoveSize, MoveState, MovedSecret, Moves, NewMove, Switch,
};
use cloakroom_core::{BackendId, DocumentId, MoveId, Result, WorkspaceId};

use super::faults::fated;
use super::store::Crashing;

#[async_trait]
impl Moves for Crashing {
    async fn begin_move(&self, lease: &Lease, new: &NewMove) -> Result<MoveRecord> {
        fated!(
            self.faults,
            "begin_move",
            None,
            self.inner.begin_move(lease, new).await
        )
    }

    async fn move_record(&self, id: MoveId) -> Result<Option<MoveRecord>> {
        fated!(
            self.faults,
            "move_record",
            None,
            self.inner.move_record(id).await
        )
    }

    async fn moves(&self, limit: u32) -> Result<Vec<MoveRecord>> {
        fated!(self.faults, "moves", None, self.inner.moves(limit).await)
    }

    async fn set_move_state(
        &self,
        lease: &Lease,
        id: MoveId,
        from: MoveState,
        to: MoveState,
    ) -> Result<()> {
        fated!(
            self.faults,
            "set_move_state",
            None,
            self.inner.set_move_state(lease, id, from, to).await
        )
    }

    async fn documents_to_move(
        &self,
        backend: &BackendId,
        workspaces: &[WorkspaceId],
        after: Option<DocumentId>,
        limit: u32,
    ) -> Result<Vec<DocumentId>> {
        fated!(
            self.faults,
            "documents_to_move",
            None,
            self.inner
                .documents_to_move(backend, workspaces, after, limit)
                .await
        )
    }

    async fn count_to_move(
        &self,
        backend: &BackendId,
        workspaces: &[WorkspaceId],
    ) -> Result<MoveSize> {
        fated!(
            self.faults,
            "count_to_move",
            None,
            self.inner.count_to_move(backend, workspaces).await
        )
    }

    async fn moved_documents(
        &self,
        id: MoveId,
        after: Option<DocumentId>,
        limit: u32,
    ) -> Result<Vec<DocumentId>> {
        fated!(
            self.faults,
            "moved_documents",
            None,
            self.inner.moved_documents(id, after, limit).await
        )
    }

    async fn moved_secrets(&self, id: MoveId, document: DocumentId) -> Result<Vec<MovedSecret>> {
        fated!(
            self.faults,
            "moved_secrets",
            None,
            self.inner.moved_secrets(id, document).await
        )
    }

    async fn count_moved(&self, id: MoveId) -> Result<MoveSize> {
        fated!(
            self.faults,
            "count_moved",
            None,
            self.inner.count_moved(id).await
        )
    }

    async fn switch(&self, lease: &Lease, switch: &Switch) -> Result<CommitOutcome> {
        fated!(
            self.faults,
            "switch",
            None,
            self.inner.switch(lease, switch).await
        )
    }

    async fn let_go(&self, lease: &Lease, id: MoveId, documents: &[DocumentId]) -> Result<u64> {
        fated!(
            self.faults,
            "let_go",
            None,
            self.inner.let_go(lease, id, documents).await
        )
    }
}
