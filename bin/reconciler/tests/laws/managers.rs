//! Which manager a backend's name means: it is written down when the name is first used, and a name that
//! means another deletes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use cloakroom_core::store::{Epochs as _, Job, Store};
use cloakroom_core::{BackendSet, Coordinate, DocumentId, ErrorKind, SecretBackend};
use cloakroom_documents::MoveOrder;
use cloakroom_reconcile::{
    EpochStanding, Guard, Reconciler, Report, RunOptions, Silent, SweepFate, SweepOptions,
};
use serde_json::json;

use crate::epochs::{adopt, adopt_where, assert_stopped, orphans, standing, stopped_by};
use crate::harness::backend::Decorated;
use crate::harness::house::{House, Nobody};
use crate::harness::{Kind, World, hours, workspace};
use crate::sweeps::sweep;

pub(crate) async fn a_name_that_means_another_manager_deletes_nothing(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    orphans(&world, 3).await;
    let first = world.db.homes(&world.id()).await.unwrap().manager;
    assert_eq!(
        first.as_deref(),
        Some(world.backend.manager()),
        "written down with the first put"
    );
    world.backend.pretend_to_be(Some("another manager"));
    assert_eq!(standing(&world).await, EpochStanding::OtherManager);
    assert_stopped(&world, Guard::Identity, "under another manager").await;
    let report = world.dry_run(Job::ExpireOrphans).await;
    assert!(stopped_by(&report, Guard::Identity), "{report:#?}");
    let saw = &report.guards[0].saw;
    assert!(
        saw.contains("another manager") && saw.contains(&first.unwrap()),
        "{saw}"
    );
    // Put right, it goes on; adopted, it goes on where it is, and no more where it was.
    world.backend.pretend_to_be(None);
    assert_eq!(world.run(Job::ExpireOrphans).await.deleted(), 3);
    orphans(&world, 1).await;
    world.backend.pretend_to_be(Some("another manager"));
    let refused = adopt(&world, false).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
    assert_stopped(&world, Guard::Identity, "without a word on the manager").await;
    let adopted = adopt_where(&world, false, true).await.unwrap();
    assert_eq!(
        (adopted.standing, adopted.store.number),
        (EpochStanding::Current, 2)
    );
    assert_eq!(world.run(Job::ExpireOrphans).await.deleted(), 1);
    world.backend.pretend_to_be(None);
    assert_stopped(&world, Guard::Identity, "under the first manager again").await;
    world.db.verify_receipts().await.unwrap();
    world.close().await;
}

/// An operator who says that the database was moved has said nothing about the names.
pub(crate) async fn a_database_that_was_moved_hides_no_other_manager(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    orphans(&world, 2).await;
    let copy = world.copied().await;
    copy.backend.pretend_to_be(Some("another manager"));
    assert_eq!(standing(&copy).await, EpochStanding::Elsewhere);
    let report = copy.dry_run(Job::ExpireOrphans).await;
    let saw = &report.guards[0].saw;
    assert!(saw.contains("another manager"), "{saw}");
    let refused = adopt(&copy, false).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
    assert!(refused.to_string().contains("another manager"), "{refused}");
    assert_stopped(&copy, Guard::Identity, "moved, and under another manager").await;
    let adopted = adopt_where(&copy, false, true).await.unwrap();
    assert_eq!(adopted.standing, EpochStanding::Current);
    assert_eq!(copy.run(Job::ExpireOrphans).await.deleted(), 2);
    copy.close().await;
    world.close().await;
}

/// What an older program left has no manager written down: the first run that changes things does it, and
/// one that only looks does not.
pub(crate) async fn the_first_run_writes_down_what_it_finds(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    orphans(&world, 1).await;
    world.behind_the_back("DELETE FROM backend_managers").await;
    let known = || async { world.db.homes(&world.id()).await.unwrap().manager };
    world.dry_run(Job::ExpireOrphans).await;
    assert_eq!(standing(&world).await, EpochStanding::Fresh);
    assert_eq!(known().await, None);
    assert_eq!(world.run(Job::ExpireOrphans).await.deleted(), 1);
    assert_eq!(known().await.as_deref(), Some(world.backend.manager()));
    world.close().await;
}

