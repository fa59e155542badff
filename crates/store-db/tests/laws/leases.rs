//! Leases: one holder at a time, by the store's clock.

use std::time::Duration;

use cloakroom_core::ErrorKind;
use cloakroom_core::ledger::{ClaimItem, Ledger, Reason};
use cloakroom_core::store::{Journal, Lease};

use crate::support::*;

const TTL: Duration = Duration::from_secs(30);

pub(crate) async fn one_holder_at_a_time(bench: Bench) {
    let first = bench
        .store
        .acquire_lease("job", "a", TTL)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (first.name.as_str(), first.holder.as_str(), first.token),
        ("job", "a", 1)
    );
    assert_eq!(
        bench.store.acquire_lease("job", "b", TTL).await.unwrap(),
        None
    );
    assert_eq!(
        bench
            .store
            .acquire_lease("other", "b", TTL)
            .await
            .unwrap()
            .unwrap()
            .token,
        1
    );

    // Renewing keeps the token and moves the end.
    bench.clock.advance(just_before(TTL));
    assert_eq!(
        bench.store.acquire_lease("job", "b", TTL).await.unwrap(),
        None
    );
    let renewed = bench
        .store
        .acquire_lease("job", "a", TTL)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(renewed.token, 1);
    bench.clock.advance(just_before(TTL));
    assert_eq!(
        bench.store.acquire_lease("job", "b", TTL).await.unwrap(),
        None
    );

    // At its end it can be taken over, with a greater token.
    bench.clock.advance(Duration::from_millis(1));
    let taken = bench
        .store
        .acquire_lease("job", "b", TTL)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(taken.token, 2);
    assert_eq!(
        bench.store.acquire_lease("job", "a", TTL).await.unwrap(),
        None
    );

    // Of many at once one gets it.
    bench.clock.advance(TTL);
    let mut takers = Vec::new();
    for n in 0..8 {
        let store = bench.store.clone();
        takers.push(tokio::spawn(async move {
            store
                .acquire_lease("fresh", &format!("holder-{n}"), TTL)
                .await
                .unwrap()
        }));
    }
    let mut won = 0;
    for taker in takers {
        won += usize::from(taker.await.unwrap().is_some());
    }
    assert_eq!(won, 1);
}

pub(crate) async fn a_clock_that_jumped_back(bench: Bench) {
    bench
        .store
        .acquire_lease("job", "a", TTL)
        .await
        .unwrap()
        .unwrap();
    let now = bench.clock.millis();
    // A clock that was set back by less than a lease lasts only lengthens it.
    bench.clock.set(now - millis(TTL));
    assert_eq!(
        bench.store.acquire_lease("job", "b", TTL).await.unwrap(),
        None
    );
    bench.clock.set(now - millis(TTL) - 1);
    let taken = bench
        .store
        .acquire_lease("job", "b", TTL)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(taken.token, 2);
    assert_eq!(
        bench.store.acquire_lease("job", "c", TTL).await.unwrap(),
        None
    );
}

pub(crate) async fn given_back(bench: Bench) {
    let first = bench
        .store
        .acquire_lease("job", "a", TTL)
        .await
        .unwrap()
        .unwrap();
    bench.store.release_lease(&first).await.unwrap();
    let second = bench
        .store
        .acquire_lease("job", "b", TTL)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(second.token, 2);
    // One that is no longer ours is left alone.
    bench.store.release_lease(&first).await.unwrap();
    assert_eq!(
        bench.store.acquire_lease("job", "a", TTL).await.unwrap(),
        None
    );
    bench.store.release_lease(&second).await.unwrap();
    assert_eq!(
        bench
            .store
            .acquire_lease("job", "b", TTL)
            .await
            .unwrap()
            .unwrap()
            .token,
        3
    );
}

