//! What an operator says about one Vault or OpenBao.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::{CredentialSource, Result};

use crate::client;
use crate::names::Names;

/// One place in one Vault or OpenBao: an address, a namespace, a KV version 2 mount and a prefix.
#[derive(Clone, Debug)]
pub struct VaultSettings {
    /// Where the server is, `https://vault.example.com:8200`. No user, query or fragment.
    pub address: String,
    /// Whether the token and the values may be sent over plain `http` to another machine, since
    /// something else encrypts the way there, such as a mesh. False by default.
    pub allow_http: bool,
    /// The namespace (OpenBao, or Vault Enterprise), `team/data`. None by default.
    pub namespace: Option<String>,
    /// Where the KV version 2 engine is mounted. `secret` by default.
    pub mount: String,
    /// What the name of every secret begins with; the coordinate follows at once, so a folder ends
    /// in `/`. May be empty. `cloakroom/` by default.
    pub prefix: String,
    /// How the token is come by.
    pub auth: VaultAuth,
    /// The only certificate authorities that are trusted, as a PEM file. The system's by default.
    pub ca_file: Option<PathBuf>,
    /// How long one request may take, connecting included. 10 seconds by default.
    pub timeout: Duration,
    /// How many requests of one batch are on their way at once. 16 by default.
    pub in_flight: usize,
    /// How long after the end of its recovery window a deleted secret is kept, so that a restoration
    /// on its way is never overtaken. 5 minutes by default.
    pub purge_delay: Duration,
    /// Whether to use what OpenBao has and Vault has not: check-and-set of metadata, and listings by
    /// page and with metadata. Vault ignores the first and is recognised by the lack of the second,
    /// so that this is true by default.
    pub openbao_extensions: bool,
}

/// How the token is come by. Every source is read again when a token is needed or was refused.
#[derive(Clone)]
pub enum VaultAuth {
    /// A token made by somebody else, renewed while it is used where it can be.
    Token {
        /// The token.
        token: Arc<dyn CredentialSource>,
    },
    /// A role for machines.
    AppRole {
        /// Where the method is mounted, usually `approle`.
        mount: String,
        /// The role's id, which is no secret by itself.
        role_id: String,
        /// The secret id; none where the role asks for none.
        secret_id: Option<Arc<dyn CredentialSource>>,
    },
    /// The service account of the pod this runs in.
    Kubernetes {
        /// Where the method is mounted, usually `kubernetes`.
        mount: String,
        /// The role.
        role: String,
        /// The service account's token, usually the file
        /// `/var/run/secrets/kubernetes.io/serviceaccount/token`.
        jwt: Arc<dyn CredentialSource>,
    },
}

impl VaultSettings {
    /// Every setting at its default besides the two that have none.
    pub fn new(address: impl Into<String>, auth: VaultAuth) -> Self {
        Self {
            address: address.into(),
            allow_http: false,
            namespace: None,
            mount: "secret".to_owned(),
            prefix: "cloakroom/".to_owned(),
            auth,
            ca_file: None,
            timeout: Duration::from_secs(10),
            in_flight: 16,
            purge_delay: Duration::from_mins(5),
            openbao_extensions: true,
        }
    }
}

impl VaultSettings {
    /// Nothing is asked, and no file is read.
    ///
    /// # Errors
    /// `Invalid` for settings that cannot be right.
    pub fn validate(&self) -> Result<()> {
        Names::new(&self.mount, &self.prefix)?;
        if let VaultAuth::AppRole { mount, .. } | VaultAuth::Kubernetes { mount, .. } = &self.auth {
            Names::new(mount, "")?;
        }
        client::namespace(self)?;
        client::address(self).map(drop)
    }
}

impl fmt::Debug for VaultAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token { .. } => f.write_str("Token"),
            Self::AppRole { mount, .. } => f.debug_struct("AppRole").field("mount", mount).finish(),
            Self::Kubernetes { mount, role, .. } => f
                .debug_struct("Kubernetes")
                .field("mount", mount)
                .field("role", role)
                .finish(),
        }
    }
}