/// Any manager is as empty as the one that is meant. Written down, the wrong one would be the known one once
/// writers put into the right one.
pub(crate) async fn a_run_that_finds_nothing_of_ours_writes_none_down(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    world.backend.pretend_to_be(Some("another manager"));
    for job in Job::ALL {
        world.run(job).await;
    }
    assert_eq!(world.db.homes(&world.id()).await.unwrap().manager, None);
    world.backend.pretend_to_be(None);
    orphans(&world, 2).await;
    world.backend.pretend_to_be(Some("another manager"));
    assert_stopped(&world, Guard::Identity, "under another manager").await;
    world.backend.pretend_to_be(None);
    assert_eq!(world.run(Job::ExpireOrphans).await.deleted(), 2);
    world.close().await;
}

/// After a move, a replica has the two managers the wrong way round.
pub(crate) async fn names_that_were_swapped_after_a_move_delete_nothing(kind: Kind, seed: u64) {
    let house = House::new(kind, seed).await;
    let world = &house.world;
    world.backend.pretend_to_be(Some("the first manager"));
    let id = world.create(json!({"a": "moved", "b": "as well"})).await.id;
    let done = house.copy_all("moved").await;
    house.finish(done).await.unwrap();
    world.clock.advance(hours(24 * 30));
    world.backend.pretend_to_be(Some("another manager"));
    house.other.pretend_to_be(Some("the first manager"));
    let backends = vec![
        world.backend.clone() as Arc<dyn SecretBackend>,
        house.other.clone(),
    ];
    let swapped = Reconciler::new(
        world.store.clone() as Arc<dyn Store>,
        BackendSet::new(backends, world.id()).unwrap(),
        Arc::new(world.ring.clone()),
        Arc::new(world.random.stream("a replica")),
        world.settings.clone(),
        world.stop.clone(),
    );
    let options = RunOptions {
        overrides: Guard::ALL.into(),
        ..RunOptions::default()
    };
    for job in [Job::ExpireOrphans, Job::DeleteSuperseded] {
        for backend in [world.id(), house.other.id().clone()] {
            let report = swapped.run(job, &backend, &options, &Silent).await.unwrap();
            assert!(stopped_by(&report, Guard::Identity), "{report:#?}");
            assert_eq!(report.deleted(), 0, "{report:#?}");
        }
    }
    house
        .assert_readable(id, &json!({"a": "moved", "b": "as well"}), "swapped")
        .await;
    house.world.close().await;
}

/// What right names and swapped ones find after an upgrade: nobody has written a manager down, one document
/// was moved, another came back from a move, and of a third one copies were made that it never came to.
struct Upgraded {
    house: House,
    documents: [DocumentId; 3],
    /// The two managers under each other's names.
    swapped: [Arc<Decorated>; 2],
}

impl Upgraded {
    /// `older` wrote marks and rows without intents.
    async fn new(kind: Kind, seed: u64, older: bool) -> Self {
        let house = House::new(kind, seed).await;
        let world = &house.world;
        world.backend.pretend_to_be(Some("the first manager"));
        let mut documents = Vec::new();
        for number in 1..=3 {
            let config = json!({"a": format!("secret {number}"), "b": "another"});
            let made = world.create_in(workspace(number), config).await;
            documents.push(made.unwrap().id);
        }
        if older {
            world
                .behind_the_back(
                    "UPDATE secrets SET intent = NULL; UPDATE embedded_secrets SET intent = NULL",
                )
                .await;
        }
        let order = |number| MoveOrder {
            workspaces: vec![workspace(number)],
            ..house.order()
        };
        for (number, finish) in [(1, true), (2, false)] {
            let report = house.forth.copy(&order(number), false, &Nobody).await;
            let id = report.unwrap().id.unwrap();
            let ended = if finish {
                house.finish(id).await
            } else {
                house.reverse(id).await
            };
            assert!(ended.unwrap().is_complete());
        }
        world.store.faults.refuse("switch", ErrorKind::Unavailable);
        let report = house.forth.copy(&order(3), false, &Nobody).await;
        assert!(!report.is_ok_and(|it| it.is_complete()));
        world.store.faults.clear();
        house.a_dead_process_is_forgotten();
        world.clock.advance(hours(24 * 30));
        world.behind_the_back("DELETE FROM backend_managers").await;
        let swapped = [
            house.other.under(&world.id()),
            world.backend.under(house.other.id()),
        ];
        Self {
            documents: documents.try_into().unwrap(),
            swapped,
            house,
        }
    }

