//! `move`: secrets from one backend to another.

use clap::{ArgGroup, Args};
use cloakroom_core::{BackendId, MoveId, WorkspaceId};

use super::operator::By;

/// Arguments of `move`.
#[derive(Clone, Debug, Args)]
#[command(group = ArgGroup::new("step").required(true).args(["from", "reverse", "finish"]))]
pub struct MoveArgs {
    /// Out of which backend. Started again, a move goes on where it was
    #[arg(long, value_name = "ID", requires = "to")]
    pub from: Option<BackendId>,
    /// Into which backend
    #[arg(long, value_name = "ID", requires = "from", conflicts_with_all = ["reverse", "finish"])]
    pub to: Option<BackendId>,
    /// The secrets of this configured platform, and not those of documents
    #[arg(long, value_name = "NAME")]
    pub platform: Option<String>,
    /// Only what is of this workspace; may be given several times
    #[arg(long = "workspace", value_name = "UUID", conflicts_with_all = ["reverse", "finish"])]
    pub workspaces: Vec<WorkspaceId>,
    /// Take the documents of this move back to where they were; of a platform's move, remove the copies
    #[arg(long, value_name = "MOVE")]
    pub reverse: Option<MoveId>,
    /// Compare once more, then let the old copies of this move go: the jobs delete them in their time.
    /// Those of a platform are handed to deletion at once
    #[arg(long, value_name = "MOVE")]
    pub finish: Option<MoveId>,
    /// Read every value and say what would be done; write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The managers of a platform's move are those that it began with, though the configuration tells them
    /// otherwise now: under a new address, say
    #[arg(long, requires = "platform")]
    pub accept_managers: bool,
    /// Who finishes a platform's move, or takes it back
    #[command(flatten)]
    pub by: By,
}
