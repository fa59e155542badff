//! A platform's secrets copied from one manager to another, under the names the platform knows.
//!
//! Which manager the platform reads is its own configuration, so nothing is switched here. Both sides
//! are kept until an operator says that the platform has been switched.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::SecretName;
use crate::digest::Digest;
use crate::error::Result;
use crate::ids::{BackendId, MoveId, WorkspaceId};
use crate::store::{Lease, MoveState};

/// The two managers of a move, as their backends tell them
/// ([`SecretBackend::manager`](crate::SecretBackend::manager)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveManagers {
    /// Out of which.
    pub from: String,
    /// Into which.
    pub to: String,
}

/// A move of a platform as it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPlatformMove {
    /// Its id, unless it goes on with one that is open.
    pub id: MoveId,
    /// The platform's name in the configuration.
    pub platform: String,
    /// Out of which manager.
    pub from: BackendId,
    /// Into which.
    pub to: BackendId,
    /// What the two backends lead to now.
    pub managers: MoveManagers,
    /// Whose secrets, by the owners in their names; none means everybody's.
    pub owners: Vec<WorkspaceId>,
}

/// A move of a platform as the store has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformMove {
    /// Its id.
    pub id: MoveId,
    /// The platform's name in the configuration.
    pub platform: String,
    /// Out of which manager.
    pub from: BackendId,
    /// Into which.
    pub to: BackendId,
    /// What the two backends led to when it began; `None` where that was not kept yet.
    pub managers: Option<MoveManagers>,
    /// Whose secrets; none means everybody's.
    pub owners: Vec<WorkspaceId>,
    /// Where it stands.
    pub state: MoveState,
    /// The latest time at which anything in the old manager had been changed when it was last
    /// compared, by that manager's clock; `None` before it was.
    pub newest: Option<Timestamp>,
    /// When it began, by the store's clock.
    pub started: Timestamp,
    /// When it was over.
    pub ended: Option<Timestamp>,
}

/// How far one secret has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CopyState {
    /// It is being written, or its writer died.
    Writing,
    /// Both sides have it, and were read and found equal.
    Copied,
    /// The one that is no longer needed was handed to deletion.
    Removed,
}

impl CopyState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Writing, Self::Copied, Self::Removed];

    /// The state as a stable lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Writing => "writing",
            Self::Copied => "copied",
            Self::Removed => "removed",
        }
    }

    /// The state of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// One secret of a move. No value of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformCopy {
    /// Its name in the new manager.
    pub name: SecretName,
    /// Its name in the old one: another where an older release of the platform wrote it without a
    /// version.
    pub source: SecretName,
    /// How far it has come.
    pub state: CopyState,
    /// Whether the move wrote it. What was there already is not the move's to take back.
    pub written: bool,
    /// When the old one was last changed before it was read, by its manager's clock.
    pub changed: Option<Timestamp>,
    /// A keyed digest of the value that was written, or found equal; `None` where that was not kept yet.
    pub digest: Option<Digest>,
    /// How the new manager described the copy just before it was read and found equal; `None` where it
    /// tells nothing that changes with the value.
    pub described: Option<String>,
}

/// What the store keeps of platforms' moves. Whoever writes holds the platform's lease, and is answered
/// `Unavailable` once another has it.
#[async_trait]
pub trait PlatformMoves: Send + Sync {
    /// Begins a move, or goes on with the open one of this platform between the same two backends; its
    /// owners are then those of both. `Conflict` while another one of this platform is not over, where
    /// that one is everybody's and this one is not, and where its backends led to other managers.
    async fn begin_platform_move(
        &self,
        lease: &Lease,
        new: &NewPlatformMove,
    ) -> Result<PlatformMove>;

    /// The move of a platform that is not over.
    async fn platform_move_under_way(&self, platform: &str) -> Result<Option<PlatformMove>>;

    /// Says which managers the backends of a move lead to.
    async fn note_managers(&self, lease: &Lease, id: MoveId, managers: &MoveManagers)
    -> Result<()>;

    /// A move by its id.
    async fn platform_move(&self, id: MoveId) -> Result<Option<PlatformMove>>;

    /// Says where a move stands; `Conflict` unless it stood at `from`.
    async fn set_platform_move(
        &self,
        lease: &Lease,
        id: MoveId,
        from: MoveState,
        to: MoveState,
    ) -> Result<()>;

    /// Says when the old manager had last been changed when it was compared.
    async fn compared(&self, lease: &Lease, id: MoveId, newest: Option<Timestamp>) -> Result<()>;

    /// What became of these secrets, in the order of their names in the new manager; `None` where the
    /// move has not met one.
    async fn copies(&self, id: MoveId, names: &[SecretName]) -> Result<Vec<Option<PlatformCopy>>>;

    /// The secrets of a move, behind `after` in the order of their names, at most `limit`.
    async fn copies_after(
        &self,
        id: MoveId,
        after: Option<&SecretName>,
        limit: u32,
    ) -> Result<Vec<PlatformCopy>>;

    /// Writes down how far secrets have come.
    async fn write_copies(&self, lease: &Lease, id: MoveId, copies: &[PlatformCopy]) -> Result<()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lead_back() {
        for state in CopyState::ALL {
            assert_eq!(CopyState::from_word(state.as_str()), Some(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        assert_eq!(CopyState::from_word("gone"), None);
    }
}
