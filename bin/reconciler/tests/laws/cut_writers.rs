//! A writer may die at any await point, lose any request and any answer: the document is wholly old
//! or wholly new, and what the writer left behind goes.

use cloakroom_core::store::{DocumentStore as _, Job};
use cloakroom_core::{DocumentId, ErrorKind};
use serde_json::{Value, json};

use crate::harness::{Fate, Kind, MASK, World, hours, until};

fn old() -> Value {
    json!({"a": "old-a", "b": "old-b", "c": "old-c", "t": ["token-1"], "host": "old"})
}

/// Raises two, drops one, adds one.
fn new() -> Value {
    json!({"a": "new-a", "b": "new-b", "t": ["token-1", "token-2"], "host": "new"})
}

/// The document is one of the two, and says so in every way it can be read.
async fn assert_whole(world: &World, id: DocumentId, when: &str) {
    let hydrated = world.hydrated(id).await;
    assert!(hydrated == old() || hydrated == new(), "{when}: {hydrated}");
    let stored = world.documents.stored(id).await.unwrap();
    assert_eq!(stored["host"], hydrated["host"], "{when}");
}

async fn assert_cleared(world: &World, when: &str) {
    world.quiet_time_and_passes().await;
    world.assert_nothing_unused(when).await;
}

pub(crate) async fn first_put_cut_anywhere(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    // Something stays in use, or the guard of an empty store would step in.
    world.create(old()).await;
    let mut times = 0;
    let done = loop {
        if let Some(done) = world.cut(world.try_create(new()), times).await {
            break done.unwrap();
        }
        for document in world.db.list_documents(None, None, 1_000).await.unwrap() {
            assert_whole(&world, document.id, &format!("cut after {times}")).await;
        }
        times += 1;
    };
    assert!(times > 3, "it was never cut");
    assert_eq!(world.hydrated(done.id).await, new());
    assert_cleared(&world, "after first puts were cut").await;
    world.close().await;
}

pub(crate) async fn update_cut_anywhere(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let mut times = 0;
    loop {
        let id = world.create(old()).await.id;
        let done = world.cut(world.try_update(id, new()), times).await;
        assert_whole(&world, id, &format!("cut after {times}")).await;
        if let Some(done) = done {
            done.unwrap();
            assert_eq!(world.hydrated(id).await, new());
            break;
        }
        // The next writer is not disturbed by what the dead one left.
        if times % 3 == 0 {
            world.update(id, new()).await;
            assert_eq!(world.hydrated(id).await, new(), "cut after {times}");
        }
        times += 1;
    }
    assert!(times > 3, "it was never cut");
    assert_cleared(&world, "after updates were cut").await;
    world.close().await;
}

/// What can become of one call.
const FATES: [Fate; 5] = [
    Fate::Before(ErrorKind::Unavailable),
    Fate::After(ErrorKind::Unavailable),
    Fate::Before(ErrorKind::Throttled),
    Fate::After(ErrorKind::Throttled),
    Fate::Before(ErrorKind::Denied),
];

pub(crate) async fn any_request_to_the_backend_fails(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    for fate in FATES {
        // From the `first`th call on `length` calls in a row: one is tried again, two are not.
        for length in [1, 2, 100] {
            for first in 0.. {
                let when = format!("{fate:?} from call {first}, {length} times");
                let id = world.create(old()).await.id;
                world.backend.faults.set(move |call| {
                    if (first..first + length).contains(&call.number) {
                        fate
                    } else {
                        Fate::Pass
                    }
                });
                let done = world.try_update(id, new()).await;
                let calls = world.backend.faults.calls();
                world.backend.faults.clear();
                assert_whole(&world, id, &when).await;
                let expected = if done.is_ok() { new() } else { old() };
                assert_eq!(world.hydrated(id).await, expected, "{when}: {done:?}");
                world.update(id, new()).await;
                if first >= calls {
                    break;
                }
            }
        }
    }
    assert_cleared(&world, "after faults of the backend").await;
    world.close().await;
}

