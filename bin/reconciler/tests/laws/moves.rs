//! Moving house: whatever a move meets or dies at, a document refers to what can be read, with the
//! value it had; the way back stays open until the move is finished; and in the end nothing unused
//! stays on either side.

use std::sync::atomic::{AtomicBool, Ordering};

use cloakroom_core::store::{Journal as _, MOVE_LEASE, MoveState};
use cloakroom_core::{DeleteMode, ErrorKind, SecretBackend as _, WorkspaceId};
use cloakroom_documents::{MoveOrder, MoveSettings};
use serde_json::{Value, json};

use crate::harness::house::{House, Nobody};
use crate::harness::{Fate, Kind, World, hours, until, workspace};

/// On SQLite a move is cut at every await; on PostgreSQL most awaits are parts of one answer.
fn stride(kind: Kind) -> usize {
    match kind {
        Kind::Sqlite => 1,
        Kind::Postgres => 4,
    }
}

fn config() -> Value {
    json!({"a": "one", "b": "two", "t": ["same", "same", "another"], "host": "h"})
}

pub(crate) async fn values_are_the_same_and_old_copies_are_held(kind: Kind, seed: u64) {
    let house = House::new(kind, seed).await;
    let first = house.world.create(config()).await.id;
    let second = house.world.create(json!({"a": "three"})).await.id;
    let before = house.referenced(&house.world.id()).await;

    let report = house.copy().await.unwrap();
    assert!(report.is_complete(), "{report:#?}");
    let secrets = before.len() as u64;
    assert_eq!((report.documents, report.copied), (2, secrets));
    assert_eq!((report.verified, report.differing), (secrets, 0));
    assert_eq!(report.state, Some(MoveState::Open));
    assert_eq!(house.referenced(&house.world.id()).await, [].into());
    assert_eq!(house.held().await, before);
    let stored = house.documents.stored(first).await.unwrap();
    let node = stored["a"]["_secret"].as_str().unwrap();
    assert_eq!(node, house.world.coordinate(first, "/a").await.as_str());

    // However long it takes until somebody decides, the way back stays open.
    house.world.clock.advance(hours(24 * 365));
    house.assert_nothing_unused("a year later").await;
    assert_eq!(house.living(&house.world.backend).await, before);
    house
        .assert_readable(first, &config(), "after the move")
        .await;
    house
        .assert_readable(second, &json!({"a": "three"}), "after the move")
        .await;
    // Nothing is left to be done, and what was done is known.
    let again = house.copy().await.unwrap();
    assert_eq!((again.documents, again.already_there), (0, secrets));
    assert_eq!(again.id, report.id);
    house.close().await;
}

pub(crate) async fn finished_old_copies_go_and_nothing_in_use_does(kind: Kind, seed: u64) {
    let house = House::new(kind, seed).await;
    let id = house.world.create(config()).await.id;
    let before = house.referenced(&house.world.id()).await;
    let moved = house.copy_all("first").await;
    let report = house.finish(moved).await.unwrap();
    assert!(report.is_complete(), "{report:#?}");
    assert_eq!(report.released, before.len() as u64);
    assert_eq!(report.state, Some(MoveState::Finished));
    // The command itself deletes nothing.
    assert_eq!(house.living(&house.world.backend).await, before);
    house.assert_nothing_unused("finished").await;
    assert_eq!(house.living(&house.world.backend).await, [].into());
    house.assert_readable(id, &config(), "finished").await;
    // Over is over.
    assert_eq!(house.finish(moved).await.unwrap().released, 0);
    let refused = house.reverse(moved).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");
    house.close().await;
}

