//! Moves of platforms: one at a time for each, by whoever holds the lease, and each secret's way kept.

use cloakroom_core::platform::{
    CopyState, MoveManagers, NewPlatformMove, PlatformCopy, PlatformMoves, SecretName,
};
use cloakroom_core::store::{Journal, Lease, MoveState};
use cloakroom_core::{Digest, ErrorKind, MoveId, Timestamp, WorkspaceId};
use cloakroom_store_db::DbStore;
use uuid::Uuid;

use crate::support::*;

const MINUTE: std::time::Duration = std::time::Duration::from_mins(1);

fn id(number: u128) -> MoveId {
    MoveId(Uuid::from_u128(number))
}

fn new(number: u128, platform: &str, to: &str, owners: &[u128]) -> NewPlatformMove {
    NewPlatformMove {
        id: id(number),
        platform: platform.into(),
        from: "old".parse().unwrap(),
        to: to.parse().unwrap(),
        managers: managers(to),
        owners: owners.iter().map(|it| owner(*it)).collect(),
    }
}

fn managers(to: &str) -> MoveManagers {
    MoveManagers {
        from: "memory old".into(),
        to: format!("memory {to}"),
    }
}

fn owner(number: u128) -> WorkspaceId {
    WorkspaceId(Uuid::from_u128(number))
}

async fn lease(store: &DbStore) -> Lease {
    let lease = store.acquire_lease("platform/production", "this", MINUTE);
    lease.await.unwrap().unwrap()
}

fn name(number: u32) -> SecretName {
    format!("om/{number:05}/password").parse().unwrap()
}

fn copy(number: u32, state: CopyState) -> PlatformCopy {
    PlatformCopy {
        name: name(number),
        source: format!("source-{number}").parse().unwrap(),
        state,
        written: number.is_multiple_of(2),
        changed: Timestamp::from_millisecond(1_000 + i64::from(number)).ok(),
        digest: number.is_multiple_of(3).then(|| digest(number)),
        described: number
            .is_multiple_of(5)
            .then(|| format!("version {number}")),
    }
}

fn digest(number: u32) -> Digest {
    format!("0123456789abcdef:{number:064x}").parse().unwrap()
}

pub(crate) async fn a_platform_has_one_move_at_a_time(bench: Bench) {
    let store = &bench.store;
    let lease = lease(store).await;
    let begin = |new: NewPlatformMove| {
        let lease = lease.clone();
        async move { store.begin_platform_move(&lease, &new).await }
    };
    let begun = begin(new(1, "production", "new", &[2])).await.unwrap();
    assert_eq!((begun.id, begun.state), (id(1), MoveState::Open));
    assert_eq!((begun.newest, begun.ended), (None, None));
    // It goes on with the one there is, for the owners of both.
    let on = begin(new(2, "production", "new", &[1, 2])).await.unwrap();
    assert_eq!((on.id, on.owners), (id(1), vec![owner(1), owner(2)]));
    let on = begin(new(2, "production", "new", &[])).await.unwrap();
    assert_eq!((on.id, on.owners), (id(1), Vec::new()));
    let refused = begin(new(3, "production", "elsewhere", &[])).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);
    // Another platform has a move of its own.
    let other = begin(new(4, "staging", "new", &[])).await.unwrap();
    assert_eq!(other.id, id(4));
    let open = store.open_platform_moves().await.unwrap();
    assert_eq!((open.number, open.oldest), (2, Some(begun.started)));

    let newest = Timestamp::from_millisecond(77).ok();
    store.compared(&lease, id(1), newest).await.unwrap();
    let set = |from, to| store.set_platform_move(&lease, id(1), from, to);
    let refused = set(MoveState::Reversing, MoveState::Reversed).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);
    set(MoveState::Open, MoveState::Finishing).await.unwrap();
    let refused = begin(new(5, "production", "new", &[])).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);
    set(MoveState::Finishing, MoveState::Finished)
        .await
        .unwrap();
    let over = store.platform_move(id(1)).await.unwrap().unwrap();
    assert_eq!((over.state, over.newest), (MoveState::Finished, newest));
    assert!(over.ended.is_some());
    assert_eq!(store.open_platform_moves().await.unwrap().number, 1);
    let next = begin(new(6, "production", "elsewhere", &[])).await.unwrap();
    assert_eq!(next.id, id(6));
    assert_eq!(store.platform_move(id(99)).await.unwrap(), None);
}

pub(crate) async fn a_platforms_move_stays_between_its_managers(bench: Bench) {
    let store = &bench.store;
    let lease = lease(store).await;
    let begun = new(1, "production", "new", &[]);
    let begun = store.begin_platform_move(&lease, &begun).await.unwrap();
    assert_eq!(begun.managers, Some(managers("new")));
    let under_way = store.platform_move_under_way("production").await.unwrap();
    assert_eq!(under_way, Some(begun));
    assert_eq!(
        store.platform_move_under_way("staging").await.unwrap(),
        None
    );
    let mut elsewhere = new(2, "production", "new", &[]);
    elsewhere.managers = managers("elsewhere");
    let refused = store.begin_platform_move(&lease, &elsewhere).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);
    let noted = store.note_managers(&lease, id(1), &elsewhere.managers);
    noted.await.unwrap();
    let on = store.begin_platform_move(&lease, &elsewhere).await.unwrap();
    assert_eq!((on.id, on.managers), (id(1), Some(elsewhere.managers)));
    // What is everybody's is not somebody's.
    elsewhere = new(3, "production", "new", &[1]);
    elsewhere.managers = managers("elsewhere");
    let refused = store.begin_platform_move(&lease, &elsewhere).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);
}

pub(crate) async fn a_platforms_copies_are_kept_by_whoever_has_the_lease(bench: Bench) {
    let store = &bench.store;
    let lease = lease(store).await;
    let new = new(1, "production", "new", &[]);
    let begun = store.begin_platform_move(&lease, &new).await;
    let id = begun.unwrap().id;
    let copies: Vec<PlatformCopy> = (0..1_201).map(|it| copy(it, CopyState::Writing)).collect();
    store.write_copies(&lease, id, &copies).await.unwrap();
    store.write_copies(&lease, id, &[]).await.unwrap();
    let changed = [copy(3, CopyState::Copied), copy(4, CopyState::Removed)];
    store.write_copies(&lease, id, &changed).await.unwrap();
    let asked = [name(4), name(5_000), name(3), name(7)];
    let known = store.copies(id, &asked).await.unwrap();
    let expected = [
        Some(copy(4, CopyState::Removed)),
        None,
        Some(copy(3, CopyState::Copied)),
        Some(copy(7, CopyState::Writing)),
    ];
    assert_eq!(known, expected);

    let mut seen = Vec::new();
    loop {
        let after = seen.last().map(|it: &PlatformCopy| it.name.clone());
        let page = store.copies_after(id, after.as_ref(), 500).await.unwrap();
        if page.is_empty() {
            break;
        }
        seen.extend(page);
    }
    let names: Vec<SecretName> = seen.into_iter().map(|it| it.name).collect();
    let expected: Vec<SecretName> = (0..1_201).map(name).collect();
    assert_eq!(names, expected, "in the order of their names, each once");

    // A process that slept while another took over writes nothing.
    store.release_lease(&lease).await.unwrap();
    let refused = store.write_copies(&lease, id, &changed).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unavailable);
    let refused = store.compared(&lease, id, None).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unavailable);
    let refused = store
        .set_platform_move(&lease, id, MoveState::Open, MoveState::Reversing)
        .await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unavailable);
}
