//! Moving house: the secrets of documents taken from one backend to another.
//!
//! Document by document: read the values and hold them against their digests, write them in the new
//! backend as any writer does, read them back, and only then, in one transaction, let the document
//! refer to the copies. The old copies are held until the move is finished, so that it can be taken
//! back. Whatever the process dies at, a document refers to what can be read, and the next run goes on
//! with what is left.

mod document;
mod fit;
mod one_manager;
mod report;
mod run;
mod switching;

use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::ledger::Ledger;
use cloakroom_core::store::{
    DocumentStore, Journal, MoveRecord, MoveSize, MoveState, Moves, NewMove,
};
use cloakroom_core::{BackendId, Error, ErrorKind, MoveId, Result, WorkspaceId};

pub use report::{MoveIssue, MoveReport, MoveStep};

use crate::Documents;
use run::Run;

/// What moving asks of a store.
pub trait MoveStore: DocumentStore + Ledger + Journal + Moves {}

impl<T: DocumentStore + Ledger + Journal + Moves> MoveStore for T {}

/// How a move goes about it.
#[derive(Clone, Copy, Debug)]
pub struct MoveSettings {
    /// How long a move may be silent before another process may go on with it.
    pub lease: Duration,
    /// Documents listed together.
    pub page: u32,
    /// Documents under way at once; each document's secrets are put side by side as well.
    pub documents_in_flight: usize,
}

impl Default for MoveSettings {
    fn default() -> Self {
        Self {
            lease: Duration::from_mins(1),
            page: 256,
            documents_in_flight: 8,
        }
    }
}

/// Told how far a move has come, and asked whether it is to go on.
pub trait MoveObserver: Send + Sync {
    /// So many documents of so many were looked at.
    fn progressed(&self, done: u64, of: u64);

    /// Whether the move is to end after the documents under way.
    fn told_to_stop(&self) -> bool;
}

/// What is to be moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoveOrder {
    /// Out of which backend.
    pub from: BackendId,
    /// Into which.
    pub to: BackendId,
    /// Whose documents; none means everybody's.
    pub workspaces: Vec<WorkspaceId>,
}

/// Moves the secrets of documents.
#[derive(Clone)]
pub struct Mover {
    documents: Documents,
    store: Arc<dyn MoveStore>,
    settings: MoveSettings,
}

const OPERATION: &str = "move secrets";

impl Mover {
    /// Moves the secrets of `documents`, whose store is `store` too.
    pub fn new(documents: Documents, store: Arc<dyn MoveStore>, settings: MoveSettings) -> Self {
        Self {
            documents,
            store,
            settings,
        }
    }

    /// What of the configuration still sends new secrets to a backend, in the words of the
    /// configuration: to be changed before the backend is left.
    pub fn still_sending(
        &self,
        backend: &BackendId,
        workspaces: &[WorkspaceId],
    ) -> Result<Vec<String>> {
        let backends = &self.documents.backends;
        let mut sending = Vec::new();
        if workspaces.is_empty() {
            if backends.default_backend()?.id() == backend {
                sending.push("default_backend".to_owned());
            }
            let bound = backends.bound_to(backend);
            sending.extend(
                bound
                    .iter()
                    .map(|workspace| format!("workspaces.{workspace}")),
            );
        }
        for workspace in workspaces {
            if backends.for_workspace(*workspace)?.id() == backend {
                sending.push(format!("workspaces.{workspace}"));
            }
        }
        Ok(sending)
    }

    /// Copies what is left to be copied and lets the documents refer to the copies. A dry run reads
    /// every value, holds it against its digest and the new backend's limits, and writes nothing.
    ///
    /// `Invalid` where the backends cannot be moved between or are one manager under two names, or new
    /// secrets still go to the one that is left (a dry run says that beside its report); `Missing` where
    /// a workspace has no document with a secret in either; `Conflict` while another move is not over; `Unavailable` while another process moves. What stands in the
    /// way of one document is in the report.
    pub async fn copy(
        &self,
        order: &MoveOrder,
        dry_run: bool,
        observer: &dyn MoveObserver,
    ) -> Result<MoveReport> {
        self.check(order)?;
        self.refuse_one_manager(order).await?;
        self.refuse_unknown(order).await?;
        if dry_run {
            return Run::dry(self, MoveStep::Copy, order, observer).look().await;
        }
        self.refuse_senders(&order.from, &order.to, &order.workspaces)?;
        let run = Run::begin(self, MoveStep::Copy, order, observer).await?;
        let id = MoveId(self.documents.randomness.uuid());
        let new = NewMove {
            id,
            from: order.from.clone(),
            to: order.to.clone(),
            workspaces: order.workspaces.clone(),
        };
        run.copy(&new).await
    }

