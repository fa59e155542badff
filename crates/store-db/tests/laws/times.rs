//! A machine's clock that was set wrong for a while, with SQLite, whose clock it is; and waits beyond what a
//! date can be, with either.

use std::time::Duration;

use cloakroom_core::ledger::{Claim, ClaimItem, DueClass, Ledger as _, Reason, RowState};
use cloakroom_core::store::{DocumentStore as _, Expected, Journal as _, SecretFilter};

use crate::support::*;

const DAY: Duration = Duration::from_hours(24);

impl Bench {
    fn set_back(&self, by: Duration) {
        self.clock.set(self.clock.millis() - millis(by));
    }

    async fn superseded(&self) -> usize {
        self.due(DueClass::Superseded, &windows()).await.len()
    }
}

/// The grace of what lost its reference while the clock was days behind is not over when it is set
/// right.
pub(crate) async fn a_clock_behind_ends_no_grace_early(bench: Bench) {
    let places = [("/a", base(1))];
    bench.put(document(1), Expected::Absent, &places).await;
    bench.set_back(30 * DAY);
    bench.put(document(1), FIRST, &places).await;
    let orphan = bench.orphan(2).await;
    let intended = bench.intend(&[base(3)]).await;

    bench.clock.advance(30 * DAY);
    assert_eq!(bench.superseded().await, 0);
    let since = bench.row(&orphan).await.unreferenced_since.unwrap();
    assert_eq!(since.as_millisecond(), bench.clock.millis());
    let expires = bench.row(&intended[0]).await.expires.unwrap();
    assert_eq!(
        expires.as_millisecond(),
        bench.clock.millis() + millis(2 * HOUR)
    );

    bench.clock.advance(just_before(windows().superseded_grace));
    assert_eq!(bench.superseded().await, 0);
    bench.clock.advance(Duration::from_millis(1));
    assert_eq!(bench.superseded().await, 1);
}

/// A clock that was ahead for a moment puts off what is written afterwards by as much at most, and
/// makes nothing older look older.
pub(crate) async fn a_clock_that_was_ahead_ages_nothing(bench: Bench) {
    let places = [("/a", base(1))];
    bench.put(document(1), Expected::Absent, &places).await;
    bench.put(document(1), FIRST, &places).await;
    bench.clock.advance(10 * DAY);
    bench.intend(&[base(2)]).await;
    assert_eq!(bench.store.clock_is_behind().await.unwrap(), Duration::ZERO);
    bench.set_back(10 * DAY);
    assert_eq!(bench.store.clock_is_behind().await.unwrap(), 10 * DAY);
    let late = bench.orphan(3).await;

    assert_eq!(bench.superseded().await, 0);
    bench.clock.advance(windows().superseded_grace);
    assert_eq!(bench.superseded().await, 1);
    let since = bench.row(&late).await.unreferenced_since.unwrap();
    assert_eq!(
        since.as_millisecond(),
        bench.clock.millis() + millis(9 * DAY)
    );
    bench.clock.advance(9 * DAY + windows().orphan_ttl);
    assert_eq!(bench.due(DueClass::Orphaned, &windows()).await.len(), 1);
}

/// A clock that was decades ahead is forgotten with the next write.
pub(crate) async fn a_clock_that_was_far_ahead_is_forgotten(bench: Bench) {
    bench.clock.advance(20 * 365 * DAY);
    bench.intend(&[base(1)]).await;
    bench.set_back(20 * 365 * DAY);
    for n in 2..=3 {
        let orphan = bench.orphan(n).await;
        let since = bench.row(&orphan).await.unreferenced_since.unwrap();
        assert_eq!(since.as_millisecond(), bench.clock.millis());
        // And from here on it is kept again.
        bench.set_back(DAY);
        let next = bench.orphan(n + 10).await;
        let since = bench.row(&next).await.unreferenced_since.unwrap();
        bench.clock.advance(DAY);
        assert_eq!(since.as_millisecond(), bench.clock.millis());
    }
}

/// What was written before the store kept its latest time counts as well.
pub(crate) async fn the_latest_time_survives_the_process(bench: Bench) {
    bench.orphan(1).await;
    let latest = bench.clock.millis();
    bench.set_back(DAY);
    let again = bench.another().await;
    let bench = Bench {
        store: again,
        clock: bench.clock,
        options: bench.options,
    };
    let orphan = bench.orphan(2).await;
    let since = bench.row(&orphan).await.unreferenced_since.unwrap();
    assert_eq!(since.as_millisecond(), latest);
    bench.store.close().await;
}

/// However long a wait, what it leaves can be read: one such row would stop every run of its backend.
pub(crate) async fn no_wait_leaves_what_cannot_be_read(bench: Bench) {
    let waits = [1, 1_000, 7_000, 9_000, 100_000, 10_000_000].map(|years| 365 * years * DAY);
    for (n, wait) in (1..).zip(waits.into_iter().chain([Duration::MAX])) {
        let orphan = bench.orphan(n).await;
        bench.clock.advance(windows().orphan_ttl);
        let lease = bench.store.acquire_lease("laws", "law", wait).await;
        let lease = lease.unwrap().unwrap();
        let item = ClaimItem {
            coordinate: orphan.clone(),
            reason: Reason::Orphaned,
        };
        let claims = bench
            .store
            .claim(&lease, &backend(), &[item], &windows(), wait)
            .await;
        assert!(matches!(claims.unwrap()[0], Claim::Ready(_)), "{wait:?}");
        bench.settle(&orphan, failed(wait, false)).await;
        assert_eq!(bench.row(&orphan).await.state, RowState::Deleting);
        let back = [restored(&orphan)];
        assert_eq!(bench.hold(2, &back, wait).await, [true], "{wait:?}");
        assert_eq!(bench.row(&orphan).await.state, RowState::Held);
        let intents = [intent(&base(n + 100))];
        let intended = bench.store.intend(&backend(), &intents, wait).await;
        bench.row(&intended.unwrap()[0]).await;
        bench.everything_is_read().await;
    }
    // What an older program wrote beyond.
    let beyond = "UPDATE secrets SET unreferenced_since = 253402207200999, \
                  held_until = 253402207200999 WHERE state = 'held'";
    assert!(bench.raw(beyond).await.unwrap() > 0);
    bench.everything_is_read().await;
}

impl Bench {
    async fn everything_is_read(&self) {
        let all = SecretFilter::default();
        self.store.list_secrets(&all, None, 1_000).await.unwrap();
        for class in [
            DueClass::Resumable,
            DueClass::Expired,
            DueClass::Orphaned,
            DueClass::Superseded,
        ] {
            self.due(class, &windows()).await;
        }
        self.store.unused(&backend(), &windows()).await.unwrap();
    }
}