    fn replica(&self) -> Reconciler {
        let world = &self.house.world;
        let backends = self.swapped.clone().map(|it| it as Arc<dyn SecretBackend>);
        Reconciler::new(
            world.store.clone() as Arc<dyn Store>,
            BackendSet::new(backends.into(), world.id()).unwrap(),
            Arc::new(world.ring.clone()),
            Arc::new(world.random.stream("a replica")),
            world.settings.clone(),
            world.stop.clone(),
        )
    }

    /// Each job under both names, past every guard that can be passed.
    async fn run(&self) -> Vec<Report> {
        let replica = self.replica();
        let options = RunOptions {
            overrides: Guard::ALL.into(),
            ..RunOptions::default()
        };
        let mut reports = Vec::new();
        for job in [Job::ExpireOrphans, Job::DeleteSuperseded] {
            for backend in &self.swapped {
                let report = replica.run(job, backend.id(), &options, &Silent).await;
                reports.push(report.unwrap());
            }
        }
        reports
    }

    async fn assert_readable(&self, when: &str) {
        for (number, id) in self.documents.iter().enumerate() {
            let config = json!({"a": format!("secret {}", number + 1), "b": "another"});
            self.house.assert_readable(*id, &config, when).await;
        }
    }

    async fn living(&self) -> [BTreeSet<Coordinate>; 2] {
        let house = &self.house;
        [
            house.living(&house.world.backend).await,
            house.living(&house.other).await,
        ]
    }
}

pub(crate) async fn names_that_were_swapped_before_an_upgrade_delete_nothing(
    kind: Kind,
    seed: u64,
) {
    for older in [false, true] {
        let upgraded = Upgraded::new(kind, seed, older).await;
        let house = &upgraded.house;
        let before = upgraded.living().await;
        for report in upgraded.run().await {
            assert!(stopped_by(&report, Guard::Identity), "{report:#?}");
            let saw = &report.guards[0].saw;
            assert!(saw.contains("swapped"), "{saw}");
            assert_eq!(report.deleted(), 0, "{report:#?}");
        }
        assert_eq!(upgraded.living().await, before);
        for backend in [&house.world.id(), house.other.id()] {
            let known = house.world.db.homes(backend).await.unwrap().manager;
            assert_eq!(known, None, "whoever is right is not refused");
        }
        // Whoever has them right goes on.
        upgraded.assert_readable("swapped").await;
        house.assert_nothing_unused("with the right names").await;
        upgraded.assert_readable("with the right names").await;
        upgraded.house.close().await;
    }
}

/// No listing shows whose manager it is: what is about to go is looked at itself.
pub(crate) async fn a_copy_of_another_name_is_never_deleted(kind: Kind, seed: u64) {
    for older in [false, true] {
        let upgraded = Upgraded::new(kind, seed, older).await;
        for backend in &upgraded.swapped {
            backend.hide(|_| true);
        }
        let before = upgraded.living().await;
        let reports = upgraded.run().await;
        let gone: u64 = reports
            .iter()
            .map(|it| it.total(|count| count.already_gone))
            .sum();
        assert!(gone > 0, "they were looked at: {reports:#?}");
        assert_eq!(upgraded.living().await, before);
        upgraded.assert_readable("swapped and unlisted").await;
        upgraded.house.close().await;
    }
}

/// Whoever tries a backend out says nothing of what its name means to those who use it.
pub(crate) async fn a_probe_writes_no_manager_down(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let known = || async { world.db.homes(&world.id()).await.unwrap().manager };
    let mut probe = world.documents.probe(&world.id()).await.unwrap();
    probe.run(false, |_| {}).await;
    probe.clean_up().await.unwrap();
    assert_eq!(known().await, None);
    world.create(json!({"a": "one"})).await;
    assert_eq!(known().await.as_deref(), Some(world.backend.manager()));
    world.close().await;
}

/// The ledger has everything under the name that the backend had before, or that another name for the same
/// manager is.
pub(crate) async fn known_as_main(world: &World) {
    const COLUMNS: &str = "coordinate, base, version, owner, kind, state, digest, once_referenced, \
         created_at, expires_at, unreferenced_since, superseded, intent";
    world
        .behind_the_back(&format!(
            "INSERT INTO secrets (backend_id, {COLUMNS}) SELECT 'main', {COLUMNS} FROM secrets"
        ))
        .await;
    world
        .behind_the_back("UPDATE secret_references SET backend_id = 'main'")
        .await;
}

