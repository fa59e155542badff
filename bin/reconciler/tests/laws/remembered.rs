//! What verify-blobs finds wrong with a secret in use is remembered, so that the value put again is written,
//! whoever wrote what is there and whatever became of its mark.

use cloakroom_core::capabilities::ListOrder;
use cloakroom_core::ledger::Damage;
use cloakroom_core::store::FindingKind::{Altered, Dangling, NotOurs, Unreadable};
use cloakroom_core::store::{FindingKind, Job};
use cloakroom_core::{Coordinate, DeleteMode, ErrorKind, Mark, SecretBackend as _, StoreId};
use cloakroom_documents::ChangeKind;
use cloakroom_reconcile::{Report, RunOptions};
use serde_json::json;
use uuid::Uuid;

use crate::harness::{Fate, Kind, MASK, World};

const ORDERS: [ListOrder; 2] = [ListOrder::Coordinate, ListOrder::Unspecified];

async fn ordered(kind: Kind, seed: u64, order: ListOrder) -> World {
    World::with_capabilities(kind, seed, |it| it.list_order = order).await
}

async fn verify(world: &World, read_values: bool) -> Report {
    let options = RunOptions {
        read_values,
        ..RunOptions::default()
    };
    world.run_with(Job::VerifyBlobs, &options).await.unwrap()
}

async fn damage(world: &World, coordinate: &Coordinate) -> Option<Damage> {
    world.row(coordinate).await.unwrap().damage
}

fn only(kind: FindingKind) -> std::collections::BTreeMap<FindingKind, u64> {
    [(kind, 1)].into()
}

/// What was put is deleted for good and something else put in its place.
async fn replace(world: &World, coordinate: &Coordinate, mark: Mark, value: &str) {
    let gone = world.embedded.delete(coordinate, DeleteMode::Final, None);
    gone.await.unwrap();
    world.plant(coordinate, mark, value).await;
}

/// The value put again gets a name of its own, and what somebody else wrote stays theirs.
pub(crate) async fn what_somebody_else_wrote(kind: Kind, seed: u64) {
    for order in ORDERS {
        let world = ordered(kind, seed, order).await;
        let both = json!({"a": "one", "b": "two"});
        let id = world.create(both.clone()).await.id;
        let coordinate = world.coordinate(id, "/a").await;
        let mark = world.embedded.get(&coordinate).await.unwrap().mark.unwrap();
        let theirs = Mark {
            store: StoreId(Uuid::from_u128(9)),
            ..mark
        };
        replace(&world, &coordinate, theirs, "theirs").await;
        let report = verify(&world, false).await;
        assert_eq!(world.found(&report).await, only(NotOurs));
        let told = &report.examples[0].detail;
        let todo = "put the document again with the value";
        assert!(told.contains(todo), "{told}");
        let different = Some(Damage::Different);
        assert_eq!(damage(&world, &coordinate).await, different);

        let changes = world
            .update(id, json!({"a": MASK, "b": MASK}))
            .await
            .changes;
        let told: Vec<_> = changes.iter().map(|it| (it.change, it.damaged)).collect();
        let kept = ChangeKind::Kept;
        assert_eq!(told, [(kept, true), (kept, false)], "{changes:?}");
        let changes = world.update(id, both.clone()).await.changes;
        assert_eq!(changes[0].change, ChangeKind::Raised, "{changes:?}");
        assert_eq!(world.hydrated(id).await, both);
        assert!(!verify(&world, true).await.has_findings());
        world.quiet_time_and_passes().await;
        assert!(world.is_living(&coordinate).await, "it is theirs");
        assert_eq!(world.hydrated(id).await, both);
        world.close().await;
    }
}