pub(crate) async fn a_move_cut_anywhere(kind: Kind, seed: u64) {
    let house = House::new(kind, seed).await;
    for times in (0..).step_by(stride(kind)) {
        let when = format!("cut after {times}");
        let ids = [
            house.world.create(config()).await.id,
            house.world.create(json!({"a": "three"})).await.id,
        ];
        let done = house.world.cut(house.copy(), times).await;
        house.assert_readable(ids[0], &config(), &when).await;
        house
            .assert_readable(ids[1], &json!({"a": "three"}), &when)
            .await;
        if let Some(report) = done {
            assert!(report.unwrap().is_complete(), "{when}");
            assert!(times > 3, "it was never cut");
            break;
        }
        house.copy_all(&when).await;
        house.assert_readable(ids[0], &config(), &when).await;
    }
    assert_eq!(house.referenced(&house.world.id()).await, [].into());
    house.assert_nothing_unused("after moves were cut").await;
    house.close().await;
}

pub(crate) async fn any_call_of_a_move_to_the_store_fails(kind: Kind, seed: u64) {
    let house = House::new(kind, seed).await;
    for fate in [
        Fate::Before(ErrorKind::Unavailable),
        Fate::After(ErrorKind::Unavailable),
    ] {
        for number in 0.. {
            let when = format!("{fate:?} at call {number}");
            let id = house.world.create(config()).await.id;
            house.world.store.faults.at(number, fate);
            let done = house.copy().await;
            let calls = house.world.store.faults.calls();
            house.world.store.faults.clear();
            house.assert_readable(id, &config(), &when).await;
            if number >= calls {
                assert!(done.unwrap().is_complete(), "{when}");
                break;
            }
            house.copy_all(&when).await;
            house.assert_readable(id, &config(), &when).await;
        }
    }
    house
        .assert_nothing_unused("after the store's calls failed")
        .await;
    house.close().await;
}

pub(crate) async fn any_request_of_a_move_to_a_backend_fails(kind: Kind, seed: u64) {
    let house = House::new(kind, seed).await;
    for backend in [&house.world.backend, &house.other] {
        for fate in [
            Fate::Before(ErrorKind::Unavailable),
            Fate::After(ErrorKind::Unavailable),
            Fate::Before(ErrorKind::Denied),
        ] {
            for first in 0.. {
                let when = format!("{fate:?} of {} from request {first} on", backend.id());
                let id = house.world.create(config()).await.id;
                backend.faults.set(move |call| {
                    if call.number >= first {
                        fate
                    } else {
                        Fate::Pass
                    }
                });
                let report = house.copy().await.unwrap();
                let calls = backend.faults.calls();
                backend.faults.clear();
                house.assert_readable(id, &config(), &when).await;
                if first >= calls {
                    assert!(report.is_complete(), "{when}");
                    break;
                }
                assert_eq!(report.failures(), 1, "{when}: {report:#?}");
                assert_eq!(report.left.documents, 1, "{when}: {report:#?}");
                house.copy_all(&when).await;
            }
        }
    }
    house
        .assert_nothing_unused("after faults of the backends")
        .await;
    house.close().await;
}

pub(crate) async fn an_edit_in_between_is_moved_and_never_overwritten(kind: Kind, seed: u64) {
    let house = House::new(kind, seed).await;
    let id = house.world.create(config()).await.id;
    let once = AtomicBool::new(true);
    house.world.store.faults.set(move |call| {
        if call.operation == "switch" && once.swap(false, Ordering::Relaxed) {
            Fate::Hold
        } else {
            Fate::Pass
        }
    });
    let mut moving = Box::pin(house.copy());
    let faults = &house.world.store.faults;
    assert!(
        until(moving.as_mut(), || faults.is_holding())
            .await
            .is_none()
    );
    let edited = json!({"a": "edited", "c": "new", "host": "h"});
    house.world.update(id, edited.clone()).await;
    faults.let_go();
    let report = moving.await.unwrap();
    faults.clear();
    assert!(report.is_complete(), "{report:#?}");
    house
        .assert_readable(id, &edited, "moved with its edit")
        .await;
    assert_eq!(house.referenced(&house.world.id()).await, [].into());
    house.assert_nothing_unused("after the edit").await;
    house.close().await;
}

