//! The right to be at a platform lasts as long as what is done there, however long that takes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::platform::{
    Adoptions as _, PlatformIdentity, PlatformScope, PlatformSource, ScanReport, ScanSink,
    ShownPlan,
};
use cloakroom_core::store::{Journal as _, Store};
use cloakroom_core::{Result, RunId, SystemRandomness};
use cloakroom_reconcile::{PlatformReader, PlatformSettings, alone_at_platform};
use cloakroom_store_db::DbStore;
use cloakroom_testkit::clock::ManualClock;
use uuid::Uuid;

use crate::source::Source;
use crate::stage::{Stage, here, mention};

/// So short that it is renewed all the time.
const LEASE: Duration = Duration::from_millis(6);

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Tables of millions of rows without one mention: whenever the lease has lapsed, it has to be renewed.
struct Slow {
    inner: Arc<Source>,
    store: Arc<DbStore>,
    clock: ManualClock,
}

#[async_trait]
impl PlatformSource for Slow {
    async fn identity(&self) -> Result<PlatformIdentity> {
        self.inner.identity().await
    }

    async fn scan(&self, sink: &mut dyn ScanSink) -> Result<ScanReport> {
        for _ in 0..3 {
            self.clock.advance(LEASE * 2);
            while self
                .store
                .lease_holder("platform/production")
                .await?
                .is_none()
            {
                tokio::task::yield_now().await;
            }
        }
        self.inner.scan(sink).await
    }

    async fn still_mentioned(&self, names: &[String]) -> Result<Vec<bool>> {
        self.inner.still_mentioned(names).await
    }
}

#[tokio::test]
async fn a_scan_that_takes_longer_than_its_lease_keeps_it() {
    let stage = Stage::new().await;
    stage.write([here(1, 1)]);
    stage.mention(mention(&here(1, 1)));
    let slow = Slow {
        inner: stage.source.clone(),
        store: stage.store.clone(),
        clock: stage.clock.clone(),
    };
    let settings = PlatformSettings {
        lease: LEASE,
        ..stage.settings.clone()
    };
    let (manager, store) = (stage.manager.clone(), stage.store.clone());
    let randomness = Arc::new(SystemRandomness);
    let reader = PlatformReader::new(
        Arc::new(slow),
        manager,
        store.clone(),
        store,
        randomness,
        settings,
    );
    let reader = reader.unwrap();
    let pass = tokio::time::timeout(PATIENCE, reader.pass(&|_, _| {})).await;
    let report = pass.expect("nobody renewed the lease").unwrap();
    assert!(report.is_complete(), "{:?}", report.obstacles);
}

/// SQLite has one writer: neither of the two waits for the other for ever, and no renewal is taken for
/// somebody else's.
#[tokio::test]
async fn what_writes_while_its_lease_is_renewed_comes_to_its_end() {
    let stage = Stage::new().await;
    let store: Arc<dyn Store> = stage.store.clone();
    let work = async {
        for number in 0..200 {
            let plan = ShownPlan {
                id: number.to_string(),
                scope: PlatformScope::default(),
            };
            stage.store.show_plan("production", &plan).await?;
        }
        Ok(())
    };
    let holder = RunId(Uuid::from_u128(1));
    let alone = alone_at_platform(&store, "production", holder, LEASE, work);
    let done = tokio::time::timeout(PATIENCE, alone).await;
    done.expect("the two wait for each other").unwrap();
}