pub(crate) async fn what_another_name_has_is_not_adopted(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = world.create(json!({"a": "one", "b": "two"})).await.id;
    let used = world.referenced().await;
    known_as_main(&world).await;
    for coordinate in &used {
        world.forget_row(coordinate).await;
    }
    let report = world.run(Job::ExpireOrphans).await;
    assert!(stopped_by(&report, Guard::UnknownMarked), "{report:#?}");
    let saw = &report.guards[0].saw;
    assert!(saw.contains("backend `main`'s"), "{saw}");
    assert!(saw.contains("--backend embedded"), "{saw}");
    for adopt in [false, true] {
        let (report, all) = sweep(&world, adopt).await.unwrap();
        assert_eq!(
            (report.unknown, report.adopted, report.other_backend),
            (0, 0, 2)
        );
        for swept in all {
            assert_eq!(swept.fate, SweepFate::OtherBackend);
            assert_eq!(swept.known_as, Some("main".parse().unwrap()));
        }
    }
    // Nor by whoever asks the store past the sweep.
    let coordinate = world.coordinate(id, "/a").await;
    let mark = world.living().await.remove(&coordinate).unwrap().mark;
    let mark = mark.unwrap();
    let adoption = cloakroom_core::store::Adoption {
        coordinate: coordinate.clone(),
        digest: mark.digest,
        intent: mark.intent,
        evidence: "a law".to_owned(),
    };
    let run = cloakroom_core::RunId(uuid::Uuid::from_u128(1));
    let store: &dyn Store = &world.db;
    let written = store.adopt(run, &world.id(), &[adoption]).await.unwrap();
    assert_eq!(written, [false]);
    assert_eq!(world.row(&coordinate).await, None);
    world.close().await;
}

/// An older program adopted it all the same.
pub(crate) async fn what_a_document_has_under_another_name_is_not_deleted(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    world.create(json!({"a": "one", "b": "two"})).await;
    let stays = world.create(json!({"a": "stays"})).await.id;
    let used = world.referenced().await;
    known_as_main(&world).await;
    world
        .behind_the_back("UPDATE secrets SET unreferenced_since = 0 WHERE backend_id = 'embedded'")
        .await;
    world.clock.advance(hours(24 * 30));
    let options = RunOptions {
        overrides: Guard::ALL.into(),
        ..RunOptions::default()
    };
    let report = world.run_with(Job::ExpireOrphans, &options).await.unwrap();
    assert_eq!(report.deleted(), 0, "{report:#?}");
    assert_eq!(report.deletions["orphaned"].spared, 3, "{report:#?}");
    for coordinate in &used {
        assert!(world.is_living(coordinate).await);
    }
    // What no document refers to under any name goes.
    world
        .behind_the_back(&format!(
            "DELETE FROM secret_references WHERE document_id = '{stays}'"
        ))
        .await;
    let report = world.run_with(Job::ExpireOrphans, &options).await.unwrap();
    assert_eq!(report.deleted(), 1, "{report:#?}");
    world.close().await;
}

/// A copy that a move made and a restored database forgot is nobody's: it can be adopted although the
/// document refers to the same coordinate where it was.
pub(crate) async fn a_copy_that_a_restore_forgot_is_adopted(kind: Kind, seed: u64) {
    let house = House::new(kind, seed).await;
    let world = &house.world;
    let id = world.create(json!({"a": "moved"})).await.id;
    let coordinate = world.coordinate(id, "/a").await;
    house.copy_all("moved").await;
    let other = house.other.id().clone();
    world
        .behind_the_back("UPDATE secret_references SET backend_id = 'embedded'")
        .await;
    world.forget_row_of(&coordinate, &other).await;
    let backends = vec![house.other.clone() as Arc<dyn SecretBackend>];
    let reconciler = Reconciler::new(
        world.store.clone() as Arc<dyn Store>,
        BackendSet::new(backends, other.clone()).unwrap(),
        Arc::new(world.ring.clone()),
        Arc::new(world.random.stream("a sweep")),
        world.settings.clone(),
        world.stop.clone(),
    );
    let options = SweepOptions {
        adopt: true,
        by: "a law".to_owned(),
    };
    let report = reconciler
        .sweep(&other, &options, &Silent, &mut |_| {})
        .await
        .unwrap();
    assert_eq!((report.adopted, report.other_backend), (1, 0), "{report:?}");
    house.world.close().await;
}