pub(crate) async fn taken_back_with_what_was_edited_since(kind: Kind, seed: u64) {
    let house = House::new(kind, seed).await;
    let id = house.world.create(config()).await.id;
    let (a, b) = (
        house.world.coordinate(id, "/a").await,
        house.world.coordinate(id, "/b").await,
    );
    let moved = house.copy_all("first").await;
    let mut edited = config();
    edited["a"] = "edited".into();
    let put = house
        .world
        .update_through(&house.documents, id, edited.clone());
    put.await.unwrap();

    let told = house.back.reverse(moved, true, &Nobody).await.unwrap();
    let report = house.reverse(moved).await.unwrap();
    assert!(report.is_complete(), "{report:#?}");
    assert_eq!((report.copied, report.returned), (1, 4), "{report:#?}");
    assert_eq!(
        (told.copied, told.returned),
        (1, 4),
        "a dry run told the truth"
    );
    assert_eq!(report.state, Some(MoveState::Reversed));
    house.assert_readable(id, &edited, "taken back").await;
    assert_eq!(house.world.coordinate(id, "/b").await, b);
    assert!(house.world.coordinate(id, "/a").await.version() > a.version());
    assert_eq!(house.referenced(house.other.id()).await, [].into());
    house.assert_nothing_unused("taken back").await;
    assert_eq!(house.held().await, [].into());
    house.assert_readable(id, &edited, "in the end").await;
    house.close().await;
}

pub(crate) async fn taking_back_cut_anywhere(kind: Kind, seed: u64) {
    let house = House::new(kind, seed).await;
    for times in (0..).step_by(stride(kind)) {
        let when = format!("cut after {times}");
        let id = house.world.create(config()).await.id;
        let moved = house.copy_all(&when).await;
        let mut edited = config();
        edited["a"] = format!("edited-{times}").into();
        let put = house
            .world
            .update_through(&house.documents, id, edited.clone());
        put.await.unwrap();
        let done = house.world.cut(house.reverse(moved), times).await;
        house.assert_readable(id, &edited, &when).await;
        if done.is_none() {
            house.a_dead_process_is_forgotten();
            let report = house.reverse(moved).await.unwrap();
            assert!(report.is_complete(), "{when}: {report:#?}");
            house.assert_readable(id, &edited, &when).await;
        }
        assert_eq!(house.state(moved).await, MoveState::Reversed, "{when}");
        house.world.documents.remove(id, None).await.unwrap();
        if done.is_some() {
            assert!(times > 3, "it was never cut");
            break;
        }
    }
    house
        .assert_nothing_unused("after ways back were cut")
        .await;
    house.close().await;
}

pub(crate) async fn finishing_cut_anywhere(kind: Kind, seed: u64) {
    let house = House::new(kind, seed).await;
    for times in (0..).step_by(stride(kind)) {
        let when = format!("cut after {times}");
        let id = house.world.create(config()).await.id;
        let moved = house.copy_all(&when).await;
        let done = house.world.cut(house.finish(moved), times).await;
        if done.is_none() {
            house.a_dead_process_is_forgotten();
            let report = house.finish(moved).await.unwrap();
            assert!(report.is_complete(), "{when}: {report:#?}");
        }
        assert_eq!(house.state(moved).await, MoveState::Finished, "{when}");
        assert_eq!(house.held().await, [].into(), "{when}");
        house.assert_readable(id, &config(), &when).await;
        if done.is_some() {
            assert!(times > 3, "it was never cut");
            break;
        }
    }
    house.assert_nothing_unused("after ends were cut").await;
    house.close().await;
}

pub(crate) async fn a_copy_that_is_gone_keeps_the_way_back(kind: Kind, seed: u64) {
    let house = House::new(kind, seed).await;
    let id = house.world.create(config()).await.id;
    let moved = house.copy_all("first").await;
    let copy = house.world.coordinate(id, "/b").await;
    let deleted = house.other.delete(&copy, DeleteMode::Final, None).await;
    deleted.unwrap();
    let report = house.finish(moved).await.unwrap();
    assert_eq!((report.failures(), report.released), (1, 0), "{report:#?}");
    assert_eq!(report.failed.get("missing"), Some(&1), "{report:#?}");
    assert_eq!(house.state(moved).await, MoveState::Open);
    assert!(house.reverse(moved).await.unwrap().is_complete());
    house.assert_readable(id, &config(), "taken back").await;
    house.close().await;
}