/// That the value is the right one again only reading it can tell.
pub(crate) async fn until_what_is_there_is_ours_again(kind: Kind, seed: u64) {
    for order in ORDERS {
        let world = ordered(kind, seed, order).await;
        let id = world.create(json!({"a": "one"})).await.id;
        let coordinate = world.coordinate(id, "/a").await;
        let ours = world.embedded.get(&coordinate).await.unwrap().mark.unwrap();
        let theirs = Mark {
            store: StoreId(Uuid::from_u128(9)),
            ..ours.clone()
        };
        replace(&world, &coordinate, theirs, "one").await;
        assert_eq!(verify(&world, true).await.findings, only(NotOurs));
        replace(&world, &coordinate, ours, "one").await;
        let report = verify(&world, false).await;
        assert_eq!(report.findings, only(Altered));
        let told = &report.examples[0].detail;
        assert!(told.contains("somebody else's mark"), "{told}");
        assert!(damage(&world, &coordinate).await.is_some());
        assert!(!verify(&world, true).await.has_findings());
        assert_eq!(damage(&world, &coordinate).await, None);
        let changes = world.update(id, json!({"a": "one"})).await.changes;
        assert_eq!(changes[0].change, ChangeKind::Kept, "{changes:?}");
        world.close().await;
    }
}

/// That it is described as it was takes back nothing that reading its value tells once more.
pub(crate) async fn that_it_is_gone_when_its_value_is_read(kind: Kind, seed: u64) {
    for order in ORDERS {
        let world = ordered(kind, seed, order).await;
        let id = world.create(json!({"a": "one"})).await.id;
        let coordinate = world.coordinate(id, "/a").await;
        world.backend.faults.refuse("get", ErrorKind::Missing);
        for _ in 0..3 {
            assert_eq!(verify(&world, true).await.findings, only(Dangling));
            let missing = Some(Damage::Missing);
            assert_eq!(damage(&world, &coordinate).await, missing);
        }
        world.backend.faults.clear();
        assert!(!verify(&world, true).await.has_findings());
        assert_eq!(damage(&world, &coordinate).await, None);
        world.close().await;
    }
}

/// As a manager answers where somebody took a field of a mark off: a listing shows no mark, and whoever asks
/// directly is told that it cannot be read.
pub(crate) fn damage_marks(world: &World, damaged: &[Coordinate]) {
    let (shown, asked) = (damaged.to_vec(), damaged.to_vec());
    world.backend.show(move |it| {
        if shown.contains(&it.coordinate) {
            it.mark = None;
        }
    });
    world.backend.faults.set(move |call| {
        let reads = ["describe", "get"].contains(&call.operation);
        if reads && call.coordinate.is_some_and(|it| asked.contains(it)) {
            Fate::Before(ErrorKind::Corrupt)
        } else {
            Fate::Pass
        }
    });
}

/// A listing without its mark says nothing of whose it is: it is asked about, and so is no other.
pub(crate) async fn that_a_mark_cannot_be_read(kind: Kind, seed: u64) {
    for order in ORDERS {
        for read_values in [false, true] {
            let world = ordered(kind, seed, order).await;
            let both = json!({"a": "one", "b": "two"});
            let id = world.create(both.clone()).await.id;
            let coordinate = world.coordinate(id, "/a").await;
            damage_marks(&world, std::slice::from_ref(&coordinate));
            let report = verify(&world, read_values).await;
            assert_eq!(world.found(&report).await, only(Unreadable));
            let log = world.backend.faults.log();
            let asked = log.iter().filter(|it| it.starts_with("describe")).count();
            let expected = if order == ListOrder::Coordinate { 1 } else { 2 };
            assert_eq!(asked, expected, "{log:?}");
            let different = Some(Damage::Different);
            assert_eq!(damage(&world, &coordinate).await, different);
            let changes = world.update(id, both.clone()).await.changes;
            assert_eq!(changes[0].change, ChangeKind::Raised, "{changes:?}");
            assert_eq!(world.hydrated(id).await, both);
            assert!(!verify(&world, read_values).await.has_findings());
            world.close().await;
        }
    }
}

/// What an undo holds is told the same way.
pub(crate) async fn a_mark_of_what_is_held(kind: Kind, seed: u64) {
    for order in ORDERS {
        let (world, held) = crate::held::held(kind, seed, 2, order).await;
        damage_marks(&world, &held[..1]);
        let report = verify(&world, false).await;
        assert_eq!(report.findings, only(Unreadable), "{report:#?}");
        assert_eq!(report.examples[0].coordinate.as_ref(), Some(&held[0]));
        world.close().await;
    }
}
