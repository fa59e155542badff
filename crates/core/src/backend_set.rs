//! The backends in use: several side by side, one the default, a workspace bound to another.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::backend::SecretBackend;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{BackendId, WorkspaceId};

/// Every configured backend by its name.
#[derive(Clone)]
pub struct BackendSet {
    backends: BTreeMap<BackendId, Arc<dyn SecretBackend>>,
    default: BackendId,
    bound: HashMap<WorkspaceId, BackendId>,
}

impl BackendSet {
    /// A set of `backends`, of which the one named `default` takes what is not bound elsewhere.
    /// Fails where two names lead to one manager: each would take the other's secrets for unknown.
    pub fn new(backends: Vec<Arc<dyn SecretBackend>>, default: BackendId) -> Result<Self> {
        let mut managers: HashMap<String, BackendId> = HashMap::new();
        let mut by_id = BTreeMap::new();
        for backend in backends {
            let id = backend.id().clone();
            if let Some(other) = managers.insert(backend.manager().to_owned(), id.clone()) {
                return Err(refusal(format!(
                    "backends {other} and {id} are one manager ({}); keep one of them",
                    backend.manager()
                )));
            }
            if by_id.insert(id.clone(), backend).is_some() {
                return Err(refusal(format!("the name {id} is given to two backends")));
            }
        }
        if !by_id.contains_key(&default) {
            return Err(refusal(format!(
                "the default backend {default} is not configured"
            )));
        }
        Ok(Self {
            backends: by_id,
            default,
            bound: HashMap::new(),
        })
    }

    /// Binds a workspace's new secrets to a backend.
    pub fn bind(mut self, workspace: WorkspaceId, backend: BackendId) -> Result<Self> {
        self.get(&backend)?;
        self.bound.insert(workspace, backend);
        Ok(self)
    }

    /// The backend that takes a workspace's new secrets.
    pub fn for_workspace(&self, workspace: WorkspaceId) -> Result<&Arc<dyn SecretBackend>> {
        self.get(self.bound.get(&workspace).unwrap_or(&self.default))
    }

    /// The workspaces bound to a backend, in order.
    pub fn bound_to(&self, backend: &BackendId) -> Vec<WorkspaceId> {
        let bound = self.bound.iter().filter(|(_, to)| *to == backend);
        let mut bound: Vec<WorkspaceId> = bound.map(|(workspace, _)| *workspace).collect();
        bound.sort_unstable();
        bound
    }

    /// The default backend.
    pub fn default_backend(&self) -> Result<&Arc<dyn SecretBackend>> {
        self.get(&self.default)
    }

    /// The backend of that name.
    pub fn get(&self, id: &BackendId) -> Result<&Arc<dyn SecretBackend>> {
        self.backends.get(id).ok_or_else(|| {
            refusal(format!(
                "there is no backend {id}; the configuration names {}",
                self.names()
            ))
        })
    }

    /// Every backend, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn SecretBackend>> {
        self.backends.values()
    }

    /// Their names, in order.
    pub fn ids(&self) -> impl Iterator<Item = &BackendId> {
        self.backends.keys()
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.backends.keys().map(BackendId::as_str).collect();
        names.join(", ")
    }
}

fn refusal(message: String) -> Error {
    Error::new(ErrorKind::Invalid, "choose a backend", message)
}
