//! Whose secret a managed coordinate names.

/// The kind of owner in a managed coordinate, as the platform writes it.
///
/// ```
/// use cloakroom_coordinates::Scope;
///
/// assert_eq!(Scope::Workspace.as_written(), "workspace_");
/// assert_eq!(Scope::OauthWorkspace.name(), "oauth_workspace");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Connectors, checks and discovers (with a nil owner), mappers, webhooks.
    Workspace,
    /// OAuth overrides of an organisation.
    Organization,
    /// OAuth responses.
    OauthWorkspace,
    /// Credentials of a customer's own secrets manager (legacy).
    RsmOrganization,
    /// Credentials of a secret storage.
    StorageOrganization,
}

impl Scope {
    /// Every scope there is.
    pub const ALL: [Self; 5] = [
        Self::Workspace,
        Self::Organization,
        Self::OauthWorkspace,
        Self::RsmOrganization,
        Self::StorageOrganization,
    ];

    /// Matched from the end, one scope may end like another: the longer one is meant.
    pub(crate) const LONGEST_FIRST: [Self; 5] = [
        Self::StorageOrganization,
        Self::RsmOrganization,
        Self::OauthWorkspace,
        Self::Organization,
        Self::Workspace,
    ];

    /// The text between the prefix and the owner, with the `_` that ends it where it has one.
    pub const fn as_written(self) -> &'static str {
        match self {
            Self::Workspace => "workspace_",
            Self::Organization => "organization_",
            Self::OauthWorkspace => "oauth_workspace_",
            Self::RsmOrganization => "rsm_ORGANIZATION_",
            Self::StorageOrganization => "storage_organization",
        }
    }

    /// The same without a trailing `_`: for labels and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Workspace => "workspace",
            Self::Organization => "organization",
            Self::OauthWorkspace => "oauth_workspace",
            Self::RsmOrganization => "rsm_ORGANIZATION",
            Self::StorageOrganization => "storage_organization",
        }
    }

    /// The scope that the body of a coordinate starts with.
    pub(crate) fn starting(body: &[u8]) -> Option<Self> {
        // No scope is a prefix of another, so the first two bytes leave one to compare.
        let scope = match body {
            [b'w', ..] => Self::Workspace,
            [b'o', b'r', ..] => Self::Organization,
            [b'o', ..] => Self::OauthWorkspace,
            [b'r', ..] => Self::RsmOrganization,
            [b's', ..] => Self::StorageOrganization,
            _ => return None,
        };
        body.starts_with(scope.as_written().as_bytes())
            .then_some(scope)
    }
}
