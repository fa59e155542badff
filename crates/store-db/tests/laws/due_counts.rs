//! What is due is counted as the scans find it.

use std::collections::BTreeMap;

use cloakroom_core::ledger::{DeletionOutcome, DueClass, Ledger, Reason, Unused};
use cloakroom_core::store::Expected;
use uuid::Uuid;

use crate::support::*;

const CLASSES: [DueClass; 4] = [
    DueClass::Resumable,
    DueClass::Expired,
    DueClass::Orphaned,
    DueClass::Superseded,
];

pub(crate) async fn the_counts_are_those_of_the_scans(bench: Bench) {
    assert_eq!(told(&bench).await, BTreeMap::new());
    for n in 1..=3 {
        bench.orphan(n).await;
    }
    bench
        .intend(&[base(60), base(62), base_of(Uuid::nil(), 61)])
        .await;
    bench
        .put(document(70), Expected::Absent, &[("/a", base(70))])
        .await;
    bench.put(document(70), FIRST, &[("/a", base(70))]).await;
    agree(&bench).await;
    assert_eq!(told(&bench).await, BTreeMap::new(), "nothing is due yet");

    bench.clock.advance(25 * HOUR);
    agree(&bench).await;
    // A deletion that was cut off keeps its reason, and while its claim stands it is not due.
    bench.claim(&base(1), Reason::Orphaned).await;
    agree(&bench).await;
    assert_eq!(told(&bench).await.get("orphaned"), Some(&2));
    bench.clock.advance(HOUR);
    agree(&bench).await;
    let all = [
        ("abandoned", 2),
        ("ephemeral", 1),
        ("orphaned", 3),
        ("superseded", 1),
    ];
    assert_eq!(told(&bench).await, BTreeMap::from(all));
    let other = "other".parse().unwrap();
    assert!(
        bench
            .store
            .count_due(&other, &windows())
            .await
            .unwrap()
            .is_empty()
    );
}

/// Money is lost and time goes by whether or not a run may take it up at this moment.
pub(crate) async fn what_is_begun_or_parked_is_unused_still(bench: Bench) {
    assert_eq!(unused(&bench).await, Unused::default());
    let first = bench.orphan(1).await;
    let since = bench.row(&first).await.unreferenced_since;
    bench.clock.advance(HOUR);
    bench.orphan(2).await;
    let abandoned = bench.intend(&[base(3)]).await;
    let expires = bench.row(&abandoned[0]).await.expires;
    bench
        .put(document(4), Expected::Absent, &[("/a", base(4))])
        .await;
    bench.put(document(4), FIRST, &[("/a", base(4))]).await;
    assert_eq!(unused(&bench).await, Unused::default(), "nothing is due");

    bench.clock.advance(30 * HOUR);
    let all = Unused {
        superseded: 1,
        orphaned: 3,
        oldest_orphan: since,
    };
    assert_eq!(unused(&bench).await, all);
    bench.claim(&first, Reason::Orphaned).await;
    assert_eq!(unused(&bench).await, all, "on its way out");
    bench.settle(&first, failed(HOUR, false)).await;
    assert_eq!(unused(&bench).await, all, "waiting for the next attempt");
    bench.clock.advance(HOUR);
    bench.claim(&first, Reason::Orphaned).await;
    bench.settle(&first, failed(HOUR, true)).await;
    bench.claim(&base(4), Reason::Superseded).await;
    bench.settle(&base(4), failed(HOUR, true)).await;
    assert_eq!(unused(&bench).await, all, "parked");

    // What an undo brought back is kept on purpose; what is gone costs nothing.
    let (second, week) = (base(2), 7 * 24 * HOUR);
    bench.claim(&second, Reason::Orphaned).await;
    bench
        .settle(&second, DeletionOutcome::Scheduled { due: None })
        .await;
    let back = [restored(&first), restored(&second)];
    assert_eq!(bench.hold(2, &back, week).await, [true, true]);
    let left = Unused {
        orphaned: 1,
        oldest_orphan: expires,
        ..all
    };
    assert_eq!(unused(&bench).await, left);
    let other = "other".parse().unwrap();
    let elsewhere = bench.store.unused(&other, &windows()).await.unwrap();
    assert_eq!(elsewhere, Unused::default());
}

async fn unused(bench: &Bench) -> Unused {
    bench.store.unused(&backend(), &windows()).await.unwrap()
}

async fn agree(bench: &Bench) {
    let mut scanned = BTreeMap::new();
    for class in CLASSES {
        for candidate in bench.due(class, &windows()).await {
            *scanned.entry(candidate.reason.as_str()).or_default() += 1;
        }
    }
    assert_eq!(told(bench).await, scanned);
}

async fn told(bench: &Bench) -> BTreeMap<&'static str, u64> {
    let counts = bench.store.count_due(&backend(), &windows()).await.unwrap();
    let words = counts
        .into_iter()
        .map(|(reason, count)| (reason.as_str(), count));
    words.collect()
}
