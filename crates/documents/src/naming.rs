//! Whose names the new secrets of a document get.

use cloakroom_core::{Error, ErrorKind, Result, Scope, WorkspaceId};
use uuid::Uuid;

/// The scope in the coordinates of a document's new secrets, and whose id stands behind it. A secret
/// that has a coordinate keeps its base whatever is chosen later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Naming {
    /// The document's workspace.
    #[default]
    Workspace,
    /// The document's workspace; an answer to an OAuth login.
    OauthWorkspace,
    /// An organisation.
    Organization(Uuid),
    /// An organisation; credentials of its own secrets manager, as older releases of Airbyte wrote.
    RsmOrganization(Uuid),
    /// An organisation; credentials of a secret storage.
    StorageOrganization(Uuid),
}

impl Naming {
    /// The scope that is written.
    pub fn scope(self) -> Scope {
        match self {
            Self::Workspace => Scope::Workspace,
            Self::OauthWorkspace => Scope::OauthWorkspace,
            Self::Organization(_) => Scope::Organization,
            Self::RsmOrganization(_) => Scope::RsmOrganization,
            Self::StorageOrganization(_) => Scope::StorageOrganization,
        }
    }

    /// The id that is written for a document of `workspace`. The nil one is refused as `Invalid`: it
    /// is that of checks and discovers, whose secrets nobody keeps.
    pub(crate) fn owner(self, workspace: WorkspaceId) -> Result<Uuid> {
        let (owner, message) = match self {
            Self::Workspace | Self::OauthWorkspace => (
                workspace.0,
                "the nil workspace is that of checks and discovers; name another",
            ),
            Self::Organization(id) | Self::RsmOrganization(id) | Self::StorageOrganization(id) => (
                id,
                "the nil organisation would name secrets as those of checks and discovers; name \
                 another",
            ),
        };
        if owner.is_nil() {
            return Err(Error::new(
                ErrorKind::Invalid,
                crate::put::OPERATION,
                message,
            ));
        }
        Ok(owner)
    }
}