pub(crate) async fn what_does_not_fit_is_told_and_left(kind: Kind, seed: u64) {
    let house = House::with(kind, seed, |it| it.most_bytes = 300).await;
    let large = json!({"a": "x".repeat(400), "b": "small"});
    let stays = house.world.create(large.clone()).await.id;
    let goes = house.world.create(config()).await.id;
    let told = house
        .forth
        .copy(&house.order(), true, &Nobody)
        .await
        .unwrap();
    assert_eq!(told.failed.get("too_large"), Some(&1), "{told:#?}");
    assert_eq!((told.documents, told.copied), (1, 5));

    let report = house.copy().await.unwrap();
    assert!(!report.is_complete());
    assert_eq!(report.failed, told.failed);
    assert_eq!(report.issues, told.issues);
    assert_eq!(report.issues[0].document, stays);
    assert_eq!((report.left.documents, report.left.references), (1, 2));
    assert_eq!(house.world.coordinate(stays, "/b").await.version().get(), 1);
    house.assert_readable(stays, &large, "left as it was").await;
    house.assert_readable(goes, &config(), "moved").await;
    // Nothing of the one that stays was written.
    assert_eq!(
        house.living(&house.other).await,
        house.referenced(house.other.id()).await
    );
    let refused = house.finish(report.id.unwrap()).await.unwrap();
    assert!(
        !refused.is_complete() && refused.released == 0,
        "{refused:#?}"
    );
    house.close().await;
}

pub(crate) async fn what_is_not_what_was_stored_is_left(kind: Kind, seed: u64) {
    let house = House::new(kind, seed).await;
    let id = house.world.create(config()).await.id;
    let a = house.world.coordinate(id, "/a").await;
    let other = format!("{}:{}", house.world.ring.current().id(), "0".repeat(64));
    let statement = format!("UPDATE secrets SET digest = '{other}' WHERE coordinate = '{a}'");
    house.world.behind_the_back(&statement).await;
    let report = house.copy().await.unwrap();
    assert_eq!((report.differing, report.copied), (1, 0), "{report:#?}");
    assert_eq!(report.issues[0].coordinate.as_ref(), Some(&a));
    assert_eq!(house.world.coordinate(id, "/a").await, a);
    assert_eq!(house.living(&house.other).await, [].into());
    house.close().await;
}

pub(crate) async fn one_at_a_time(kind: Kind, seed: u64) {
    let house = House::new(kind, seed).await;
    house.world.create(config()).await;
    let lasts = MoveSettings::default().lease;
    let lease = house
        .world
        .db
        .acquire_lease(MOVE_LEASE, "somebody", lasts)
        .await;
    assert!(lease.unwrap().is_some());
    let busy = house.copy().await.unwrap_err();
    assert_eq!(busy.kind(), ErrorKind::Unavailable, "{busy}");
    house.copy_all("the other one died").await;
    // A second move would give secrets two ways back.
    let there = MoveOrder {
        from: house.other.id().clone(),
        to: house.world.id(),
        workspaces: Vec::new(),
    };
    let refused = house.back.copy(&there, false, &Nobody).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
    house.close().await;
}

pub(crate) async fn whoever_still_writes_there_is_named(kind: Kind, seed: u64) {
    let house = House::new(kind, seed).await;
    house.world.create(config()).await;
    let refused = house.back.copy(&house.order(), false, &Nobody).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");
    assert!(refused.to_string().contains("default_backend"), "{refused}");
    let only: Vec<WorkspaceId> = vec![workspace(1)];
    let sending = house.back.still_sending(&house.world.id(), &only).unwrap();
    assert_eq!(sending, [format!("workspaces.{}", workspace(1))]);
    let sending = house.forth.still_sending(&house.world.id(), &[]).unwrap();
    assert!(sending.is_empty());
    let told = house.back.copy(&house.order(), true, &Nobody).await;
    assert_eq!(told.unwrap().documents, 1);
    house.close().await;
}

