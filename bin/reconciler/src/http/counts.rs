//! Rows of the ledger by state, and what is left in backends that are not configured. Each is counted
//! row by row, so not by everybody who asks.

use std::collections::BTreeMap;
use std::sync::Arc;

use cloakroom_core::ledger::{Ledger as _, RowState};
use cloakroom_core::{BackendId, Result};
use cloakroom_store_db::DbStore;

use crate::recent::Recent;
use crate::unconfigured::unconfigured;
use crate::wiring::Context;

/// What there is, by backend.
#[derive(Debug)]
pub(super) struct Counted {
    /// Rows of each configured backend.
    pub(super) by_state: BTreeMap<BackendId, Vec<(RowState, u64)>>,
    /// Secrets that may still be in others; only of those that may have one.
    pub(super) unconfigured: BTreeMap<BackendId, u64>,
}

impl Counted {
    /// Rows in this state, of all configured backends.
    pub(super) fn in_state(&self, wanted: RowState) -> u64 {
        let counts = self.by_state.values().flatten();
        let wanted = counts.filter(|(state, _)| *state == wanted);
        wanted.map(|(_, number)| number).sum()
    }
}

/// Counts them.
pub struct Counts {
    store: Arc<DbStore>,
    backends: Vec<BackendId>,
    recent: Recent<Counted>,
}

impl Counts {
    /// Those of this deployment.
    pub fn new(context: &Context) -> Self {
        let budgets = context.budgets.iter();
        Self {
            store: context.store.clone(),
            backends: budgets.map(|budget| budget.backend().clone()).collect(),
            recent: Recent::default(),
        }
    }

    /// As they are now, or were a few seconds ago.
    pub(super) async fn recent(&self) -> Result<Arc<Counted>> {
        self.recent.or(self.count()).await
    }

    async fn count(&self) -> Result<Counted> {
        let mut by_state = BTreeMap::new();
        for backend in &self.backends {
            let counts = self.store.count_by_state(backend).await?;
            by_state.insert(backend.clone(), counts);
        }
        let left = unconfigured(&self.store, &self.backends).await?;
        let living = left.into_iter().map(|left| (left.live(), left.backend));
        let living = living.filter(|(number, _)| *number > 0);
        Ok(Counted {
            by_state,
            unconfigured: living.map(|(number, backend)| (backend, number)).collect(),
        })
    }
}
