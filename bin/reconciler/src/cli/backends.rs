//! `backend`.

use clap::{Args, Subcommand};
use cloakroom_core::BackendId;

/// `backend …`
#[derive(Debug, Subcommand)]
pub enum BackendCommand {
    /// List the backends, what each can do and what it cannot
    List,
    /// Write a test secret, read, describe, list, restore and delete it, and say which right is
    /// missing. Nothing is left behind
    Check(CheckBackendArgs),
}

/// Arguments of `backend check`.
#[derive(Clone, Debug, Args)]
pub struct CheckBackendArgs {
    /// Which backend; left out, every one
    #[arg(value_name = "ID")]
    pub backend: Option<BackendId>,
    /// Leave the test secret to live as long as those of a check do (`documents.expires_in`, two hours), so that
    /// one can look at it in the manager's console. Until when, who deletes it and where it is seen is told
    #[arg(long)]
    pub keep: bool,
}
