//! `document` and `ephemeral`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use cloakroom_core::{DocumentId, WorkspaceId};

/// `document …`
#[derive(Debug, Subcommand)]
pub enum DocumentCommand {
    /// Put a configuration: its secrets go to the backend, the rest is stored
    Put(PutArgs),
    /// Print a configuration, its secrets masked
    Get(GetArgs),
    /// Print a configuration with its secrets
    Hydrate(HydrateArgs),
    /// List documents
    List(ListDocumentsArgs),
    /// Remove a document; its secrets go later
    Remove(RemoveArgs),
}

/// Arguments of `document put`.
#[derive(Clone, Debug, Args)]
pub struct PutArgs {
    /// The configuration to put (JSON); `-` reads standard input
    #[arg(value_name = "CONFIG")]
    pub document: PathBuf,
    /// Its spec: a JSON Schema, or a connector's spec file or manifest, JSON or YAML. An update may leave it out
    #[arg(long, value_name = "FILE", required_unless_present = "id")]
    pub spec: Option<PathBuf>,
    /// Whose it is. An update may leave it out
    #[arg(long, value_name = "UUID", required_unless_present = "id")]
    pub workspace: Option<WorkspaceId>,
    /// The document to update; a new one is made otherwise
    #[arg(long, value_name = "UUID")]
    pub id: Option<DocumentId>,
    /// Only if the document stands at this revision
    #[arg(long, value_name = "N", requires = "id")]
    pub if_revision: Option<i64>,
}

/// Arguments of `document get`.
#[derive(Clone, Debug, Args)]
pub struct GetArgs {
    /// Which document
    pub id: DocumentId,
    /// The blob as it is stored, a coordinate in place of each secret
    #[arg(long)]
    pub stored: bool,
}

/// Arguments of `document hydrate`.
#[derive(Clone, Debug, Args)]
pub struct HydrateArgs {
    /// Which document
    pub id: DocumentId,
    /// Yes, print the secrets in clear
    #[arg(long, required = true)]
    pub reveal: bool,
}

/// Arguments of `document list`.
#[derive(Clone, Debug, Args)]
pub struct ListDocumentsArgs {
    /// Only of this workspace
    #[arg(long, value_name = "UUID")]
    pub workspace: Option<WorkspaceId>,
    /// Go on behind this document
    #[arg(long, value_name = "UUID")]
    pub after: Option<DocumentId>,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
}

/// Arguments of `document remove`.
#[derive(Clone, Debug, Args)]
pub struct RemoveArgs {
    /// Which document
    pub id: DocumentId,
    /// Only if the document stands at this revision
    #[arg(long, value_name = "N")]
    pub if_revision: Option<i64>,
}

/// `ephemeral …`
#[derive(Debug, Subcommand)]
pub enum EphemeralCommand {
    /// Put the secrets of a configuration that is only checked; prints it with coordinates in place
    Put(PutEphemeralArgs),
}

/// Arguments of `ephemeral put`.
#[derive(Clone, Debug, Args)]
pub struct PutEphemeralArgs {
    /// The configuration to put (JSON); `-` reads standard input
    #[arg(value_name = "CONFIG")]
    pub document: PathBuf,
    /// Its spec: a JSON Schema, or a connector's spec file or manifest, JSON or YAML
    #[arg(long, value_name = "FILE")]
    pub spec: PathBuf,
}
