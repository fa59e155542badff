//! The store by itself, for the test that holds it against a real one.

use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::store::Store;
use cloakroom_core::{Clock, StoreId, Timestamp};
use cloakroom_testkit::SeededRandomness;
use uuid::Uuid;

use crate::stage::{Stage, moment};
use crate::store::MemoryStore;

/// A store in memory whose time stands still until it is told to pass.
pub struct StillStore {
    stage: Arc<Stage>,
    store: MemoryStore,
}

impl StillStore {
    /// An empty one.
    pub fn new(seed: u64) -> Self {
        let stage = Arc::new(Stage::still(SeededRandomness::new(seed)));
        let store = MemoryStore::new(stage.clone(), StoreId(Uuid::nil()), "simulation");
        Self { stage, store }
    }

    /// The store.
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.store.clone())
    }

    /// Its clock, for the other store.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(StoreClock(self.stage.clone()))
    }

    /// Sets its clock to be this far ahead.
    pub fn set_ahead(&self, ahead: Duration) {
        self.stage.set_store_ahead(ahead);
    }

    /// Every document goes, and nobody lets go of what it refers to.
    pub fn lose_documents(&self) {
        self.store.state().documents.clear();
    }

    /// Time passes.
    pub fn pass(&self, time: Duration) {
        self.stage.sleep(time);
        // Nobody judges here.
        self.stage.take_happenings();
    }
}

/// What the store says that it is.
struct StoreClock(Arc<Stage>);

impl Clock for StoreClock {
    fn now(&self) -> Timestamp {
        moment(self.0.store_time())
    }
}