/// A lease is renewed by whoever has it, lapsed or not, and by nobody else.
pub(crate) async fn renewed_by_its_holder_alone(bench: Bench) {
    let store = &bench.store;
    let take = async |holder| store.acquire_lease("job", holder, TTL).await.unwrap();
    let renew = async |lease| store.renew_lease(&lease, TTL).await.unwrap();
    let taken = take("a").await.unwrap();
    bench.clock.advance(2 * TTL);
    let renewed = renew(taken.clone()).await.unwrap();
    assert_eq!(renewed.token, taken.token);
    assert!(renewed.renewed > taken.renewed);
    assert_eq!(take("b").await, None, "it was renewed");
    // Who only missed that it was renewed has it all the same.
    assert_eq!(renew(taken.clone()).await, Some(renewed.clone()));

    bench.clock.advance(TTL);
    let other = take("b").await.unwrap();
    assert_eq!(renew(renewed.clone()).await, None, "another has it");
    store.release_lease(&other).await.unwrap();
    assert_eq!(renew(renewed).await, None, "another had it");
    assert_eq!(renew(other).await, None, "it was given back");
    let unknown = Lease {
        name: "never taken".to_owned(),
        ..taken
    };
    assert_eq!(renew(unknown).await, None);
}

/// A restored database may have the same holder under the same token, from before.
pub(crate) async fn an_older_database_renews_nothing(bench: Bench) {
    let store = &bench.store;
    let taken = store.acquire_lease("job", "a", TTL).await.unwrap().unwrap();
    bench.clock.advance(Duration::from_millis(1));
    let renewed = store.renew_lease(&taken, TTL).await.unwrap().unwrap();
    let items = [ClaimItem {
        coordinate: bench.orphan(1).await,
        reason: Reason::Orphaned,
    }];
    let earlier = "UPDATE leases SET acquired_at = acquired_at - 1";
    assert_eq!(bench.raw(earlier).await.unwrap(), 1);
    assert_eq!(store.renew_lease(&renewed, TTL).await.unwrap(), None);
    let claimed = store
        .claim(&renewed, &backend(), &items, &windows(), TTL)
        .await;
    assert_eq!(claimed.unwrap_err().kind(), ErrorKind::Unavailable);
}

/// Whoever asks for less time, under another configuration, does not get it sooner.
pub(crate) async fn a_shorter_lease_takes_nothing_over(bench: Bench) {
    bench
        .store
        .acquire_lease("job", "a", TTL)
        .await
        .unwrap()
        .unwrap();
    let shorter = TTL / 2;
    assert_eq!(
        bench
            .store
            .acquire_lease("job", "b", shorter)
            .await
            .unwrap(),
        None
    );
}

/// Only what somebody holds now counts, and only what bears the prefix whole.
pub(crate) async fn held_ones_are_counted_by_prefix(bench: Bench) {
    let count = async |prefix: &str| bench.store.count_leases(prefix).await.unwrap();
    assert_eq!(count("replica/").await, 0);
    let mut leases = Vec::new();
    for name in [
        "replica/0",
        "replica/1",
        "replica/2",
        "replica",
        "replicas/0",
        "other",
    ] {
        leases.push(
            bench
                .store
                .acquire_lease(name, name, TTL)
                .await
                .unwrap()
                .unwrap(),
        );
    }
    assert_eq!(count("replica/").await, 3);
    assert_eq!(count("").await, 6);
    assert_eq!(count("replica/%").await, 0, "the prefix is no pattern");

    bench.store.release_lease(&leases[0]).await.unwrap();
    assert_eq!(count("replica/").await, 2);
    bench.clock.advance(just_before(TTL));
    bench
        .store
        .acquire_lease("replica/1", "replica/1", TTL)
        .await
        .unwrap()
        .unwrap();
    bench.clock.advance(Duration::from_millis(1));
    assert_eq!(count("replica/").await, 1, "one is renewed, one has lapsed");
    bench.clock.set(bench.clock.millis() - 3 * millis(TTL));
    assert_eq!(
        count("replica/").await,
        0,
        "written before the clock jumped back"
    );
}