pub(crate) async fn one_workspace_alone(kind: Kind, seed: u64) {
    let house = House::new(kind, seed).await;
    let goes = house.world.create_in(workspace(1), config()).await.unwrap();
    let stays = house.world.create_in(workspace(2), config()).await.unwrap();
    let order = MoveOrder {
        workspaces: vec![workspace(1)],
        ..house.order()
    };
    let report = house.forth.copy(&order, false, &Nobody).await.unwrap();
    assert!(report.is_complete(), "{report:#?}");
    assert_eq!(house.referenced(&house.world.id()).await.len(), 5);
    house.assert_readable(goes.id, &config(), "moved").await;
    house.assert_readable(stays.id, &config(), "left").await;
    // Nothing is left of it, which is not the same as one that has none.
    let again = house.forth.copy(&order, false, &Nobody).await.unwrap();
    assert!(again.is_complete(), "{again:#?}");
    // The rest goes with the same move.
    assert_eq!(house.copy_all("the rest").await, report.id.unwrap());
    assert_eq!(house.referenced(&house.world.id()).await, [].into());
    house.close().await;
}

pub(crate) async fn a_workspace_that_nobody_knows_is_told(kind: Kind, seed: u64) {
    let house = House::new(kind, seed).await;
    house.world.create_in(workspace(1), config()).await.unwrap();
    let before = house.world.dump().await;
    let order = MoveOrder {
        workspaces: vec![workspace(1), workspace(5)],
        ..house.order()
    };
    for dry_run in [true, false] {
        let refused = house.forth.copy(&order, dry_run, &Nobody).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Missing, "{refused}");
        assert!(refused.to_string().contains(&workspace(5).to_string()));
    }
    assert_eq!(house.world.dump().await, before, "no move was opened");
    house.close().await;
}

pub(crate) async fn a_secret_that_two_documents_share(kind: Kind, seed: u64) {
    let house = House::new(kind, seed).await;
    let one = json!({"a": "shared"});
    let first = house.world.create(one.clone()).await.id;
    let second = house.world.create(one.clone()).await.id;
    let (shared, lone) = (
        house.world.coordinate(first, "/a").await,
        house.world.coordinate(second, "/a").await,
    );
    let statement =
        format!("UPDATE secret_references SET coordinate = '{shared}' WHERE coordinate = '{lone}'");
    house.world.behind_the_back(&statement).await;
    let blob = json!({"a": World::node(&shared)}).to_string();
    house.world.replace_blob(second, &blob).await;
    let moved = house.copy_all("both").await;
    for id in [first, second] {
        house.assert_readable(id, &one, "moved").await;
    }
    assert!(house.held().await.contains(&shared));
    assert!(house.reverse(moved).await.unwrap().is_complete());
    for id in [first, second] {
        house.assert_readable(id, &one, "taken back").await;
    }
    house.close().await;
}

pub(crate) async fn a_dry_run_of_a_move_changes_nothing(kind: Kind, seed: u64) {
    let house = House::new(kind, seed).await;
    house.world.create(config()).await;
    let before = house.world.dump().await;
    let told = house
        .forth
        .copy(&house.order(), true, &Nobody)
        .await
        .unwrap();
    assert_eq!((told.documents, told.copied, told.verified), (1, 5, 5));
    assert_eq!(house.world.dump().await, before);
    let moved = house.copy_all("then in earnest").await;
    let before = house.world.dump().await;
    house.back.reverse(moved, true, &Nobody).await.unwrap();
    house.forth.finish(moved, true, &Nobody).await.unwrap();
    assert_eq!(house.world.dump().await, before);
    house.close().await;
}
