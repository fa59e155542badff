//! The store in memory: each operation is one atomic change with an await point on either side, where
//! the question or its answer can be lost.

mod jobs;
mod journal;
pub(crate) mod state;
mod traits;
mod writes;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cloakroom_core::store::Home;
use cloakroom_core::{Error, ErrorKind, Result, StoreId};

use crate::stage::Stage;
pub(crate) use state::State;

/// A database in memory. Clones share it.
#[derive(Clone)]
pub(crate) struct MemoryStore {
    stage: Arc<Stage>,
    state: Arc<Mutex<State>>,
    /// Where it is, which no copy of its state takes along.
    home: Home,
}

impl MemoryStore {
    pub(crate) fn new(stage: Arc<Stage>, store: StoreId, deployment: &str) -> Self {
        let home = Home::of([("made", deployment.to_owned())]);
        Self {
            stage,
            state: Arc::new(Mutex::new(State::new(store, deployment, home.clone()))),
            home,
        }
    }

    /// A copy of this database as it is now, somewhere else.
    pub(crate) fn copied(&self, stage: Arc<Stage>) -> Self {
        Self {
            stage,
            state: Arc::new(Mutex::new(self.state().clone())),
            home: Home::of([("copied", "once".to_owned())]),
        }
    }

    /// The state itself, for laws, snapshots and whoever restores one.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One transaction at the store's present moment.
    async fn transact<T>(
        &self,
        name: &'static str,
        work: impl FnOnce(&mut State, i64) -> Result<T>,
    ) -> Result<T> {
        self.stage.gate(name).await;
        if self.is_lost() {
            return Err(lost(name, "the question was lost"));
        }
        let done = {
            let now = self.stage.store_time();
            let mut state = self.state();
            work(&mut state, now)
        };
        self.stage.gate("answer").await;
        if self.is_lost() {
            return Err(lost(name, "the answer was lost"));
        }
        done
    }

    fn is_lost(&self) -> bool {
        let share = self.stage.weather().store_lost;
        share > 0.0 && self.stage.dice().happens(share)
    }
}

fn lost(operation: &'static str, message: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, operation, message)
}
