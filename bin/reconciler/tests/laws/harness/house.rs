//! A world with a second backend, and movers both ways.

use std::collections::BTreeSet;
use std::sync::Arc;

use cloakroom_backends_embedded::EmbeddedBackend;
use cloakroom_core::ledger::RowState;
use cloakroom_core::store::{Job, MoveState, Moves as _, ReferenceSource as _, Store};
use cloakroom_core::{
    BackendId, BackendSet, Capabilities, Coordinate, DocumentId, MoveId, Result, SecretBackend,
    SecretState,
};
use cloakroom_documents::{
    Documents, MoveObserver, MoveOrder, MoveReport, MoveSettings, Mover,
    Settings as DocumentSettings,
};
use cloakroom_reconcile::{Guard, Reconciler, Report, RunOptions, Silent, is_epoch_mark};
use serde_json::Value;

use super::backend::Decorated;
use super::world::QUICK;
use super::{Kind, World, database, hours, unmarked};

/// Nobody watches, and nobody stops it.
pub(crate) struct Nobody;

impl MoveObserver for Nobody {
    fn progressed(&self, _: u64, _: u64) {}

    fn told_to_stop(&self) -> bool {
        false
    }
}

/// A world with a second backend, and movers both ways: new secrets go where each leads.
pub(crate) struct House {
    pub(crate) world: World,
    pub(crate) other: Arc<Decorated>,
    pub(crate) documents: Documents,
    pub(crate) forth: Mover,
    pub(crate) back: Mover,
}

impl House {
    pub(crate) async fn new(kind: Kind, seed: u64) -> Self {
        Self::with(kind, seed, |_| {}).await
    }

    /// A house whose second backend says other things of itself than the embedded one does.
    pub(crate) async fn with(
        kind: Kind,
        seed: u64,
        change: impl FnOnce(&mut Capabilities),
    ) -> Self {
        let world = World::new(kind, seed).await;
        let embedded = EmbeddedBackend::new(
            "other".parse().unwrap(),
            database::pool_of(&world.db),
            Arc::new(world.ring.clone()),
            Arc::new(world.random.stream("other nonces")),
            Some(Arc::new(world.clock.clone())),
        );
        let mut capabilities = embedded.capabilities().clone();
        change(&mut capabilities);
        let other = Arc::new(Decorated::new(Arc::new(embedded), capabilities));
        other.pretend_to_be(Some("another manager"));
        let documents = documents(&world, &other, other.id());
        let back = documents_mover(&world, self::documents(&world, &other, &world.id()));
        Self {
            forth: documents_mover(&world, documents.clone()),
            back,
            documents,
            other,
            world,
        }
    }

    pub(crate) fn order(&self) -> MoveOrder {
        MoveOrder {
            from: self.world.id(),
            to: self.other.id().clone(),
            workspaces: Vec::new(),
        }
    }

    pub(crate) async fn copy(&self) -> Result<MoveReport> {
        self.forth.copy(&self.order(), false, &Nobody).await
    }

    /// Everything that is left goes, whatever became of the run before.
    pub(crate) async fn copy_all(&self, when: &str) -> MoveId {
        self.a_dead_process_is_forgotten();
        let report = self.copy().await.unwrap();
        assert!(report.is_complete(), "{when}: {report:#?}");
        report.id.unwrap()
    }

    pub(crate) async fn reverse(&self, id: MoveId) -> Result<MoveReport> {
        self.back.reverse(id, false, &Nobody).await
    }

    pub(crate) async fn finish(&self, id: MoveId) -> Result<MoveReport> {
        self.forth.finish(id, false, &Nobody).await
    }

    pub(crate) fn a_dead_process_is_forgotten(&self) {
        self.world.clock.advance(MoveSettings::default().lease);
    }

    pub(crate) async fn hydrated(&self, id: DocumentId) -> Value {
        unmarked(self.documents.hydrate(id).await.unwrap().into_exposed())
    }

    pub(crate) async fn assert_readable(&self, id: DocumentId, config: &Value, when: &str) {
        assert_eq!(self.hydrated(id).await, *config, "{when}");
    }

