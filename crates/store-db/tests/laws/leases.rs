//! Leases: one holder at a time, by the store's clock.

use std::time::Duration;

use cloakroom_core::store::Journal;

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
