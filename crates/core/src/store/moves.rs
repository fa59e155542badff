//! Moving house: secrets taken from one backend to another, with the way back kept open.
//!
//! A move copies each secret, and only then lets a document refer to the copy. The old copies stay
//! held, so that the move can be reversed, until it is finished.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::documents::{CommitOutcome, Intended, NewReference};
use super::journal::Lease;
use crate::coordinates::Coordinate;
use crate::error::Result;
use crate::ids::{BackendId, DocumentId, MoveId, Revision, WorkspaceId};

/// Where a move stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoveState {
    /// Secrets are copied, or all are; the old copies are kept.
    Open,
    /// It is being taken back.
    Reversing,
    /// It was taken back.
    Reversed,
    /// The old copies are being let go.
    Finishing,
    /// The old copies were let go: the jobs delete them in their time.
    Finished,
}

impl MoveState {
    /// Every state.
    pub const ALL: [Self; 5] = [
        Self::Open,
        Self::Reversing,
        Self::Reversed,
        Self::Finishing,
        Self::Finished,
    ];

    /// The state as a stable lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Reversing => "reversing",
            Self::Reversed => "reversed",
            Self::Finishing => "finishing",
            Self::Finished => "finished",
        }
    }

    /// The state of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether nothing more is to be done.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Reversed | Self::Finished)
    }
}

/// A move as it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMove {
    /// Its id, unless it goes on with one that is open.
    pub id: MoveId,
    /// Out of which backend.
    pub from: BackendId,
    /// Into which.
    pub to: BackendId,
    /// Whose documents; none means everybody's.
    pub workspaces: Vec<WorkspaceId>,
}

/// A move as the store has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveRecord {
    /// Its id.
    pub id: MoveId,
    /// Out of which backend.
    pub from: BackendId,
    /// Into which.
    pub to: BackendId,
    /// Whose documents; none means everybody's.
    pub workspaces: Vec<WorkspaceId>,
    /// Where it stands.
    pub state: MoveState,
    /// When it began, by the store's clock.
    pub started: Timestamp,
    /// When it was over.
    pub ended: Option<Timestamp>,
}

/// How much there is to be moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveSize {
    /// Documents that refer to the backend.
    pub documents: u64,
    /// Their references to it.
    pub references: u64,
}

/// One secret of one document that was moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedSecret {
    /// What the document referred to.
    pub from: Coordinate,
    /// What it refers to since.
    pub to: Coordinate,
}

/// Which way a document goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Into the new backend. What loses its last reference is held until the move is over.
    Forth,
    /// Back. What loses its last reference is an orphan like any other.
    Back,
}

/// One document's references taken to another backend.
#[derive(Clone, Debug)]
pub struct Switch {
    /// By which move.
    pub id: MoveId,
    /// Which way.
    pub way: Way,
    /// Which document.
    pub document: DocumentId,
    /// The revision it stood at when it was read.
    pub revision: Revision,
    /// The JSON text of the blob from now on.
    pub blob: String,
    /// Every reference the document has from now on.
    pub references: Vec<NewReference>,
    /// Those among them that were intended for this; the others but `returned` are kept.
    pub intended: Vec<Intended>,
    /// Those among them that this move holds and that are referred to again.
    pub returned: Vec<(BackendId, Coordinate)>,
    /// What went where, on the way forth.
    pub moved: Vec<MovedSecret>,
}

/// Moves, and the transactions they are made of. Whoever moves holds [`MOVE_LEASE`].
#[async_trait]
pub trait Moves: Send + Sync {
    /// Begins a move, or goes on with the open one between the same two backends; its workspaces are
    /// then those of both. `Conflict` while another one is not over.
    async fn begin_move(&self, lease: &Lease, new: &NewMove) -> Result<MoveRecord>;

    /// A move by its id.
    async fn move_record(&self, id: MoveId) -> Result<Option<MoveRecord>>;

    /// The latest moves, newest first, at most `limit`.
    async fn moves(&self, limit: u32) -> Result<Vec<MoveRecord>>;

    /// Says where a move stands; `Conflict` unless it stood at `from`.
    async fn set_move_state(
        &self,
        lease: &Lease,
        id: MoveId,
        from: MoveState,
        to: MoveState,
    ) -> Result<()>;

    /// Documents that refer to a backend, behind `after` in the order of their ids, at most `limit`;
    /// only those of `workspaces`, unless that is empty.
    async fn documents_to_move(
        &self,
        backend: &BackendId,
        workspaces: &[WorkspaceId],
        after: Option<DocumentId>,
        limit: u32,
    ) -> Result<Vec<DocumentId>>;

    /// How many such documents there are, and how many references.
    async fn count_to_move(
        &self,
        backend: &BackendId,
        workspaces: &[WorkspaceId],
    ) -> Result<MoveSize>;

    /// Documents a move took along, behind `after` in the order of their ids, at most `limit`. Some
    /// may have been removed since.
    async fn moved_documents(
        &self,
        id: MoveId,
        after: Option<DocumentId>,
        limit: u32,
    ) -> Result<Vec<DocumentId>>;

    /// What a move did with one document.
    async fn moved_secrets(&self, id: MoveId, document: DocumentId) -> Result<Vec<MovedSecret>>;

    /// How many documents and secrets a move took along.
    async fn count_moved(&self, id: MoveId) -> Result<MoveSize>;

    /// Takes one document's references to another backend, in one transaction: as a
    /// [`commit`](super::DocumentStore::commit) does it, and what the move holds can be referred to
    /// again. `Unavailable` where somebody else has taken the lease since.
    async fn switch(&self, lease: &Lease, switch: &Switch) -> Result<CommitOutcome>;

    /// Lets go what a move still holds of some documents: its time-to-live begins now. Gives back how
    /// many there were.
    async fn let_go(&self, lease: &Lease, id: MoveId, documents: &[DocumentId]) -> Result<u64>;
}

/// The lease of whoever moves: one at a time in a store.
pub const MOVE_LEASE: &str = "move";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lead_back() {
        for state in MoveState::ALL {
            assert_eq!(MoveState::from_word(state.as_str()), Some(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        assert_eq!(MoveState::from_word("gone"), None);
    }
}