    /// A workspace without any secret on either side may be a mistyped one, whose secrets would stay behind.
    async fn refuse_unknown(&self, order: &MoveOrder) -> Result<()> {
        for workspace in &order.workspaces {
            let whose = std::slice::from_ref(workspace);
            let left = self.store.count_to_move(&order.from, whose).await?;
            let moved = self.store.count_to_move(&order.to, whose).await?;
            if left == MoveSize::default() && moved == MoveSize::default() {
                let message = format!(
                    "no document of this workspace has a secret in {} or {}: look at the id",
                    order.from, order.to
                );
                let error = Error::new(ErrorKind::Missing, OPERATION, message);
                return Err(error.with_coordinate(workspace));
            }
        }
        Ok(())
    }

    /// Takes documents back to where they were: to the old copy where the document still has the value
    /// it was moved with, to a copy of the new value otherwise. What is not needed any more becomes an
    /// orphan like any other.
    ///
    /// `Missing` where there is no such move, `Invalid` once its old copies were let go or while new
    /// secrets still go to the backend that is left; otherwise as [`Mover::copy`].
    pub async fn reverse(
        &self,
        id: MoveId,
        dry_run: bool,
        observer: &dyn MoveObserver,
    ) -> Result<MoveReport> {
        let record = self.record(id).await?;
        if matches!(record.state, MoveState::Finishing | MoveState::Finished) {
            let message = "its old copies were let go, so it cannot be taken back; move the other way \
                           round instead";
            return Err(Error::new(ErrorKind::Invalid, OPERATION, message).with_coordinate(id));
        }
        let order = order_of(&record);
        self.check(&order)?;
        if dry_run {
            let run = Run::dry(self, MoveStep::Reverse, &order, observer);
            return run.look_back(&record).await;
        }
        self.refuse_senders(&record.to, &record.from, &record.workspaces)?;
        let run = Run::begin(self, MoveStep::Reverse, &order, observer).await?;
        run.reverse(&record).await
    }

    /// Reads every secret that the move took along once more, and lets the old copies go if all are
    /// what was stored and nothing is left to be moved: they are deleted recoverably by the jobs, in
    /// their time and past their guards.
    ///
    /// `Missing` where there is no such move, `Invalid` where it was taken back.
    pub async fn finish(
        &self,
        id: MoveId,
        dry_run: bool,
        observer: &dyn MoveObserver,
    ) -> Result<MoveReport> {
        let record = self.record(id).await?;
        let message = match record.state {
            MoveState::Reversing => Some(
                "it is being taken back and that did not come to its end: run `reconciler move --reverse` with \
                 this id again; until then what it left is held",
            ),
            MoveState::Reversed => Some("it was taken back: there is nothing to finish"),
            MoveState::Open | MoveState::Finishing | MoveState::Finished => None,
        };
        if let Some(message) = message {
            return Err(Error::new(ErrorKind::Invalid, OPERATION, message).with_coordinate(id));
        }
        let order = order_of(&record);
        self.check(&order)?;
        if dry_run {
            let mut run = Run::dry(self, MoveStep::Finish, &order, observer);
            run.compare(&record).await?;
            return run.end(Some(&record)).await;
        }
        let run = Run::begin(self, MoveStep::Finish, &order, observer).await?;
        run.finish(&record).await
    }

    fn check(&self, order: &MoveOrder) -> Result<()> {
        let backends = &self.documents.backends;
        backends.get(&order.from)?;
        backends.get(&order.to)?;
        if order.from == order.to {
            let message = "it moves into another backend than it moves out of";
            return Err(Error::new(ErrorKind::Invalid, OPERATION, message).with_backend(&order.to));
        }
        Ok(())
    }

    /// Whoever still writes into the backend that is left would be at it for ever.
    fn refuse_senders(
        &self,
        left: &BackendId,
        entered: &BackendId,
        workspaces: &[WorkspaceId],
    ) -> Result<()> {
        let sending = self.still_sending(left, workspaces)?;
        if sending.is_empty() {
            return Ok(());
        }
        let message = format!(
            "new secrets still go there: set {} to {entered} in the configuration of everything that \
             writes documents, restart it, and run this again",
            sending.join(" and ")
        );
        Err(Error::new(ErrorKind::Invalid, OPERATION, message).with_backend(left))
    }

    async fn record(&self, id: MoveId) -> Result<MoveRecord> {
        self.store.move_record(id).await?.ok_or_else(|| {
            let message = "there is no such move";
            Error::new(ErrorKind::Missing, OPERATION, message).with_coordinate(id)
        })
    }
}

fn order_of(record: &MoveRecord) -> MoveOrder {
    MoveOrder {
        from: record.from.clone(),
        to: record.to.clone(),
        workspaces: record.workspaces.clone(),
    }
}