pub(crate) async fn any_call_to_the_store_fails(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = world.create(old()).await.id;
    for fate in [
        Fate::Before(ErrorKind::Unavailable),
        Fate::After(ErrorKind::Unavailable),
    ] {
        for number in 0.. {
            let when = format!("{fate:?} at call {number}");
            world.update(id, old()).await;
            world.store.faults.at(number, fate);
            let done = world.try_update(id, new()).await;
            let log = world.store.faults.log();
            world.store.faults.clear();
            assert_whole(&world, id, &when).await;
            // A failed call may have been the commit whose answer was lost; nothing else is new.
            let lost_answer =
                matches!(fate, Fate::After(_)) && log.last().is_some_and(|it| it == "commit");
            if done.is_err() && !lost_answer {
                assert_eq!(world.hydrated(id).await, old(), "{when}: {log:?}");
            }
            if number >= log.len() {
                assert!(done.is_ok(), "{when}");
                break;
            }
        }
    }
    assert_cleared(&world, "after the store's calls failed").await;
    world.close().await;
}

pub(crate) async fn a_writer_slower_than_the_expiry_changes_nothing(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = world.create(old()).await.id;
    let clock = world.clock.clone();
    world.backend.faults.set(move |call| {
        if call.operation == "put" && call.number == 1 {
            clock.advance(hours(2));
        }
        Fate::Pass
    });
    let late = world.try_update(id, new()).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Conflict, "{late}");
    world.backend.faults.clear();
    assert_eq!(world.hydrated(id).await, old());
    world.update(id, new()).await;
    assert_cleared(&world, "after a slow writer").await;
    world.close().await;
}

/// Which decorator holds a writer up.
#[derive(Clone, Copy, Debug)]
enum Held {
    Store,
    Backend,
}

pub(crate) async fn the_reaper_and_a_writer_never_meet(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = world.create(old()).await.id;
    for held in [Held::Store, Held::Backend] {
        let faults = match held {
            Held::Store => &world.store.faults,
            Held::Backend => &world.backend.faults,
        };
        // A writer sleeps before its `number`th call, and the job runs past it.
        for number in 0.. {
            let when = format!("held by the {held:?} at call {number}");
            let config = json!({"a": format!("slow-{held:?}-{number}"), "b": MASK, "c": MASK});
            world.update(id, old()).await;
            faults.set(move |call| {
                if call.number == number {
                    Fate::Hold
                } else {
                    Fate::Pass
                }
            });
            let mut writer = Box::pin(world.try_update(id, config.clone()));
            let ended = until(writer.as_mut(), || faults.is_holding()).await;
            let last = ended.is_some();
            let done = if let Some(done) = ended {
                done
            } else {
                world.clock.advance(hours(3));
                world.run(Job::ExpireOrphans).await;
                world.clock.advance(hours(30));
                world.run(Job::DeleteSuperseded).await;
                faults.let_go();
                writer.await
            };
            faults.clear();
            let hydrated = world.hydrated(id).await;
            match done {
                Ok(_) => assert_eq!(hydrated["a"], config["a"], "{when}"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Conflict, "{when}: {error}");
                    assert_eq!(hydrated, old(), "{when}");
                }
            }
            if last {
                break;
            }
        }
    }
    assert_cleared(&world, "after writers slept through the job").await;
    world.close().await;
}

pub(crate) async fn ephemerals_cut_anywhere(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    world.create(old()).await;
    let spec = crate::harness::spec();
    for times in 0.. {
        let config = cloakroom_core::SecretJson::new(new());
        if let Some(done) = world
            .cut(world.documents.put_ephemeral(&spec, config), times)
            .await
        {
            let blob = done.unwrap().blob;
            let hydrated = world.documents.hydrate_ephemeral(blob).await.unwrap();
            assert_eq!(*hydrated.expose(), new());
            break;
        }
    }
    assert_cleared(&world, "after checks were cut").await;
    world.close().await;
}