    pub(crate) async fn state(&self, id: MoveId) -> MoveState {
        self.world.db.move_record(id).await.unwrap().unwrap().state
    }

    pub(crate) async fn referenced(&self, backend: &BackendId) -> BTreeSet<Coordinate> {
        let rows = self.world.db.references(backend, None, 100_000).await;
        rows.unwrap()
            .into_iter()
            .map(|row| row.coordinate)
            .collect()
    }

    pub(crate) async fn living(&self, backend: &Decorated) -> BTreeSet<Coordinate> {
        let mut living = BTreeSet::new();
        let mut next = None;
        loop {
            let page = backend.list(next.as_ref()).await.unwrap();
            let enabled = page
                .secrets
                .into_iter()
                .filter(|it| it.state == SecretState::Enabled && !is_epoch_mark(&it.coordinate));
            living.extend(enabled.map(|it| it.coordinate));
            next = page.next;
            if next.is_none() {
                return living;
            }
        }
    }

    /// Rows of the first backend that the move holds.
    pub(crate) async fn held(&self) -> BTreeSet<Coordinate> {
        let rows = self.world.rows().await.into_iter();
        let held = rows.filter(|row| row.state == RowState::Held && row.backend == self.world.id());
        held.map(|row| row.coordinate).collect()
    }

    pub(crate) async fn run(&self, job: Job, backend: &BackendId) -> Report {
        let reconciler = Reconciler::new(
            self.world.store.clone() as Arc<dyn Store>,
            backends(&self.world, &self.other, backend),
            Arc::new(self.world.ring.clone()),
            // Ids of runs must differ between reconcilers made of one world.
            Arc::new(
                self.world
                    .random
                    .stream("jobs on both sides")
                    .stream(&self.world.random.below(u64::MAX).to_string()),
            ),
            self.world.settings.clone(),
            self.world.stop.clone(),
        );
        let options = RunOptions {
            overrides: [Guard::Share, Guard::ZeroReferences].into(),
            ..RunOptions::default()
        };
        reconciler
            .run(job, backend, &options, &Silent)
            .await
            .unwrap()
    }

    /// Long enough after the last write, every job has run on both sides.
    pub(crate) async fn quiet_time_and_passes(&self) {
        for (wait, job) in [
            (3, Job::ExpireOrphans),
            (48, Job::DeleteSuperseded),
            (0, Job::ExpireOrphans),
            (0, Job::VerifyBlobs),
        ] {
            self.world.clock.advance(hours(wait));
            for backend in [self.world.id(), self.other.id().clone()] {
                self.run(job, &backend).await;
            }
        }
    }

    /// Each side holds what documents refer to, and the first one what the move holds besides.
    pub(crate) async fn assert_nothing_unused(&self, when: &str) {
        self.quiet_time_and_passes().await;
        let here = self.world.id();
        let mut kept = self.referenced(&here).await;
        kept.extend(self.held().await);
        assert_eq!(self.living(&self.world.backend).await, kept, "{when}");
        let there = self.other.id();
        let kept = self.referenced(there).await;
        assert_eq!(self.living(&self.other).await, kept, "{when}");
        assert_eq!(self.world.backend.lent_twice(), [], "{when}");
        assert_eq!(self.other.lent_twice(), [], "{when}");
    }

    pub(crate) async fn close(self) {
        self.world.close().await;
    }
}

fn backends(world: &World, other: &Arc<Decorated>, default: &BackendId) -> BackendSet {
    let all = vec![
        world.backend.clone() as Arc<dyn SecretBackend>,
        other.clone() as Arc<dyn SecretBackend>,
    ];
    BackendSet::new(all, default.clone()).unwrap()
}

fn documents(world: &World, other: &Arc<Decorated>, default: &BackendId) -> Documents {
    Documents::new(
        world.store.clone(),
        backends(world, other, default),
        Arc::new(world.ring.clone()),
        Arc::new(world.random.stream(&format!("documents in {default}"))),
        DocumentSettings {
            put: QUICK,
            ..DocumentSettings::default()
        },
    )
}

fn documents_mover(world: &World, documents: Documents) -> Mover {
    Mover::new(documents, world.store.clone(), MoveSettings::default())
}
